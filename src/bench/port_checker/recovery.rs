// SPDX-License-Identifier: Apache-2.0
//! The checks of a recording go on after a mismatch, and may begin in the middle of a run.
//!
//! A run of the testbench ends with its first mismatch. A recording does not, so a mismatch must
//! not cause others that are not there:
//!
//! - After a memory request that no walk calls for, the walk of its id is *lost*: further requests
//!   of the id are accepted until each request that was in flight has its response. Those responses
//!   are not judged, because any of them may be that of the lost walk.
//! - A recording that begins in the middle of a run begins with lost walks. What the TLB contains
//!   is not known, until a fence of everything.

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

/// Pages of lost walks that are kept. The oldest is forgotten if there are more.
const MOST_PAGES: usize = 4096;
/// log2 of the bytes of the page of a lost walk, if the response does not tell it.
const LARGEST_PAGE: u32 = 30;

/// What is known of the walk of an id of the memory port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Walk {
    /// Its walk is followed.
    #[default]
    Known,
    /// What is followed may be wrong, but each of its memory requests belongs to a walk.
    Doubtful,
    /// Any memory request is accepted until the requests have their responses that were in flight.
    LostUntilAnswered,
    /// Any memory request is accepted until no request from before the recording can be in flight.
    LostUntilSettled,
}

/// What is not known after a mismatch, or at the beginning of a recording.
#[derive(Default)]
pub(super) struct Recovery {
    /// By id of the memory port. Empty: all are known.
    walks: Vec<Walk>,
    /// The ids of the requests whose responses are not judged.
    excused: Vec<u8>,
    /// The ids that requests from before the recording may have.
    ids_before: Vec<u8>,
    /// By V: a request with fewer fences before it may hit a page from before the recording.
    unknown_until: [u64; 2],
    /// The walk of the request that was ended last has been dropped.
    has_dropped: bool,
    /// Page-walk caches may contain words that are not known.
    is_blind: bool,
    /// Pages that the TLB may have been filled with by walks that were lost.
    pages: VecDeque<UnknownPage>,
}

/// A page of which the TLB may give another translation than is known.
struct UnknownPage {
    /// The address space, without the ASID: the page may be global.
    space: AddressSpaceTag,
    gva: Gva,
    /// log2 of its bytes.
    size: u32,
    /// A request with fewer fences before it may hit the page.
    until: u64,
}

impl Recovery {
    fn walk(&self, place: usize) -> Walk {
        self.walks.get(place).copied().unwrap_or_default()
    }

    /// Returns true if an id may be in another walk than is followed.
    pub fn is_doubtful(&self, place: usize) -> bool {
        self.walk(place) != Walk::Known
    }

    /// Returns true if any memory request of an id is accepted.
    pub fn accepts_any(&self, place: usize) -> bool {
        matches!(
            self.walk(place),
            Walk::LostUntilAnswered | Walk::LostUntilSettled
        )
    }

    /// The walks that an id may be in have been followed. One read alone may look like a walk that
    /// ends with a fault.
    pub fn followed(&mut self, place: usize, walks: &[PossibleWalk]) {
        let is_whole = |walk: &PossibleWalk| walk.is_complete() && walk.reads.len() > 1;
        match self.walk(place) {
            Walk::Doubtful if walks.iter().any(is_whole) => {
                self.walks[place] = Walk::Known;
            }
            _ => {}
        }
    }

    /// The device has accepted a fence of a number.
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
    /// The checks begin in the middle of a run.
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

    /// A request of an id is accepted, or has its response: no earlier one is in flight with the id.
    pub fn settle_id(&mut self, id: u8) {
        let recovery = &mut self.recovery;
        if recovery.ids_before.is_empty() {
            return;
        }
        // Requests without ids are numbered, and one is in flight at a time.
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

    /// Returns the place of an id of the memory port.
    fn place_of(&self, id: u8) -> usize {
        usize::from(id).min(self.streams.len() - 1)
    }

    /// Returns true if any memory request of an id is accepted.
    pub(super) fn accepts_any(&self, id: u8) -> bool {
        self.recovery.accepts_any(self.place_of(id))
    }

    /// Returns true if a response to a request may come from a page that the TLB has contained
    /// since before the recording.
    pub(super) fn may_be_from_before(&self, request: &Request) -> bool {
        let until = self.recovery.unknown_until[usize::from(request.query.context.virt)];
        let has_own_walk = || {
            let walk = self.walk_of(request);
            walk.is_some_and(|walk| walk.candidates.len() == 1 && walk.is_complete())
        };
        (request.fences_before() < until || self.recovery.may_hit(request)) && !has_own_walk()
    }

    /// The recording has accepted a request: it may share the walk of an equal one that is lost.
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

    /// Page-walk caches are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        let had_any = self.has_walk_caches();
        self.walk_caches_ever = self.walk_caches_ever.or(used);
        let is_midway = self.recovery.unknown_until != [0; 2];
        if is_midway && self.has_walk_caches() && !had_any {
            self.forget_walks();
        }
    }

    /// The walks before the recording are not known, and page-walk caches may contain their words.
    fn forget_walks(&mut self) {
        // A walk that a cache has shortened cannot be told.
        self.is_attributed = false;
        self.has_forgotten = true;
        self.recovery.is_blind = true;
    }

    /// Returns true if neither walks nor responses can be told until the next reset.
    pub fn is_blind(&self) -> bool {
        self.recovery.is_blind
    }

    /// Returns true if the response of an id is not judged.
    pub fn is_excused(&self, id: u8) -> bool {
        self.recovery.excused.contains(&id)
    }

    /// Goes on after a mismatch of a memory request.
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

    /// Ends the request of a response that is excused.
    pub fn end_excused(&mut self, outputs: &Outputs) {
        let id = outputs.rsp_id;
        // A walk may fill the TLB although it does not permit the access.
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

    /// Ends the request of a response after a mismatch.
    pub fn end_wrong(&mut self, outputs: &Outputs) {
        // What its walk has found is known only if walks are told apart.
        match self.is_attributed && !self.has_walk_caches() {
            true => self.end_unjudged(outputs.rsp_id),
            false => self.end_excused(outputs),
        }
        // A walk that has ended too early may be that of another request, and go on.
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

    /// Ends the request of an id.
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
        // A walk may have been for this request alone.
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

    /// Goes on after a mismatch of the rules of the ports.
    pub fn recover_ports(&mut self, outputs: &Outputs, accepted: (bool, bool), cycle: u64) {
        self.ports = StablePorts::default();
        // Nothing was stalled before, so nothing can have changed.
        let _ = self.ports.on_cycle(outputs, accepted, self.format, cycle);
    }

    /// No page is certainly in the TLB any more.
    fn forget_certain_pages(&mut self) {
        if let (Some(tlbs), Some(described)) = (&mut self.tlbs, self.description.tlb) {
            *tlbs = [(); 2].map(|()| Tlb::new(self.format, 0, described.recent));
        }
    }
}
