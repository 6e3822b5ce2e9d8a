// SPDX-License-Identifier: Apache-2.0
//! The figures of the RTL's microarchitecture on which checks rest.
//!
//! Neither the specification nor the handout demands them. The models of the L2 TLB and of the
//! page-walk caches have one figure more: of n entries, the log2(n) + 1 that were filled or hit
//! last are certainly present.

use crate::format::Format;

/// The figures of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Microarchitecture {
    /// Cycles for which the device may be idle, while nothing is in flight and a request or a fence
    /// waits.
    pub idle_cycles: u32,
    /// Cycles for which a request may be stalled, while there is room for its walk.
    pub stall_cycles: u32,
    /// Requests that can wait for the results of walks: the RTL parameter `MissEntries`.
    pub miss_entries: u32,
    /// Memory requests of other slots that are one turn of each of them: the port is served round
    /// robin.
    pub turn_without_walk_caches: u64,
    /// The same turn if page-walk caches are in use. A walk first waits for its lookup in the
    /// caches, and while memory requests of other slots fill them. These are at most the requests
    /// between two lookups of each other slot: one for each level of the host stage, some with an
    /// update.
    pub turn_with_walk_caches: u64,
    /// Cycles with nothing on the memory port that a walk waits for at most before it offers its
    /// next request: a lookup in page-walk caches for each slot, and one cycle to offer the
    /// request.
    pub quiet_cycles: u64,
    /// Number of the pages filled or hit last that the TLB certainly contains. A tree pseudo-LRU of
    /// n ways replaces none that fewer than log2(n) others have been touched after. The figure is
    /// one less: a hit is known only when its response is accepted, which may be after a fill.
    pub recent_pages: u32,
}

impl Microarchitecture {
    /// Returns the memory requests of other slots after which a slot has waited for too many.
    /// `with_walk_caches`: page-walk caches are in use at some time.
    pub const fn turn(&self, with_walk_caches: bool) -> u64 {
        match with_walk_caches {
            true => self.turn_with_walk_caches,
            false => self.turn_without_walk_caches,
        }
    }

    /// Returns the figures of this project's RTL with so many slots and TLB entries.
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
