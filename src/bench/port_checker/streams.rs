// SPDX-License-Identifier: Apache-2.0
//! The memory requests of each id of the memory port, as walks of the requests in flight.
//!
//! The device does not tell which request a walk serves. So each walk of an id has candidates: the
//! requests whose golden walk over the words of the walk calls for just the memory requests that
//! the device has made.

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
    /// The golden walk of the request ends behind the memory requests of the walk.
    pub is_complete: bool,
    /// The fence that has overtaken the request, if the device must end its walk.
    pub overtaken: Option<FenceEvent>,
}

/// A walk that an id may be in, or may have made last.
#[derive(Clone, Debug)]
pub(super) struct PossibleWalk {
    pub reads: Vec<Read>,
    /// The requests that the walk may serve, at least one.
    pub candidates: Vec<Candidate>,
    /// The times that the device may leave the walk, and walk anew: it may flush its walker with a
    /// fence.
    pub restarts: u64,
}

impl PossibleWalk {
    /// Marks the candidates whose golden walks end behind the memory requests.
    pub fn complete(&mut self, ends: impl Fn(&Query, &[Read]) -> bool) {
        for candidate in &mut self.candidates {
            candidate.is_complete |= ends(&candidate.query, &self.reads);
        }
    }

    /// Returns true if another walk may follow: this one has ended for some request, or a fence has
    /// overtaken the request that it may be for, or may have made the device walk anew.
    pub fn may_end(&self) -> bool {
        let may_end = |one: &Candidate| one.is_complete || one.overtaken.is_some();
        self.restarts > 0 || self.candidates.iter().any(may_end)
    }

    /// Returns true if the walk has ended for some request.
    pub fn is_complete(&self) -> bool {
        self.candidates.iter().any(|one| one.is_complete)
    }

    /// Returns the fence that has overtaken every request that the walk may be for.
    pub fn overtaken(&self) -> Option<FenceEvent> {
        let mut open = self
            .candidates
            .iter()
            .filter(|candidate| !candidate.is_complete);
        let first = open.next()?.overtaken?;
        open.all(|candidate| candidate.overtaken.is_some())
            .then_some(first)
    }

    /// A fence ends the walk for the requests that it matches.
    fn on_fence(&mut self, fence: &Fence, cycle: u64) {
        for candidate in &mut self.candidates {
            let matches = fence.matches_tag(candidate.query.context.space());
            // With page-walk caches a walk that may have ended may go on, too.
            if matches && candidate.overtaken.is_none() {
                candidate.overtaken = Some(FenceEvent {
                    fence: *fence,
                    cycle,
                });
            }
        }
    }
}

/// The walks that an id may be in. The list is empty before the first memory request.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub walks: Vec<PossibleWalk>,
}

impl Stream {
    /// Returns true if another walk may begin.
    pub fn may_end(&self) -> bool {
        self.walks.is_empty() || self.walks.iter().any(PossibleWalk::may_end)
    }

    /// Returns true if the walk may have ended, or may be for a request in flight.
    pub fn keeps(&self, is_in_flight: impl Fn(&Query) -> bool) -> bool {
        let mut candidates = self.walks.iter().flat_map(|walk| &walk.candidates);
        self.may_end() || candidates.any(|candidate| is_in_flight(&candidate.query))
    }

    /// Returns the walk that may be for a request, and was started for it.
    pub fn walk_for(&self, request: &Request) -> Option<&PossibleWalk> {
        self.walks.iter().find(|walk| {
            let is_later = walk.reads[0].cycle > request.accepted;
            let mut candidates = walk.candidates.iter();
            is_later && candidates.any(|candidate| candidate.id == request.id)
        })
    }

    /// A fence ends the walks that it matches, in a device with replays. Another device may walk
    /// anew.
    pub fn on_fence(&mut self, fence: &Fence, cycle: u64, has_replays: bool) {
        for walk in &mut self.walks {
            match has_replays {
                true => walk.on_fence(fence, cycle),
                false => walk.restarts += 1,
            }
        }
    }
}

/// Follows the golden walk of a request over memory requests, and over words that page-walk caches
/// may contain. Returns none if the golden walk does not make all of the requests, else true if it
/// ends behind them.
///
/// A device that checks permissions late may make some or all of the requests behind a fault that
/// the golden walk has ended with.
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
            // It cannot be told.
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

/// Returns the request that the golden walk calls for behind memory requests that it makes; none if
/// it has ended.
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
