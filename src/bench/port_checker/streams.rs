// SPDX-License-Identifier: Apache-2.0
//! The memory requests of each id of the memory port, as walks of the requests in flight.
//!
//! The device does not say for which request a walk is. So each id has the candidates: the requests
//! whose golden walk over the words of the id so far calls for just the memory requests that the
//! device has made. Requests that are equal are one candidate.

use super::words::{Followed, GoldenWalk, Words, each_walk};
use crate::addr::Hpa;
use crate::bench::memory_request::{MemoryRequest, Read, Update};
use crate::bench::mismatch::FenceEvent;
use crate::bench::scoreboard::Request;
use crate::format::Format;
use crate::mmu::{Fault, Fence, Query};

/// A request whose walk an id may be in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub id: u8,
    pub query: Query,
    /// The golden walk has ended.
    pub is_complete: bool,
    /// The fence that has overtaken the request, if the device must end its walk.
    pub overtaken: Option<FenceEvent>,
}

/// A walk that an id may be in, or may have made last.
#[derive(Clone, Debug)]
pub(super) struct PossibleWalk {
    pub reads: Vec<Read>,
    /// There is one at least.
    pub candidates: Vec<Candidate>,
}

impl PossibleWalk {
    /// Returns the candidates, each with the memory requests of the walk.
    pub fn with_reads(&mut self) -> impl Iterator<Item = (&mut Candidate, &[Read])> {
        let reads = &self.reads[..];
        self.candidates
            .iter_mut()
            .map(move |candidate| (candidate, reads))
    }

    fn has_ended(&self) -> bool {
        self.candidates
            .iter()
            .any(|candidate| candidate.is_complete)
    }

    /// Returns true if another walk may follow: this one has ended for some request, or a fence has
    /// overtaken the request that it may be for.
    pub fn may_end(&self) -> bool {
        let is_overtaken = |candidate: &Candidate| candidate.overtaken.is_some();
        self.has_ended() || self.candidates.iter().any(is_overtaken)
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

/// The walks that an id may be in. None: it has made no memory request.
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

    /// A fence ends the walks that it matches.
    pub fn on_fence(&mut self, fence: &Fence, cycle: u64) {
        for walk in &mut self.walks {
            walk.on_fence(fence, cycle);
        }
    }
}

/// The request that a walk should have made instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub id: u8,
    /// None: the walk has ended.
    pub request: Option<(MemoryRequest, Fault)>,
}

/// Follows the golden walk of a request over memory requests, and over words that page-walk caches
/// may contain. Returns none if the golden walk does not make all of the requests, else true if it
/// ends behind them.
pub(super) fn follow(
    format: Format,
    query: &Query,
    reads: &[Read],
    cached: &[&Words],
) -> Option<bool> {
    let mut makes_all = false;
    let mut ends = false;
    let followed = each_walk(format, query, reads, cached, |walk| {
        if walk.made == reads.len() {
            makes_all = true;
            ends |= walk.found.is_some();
        }
        ends
    });
    match followed {
        // It cannot be told.
        Followed::TooMany => Some(true),
        Followed::Stopped | Followed::All => makes_all.then_some(ends),
    }
}

/// Returns the request that the golden walk calls for behind memory requests that it makes.
pub(super) fn wanted(
    format: Format,
    candidate: &Candidate,
    reads: &[Read],
    cached: &[&Words],
) -> Wanted {
    let mut longest: Option<GoldenWalk> = None;
    each_walk(format, &candidate.query, reads, cached, |walk| {
        if longest
            .as_ref()
            .is_none_or(|longest| longest.made < walk.made)
        {
            longest = Some(walk.clone());
        }
        false
    });
    let request = |(hpa, update): (Hpa, Option<Update>)| MemoryRequest { hpa, update };
    Wanted {
        id: candidate.id,
        request: longest.and_then(|walk| Some((request(walk.wanted?), walk.wanted_at?))),
    }
}
