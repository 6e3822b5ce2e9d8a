// SPDX-License-Identifier: Apache-2.0
//! The transactions of a run: requests, walks with their memory requests, and fences. They are
//! reconstructed from the ports and the events of the device.
//!
//! The checks, the reports and the comparison with traces use these records. The scoreboard itself
//! checks nothing.

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

/// A request that the device has accepted, and that has no response yet.
#[derive(Clone, Debug)]
pub struct Request {
    /// The index of the operation of the scenario.
    pub op: usize,
    /// Its id on the ports.
    pub id: u8,
    /// The request, with the fields of the context that the device uses.
    pub query: Query,
    /// The context as it is driven, with the fields that the device ignores.
    pub driven: Context,
    /// Cycle of its handshake.
    pub accepted: u64,
    /// The request is coalesced with the walk of an earlier request.
    pub is_coalesced: bool,
    /// The L2 TLB has hit for the request.
    pub by_l2: bool,
    /// Number of fences before the request since the reset.
    pub(super) fences: u64,
    /// The index of the record of its walk, if the request has a walk.
    pub(super) walk: Option<usize>,
    /// The page that the TLB certainly contains, so that the request must hit; none if the request
    /// may miss.
    pub(super) must_hit: Option<CertainPage>,
    /// The first fence that has matched the request since it was accepted, if the request had no
    /// walk at that time.
    pub(super) overtaken: Option<FenceEvent>,
}

impl Request {
    /// Returns the record of a request that the device accepts in a cycle. `fences`: the number of
    /// fences before it. `must_hit`: see [`Request::must_hit`].
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
    /// Number of memory requests of the walk that had their responses at the end of the cycle of
    /// the fence.
    pub answered: usize,
}

/// The end of a walk that was compared with the golden walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub query: Query,
    /// Number of memory requests of the walk at that time.
    pub reads: usize,
    pub found: Result<Mapping, Fault>,
}

/// A walk of the device. The record is kept until the last request of the walk has its response.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Its number among the walks of the run, from 0.
    pub number: usize,
    /// Its slot.
    pub slot: u8,
    /// The index of the operation whose request started the walk.
    pub op: usize,
    /// The request that started the walk.
    pub query: Query,
    /// The context of that request as it was driven, with the fields that the device ignores.
    pub driven: Context,
    /// Its memory requests.
    pub reads: Vec<Read>,
    /// Number of requests that wait for the result of the walk.
    pub requests: u32,
    /// Number of memory requests of the walk that have their responses.
    pub(super) answered: usize,
    /// The reported steps of the walk; empty if steps are not checked.
    pub(super) reported: Vec<ReportedStep>,
    /// Number of fences since the reset, when the last step was reported or the walk was started.
    pub(super) fences_at_step: u64,
    /// The lookup in the page-walk caches whose result has not been reported yet, if there is one.
    pub(super) look_up: Option<LookUp>,
    /// The fences since the walk was started, with their numbers.
    pub(super) fences: Vec<NumberedFence>,
    /// The first fence since the start that has matched the walk.
    pub(super) overtaken: Option<Overtaken>,
    /// The fence that has overtaken the walk, if the walk had not ended before it. The requests of
    /// the walk then get a replay.
    pub(super) replayed: Option<FenceEvent>,
    /// Number of requests of the walk that have no response yet.
    unanswered: u32,
    /// The result was given to all requests of the walk.
    pub(super) ended: bool,
    pub(super) judged: Option<Judged>,
}

impl Walk {
    /// Returns true if a fence matches the walk by V, ASID and VMID. The addresses of the fence are
    /// ignored, because the page of the walk is known only when the walk ends.
    pub(super) fn is_matched_by(&self, fence: &Fence) -> bool {
        fence.matches_tag(self.query.context.space())
    }

    /// Returns true if a fence since the start of the walk has matched the address space of a
    /// request. The addresses of the fences are ignored.
    pub(super) fn is_overtaken_for(&self, query: &Query) -> bool {
        let space = query.context.space();
        let mut fences = self.fences.iter();
        fences.any(|(_, fence)| fence.matches_tag(space))
    }

    /// Returns the place of the memory request with an index in the walk.
    pub(super) fn place_of(&self, index: usize) -> WalkPlace {
        WalkPlace::of(&self.reads, index)
    }
}

/// The transactions in flight.
pub(super) struct Scoreboard {
    requests: Requests<Request>,
    walks: Vec<Walk>,
    free_walks: Vec<usize>,
    /// By slot: the index of the record of its walk.
    slots: Vec<Option<usize>>,
    /// Number of walks that were started in the run.
    started: usize,
    /// The fences, in the order of their numbers from 1.
    fences: Vec<FenceEvent>,
    /// Number of requests that were accepted, and have neither hit nor been assigned to a walk.
    unassigned: usize,
}

impl Scoreboard {
    /// Returns an empty scoreboard. `slots`: the number of values of the slot field, which may
    /// exceed the number of slots.
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

    /// Drops all transactions, because the device is reset. The numbers of walks continue.
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

    /// Counts the response to a request that has no walk.
    pub fn answer_unassigned(&mut self) {
        self.unassigned = self.unassigned.saturating_sub(1);
    }

    /// Removes a request, because it has its response. If it was the last request of its walk, the
    /// record of the walk becomes free.
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
        // A record that was used before keeps the capacity of its lists.
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

    /// Assigns the request of an id to a walk. [`Scoreboard::join`] then adds the request to the
    /// requests that wait for the result.
    pub fn assign(&mut self, id: u8, walk: usize) {
        if let Some(request) = self.requests.get_mut(id) {
            request.walk = Some(walk);
            self.walks[walk].unanswered += 1;
            self.unassigned = self.unassigned.saturating_sub(1);
        }
    }

    /// Adds a request to the requests that wait for the result of a walk.
    pub fn join(&mut self, id: u8, walk: usize) {
        self.walks[walk].requests += 1;
        if let Some(request) = self.requests.get_mut(id) {
            request.is_coalesced = true;
        }
    }

    /// Returns the index of the record of the last walk in a slot. The walk may have ended.
    #[inline]
    pub fn record_in(&self, slot: u8) -> Option<usize> {
        *self.slots.get(usize::from(slot))?
    }

    /// Returns the last walk in a slot. The walk may have ended.
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

    /// Returns the last walk in each slot, in the order of the slots. A walk may have ended.
    pub fn walks_in_slots(&self) -> impl Iterator<Item = &Walk> {
        self.slots.iter().flatten().map(|&walk| &self.walks[walk])
    }

    /// Returns the walks in flight: their results have not been given to all their requests.
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

    /// Adds a reported step to the walk in its slot. Returns the index of the record of the walk.
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

    /// Notes that memory has returned a response to the walk in a slot.
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

    /// Notes that the result of a walk was given to one of its requests.
    pub fn give(&mut self, walk: usize) {
        let walk = &mut self.walks[walk];
        walk.requests -= 1;
        walk.ended |= walk.requests == 0;
    }

    // Fences.

    /// Returns the number of fences since the reset.
    #[inline]
    pub fn fence_count(&self) -> u64 {
        self.fences.len() as u64
    }

    /// Notes a fence that the device has accepted. Returns the number of the fence.
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

    /// Returns the fence with a number.
    pub fn fence_of(&self, number: u64) -> FenceEvent {
        self.fences[number as usize - 1]
    }
}
