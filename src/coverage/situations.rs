// SPDX-License-Identifier: Apache-2.0
//! Watches when things happen: the state of walks that fences meet, requests that differ in one field, what has gone on since a reset,
//! pages that come back from the second-level TLB.

use std::collections::VecDeque;

use super::collect::Bins;
use super::model::{Id, SINCE_RESET, TWINS, WALK_STATES, WalkState};
use crate::addr::Hpa;
use crate::bench::{Read, Walked};
use crate::dut::{Done, Miss, Next, WalkStep};
use crate::format::Format;
use crate::golden::occupancy::FilledPage;
use crate::golden::{self, EntryMemory};
use crate::mmu::{Context, Fence, Query};
use crate::scenario::Scenario;

/// Fills that are remembered.
const MOST_FILLED: usize = 64;
/// Pages that have come back, and are remembered.
const MOST_BACK: usize = 8;
/// Cycles between a fill and an answer of which the look-up was beside the fill.
const BESIDE: u64 = 3;

/// A walk in a slot.
#[derive(Clone, Copy, Debug)]
struct Walk {
    query: Query,
    driven: Context,
    requests: u32,
    begun: u64,
    /// Its read or update that memory has not answered.
    in_flight: bool,
    is_update: bool,
    granted: Option<u64>,
    answered: Option<u64>,
    /// What it has told to be next; none before its first entry.
    next: Option<Next>,
    /// On the axis of [`super::model::LAST_ENTRIES`].
    last: usize,
}

#[derive(Debug)]
pub(super) struct Situations {
    format: Format,
    smallest: u32,
    /// What of roots says where the table is.
    root_masks: [u64; 2],
    /// Requests that are neither answered nor given to a walk.
    unplaced: Vec<(u8, Query, Context)>,
    walks: [Option<Walk>; 16],
    before: Option<(Query, Context)>,
    requests: u64,
    fences: u64,
    /// Sets of the second-level TLB, if there is one.
    sets: Option<u64>,
    /// The last fills of smallest pages first, and when the last was.
    filled: VecDeque<FilledPage>,
    filled_at: Option<(u64, u64)>,
    /// What has come back from it.
    back: VecDeque<FilledPage>,
}

/// Memory that only tells whether it was asked.
struct Asked(bool);

impl EntryMemory for Asked {
    fn read_entry(&mut self, _: Hpa) -> Option<u64> {
        self.0 = true;
        None
    }

    fn update_entry(&mut self, _: Hpa, _: u64, _: u64) -> Option<u64> {
        self.0 = true;
        None
    }
}

impl Walk {
    /// Its state at the end of a cycle. `port`: the slot whose access is offered and was not taken is its own.
    fn state(&self, cycle: u64, is_on_port: bool) -> WalkState {
        let of = |read, update| if self.is_update { update } else { read };
        match self.next {
            // None begins in the very cycle of a fence.
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

impl Situations {
    pub fn new(scenario: &Scenario) -> Self {
        let machine = &scenario.machine;
        let geometry = machine.format.geometry();
        let table = geometry.table_bytes();
        let root_masks = match machine.format.is_riscv() {
            true => [!(table - 1), !((table << geometry.host_root_extra) - 1)],
            false => [u64::MAX; 2],
        };
        Self {
            format: machine.format,
            smallest: geometry.offset_width,
            root_masks,
            unplaced: Vec::new(),
            walks: [None; 16],
            before: None,
            requests: 0,
            fences: 0,
            sets: machine.tlb2.map(|size| u64::from(size.sets)),
            filled: VecDeque::new(),
            filled_at: None,
            back: VecDeque::new(),
        }
    }

    pub fn reset(&mut self) {
        self.unplaced.clear();
        self.walks = [None; 16];
        self.before = None;
        (self.requests, self.fences) = (0, 0);
        self.filled.clear();
        self.filled_at = None;
        self.back.clear();
    }

    fn walk(&mut self, slot: u8) -> Option<&mut Walk> {
        self.walks.get_mut(usize::from(slot))?.as_mut()
    }

    fn page(&self, gva: u64) -> u64 {
        gva >> self.smallest
    }

    fn set_of(&self, gva: u64) -> u64 {
        self.page(gva) % self.sets.unwrap_or(1)
    }

    pub fn accepted(&mut self, bins: &mut Bins, id: u8, query: &Query, driven: Context) {
        self.unplaced.push((id, *query, driven));
        self.requests += 1;
        self.count(bins, "requests", self.requests);
        let is_equal = |other: &Query| {
            self.page(other.gva.0) == self.page(query.gva.0) && other.access == query.access
        };
        for walk in self.walks.iter().flatten() {
            if is_equal(&walk.query)
                && let Some(field) = self.only_difference(&walk.driven, &driven)
            {
                bins.hit(Id::Twin, &[field, 0]);
            }
        }
        if let Some((before, context)) = &self.before
            && is_equal(before)
            && let Some(field) = self.only_difference(context, &driven)
        {
            bins.hit(Id::Twin, &[field, 1]);
        }
        self.before = Some((*query, driven));
    }

    /// The number of the field in which alone two contexts differ.
    fn only_difference(&self, one: &Context, other: &Context) -> Option<usize> {
        if one == other {
            return None;
        }
        let [guest_mask, host_mask] = self.root_masks;
        let roots = [
            one.guest.root.0 ^ other.guest.root.0,
            one.host.root.0 ^ other.host.root.0,
        ];
        let differs: [bool; TWINS.len()] = [
            one.virt != other.virt,
            one.guest.levels != other.guest.levels,
            one.host.levels != other.host.levels,
            roots[0] & guest_mask != 0,
            roots[1] & host_mask != 0,
            one.asid != other.asid,
            one.vmid != other.vmid,
            one.user != other.user,
            one.sum != other.sum,
            one.guest.mxr != other.guest.mxr,
            one.host.mxr != other.host.mxr,
            one.guest.adue != other.guest.adue,
            one.host.adue != other.host.adue,
            one.guest.pbmte != other.guest.pbmte,
            one.host.pbmte != other.host.pbmte,
            one.napot != other.napot,
            roots[0] & !guest_mask != 0,
            roots[1] & !host_mask != 0,
            one.rights != other.rights,
        ];
        let mut fields = (0..differs.len()).filter(|&field| differs[field]);
        let only = fields.next()?;
        fields.next().is_none().then_some(only)
    }

    fn count(&self, bins: &mut Bins, what: &str, count: u64) {
        for (at, (_, many)) in (SINCE_RESET.iter().enumerate())
            .filter(|(_, (counted, many))| *counted == what && count == *many)
        {
            debug_assert_eq!(count, *many);
            bins.hit(Id::SinceReset, &[at]);
        }
    }

    fn place(&mut self, id: u8) -> Option<(Query, Context)> {
        let at = self.unplaced.iter().position(|request| request.0 == id)?;
        let (_, query, driven) = self.unplaced.swap_remove(at);
        Some((query, driven))
    }

    pub fn missed(&mut self, miss: &Miss, cycle: u64) {
        let Some((query, driven)) = self.place(miss.id) else {
            return;
        };
        if miss.merged {
            if let Some(walk) = self.walk(miss.slot) {
                walk.requests += 1;
            }
            return;
        }
        let mut asked = Asked(false);
        // What comes of it is the checker's to know.
        let _ = golden::walk(self.format, &query, &mut asked, &mut ());
        if let Some(place) = self.walks.get_mut(usize::from(miss.slot)) {
            *place = Some(Walk {
                query,
                driven,
                requests: 1,
                begun: cycle,
                in_flight: false,
                is_update: false,
                granted: None,
                answered: None,
                next: (!asked.0).then_some(Next::Done),
                last: 0,
            });
        }
    }

    pub fn answered(&mut self, id: u8) {
        self.place(id);
    }

    pub fn read(&mut self, slot: u8, read: &Read) {
        if let Some(walk) = self.walk(slot) {
            walk.in_flight = true;
            walk.is_update = read.update.is_some();
            walk.granted = Some(read.cycle);
        }
    }

    /// Memory has answered a slot: after how many cycles more than one.
    pub fn replied(&mut self, slot: u8, cycle: u64) -> Option<u64> {
        let walk = self.walk(slot)?;
        walk.in_flight = false;
        walk.answered = Some(cycle);
        Some(cycle.saturating_sub(walk.granted? + 1))
    }

    pub fn took(&mut self, step: &WalkStep) {
        if let Some(walk) = self.walk(step.slot) {
            walk.next = Some(step.next);
            walk.last = match (step.host, step.purpose) {
                (false, _) => 1,
                (true, 0) => 2,
                (true, 2) => 3,
                (true, _) => 4,
            };
        }
    }

    pub fn given(&mut self, done: &Done) {
        if let Some(place) = self.walks.get_mut(usize::from(done.slot))
            && let Some(walk) = place
        {
            walk.requests -= 1;
            if walk.requests == 0 {
                *place = None;
            }
        }
    }

    /// `port`: the slot whose access is offered and was not taken; `response`: the id of the answer that is offered.
    pub fn fence_offered(
        &mut self,
        bins: &mut Bins,
        cycle: u64,
        fence: &Fence,
        form: usize,
        port: Option<u8>,
        response: Option<u8>,
    ) {
        let mut met = |state: WalkState, space, last, requests| {
            let state = WALK_STATES.iter().position(|&known| known == state);
            let Some(state) = state else { return };
            let is_named = fence.names_space(space);
            bins.hit(Id::FenceWalk, &[form, state, usize::from(!is_named)]);
            if is_named {
                let several = usize::from(requests > 1);
                bins.hit(Id::FencePlace, &[state, last, several]);
            }
        };
        for (slot, walk) in self.walks.iter().enumerate() {
            if let Some(walk) = walk {
                let state = walk.state(cycle, port.map(usize::from) == Some(slot));
                met(state, walk.query.context.space(), walk.last, walk.requests);
            }
        }
        for (_, query, _) in self
            .unplaced
            .iter()
            .filter(|(id, ..)| Some(*id) != response)
        {
            met(WalkState::NoWalk, query.context.space(), 0, 1);
        }
    }

    pub fn fenced(&mut self, bins: &mut Bins, fence: &Fence) {
        self.fences += 1;
        self.count(bins, "fences", self.fences);
        if self.sets.is_none() {
            return;
        }
        let smallest = self.smallest;
        let elsewhere =
            |one: u64, other: Option<u64>| other.is_some_and(|o| o >> smallest != one >> smallest);
        for page in &self.back {
            let is_named = page.is_matched_by(fence);
            let mut without_asid = *fence;
            without_asid.asid = None;
            let is_spared =
                fence.asid.is_some() && page.mapping.global && page.is_matched_by(&without_asid);
            if is_named && elsewhere(page.gva.0, fence.gva.map(|gva| gva.0)) {
                bins.hit(Id::SecondAgain, &[0]);
            }
            if is_named && elsewhere(page.mapping.gpa.0, fence.gpa.map(|gpa| gpa.0)) {
                bins.hit(Id::SecondAgain, &[1]);
            }
            if !is_named && is_spared {
                bins.hit(Id::SecondAgain, &[2]);
            }
        }
        self.back.retain(|page| !page.is_matched_by(fence));
        self.filled.retain(|page| !page.is_matched_by(fence));
    }

    pub fn walked(&mut self, walked: &Walked, cycle: u64) {
        if self.sets.is_none() || !walked.fill {
            return;
        }
        if let Ok(mapping) = walked.found
            && mapping.page_size == self.smallest
        {
            let gva = walked.query.gva.0;
            self.filled_at = Some((self.set_of(gva), cycle));
            self.filled.truncate(MOST_FILLED - 1);
            self.filled
                .push_front(FilledPage::new(&walked.query, &mapping));
        }
    }

    /// The second-level TLB has answered a request.
    pub fn second_hit(&mut self, bins: &mut Bins, id: u8, cycle: u64) {
        let Some((query, _)) = self.place(id) else {
            return;
        };
        if let Some((set, filled)) = self.filled_at
            && set == self.set_of(query.gva.0)
            && cycle - filled <= BESIDE
        {
            bins.hit(Id::SecondAgain, &[3]);
        }
        let found = self.filled.iter().position(|filled| filled.is_for(&query));
        let Some(at) = found else {
            return;
        };
        let set = self.set_of(query.gva.0);
        let others = self.filled.iter().take(at);
        match others
            .filter(|other| self.set_of(other.gva.0) == set)
            .count()
        {
            0 => {}
            1 => bins.hit(Id::SecondAgain, &[4]),
            _ => bins.hit(Id::SecondAgain, &[5]),
        }
        self.back.truncate(MOST_BACK - 1);
        self.back.push_front(self.filled[at]);
    }
}
