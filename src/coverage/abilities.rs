// SPDX-License-Identifier: Apache-2.0
//! The abilities of a device that decide which bins a campaign can reach and see.

use serde::{Deserialize, Serialize};

use crate::dut::description::{Description, Visibility};
use crate::dut::variants::{VARIANTS, Variant};
use crate::format::Format;
use crate::mmu::Access;

/// How a campaign sees a bin. A later value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// The device lacks an ability that the bin needs.
    NotAble,
    /// The device does not show what the bin counts.
    NotVisible,
    /// The campaign counts the bin.
    Visible,
}

/// The abilities of a device, as far as a bin can need them. A coverage file has them for each
/// campaign of a foreign device, and for each campaign whose visibility is below
/// [`Visibility::Steps`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abilities {
    /// The level of visibility that the checks use.
    pub visibility: Visibility,
    /// The numbers of levels of the guest stage, 0 for Bare.
    pub guest: Vec<u8>,
    /// The numbers of levels of the host stage, 0 for Bare.
    pub host: Vec<u8>,
    /// The values of V.
    pub virt: Vec<bool>,
    /// The accesses.
    pub accesses: Vec<Access>,
    /// The values of the privilege: true for user mode.
    pub user: Vec<bool>,
    /// The device has SUM.
    pub sum: bool,
    /// The device has MXR of the guest stage.
    pub guest_mxr: bool,
    /// The device has MXR of the host stage.
    pub host_mxr: bool,
    /// The device sets A and D (Svadu).
    pub svadu: bool,
    /// The device has NAPOT pages (Svnapot).
    pub svnapot: bool,
    /// The device has memory types (Svpbmt).
    pub svpbmt: bool,
    /// The device has the handout's rights mode.
    pub rights: bool,
    /// The device has ASIDs.
    pub asid: bool,
    /// The device has VMIDs.
    pub vmid: bool,
    /// The operands of the fence port; none if the device has no fences.
    pub fence: Option<FenceOperands>,
    /// Memory may return errors.
    pub errors: bool,
    /// Several memory reads can be in flight.
    pub several_reads: bool,
    /// The responses to memory reads may be reordered.
    pub reorder: bool,
    /// The requester can delay a response.
    pub response_ready: bool,
    /// The device has page-walk caches.
    pub walk_caches: bool,
    /// The device has an L2 TLB.
    pub l2_tlb: bool,
}

/// The operands that a device's fence port has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct FenceOperands {
    pub gva: bool,
    pub gpa: bool,
    pub asid: bool,
    pub vmid: bool,
}

impl Abilities {
    /// Returns the abilities of a device.
    pub fn of(device: &Description) -> Self {
        let modes = &device.modes;
        let operand = |port| device.ports.has(port);
        let mut able = Self {
            visibility: device.visibility(),
            guest: modes.guest.clone(),
            host: modes.host.clone(),
            virt: modes.virt.clone(),
            accesses: modes.accesses.clone(),
            user: modes.user.clone(),
            sum: modes.sum,
            guest_mxr: modes.mxr[0],
            host_mxr: modes.mxr[1],
            svadu: modes.svadu,
            svnapot: modes.svnapot,
            svpbmt: modes.svpbmt,
            rights: modes.rights,
            asid: modes.asid_width > 0,
            vmid: modes.vmid_width > 0,
            fence: device.has_fences().then(|| FenceOperands {
                gva: operand("fence_use_gva_i"),
                gpa: operand("fence_use_gpa_i"),
                asid: operand("fence_use_asid_i"),
                vmid: operand("fence_use_vmid_i"),
            }),
            errors: device.has_memory_errors(),
            several_reads: device.walks.outstanding > 1,
            reorder: device.has_reordering(),
            response_ready: device.has_response_ready(),
            walk_caches: device.walks.caches.any(),
            l2_tlb: device.tlb.is_some_and(|tlb| tlb.second.is_some()),
        };
        able.guest.sort_unstable();
        able.host.sort_unstable();
        able
    }

    /// Returns the abilities that the project's own devices of a format have together.
    pub fn of_own_devices(format: Format, visibility: Visibility) -> Self {
        let own = || (VARIANTS.iter()).filter(|variant| variant.paging_format() == format);
        let default = Description::of_variant(Variant::default_of(format as u32));
        Self {
            walk_caches: own().any(|variant| variant.walk_cache_entries.any()),
            l2_tlb: own().any(|variant| variant.tlb2.is_some()),
            ..Self::of(&default.at_most(visibility))
        }
    }

    /// Returns true if a guest table of the level exists in some mode.
    pub fn has_guest_level(&self, level: u32) -> bool {
        self.guest.iter().any(|&levels| level < levels.into())
    }

    /// Returns true if a host table of the level exists in some mode.
    pub fn has_host_level(&self, level: u32) -> bool {
        self.virt.contains(&true) && self.host.iter().any(|&levels| level < levels.into())
    }

    /// Returns true if the stage can be on.
    pub fn has_stage(&self, is_host: bool) -> bool {
        match is_host {
            true => self.has_host_level(0),
            false => self.has_guest_level(0),
        }
    }
}
