// SPDX-License-Identifier: Apache-2.0
//! The abilities of a device that a scenario needs, and scenarios that need no others.
//!
//! This is the only place that compares scenarios with devices. A scenario of a file that needs
//! more than a device has is refused ([`missing`]); a random scenario is cut down ([`restrict`]).

use std::fmt;

use super::{Op, Scenario, Timing, access_key};
use crate::dut::description::{Description, UpdateScheme};
use crate::dut::socket;
use crate::format::{Family, Format, fits};
use crate::mmu::{Access, Context, Fence};

/// An ability that a scenario needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// The modes, the extensions and the widths of a context, by its name.
    Context(String),
    /// An access.
    Access(Access),
    /// Fences.
    Fences,
    /// Errors of memory.
    MemoryErrors,
    /// Reads that are answered in another order.
    Reordering,
    /// Responses that wait.
    ResponseReady,
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(name) => write!(f, "the context `{name}`"),
            Self::Access(access) => write!(f, "the access {}", access_key(*access)),
            Self::Fences => f.write_str("fences"),
            Self::MemoryErrors => f.write_str("memory errors"),
            Self::Reordering => f.write_str("reordered memory responses"),
            Self::ResponseReady => f.write_str("responses that wait"),
        }
    }
}

/// The first ability that a scenario needs and a device does not have.
pub fn missing(scenario: &Scenario, device: &Description) -> Option<Ability> {
    let of_timing = |timing: &Timing| {
        let needed = [
            (
                timing.errors > 0,
                device.has_memory_errors(),
                Ability::MemoryErrors,
            ),
            (timing.reorder, device.has_reordering(), Ability::Reordering),
            (
                timing.response_busy > 0 || timing.response_after_valid,
                device.has_response_ready(),
                Ability::ResponseReady,
            ),
        ];
        let mut missing = needed.into_iter().filter(|(needs, has, _)| *needs && !*has);
        missing.next().map(|(_, _, ability)| ability)
    };
    let contexts = scenario.contexts.iter();
    let is_restricted = !scenario.memory.regions().is_empty() && !device.has_memory_errors();
    let context = contexts
        .filter(|named| !device.serves(&named.context))
        .map(|named| Ability::Context(named.name.clone()));
    let of_ops = scenario.ops.iter().find_map(|op| match op {
        Op::Access(access) if !device.modes.accesses.contains(&access.access) => {
            Some(Ability::Access(access.access))
        }
        Op::Fence(_) if !device.has_fences() => Some(Ability::Fences),
        Op::Timing(timing) => of_timing(timing),
        _ => None,
    });
    let at_start = of_timing(&scenario.timing);
    let in_memory = is_restricted.then_some(Ability::MemoryErrors);
    context
        .into_iter()
        .next()
        .or(at_start)
        .or(in_memory)
        .or(of_ops)
}

/// Cuts a random scenario down to the abilities of a device. A context of a mode that the device
/// does not have becomes one of the nearest mode; what memory or requester cannot do is left out.
pub fn restrict(scenario: &mut Scenario, device: &Description) {
    let format = scenario.machine.format;
    for named in &mut scenario.contexts {
        restrict_context(&mut named.context, device);
    }
    let narrow = Narrow::of(format, device);
    if let Some(narrow) = narrow {
        let mut memory = scenario.memory.without_words();
        for (at, word) in scenario.memory.words() {
            if fits(at.0, device.modes.hpa_width) {
                memory.write(at, narrow.word(word));
            }
        }
        scenario.memory = memory;
    }
    let contexts = &scenario.contexts;
    restrict_timing(&mut scenario.timing, device);
    let fences = device.has_fences();
    scenario.ops.retain_mut(|op| match op {
        Op::Access(access) => {
            access.access = nearest(access.access, &device.modes.accesses);
            access.speculative &= device.has_replays();
            let context = &contexts[access.context].context;
            let is_bare = context.guest.levels == 0 && context.host.levels == 0;
            // Without errors of memory there is no answer to an address that the machine lacks.
            if is_bare && (narrow.is_some() || !device.has_memory_errors()) {
                access.gva.0 &= u64::MAX >> (64 - device.modes.hpa_width);
            }
            true
        }
        Op::Fence(fence) => {
            restrict_fence(fence, device);
            fences
        }
        Op::Timing(timing) => {
            restrict_timing(timing, device);
            true
        }
        Op::WalkCaches(_) => device.walks.caches.any(),
        Op::Hold { what, .. } => *what != super::Held::Responses || device.has_response_ready(),
        Op::Write { at, word } => {
            if let (Some(narrow), Some(word)) = (narrow, word) {
                *word = narrow.word(*word);
            }
            fits(at.0, device.modes.hpa_width)
        }
        Op::Wait(_) | Op::Drain | Op::Reset => true,
    });
}

/// The words of a device whose physical addresses are narrower than those of its format. The
/// specification does not say what a walk makes of an address that the machine does not have.
#[derive(Clone, Copy)]
struct Narrow {
    /// The bits of a table entry that the device has.
    bits: u64,
}

impl Narrow {
    fn of(format: Format, device: &Description) -> Option<Self> {
        let (own, all) = (device.modes.hpa_width, format.geometry().hpa_width);
        // PPN begins at bit 10, and stands for address bits from 12 on.
        let absent = (1u64 << (all - 2)) - (1 << (own - 2));
        (format.family() == Family::Riscv && own < all).then_some(Self { bits: !absent })
    }

    fn word(self, word: u64) -> u64 {
        word & self.bits
    }
}

/// The number of levels, of those that a device has for a stage, that is nearest to a number. A
/// stage that is off stays off, if it can be.
pub(crate) fn nearest_levels(levels: u8, of: &[u8]) -> u8 {
    match of.contains(&levels) {
        true => levels,
        false => {
            let on = of.iter().copied().filter(|&other| other > 0);
            on.min_by_key(|&other| other.abs_diff(levels)).unwrap_or(0)
        }
    }
}

/// The access itself, else a load, else the first.
fn nearest(access: Access, of: &[Access]) -> Access {
    let first = of.first().copied().unwrap_or(access);
    [access, Access::Load]
        .into_iter()
        .find(|access| of.contains(access))
        .unwrap_or(first)
}

/// Takes from a context what a device does not have.
pub(crate) fn restrict_context(context: &mut Context, device: &Description) {
    let modes = &device.modes;
    let address = u64::MAX >> (64 - modes.hpa_width);
    if !modes.virt.contains(&context.virt) {
        context.virt = !context.virt;
        if !context.virt {
            context.host = Default::default();
        }
    }
    context.guest.levels = nearest_levels(context.guest.levels, &modes.guest);
    context.guest.root.0 &= address;
    context.host.root.0 &= address;
    if context.virt {
        context.host.levels = nearest_levels(context.host.levels, &modes.host);
    }
    if !modes.user.contains(&context.user) {
        context.user = !context.user;
    }
    let updates = modes.svadu && device.memory.updates != UpdateScheme::None;
    context.guest.adue &= updates;
    context.host.adue &= updates;
    context.guest.pbmte &= modes.svpbmt;
    context.host.pbmte &= modes.svpbmt;
    context.napot &= modes.svnapot;
    context.sum &= modes.sum;
    context.guest.mxr &= modes.mxr[0];
    context.host.mxr &= modes.mxr[1];
    if device.has_csrs && !Description::csrs_hold(context) {
        context.host.mxr &= context.guest.mxr;
        context.guest.adue &= context.host.adue;
        context.guest.pbmte &= context.host.pbmte;
    }
    context.rights &= modes.rights;
    context.asid &= mask(modes.asid_width);
    context.vmid &= mask(modes.vmid_width);
}

/// The lowest bits of a tag.
fn mask(width: u32) -> u16 {
    match width {
        16.. => u16::MAX,
        width => (1 << width) - 1,
    }
}

fn restrict_fence(fence: &mut Fence, device: &Description) {
    if !device.modes.virt.contains(&fence.virt) {
        fence.virt = !fence.virt;
        if !fence.virt {
            fence.gpa = None;
            fence.vmid = None;
        }
    }
    // An instruction has one address, and HFENCE.VVMA is for one virtual machine.
    let is_vvma = fence.virt && (fence.gva.is_some() || fence.asid.is_some());
    if device.ports.has(socket::FENCE_INSTRUCTION) && is_vvma {
        fence.gpa = None;
        fence.vmid = fence.vmid.or(Some(0));
    }
    let modes = &device.modes;
    fence.asid = fence.asid.map(|asid| asid & mask(modes.asid_width));
    fence.vmid = fence.vmid.map(|vmid| vmid & mask(modes.vmid_width));
}

fn restrict_timing(timing: &mut Timing, device: &Description) {
    if !device.has_memory_errors() {
        timing.errors = 0;
    }
    timing.reorder &= device.has_reordering();
    if !device.has_response_ready() {
        timing.response_busy = 0;
        timing.response_after_valid = false;
    }
}
