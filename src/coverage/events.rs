// SPDX-License-Identifier: Apache-2.0
//! The events that covergroups sample, with what the collector knows of each.

use super::axes::{CacheHitAt, CacheKind, CacheMet, Operands, WalkPosition};
use super::slots::{LastEntry, Slots, WalkState};
use super::steps::UpdateOutcome;
use super::walks::WalkInFlight;
use crate::bench::Beside;
use crate::golden::occupancy::page_walk_cache::{FenceEffects, SwitchedOff};
use crate::golden::occupancy::{FilledPage, PageWalkCache, RecentPages};
use crate::golden::{Mapping, Step};
use crate::mmu::{AddressSpaceTag, Context, Fault, Fence, Outcome, Query, WalkCaches};
use crate::scenario::Held;

/// The device accepted a request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The request. The device depends on no other fields of its context.
    pub query: &'a Query,
    /// The context as it was driven at the port.
    pub driven: &'a Context,
    /// The walks in flight.
    pub walks: &'a [WalkInFlight],
    /// The walks of the slots.
    pub slots: &'a Slots,
    /// The must-contain model of the TLB.
    pub tlb: &'a RecentPages,
}

/// The device responded to a request.
#[derive(Debug)]
pub struct Response<'a> {
    /// The request.
    pub query: &'a Query,
    /// The response.
    pub outcome: &'a Outcome,
    /// The request hit in the TLB.
    pub hit: bool,
    /// The request shared the walk of an earlier one.
    pub coalesced: bool,
    /// The TLB contained an entry for the request that denies the access.
    pub denied: bool,
    /// The request hit in the L2 TLB.
    pub by_l2: bool,
    /// The TLB entry that the request must hit, if it is known.
    pub entry: Option<&'a FoundEntry>,
    /// An older request has no response yet.
    pub overtakes: bool,
}

/// An entry of the TLB that permits a request.
#[derive(Clone, Copy, Debug)]
pub struct FoundEntry {
    /// The entry.
    pub page: FilledPage,
    /// The request is for another part of the page than the entry was filled for, in units of the
    /// smallest page.
    pub is_other_part: bool,
}

/// A walk began.
#[derive(Clone, Copy, Debug)]
pub struct NewWalk {
    /// Its slot.
    pub slot: u8,
    /// The number of walks in flight, including this one.
    pub walks: usize,
}

/// The last request of a walk got its response.
#[derive(Clone, Copy, Debug)]
pub struct ReleasedWalk {
    /// The number of requests that the walk answered.
    pub requests: u32,
}

/// The L2 TLB answered a request.
#[derive(Debug)]
pub struct L2Hit<'a> {
    /// The request.
    pub query: &'a Query,
    /// The clock cycle.
    pub cycle: u64,
}

/// Memory accepted a read or an update.
#[derive(Clone, Copy, Debug)]
pub struct MemoryRead {
    /// The walk slot.
    pub slot: u8,
    /// The clock cycle.
    pub cycle: u64,
}

/// Memory responded to a read or an update.
#[derive(Clone, Copy, Debug)]
pub struct MemoryReply {
    /// The walk slot.
    pub slot: u8,
    /// The clock cycle.
    pub cycle: u64,
    /// The clock cycles from the read to the response, beyond the first; none if the slot has no
    /// walk.
    pub delay: Option<u64>,
}

/// Memory is about to respond with an error.
#[derive(Clone, Copy, Debug)]
pub struct MemoryError {
    /// The access is an update.
    pub is_update: bool,
    /// The word on the data lines.
    pub word: Beside,
}

/// A port accepted what was offered.
#[derive(Clone, Copy, Debug)]
pub struct PortWait {
    /// The port.
    pub port: Held,
    /// The clock cycles in which it did not.
    pub cycles: u64,
}

/// A fence was offered while a request was outstanding.
#[derive(Debug)]
pub struct FenceOffered<'a> {
    /// The fence.
    pub fence: &'a Fence,
    /// The state of the request's walk.
    pub state: WalkState,
    /// The address-space tag of the request.
    pub space: AddressSpaceTag,
    /// The entry that the walk accepted last.
    pub last: LastEntry,
    /// The number of requests that wait for the walk.
    pub requests: u32,
}

/// The device accepted a fence.
#[derive(Debug)]
pub struct FenceAccepted<'a> {
    /// The fence.
    pub fence: &'a Fence,
    /// The must-contain model of the TLB before the fence.
    pub tlb: &'a RecentPages,
    /// The walks in flight.
    pub walks: &'a [WalkInFlight],
}

/// A fence met entries of a page-walk cache, or none.
#[derive(Clone, Copy, Debug)]
pub struct CacheFence {
    /// The operands of the fence.
    pub operands: Operands,
    /// The cache.
    pub cache: PageWalkCache,
    /// The way in which the fence met one or more entries.
    pub met: CacheMet,
    /// The cache is in use.
    pub is_used: bool,
    /// A walk is in flight, so the cache may already contain an entry that the walk has read.
    pub has_walks: bool,
}

/// A kind of page-walk cache was switched.
#[derive(Clone, Copy, Debug)]
pub struct CacheSwitch {
    /// The kind.
    pub kind: CacheKind,
    /// It was switched on, not off.
    pub is_on: bool,
}

/// A walk that ended had read, or updated, an entry.
#[derive(Debug)]
pub struct WalkStep<'a> {
    /// The request of the walk.
    pub query: &'a Query,
    /// The step, by the golden model.
    pub step: &'a Step,
    /// The entry.
    pub entry: WalkPosition,
    /// The outcome of the compare-and-swap, if the step is an update.
    pub update: Option<UpdateOutcome>,
}

/// A walk that ended had hit in a page-walk cache.
#[derive(Debug)]
pub struct CacheHit<'a> {
    /// The request of the walk.
    pub query: &'a Query,
    /// The cache.
    pub cache: PageWalkCache,
    /// The kind of cache, and the entry that the hit led to.
    pub at: CacheHitAt,
    /// The effects of fences on the entry since it was read.
    pub spared: FenceEffects,
    /// The time in which the cache was switched off, if it was since the entry was read.
    pub switched_off: Option<SwitchedOff>,
}

/// A walk ended.
#[derive(Debug)]
pub struct FinishedWalk<'a> {
    /// Its request.
    pub query: &'a Query,
    /// Its result.
    pub found: &'a Result<Mapping, Fault>,
    /// The TLB is filled with the result.
    pub fill: bool,
    /// The clock cycle.
    pub cycle: u64,
    /// The kinds of page-walk caches in use.
    pub used: WalkCaches,
    /// The number of its hits in page-walk caches.
    pub cache_hits: usize,
    /// The kinds of page-walk caches in which it hit.
    pub led_by: &'a [CacheKind],
    /// It updated an entry.
    pub updated: bool,
    /// It lost an update: the entry had changed.
    pub lost_update: bool,
    /// A fence matched its address space while it was in flight.
    pub overtaken: bool,
}
