// SPDX-License-Identifier: Apache-2.0
//! Observes a run, and gives each event to the covergroups.
//!
//! The collector keeps what several covergroups need: the requests without a response, the walks in
//! flight, what the TLB and the page-walk caches contain, the steps of a walk.

use std::collections::VecDeque;

use super::axes::{CacheHitAt, CacheKind, CacheMet, Operands, WalkPosition};
use super::bins::{Bins, Sampling};
use super::events::{
    self, CacheFence, CacheHit, CacheSwitch, FenceAccepted, FenceOffered, FinishedWalk, FoundEntry,
    L2Hit, MemoryError, MemoryRead, MemoryReply, NewWalk, PortWait, ReleasedWalk, Response,
};
use super::formats::{self, CoverageFormat};
use super::groups::Samplers;
use super::slots::Slots;
use super::steps::{EntryRead, Steps};
use super::walks::WalkInFlight;
use crate::addr::Gpa;
use crate::bench::{Beside, Observer, Read, Request, Walk, Walked};
use crate::dut::{Done, WalkStep};
use crate::format::Format;
use crate::golden::Step;
use crate::golden::occupancy::page_walk_cache::RecentEntries;
use crate::golden::occupancy::{PageWalkCache, RecentPages};
use crate::mmu::{Fence, Outcome, Position, Query, WalkCaches};
use crate::scenario::{Held, Scenario};

/// Observes the run of a scenario, and counts the bins that it hits.
#[derive(Debug)]
pub struct CoverageCollector<'a> {
    scenario: &'a Scenario,
    bins: &'a mut Bins,
    format: Format,
    rules: &'static dyn CoverageFormat,
    samplers: Samplers,
    /// Requests without a response, the oldest first.
    requests: VecDeque<LookedUp>,
    walks: Vec<WalkInFlight>,
    slots: Slots,
    /// The pages that the TLB certainly contains.
    tlb: RecentPages,
    /// The steps of the walk that is being reported.
    steps: Steps,
    /// The entries of page-walk caches, if any is in use at any time.
    caches: Option<RecentEntries>,
    /// The page-walk caches in use.
    used: WalkCaches,
    /// The page-walk caches in use at any time.
    ever: WalkCaches,
}

/// A request without a response, and the TLB when the request was accepted.
#[derive(Debug)]
struct LookedUp {
    id: u8,
    /// The entry of the TLB that permits it.
    entry: Option<FoundEntry>,
    /// The TLB contained an entry for it that denies the access.
    denied: bool,
}

impl<'a> CoverageCollector<'a> {
    /// Counts into `bins`, which are of the scenario's format.
    pub fn new(scenario: &'a Scenario, bins: &'a mut Bins) -> Self {
        let format = scenario.machine.format;
        debug_assert_eq!(format, bins.format());
        let device = scenario.machine.description();
        bins.show(device.visibility_with(scenario.walk_caches_ever()));
        Self {
            scenario,
            bins,
            format,
            rules: formats::of(format),
            samplers: Samplers::new(format),
            requests: VecDeque::new(),
            walks: Vec::new(),
            slots: Slots::new(format),
            tlb: Self::empty_tlb(scenario),
            steps: Steps::default(),
            caches: Self::empty_caches(scenario),
            used: scenario.machine.walk_caches,
            ever: scenario.walk_caches_ever(),
        }
    }

    fn empty_tlb(scenario: &Scenario) -> RecentPages {
        let machine = &scenario.machine;
        RecentPages::new(machine.format, machine.tlb_entries)
    }

    fn empty_caches(scenario: &Scenario) -> Option<RecentEntries> {
        let machine = &scenario.machine;
        let geometry = machine.format.geometry();
        let entries = machine.walk_cache_entries;
        let empty = || RecentEntries::new(geometry, entries, machine.walk_caches);
        scenario.walk_caches_ever().any().then(empty)
    }

    /// Gives an event to the covergroups.
    #[inline]
    fn sample(&mut self, event: impl FnOnce(&mut Samplers, &mut Sampling<'_>)) {
        let mut sampling = Sampling::new(&self.scenario.machine, self.bins);
        event(&mut self.samplers, &mut sampling);
    }

    fn has_walks(&self) -> bool {
        self.walks.iter().any(|walk| !walk.ended)
    }
}

/// Page-walk caches.
impl CoverageCollector<'_> {
    /// Replays the entries that a walk read: reports its hits in page-walk caches, and fills them.
    /// Gives the kinds of caches in which it hit.
    fn replay_caches(&mut self, query: &Query, steps: &Steps, overtaken: bool) -> Vec<CacheKind> {
        let mut led_by = Vec::new();
        let Some(mut caches) = self.caches.take() else {
            return led_by;
        };
        let ever = self.ever;
        let mut hits = steps.cache_hits.iter().peekable();
        let mut global = false;
        for (number, read) in steps.entries.iter().enumerate() {
            let entry = WalkPosition::of(&read.at);
            // The guest cache is looked up by the gVA.
            let gpa = match read.at {
                Position::Guest { .. } => Gpa::default(),
                Position::Host { gpa, .. } => gpa,
            };
            if let Some((_, step)) = hits.next_if(|(led_to, _)| *led_to == number) {
                let pass = step.pass;
                let at = CacheHitAt { pass, entry };
                if let Some(cache) = at.cache() {
                    global |= step.global;
                    let gpa = match cache {
                        PageWalkCache::Nested => step.gpa,
                        PageWalkCache::Guest { .. } | PageWalkCache::Host { .. } => gpa,
                    };
                    let (spared, switched_off) = caches.on_hit(cache, query, gpa, step.global);
                    let hit = CacheHit {
                        query,
                        cache,
                        at,
                        spared,
                        switched_off,
                    };
                    self.sample(|samplers, out| samplers.on_cache_hit(&hit, out));
                    let kind = CacheKind::of(cache);
                    if !led_by.contains(&kind) {
                        led_by.push(kind);
                    }
                }
            }
            // A walk that a fence has overtaken fills nothing; before that it may have filled.
            if !overtaken {
                let context = &query.context;
                let (cache, is_used, levels) = match read.at {
                    Position::Guest { level } => (
                        PageWalkCache::Guest { level },
                        ever.guest,
                        context.guest.levels,
                    ),
                    Position::Host { level, .. } => (
                        PageWalkCache::Host { level },
                        ever.host,
                        context.host.levels,
                    ),
                };
                let is_root = entry.level() + 1 == u32::from(levels);
                if is_used && read.is_read && !is_root {
                    caches.on_fill(cache, query, gpa, global);
                }
                if ever.nested && read.found_page {
                    caches.on_fill(PageWalkCache::Nested, query, gpa, false);
                }
            }
            global |= read.global;
        }
        self.caches = Some(caches);
        led_by
    }

    fn fence_caches(&mut self, fence: &Fence) {
        let Some(caches) = &mut self.caches else {
            return;
        };
        let met = caches.on_fence(fence);
        let (operands, has_walks) = (Operands::of(fence), self.has_walks());
        for (cache, effects) in met {
            for &met in CacheMet::ALL.iter().filter(|met| met.is_in(effects)) {
                let event = CacheFence {
                    operands,
                    cache,
                    met,
                    is_used: cache.is_in(self.used),
                    has_walks,
                };
                self.sample(|samplers, out| samplers.on_cache_fence(&event, out));
            }
        }
    }
}

impl Observer for CoverageCollector<'_> {
    const LIVE: bool = false;
    const STEPS: bool = true;

    fn walk_caches(&mut self, _: u64, used: WalkCaches) {
        let before = std::mem::replace(&mut self.used, used);
        for &kind in CacheKind::ALL {
            let is_on = kind.is_in(used);
            if is_on != kind.is_in(before) {
                let event = CacheSwitch { kind, is_on };
                self.sample(|samplers, out| samplers.on_cache_switch(&event, out));
            }
        }
        if let Some(caches) = &mut self.caches {
            caches.on_switch(used);
        }
    }

    fn waited(&mut self, port: Held, cycles: u32) {
        let event = PortWait {
            port,
            cycles: cycles.into(),
        };
        self.sample(|samplers, out| samplers.on_wait(&event, out));
    }

    fn erred(&mut self, is_update: bool, word: Beside) {
        let event = MemoryError { is_update, word };
        self.sample(|samplers, out| samplers.on_error(&event, out));
    }

    fn fence_offered(&mut self, cycle: u64, fence: &Fence, port: Option<u8>, response: Option<u8>) {
        let mut out = Sampling::new(&self.scenario.machine, self.bins);
        for walk in self.slots.outstanding(cycle, port, response) {
            let event = FenceOffered {
                fence,
                state: walk.state,
                space: walk.space,
                last: walk.last,
                requests: walk.requests,
            };
            self.samplers.on_fence_offered(&event, &mut out);
        }
    }

    fn took(&mut self, step: &WalkStep) {
        self.slots.on_step(step);
    }

    fn accepted(&mut self, _: u64, request: &Request) {
        let &Request {
            id, query, driven, ..
        } = request;
        self.slots.on_request(id, &query, driven);
        let event = events::Request {
            query: &query,
            driven: &driven,
            walks: &self.walks,
            slots: &self.slots,
            tlb: &self.tlb,
        };
        let mut out = Sampling::new(&self.scenario.machine, self.bins);
        self.samplers.on_request(&event, &mut out);

        let mut request = LookedUp {
            id,
            entry: None,
            denied: false,
        };
        if let Some(page) = self.tlb.find(&query).copied() {
            if page.outcome(self.format, &query).is_none() {
                request.denied = true;
            } else {
                let smallest = self.format.geometry().offset_width;
                request.entry = Some(FoundEntry {
                    page,
                    is_other_part: (page.gva.0 ^ query.gva.0) >> smallest != 0,
                });
                self.tlb.on_hit(&query);
            }
        }
        self.requests.push_back(request);
    }

    fn answered(&mut self, _: u64, request: &Request, outcome: &Outcome, hit: bool) {
        self.slots.take_request(request.id);
        let mut requests = self.requests.iter();
        let Some(at) = requests.position(|other| other.id == request.id) else {
            return;
        };
        let Some(looked_up) = self.requests.remove(at) else {
            return;
        };
        let event = Response {
            query: &request.query,
            outcome,
            hit,
            coalesced: request.is_coalesced,
            denied: looked_up.denied,
            by_l2: request.by_l2,
            entry: looked_up.entry.as_ref(),
            overtakes: at > 0,
        };
        self.sample(|samplers, out| samplers.on_response(&event, out));
        if hit && looked_up.entry.is_none() {
            self.tlb.on_unknown_hit();
        }
    }

    fn replayed(&mut self, _: u64, request: &Request) {
        self.slots.take_request(request.id);
        self.requests.retain(|other| other.id != request.id);
    }

    fn reset(&mut self) {
        self.samplers = Samplers::new(self.format);
        self.requests.clear();
        self.walks.clear();
        self.slots = Slots::new(self.format);
        self.tlb = Self::empty_tlb(self.scenario);
        self.caches = Self::empty_caches(self.scenario);
        if let Some(caches) = &mut self.caches {
            caches.on_switch(self.used);
        }
    }

    fn fenced(&mut self, _: u64, _: usize, fence: &Fence) {
        let event = FenceAccepted {
            fence,
            tlb: &self.tlb,
            walks: &self.walks,
        };
        let mut out = Sampling::new(&self.scenario.machine, self.bins);
        self.samplers.on_fence(&event, &mut out);
        self.tlb.on_fence(fence);
        self.fence_caches(fence);
        for walk in &mut self.walks {
            walk.overtaken |= !walk.ended && fence.matches_tag(walk.space);
        }
    }

    fn read(&mut self, slot: u8, _: Option<&Walk>, read: &Read) {
        self.slots.on_read(slot, read);
        let event = MemoryRead {
            slot,
            cycle: read.cycle,
        };
        self.sample(|samplers, out| samplers.on_read(&event, out));
    }

    fn replied(&mut self, cycle: u64, slot: u8) {
        let event = MemoryReply {
            slot,
            cycle,
            delay: self.slots.on_reply(slot, cycle),
        };
        self.sample(|samplers, out| samplers.on_reply(&event, out));
    }

    fn assigned(&mut self, cycle: u64, request: &Request, walk: &Walk) {
        let slot = walk.slot;
        self.slots.on_assignment(request, slot, cycle);
        if request.is_coalesced {
            let mut walks = self.walks.iter_mut();
            if let Some(walk) = walks.find(|walk| walk.slot == slot && !walk.ended) {
                walk.waiting += 1;
            }
            return;
        }
        self.walks.push(WalkInFlight::new(slot, &request.query));
        let event = NewWalk {
            slot,
            walks: self.walks.len(),
        };
        self.sample(|samplers, out| samplers.on_walk(&event, out));
    }

    fn second_hit(&mut self, cycle: u64, request: &Request) {
        self.slots.take_request(request.id);
        let event = L2Hit {
            query: &request.query,
            cycle,
        };
        self.sample(|samplers, out| samplers.on_l2_hit(&event, out));
        self.tlb.on_l2_hit();
    }

    fn given(&mut self, _: u64, done: &Done) {
        self.slots.on_result(done);
        let Some(at) = self.walks.iter().position(|walk| walk.slot == done.slot) else {
            return;
        };
        let walk = &mut self.walks[at];
        walk.ended = true;
        walk.waiting = walk.waiting.saturating_sub(1);
        walk.given += 1;
        if walk.waiting > 0 {
            return;
        }
        let walk = self.walks.swap_remove(at);
        let event = ReleasedWalk {
            requests: walk.given,
        };
        self.sample(|samplers, out| samplers.on_release(&event, out));
    }

    fn step(&mut self, query: &Query, step: &Step) {
        let event = events::WalkStep {
            query,
            step,
            entry: WalkPosition::of(&step.at),
            update: self.steps.add(step),
        };
        self.sample(|samplers, out| samplers.on_step(&event, out));
        if self.caches.is_some() && step.hpa.is_some() {
            self.steps.entries.push(EntryRead::of(step, self.rules));
        }
    }

    fn passed(&mut self, number: usize, step: &WalkStep) {
        self.steps.cache_hits.push((number, *step));
    }

    fn walked(&mut self, cycle: u64, walked: &Walked<'_>) {
        let Walked {
            walk,
            query,
            found,
            fill,
        } = walked;
        let steps = std::mem::take(&mut self.steps);
        let mut walks = self.walks.iter();
        let overtaken =
            walks.any(|other| other.slot == walk.slot && !other.ended && other.overtaken);
        let led_by = self.replay_caches(query, &steps, overtaken);
        let event = FinishedWalk {
            query,
            found,
            fill: *fill,
            cycle,
            used: self.used,
            cache_hits: steps.cache_hits.len(),
            led_by: &led_by,
            updated: steps.updated,
            lost_update: steps.lost_update,
            overtaken,
        };
        self.sample(|samplers, out| samplers.on_walk_end(&event, out));
        if let (true, Ok(mapping)) = (*fill, found) {
            self.tlb.on_fill(query, mapping);
        }
    }
}
