// SPDX-License-Identifier: Apache-2.0
//! Compares a device with the golden model by its ports alone.
//!
//! - *Ports*: every request has one response. The response is that of a golden walk over words that
//!   memory has served, and that no fence has invalidated since for this request. A walk may mix old
//!   and new words: page-walk caches do.
//! - *Attributed*: the memory requests of each id of the memory port are those of golden walks of
//!   requests in flight, in their order and no more. A response without a walk comes from the words
//!   of one walk, for a TLB holds the results of whole walks.
//!
//! A response that no walk gives is found at either level, and so is a device that stalls. What the
//! ports do not show is not judged: see `docs/visibility.md`.

mod streams;
mod words;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use self::streams::{Candidate, PossibleWalk, Stream, follow, wanted};
use self::words::{Followed, Words, each_walk};
use super::checks::{Progress, StablePorts};
use super::memory_request::{MemoryRequest, Read, RequestCounts};
use super::mismatch::{
    ActionAfterFence, ExpectedRequest, FenceEvent, HitReason, Mismatch, NoReplayReason,
    ObservedRequest, PairingViolation, PortViolation, ReplayViolation, RequestEvent,
    ResponseViolation, Stall, Violation, WalkEnd,
};
use super::scoreboard::{Request, Scoreboard};
use crate::addr::Gva;
use crate::dut::description::{Description, Reads, ResponseFields, Tval2, Visibility};
use crate::dut::{MalformedResponse, Outputs};
use crate::format::Format;
use crate::golden::occupancy::Tlb;
use crate::golden::occupancy::tlb::Certainty;
use crate::golden::{self, Mapping};
use crate::mmu::{
    AddressSpaceTag, Context, Fault, FaultKind, Fence, FenceMatch, Outcome, Position, Purpose,
    Query, StageControl, WalkCaches,
};
use crate::scenario::Machine;

/// Walks of an address space whose words a TLB may have kept. More are forgotten, the oldest first:
/// then a response may come from a walk that is not known any more, and is not judged.
const MOST_KEPT: usize = 4096;

/// Walks that an id of the memory port may be in at a time.
const MOST_POSSIBLE: usize = 16;

/// Legal outcomes that a mismatch names.
const MOST_LEGAL: usize = 4;

/// A walk that has ended, whose result a TLB may contain.
#[derive(Debug)]
struct Kept {
    /// The context of the request that it was for.
    context: Context,
    /// It has found a global page.
    is_global: bool,
    words: Words,
    reads: Vec<Read>,
}

/// Returns the address space of a context without the ASID: the address spaces with the same share
/// global pages.
fn without_asid(context: &Context) -> AddressSpaceTag {
    AddressSpaceTag {
        asid: 0,
        // With V=0 there is no VMID.
        vmid: if context.virt { context.vmid } else { 0 },
        ..context.space()
    }
}

/// Returns a request as a page-walk cache may see it: with the tables of other contexts. A page-walk
/// cache tells contexts apart by their tags alone. Until a fence, the tables of another root are
/// legal, and so are entries that a context with other switches has read.
fn view(query: &Query, guest: &Context, host: &Context) -> Query {
    let mut query = *query;
    let context = &mut query.context;
    context.guest = StageControl {
        mxr: context.guest.mxr,
        ..guest.guest
    };
    context.host = StageControl {
        mxr: context.host.mxr,
        ..host.host
    };
    context.napot = guest.napot;
    query
}

/// The search for a golden walk that gives a response.
struct Search<'a, 'b> {
    checker: &'a PortChecker,
    request: &'a Request,
    outputs: &'a Outputs,
    /// Other outcomes that are legal.
    legal: &'b mut Vec<Outcome>,
    explained: Option<Outcome>,
    /// Translations that the TLB may contain from now on, with the cycle after which a fence
    /// invalidates them. A response may be explained by several walks.
    found: Vec<(Mapping, u64)>,
    /// Not every walk was followed.
    is_open: bool,
}

impl Search<'_, '_> {
    /// An outcome is legal. Returns true if it is that of the response.
    fn may_be(&mut self, outcome: Outcome) -> bool {
        let agrees = self.checker.agrees(&outcome, self.outputs);
        if agrees {
            self.explained = Some(outcome);
        } else if self.legal.len() < MOST_LEGAL && !self.legal.contains(&outcome) {
            self.legal.push(outcome);
        }
        agrees
    }

    /// Follows the golden walks of a request over words: all of them, with what the TLB may contain,
    /// or until one gives the response.
    fn follow(&mut self, query: &Query, words: &[&Words], all: bool) {
        let checker = self.checker;
        let followed = each_walk(checker.format, query, &[], words, |walk| {
            let Some(end) = walk.found else {
                return false;
            };
            if !checker.may_give(self.request, &end, walk.first, walk.last) {
                return false;
            }
            let agrees = self.may_be(golden::outcome(&end));
            if let (true, Ok(mapping)) = (agrees && all, end) {
                let read = checker.read_at(walk.first, walk.last).unwrap_or(0);
                self.found.push((mapping, read));
            }
            agrees && !all
        });
        self.is_open |= followed == Followed::TooMany;
    }

    /// Looks for the response among the translations that the TLB may contain.
    fn look_into_tlb(&mut self) {
        if self.explained.is_some() || self.checker.description.tlb.is_none() {
            return;
        }
        let fences = self.request.fences_before();
        let translations = &self.checker.translations;
        for outcome in translations
            .may_contain(&self.request.query, fences)
            .flatten()
        {
            if self.may_be(outcome) {
                return;
            }
        }
    }
}

/// Checks a device by its ports.
pub(super) struct PortChecker {
    format: Format,
    description: Description,
    fields: ResponseFields,
    is_attributed: bool,
    /// The page-walk caches that are in use at any time: walks may leave out requests.
    has_walk_caches: bool,
    board: Scoreboard,
    /// By id of a request: the first cycle in which a walk may have begun whose result it may get.
    since: [u64; 256],
    /// The walk of each id of the memory port.
    streams: Vec<Stream>,
    /// The walks that have ended, the oldest first.
    kept: FxHashMap<AddressSpaceTag, VecDeque<Kept>>,
    /// Some of them were forgotten.
    has_forgotten: bool,
    /// The contexts of the requests, by their address spaces without the ASID.
    contexts: FxHashMap<AddressSpaceTag, Vec<Context>>,
    /// The translations that the TLB may contain.
    translations: Tlb,
    /// All words that memory has served.
    words: Words,
    fences: Vec<FenceEvent>,
    /// What the TLB must contain, if that is known: one request is in flight at a time.
    tlb: Option<Tlb>,
    /// Memory requests since the last request, response or fence that was accepted.
    requests_since: u64,
    fence_waits: u32,
    ports: StablePorts,
    progress: Progress,
}

impl PortChecker {
    /// Returns the checker of a device. `ever`: the page-walk caches that are in use at any time.
    pub fn new(machine: &Machine, description: Description, ever: WalkCaches) -> Self {
        let limits = machine.microarchitecture();
        let ids = description.memory_ids().next_power_of_two().max(2) as usize;
        let is_alone = description.outstanding() == 1;
        let tlb = description
            .tlb
            .filter(|tlb| is_alone && tlb.second.is_none());
        Self {
            format: machine.format,
            fields: description.response_fields(),
            is_attributed: description.visibility() >= Visibility::Attributed,
            has_walk_caches: ever.any(),
            board: Scoreboard::new(0),
            since: [0; 256],
            streams: vec![Stream::default(); ids],
            kept: FxHashMap::default(),
            has_forgotten: false,
            contexts: FxHashMap::default(),
            // It has no limit.
            translations: Tlb::new(machine.format, u32::MAX, 0),
            words: Words::default(),
            fences: Vec::new(),
            // Nothing is known of the replacement but the pages that it must keep.
            tlb: tlb.map(|tlb| Tlb::new(machine.format, 0, tlb.recent)),
            requests_since: 0,
            fence_waits: 0,
            ports: StablePorts::default(),
            progress: Progress::new(description.stalls.request, limits.stall_cycles),
            description,
        }
    }

    /// The transactions in flight.
    pub fn board(&self) -> &Scoreboard {
        &self.board
    }

    /// The device is reset: nothing is left.
    pub fn reset(&mut self, machine: &Machine) {
        let description = self.description.clone();
        let has_walk_caches = self.has_walk_caches;
        *self = Self::new(machine, description, WalkCaches::default());
        self.has_walk_caches = has_walk_caches;
    }

    /// The device has accepted a request. `driven`: its context as it is driven, with the fields
    /// that the device ignores.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        // A walk may be shared by equal requests, one after the other.
        let equal = self.board.unassigned_requests();
        let equal = equal.filter(|other| self.is_equal(&other.query, query));
        let since = equal.map(|other| self.since[usize::from(other.id)]).min();
        self.since[usize::from(id)] = since.unwrap_or(cycle);
        let seen = self.contexts.entry(without_asid(&query.context));
        let seen = seen.or_default();
        if !seen.contains(&query.context) {
            seen.push(query.context);
        }
        self.requests_since = 0;
        let must_hit = self.tlb.as_ref().and_then(|tlb| tlb.must_contain(query));
        let fences = self.fences.len() as u64;
        self.board
            .accept(Request::new(id, op, query, driven, cycle, fences, must_hit));
    }

    /// The device has accepted a fence.
    pub fn fence(&mut self, fence: &Fence, cycle: u64) {
        self.fence_waits = 0;
        self.requests_since = 0;
        let number = self.board.fence(fence, cycle);
        self.fences.push(FenceEvent {
            fence: *fence,
            cycle,
        });
        if self.description.has_replays() {
            for stream in &mut self.streams {
                stream.on_fence(fence, cycle);
            }
        }
        if let Some(tlb) = &mut self.tlb {
            tlb.on_fence(&widest(&self.description, fence), number, cycle);
        }
        self.translations.on_fence(fence, number, cycle);
        if self.board.is_empty() {
            self.drop_invalidated();
        }
    }

    /// Drops the walks that fences have invalidated for every request to come.
    fn drop_invalidated(&mut self) {
        let fences = &self.fences;
        for (space, kept) in &mut self.kept {
            kept.retain(|walk| {
                let first = walk.reads.first().map_or(0, |read| read.cycle);
                let mut later = fences.iter().rev().take_while(|fence| fence.cycle >= first);
                let space = AddressSpaceTag {
                    asid: walk.context.asid,
                    ..*space
                };
                !later.any(|event| {
                    let Fence { gva, gpa, asid, .. } = event.fence;
                    // A fence with an ASID does not match global pages.
                    let is_whole = gva.is_none() && gpa.is_none();
                    let matches_global = asid.is_none() || !self.format.has_global_pages();
                    is_whole && matches_global && event.fence.matches_tag(space)
                })
            });
        }
        self.translations.drop_invalidated();
        if let Some(tlb) = &mut self.tlb {
            tlb.drop_invalidated();
        }
    }

    /// Checks that a fence may wait: a memory request is offered and not accepted, or the device has
    /// not had its time.
    pub fn fence_waits(
        &mut self,
        fence: &Fence,
        is_offered: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.fence_waits = if is_offered { 0 } else { self.fence_waits + 1 };
        match self.fence_waits > self.description.stalls.fence {
            true => {
                let violation = PortViolation::FenceStalled { fence: *fence };
                Err(Mismatch::new(cycle, Violation::Port(violation)))
            }
            false => Ok(()),
        }
    }

    /// The words that page-walk caches may contain, if there are any.
    fn cached(&self) -> Vec<&Words> {
        match self.has_walk_caches {
            true => vec![&self.words],
            false => Vec::new(),
        }
    }

    /// Returns a request as the page-walk caches may see it: as it is, then with the tables of other
    /// contexts.
    fn views(&self, query: &Query) -> Vec<Query> {
        let mut views = vec![*query];
        let seen = self.contexts.get(&without_asid(&query.context));
        let seen = seen.filter(|_| self.has_walk_caches);
        let seen = seen.map_or(&[][..], Vec::as_slice);
        for guest in seen {
            for host in seen {
                let other = view(query, guest, host);
                if !views.contains(&other) {
                    views.push(other);
                }
            }
        }
        views
    }

    /// Returns true if other contexts with the tags of a request have other switches of the G-stage.
    fn mixes_switches(&self, query: &Query) -> bool {
        let switches = |context: &Context| (context.host.adue, context.host.pbmte, context.napot);
        let seen = self.contexts.get(&without_asid(&query.context));
        let mut seen = seen.into_iter().flatten();
        seen.any(|context| switches(context) != switches(&query.context))
    }

    /// Follows the walk of a request over memory requests: see [`follow`]. `thorough`: in every view
    /// of page-walk caches, not as the request is alone.
    fn follow(&self, query: &Query, reads: &[Read], thorough: bool) -> Option<bool> {
        let cached = self.cached();
        let mut result = None;
        if !thorough {
            return follow(self.format, query, reads, &cached);
        }
        for view in self.views(query) {
            result = result.max(follow(self.format, &view, reads, &cached));
            if result == Some(true) {
                break;
            }
        }
        result
    }

    /// Memory has accepted a memory request of an id.
    pub fn read(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let is_free =
            self.description.walks.speculative || self.description.walks.reads != Reads::Exact;
        if self.board.is_empty() && !is_free {
            return Err(Self::read_of_no_request(id, read));
        }
        self.check_livelock(read)?;
        if self.is_attributed && !is_free {
            self.follow_stream(id, read)?;
        }
        self.words.add(read);
        Ok(())
    }

    /// Checks that the requests in flight are not served by more memory requests than their walks
    /// may need. Each lost update may begin the walk of an entry anew.
    fn check_livelock(&mut self, read: &Read) -> Result<(), Box<Mismatch>> {
        let is_lost = read
            .update
            .is_some_and(|update| read.word != Some(update.expected));
        if is_lost {
            self.requests_since = 0;
        }
        self.requests_since += 1;
        let levels = u64::from(self.format.geometry().levels);
        // With an update for each leaf.
        let a_walk = 2 * ((levels + 1) * (levels + 1) - 1);
        let requests = self.board.count() as u64 + 1;
        let walks = u64::from(self.description.walks.outstanding);
        if self.requests_since <= a_walk * (requests + walks) {
            return Ok(());
        }
        let oldest = self.board.oldest();
        Err(Box::new(Mismatch {
            op: oldest.map(|request| request.op),
            query: oldest.map(|request| request.query),
            ..*Mismatch::new(
                read.cycle,
                Violation::Stalled(Stall::Livelock {
                    requests: self.requests_since,
                    most: a_walk * (requests + walks),
                }),
            )
        }))
    }

    /// Finds the requests whose walk a memory request may belong to.
    fn follow_stream(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let place = usize::from(id).min(self.streams.len() - 1);
        let mut stream = std::mem::take(&mut self.streams[place]);
        let mut next = self.next_walks(&stream, read, false)?;
        if next.is_empty() && self.has_walk_caches {
            for candidate in stream.walks.iter_mut().flat_map(PossibleWalk::with_reads) {
                let (candidate, reads) = candidate;
                let ends = self.follow(&candidate.query, reads, true);
                candidate.is_complete |= ends == Some(true);
            }
            next = self.next_walks(&stream, read, true)?;
        }
        if next.is_empty() {
            return Err(self.wrong_request(&stream, id, read));
        }
        // Further walks are forgotten with those that are complete, which are kept.
        next.truncate(MOST_POSSIBLE);
        for walk in &next {
            let ended = walk
                .candidates
                .iter()
                .filter(|candidate| candidate.is_complete);
            for candidate in ended {
                self.keep(&candidate.query, &walk.reads);
            }
        }
        self.streams[place].walks = next;
        Ok(())
    }

    /// Returns the walks that an id may be in after one more memory request.
    fn next_walks(
        &self,
        stream: &Stream,
        read: &Read,
        thorough: bool,
    ) -> Result<Vec<PossibleWalk>, Box<Mismatch>> {
        let go_on = |walk| self.go_on(walk, read, thorough);
        let mut next: Vec<PossibleWalk> = stream.walks.iter().filter_map(go_on).collect();
        if stream.may_end() {
            next.extend(self.begin(read, thorough)?);
        }
        Ok(next)
    }

    /// Returns a walk with one more memory request, if some request calls for it.
    fn go_on(&self, walk: &PossibleWalk, read: &Read, thorough: bool) -> Option<PossibleWalk> {
        let mut walk = walk.clone();
        walk.reads.push(*read);
        let before = std::mem::take(&mut walk.candidates);
        for candidate in before {
            // A memory request may be accepted in the cycle of the fence.
            if candidate.overtaken.is_some_and(|by| by.cycle < read.cycle) {
                continue;
            }
            let followed = self.follow(&candidate.query, &walk.reads, thorough);
            walk.candidates
                .extend(followed.map(|is_complete| Candidate {
                    is_complete,
                    ..candidate
                }));
        }
        (!walk.candidates.is_empty()).then_some(walk)
    }

    /// Returns the walk that a memory request begins, if some request calls for it.
    fn begin(&self, read: &Read, thorough: bool) -> Result<Option<PossibleWalk>, Box<Mismatch>> {
        let has_replays = self.description.has_replays();
        let mut candidates = Vec::new();
        for request in self.board.unassigned_requests() {
            let overtaken = request.overtaken.filter(|_| has_replays);
            if overtaken.is_some_and(|by| by.cycle < read.cycle) {
                continue;
            }
            if let Some(is_complete) = self.follow(&request.query, &[*read], thorough) {
                candidates.push(Candidate {
                    id: request.id,
                    query: request.query,
                    is_complete,
                    overtaken,
                });
            }
        }
        if candidates.is_empty() {
            return Ok(None);
        }
        self.check_may_miss(&candidates, read)?;
        Ok(Some(PossibleWalk {
            reads: vec![*read],
            candidates,
        }))
    }

    /// Keeps the words of a walk that has ended for a request, and what it has found.
    fn keep(&mut self, query: &Query, reads: &[Read]) {
        let mut is_global = false;
        if !self.has_walk_caches {
            let mut found = None;
            each_walk(self.format, query, reads, &[], |walk| {
                found = walk.found;
                true
            });
            if let Some(Ok(mapping)) = found {
                is_global = mapping.global;
                let begun = reads.first().map_or(0, |read| read.cycle);
                self.may_contain(query, &mapping, begun);
            }
        }
        let of_space = self.kept.entry(without_asid(&query.context)).or_default();
        // The same walk with the same words takes the place of the older one.
        let same = |other: &Kept| -> bool {
            let pairs = other.reads.iter().zip(reads);
            other.context == query.context
                && other.reads.len() == reads.len()
                && pairs.clone().all(|(one, two)| {
                    (one.at, one.update, one.word) == (two.at, two.update, two.word)
                })
        };
        // Fences invalidate the one that began earlier, if any.
        let begun = |reads: &[Read]| reads.first().map_or(0, |read| read.cycle);
        if let Some(at) = of_space.iter().position(same) {
            if begun(&of_space[at].reads) > begun(reads) {
                return;
            }
            of_space.remove(at);
        }
        if of_space.len() == MOST_KEPT {
            of_space.pop_front();
            self.has_forgotten = true;
        }
        let mut words = Words::default();
        reads.iter().for_each(|read| words.add(read));
        of_space.push_back(Kept {
            context: query.context,
            is_global,
            words,
            reads: reads.to_vec(),
        });
    }

    /// The TLB may contain what a walk has found that has read its first word in a cycle.
    fn may_contain(&mut self, query: &Query, mapping: &Mapping, begun: u64) {
        let numbered = (1..).zip(&self.fences).collect::<Vec<(u64, &FenceEvent)>>();
        let since = numbered
            .into_iter()
            .rev()
            .take_while(|(_, event)| event.cycle >= begun);
        let mut since: Vec<_> = since.map(|(number, event)| (number, event.fence)).collect();
        since.reverse();
        self.translations
            .on_walk(query, mapping, &since, false, begun);
    }

    /// Checks that one of the requests that a walk may be for may miss in the TLB.
    fn check_may_miss(&self, starting: &[Candidate], read: &Read) -> Result<(), Box<Mismatch>> {
        let mut requests = starting
            .iter()
            .filter_map(|candidate| self.board.request(candidate.id));
        let Some(request) = requests.next() else {
            return Ok(());
        };
        let (Some(tlb), Some(must_hit)) = (&self.tlb, request.must_hit) else {
            return Ok(());
        };
        let because = match must_hit.because {
            Certainty::Recent => HitReason::Recent {
                of: tlb.recent_pages(),
            },
            Certainty::RoomForAll => HitReason::Room {
                entries: tlb.entries(),
            },
        };
        let violation = Violation::MustHit {
            page: must_hit.page.into(),
            found: must_hit.found,
            because,
        };
        let mut mismatch = self.mismatch(request.id, read.cycle, violation);
        mismatch.reads.push(*read);
        Err(mismatch)
    }

    #[cold]
    fn read_of_no_request(id: u8, read: &Read) -> Box<Mismatch> {
        let violation = Violation::Reads {
            expected: ExpectedRequest::NoWalk { slot: id },
            observed: ObservedRequest::Request {
                request: MemoryRequest::of(read),
                place: None,
                cycle: read.cycle,
            },
        };
        Box::new(Mismatch {
            reads: vec![*read],
            wrong_read: Some(0),
            ..*Mismatch::new(read.cycle, violation)
        })
    }

    /// Returns the mismatch of a memory request that no walk calls for.
    #[cold]
    fn wrong_request(&self, stream: &Stream, id: u8, read: &Read) -> Box<Mismatch> {
        let cached = self.cached();
        let walk = stream.walks.first();
        if let Some(walk) = walk
            && let Some(by) = walk.overtaken()
        {
            let violation = Violation::AfterFence {
                by,
                observed: ActionAfterFence::Request {
                    request: MemoryRequest::of(read).behind(&walk.reads),
                    cycle: read.cycle,
                },
            };
            return self.with_reads(walk.candidates[0].id, &walk.reads, read, violation);
        }
        // If the walk has ended, the request that has waited longest should have begun another.
        let unfinished = walk.filter(|_| !stream.may_end());
        let (candidate, before) = match (unfinished, self.board.oldest()) {
            (Some(walk), _) => (walk.candidates[0], &walk.reads[..]),
            (None, Some(request)) => {
                let candidate = Candidate {
                    id: request.id,
                    query: request.query,
                    is_complete: false,
                    overtaken: None,
                };
                (candidate, &[][..])
            }
            (None, None) => return Self::read_of_no_request(id, read),
        };
        let wanted = wanted(self.format, &candidate, before, &cached);
        let expected = match wanted.request {
            Some((request, fault)) => ExpectedRequest::Request {
                request: request.behind(before),
                at: fault.at,
            },
            None => ExpectedRequest::NoWalk { slot: id },
        };
        let observed = ObservedRequest::behind(read, before);
        let violation = Violation::Reads { expected, observed };
        self.with_reads(wanted.id, before, read, violation)
    }

    /// Returns a mismatch that concerns a memory request behind others of its walk.
    fn with_reads(
        &self,
        id: u8,
        before: &[Read],
        read: &Read,
        violation: Violation,
    ) -> Box<Mismatch> {
        let mut mismatch = self.mismatch(id, read.cycle, violation);
        mismatch.reads = before.to_vec();
        mismatch.wrong_read = Some(before.len());
        mismatch.reads.push(*read);
        mismatch
    }

    /// Checks a response.
    pub fn response(
        &mut self,
        outputs: &Outputs,
        cycle: u64,
    ) -> Result<super::checker::Response, Box<Mismatch>> {
        use super::checker::Response;
        let id = outputs.rsp_id;
        let Some(request) = self.board.request(id) else {
            let violation = PairingViolation::NoRequest {
                id,
                observed: RequestEvent::Response,
            };
            return Err(Mismatch::new(cycle, Violation::OneResponse(violation)));
        };
        let request = request.clone();
        self.requests_since = 0;
        if self.fields.replay && outputs.rsp_replay {
            if request.overtaken.is_none() {
                let violation = ReplayViolation::Unexpected(NoReplayReason::RequestNotOvertaken);
                return Err(self.mismatch(id, cycle, Violation::Replay(violation)));
            }
            self.release(&request, None, cycle)?;
            return Ok(Response::Replay { request });
        }
        if self.fields.gva && outputs.rsp_gva != request.query.gva.0 {
            let violation = ResponseViolation::Gva {
                expected: request.query.gva,
                observed: Gva(outputs.rsp_gva),
            };
            return Err(self.mismatch(id, cycle, Violation::WalkResponse(violation)));
        }
        let mut legal = Vec::new();
        let explained = self.explain(&request, outputs, &mut legal);
        let Some(outcome) = explained else {
            let violation = match self.observed(outputs) {
                Ok(observed) => ResponseViolation::NotLegal { legal, observed },
                Err(malformed) => ResponseViolation::Malformed(malformed),
            };
            return Err(self.mismatch(id, cycle, Violation::WalkResponse(violation)));
        };
        self.release(&request, Some(&outcome), cycle)?;
        Ok(Response::Answer {
            hit: !self.has_walk_of(&request),
            request,
            outcome,
        })
    }

    /// Returns the outcome of a response, if it is legal. The other outcomes that are legal go to
    /// `legal`.
    fn explain(
        &mut self,
        request: &Request,
        outputs: &Outputs,
        legal: &mut Vec<Outcome>,
    ) -> Option<Outcome> {
        let query = &request.query;
        let is_whole = self.is_attributed
            && !self.has_walk_caches
            && !self.description.walks.speculative
            && self.description.walks.reads == Reads::Exact;
        let mut search = Search {
            checker: self,
            request,
            outputs,
            legal,
            explained: None,
            found: Vec::new(),
            is_open: false,
        };
        // A walk may need no memory request.
        search.follow(query, &[], false);
        if is_whole {
            let tlb = self.description.tlb;
            let hit_may_fault = tlb.is_some_and(|tlb| tlb.hit_may_fault);
            let kept = self.kept.get(&without_asid(&query.context));
            for kept in kept.into_iter().flat_map(|kept| kept.iter().rev()) {
                if search.explained.is_some() {
                    break;
                }
                let is_of_asid = kept.context.asid == query.context.asid;
                if is_of_asid {
                    search.follow(query, &[&kept.words], false);
                }
                // The fault of a hit is that of the walk that has filled the TLB.
                if hit_may_fault && (is_of_asid || kept.is_global) {
                    let view = view(query, &kept.context, &kept.context);
                    search.follow(&view, &[&kept.words], false);
                }
            }
        } else {
            search.follow(query, &[&self.words], true);
        }
        search.look_into_tlb();
        if !is_whole && search.explained.is_none() {
            for view in self.views(query).iter().skip(1) {
                search.follow(view, &[&self.words], true);
                if search.explained.is_some() {
                    break;
                }
            }
        }
        // A nested TLB may mix the switches of several contexts in one walk. Such walks are not
        // followed.
        search.is_open |= self.has_walk_caches && self.mixes_switches(query);
        let Search {
            mut explained,
            found,
            is_open,
            ..
        } = search;
        if explained.is_none() && (is_open || self.has_forgotten) {
            // Not every walk is known.
            explained = self.observed(outputs).ok().flatten();
        }
        for (mapping, begun) in found {
            self.may_contain(query, &mapping, begun);
        }
        // The TLB may contain what a walk has found that was not followed.
        self.has_forgotten |= is_open;
        explained
    }

    /// Returns the cycle after which a fence invalidates a walk over words that were served from a
    /// first to a last cycle. A fence need not invalidate the pointers that a page-walk cache
    /// contains, but only leaves.
    fn read_at(&self, first: Option<u64>, last: Option<u64>) -> Option<u64> {
        if self.has_walk_caches { last } else { first }
    }

    /// Returns true if a request may get the result of a walk over words that were served from a
    /// first to a last cycle.
    fn may_give(
        &self,
        request: &Request,
        found: &Result<Mapping, Fault>,
        first: Option<u64>,
        last: Option<u64>,
    ) -> bool {
        let (Some(first), Some(last)) = (first, last) else {
            return true;
        };
        let is_fresh = last >= self.since[usize::from(request.id)];
        let may_be_kept = match found {
            Ok(_) => self.description.tlb.is_some(),
            Err(fault) => {
                let tlb = self.description.tlb;
                fault.kind != FaultKind::Memory && tlb.is_some_and(|tlb| tlb.hit_may_fault)
            }
        };
        if !is_fresh && !may_be_kept {
            return false;
        }
        let space = request.query.context.space();
        let before = &self.fences[..request.fences_before() as usize];
        let Some(read) = self.read_at(Some(first), Some(last)) else {
            return true;
        };
        let mut later = before.iter().rev().take_while(|event| event.cycle >= read);
        !later.any(|event| match found {
            Ok(mapping) => event
                .fence
                .matches(space, &mapping.extent(request.query.gva)),
            Err(fault) => self.surely_matches(&event.fence, &request.query, fault),
        })
    }

    /// Returns true if a fence certainly matches what a walk with a fault has read.
    fn surely_matches(&self, fence: &Fence, query: &Query, fault: &Fault) -> bool {
        let smallest = self.format.geometry().offset_width;
        let gpa = match fault.at {
            Position::Host { gpa, .. } => Some(gpa),
            Position::Guest { .. } => None,
        };
        if fence.gpa.is_some() && gpa.is_none() {
            return false;
        }
        let extent = FenceMatch {
            gva: query.gva,
            gpa: gpa.unwrap_or_default(),
            guest_size: smallest,
            host_size: smallest,
            // The page may be global, and a fence with an ASID does not match it then.
            global: self.format.has_global_pages(),
        };
        fence.matches(query.context.space(), &extent)
    }

    /// Returns true if the fields of a response that the device has are those of an outcome.
    fn agrees(&self, outcome: &Outcome, outputs: &Outputs) -> bool {
        let fields = &self.fields;
        match outcome {
            Ok(translation) => {
                outputs.rsp_fault_kind == 0
                    && outputs.rsp_hpa == translation.hpa.0
                    && (!fields.gpa || outputs.rsp_gpa == translation.gpa.0)
                    && (!fields.page_size
                        || u32::from(outputs.rsp_page_size) == translation.page_size)
                    && (!fields.memory_type
                        || outputs.rsp_attributes == translation.memory_type as u8)
            }
            Err(fault) => {
                let (stage, level, gpa) = match fault.at {
                    Position::Guest { level } => (0, level, 0),
                    Position::Host { level, gpa, .. } => (1, level, gpa.0),
                };
                let purpose = match fault.at {
                    Position::Host { purpose, .. } => match purpose {
                        Purpose::GuestEntry(level) => (0, level),
                        Purpose::Data => (1, 0),
                        Purpose::GuestUpdate(level) => (2, level),
                    },
                    Position::Guest { .. } => (0, 0),
                };
                let trap = fault.trap.unwrap_or_default();
                let may_be_zero = self.description.responses.tval2 == Tval2::MayBeZero;
                outputs.rsp_fault_kind != 0
                    && (!fields.fault_kind || outputs.rsp_fault_kind == fault.kind as u8)
                    && (!fields.fault_stage || outputs.rsp_fault_stage == stage)
                    && (!fields.fault_level || u32::from(outputs.rsp_fault_level) == level)
                    && (!fields.fault_purpose || outputs.rsp_fault_purpose == purpose.0)
                    && (!fields.fault_for_level
                        || u32::from(outputs.rsp_fault_for_level) == purpose.1)
                    && (!fields.gpa || outputs.rsp_gpa == gpa)
                    && (!fields.cause || outputs.rsp_trap_cause == trap.cause)
                    && (!fields.trap_gva || outputs.rsp_trap_gva == trap.gva)
                    && (!fields.tval2
                        || outputs.rsp_trap_tval2 == trap.tval2
                        || may_be_zero && outputs.rsp_trap_tval2 == 0)
                    && (!fields.tinst || outputs.rsp_trap_tinst == trap.tinst)
            }
        }
    }

    /// Returns the outcome of a response; none for a fault of which the device does not tell the
    /// kind.
    fn observed(&self, outputs: &Outputs) -> Result<Option<Outcome>, MalformedResponse> {
        if outputs.rsp_fault_kind != 0 && !self.fields.fault_kind {
            return Ok(None);
        }
        let has_all = self.fields.fault_stage && self.fields.fault_level;
        let mut shown = outputs.clone();
        if !has_all && outputs.rsp_fault_kind != 0 {
            // The fields of a fault that the device has not are zero.
            shown.rsp_gpa = 0;
        }
        let has_traps = self.format.has_traps();
        shown.outcome(has_traps).map(Some)
    }

    /// Takes out a request that is answered. No walk may be under way for it alone.
    fn release(
        &mut self,
        request: &Request,
        outcome: Option<&Outcome>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.board.answer_unassigned();
        self.board.release(request.id);
        if self.is_attributed {
            self.check_ended(request, cycle)?;
        }
        if let Some(tlb) = &mut self.tlb {
            let is_fenced = self.fences.len() as u64 > request.fences_before();
            let had_walk = self
                .streams
                .iter()
                .any(|stream| stream.walk_for(request).is_some());
            match outcome {
                // The device may have filled the TLB or not.
                _ if is_fenced && had_walk => self.tlb = None,
                Some(Ok(_)) if had_walk => {
                    let walk = self
                        .streams
                        .iter()
                        .find_map(|stream| stream.walk_for(request));
                    let reads = walk.map_or(&[][..], |walk| &walk.reads);
                    let mut end = None;
                    each_walk(self.format, &request.query, reads, &[], |walk| {
                        end = walk.found;
                        true
                    });
                    match end {
                        Some(Ok(mapping)) => {
                            tlb.on_walk(&request.query, &mapping, &[], true, cycle);
                        }
                        // It is a walk that page-walk caches have shortened.
                        _ => self.tlb = None,
                    }
                }
                Some(outcome @ Ok(_)) => tlb.on_hit(&request.query, outcome),
                _ => {}
            }
        }
        if self.board.is_empty() {
            self.drop_invalidated();
        }
        Ok(())
    }

    /// Returns true if two requests are equal: they may share a walk.
    fn is_equal(&self, one: &Query, other: &Query) -> bool {
        let smallest = self.format.geometry().offset_width;
        let any_access = !self.format.has_privileges() && !one.context.rights;
        one.context == other.context
            && one.gva.0 >> smallest == other.gva.0 >> smallest
            && (one.access == other.access || any_access)
    }

    /// Checks that no walk is in flight for a request alone that has been answered.
    fn check_ended(&self, request: &Request, cycle: u64) -> Result<(), Box<Mismatch>> {
        let is_in_flight = |query: &Query| {
            let mut requests = self.board.unassigned_requests();
            requests.any(|other| self.is_equal(&other.query, query))
        };
        let is_orphan = |stream: &&Stream| !stream.keeps(is_in_flight);
        let Some(stream) = self.streams.iter().find(is_orphan) else {
            return Ok(());
        };
        let Some(walk) = stream.walks.first() else {
            return Ok(());
        };
        let cached = self.cached();
        let wanted = wanted(self.format, &walk.candidates[0], &walk.reads, &cached);
        let Some((next, fault)) = wanted.request else {
            return Ok(());
        };
        let violation = Violation::Reads {
            expected: ExpectedRequest::Request {
                request: next.behind(&walk.reads),
                at: fault.at,
            },
            observed: ObservedRequest::End(WalkEnd {
                made: RequestCounts::of(&walk.reads),
                id: request.id,
                response: None,
            }),
        };
        Err(Box::new(Mismatch {
            op: Some(request.op),
            query: Some(request.query),
            reads: walk.reads.clone(),
            wrong_read: Some(walk.reads.len()),
            ..*Mismatch::new(cycle, violation)
        }))
    }

    /// Returns true if an id of the memory port has made a walk for a request.
    fn has_walk_of(&self, request: &Request) -> bool {
        self.walk_of(request).is_some()
    }

    fn walk_of(&self, request: &Request) -> Option<&PossibleWalk> {
        self.streams
            .iter()
            .find_map(|stream| stream.walk_for(request))
    }

    /// Checks that the ports are stable in a cycle. `accepted`: the response, and the memory
    /// request, is accepted in it.
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        accepted: (bool, bool),
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.ports.on_cycle(outputs, accepted, self.format, cycle)
    }

    /// Checks that the device makes progress. `is_fine`: it did something in the cycle, or has a
    /// cause to do nothing.
    pub fn goes_on(&mut self, is_fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        if !self.progress.is_idle_for_too_long(is_fine) {
            return Ok(());
        }
        let waits = self.board.oldest();
        let stall = Stall::Idle {
            cycles: self.description.stalls.request,
        };
        Err(Box::new(Mismatch {
            op: waits.map(|request| request.op),
            query: waits.map(|request| request.query),
            ..*Mismatch::new(cycle, Violation::Stalled(stall))
        }))
    }

    /// Returns a mismatch that concerns the request of an id.
    #[cold]
    fn mismatch(&self, id: u8, cycle: u64, violation: Violation) -> Box<Mismatch> {
        let request = self.board.request(id);
        let walk = request.and_then(|request| self.walk_of(request));
        Box::new(Mismatch {
            op: request.map(|request| request.op),
            query: request.map(|request| request.query),
            reads: walk.map_or_else(Vec::new, |walk| walk.reads.clone()),
            ..*Mismatch::new(cycle, violation)
        })
    }
}

/// Returns a fence that invalidates all that a device may invalidate with a fence.
fn widest(description: &Description, fence: &Fence) -> Fence {
    let Some(fences) = description.fences else {
        return *fence;
    };
    let zero = fences.zero_is_all;
    let precise = fences.precise;
    Fence {
        virt: fence.virt,
        gva: fence.gva.filter(|gva| precise.gva && !(zero && gva.0 == 0)),
        gpa: fence.gpa.filter(|gpa| precise.gpa && !(zero && gpa.0 == 0)),
        asid: fence
            .asid
            .filter(|&asid| precise.asid && !(zero && asid == 0)),
        vmid: fence
            .vmid
            .filter(|&vmid| precise.vmid && !(zero && vmid == 0)),
    }
}

#[cfg(test)]
mod tests;
