// SPDX-License-Identifier: Apache-2.0
//! The description of a device: its abilities, the freedoms of the specification that it uses, and
//! how much it shows.
//!
//! A foreign device is described by a TOML file beside its RTL ([`DeviceFile`]) and by the ports of
//! its top. The project's own devices are described by their parameters
//! (`Description::of_variant`). The testbench asks nothing else about a device.

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

/// A level of visibility. Each level has the checks of the levels below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The ports alone: a read cannot be attributed to a walk.
    Ports,
    /// Every read belongs to a known walk: there is one walk at a time, or a memory id for each.
    Attributed,
    /// Also hits, the walk that serves a request, and fills.
    Requests,
    /// Also every step of a walk.
    Steps,
}

impl Visibility {
    /// Every level, the lowest first.
    pub const ALL: [Self; 4] = [Self::Ports, Self::Attributed, Self::Requests, Self::Steps];

    /// Its name in device files and reports.
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
    /// Its name, for reports.
    pub name: String,
    /// The paging format.
    pub format: Format,
    /// See [`Modes`].
    pub modes: Modes,
    /// See [`Tlb`]; none if no response comes without a walk.
    pub tlb: Option<Tlb>,
    /// See [`Walks`].
    pub walks: Walks,
    /// See [`Fences`]; none if the device has no fence port. Then it has no TLB either.
    pub fences: Option<Fences>,
    /// See [`Responses`].
    pub responses: Responses,
    /// See [`Memory`].
    pub memory: Memory,
    /// The time at which the device reads the context of a request.
    pub context: ContextTime,
    /// The device reads CSRs, which cannot hold every context: see [`Description::csrs_hold`].
    pub has_csrs: bool,
    /// See [`Stalls`].
    pub stalls: Stalls,
    /// RTL assertions are on, and bits that the RTL leaves open are drawn.
    pub assertions: bool,
    /// The ports of the device.
    pub ports: Ports,
    /// Signals for views of a wave: the path below the top, and the width of a vector in bits.
    pub waves: Vec<(String, Option<u32>)>,
    /// The highest level of visibility that the testbench uses, whatever the ports show.
    pub most_visibility: Visibility,
}

/// The requests that a device serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// The numbers of levels of the guest stage, 0 for Bare.
    pub guest: Vec<u8>,
    /// The numbers of levels of the host stage, 0 for Bare.
    pub host: Vec<u8>,
    /// The values of V.
    pub virt: Vec<bool>,
    /// Accesses.
    pub accesses: Vec<Access>,
    /// Privileges: requests of user mode, of supervisor mode.
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
    /// Bits of a host physical address.
    pub hpa_width: u32,
    /// Bits of an ASID.
    pub asid_width: u32,
    /// Bits of a VMID.
    pub vmid_width: u32,
    /// The device has the handout's rights mode.
    pub rights: bool,
}

/// A TLB of complete translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlb {
    /// Entries.
    pub entries: u32,
    /// So many of the pages that were filled or used last must still be there.
    pub recent: u32,
    /// A hit may fault. Otherwise an entry that does not permit the access is a miss.
    pub hit_may_fault: bool,
    /// Fetches have a TLB of their own, of as many entries.
    pub split: bool,
    /// The second level.
    pub second: Option<SecondTlb>,
}

/// The walks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walks {
    /// Walks in flight, at most.
    pub outstanding: u32,
    /// See [`Reads`].
    pub reads: Reads,
    /// See [`PermissionCheck`].
    pub permissions: PermissionCheck,
    /// Entries of the page-walk caches.
    pub caches: WalkCacheEntries,
    /// A read may leave in the cycle of its predecessor's data.
    pub read_bypass: bool,
    /// Walks that no request asks for may read.
    pub speculative: bool,
}

/// The memory reads that belong to a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Exactly those of the golden walk.
    Exact,
    /// The reads of the golden walk, and others of the same lines of so many bytes.
    Line(u32),
    /// Any.
    Any,
}

/// The time at which a walk checks the permissions of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionCheck {
    /// The walk checks the leaf when it has read it, and reads nothing after a fault.
    Entry,
    /// The walk checks the leaf when it ends, and may read on after a fault.
    End,
}

/// The fences of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fences {
    /// An operand must keep entries that it does not match: see [`Precision`].
    pub precise: Precision,
    /// An operand that is 0 means all, as if it were absent.
    pub zero_is_all: bool,
    /// A fence with an operand of a stage that is Bare may keep the entry.
    pub ignores_bare: bool,
}

/// The operands whose fences must keep the entries that they do not match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precision {
    /// Fences with a gVA.
    pub gva: bool,
    /// Fences with a gPA.
    pub gpa: bool,
    /// Fences with an ASID.
    pub asid: bool,
    /// Fences with a VMID.
    pub vmid: bool,
}

/// Freedoms of responses. Their fields follow from the ports: see [`ResponseFields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responses {
    /// See [`Tval2`].
    pub tval2: Tval2,
    /// See [`FaultOrder`].
    pub order: FaultOrder,
    /// Requests without a response, at most.
    pub outstanding: u32,
}

/// The value of htval or mtval2 with a guest-page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tval2 {
    /// The faulting gPA.
    Exact,
    /// 0, or the faulting gPA.
    MayBeZero,
    /// Not compared.
    Absent,
}

/// The fault that a walk reports if several apply and the specification does not order them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOrder {
    /// The one that the golden model meets first.
    Golden,
    /// Any of them.
    Any,
}

/// The memory port of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// See [`UpdateScheme`].
    pub updates: UpdateScheme,
    /// The device accepts errors.
    pub errors: bool,
    /// Different values of a read's id; 1 if the port has none.
    pub ids: u32,
    /// The responses to reads of different ids may be reordered.
    pub reorder: bool,
}

/// The way in which a device sets A and D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateScheme {
    /// It does not.
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
    /// The device reads the context while it serves the request. The context does not change while
    /// a request is in flight.
    Live,
}

/// The cycles that a device may do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// While a request waits, and the testbench withholds nothing.
    pub request: u32,
    /// While a fence waits.
    pub fence: u32,
}

/// The fields of a response that the device has.
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
    /// The level of visibility.
    pub fn visibility(&self) -> Visibility {
        self.shown().min(self.most_visibility)
    }

    /// The level of visibility of a run in which these page-walk caches are in use at some time.
    /// Walks that page-walk caches shorten can be told from their steps alone.
    pub fn visibility_with(&self, ever: WalkCaches) -> Visibility {
        match self.visibility() {
            Visibility::Requests if ever.any() => Visibility::Attributed,
            level => level,
        }
    }

    /// The level of visibility that the ports give.
    fn shown(&self) -> Visibility {
        if self.ports.has("event_o") {
            return Visibility::Steps;
        }
        match self.walks.outstanding == 1 || self.ports.has("mem_req_id_o") {
            true => Visibility::Attributed,
            false => Visibility::Ports,
        }
    }

    /// Returns the description of the same device, of which the testbench uses no more than a level
    /// of visibility.
    #[must_use]
    pub fn at_most(&self, visibility: Visibility) -> Self {
        Self {
            most_visibility: self.most_visibility.min(visibility),
            ..self.clone()
        }
    }

    /// The most requests without a response.
    pub fn outstanding(&self) -> u32 {
        self.responses.outstanding
    }

    /// Different values of a request's id. Without ids the testbench tells requests apart by its
    /// own.
    pub fn request_ids(&self) -> u32 {
        self.ports.width("req_id_i").map_or(256, |width| 1 << width)
    }

    /// Tells whether the requester can delay a response.
    pub fn has_response_ready(&self) -> bool {
        self.ports.has("rsp_ready_i")
    }

    /// Tells whether a response says that it is a TLB hit. A hidden field counts as absent.
    pub fn has_hit_flag(&self) -> bool {
        self.ports.has("rsp_hit_o") && self.visibility() >= Visibility::Requests
    }

    /// Tells whether there is an event record that the testbench uses.
    pub fn has_events(&self) -> bool {
        self.visibility() >= Visibility::Requests
    }

    /// Tells whether steps of walks are in the event record, and the testbench uses them.
    pub fn has_steps(&self) -> bool {
        self.visibility() >= Visibility::Steps
    }

    /// Tells whether there are fences.
    pub fn has_fences(&self) -> bool {
        self.fences.is_some()
    }

    /// Different values of the memory port's id; 1 if it has none.
    pub fn memory_ids(&self) -> u32 {
        self.memory.ids
    }

    /// Tells whether memory may return an error.
    pub fn has_memory_errors(&self) -> bool {
        self.memory.errors
    }

    /// Tells whether memory may return data of a later read first.
    pub fn has_reordering(&self) -> bool {
        self.memory.reorder
    }

    /// Tells whether the device updates entries.
    pub fn has_updates(&self) -> bool {
        self.memory.updates != UpdateScheme::None
    }

    /// Tells whether a fence can make the device answer with a replay.
    pub fn has_replays(&self) -> bool {
        self.ports.has("rsp_replay_o")
    }

    /// The fields of a response.
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

    /// The modes that a stage may have in a format, with their numbers of levels.
    pub fn mode_names(format: Format, is_host: bool) -> Vec<(&'static str, u8)> {
        file::stage_modes(format, is_host)
    }

    /// The most levels of a stage.
    pub fn max_levels(&self) -> u8 {
        let levels = self.modes.guest.iter().chain(&self.modes.host);
        levels.copied().max().unwrap_or(0)
    }

    /// The fault kind that stands for a fault of an unknown kind on the response port.
    pub const UNKNOWN_FAULT: u8 = 0xF;

    /// Tells whether the CSRs of a hart can hold a context. `mstatus.MXR` makes executable pages
    /// readable in both stages, and the bits of `henvcfg` are 0 where those of `menvcfg` are.
    pub fn csrs_hold(context: &Context) -> bool {
        let (guest, host) = (&context.guest, &context.host);
        !context.virt
            || (guest.mxr || !host.mxr)
                && (host.adue || !guest.adue)
                && (host.pbmte || !guest.pbmte)
    }

    /// Tells whether the device has the modes of a context.
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

    /// Tells whether a response with this kind of fault tells nothing but that it is a fault.
    pub fn is_unknown_fault(kind: u8) -> bool {
        kind == Self::UNKNOWN_FAULT && FaultKind::ALL.iter().all(|&known| known as u8 != kind)
    }
}
