// SPDX-License-Identifier: Apache-2.0
//! The fields of a context.

use super::super::abilities::Abilities;
use super::super::covergroup::axis;
use crate::mmu::Context;

axis! {
    /// A field of a [`Context`].
    pub enum ContextField {
        /// [`Context::virt`].
        Virt = "V",
        /// Levels of [`Context::guest`].
        GuestMode = "guest mode",
        /// Levels of [`Context::host`].
        HostMode = "host mode",
        /// Root of [`Context::guest`].
        GuestRoot = "guest root",
        /// Root of [`Context::host`].
        HostRoot = "host root",
        /// [`Context::asid`].
        Asid = "ASID",
        /// [`Context::vmid`].
        Vmid = "VMID",
        /// [`Context::user`].
        User = "user",
        /// [`Context::sum`].
        Sum = "SUM",
        /// MXR of [`Context::guest`].
        GuestMxr = "guest MXR",
        /// MXR of [`Context::host`].
        HostMxr = "host MXR",
        /// ADUE of [`Context::guest`].
        GuestAdue = "guest ADUE",
        /// ADUE of [`Context::host`].
        HostAdue = "host ADUE",
        /// PBMTE of [`Context::guest`].
        GuestPbmte = "guest PBMTE",
        /// PBMTE of [`Context::host`].
        HostPbmte = "host PBMTE",
        /// [`Context::napot`].
        Napot = "Svnapot",
        /// [`Context::rights`].
        RightsMode = "rights mode",
    }
    able: |field, device| field.is_able(device);
}

impl ContextField {
    /// Returns true if a device with these abilities can have two values of the field.
    fn is_able(self, device: &Abilities) -> bool {
        match self {
            Self::Virt => device.virt.len() > 1,
            Self::GuestMode => device.guest.len() > 1,
            Self::HostMode => device.host.len() > 1,
            Self::GuestRoot => device.has_stage(false),
            Self::HostRoot => device.has_stage(true),
            Self::Asid => device.asid,
            Self::Vmid => device.vmid,
            Self::User => device.user.len() > 1,
            Self::Sum => device.sum,
            Self::GuestMxr => device.guest_mxr,
            Self::HostMxr => device.host_mxr,
            Self::GuestAdue | Self::HostAdue => device.svadu,
            Self::GuestPbmte | Self::HostPbmte => device.svpbmt,
            Self::Napot => device.svnapot,
            Self::RightsMode => device.rights,
        }
    }

    /// Returns true if two contexts differ in the field.
    pub fn differs(self, one: &Context, other: &Context) -> bool {
        match self {
            Self::Virt => one.virt != other.virt,
            Self::GuestMode => one.guest.levels != other.guest.levels,
            Self::HostMode => one.host.levels != other.host.levels,
            Self::GuestRoot => one.guest.root != other.guest.root,
            Self::HostRoot => one.host.root != other.host.root,
            Self::Asid => one.asid != other.asid,
            Self::Vmid => one.vmid != other.vmid,
            Self::User => one.user != other.user,
            Self::Sum => one.sum != other.sum,
            Self::GuestMxr => one.guest.mxr != other.guest.mxr,
            Self::HostMxr => one.host.mxr != other.host.mxr,
            Self::GuestAdue => one.guest.adue != other.guest.adue,
            Self::HostAdue => one.host.adue != other.host.adue,
            Self::GuestPbmte => one.guest.pbmte != other.guest.pbmte,
            Self::HostPbmte => one.host.pbmte != other.host.pbmte,
            Self::Napot => one.napot != other.napot,
            Self::RightsMode => one.rights != other.rights,
        }
    }
}
