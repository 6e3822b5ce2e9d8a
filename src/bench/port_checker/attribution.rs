// SPDX-License-Identifier: Apache-2.0
//! The attribution of memory requests to the walks of requests.

use super::streams::{Candidate, PossibleWalk, Stream, follow, wanted};
use super::words::{End, Wanted, Words, end_of};
use super::{Kept, MOST_KEPT, PortChecker};
use crate::addr::{Gpa, Gva, Hpa};
use crate::bench::freedoms::Freedom;
use crate::bench::memory_request::{MemoryRequest, Read, RequestCounts};
use crate::bench::mismatch::{
    ActionAfterFence, ExpectedRequest, Mismatch, ObservedRequest, Violation,
};
use crate::bench::rules;
use crate::bench::scoreboard::Request;
use crate::dut::description::PermissionCheck;
use crate::format::{Family, Format};
use crate::golden::occupancy::NumberedFence;
use crate::golden::{self, Mapping};
use crate::mmu::{AddressSpaceTag, Context, Query};

/// The most alternatives that are followed for one id of the memory port: several walks may explain
/// the same memory requests.
const MOST_POSSIBLE: usize = 16;

/// Returns the address-space tag of a context with the ASID set to 0. Contexts with the same result
/// share global pages.
pub(super) fn without_asid(context: &Context) -> AddressSpaceTag {
    AddressSpaceTag {
        asid: 0,
        // The VMID has no meaning with V=0.
        vmid: if context.virt { context.vmid } else { 0 },
        ..context.space()
    }
}

/// Returns the tags of the host stage of a context. Page-walk caches tell host stages apart by these
/// tags, in whichever mode the guest stage is.
pub(super) fn host_tags(context: &Context) -> AddressSpaceTag {
    AddressSpaceTag {
        guest_levels: 0,
        ..without_asid(context)
    }
}

/// Returns a request with another root for each stage. A page-walk cache compares only the tags of
/// contexts. So until a fence, it may hit with an entry from the tables of another root with the
/// same tag. SUM, MXR and the like stay as in the request, because pointers do not depend on them.
fn with_roots(query: &Query, guest: Gpa, host: Hpa) -> Query {
    let mut query = *query;
    query.context.guest.root = guest;
    query.context.host.root = host;
    query
}

/// Returns a request whose gVA is replaced by the address with the same lower bits that is legal in
/// the mode of the request. A device that checks the upper bits of a gVA at the end of the walk may
/// fill its TLB with the page of the legal address.
pub(super) fn canonical(format: Format, query: &Query) -> Query {
    let geometry = format.geometry();
    let width =
        geometry.offset_width + u32::from(query.context.guest.levels) * geometry.index_width;
    let is_cut = format.family() == Family::Riscv
        && query.context.guest.levels > 0
        && width < geometry.gva_width;
    let unused = 64 - width;
    Query {
        gva: match is_cut {
            true => Gva(((query.gva.0 << unused) as i64 >> unused) as u64),
            false => query.gva,
        },
        ..*query
    }
}

impl PortChecker {
    /// Returns the request itself, and then the request with each pair of roots of other contexts
    /// with the same tag. Page-walk caches may lead a walk of the request into the tables of any of
    /// these roots.
    pub(super) fn views(&self, query: &Query) -> Vec<Query> {
        let mut views = vec![*query];
        let seen = self.contexts.get(&host_tags(&query.context));
        let seen = seen.filter(|_| self.has_walk_caches());
        let seen = seen.map_or(&[][..], Vec::as_slice);
        let levels = query.context.guest.levels;
        for guest in seen.iter().filter(|one| one.guest.levels == levels) {
            for host in seen {
                let other = with_roots(query, guest.guest.root, host.host.root);
                if !views.contains(&other) {
                    views.push(other);
                }
            }
        }
        views
    }

    /// Returns true if [`PortChecker::mixes_contexts`] is true for some request in flight.
    fn may_mix_contexts(&self) -> bool {
        let mut requests = self.board.unassigned_requests();
        requests.any(|request| self.mixes_contexts(&request.query))
    }

    /// Returns true if one walk of a request may use the host stages of several contexts: another
    /// context with the same tag has another host root or other control bits of the host stage, and
    /// page-walk caches do not distinguish them. Such walks are not followed, because there are too
    /// many combinations.
    pub(super) fn mixes_contexts(&self, query: &Query) -> bool {
        if !self.has_walk_caches() {
            return false;
        }
        let switches = |context: &Context| {
            let host = context.host;
            (host.root, host.adue, host.pbmte, context.napot)
        };
        let seen = self.contexts.get(&host_tags(&query.context));
        let mut seen = seen.into_iter().flatten();
        seen.any(|context| switches(context) != switches(&query.context))
    }

    /// Calls [`follow`] for a request and the memory requests of a walk. `thorough`: also for every
    /// other result of [`PortChecker::views`].
    fn follow(&self, query: &Query, reads: &[Read], thorough: bool) -> Option<bool> {
        let cached = self.cached();
        if !thorough {
            return follow(self.format, query, self.permissions(), reads, cached);
        }
        let mut result = None;
        for view in self.views(query) {
            let followed = follow(self.format, &view, self.permissions(), reads, cached);
            result = result.max(followed);
            if result == Some(true) {
                break;
            }
        }
        result
    }

    /// Finds the walks that a memory request may belong to, and the requests that each of these
    /// walks may serve.
    pub(super) fn follow_stream(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let place = usize::from(id).min(self.streams.len() - 1);
        let mut stream = std::mem::take(&mut self.streams[place]);
        let mut next = self.next_walks(&stream, read, false)?;
        if next.is_empty() && self.has_walk_caches() {
            for walk in &mut stream.walks {
                walk.complete(|query, reads| self.follow(query, reads, true) == Some(true));
            }
            next = self.next_walks(&stream, read, true)?;
        }
        if next.is_empty() && self.may_mix_contexts() {
            // The walk of this memory request cannot be determined. So the contents of the TLB
            // after the walk are not known.
            self.has_forgotten = true;
            return Ok(());
        }
        if next.is_empty() && self.recovery.is_doubtful(place) {
            next = self.next_walks(&Stream::default(), read, self.has_walk_caches())?;
            if next.is_empty() && self.recovery.accepts_any(place) {
                return Ok(());
            }
        }
        if next.is_empty() {
            return Err(self.wrong_request(&stream, id, read));
        }
        if self.permissions() == PermissionCheck::End {
            self.count_late_read(&next);
        }
        // The walks are in the order in which they began. Walks past the limit are not followed any
        // more.
        next.truncate(MOST_POSSIBLE);
        self.recovery.followed(place, &next);
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

    /// Counts a use of the freedom to check permissions late: a walk that checks each entry at once
    /// would have ended before this read.
    fn count_late_read(&self, walks: &[PossibleWalk]) {
        let is_at_once = |walk: &PossibleWalk| {
            let mut candidates = walk.candidates.iter();
            let at_entry = PermissionCheck::Entry;
            candidates.any(|one| {
                follow(
                    self.format,
                    &one.query,
                    at_entry,
                    &walk.reads,
                    self.cached(),
                )
                .is_some()
            })
        };
        if !walks.iter().any(is_at_once) {
            self.uses.count(Freedom::LatePermissions);
        }
    }

    /// Returns the walks that explain all memory requests of an id, after one more memory request.
    fn next_walks(
        &self,
        stream: &Stream,
        read: &Read,
        thorough: bool,
    ) -> Result<Vec<PossibleWalk>, Box<Mismatch>> {
        let go_on = |walk| self.go_on(walk, read, thorough);
        let mut next: Vec<PossibleWalk> = stream.walks.iter().filter_map(go_on).collect();
        if stream.may_end() {
            next.extend(self.begin(stream, read, thorough)?);
        }
        Ok(next)
    }

    /// Returns a walk extended by a memory request; none if the golden walk of no candidate makes
    /// this memory request.
    fn go_on(&self, walk: &PossibleWalk, read: &Read, thorough: bool) -> Option<PossibleWalk> {
        let mut walk = walk.clone();
        walk.reads.push(*read);
        let before = std::mem::take(&mut walk.candidates);
        for candidate in before {
            // A memory request may still be accepted in the cycle of the fence, but not later.
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

    /// Returns a new walk that begins with a memory request; none if the golden walk of no request
    /// in flight begins with it.
    fn begin(
        &self,
        stream: &Stream,
        read: &Read,
        thorough: bool,
    ) -> Result<Option<PossibleWalk>, Box<Mismatch>> {
        let has_replays = self.description.has_replays();
        let mut restarts = 0;
        let mut candidates = Vec::new();
        for request in self.board.unassigned_requests() {
            let overtaken = request.overtaken.filter(|_| has_replays);
            if overtaken.is_some_and(|by| by.cycle < read.cycle) {
                continue;
            }
            if let Some(is_complete) = self.follow(&request.query, &[*read], thorough) {
                // The device may have begun the walk long before memory accepted its first memory
                // request, so each fence since the request was accepted may have restarted the
                // walk.
                let fences = self.board.fence_count() - request.fences_before();
                restarts = fences.max(restarts);
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
        let is_left = |walk: &&PossibleWalk| walk.restarts > 0 && !walk.is_complete();
        if let Some(left) = stream
            .walks
            .iter()
            .filter(is_left)
            .map(|w| w.restarts)
            .max()
        {
            restarts = restarts.min(left - 1);
        }
        Ok(Some(PossibleWalk {
            reads: vec![*read],
            candidates,
            restarts: if has_replays { 0 } else { restarts },
        }))
    }

    /// Keeps the words and the result of a walk that has ended for a request. A device may fill the
    /// TLB before it checks permissions, so the page of a walk that ended with a fault is kept as
    /// well.
    fn keep(&mut self, query: &Query, reads: &[Read]) {
        let begun = |reads: &[Read]| reads.first().map_or(0, |read| read.cycle);
        let mut is_global = false;
        if !self.has_walk_caches()
            && let End::Found(Ok(mapping)) = end_of(self.format, query, PermissionCheck::End, reads)
        {
            is_global = mapping.global;
            self.may_contain(&canonical(self.format, query), &mapping, begun(reads));
        }
        let of_space = self.kept.entry(without_asid(&query.context)).or_default();
        // An older walk of the same context with the same words is replaced.
        let same = |other: &Kept| -> bool {
            let pairs = other.reads.iter().zip(reads);
            other.context == query.context
                && other.reads.len() == reads.len()
                && pairs.clone().all(|(one, two)| {
                    (one.at, one.update, one.word) == (two.at, two.update, two.word)
                })
        };
        // Of the two walks, the walk that began later is kept, because fewer fences invalidate it.
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

    /// Adds the mapping of a walk to the may-contain set of the TLB. `begun`: fences from this
    /// cycle on invalidate the mapping.
    pub(super) fn may_contain(&mut self, query: &Query, mapping: &Mapping, begun: u64) {
        let fences = self.board.fences();
        let before = fences.partition_point(|event| event.cycle < begun);
        let space = query.context.space();
        let since: Vec<NumberedFence> = (before as u64 + 1..)
            .zip(&fences[before..])
            .map(|(number, event)| (number, event.fence))
            .filter(|(_, fence)| !self.may_ignore(fence, space))
            .collect();
        self.translations
            .on_walk(query, mapping, &since, false, begun);
    }

    /// Checks that the request for which a walk begins may miss in the TLB. The must-contain set of
    /// the TLB is known only for a device with one request in flight, so there is at most one
    /// candidate with a must-hit page.
    fn check_may_miss(&self, starting: &[Candidate], read: &Read) -> Result<(), Box<Mismatch>> {
        let request = starting
            .first()
            .and_then(|first| self.board.request(first.id));
        let Some(request) = request else {
            return Ok(());
        };
        let Some(tlb) = self.tlb_of(&request.query) else {
            return Ok(());
        };
        let Some(must_hit) = &request.must_hit else {
            return Ok(());
        };
        let violation = rules::must_hit(tlb, must_hit);
        let mut mismatch = self.mismatch(request.id, read.cycle, violation);
        mismatch.reads.push(*read);
        Err(mismatch)
    }

    /// Returns the mismatch for a memory request that no golden walk makes.
    #[cold]
    pub(super) fn wrong_request(&self, stream: &Stream, id: u8, read: &Read) -> Box<Mismatch> {
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
        // If the walk of the id has ended, the request that has waited longest is expected to begin
        // a walk. If it is the only request in flight and the ended walk was for it, the end of the
        // walk is expected instead.
        let is_own = |walk: &&PossibleWalk| {
            let mut candidates = walk.candidates.iter();
            let id = self.board.oldest().map(|request| request.id);
            self.board.count() == 1 && candidates.any(|one| Some(one.id) == id)
        };
        let unfinished = walk.filter(|walk| !stream.may_end() || is_own(walk));
        let (of, query, before) = match (unfinished, self.board.oldest()) {
            (Some(walk), _) => {
                let candidate = &walk.candidates[0];
                (candidate.id, &candidate.query, &walk.reads[..])
            }
            (None, Some(request)) => (request.id, &request.query, &[][..]),
            (None, None) => return Mismatch::of_no_walk(id, read),
        };
        let expected = match wanted(self.format, query, before, self.cached()) {
            Some(Wanted { request, at }) => ExpectedRequest::Request {
                request: request.behind(before),
                at,
            },
            None => match end_of(self.format, query, PermissionCheck::Entry, before) {
                End::Found(found) => ExpectedRequest::End {
                    made: RequestCounts::of(before),
                    outcome: golden::outcome(&found),
                },
                End::Wants(_) => ExpectedRequest::NoWalk { slot: id },
            },
        };
        let observed = ObservedRequest::behind(read, before);
        let violation = Violation::Reads { expected, observed };
        self.with_reads(of, before, read, violation)
    }

    /// Returns a mismatch for a memory request. `reads`: the earlier memory requests of its walk.
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

    /// Returns the walk that may serve a request and began after the request was accepted.
    pub(super) fn walk_of(&self, request: &Request) -> Option<&PossibleWalk> {
        self.streams
            .iter()
            .find_map(|stream| stream.walk_for(request))
    }

    /// Returns the words that page-walk caches may contain; none if no page-walk cache is in use in
    /// the run.
    pub(super) fn cached(&self) -> Option<&Words> {
        self.has_walk_caches().then_some(&self.words)
    }
}
