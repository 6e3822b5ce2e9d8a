// SPDX-License-Identifier: Apache-2.0
//! The attribution of the memory requests with each id of the memory port to walks.
//!
//! The ports do not show which request a walk serves. So each walk has candidates: the requests
//! whose golden walk over the words of the walk makes exactly the memory requests of the device.

use super::words::{End, Followed, Wanted, Words, each_walk};
use crate::bench::memory_request::Read;
use crate::bench::mismatch::FenceEvent;
use crate::bench::scoreboard::Request;
use crate::dut::description::PermissionCheck;
use crate::format::Format;
use crate::mmu::{Fence, Query};

/// A request that a walk may serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub id: u8,
    pub query: Query,
    /// The golden walk of the request ends after the memory requests of the walk.
    pub is_complete: bool,
    /// The fence that has overtaken the request, if the device ends overtaken walks with a replay.
    pub overtaken: Option<FenceEvent>,
}

/// A walk that explains the last memory requests with an id. The walk may have ended.
#[derive(Clone, Debug)]
pub(super) struct PossibleWalk {
    pub reads: Vec<Read>,
    /// The requests that the walk may serve, at least one.
    pub candidates: Vec<Candidate>,
    /// How often the device may still abandon the walk and start again: a device without replays
    /// may flush its walker at each fence.
    pub restarts: u64,
}

impl PossibleWalk {
    /// Marks the candidates whose golden walks end after the memory requests of the walk.
    pub fn complete(&mut self, ends: impl Fn(&Query, &[Read]) -> bool) {
        for candidate in &mut self.candidates {
            candidate.is_complete |= ends(&candidate.query, &self.reads);
        }
    }

    /// Returns true if the next memory request with the id may begin another walk: the walk has
    /// ended for some candidate, a fence has overtaken a candidate, or a fence may have restarted
    /// the walk.
    pub fn may_end(&self) -> bool {
        let may_end = |one: &Candidate| one.is_complete || one.overtaken.is_some();
        self.restarts > 0 || self.candidates.iter().any(may_end)
    }

    /// Returns true if the walk has ended for some candidate.
    pub fn is_complete(&self) -> bool {
        self.candidates.iter().any(|one| one.is_complete)
    }

    /// Returns a fence if fences have overtaken every candidate for which the walk has not ended.
    pub fn overtaken(&self) -> Option<FenceEvent> {
        let mut open = self
            .candidates
            .iter()
            .filter(|candidate| !candidate.is_complete);
        let first = open.next()?.overtaken?;
        open.all(|candidate| candidate.overtaken.is_some())
            .then_some(first)
    }

    /// Notes a fence, which overtakes the candidates that it matches.
    fn on_fence(&mut self, fence: &Fence, cycle: u64) {
        for candidate in &mut self.candidates {
            let matches = fence.matches_tag(candidate.query.context.space());
            // A complete candidate is included: with page-walk caches a walk that may have ended
            // may also continue.
            if matches && candidate.overtaken.is_none() {
                candidate.overtaken = Some(FenceEvent {
                    fence: *fence,
                    cycle,
                });
            }
        }
    }
}

/// The walks that explain the memory requests with an id of the memory port. The list is empty
/// before the first memory request.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub walks: Vec<PossibleWalk>,
}

impl Stream {
    /// Returns true if another walk may begin.
    pub fn may_end(&self) -> bool {
        self.walks.is_empty() || self.walks.iter().any(PossibleWalk::may_end)
    }

    /// Returns true if a walk of the id may have ended, or may be for a request in flight.
    pub fn keeps(&self, is_in_flight: impl Fn(&Query) -> bool) -> bool {
        let mut candidates = self.walks.iter().flat_map(|walk| &walk.candidates);
        self.may_end() || candidates.any(|candidate| is_in_flight(&candidate.query))
    }

    /// Returns the walk that may serve a request and began after the request was accepted.
    pub fn walk_for(&self, request: &Request) -> Option<&PossibleWalk> {
        self.walks.iter().find(|walk| {
            let is_later = walk.reads[0].cycle > request.accepted;
            let mut candidates = walk.candidates.iter();
            is_later && candidates.any(|candidate| candidate.id == request.id)
        })
    }

    /// Notes a fence. In a device with replays the fence ends the walks that it matches. A device
    /// without replays may start its walks again.
    pub fn on_fence(&mut self, fence: &Fence, cycle: u64, has_replays: bool) {
        for walk in &mut self.walks {
            match has_replays {
                true => walk.on_fence(fence, cycle),
                false => walk.restarts += 1,
            }
        }
    }
}

/// Compares the memory requests `reads` of a walk with the golden walk of a request. The golden
/// walk may also use the words `cached`, which page-walk caches may contain. Returns none if the
/// golden walk does not make all of the memory requests, true if it ends after them, and false if
/// it continues.
///
/// A device that checks permissions late may make further memory requests after the fault with
/// which the golden walk ends.
pub(super) fn follow(
    format: Format,
    query: &Query,
    permissions: PermissionCheck,
    reads: &[Read],
    cached: Option<&Words>,
) -> Option<bool> {
    let follow = |checks| {
        let mut makes_all = false;
        let mut ends = false;
        let followed = each_walk(format, query, checks, reads, cached, |walk| {
            if walk.made == reads.len() {
                makes_all = true;
                ends |= walk.end.found().is_some();
            }
            ends
        });
        match followed {
            // There are too many golden walks to decide, so the memory requests are accepted.
            Followed::TooMany => Some(true),
            Followed::Stopped | Followed::All => makes_all.then_some(ends),
        }
    };
    let at_entry = follow(PermissionCheck::Entry);
    match permissions {
        PermissionCheck::End if at_entry.is_none() => follow(PermissionCheck::End).map(|_| true),
        _ => at_entry,
    }
}

/// Returns the next memory request of the golden walk after the memory requests of a walk; none if
/// the golden walk has ended.
pub(super) fn wanted(
    format: Format,
    query: &Query,
    reads: &[Read],
    cached: Option<&Words>,
) -> Option<Wanted> {
    let mut longest: Option<(usize, End)> = None;
    each_walk(
        format,
        query,
        PermissionCheck::Entry,
        reads,
        cached,
        |walk| {
            if longest.is_none_or(|(made, _)| made < walk.made) {
                longest = Some((walk.made, walk.end));
            }
            false
        },
    );
    longest?.1.wanted()
}
