// SPDX-License-Identifier: Apache-2.0
//! The contents of an MMU's caches: what a TLB, a second-level TLB (L2 TLB), page-walk caches and a
//! nested TLB *may* contain and *must* contain.
//!
//! A model is told what happens, and answers what a cache can hold then:
//!
//! - `on_walk`, `on_fill`: a walk has found a translation, or read a table entry, and a cache may
//!   have been filled;
//! - `on_hit`: a cache has served a request or a walk;
//! - `on_fence`: a fence has been accepted;
//! - `may_contain`: the answers that are legal, those of a cache without limits. RISC-V lets an
//!   implementation keep what it has read until a fence invalidates it (privileged specification,
//!   "Supervisor Memory-Management Fence Instruction");
//! - `must_contain`: what nothing can have removed. The specification requires no cache; what must
//!   be there is a promise of the device (`docs/ports.md`).
//!
//! | module | cache | may contain | must contain |
//! |---|---|---|---|
//! | [`tlb`] | TLB | yes | yes |
//! | [`recent_pages`] | TLB, in the order of use | | yes |
//! | [`l2_tlb`] | L2 TLB | as the TLB | yes |
//! | [`page_walk_cache`] | page-walk caches and nested TLB | yes | yes |
//!
//! [`tag`](mod@tag) has the rules of address-space tags, [`page`] the key of a TLB entry, and
//! [`history`] the reason why something is not contained any more.
//!
//! The models know nothing of a device's signals. Cycles are given by the caller, and fences are
//! numbered by the caller, from 1.

pub mod history;
pub mod l2_tlb;
pub mod page;
pub mod page_walk_cache;
pub mod recent_pages;
pub mod tag;
pub mod tlb;

pub use history::Absence;
pub use l2_tlb::L2Tlb;
pub use page::{Page, PageKind};
pub use page_walk_cache::{PageWalkCache, PageWalkCaches};
pub use recent_pages::{FilledPage, RecentPages};
pub use tlb::Tlb;

use crate::mmu::Fence;

/// A fence with its number since the reset, from 1.
pub type NumberedFence = (u64, Fence);

/// The number of the fence that has invalidated a fact, where none has.
const VALID: u64 = u64::MAX;

/// Returns how many other entries may be touched (filled or used) after an entry before a tree
/// pseudo-LRU of `entries` can replace it: log2 of the entries. So of n entries the log2(n) + 1
/// that were touched last are there.
pub const fn tree_plru_others(entries: u32) -> u32 {
    entries.ilog2()
}

#[cfg(test)]
mod test_support;
