// SPDX-License-Identifier: Apache-2.0
//! The walk slots: which walk is in each, and how far it is.

use super::covergroup::axis;
use crate::addr::Hpa;
use crate::bench::{Read, Request};
use crate::dut::{Done, Next, WalkStep};
use crate::format::Format;
use crate::golden::{self, EntryMemory};
use crate::mmu::{AddressSpaceTag, Context, Query};
use crate::scenario::Held;

axis! {
    /// The state of a request's walk.
    pub enum WalkState {
        /// The request was accepted, and is neither answered nor given to a walk.
        NoWalk = "a request without a walk",
        /// The walk began in the cycle before.
        Begins = "a walk that has just begun",
        /// The walk is to read, and does not offer the read yet.
        ReadToCome = "a read to come",
        /// The walk offers a read, which is not accepted in this cycle.
        ReadOffered = "a read that is offered",
        /// Memory accepts the walk's read in this cycle.
        ReadGranted = "a read that is granted",
        /// Memory accepted the walk's read before.
        ReadInFlight = "a read in flight",
        /// Memory answers the walk's read in this cycle.
        ReadAnswered = "a read that is answered",
        /// The walk is to update an entry, or offers an update that is not accepted in this cycle.
        UpdateToCome = "an update to come, or offered",
        /// Memory accepts the walk's update in this cycle.
        UpdateGranted = "an update that is granted",
        /// Memory accepted the walk's update before.
        UpdateInFlight = "an update in flight",
        /// Memory answers the walk's update in this cycle.
        UpdateAnswered = "an update that is answered",
        /// The walk has taken its last entry, and its requests wait for their responses.
        Ended = "a walk that has ended",
    }
}

impl WalkState {
    /// Returns true if it is a state of an update.
    pub fn is_update(self) -> bool {
        matches!(
            self,
            Self::UpdateToCome | Self::UpdateGranted | Self::UpdateInFlight | Self::UpdateAnswered
        )
    }

    /// Returns true if the state lasts only while a port is held.
    pub fn needs_hold(self) -> bool {
        matches!(self, Self::ReadOffered | Self::UpdateToCome | Self::Ended)
    }

    /// The port that keeps a walk in the state; and the cycle of the state, counted from the one in
    /// which the access is offered, where that does not depend on the latency.
    pub fn hold_and_cycle(self) -> (Held, Option<u64>) {
        match self {
            Self::ReadOffered | Self::UpdateToCome | Self::ReadGranted | Self::UpdateGranted => {
                (Held::Reads, Some(0))
            }
            Self::ReadInFlight | Self::UpdateInFlight => (Held::Answers, Some(1)),
            Self::Ended | Self::NoWalk => (Held::Responses, None),
            Self::Begins | Self::ReadToCome | Self::ReadAnswered | Self::UpdateAnswered => {
                (Held::Answers, None)
            }
        }
    }
}

axis! {
    /// The entry that a walk took last.
    pub enum LastEntry {
        /// It has taken none.
        NoEntry = "none yet",
        /// A guest entry.
        Guest = "the guest's",
        /// A host entry, to read a guest entry.
        HostToRead = "the host's, to read",
        /// A host entry, to update a guest entry.
        HostToUpdate = "the host's, to update",
        /// A host entry, to reach the data.
        HostForData = "the host's, for the data",
    }
}

/// A walk in a slot.
#[derive(Clone, Copy, Debug)]
pub struct SlotWalk {
    /// Its first request.
    pub query: Query,
    /// The context of its first request, as it was driven.
    pub driven: Context,
    /// The entry that it took last.
    last: LastEntry,
    /// The number of requests that wait for it.
    requests: u32,
    /// The cycle in which it began.
    begun: u64,
    /// Memory has not answered its read or update.
    in_flight: bool,
    /// Its last access is an update.
    is_update: bool,
    /// The cycle in which memory accepted its last access.
    granted: Option<u64>,
    /// The cycle in which memory answered its last access.
    answered: Option<u64>,
    /// Its next action, as the device has reported it; none before its first entry.
    next: Option<Next>,
}

impl SlotWalk {
    /// Its state at the end of a cycle. `is_on_port`: its access is offered and was not accepted.
    fn state(&self, cycle: u64, is_on_port: bool) -> WalkState {
        let of = |read, update| if self.is_update { update } else { read };
        match self.next {
            // No walk begins in the very cycle of a fence.
            _ if self.begun + 1 == cycle => WalkState::Begins,
            _ if self.in_flight && self.granted == Some(cycle) => {
                of(WalkState::ReadGranted, WalkState::UpdateGranted)
            }
            _ if self.in_flight => of(WalkState::ReadInFlight, WalkState::UpdateInFlight),
            _ if self.answered == Some(cycle) => {
                of(WalkState::ReadAnswered, WalkState::UpdateAnswered)
            }
            Some(Next::Done | Next::Fault) => WalkState::Ended,
            Some(Next::Update) => WalkState::UpdateToCome,
            _ if is_on_port => WalkState::ReadOffered,
            _ => WalkState::ReadToCome,
        }
    }
}

/// A request, or the requests of one walk, at the end of a cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    pub state: WalkState,
    pub space: AddressSpaceTag,
    pub last: LastEntry,
    pub requests: u32,
}

/// Walk slots that a device has at most.
pub(super) const MOST_SLOTS: usize = 16;

/// The walks of all slots, and the requests that have no walk.
#[derive(Debug)]
pub struct Slots {
    format: Format,
    /// Requests that are neither answered nor given to a walk, by their ids.
    unplaced: Vec<(u8, Query, Context)>,
    walks: [Option<SlotWalk>; MOST_SLOTS],
}

/// Memory that only records whether it was asked.
struct Probe {
    was_asked: bool,
}

impl EntryMemory for Probe {
    fn read_entry(&mut self, _: Hpa) -> Option<u64> {
        self.was_asked = true;
        None
    }

    fn update_entry(&mut self, _: Hpa, _: u64, _: u64) -> Option<u64> {
        self.was_asked = true;
        None
    }
}

impl Slots {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            unplaced: Vec::new(),
            walks: [None; MOST_SLOTS],
        }
    }

    /// The walks in flight.
    pub fn walks(&self) -> impl Iterator<Item = &SlotWalk> {
        self.walks.iter().flatten()
    }

    fn walk(&mut self, slot: u8) -> Option<&mut SlotWalk> {
        self.walks.get_mut(usize::from(slot))?.as_mut()
    }

    pub(super) fn on_request(&mut self, id: u8, query: &Query, driven: Context) {
        self.unplaced.push((id, *query, driven));
    }

    /// Takes out a request that has no walk.
    pub(super) fn take_request(&mut self, id: u8) {
        self.unplaced.retain(|request| request.0 != id);
    }

    pub(super) fn on_assignment(&mut self, request: &Request, slot: u8, cycle: u64) {
        let &Request {
            id, query, driven, ..
        } = request;
        self.take_request(id);
        if request.is_coalesced {
            if let Some(walk) = self.walk(slot) {
                walk.requests += 1;
            }
            return;
        }
        let mut probe = Probe { was_asked: false };
        // The checker judges the result.
        let _ = golden::walk(self.format, &query, &mut probe, &mut ());
        if let Some(place) = self.walks.get_mut(usize::from(slot)) {
            *place = Some(SlotWalk {
                query,
                driven,
                last: LastEntry::NoEntry,
                requests: 1,
                begun: cycle,
                in_flight: false,
                is_update: false,
                granted: None,
                answered: None,
                next: (!probe.was_asked).then_some(Next::Done),
            });
        }
    }

    pub(super) fn on_read(&mut self, slot: u8, read: &Read) {
        if let Some(walk) = self.walk(slot) {
            walk.in_flight = true;
            walk.is_update = read.update.is_some();
            walk.granted = Some(read.cycle);
        }
    }

    /// Memory answers a slot. Gives the cycles that it took, beyond the first.
    pub(super) fn on_reply(&mut self, slot: u8, cycle: u64) -> Option<u64> {
        let walk = self.walk(slot)?;
        walk.in_flight = false;
        walk.answered = Some(cycle);
        Some(cycle.saturating_sub(walk.granted? + 1))
    }

    pub(super) fn on_step(&mut self, step: &WalkStep) {
        if let Some(walk) = self.walk(step.slot) {
            walk.next = Some(step.next);
            walk.last = match (step.host, step.purpose) {
                (false, _) => LastEntry::Guest,
                (true, 0) => LastEntry::HostToRead,
                (true, 2) => LastEntry::HostToUpdate,
                (true, _) => LastEntry::HostForData,
            };
        }
    }

    pub(super) fn on_result(&mut self, done: &Done) {
        if let Some(place) = self.walks.get_mut(usize::from(done.slot))
            && let Some(walk) = place
        {
            walk.requests -= 1;
            if walk.requests == 0 {
                *place = None;
            }
        }
    }

    /// The walks, then the requests without a walk, at the end of a cycle. `port`: the slot whose
    /// access is offered and was not accepted. `response`: the id of the response that is offered.
    pub(super) fn outstanding(
        &self,
        cycle: u64,
        port: Option<u8>,
        response: Option<u8>,
    ) -> impl Iterator<Item = Outstanding> {
        let walks = self.walks.iter().enumerate();
        let walks = walks.filter_map(move |(slot, walk)| {
            let walk = walk.as_ref()?;
            Some(Outstanding {
                state: walk.state(cycle, port.map(usize::from) == Some(slot)),
                space: walk.query.context.space(),
                last: walk.last,
                requests: walk.requests,
            })
        });
        let requests = self.unplaced.iter();
        let requests = requests.filter(move |(id, ..)| Some(*id) != response);
        walks.chain(requests.map(|(_, query, _)| Outstanding {
            state: WalkState::NoWalk,
            space: query.context.space(),
            last: LastEntry::NoEntry,
            requests: 1,
        }))
    }
}
