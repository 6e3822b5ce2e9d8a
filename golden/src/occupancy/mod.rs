// SPDX-License-Identifier: Apache-2.0
//! The contents of an MMU's caches: what a TLB, a second-level TLB (L2 TLB), page-walk caches and a
//! nested TLB *may* contain and *must* contain.
//!
//! The caller reports events to a model, and the model returns what a cache can contain then:
//!
//! - `on_walk`, `on_fill`: a walk has found a translation, or read a table entry, and a cache may
//!   have been filled;
//! - `on_hit`: a request or a walk has hit in a cache;
//! - `on_fence`: a fence has been accepted;
//! - `may_contain`: the legal responses, which are those of a cache of unlimited size. RISC-V lets
//!   an implementation keep what it has read until a fence invalidates it (privileged
//!   specification, "Supervisor Memory-Management Fence Instruction");
//! - `must_contain`: the entries that nothing can have removed. The specification requires no
//!   cache. The device promises these entries (`docs/ports.md`).
//!
//! | module | cache | may contain | must contain |
//! |---|---|---|---|
//! | [`tlb`] | TLB | yes | yes |
//! | [`recent_pages`] | TLB, in the order of use | | yes |
//! | [`l2_tlb`] | L2 TLB | as the TLB | yes |
//! | [`page_walk_cache`] | page-walk caches and nested TLB | yes | yes |
//!
//! [`tag`](mod@tag) has the rules of address-space tags, [`page`] the key of a TLB entry, and
//! [`history`] the reason why an entry is absent.
//!
//! The models do not depend on a device's signals. The caller gives the cycles, and numbers the
//! fences from 1.

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

/// The fence number of a fact that no fence has invalidated.
const VALID: u64 = u64::MAX;

/// Returns the number of other entries that may be touched (filled or used) after an entry before a
/// tree pseudo-LRU of `entries` entries can replace it: log2 of `entries`. So the log2(n) + 1
/// entries that were touched last are present.
pub const fn tree_plru_others(entries: u32) -> u32 {
    entries.ilog2()
}

#[cfg(test)]
mod test_support;
