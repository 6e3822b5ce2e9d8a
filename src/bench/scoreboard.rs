// SPDX-License-Identifier: Apache-2.0
//! The transactions of a run: requests, walks with their memory requests, and fences, from what the
//! ports and the events of the device show.
//!
//! The checks, the reports and the comparison with traces look at these records. The scoreboard
//! itself judges nothing.

use super::memory_request::{Read, WalkPlace};
use super::mismatch::FenceEvent;
use super::reported::ReportedStep;
use super::requests::Requests;
use crate::dut::WalkStep;
use crate::golden::Mapping;
use crate::golden::occupancy::NumberedFence;
use crate::golden::occupancy::page_walk_cache::LookUp;
use crate::golden::occupancy::tlb::CertainPage;
use crate::mmu::{Context, Fault, Fence, Query};

/// A request that the device has accepted and not answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// The op of the scenario.
    pub op: usize,
    /// Its id on the ports.
    pub id: u8,
    /// The request, with the fields of the context that the device uses.
    pub query: Query,
    /// The context as it is driven, with the fields that the device ignores.
    pub driven: Context,
    /// Cycle of its handshake.
    pub accepted: u64,
    /// It shares the walk of an earlier request.
    pub is_coalesced: bool,
    /// The L2 TLB has answered it.
    pub by_l2: bool,
    /// Number of fences before it.
    pub(super) fences: u64,
    /// The record of its walk.
    pub(super) walk: Option<usize>,
    /// The page by which the TLB must answer it.
    pub(super) must_hit: Option<CertainPage>,
    /// The first fence that matched it since, if it had no walk by then.
    pub(super) overtaken: Option<FenceEvent>,
}

impl Request {
    /// Returns a request that the device accepts in a cycle, after so many fences. `must_hit`: the
    /// page by which the TLB must answer it.
    pub(super) fn new(
        id: u8,
        op: usize,
        query: &Query,
        driven: &Context,
        accepted: u64,
        fences: u64,
        must_hit: Option<CertainPage>,
    ) -> Self {
        Self {
            op,
            id,
            query: *query,
            driven: *driven,
            accepted,
            is_coalesced: false,
            by_l2: false,
            fences,
            walk: None,
            must_hit,
            overtaken: None,
        }
    }

    /// Returns the number of fences before the request.
    pub(super) fn fences_before(&self) -> u64 {
        self.fences
    }

    /// Returns true if the request has been assigned to a walk.
    pub fn has_walk(&self) -> bool {
        self.walk.is_some()
    }
}

/// The first fence that matched a walk in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overtaken {
    pub by: FenceEvent,
    /// Memory requests of the walk that memory had answered by the end of that cycle.
    pub answered: usize,
}

/// The end of a walk by the golden model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub query: Query,
    /// The number of memory requests that the walk had made.
    pub reads: usize,
    pub found: Result<Mapping, Fault>,
}

/// A walk of the device, until its last request is answered.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Its number among the walks of the run, from 0.
    pub number: usize,
    /// Its slot.
    pub slot: u8,
    /// The op that it was started for.
    pub op: usize,
    /// The request that it was started for.
    pub query: Query,
    /// The context of that request as it was driven, with the fields that the device ignores.
    pub driven: Context,
    /// Its memory requests.
    pub reads: Vec<Read>,
    /// Requests that wait for its result.
    pub requests: u32,
    /// Memory requests that memory has answered.
    pub(super) answered: usize,
    /// Its steps as the device has reported them, where they are wanted.
    pub(super) reported: Vec<ReportedStep>,
    /// Number of fences when the last step was reported or the walk was started.
    pub(super) fences_at_step: u64,
    /// Its lookup in the page-walk caches, until the result of the lookup is reported.
    pub(super) look_up: Option<LookUp>,
    /// Fences since it was started, with their numbers.
    pub(super) fences: Vec<NumberedFence>,
    /// The first of them that matches it.
    pub(super) overtaken: Option<Overtaken>,
    /// The fence, if it came before the end of the walk: its requests are answered with a replay.
    pub(super) replayed: Option<FenceEvent>,
    /// Requests that wait for their responses.
    unanswered: u32,
    /// All requests have its result.
    pub(super) ended: bool,
    pub(super) judged: Option<Judged>,
}

impl Walk {
    /// Returns true if a fence matches the walk by V, ASID and VMID. Its addresses, and whether its
    /// page is global, are known for certain only when it ends.
    pub(super) fn is_matched_by(&self, fence: &Fence) -> bool {
        fence.matches_tag(self.query.context.space())
    }

    /// Returns true if a fence has matched the address space of a request since the walk was
    /// started, at whatever address.
    pub(super) fn is_overtaken_for(&self, query: &Query) -> bool {
        let space = query.context.space();
        let mut fences = self.fences.iter();
        fences.any(|(_, fence)| fence.matches_tag(space))
    }

    /// Returns the place in the walk of the memory request with an index.
    pub(super) fn place_of(&self, index: usize) -> WalkPlace {
        WalkPlace::of(&self.reads, index)
    }
}

/// The transactions in flight.
pub(super) struct Scoreboard {
    requests: Requests<Request>,
    walks: Vec<Walk>,
    free_walks: Vec<usize>,
    /// The record of the walk in each slot.
    slots: Vec<Option<usize>>,
    /// Walks that were started.
    started: usize,
    /// The fences, in the order of their numbers from 1.
    fences: Vec<FenceEvent>,
    /// Requests that were accepted, and have neither hit nor been assigned to a walk.
    unassigned: usize,
}

impl Scoreboard {
    /// Returns the scoreboard of a device that can name so many slots, also when it goes wrong.
    pub fn new(slots: usize) -> Self {
        Self {
            requests: Requests::new(),
            walks: Vec::new(),
            free_walks: Vec::new(),
            slots: vec![None; slots],
            started: 0,
            fences: Vec::new(),
            unassigned: 0,
        }
    }

    /// Forgets what is in flight: the device is reset. Walks are numbered on.
    pub fn reset(&mut self) {
        *self = Self {
            started: self.started,
            ..Self::new(self.slots.len())
        };
    }

    // Requests.

    /// The device has accepted a request.
    pub fn accept(&mut self, request: Request) {
        self.requests.insert(request.id, request);
        self.unassigned += 1;
    }

    #[inline]
    pub fn request(&self, id: u8) -> Option<&Request> {
        self.requests.get(id)
    }

    #[inline]
    pub fn request_mut(&mut self, id: u8) -> Option<&mut Request> {
        self.requests.get_mut(id)
    }

    /// Returns the requests in flight.
    pub fn requests_mut(&mut self) -> impl Iterator<Item = &mut Request> {
        self.requests.iter_mut()
    }

    /// Returns the requests that are not assigned to a walk.
    pub fn unassigned_requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| !request.has_walk())
    }

    /// Returns the number of requests in flight.
    pub fn count(&self) -> usize {
        self.requests.iter().count()
    }

    /// Returns true if there is no request in flight.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Returns true if a request has neither hit nor been assigned to a walk.
    #[inline]
    pub fn has_unassigned(&self) -> bool {
        self.unassigned > 0
    }

    /// Returns the request that was accepted first.
    pub fn oldest(&self) -> Option<&Request> {
        self.requests.iter().min_by_key(|request| request.accepted)
    }

    /// A request without a walk is answered.
    pub fn answer_unassigned(&mut self) {
        self.unassigned = self.unassigned.saturating_sub(1);
    }

    /// Takes out a request that is answered. The record of its walk is free when this was the
    /// walk's last request.
    pub fn release(&mut self, id: u8) -> Option<Request> {
        let request = self.requests.take(id)?;
        if let Some(walk) = request.walk {
            let state = &mut self.walks[walk];
            state.unanswered -= 1;
            if state.ended && state.unanswered == 0 {
                for slot in self.slots.iter_mut().filter(|slot| **slot == Some(walk)) {
                    *slot = None;
                }
                self.free_walks.push(walk);
            }
        }
        Some(request)
    }

    // Walks.

    /// Starts a walk in a slot for the request of an id, and assigns the request to it.
    pub fn start_walk(&mut self, slot: u8, id: u8, look_up: Option<LookUp>) {
        let Some(request) = self.requests.get(id) else {
            return;
        };
        let number = self.started;
        self.started += 1;
        let record = self.free_walks.pop();
        // A record that has served keeps the room of its lists.
        let (mut reads, mut reported, mut fences) = match record {
            Some(record) => {
                let used = &mut self.walks[record];
                (
                    std::mem::take(&mut used.reads),
                    std::mem::take(&mut used.reported),
                    std::mem::take(&mut used.fences),
                )
            }
            None => Default::default(),
        };
        reads.clear();
        reported.clear();
        fences.clear();
        let walk = Walk {
            number,
            slot,
            op: request.op,
            query: request.query,
            driven: request.driven,
            reads,
            requests: 1,
            answered: 0,
            reported,
            fences_at_step: self.fence_count(),
            look_up,
            fences,
            overtaken: None,
            replayed: None,
            unanswered: 0,
            ended: false,
            judged: None,
        };
        let record = match record {
            Some(record) => {
                self.walks[record] = walk;
                record
            }
            None => {
                self.walks.push(walk);
                self.walks.len() - 1
            }
        };
        self.slots[usize::from(slot)] = Some(record);
        self.assign(id, record);
    }

    /// Assigns the request of an id to a walk. The walk's result is owed to it only after
    /// [`Scoreboard::join`].
    pub fn assign(&mut self, id: u8, walk: usize) {
        if let Some(request) = self.requests.get_mut(id) {
            request.walk = Some(walk);
            self.walks[walk].unanswered += 1;
            self.unassigned = self.unassigned.saturating_sub(1);
        }
    }

    /// A further request waits for the result of a walk.
    pub fn join(&mut self, id: u8, walk: usize) {
        self.walks[walk].requests += 1;
        if let Some(request) = self.requests.get_mut(id) {
            request.is_coalesced = true;
        }
    }

    /// Returns the record of the walk in a slot, which may have ended.
    #[inline]
    pub fn record_in(&self, slot: u8) -> Option<usize> {
        *self.slots.get(usize::from(slot))?
    }

    /// Returns the walk in a slot, which may have ended.
    #[inline]
    pub fn walk_in(&self, slot: u8) -> Option<&Walk> {
        Some(&self.walks[self.record_in(slot)?])
    }

    #[inline]
    pub fn walk_in_mut(&mut self, slot: u8) -> Option<&mut Walk> {
        let walk = self.record_in(slot)?;
        Some(&mut self.walks[walk])
    }

    #[inline]
    pub fn walk(&self, record: usize) -> &Walk {
        &self.walks[record]
    }

    #[inline]
    pub fn walk_mut(&mut self, record: usize) -> &mut Walk {
        &mut self.walks[record]
    }

    /// Returns the walks in the slots, in the order of the slots. They may have ended.
    pub fn walks_in_slots(&self) -> impl Iterator<Item = &Walk> {
        self.slots.iter().flatten().map(|&walk| &self.walks[walk])
    }

    /// Returns the walks with a request that waits for the result.
    pub fn walks_in_flight(&self) -> impl Iterator<Item = &Walk> {
        self.walks_in_slots().filter(|walk| !walk.ended)
    }

    /// Returns the id of a request that waits for a walk.
    pub fn id_of(&self, walk: usize) -> Option<u8> {
        (0..=u8::MAX).find(|&id| {
            let request = self.requests.get(id);
            request.is_some_and(|request| request.walk == Some(walk))
        })
    }

    /// The device has reported a step of the walk in a slot. Returns the walk's record.
    pub fn report(&mut self, step: &WalkStep) -> Option<usize> {
        let record = self.record_in(step.slot)?;
        let fences = self.fence_count();
        let walk = &mut self.walks[record];
        walk.reported.push(ReportedStep {
            step: *step,
            fences: walk.fences_at_step,
        });
        walk.fences_at_step = fences;
        Some(record)
    }

    /// Memory has answered the walk in a slot.
    #[inline]
    pub fn reply(&mut self, slot: u8, cycle: u64) {
        if let Some(walk) = self.walk_in_mut(slot) {
            walk.answered += 1;
            if let Some(overtaken) = &mut walk.overtaken
                && overtaken.by.cycle == cycle
            {
                overtaken.answered += 1;
            }
        }
    }

    /// The result of a walk has been given to a request.
    pub fn give(&mut self, walk: usize) {
        let walk = &mut self.walks[walk];
        walk.requests -= 1;
        walk.ended |= walk.requests == 0;
    }

    // Fences.

    /// Returns the number of fences.
    #[inline]
    pub fn fence_count(&self) -> u64 {
        self.fences.len() as u64
    }

    /// The device has accepted a fence. Returns its number.
    pub fn fence(&mut self, fence: &Fence, cycle: u64) -> u64 {
        let by = FenceEvent {
            fence: *fence,
            cycle,
        };
        self.fences.push(by);
        let number = self.fence_count();
        for walk in &mut self.walks {
            if walk.requests > 0 && !walk.ended {
                walk.fences.push((number, *fence));
                if walk.overtaken.is_none() && walk.is_matched_by(fence) {
                    walk.overtaken = Some(Overtaken {
                        by,
                        answered: walk.answered,
                    });
                }
            }
        }
        if self.unassigned > 0 {
            for request in self.requests.iter_mut() {
                let matches = fence.matches_tag(request.query.context.space());
                if request.walk.is_none() && request.overtaken.is_none() && matches {
                    request.overtaken = Some(by);
                }
            }
        }
        number
    }

    /// Returns the fences since the reset, in the order of their numbers from 1.
    pub fn fences(&self) -> &[FenceEvent] {
        &self.fences
    }

    /// Returns the fence of a number.
    pub fn fence_of(&self, number: u64) -> FenceEvent {
        self.fences[number as usize - 1]
    }
}
