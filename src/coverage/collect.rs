// SPDX-License-Identifier: Apache-2.0
//! Watches a run, and counts the bins that it hits.

use std::collections::VecDeque;

use super::held::Held;
use super::model::{
    BESIDE, CacheMet, Form, Id, Mode, Model, Place, SWITCHES, WalkCache, used_index,
};
use super::situations::Situations;
use crate::addr::Gva;
use crate::bench::{Beside, Observer, Read, Walked};
use crate::dut::variants::VARIANTS;
use crate::dut::{Done, Miss, WalkStep};
use crate::format::{Format, riscv};
use crate::golden::{self, Mapping, Meaning, Step};
use crate::mmu::{
    Access, Context, Extent, Fault, FaultKind, Fence, Outcome, Position, Purpose, Query, Space,
    WalkCaches,
};
use crate::scenario::{Held as HeldPort, Op, Scenario};

/// The counts of one run: few of the bins are hit in one, so what is hit is remembered.
#[derive(Debug)]
pub struct Bins {
    model: &'static Model,
    counts: Vec<u32>,
    hit: Vec<u32>,
}

impl Bins {
    /// No bin of the format has been hit.
    pub fn new(format: Format) -> Self {
        let model = Model::of(format);
        Self {
            model,
            counts: vec![0; model.bins],
            hit: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn hit(&mut self, id: Id, at: &[usize]) {
        let Some(group) = self.model.group(id) else {
            return;
        };
        let bin = group.start + group.index(at);
        if self.counts[bin] == 0 {
            self.hit.push(bin as u32);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
    }

    /// What has been hit, by bin, with its count; then nothing has.
    pub fn take(&mut self) -> Hits {
        self.hit.sort_unstable();
        let counts = &mut self.counts;
        let bins = self
            .hit
            .drain(..)
            .map(|bin| (bin, std::mem::take(&mut counts[bin as usize])))
            .collect();
        Hits {
            format: self.model.format,
            bins,
        }
    }
}

/// The bins that a run has hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// Of which format.
    pub format: Format,
    /// Each bin's number in its [`Model`], and how often.
    pub bins: Vec<(u32, u32)>,
}

/// Watches the run of a scenario.
#[derive(Debug)]
pub struct Watch<'a> {
    scenario: &'a Scenario,
    bins: &'a mut Bins,
    format: Format,
    /// Where the machine's number of slots is on its axis; none if it is not of the table of variants.
    slots: Option<usize>,
    requests: VecDeque<Request>,
    /// Walks that have not ended.
    walks: Vec<Walk>,
    tlb: Tlb,
    /// Slots of the reads that memory has not answered, the oldest first.
    reads: VecDeque<u8>,
    /// The context of the last request.
    context: Option<usize>,
    steps: Steps,
    /// What walk caches hold, if any is in use.
    held: Option<Held>,
    /// For each slot, when its walk was given a word that it has not gone on from.
    words: [Option<u64>; 16],
    /// The walk caches that are in use, and those that are at any time.
    used: WalkCaches,
    ever: WalkCaches,
    /// A device of the table has a read bypass, or none, as this one: the others have no bins.
    counts_next_read: bool,
    situations: Situations,
}

/// A request without an answer.
#[derive(Debug)]
struct Request {
    op: usize,
    id: u8,
    shared: bool,
    /// The second-level TLB has answered it.
    by_second: bool,
    /// The entry that it found: where the pages of both leaves are on their axis, and whether the request is for another part.
    part: Option<[usize; 3]>,
    /// The TLB held an entry for it that does not permit the access.
    denied: bool,
}

#[derive(Debug)]
struct Walk {
    slot: u8,
    space: Space,
    context: Context,
    /// Requests that wait for its result, and that have had it.
    waiting: u32,
    given: u32,
    ended: bool,
    /// A fence has named its address space.
    overtaken: bool,
}

/// An entry of the TLB.
#[derive(Clone, Copy, Debug)]
struct Entry {
    space: Space,
    mapping: Mapping,
    /// The gVA that was walked for.
    gva: u64,
}

/// The entries that the device's TLB surely holds: those used last. A tree pseudo-LRU of n entries keeps the log2(n)+1 used last, whatever
/// came before them; and while all that was ever filled fits, nothing is replaced.
#[derive(Debug)]
struct Tlb {
    riscv: bool,
    smallest: u32,
    capacity: usize,
    /// The last used first; none where it is not known which.
    entries: Vec<Option<Entry>>,
    /// Entries of contexts without and with [`Context::virt`] may be there that are not among these.
    others: [bool; 2],
}

/// What a walk's steps have shown so far.
#[derive(Debug, Default)]
struct Steps {
    /// The word of the leaf that is to be updated, of guest and host.
    expected: [u64; 2],
    /// Memory types of the leaves of guest and host.
    types: [usize; 2],
    /// Compare-and-swaps that were made, and that were lost.
    made: bool,
    lost: bool,
    /// Where walk caches are in use: the entries that were read or updated, and what has led to some of them.
    entries: Vec<Taken>,
    passes: Vec<(usize, WalkStep)>,
}

/// An entry that a walk has read or updated.
#[derive(Clone, Copy, Debug)]
struct Taken {
    at: Position,
    /// It was read, and was no fault.
    is_read: bool,
    /// A pointer of the guest's with G set.
    global: bool,
    /// The host's leaf of a guest entry that is to be read.
    found_page: bool,
}

impl Tlb {
    fn new(scenario: &Scenario) -> Self {
        let format = scenario.machine.format;
        Self {
            riscv: format.is_riscv(),
            smallest: format.geometry().offset_width,
            capacity: scenario.machine.tlb_entries as usize,
            entries: Vec::new(),
            others: [false; 2],
        }
    }

    /// Of the space, what a look-up compares: outside virtual machines there is no VMID, and a global page has no ASID.
    fn tag(space: Space, global: bool) -> Space {
        Space {
            asid: if global { 0 } else { space.asid },
            vmid: if space.virt { space.vmid } else { 0 },
            ..space
        }
    }

    fn covers(entry: &Entry, gva: u64) -> bool {
        entry.gva >> entry.mapping.page_size == gva >> entry.mapping.page_size
    }

    fn known(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    fn find(&self, space: Space, gva: u64) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.is_some_and(|entry| {
                let global = entry.mapping.global;
                Self::covers(&entry, gva)
                    && Self::tag(entry.space, global) == Self::tag(space, global)
            })
        })
    }

    fn fill(&mut self, new: Entry) {
        self.entries.retain(|old| {
            old.is_none_or(|old| {
                let global = new.mapping.global || old.mapping.global;
                let size = new.mapping.page_size.max(old.mapping.page_size);
                old.gva >> size != new.gva >> size
                    || Self::tag(old.space, global) != Self::tag(new.space, global)
            })
        });
        if self.entries.len() >= self.capacity {
            self.forget();
        }
        self.use_now(Some(new));
    }

    /// From now on something may be replaced: what was used last is all that is known.
    fn forget(&mut self) {
        let kept = self.capacity.ilog2() as usize + 1;
        for entry in self.entries.drain(kept.min(self.entries.len())..) {
            match entry {
                Some(entry) => self.others[usize::from(entry.space.virt)] = true,
                None => self.others = [self.riscv, true],
            }
        }
    }

    /// An entry is used that was not among those known, or is moved to their front.
    fn use_now(&mut self, entry: Option<Entry>) {
        self.entries.insert(0, entry);
        if self.others != [false; 2] {
            self.forget();
        }
    }

    fn fence(&mut self, fence: &Fence) {
        // A fill in this very cycle finds no room that the fence makes.
        if self.entries.len() >= self.capacity {
            self.forget();
        }
        self.entries.retain(|entry| {
            entry.is_none_or(|entry| !fence.names(entry.space, &Self::extent(&entry)))
        });
        let everything = Fence {
            virt: fence.virt,
            ..Fence::default()
        };
        if *fence == everything {
            self.others[usize::from(fence.virt)] = false;
        }
        if self.others == [false; 2] {
            self.entries.retain(Option::is_some);
        }
    }

    fn extent(entry: &Entry) -> Extent {
        entry.mapping.extent(Gva(entry.gva))
    }
}

impl<'a> Watch<'a> {
    /// Counts into `bins`, which are of the scenario's format.
    pub fn new(scenario: &'a Scenario, bins: &'a mut Bins) -> Self {
        let format = scenario.machine.format;
        debug_assert_eq!(format, bins.model.format);
        let slots = bins
            .model
            .slots
            .iter()
            .position(|&slots| slots == scenario.machine.slots);
        Self {
            scenario,
            format,
            slots,
            bins,
            requests: VecDeque::new(),
            walks: Vec::new(),
            tlb: Tlb::new(scenario),
            reads: VecDeque::new(),
            context: None,
            steps: Steps::default(),
            held: Self::empty_caches(scenario),
            words: [None; 16],
            used: scenario.machine.walk_caches,
            ever: scenario.walk_caches_ever(),
            counts_next_read: VARIANTS.iter().any(|variant| {
                variant.format == format as u32
                    && variant.read_bypass == scenario.machine.read_bypass
            }),
            situations: Situations::new(scenario),
        }
    }

    fn empty_caches(scenario: &Scenario) -> Option<Held> {
        let machine = &scenario.machine;
        let geometry = machine.format.geometry();
        let held = || Held::new(geometry, machine.walk_cache_entries, machine.walk_caches);
        scenario.walk_caches_ever().any().then(held)
    }

    #[inline]
    fn hit(&mut self, id: Id, at: &[usize]) {
        self.bins.hit(id, at);
    }

    fn query(&self, op: usize) -> Option<(usize, Query)> {
        match self.scenario.ops.get(op) {
            Some(Op::Access(access)) => Some((
                access.context,
                Query {
                    context: self
                        .scenario
                        .machine
                        .heeded(&self.scenario.contexts[access.context].context),
                    gva: access.gva,
                    access: access.access,
                },
            )),
            _ => None,
        }
    }

    fn mode(&self, context: &Context) -> Option<usize> {
        self.bins.model.mode(Mode::of(context))
    }

    /// The size of each stage's page on its axis.
    fn sizes(&self, space: Space, mapping: &Mapping) -> Option<[usize; 2]> {
        let size = |levels: u8, size| self.bins.model.size((levels > 0).then_some(size));
        Some([
            size(space.guest_levels, mapping.guest.page_size)?,
            size(space.host_levels, mapping.host.page_size)?,
        ])
    }

    /// What the request differs in from an entry that would be its own otherwise.
    fn beside(&mut self, query: &Query) {
        let space = query.context.space();
        let mut seen = [false; BESIDE.len()];
        for entry in self.tlb.known() {
            let (other, global) = (entry.space, entry.mapping.global);
            let covers = Tlb::covers(entry, query.gva.0);
            let size = entry.mapping.page_size;
            // A neighbour: one bit of the page number is another.
            let neighbour = ((entry.gva ^ query.gva.0) >> size).is_power_of_two();
            if !covers && !neighbour {
                continue;
            }
            let differs = [
                !covers,
                space.virt != other.virt,
                space.guest_levels != other.guest_levels,
                space.host_levels != other.host_levels,
                space.rights != other.rights,
                space.asid != other.asid && !global,
                space.vmid != other.vmid && space.virt,
                space.asid != other.asid && global,
                space.vmid != other.vmid && !space.virt,
            ];
            if differs.iter().filter(|&&differs| differs).count() == 1 {
                for (seen, differs) in seen.iter_mut().zip(differs) {
                    *seen |= differs;
                }
            }
        }
        for (at, _) in seen.iter().enumerate().filter(|(_, seen)| **seen) {
            self.hit(Id::Beside, &[at]);
        }
    }

    fn switched(&mut self, context: usize) {
        let Some(before) = self.context.replace(context) else {
            return;
        };
        if before == context {
            return;
        }
        let before = self.scenario.contexts[before].context;
        let now = self.scenario.contexts[context].context;
        let under_way = self
            .walks
            .iter()
            .any(|walk| !walk.ended && walk.context == before);
        let differs: [bool; SWITCHES.len()] = [
            before.virt != now.virt,
            before.guest.levels != now.guest.levels,
            before.host.levels != now.host.levels,
            before.guest.root != now.guest.root,
            before.host.root != now.host.root,
            before.asid != now.asid,
            before.vmid != now.vmid,
            before.user != now.user,
            before.sum != now.sum,
            before.guest.mxr != now.guest.mxr,
            before.host.mxr != now.host.mxr,
            before.guest.adue != now.guest.adue,
            before.host.adue != now.host.adue,
            before.guest.pbmte != now.guest.pbmte,
            before.host.pbmte != now.host.pbmte,
            before.napot != now.napot,
            before.rights != now.rights,
        ];
        for (at, _) in differs.iter().enumerate().filter(|(_, differs)| **differs) {
            self.hit(Id::Switch, &[at, usize::from(under_way)]);
        }
    }

    /// Leaves that have come as far as the check of rights.
    fn rights(&mut self, query: &Query, step: &Step, word: u64) {
        let place = Place::of(&step.at);
        let access = query.access as usize;
        let rights_at = |rights| {
            self.bins
                .model
                .rights
                .iter()
                .position(|&known| known == rights)
        };
        if self.format.is_riscv() {
            let entry = riscv::Entry(word);
            let Some(rights) = rights_at(entry.rights()) else {
                return;
            };
            let user = usize::from(entry.user());
            let context = &query.context;
            match place {
                Place::Guest { .. } => {
                    let who = match (context.user, context.sum) {
                        (true, _) => 0,
                        (false, sum) => 1 + usize::from(sum),
                    };
                    let mxr = usize::from(context.guest.mxr);
                    self.hit(Id::GuestRights, &[rights, user, who, mxr, access]);
                }
                Place::Host { purpose, .. } => {
                    let mxr = usize::from(context.host.mxr);
                    match purpose {
                        Purpose::Data => self.hit(Id::HostRights, &[rights, user, mxr, access]),
                        Purpose::GuestEntry(_) => self.hit(Id::WalkRights, &[0, rights, user, mxr]),
                        Purpose::GuestUpdate(_) => {
                            self.hit(Id::WalkRights, &[1, rights, user, mxr])
                        }
                    }
                }
            }
        } else if query.context.rights {
            let geometry = self.format.geometry();
            let entry = crate::format::handout::Entry::new(word, geometry.hpa_width, &geometry);
            let Some(rights) = rights_at(entry.rights()) else {
                return;
            };
            match place {
                Place::Guest { .. } => self.hit(Id::GuestRights, &[rights, access]),
                Place::Host { purpose, .. } => match purpose {
                    Purpose::Data => self.hit(Id::HostRights, &[rights, access]),
                    _ => self.hit(Id::WalkRights, &[rights]),
                },
            }
        }
    }

    /// What is special to RISC-V about a step.
    fn riscv_step(&mut self, query: &Query, step: &Step) {
        let place = Place::of(&step.at);
        let stage = match place {
            Place::Guest { .. } => 0,
            Place::Host { purpose, .. } => match purpose {
                Purpose::Data => 1,
                Purpose::GuestEntry(_) => 2,
                Purpose::GuestUpdate(_) => 3,
            },
        };
        let side = usize::from(stage > 0);
        let level = place.level() as usize;
        if step.update.is_some() {
            let outcome = match (step.word, step.meaning) {
                (None, _) => 5,
                (Some(word), _) if word == self.steps.expected[side] => 0,
                (_, Meaning::SetAccessedDirty) => 2,
                (_, Meaning::GuestTable(_) | Meaning::HostTable(_)) => 3,
                (_, Meaning::Fault(_)) => 4,
                (_, Meaning::DataGpa(_) | Meaning::Found(_)) => 1,
            };
            self.hit(Id::Update, &[stage, level, outcome]);
            self.steps.made |= outcome == 0;
            self.steps.lost |= (1..=4).contains(&outcome);
        }
        let Some(word) = step.word else {
            return;
        };
        let entry = riscv::Entry(word);
        let made = step.update.is_some() && word == self.steps.expected[side];
        let then = match step.meaning {
            Meaning::SetAccessedDirty => Some(0),
            Meaning::Fault(FaultKind::AccessedDirty) => Some(1),
            _ => None,
        };
        if let Some(then) = then {
            let found = match (entry.accessed(), entry.dirty()) {
                (false, false) => 0,
                (false, true) => 1,
                (true, _) => 2,
            };
            self.hit(Id::Status, &[stage, found, query.access as usize, then]);
        }
        if step.meaning == Meaning::SetAccessedDirty {
            self.steps.expected[side] = word;
        }
        let is_leaf = matches!(step.meaning, Meaning::DataGpa(_) | Meaning::Found(_));
        if is_leaf && (stage == 0 || stage == 1) {
            self.steps.types[side] = 1 + usize::from(entry.pbmt());
        }
        if stage == 0 && entry.global() && !matches!(step.meaning, Meaning::Fault(_)) && !made {
            match step.meaning {
                Meaning::GuestTable(_) => self.hit(Id::Global, &[0, level]),
                Meaning::DataGpa(_) => self.hit(Id::Global, &[1, level]),
                _ => {}
            }
        }
    }
}

/// Walk caches.
impl Watch<'_> {
    /// What became of a walk by them, and what they know of it.
    fn walk_caches(&mut self, walked: &Walked, steps: &Steps) {
        let Walked {
            slot, query, found, ..
        } = walked;
        let (used, ever) = (self.used, self.ever);
        let times = steps.passes.len().min(3);
        self.hit(Id::WalkCaches, &[used_index(used), times]);
        let Some(mut held) = self.held.take() else {
            return;
        };
        let overtaken =
            (self.walks.iter()).any(|walk| walk.slot == *slot && !walk.ended && walk.overtaken);
        let mut passes = steps.passes.iter().peekable();
        let mut led = [false; 3];
        let mut global = false;
        for (number, taken) in steps.entries.iter().enumerate() {
            let place = Place::of(&taken.at);
            let address = match taken.at {
                Position::Guest { .. } => query.gva.0,
                Position::Host { gpa, .. } => gpa.0,
            };
            if let Some((_, step)) = passes.next_if(|(passed, _)| *passed == number)
                && let Some(cache) = WalkCache::of(step.pass, place)
            {
                global |= step.global;
                self.passed_over(query, step, place);
                let address = match cache {
                    WalkCache::Nested => step.gpa.0,
                    _ => address,
                };
                if let Some(since) = held.led_after_switch(cache, query, address) {
                    self.hit(Id::CacheSwitch, &[step.pass as usize - 1, since]);
                }
                let spared = held.pass(cache, query, address, step.global);
                for (at, by) in CacheMet::SPARED.iter().enumerate() {
                    if spared & by.bit() != 0 {
                        let cache = cache.index(&self.format.geometry());
                        self.hit(Id::PassAfter, &[cache, at]);
                    }
                }
                led[step.pass as usize - 1] = true;
            }
            // Nothing goes in of a walk that a fence has overtaken; before that some of it may have.
            if !overtaken {
                let context = &query.context;
                let (cache, is_used, levels) = match taken.at {
                    Position::Guest { level } => {
                        (WalkCache::Guest { level }, ever.guest, context.guest.levels)
                    }
                    Position::Host { level, .. } => {
                        (WalkCache::Host { level }, ever.host, context.host.levels)
                    }
                };
                let is_root = place.level() + 1 == u32::from(levels);
                if is_used && taken.is_read && !is_root {
                    held.fill(cache, query, address, global);
                }
                if ever.nested && taken.found_page {
                    held.fill(WalkCache::Nested, query, address, false);
                }
            }
            global |= taken.global;
        }
        self.held = Some(held);
        self.pass_ends(query.access, found, steps, led, overtaken);
    }

    fn passed_over(&mut self, query: &Query, step: &WalkStep, place: Place) {
        let model = self.bins.model;
        if let Some(mode) = self.mode(&query.context)
            && let Some(led) = model.pass(step.pass, place)
        {
            self.hit(Id::Pass, &[mode, led]);
        }
    }

    /// What became of a walk that kinds of walk caches have led.
    fn pass_ends(
        &mut self,
        access: Access,
        found: &Result<Mapping, Fault>,
        steps: &Steps,
        led: [bool; 3],
        overtaken: bool,
    ) {
        let end = match found {
            Ok(_) => 0,
            Err(fault) => match Place::of(&fault.at) {
                Place::Guest { .. } => 1,
                Place::Host { purpose, .. } => match purpose {
                    Purpose::GuestEntry(_) => 2,
                    Purpose::GuestUpdate(_) => 3,
                    Purpose::Data => 4,
                },
            },
        };
        let ends = [
            (end, true),
            (5, steps.made),
            (6, steps.lost),
            (7, overtaken),
        ];
        for (kind, _) in led.iter().enumerate().filter(|(_, led)| **led) {
            for (end, _) in ends.iter().filter(|(_, is_so)| *is_so) {
                self.hit(Id::PassEnd, &[kind, access as usize, *end]);
            }
        }
    }

    fn cache_fence(&mut self, form: usize, fence: &Fence) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let is_idle = self.walks.iter().all(|walk| walk.ended);
        for (at, (cache, met)) in held.fence(fence).into_iter().enumerate() {
            let is_used = cache.is_of(self.used);
            if !is_used && met & CacheMet::Named.bit() != 0 {
                self.hit(Id::CacheSwitch, &[cache.kind(), 4]);
            }
            for (number, how) in CacheMet::ALL.into_iter().enumerate() {
                // What a walk under way has read may be there already.
                let is_known = how != CacheMet::Nothing || is_idle;
                if is_used && is_known && met & how.bit() != 0 {
                    self.hit(Id::CacheFence, &[form, at, number]);
                }
            }
        }
        self.held = Some(held);
    }
}

/// Where so many cycles are on the axis of [`Id::Wait`].
fn cycles_class(cycles: u64) -> usize {
    match cycles {
        0 => 0,
        1..=3 => 1,
        4..=19 => 2,
        20..=99 => 3,
        _ => 4,
    }
}

impl Taken {
    fn of(step: &Step) -> Self {
        let is_fault = matches!(step.meaning, Meaning::Fault(_));
        let is_entry_page = matches!(
            step.at,
            Position::Host {
                purpose: Purpose::GuestEntry(_),
                ..
            }
        );
        Self {
            at: step.at,
            is_read: step.word.is_some() && step.update.is_none() && !is_fault,
            global: matches!(step.meaning, Meaning::GuestTable(_))
                && step.word.is_some_and(|word| riscv::Entry(word).global()),
            found_page: is_entry_page && matches!(step.meaning, Meaning::Found(_)),
        }
    }
}

impl Observer for Watch<'_> {
    const LIVE: bool = false;
    const STEPS: bool = true;

    fn walk_caches(&mut self, _: u64, used: WalkCaches) {
        let before = std::mem::replace(&mut self.used, used);
        let switched = [
            (before.guest, used.guest),
            (before.host, used.host),
            (before.nested, used.nested),
        ];
        for (kind, (before, now)) in switched.into_iter().enumerate() {
            if before != now {
                self.hit(Id::CacheSwitch, &[kind, usize::from(!now)]);
            }
        }
        if let Some(held) = &mut self.held {
            held.use_now(used);
        }
    }

    fn waited(&mut self, what: HeldPort, cycles: u32) {
        self.hit(Id::Wait, &[what as usize, cycles_class(cycles.into())]);
    }

    fn erred(&mut self, is_update: bool, beside: Beside) {
        self.hit(Id::ErrorWord, &[usize::from(is_update), beside as usize]);
    }

    fn fence_offered(&mut self, cycle: u64, fence: &Fence, port: Option<u8>, response: Option<u8>) {
        let form = Form::index(self.format, fence);
        self.situations
            .fence_offered(self.bins, cycle, fence, form, port, response);
    }

    fn took(&mut self, step: &WalkStep) {
        self.situations.took(step);
    }

    fn accepted(&mut self, _: u64, op: usize, id: u8) {
        let Some((context, query)) = self.query(op) else {
            return;
        };
        let driven = self.scenario.contexts[context].context;
        self.situations.accepted(self.bins, id, &query, driven);
        self.switched(context);
        self.beside(&query);
        let space = query.context.space();
        let mut request = Request {
            op,
            id,
            shared: false,
            by_second: false,
            part: None,
            denied: false,
        };
        if let Some(at) = self.tlb.find(space, query.gva.0)
            && let Some(entry) = self.tlb.entries[at]
        {
            if golden::answer_from(self.format, &query, &entry.mapping).is_none() {
                request.denied = true;
            } else {
                let other = (entry.gva ^ query.gva.0) >> self.tlb.smallest != 0;
                request.part = self
                    .sizes(entry.space, &entry.mapping)
                    .map(|[guest, host]| [guest, host, usize::from(other)]);
                self.tlb.entries.remove(at);
                self.tlb.use_now(Some(entry));
            }
        }
        self.requests.push_back(request);
    }

    fn answered(&mut self, _: u64, op: usize, outcome: &Outcome, hit: bool) {
        let Some(at) = self.requests.iter().position(|request| request.op == op) else {
            return;
        };
        self.situations.answered(self.requests[at].id);
        let Some(request) = self.requests.remove(at) else {
            return;
        };
        let Some((_, query)) = self.query(op) else {
            return;
        };
        let answer = match (hit, outcome) {
            (true, Ok(_)) => 0,
            (true, Err(Fault { at, .. })) => match Place::of(at) {
                Place::Guest { .. } => 1,
                Place::Host { .. } => 2,
            },
            (false, _) if request.denied && !request.shared => 3,
            (false, _) => 4 + usize::from(request.shared),
        };
        if let Some(mode) = self.mode(&query.context) {
            self.hit(Id::LookUp, &[mode, query.access as usize, answer]);
        }
        match request.part {
            Some(part) if hit => self.hit(Id::Part, &part),
            None if hit => self.tlb.use_now(None),
            _ => {}
        }
        if request.by_second
            && let Ok(translation) = outcome
            && let Some(mode) = self.mode(&query.context)
        {
            let smallest = self.format.geometry().offset_width;
            let is_larger = translation.page_size > smallest;
            self.hit(Id::SecondLevel, &[mode, usize::from(is_larger)]);
        }
        let kind = match (hit, request.shared) {
            (true, _) => 0,
            (false, shared) => 1 + usize::from(shared),
        };
        self.hit(Id::AnswerOrder, &[kind, usize::from(at > 0)]);
    }

    fn replayed(&mut self, _: u64, op: usize) {
        if let Some(request) = self.requests.iter().find(|request| request.op == op) {
            self.situations.answered(request.id);
        }
        self.requests.retain(|request| request.op != op);
    }

    fn reset(&mut self) {
        self.requests.clear();
        self.walks.clear();
        self.reads.clear();
        self.tlb = Tlb::new(self.scenario);
        self.context = None;
        self.held = Self::empty_caches(self.scenario);
        self.words = [None; 16];
        self.situations.reset();
        if let Some(held) = &mut self.held {
            held.use_now(self.used);
        }
    }

    fn fenced(&mut self, _: u64, _: usize, fence: &Fence) {
        let form = Form::index(self.format, fence);
        let mut met = [false; super::model::EFFECTS.len()];
        for entry in self.tlb.known() {
            let extent = Tlb::extent(entry);
            let named = |fence: &Fence| fence.names(entry.space, &extent);
            let without = |change: fn(&mut Fence)| {
                let mut other = *fence;
                change(&mut other);
                other.names(entry.space, &extent)
            };
            let effect = if named(fence) {
                0
            } else if fence.virt != entry.space.virt {
                1
            } else if without(|fence| fence.gva = None) {
                2
            } else if without(|fence| fence.gpa = None) {
                3
            } else if without(|fence| fence.asid = None) {
                4 + usize::from(extent.global)
            } else if without(|fence| fence.vmid = None) {
                6
            } else {
                continue;
            };
            met[effect] = true;
        }
        for walk in self.walks.iter().filter(|walk| !walk.ended) {
            met[if fence.names_space(walk.space) { 7 } else { 8 }] = true;
        }
        met[9] = self.tlb.entries.is_empty()
            && self.tlb.others == [false; 2]
            && self.walks.iter().all(|walk| walk.ended);
        for (at, _) in met.iter().enumerate().filter(|(_, met)| **met) {
            self.hit(Id::Fence, &[form, at]);
        }
        self.tlb.fence(fence);
        self.situations.fenced(self.bins, fence);
        self.cache_fence(form, fence);
        for walk in &mut self.walks {
            walk.overtaken |= !walk.ended && fence.names_space(walk.space);
        }
    }

    fn read(&mut self, slot: u8, read: &Read) {
        self.situations.read(slot, read);
        self.reads.push_back(slot);
        if let Some(word) = self.words.get_mut(usize::from(slot)).and_then(Option::take) {
            let waited = (read.cycle - word).min(2) as usize;
            let bypass = usize::from(self.scenario.machine.read_bypass);
            if self.counts_next_read {
                self.hit(Id::NextRead, &[bypass, waited]);
            }
        }
    }

    fn replied(&mut self, cycle: u64, slot: u8) {
        if let Some(cycles) = self.situations.replied(slot, cycle) {
            let answers = HeldPort::Answers as usize;
            self.hit(Id::Wait, &[answers, cycles_class(cycles)]);
        }
        if let Some(word) = self.words.get_mut(usize::from(slot)) {
            *word = Some(cycle);
        }
        if let Some(at) = self.reads.iter().position(|&reading| reading == slot) {
            let others = (self.reads.len() - 1).min(3);
            self.hit(Id::ReplyOrder, &[others, usize::from(at > 0)]);
            self.reads.remove(at);
        }
    }

    fn missed(&mut self, cycle: u64, miss: &Miss) {
        self.situations.missed(miss, cycle);
        let Some(request) = self
            .requests
            .iter_mut()
            .rfind(|request| request.id == miss.id)
        else {
            return;
        };
        request.shared = miss.merged;
        let op = request.op;
        let open = |walk: &&mut Walk| walk.slot == miss.slot && !walk.ended;
        if miss.merged {
            if let Some(walk) = self.walks.iter_mut().find(open) {
                walk.waiting += 1;
            }
            return;
        }
        let Some((_, query)) = self.query(op) else {
            return;
        };
        if let Some(word) = self.words.get_mut(usize::from(miss.slot)) {
            *word = None;
        }
        self.walks.push(Walk {
            slot: miss.slot,
            space: query.context.space(),
            context: query.context,
            waiting: 1,
            given: 0,
            ended: false,
            overtaken: false,
        });
        if let Some(slots) = self.slots {
            let walks = self.walks.len().min(16);
            if walks <= self.scenario.machine.slots as usize {
                self.hit(Id::Slots, &[slots, walks - 1]);
            }
        }
    }

    fn second_hit(&mut self, cycle: u64, id: u8) {
        self.situations.second_hit(self.bins, id, cycle);
        let request = self.requests.iter_mut().rfind(|request| request.id == id);
        if let Some(request) = request {
            request.by_second = true;
        }
        // The first level has taken an entry, which one is told by the answer only, and may have replaced any of its own.
        self.tlb.use_now(None);
        self.tlb.forget();
    }

    fn given(&mut self, _: u64, done: &Done) {
        self.situations.given(done);
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
        let given = walk.given;
        self.walks.swap_remove(at);
        if let Some(slots) = self.slots {
            let requests = match given {
                0..=3 => given.max(1) as usize - 1,
                4..=7 => 3,
                _ => 4,
            };
            self.hit(Id::Shared, &[slots, requests]);
        }
    }

    fn step(&mut self, query: &Query, step: &Step) {
        let place = self.bins.model.place(Place::of(&step.at));
        if self.format.is_riscv() {
            self.riscv_step(query, step);
        }
        if self.held.is_some() && step.hpa.is_some() {
            self.steps.entries.push(Taken::of(step));
        }
        let Some(word) = step.word else {
            return;
        };
        let kind = match step.meaning {
            Meaning::GuestTable(_) | Meaning::HostTable(_) => Some(0),
            Meaning::DataGpa(_) | Meaning::Found(_) => {
                let napot = self.format == Format::Rv64 && riscv::Entry(word).napot();
                Some(1 + usize::from(napot))
            }
            _ => None,
        };
        if let Some(kind) = kind {
            if let Some(mode) = self.mode(&query.context) {
                self.hit(Id::Entry, &[mode, place, kind]);
            }
            self.hit(Id::Use, &[place, kind, query.access as usize]);
        }
        let has_rights = matches!(
            step.meaning,
            Meaning::DataGpa(_)
                | Meaning::Found(_)
                | Meaning::SetAccessedDirty
                | Meaning::Fault(FaultKind::Permission | FaultKind::AccessedDirty)
        );
        if has_rights {
            self.rights(query, step, word);
        }
    }

    fn passed(&mut self, number: usize, step: &WalkStep) {
        self.steps.passes.push((number, *step));
    }

    fn walked(&mut self, cycle: u64, walked: &Walked) {
        self.situations.walked(walked, cycle);
        let Walked {
            query, found, fill, ..
        } = walked;
        let steps = std::mem::take(&mut self.steps);
        let types = steps.types;
        if self.format.is_riscv() {
            self.walk_caches(walked, &steps);
        }
        let Some(mode) = self.mode(&query.context) else {
            return;
        };
        let access = query.access as usize;
        let mapping = match found {
            Err(fault) => {
                let place = self.bins.model.place(Place::of(&fault.at));
                let kind = fault.kind as usize - 1;
                self.hit(Id::Fault, &[mode, access, kind, place]);
                return;
            }
            Ok(mapping) => mapping,
        };
        let space = query.context.space();
        if let Some([guest, host]) = self.sizes(space, mapping) {
            self.hit(Id::Translation, &[mode, access, guest, host]);
        }
        if types != [0; 2] {
            self.hit(Id::MemoryType, &types);
        }
        if *fill {
            self.tlb.fill(Entry {
                space,
                mapping: *mapping,
                gva: query.gva.0,
            });
        }
    }
}

// The axis of accesses is in the order of their numbers.
const _: () = assert!(
    Access::Load as usize == 0
        && Access::Store as usize == 1
        && Access::Fetch as usize == 2
        && Access::LoadExecute as usize == 3
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, Hpa};
    use crate::golden::Leaf;
    use crate::mmu::{MemoryType, Rights};

    fn tlb(capacity: usize) -> Tlb {
        Tlb {
            riscv: true,
            smallest: 12,
            capacity,
            entries: Vec::new(),
            others: [false; 2],
        }
    }

    fn entry(virt: bool, page: u64, page_size: u32) -> Entry {
        let leaf = Leaf {
            rights: Rights::ALL,
            user: true,
            dirty: true,
            page_size,
        };
        Entry {
            space: Space {
                virt,
                guest_levels: 3,
                host_levels: 0,
                rights: false,
                asid: 1,
                vmid: 2,
            },
            mapping: Mapping {
                gpa: Gpa(page << 12),
                hpa: Hpa(page << 12),
                guest: leaf,
                host: leaf,
                global: false,
                memory_type: MemoryType::Pma,
                page_size,
            },
            gva: page << 12,
        }
    }

    fn pages(tlb: &Tlb) -> Vec<u64> {
        tlb.known().map(|entry| entry.gva >> 12).collect()
    }

    #[test]
    fn all_is_known_while_it_fits_and_then_what_was_used_last() {
        let mut tlb = tlb(4);
        for page in 0..4 {
            tlb.fill(entry(true, page, 12));
        }
        assert_eq!(pages(&tlb), [3, 2, 1, 0]);
        tlb.fill(entry(true, 4, 12));
        assert_eq!(pages(&tlb), [4, 3, 2]);
        // A hit of another entry, which may be any: it is among the last three now.
        tlb.use_now(None);
        assert_eq!(pages(&tlb), [4, 3]);
        tlb.fill(entry(true, 5, 12));
        assert_eq!(pages(&tlb), [5, 4]);
    }

    #[test]
    fn a_fence_of_everything_makes_all_known_again() {
        let mut tlb = tlb(4);
        for page in 0..6 {
            tlb.fill(entry(page % 2 == 0, page, 12));
        }
        assert_eq!(tlb.others, [true; 2]);
        let everything = |virt| Fence {
            virt,
            ..Fence::default()
        };
        tlb.fence(&everything(true));
        assert_eq!(pages(&tlb), [5, 3]);
        assert_eq!(tlb.others, [true, false]);
        tlb.fence(&everything(false));
        assert!(tlb.entries.is_empty());
        for page in 0..4 {
            tlb.fill(entry(true, page, 12));
        }
        assert_eq!(pages(&tlb), [3, 2, 1, 0]);
    }

    #[test]
    fn a_fill_takes_the_place_of_what_it_overlaps() {
        let mut tlb = tlb(4);
        for page in 0..3 {
            tlb.fill(entry(true, page, 12));
        }
        tlb.fill(entry(false, 1, 12));
        tlb.fill(entry(true, 0x100, 21));
        assert_eq!(pages(&tlb), [0x100, 1]);
        let space = entry(true, 0, 12).space;
        assert_eq!(tlb.find(space, 0x1F_F000), Some(0));
        assert_eq!(tlb.find(space, 0x20_0000), None);
        assert_eq!(tlb.find(Space { asid: 9, ..space }, 0x1000), None);
    }
}
