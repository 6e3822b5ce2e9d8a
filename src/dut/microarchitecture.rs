// SPDX-License-Identifier: Apache-2.0
//! Figures of the RTL's microarchitecture that checks use as limits.
//!
//! These limits follow from this implementation. Neither the specification nor the handout requires
//! them. The models of the L2 TLB and of the page-walk caches use one more figure: of n entries,
//! the log2(n) + 1 most recently filled or hit entries are certainly present.

use crate::format::Format;

/// The figures of the microarchitecture of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Microarchitecture {
    /// The most cycles for which the device may be idle while a request or a fence waits and no
    /// memory response is outstanding.
    pub idle_cycles: u32,
    /// The most cycles for which a request may be stalled although its walk could start.
    pub stall_cycles: u32,
    /// The most requests that can wait for the results of walks: the RTL parameter `MissEntries`.
    pub miss_entries: u32,
    /// The most memory requests of other slots for which a slot has to wait, if no page-walk caches
    /// are in use: one request of each other slot, because the port is served round robin.
    pub turn_without_walk_caches: u64,
    /// The most memory requests of other slots for which a slot has to wait, if page-walk caches
    /// are in use. A walk then also waits for its lookup in the caches, which fills by other slots
    /// delay. Each other slot makes at most as many requests as there are between two of its own
    /// lookups: one for each level of the host stage, some of them with an update.
    pub turn_with_walk_caches: u64,
    /// The most cycles without activity on the memory port before a walk offers its next request:
    /// one cycle for the lookup of each slot in the page-walk caches, and one cycle to offer the
    /// request.
    pub quiet_cycles: u64,
    /// The number of most recently filled or hit pages that the TLB certainly contains. A tree
    /// pseudo-LRU of n ways never evicts an entry if fewer than log2(n) other entries were touched
    /// after it. The figure is one less, because the testbench sees a hit only when the response is
    /// accepted, and that may be after a later fill.
    pub recent_pages: u32,
}

impl Microarchitecture {
    /// Returns the most memory requests of other slots for which a slot has to wait.
    /// `with_walk_caches`: page-walk caches are in use at some time in the run.
    pub const fn turn(&self, with_walk_caches: bool) -> u64 {
        match with_walk_caches {
            true => self.turn_with_walk_caches,
            false => self.turn_without_walk_caches,
        }
    }

    /// Returns the figures of this project's RTL with `slots` walk slots and `tlb_entries` TLB
    /// entries.
    pub const fn of_this_rtl(format: Format, slots: u32, tlb_entries: u32) -> Self {
        let turn = slots as u64;
        Self {
            idle_cycles: 16,
            stall_cycles: 4,
            miss_entries: 2 * slots,
            turn_without_walk_caches: turn,
            turn_with_walk_caches: (2 * format.geometry().levels as u64 + 2) * turn,
            quiet_cycles: turn + 1,
            recent_pages: tlb_entries.ilog2(),
        }
    }
}
