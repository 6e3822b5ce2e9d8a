// SPDX-License-Identifier: Apache-2.0
//! The description of a device: its abilities, the freedoms of the specification that it uses, and
//! its level of visibility.
//!
//! The description of a foreign device is derived from a TOML file ([`DeviceFile`]) and from the
//! ports of its top module. The description of one of the project's own devices is derived from its
//! parameters (`Description::of_variant`). The testbench knows nothing about a device but its
//! description.

mod file;
mod own;
mod resolve;
mod top;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::socket::Ports;
use super::variants::{SecondTlb, WalkCacheEntries};
use crate::format::Format;
use crate::mmu::{Access, Context, FaultKind, WalkCaches};
pub use file::{DeviceFile, DeviceFileError, template};
pub use resolve::Port;
pub use top::template_top;

/// A level of visibility: how much of its behaviour a device shows. At each level the checks of the
/// lower levels apply as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The testbench sees the ports alone, and cannot attribute a memory read to a walk.
    Ports,
    /// The testbench can attribute every memory read to a walk: there is one walk in flight, or
    /// each walk in flight has its own id on the memory port.
    Attributed,
    /// The event record also shows TLB hits, the assignment of requests to walks, and fills.
    Requests,
    /// The event record also shows every step of a walk.
    Steps,
}

impl Visibility {
    /// All levels, the lowest first.
    pub const ALL: [Self; 4] = [Self::Ports, Self::Attributed, Self::Requests, Self::Steps];

    /// Returns the name of the level in device files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Attributed => "attributed",
            Self::Requests => "requests",
            Self::Steps => "steps",
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The abilities of a device, and the freedoms that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of the device, for reports.
    pub name: String,
    /// The paging format.
    pub format: Format,
    /// See [`Modes`].
    pub modes: Modes,
    /// See [`Tlb`]; none if the device has no TLB, so that each response comes from a walk.
    pub tlb: Option<Tlb>,
    /// See [`Walks`].
    pub walks: Walks,
    /// See [`Fences`]; none if the device has no fence port. Then it has no TLB either.
    pub fences: Option<Fences>,
    /// See [`Responses`].
    pub responses: Responses,
    /// See [`Memory`].
    pub memory: Memory,
    /// See [`ContextTime`].
    pub context: ContextTime,
    /// The device reads the context from CSRs, which cannot represent every context: see
    /// [`Description::csrs_hold`].
    pub has_csrs: bool,
    /// See [`Stalls`].
    pub stalls: Stalls,
    /// RTL assertions are on, and bits that the RTL leaves undefined start with random values.
    pub assertions: bool,
    /// The ports of the device.
    pub ports: Ports,
    /// Signals for views of a wave: the path below the top, and the width of a vector in bits.
    pub waves: Vec<(String, Option<u32>)>,
    /// The highest level of visibility that the testbench uses, even if the ports show more.
    pub most_visibility: Visibility,
}

/// The contexts and accesses that a device serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// The numbers of levels of the guest stage, 0 for Bare.
    pub guest: Vec<u8>,
    /// The numbers of levels of the host stage, 0 for Bare.
    pub host: Vec<u8>,
    /// The values of V.
    pub virt: Vec<bool>,
    /// The kinds of access.
    pub accesses: Vec<Access>,
    /// The privileges: `true` for requests in user mode, `false` for requests in supervisor mode.
    pub user: Vec<bool>,
    /// The device sets A and D (Svadu). Otherwise a clear one faults (Svade).
    pub svadu: bool,
    /// The device has NAPOT pages (Svnapot).
    pub svnapot: bool,
    /// The device has memory types (Svpbmt).
    pub svpbmt: bool,
    /// The device has SUM.
    pub sum: bool,
    /// The device has MXR, of the guest stage and of the host stage.
    pub mxr: [bool; 2],
    /// The width of a host physical address in bits.
    pub hpa_width: u32,
    /// The width of an ASID in bits.
    pub asid_width: u32,
    /// The width of a VMID in bits.
    pub vmid_width: u32,
    /// The device has the handout's rights mode.
    pub rights: bool,
}

/// A TLB of complete translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlb {
    /// The number of entries.
    pub entries: u32,
    /// The number of most recently filled or hit pages that the TLB must still contain.
    pub recent: u32,
    /// A hit in an entry that does not permit the access may end with a fault. If false, such a
    /// request must miss.
    pub hit_may_fault: bool,
    /// Fetches have their own TLB with the same number of entries.
    pub split: bool,
    /// The L2 TLB, if there is one.
    pub second: Option<SecondTlb>,
}

/// The walks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walks {
    /// The most walks in flight.
    pub outstanding: u32,
    /// See [`Reads`].
    pub reads: Reads,
    /// See [`PermissionCheck`].
    pub permissions: PermissionCheck,
    /// The number of entries of each page-walk cache.
    pub caches: WalkCacheEntries,
    /// The device may offer the next memory read of a walk in the cycle in which the data of the
    /// previous read arrive.
    pub read_bypass: bool,
    /// The device may read entries for speculative walks, which serve no request.
    pub speculative: bool,
}

/// The memory reads that a device may make for a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Exactly the reads of the golden walk.
    Exact,
    /// The reads of the golden walk, and reads of other words in the same lines. The field is the
    /// size of a line in bytes.
    Line(u32),
    /// Any reads.
    Any,
}

/// The time at which a walk checks the permissions of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionCheck {
    /// The walk checks a leaf as soon as it has read the leaf, and reads nothing after a fault.
    Entry,
    /// The walk checks leaves at its end, and may read further entries after a fault.
    End,
}

/// The fences of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fences {
    /// See [`Precision`].
    pub precise: Precision,
    /// An operand with the value 0 is ignored, as if it were absent.
    pub zero_is_all: bool,
    /// A fence with an operand of a stage that is Bare need not invalidate an entry.
    pub ignores_bare: bool,
}

/// The operands that a fence compares exactly. If an operand is set here, the fence must not
/// invalidate a most recently used page that the operand does not match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precision {
    /// The gVA is compared.
    pub gva: bool,
    /// The gPA is compared.
    pub gpa: bool,
    /// The ASID is compared.
    pub asid: bool,
    /// The VMID is compared.
    pub vmid: bool,
}

/// Freedoms of responses. The fields of a response follow from the ports: see [`ResponseFields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responses {
    /// See [`Tval2`].
    pub tval2: Tval2,
    /// See [`FaultOrder`].
    pub order: FaultOrder,
    /// The most requests in flight.
    pub outstanding: u32,
}

/// The value of htval or mtval2 with a guest-page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tval2 {
    /// The faulting gPA.
    Exact,
    /// 0, or the faulting gPA.
    MayBeZero,
    /// The value is not compared.
    Absent,
}

/// The fault that a walk reports if several apply and the specification does not order them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOrder {
    /// The first fault of the golden walk.
    Golden,
    /// Any fault that applies.
    Any,
}

/// The memory port of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// See [`UpdateScheme`].
    pub updates: UpdateScheme,
    /// The device has an error input, so memory may return errors.
    pub errors: bool,
    /// The number of ids of memory reads; 1 if the port has no id.
    pub ids: u32,
    /// Memory may return responses to reads with different ids in any order.
    pub reorder: bool,
}

/// The way in which a device sets A and D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateScheme {
    /// The device never sets A and D.
    None,
    /// By a compare-and-swap.
    CompareAndSwap,
    /// By an atomic OR of the new word.
    Or,
    /// By a plain write of the new word.
    Write,
}

/// The time at which a device reads the context of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextTime {
    /// The device reads the context when it accepts the request.
    Request,
    /// The device reads the context while it serves the request. The testbench does not change the
    /// context while a request is in flight.
    Live,
}

/// The most cycles for which a device may do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// The limit while a request waits, and the device waits for nothing outside it.
    pub request: u32,
    /// The limit while a fence waits.
    pub fence: u32,
}

/// The fields of a response for which the device has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ResponseFields {
    pub id: bool,
    pub hit: bool,
    pub replay: bool,
    pub gva: bool,
    pub gpa: bool,
    pub page_size: bool,
    pub memory_type: bool,
    pub fault_kind: bool,
    pub fault_stage: bool,
    pub fault_level: bool,
    pub fault_purpose: bool,
    pub fault_for_level: bool,
    pub cause: bool,
    pub trap_gva: bool,
    pub tval2: bool,
    pub tinst: bool,
}

impl Description {
    /// Returns the level of visibility that the testbench uses.
    pub fn visibility(&self) -> Visibility {
        self.shown().min(self.most_visibility)
    }

    /// Returns the level of visibility of a run. `ever`: the page-walk caches that are in use at
    /// some time in the run. With page-walk caches, level `requests` is not enough to follow walks:
    /// the hits of these caches are reported only with the steps.
    pub fn visibility_with(&self, ever: WalkCaches) -> Visibility {
        match self.visibility() {
            Visibility::Requests if ever.any() => Visibility::Attributed,
            level => level,
        }
    }

    /// Returns the level of visibility that the ports allow.
    fn shown(&self) -> Visibility {
        if self.ports.has("event_o") {
            return Visibility::Steps;
        }
        match self.walks.outstanding == 1 || self.ports.has("mem_req_id_o") {
            true => Visibility::Attributed,
            false => Visibility::Ports,
        }
    }

    /// Returns the description with the level of visibility limited to `visibility`.
    #[must_use]
    pub fn at_most(&self, visibility: Visibility) -> Self {
        Self {
            most_visibility: self.most_visibility.min(visibility),
            ..self.clone()
        }
    }

    /// Returns the most requests in flight.
    pub fn outstanding(&self) -> u32 {
        self.responses.outstanding
    }

    /// Returns the number of ids of requests. If the device has no ids, the testbench numbers the
    /// requests with 256 ids of its own.
    pub fn request_ids(&self) -> u32 {
        self.ports.width("req_id_i").map_or(256, |width| 1 << width)
    }

    /// Returns true if the requester can delay a response.
    pub fn has_response_ready(&self) -> bool {
        self.ports.has("rsp_ready_i")
    }

    /// Returns true if a response shows that it is a TLB hit, and the level of visibility lets the
    /// testbench use this field.
    pub fn has_hit_flag(&self) -> bool {
        self.ports.has("rsp_hit_o") && self.visibility() >= Visibility::Requests
    }

    /// Returns true if the testbench uses the event record.
    pub fn has_events(&self) -> bool {
        self.visibility() >= Visibility::Requests
    }

    /// Returns true if the testbench uses the steps of walks in the event record.
    pub fn has_steps(&self) -> bool {
        self.visibility() >= Visibility::Steps
    }

    /// Returns true if the device has a fence port.
    pub fn has_fences(&self) -> bool {
        self.fences.is_some()
    }

    /// Returns the number of ids on the memory port; 1 if the port has no id.
    pub fn memory_ids(&self) -> u32 {
        self.memory.ids
    }

    /// Returns true if memory may return an error.
    pub fn has_memory_errors(&self) -> bool {
        self.memory.errors
    }

    /// Returns true if memory may return the data of a later read first.
    pub fn has_reordering(&self) -> bool {
        self.memory.reorder
    }

    /// Returns true if the device updates entries (A and D bits).
    pub fn has_updates(&self) -> bool {
        self.memory.updates != UpdateScheme::None
    }

    /// Returns true if the device responds with a replay to a request that a fence has overtaken.
    pub fn has_replays(&self) -> bool {
        self.ports.has("rsp_replay_o")
    }

    /// Returns the fields of a response for which the device has ports.
    pub fn response_fields(&self) -> ResponseFields {
        let has = |name| self.ports.has(name);
        ResponseFields {
            id: has("rsp_id_o"),
            hit: self.has_hit_flag(),
            replay: has("rsp_replay_o"),
            gva: has("rsp_gva_o"),
            gpa: has("rsp_gpa_o"),
            page_size: has("rsp_page_size_o"),
            memory_type: has("rsp_attributes_o"),
            fault_kind: has("rsp_fault_kind_o"),
            fault_stage: has("rsp_fault_stage_o"),
            fault_level: has("rsp_fault_level_o"),
            fault_purpose: has("rsp_fault_purpose_o"),
            fault_for_level: has("rsp_fault_for_level_o"),
            cause: has("rsp_trap_cause_o"),
            trap_gva: has("rsp_trap_gva_o"),
            tval2: has("rsp_trap_tval2_o") && self.responses.tval2 != Tval2::Absent,
            tinst: has("rsp_trap_tinst_o"),
        }
    }

    /// Returns the names of the modes of a stage in a format, with their numbers of levels.
    pub fn mode_names(format: Format, is_host: bool) -> Vec<(&'static str, u8)> {
        file::stage_modes(format, is_host)
    }

    /// Returns the highest number of levels of either stage.
    pub fn max_levels(&self) -> u8 {
        let levels = self.modes.guest.iter().chain(&self.modes.host);
        levels.copied().max().unwrap_or(0)
    }

    /// The value of the fault kind for a device that reports a fault without its kind.
    pub const UNKNOWN_FAULT: u8 = 0xF;

    /// Returns true if the CSRs of a hart can represent a context. MXR of the host stage is
    /// `mstatus.MXR`, which sets MXR of both stages. A bit of `henvcfg` is 0 if the same bit of
    /// `menvcfg` is 0.
    pub fn csrs_hold(context: &Context) -> bool {
        let (guest, host) = (&context.guest, &context.host);
        !context.virt
            || (guest.mxr || !host.mxr)
                && (host.adue || !guest.adue)
                && (host.pbmte || !guest.pbmte)
    }

    /// Returns true if the device serves requests in a context.
    pub fn serves(&self, context: &Context) -> bool {
        let modes = &self.modes;
        let (guest, host) = (&context.guest, &context.host);
        let tag = |value: u16, width: u32| width >= 16 || value >> width == 0;
        (!self.has_csrs || Self::csrs_hold(context))
            && modes.virt.contains(&context.virt)
            && modes.guest.contains(&guest.levels)
            && (!context.virt || modes.host.contains(&host.levels))
            && modes.user.contains(&context.user)
            && (modes.svadu || !guest.adue && !host.adue)
            && (modes.svpbmt || !guest.pbmte && !host.pbmte)
            && (modes.svnapot || !context.napot)
            && (modes.sum || !context.sum)
            && (modes.mxr[0] || !guest.mxr)
            && (modes.mxr[1] || !host.mxr)
            && (modes.rights || !context.rights)
            && tag(context.asid, modes.asid_width)
            && tag(context.vmid, modes.vmid_width)
    }

    /// Returns true if the value of a fault kind is the value for a fault of an unknown kind.
    pub fn is_unknown_fault(kind: u8) -> bool {
        kind == Self::UNKNOWN_FAULT && FaultKind::ALL.iter().all(|&known| known as u8 != kind)
    }
}
