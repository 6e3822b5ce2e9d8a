// SPDX-License-Identifier: Apache-2.0
//! The attribution of memory requests to the walks of requests.

use super::streams::{Candidate, PossibleWalk, Stream, follow, wanted};
use super::words::{Words, each_walk};
use super::{Kept, MOST_KEPT, PortChecker};
use crate::bench::memory_request::{MemoryRequest, Read};
use crate::bench::mismatch::{
    ActionAfterFence, ExpectedRequest, FenceEvent, HitReason, Mismatch, ObservedRequest, Violation,
};
use crate::bench::scoreboard::Request;
use crate::golden::Mapping;
use crate::golden::occupancy::tlb::Certainty;
use crate::mmu::{AddressSpaceTag, Context, Query, StageControl};

/// Walks that an id of the memory port may be in at a time.
const MOST_POSSIBLE: usize = 16;

/// Returns the address space of a context without the ASID: the address spaces with the same share
/// global pages.
pub(super) fn without_asid(context: &Context) -> AddressSpaceTag {
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
pub(super) fn view(query: &Query, guest: &Context, host: &Context) -> Query {
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

impl PortChecker {
    /// Returns a request as the page-walk caches may see it: as it is, then with the tables of other
    /// contexts.
    pub(super) fn views(&self, query: &Query) -> Vec<Query> {
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

    /// Returns true if page-walk caches may mix contexts in the walk of some request in flight.
    fn may_mix_contexts(&self) -> bool {
        let mut requests = self.board.unassigned_requests();
        requests.any(|request| self.mixes_contexts(&request.query))
    }

    /// Returns true if page-walk caches may mix the host stages of several contexts in one walk of a
    /// request: other contexts with its tags have another root or other switches there. Such walks
    /// are not followed.
    pub(super) fn mixes_contexts(&self, query: &Query) -> bool {
        if !self.has_walk_caches {
            return false;
        }
        let switches = |context: &Context| {
            let host = context.host;
            (host.root, host.adue, host.pbmte, context.napot)
        };
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

    /// Finds the requests whose walk a memory request may belong to.
    pub(super) fn follow_stream(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
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
        if next.is_empty() && self.may_mix_contexts() {
            // The walk cannot be told, and neither can what the TLB contains after it.
            self.has_forgotten = true;
            return Ok(());
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
    pub(super) fn may_contain(&mut self, query: &Query, mapping: &Mapping, begun: u64) {
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
            (None, None) => return Mismatch::of_no_walk(id, read),
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

    /// Returns true if an id of the memory port has made a walk for a request.
    pub(super) fn has_walk_of(&self, request: &Request) -> bool {
        self.walk_of(request).is_some()
    }

    pub(super) fn walk_of(&self, request: &Request) -> Option<&PossibleWalk> {
        self.streams
            .iter()
            .find_map(|stream| stream.walk_for(request))
    }

    /// Returns true if two requests are equal: they may share a walk.
    pub(super) fn is_equal(&self, one: &Query, other: &Query) -> bool {
        let smallest = self.format.geometry().offset_width;
        let any_access = !self.format.has_privileges() && !one.context.rights;
        one.context == other.context
            && one.gva.0 >> smallest == other.gva.0 >> smallest
            && (one.access == other.access || any_access)
    }

    /// The words that page-walk caches may contain, if there are any.
    pub(super) fn cached(&self) -> Vec<&Words> {
        match self.has_walk_caches {
            true => vec![&self.words],
            false => Vec::new(),
        }
    }
}
