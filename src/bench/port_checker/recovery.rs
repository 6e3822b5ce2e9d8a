// SPDX-License-Identifier: Apache-2.0
//! Recovery of the port checks of a recording: they continue after a mismatch, and may begin in the
//! middle of a run.
//!
//! A run of the testbench ends with its first mismatch. The check of a recording continues, so a
//! mismatch must not cause false mismatches afterwards:
//!
//! - After a memory request that no golden walk makes, the walk of its id is *lost*. Any memory
//!   request with the id is accepted until every request that was in flight has its response. These
//!   responses are not judged, because each of them may be the result of the lost walk.
//! - A recording that begins in the middle of a run begins with lost walks. The contents of the TLB
//!   are not known until a fence invalidates everything.

use std::collections::VecDeque;

use super::PortChecker;
use super::attribution::without_asid;
use super::streams::{PossibleWalk, Stream};
use crate::addr::Gva;
use crate::bench::checks::StablePorts;
use crate::bench::memory_request::Read;
use crate::bench::mismatch::{Mismatch, Stall, Violation};
use crate::bench::rules;
use crate::bench::scoreboard::Request;
use crate::dut::Outputs;
use crate::golden::occupancy::Tlb;
use crate::mmu::{AddressSpaceTag, Fence, Query, WalkCaches};

/// The most pages of lost walks that are kept. If there are more, the oldest is dropped.
const MOST_PAGES: usize = 4096;
/// log2 of the assumed size in bytes of the page of a lost walk, if the response has no page size.
const LARGEST_PAGE: u32 = 30;

/// The knowledge about the walk of an id of the memory port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Walk {
    /// The walk is known, and followed.
    #[default]
    Known,
    /// The walk that is followed may be the wrong one. A memory request that does not fit may begin
    /// another walk, but must belong to some walk.
    Doubtful,
    /// The walk is lost. Any memory request is accepted until all requests that were in flight at
    /// the mismatch have their responses.
    LostUntilAnswered,
    /// The walk is lost. Any memory request is accepted until no request from before the recording
    /// can be in flight.
    LostUntilSettled,
}

/// The state that is not known after a mismatch, or at the beginning of a recording.
#[derive(Default)]
pub(super) struct Recovery {
    /// By id of the memory port: the knowledge about its walk. If the list is empty, all walks are
    /// known.
    walks: Vec<Walk>,
    /// The ids of the requests whose responses are not judged, because a lost walk may serve them.
    excused: Vec<u8>,
    /// The ids with which a request from before the recording may still be in flight.
    ids_before: Vec<u8>,
    /// By V: the number of the first fence of everything. A request with fewer fences before it may
    /// hit a page that the TLB has contained since before the recording.
    unknown_until: [u64; 2],
    /// When the last request was ended, a walk was dropped, because it could only be for this
    /// request.
    has_dropped: bool,
    /// Page-walk caches may contain words that are not known, so neither walks nor responses are
    /// judged until the next reset.
    is_blind: bool,
    /// Pages that the TLB may contain because of lost walks.
    pages: VecDeque<UnknownPage>,
}

/// A page of a lost walk: a TLB hit in it may give a translation that is not known.
struct UnknownPage {
    /// The address-space tag without the ASID, because the page may be a global page.
    space: AddressSpaceTag,
    gva: Gva,
    /// log2 of the size of the page in bytes.
    size: u32,
    /// The number of the first fence that has invalidated the page. A request with fewer fences
    /// before it may hit the page.
    until: u64,
}

impl Recovery {
    fn walk(&self, place: usize) -> Walk {
        self.walks.get(place).copied().unwrap_or_default()
    }

    /// Returns true if the walk of an id may differ from the walk that is followed.
    pub fn is_doubtful(&self, place: usize) -> bool {
        self.walk(place) != Walk::Known
    }

    /// Returns true if any memory request with an id is accepted, because its walk is lost.
    pub fn accepts_any(&self, place: usize) -> bool {
        matches!(
            self.walk(place),
            Walk::LostUntilAnswered | Walk::LostUntilSettled
        )
    }

    /// Notes the walks that explain the memory requests of an id. If one of them is complete, the
    /// walk is known again. A complete walk of a single read is not enough, because any read may
    /// look like a walk that ends with a fault.
    pub fn followed(&mut self, place: usize, walks: &[PossibleWalk]) {
        let is_whole = |walk: &PossibleWalk| walk.is_complete() && walk.reads.len() > 1;
        match self.walk(place) {
            Walk::Doubtful if walks.iter().any(is_whole) => {
                self.walks[place] = Walk::Known;
            }
            _ => {}
        }
    }

    /// Notes a fence that the device has accepted. `number`: the number of the fence.
    pub fn on_fence(&mut self, fence: &Fence, number: u64) {
        if fence.matches_everything() {
            let until = &mut self.unknown_until[usize::from(fence.virt)];
            *until = number.min(*until);
        }
        let is_whole = fence.gva.is_none() && fence.gpa.is_none() && fence.asid.is_none();
        for page in self.pages.iter_mut().filter(|_| is_whole) {
            if fence.matches_tag(page.space) {
                page.until = number.min(page.until);
            }
        }
    }

    /// Returns true if a request may hit a page that a lost walk has filled.
    fn may_hit(&self, request: &Request) -> bool {
        let Query { context, gva, .. } = &request.query;
        self.pages.iter().any(|page| {
            page.space == without_asid(context)
                && gva.0 >> page.size == page.gva.0 >> page.size
                && request.fences_before() < page.until
        })
    }
}

impl PortChecker {
    /// Prepares the checks for a recording that begins in the middle of a run.
    pub fn begin_midway(&mut self) {
        self.recovery.walks = vec![Walk::LostUntilSettled; self.streams.len()];
        self.recovery.unknown_until = [u64::MAX; 2];
        let width = self.description.ports.width("req_id_i").unwrap_or(0).min(8);
        self.recovery.ids_before = (0..=u8::MAX).take(1 << width).collect();
        if self.has_walk_caches() {
            self.forget_walks();
        }
    }

    /// Returns the ids of the requests in flight.
    fn in_flight(&self) -> Vec<u8> {
        let requests = self.board.unassigned_requests();
        requests.map(|request| request.id).collect()
    }

    /// Notes that a request with an id was accepted, or has its response. So no request with this
    /// id from before the recording is in flight any more.
    pub fn settle_id(&mut self, id: u8) {
        let recovery = &mut self.recovery;
        if recovery.ids_before.is_empty() {
            return;
        }
        // A device without ids has one request in flight, so one event settles all numbered ids.
        let has_ids = recovery.ids_before.len() > 1;
        recovery
            .ids_before
            .retain(|&before| has_ids && before != id);
        if recovery.ids_before.is_empty() {
            for walk in &mut recovery.walks {
                if *walk == Walk::LostUntilSettled {
                    *walk = Walk::Doubtful;
                }
            }
        }
    }

    /// Returns the index in the lists of streams and walks for an id of the memory port.
    fn place_of(&self, id: u8) -> usize {
        usize::from(id).min(self.streams.len() - 1)
    }

    /// Returns true if any memory request with an id is accepted, because its walk is lost.
    pub(super) fn accepts_any(&self, id: u8) -> bool {
        self.recovery.accepts_any(self.place_of(id))
    }

    /// Returns true if the response to a request may come from a page in the TLB that is not known:
    /// a page from before the recording, or a page of a lost walk.
    pub(super) fn may_be_from_before(&self, request: &Request) -> bool {
        let until = self.recovery.unknown_until[usize::from(request.query.context.virt)];
        let has_own_walk = || {
            let walk = self.walk_of(request);
            walk.is_some_and(|walk| walk.candidates.len() == 1 && walk.is_complete())
        };
        (request.fences_before() < until || self.recovery.may_hit(request)) && !has_own_walk()
    }

    /// Excuses a request that was just accepted, if it is equal to an excused request. Both may
    /// share the lost walk.
    pub fn excuse_equal(&mut self, id: u8) {
        let Some(request) = self
            .board
            .request(id)
            .filter(|_| !self.recovery.excused.is_empty())
        else {
            return;
        };
        let is_equal = |excused: &u8| {
            let excused = self.board.request(*excused);
            excused.is_some_and(|other| {
                rules::may_share_walk(self.format, &other.query, &request.query)
            })
        };
        if self.recovery.excused.iter().any(is_equal) {
            self.recovery.excused.push(id);
        }
    }

    /// Sets the page-walk caches that are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        let had_any = self.has_walk_caches();
        self.walk_caches_ever = self.walk_caches_ever.or(used);
        let is_midway = self.recovery.unknown_until != [0; 2];
        if is_midway && self.has_walk_caches() && !had_any {
            self.forget_walks();
        }
    }

    /// Stops the judgement of walks and responses, because page-walk caches may contain words that
    /// are not known.
    fn forget_walks(&mut self) {
        // A walk that begins after a hit with an unknown word cannot be attributed to a request.
        self.is_attributed = false;
        self.has_forgotten = true;
        self.recovery.is_blind = true;
    }

    /// Returns true if neither walks nor responses are judged until the next reset.
    pub fn is_blind(&self) -> bool {
        self.recovery.is_blind
    }

    /// Returns true if the response with an id is not to be judged.
    pub fn is_excused(&self, id: u8) -> bool {
        self.recovery.excused.contains(&id)
    }

    /// Restores a consistent state after the mismatch of a memory request.
    pub fn recover_read(&mut self, id: u8, read: &Read, mismatch: &Mismatch) {
        self.forget_certain_pages();
        let again = match mismatch.violation {
            Violation::MustHit { .. } => {
                for id in self.in_flight() {
                    if let Some(request) = self.board.request_mut(id) {
                        request.must_hit = None;
                    }
                }
                true
            }
            Violation::Stalled(Stall::Livelock { .. }) => {
                self.requests_since = 0;
                true
            }
            _ => false,
        };
        if again && self.read(id, read).is_ok() {
            return;
        }
        let place = self.place_of(id);
        self.recovery.walks.resize(self.streams.len(), Walk::Known);
        if self.recovery.walks[place] != Walk::LostUntilSettled {
            self.recovery.walks[place] = match self.board.is_empty() {
                true => Walk::Doubtful,
                false => Walk::LostUntilAnswered,
            };
        }
        self.streams[place] = Stream::default();
        self.recovery.excused = self.in_flight();
        if self.has_walk_caches() {
            self.forget_walks();
        }
        self.words.add(read);
    }

    /// Ends the request of a response that is not judged.
    pub fn end_excused(&mut self, outputs: &Outputs) {
        let id = outputs.rsp_id;
        // If a TLB hit may fault, the TLB may also be filled with a page that does not permit the
        // access.
        let tlb = self.description.tlb;
        let may_fill = tlb.is_some_and(|tlb| outputs.rsp_fault_kind == 0 || tlb.hit_may_fault);
        if let Some(request) = self.board.request(id).filter(|_| may_fill) {
            if self.recovery.pages.len() == MOST_PAGES {
                self.recovery.pages.pop_front();
            }
            let smallest = self.format.geometry().offset_width;
            let size = match u32::from(outputs.rsp_page_size) {
                size if self.fields.page_size && size >= smallest && size < 64 => size,
                _ if self.format.has_superpages() => LARGEST_PAGE,
                _ => smallest,
            };
            self.recovery.pages.push_back(UnknownPage {
                space: without_asid(&request.query.context),
                gva: request.query.gva,
                size,
                until: u64::MAX,
            });
        }
        self.end_unjudged(id);
    }

    /// Ends the request of a response that was wrong.
    pub fn end_wrong(&mut self, outputs: &Outputs) {
        // The result of the walk of the request is known only if memory requests are attributed to
        // walks.
        match self.is_attributed && !self.has_walk_caches() {
            true => self.end_unjudged(outputs.rsp_id),
            false => self.end_excused(outputs),
        }
        // The dropped walk may in fact serve another request in flight, and continue.
        let in_flight = self.in_flight();
        if std::mem::take(&mut self.recovery.has_dropped) && !in_flight.is_empty() {
            self.recovery.excused = in_flight;
            for (stream, walk) in self.streams.iter().zip(&mut self.recovery.walks) {
                if stream.walks.is_empty() && *walk == Walk::Doubtful {
                    *walk = Walk::LostUntilAnswered;
                }
            }
        }
    }

    /// Ends the request of an id without judging its response.
    fn end_unjudged(&mut self, id: u8) {
        self.requests_since = 0;
        self.forget_certain_pages();
        if self.board.release(id).is_some() {
            self.board.answer_unassigned();
        }
        let recovery = &mut self.recovery;
        recovery.excused.retain(|&excused| excused != id);
        if recovery.excused.is_empty() {
            for walk in &mut recovery.walks {
                if *walk == Walk::LostUntilAnswered {
                    *walk = Walk::Doubtful;
                }
            }
        }
        // A walk that could only be for this request is dropped.
        let in_flight = self.board.unassigned_requests();
        let in_flight: Vec<Query> = in_flight.map(|request| request.query).collect();
        let is_in_flight = |query: &Query| {
            let may_share = |other| rules::may_share_walk(self.format, other, query);
            in_flight.iter().any(may_share)
        };
        recovery.walks.resize(self.streams.len(), Walk::Known);
        recovery.has_dropped = false;
        for (stream, walk) in self.streams.iter_mut().zip(&mut recovery.walks) {
            if !stream.keeps(is_in_flight) {
                *stream = Stream::default();
                recovery.has_dropped = true;
                if *walk == Walk::Known {
                    *walk = Walk::Doubtful;
                }
            }
        }
        if self.board.is_empty() {
            self.drop_invalidated();
        }
    }

    /// Restores a consistent state after the mismatch of a port rule.
    pub fn recover_ports(&mut self, outputs: &Outputs, accepted: (bool, bool), cycle: u64) {
        self.ports = StablePorts::default();
        // The call cannot fail, because the new check does not know a stalled payload.
        let _ = self.ports.on_cycle(outputs, accepted, self.format, cycle);
    }

    /// Empties the must-contain sets of the TLBs.
    fn forget_certain_pages(&mut self) {
        if let (Some(tlbs), Some(described)) = (&mut self.tlbs, self.description.tlb) {
            *tlbs = [(); 2].map(|()| Tlb::new(self.format, 0, described.recent));
        }
    }
}
