// SPDX-License-Identifier: Apache-2.0
//! Holds all that a device does against the golden model.
//!
//! - A walk must be the golden walk over the very words that the device was given: then it has read what the walk calls
//!   for, in that order and no more, and its answer follows from it, whatever was edited meanwhile.
//! - A hit must be what some earlier walk found and no fence has named since: the legal answers are those of a TLB without
//!   limits. A page that cannot have left the TLB must hit.
//! - What a walk has not read it must have from a walk cache, which may know what an earlier walk has read and no fence has named since.
//!   What was filled or used last cannot have left its walk cache, and must spare what it can.
//! - A walk that a fence has overtaken asks memory for nothing after the fence's handshake, fills nothing and is not shared by
//!   later requests; if it had not ended, its requests are answered with a replay. Equal misses share one walk.
//! - Every request has one answer, and the device does not stand still without a reason.

use std::hash::{Hash, Hasher};

use std::collections::VecDeque;

use super::requests::Requests;
use rustc_hash::{FxHashMap, FxHashSet};

use super::held::{Held, Look, Looked};
use super::history::{self, History, Invalidated};
use super::known::{self, Known, Told, WhyNot};
use super::memory_request::{MemoryRequest, Read, RequestCounts, Update, WalkPlace};
use super::mismatch::{
    ActionAfterFence, AssignmentViolation, ExpectedHit, ExpectedRequest, FenceEvent, FillViolation,
    HitReason, Mismatch, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit, ObservedRequest,
    OvertakenUse, Page, PairingViolation, PortRequest, PortResponse, PortViolation,
    ReplayViolation, RequestEvent, ResponseViolation, StaleOrigin, Stall, Violation, WalkCacheHit,
    WalkCacheViolation, WalkEnd,
};
use super::second::Second;
use super::steps::{self, StepRecord};
use crate::addr::{Gpa, Gva, Hpa};
use crate::dut::{Done, Miss, Next, Outputs, Pass, WalkStep};
use crate::format::{Format, Geometry};
use crate::golden::{self, EntryMemory, GuestTable, Mapping, Step, StepLog};
use crate::mmu::{
    Context, Extent, Fault, Fence, Outcome, Position, Purpose, Query, Space, WalkCaches,
};
use crate::scenario::Machine;

struct Request {
    op: usize,
    query: Query,
    /// The context, with what the device must not heed.
    driven: Context,
    /// Fences before it.
    fences: u64,
    walk: Option<usize>,
    /// The second-level TLB has answered it.
    by_second: bool,
    must_hit: Option<MustHit>,
    accepted: u64,
    /// The first fence since it was accepted that matches it, if it had no walk by then.
    overtaken: Option<FenceEvent>,
}

/// The first fence that matched a walk in flight.
#[derive(Clone, Copy)]
struct Overtaken {
    by: FenceEvent,
    /// Reads and updates of the walk that memory had answered by the end of that cycle.
    answered: usize,
}

/// A response that has been judged.
pub(super) enum Response {
    /// It ends the access of an op.
    Answer {
        op: usize,
        outcome: Outcome,
        /// The TLB gave it.
        hit: bool,
    },
    /// A fence has overtaken the request of an op.
    Replay { op: usize },
}

/// Why a request must hit in the TLB.
#[derive(Clone, Copy)]
struct MustHit {
    page: Page,
    /// The cycle in which a walk found the page last.
    found: u64,
    because: HitReason,
}

#[derive(Default)]
struct Walk {
    query: Option<Query>,
    /// The context that it was begun with, with what the device must not heed.
    driven: Option<Context>,
    reads: Vec<Read>,
    /// Its steps, as the device tells them; where they are wanted.
    told: Vec<Told>,
    /// Fences, when the last of them was told or the walk was begun.
    fences_at_step: u64,
    /// Its look-up in the walk caches, until what it has come to is told; where any is in use.
    look: Option<Look>,
    /// Fences since it was started, with their numbers.
    fences: Vec<(u64, Fence)>,
    /// The first of them that matches it.
    overtaken: Option<Overtaken>,
    /// Reads and updates that memory has answered.
    answered: usize,
    /// The fence, if it came before the end of the walk: its requests are answered with a replay.
    replayed: Option<FenceEvent>,
    /// Requests that wait for its result.
    requests: u32,
    /// Requests that wait for its answer.
    unanswered: u32,
    ended: bool,
    judged: Option<Judged>,
}

/// What a walk came to, by the golden model.
#[derive(Clone, Copy)]
struct Judged {
    query: Query,
    reads: usize,
    found: Result<Mapping, Fault>,
}

/// A walk that has ended: what it was for, and what it found by the golden model.
pub(super) struct Ended {
    /// Its place among the checker's.
    walk: usize,
    pub query: Query,
    pub found: Result<Mapping, Fault>,
}

/// A page of an address space, or, where it is global, of all that differ in the ASID only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// With ASID 0 where it is global.
    space: Space,
    kind: PageKind,
    /// The gVA, without the offset in the page.
    page: u64,
}

/// What a look-up tries one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PageKind {
    /// log2 of the page's bytes.
    size: u32,
    global: bool,
}

impl Key {
    fn new(query: &Query, kind: PageKind) -> Self {
        let mut space = query.context.space();
        if kind.global {
            space.asid = 0;
        }
        if !space.virt {
            // Outside virtual machines there is no VMID.
            space.vmid = 0;
        }
        Self {
            space,
            kind,
            page: query.gva.0 >> kind.size,
        }
    }

    /// With ASID 0 where it is global.
    pub fn space(&self) -> Space {
        self.space
    }

    /// The page's first gVA.
    pub fn address(&self) -> u64 {
        self.page << self.kind.size
    }

    fn page(&self) -> Page {
        Page {
            gva: Gva(self.address()),
            size: self.kind.size,
        }
    }

    /// Whether a query is in it.
    pub fn is_for(&self, query: &Query) -> bool {
        *self == Self::new(query, self.kind)
    }

    /// Whether some query is in the pages of both.
    pub fn overlaps(&self, other: &Key) -> bool {
        let size = self.kind.size.max(other.kind.size);
        let asids_meet =
            self.kind.global || other.kind.global || self.space.asid == other.space.asid;
        let other_space = Space {
            asid: self.space.asid,
            ..other.space
        };
        asids_meet
            && other_space == self.space
            && self.page >> (size - self.kind.size) == other.page >> (size - other.kind.size)
    }
}

impl Hash for Key {
    /// In one go: field by field takes longer than the look-up.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Space {
            virt,
            guest_levels,
            host_levels,
            rights,
            asid,
            vmid,
        } = self.space;
        let tags = (u64::from(asid) << 16) | u64::from(vmid);
        let modes = (u64::from(guest_levels) << 5)
            | (u64::from(host_levels) << 2)
            | (u64::from(virt) << 1)
            | u64::from(rights);
        let kind = (u64::from(self.kind.size) << 1) | u64::from(self.kind.global);
        state.write_u64(self.page ^ (((tags << 2) ^ modes) << 30) ^ (kind << 57));
    }
}

#[derive(Clone, Copy)]
struct Legal {
    mapping: Mapping,
    /// Number of the fence that named it, if one has.
    fenced: u64,
    /// The cycle in which a walk found it last.
    found: u64,
}

/// A mapping that a walk has found, for the reasons in mismatches.
#[derive(Clone, Copy, Debug)]
struct Found {
    mapping: Mapping,
    /// The cycle in which a walk found it last.
    cycle: u64,
}

impl PartialEq for Found {
    /// Whether it is the same mapping, whenever it was found.
    fn eq(&self, other: &Self) -> bool {
        self.mapping == other.mapping
    }
}

const LIVE: u64 = u64::MAX;

/// Cycles that a request may wait in, while there is room for it.
const MOST_KEPT_OUT: u32 = 4;

/// Accesses after which a walk is looked at while it goes on; twice those of the longest without updates, and a power of two.
const LONG_WALK: usize = 64;

/// Cycles that a device may do nothing in, while it has something to do and nothing to wait for.
const MOST_IDLE: u32 = 16;

pub(super) struct Checker {
    format: Format,
    slot_count: u32,
    with_steps: bool,
    walk_caches_ever: WalkCaches,
    /// What walk caches may know, if any is in use.
    known: Option<Known>,
    /// What they must hold.
    held: Option<Held>,
    /// What the second-level TLB must hold, if there is one.
    second: Option<Second>,
    tlb_entries: usize,
    requests: Requests<Request>,
    walks: Vec<Walk>,
    free_walks: Vec<usize>,
    /// The walk of each slot.
    slots: Vec<Option<usize>>,
    fences: u64,
    /// The cycle of each fence, by its number from 1. Reasons are told by it.
    fence_cycles: Vec<u64>,
    /// What fences have invalidated of [`Checker::legal`], for reasons.
    history: History<Key, Found>,
    /// Answers that a hit may give.
    legal: FxHashMap<Key, Vec<Legal>>,
    /// The kinds of pages among them.
    kinds: Vec<PageKind>,
    fenced_in_legal: bool,
    /// Pages that the TLB may hold, and those of them that it must: known while the former all fit.
    may_hold: FxHashSet<Key>,
    must_hold: FxHashSet<Key>,
    may_hold_is_known: bool,
    /// The pages that the TLB has filled or hit last, the latest first; none where that is not known, or a fence has named it.
    /// A tree pseudo-LRU of n ways replaces none that fewer than log2(n) others have been touched after.
    touched: VecDeque<Option<Key>>,
    /// Whether the TLB holds nothing of contexts without and with [`crate::mmu::Context::virt`], for a fence has named it all.
    cleared: [bool; 2],
    /// How many the TLB may have held before the last fence, and the cycle of it: a fill in that cycle finds no room that
    /// the fence makes.
    before_fence: (u64, usize),
    /// Requests that were taken, and have neither hit nor been given to a walk.
    unassigned: usize,
    /// Cycles in a row in which a request has waited for no reason that shows.
    kept_out: u32,
    /// Cycles in a row in which the device has done nothing, with something to do.
    idle: u32,
    /// Reads and updates that memory has taken, and how many it had when each slot began to want one.
    grants: u64,
    wants_since: Vec<u64>,
    response_is_stalled: bool,
    /// The response that was not taken, while there is one.
    stalled_response: Outputs,
    stalled_read: Option<PortRequest>,
}

/// The words that a device was given, as memory for the golden walk.
struct Served<'a> {
    geometry: Geometry,
    reads: &'a [Read],
    /// What the device told of each, where it is wanted.
    told: &'a [Told],
    next: usize,
    /// What a walk cache has spared before the next read has been passed over.
    passed: bool,
    /// Where the device did otherwise.
    wrong: Option<Wrong>,
}

enum Wrong {
    /// The memory request that the walk called for, and that the device did not make.
    Asked(MemoryRequest),
    /// A walk cache has spared what it cannot have known, or nothing that was to be read.
    Pass,
}

impl<'a> Served<'a> {
    fn new(format: Format, walk: &'a Walk) -> Self {
        Self {
            geometry: format.geometry(),
            reads: &walk.reads,
            told: &walk.told,
            next: 0,
            passed: false,
            wrong: None,
        }
    }

    #[inline]
    fn serve(&mut self, at: Hpa, update: Option<Update>) -> Option<u64> {
        if self.wrong.is_some() {
            return None;
        }
        match self.reads.get(self.next) {
            Some(read) if read.at == at && read.update == update => {
                if !self.passed && self.pass().is_some() {
                    self.wrong = Some(Wrong::Pass);
                    return None;
                }
                self.next += 1;
                self.passed = false;
                read.word
            }
            _ => {
                self.wrong = Some(Wrong::Asked(MemoryRequest { hpa: at, update }));
                None
            }
        }
    }

    /// The step after which the device went on, if a walk cache has led to it and that was not passed over yet.
    #[inline]
    fn pass(&self) -> Option<&'a WalkStep> {
        let told = self.told.get(self.next).filter(|_| !self.passed)?;
        Some(&told.step).filter(|step| step.pass != Pass::None)
    }

    /// Passes over what a kind of walk cache has spared here, if one has.
    #[inline]
    fn pass_over(&mut self, kind: Pass) -> Option<&'a WalkStep> {
        let step = self.pass().filter(|step| step.pass == kind)?;
        self.passed = true;
        Some(step)
    }
}

impl EntryMemory for Served<'_> {
    #[inline]
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.serve(at, None)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        self.serve(at, Some(Update { expected, new }))
    }

    #[inline]
    fn known_guest_table(&mut self) -> Option<GuestTable> {
        let step = self.pass_over(Pass::Guest)?;
        Some(known::guest_table(&self.geometry, step))
    }

    #[inline]
    fn known_host_table(&mut self, gpa: Gpa) -> Option<(u32, Hpa)> {
        // Where a request shares the walk of another, its gPA differs in the offset.
        let page = |gpa: Gpa| gpa.0 >> self.geometry.offset_width;
        self.pass().filter(|step| page(step.gpa) == page(gpa))?;
        let step = self.pass_over(Pass::Host)?;
        Some(known::host_table(&self.geometry, step))
    }

    #[inline]
    fn known_entry(&mut self, gpa: Gpa) -> Option<Hpa> {
        self.pass().filter(|step| step.gpa == gpa)?;
        let step = self.pass_over(Pass::Nested)?;
        Some(known::entry_in_page(&self.geometry, step, gpa))
    }
}

impl Checker {
    /// For a device. What a checked one tells of walks' steps is checked too.
    /// `ever`: the walk caches that are in use at any time.
    pub fn new(machine: &Machine, ever: WalkCaches) -> Self {
        let &Machine {
            format,
            slots,
            tlb_entries,
            tlb2,
            ..
        } = machine;
        Self {
            format,
            slot_count: slots,
            with_steps: machine.checked,
            walk_caches_ever: ever,
            known: ever.any().then(|| Known::new(format)),
            held: ever.any().then(|| Held::new(machine, ever)),
            second: tlb2.map(|size| Second::new(format, size)),
            tlb_entries: tlb_entries as usize,
            requests: Requests::new(),
            walks: Vec::new(),
            free_walks: Vec::new(),
            // As many as the device can name, if it goes wrong.
            slots: vec![None; slots.next_power_of_two().max(2) as usize],
            fences: 0,
            fence_cycles: Vec::new(),
            history: History::new(),
            legal: FxHashMap::default(),
            kinds: Vec::new(),
            fenced_in_legal: false,
            may_hold: FxHashSet::default(),
            must_hold: FxHashSet::default(),
            may_hold_is_known: true,
            touched: VecDeque::new(),
            cleared: [true; 2],
            before_fence: (u64::MAX, 0),
            unassigned: 0,
            kept_out: 0,
            idle: 0,
            grants: 0,
            wants_since: vec![0; slots.next_power_of_two().max(2) as usize],
            response_is_stalled: false,
            stalled_response: Outputs::default(),
            stalled_read: None,
        }
    }

    /// The keys under which a translation for `query` may be remembered.
    #[inline]
    fn keys(&self, query: &Query) -> impl Iterator<Item = Key> {
        self.kinds.iter().map(|&kind| Key::new(query, kind))
    }

    /// What the device may answer `query` with from its TLB: of it, `accept` gets the number of the fence that named it.
    #[inline]
    fn legal_answers(
        &self,
        query: &Query,
        accept: impl Fn(u64) -> bool,
    ) -> impl Iterator<Item = Option<Outcome>> {
        self.keys(query)
            .filter_map(|key| self.legal.get(&key))
            .flatten()
            .filter(move |one| accept(one.fenced))
            .map(|one| golden::answer_from(self.format, query, &one.mapping))
    }

    /// Why the TLB holds a page that answers `query`, whichever of its possible contents it has; none
    /// where it need not.
    fn must_hit(&self, query: &Query) -> Option<MustHit> {
        self.keys(query).find_map(|key| {
            let is_recent = self.touched.contains(&Some(key));
            let is_there = is_recent || self.may_hold_is_known && self.must_hold.contains(&key);
            if !is_there {
                return None;
            }
            let legal = self.legal.get(&key)?;
            let live = || legal.iter().filter(|one| one.fenced == LIVE);
            live()
                .all(|one| golden::answer_from(self.format, query, &one.mapping).is_some())
                .then(|| MustHit {
                    page: key.page(),
                    found: live().map(|one| one.found).max().unwrap_or(0),
                    because: match is_recent {
                        true => HitReason::Recent {
                            of: self.tlb_entries.ilog2(),
                        },
                        false => HitReason::Room {
                            entries: self.tlb_entries as u32,
                        },
                    },
                })
        })
    }

    /// The request that has waited longest: its id, op and cycle of acceptance.
    pub fn oldest(&self) -> Option<(usize, u64)> {
        self.requests
            .iter()
            .map(|r| (r.op, r.accepted))
            .min_by_key(|&(_, accepted)| accepted)
    }

    /// The device has taken a request. `driven`: its context, with what the device must not heed.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        let request = Request {
            op,
            query: *query,
            driven: *driven,
            fences: self.fences,
            walk: None,
            by_second: false,
            must_hit: self.must_hit(query),
            accepted: cycle,
            overtaken: None,
        };
        self.requests.insert(id, request);
        self.unassigned += 1;
        if let Some(second) = &mut self.second {
            second.taken(query);
        }
    }

    /// A cycle begins, in which a request is taken, or none.
    #[inline]
    pub fn begins(&mut self, request_taken: bool) {
        if let Some(second) = &mut self.second {
            second.cycle(!request_taken && self.unassigned == 0);
        }
    }

    /// The second-level TLB has answered a request: the first takes what it has found.
    pub fn second_hit(&mut self, id: u8, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.requests.get_mut(id) else {
            return Err(Self::no_request(id, cycle, RequestEvent::L2TlbHit));
        };
        let (query, walk) = (request.query, request.walk);
        let is_answered = std::mem::replace(&mut request.by_second, true);
        let smallest = self.format.geometry().offset_width;
        let found: Vec<Key> = self
            .keys(&query)
            .filter(|key| self.legal.contains_key(key))
            .collect();
        let (Some(second), false, None) = (&mut self.second, is_answered, walk) else {
            let violation = Violation::OneResponse(PairingViolation::L2HitAgain);
            return Err(self.mismatch(id, cycle, violation));
        };
        second.answered(
            &query,
            found.iter().any(|key| key.kind.size == smallest),
            found.iter().any(|key| key.kind.size > smallest),
        );
        let replaces = |other: &Key| found.iter().any(|key| key != other && key.overlaps(other));
        for touched in &mut self.touched {
            touched.take_if(|touched| replaces(touched));
        }
        self.must_hold.retain(|other| !replaces(other));
        let is_live = |key: &Key| {
            let mut legal = self.legal.get(key).into_iter().flatten();
            legal.all(|one| one.fenced == LIVE)
        };
        let filled = match found[..] {
            [key] if is_live(&key) => Some(key),
            _ => None,
        };
        self.touch(filled);
        Ok(())
    }

    pub fn fence(&mut self, fence: &Fence, cycle: u64) {
        self.fences += 1;
        self.fence_cycles.push(cycle);
        self.before_fence = (cycle, self.may_hold.len());
        let number = self.fences;
        for walk in &mut self.walks {
            if walk.requests > 0 && !walk.ended {
                walk.fences.push((number, *fence));
                if walk.overtaken.is_none() && walk.is_matched_by(fence) {
                    walk.overtaken = Some(Overtaken {
                        by: FenceEvent {
                            fence: *fence,
                            cycle,
                        },
                        answered: walk.answered,
                    });
                }
            }
        }
        if self.unassigned > 0 {
            for request in self.requests.iter_mut() {
                let matches = fence.names_space(request.query.context.space());
                if request.walk.is_none() && request.overtaken.is_none() && matches {
                    request.overtaken = Some(FenceEvent {
                        fence: *fence,
                        cycle,
                    });
                }
            }
        }
        for (key, legal) in &mut self.legal {
            let gva = Gva(key.address());
            let mut named = false;
            for one in legal.iter_mut().filter(|one| one.fenced == LIVE) {
                if fence.names(key.space, &one.mapping.extent(gva)) {
                    one.fenced = number;
                    named = true;
                    let found = Found {
                        mapping: one.mapping,
                        cycle: one.found,
                    };
                    self.history
                        .note(*key, Invalidated::new(found, fence, number));
                }
            }
            if named {
                self.fenced_in_legal = true;
                // Of a page that was walked to more than one gPA, the TLB may have held any.
                self.must_hold.remove(key);
                for touched in &mut self.touched {
                    touched.take_if(|touched| touched == key);
                }
                if legal.iter().all(|one| one.fenced != LIVE) {
                    self.may_hold.remove(key);
                }
            }
        }
        if *fence
            == (Fence {
                virt: fence.virt,
                ..Fence::default()
            })
        {
            self.cleared[usize::from(fence.virt)] = true;
        }
        // Handout's machines, and those that have not begun yet, have nothing outside virtual machines.
        if self.cleared == [true; 2] {
            self.may_hold.clear();
            self.must_hold.clear();
            self.may_hold_is_known = true;
        }
        if let Some(known) = &mut self.known {
            known.fence(fence, number);
        }
        if let Some(held) = &mut self.held {
            held.fence(fence);
        }
        if let Some(second) = &mut self.second {
            second.fence(fence, self.unassigned == 0);
        }
        self.forget_fenced();
    }

    /// A fence is offered and not taken: docs/ports.md allows that while a read or an update of a walk that the fence matches is
    /// offered to memory and not granted. `offered` is the slot of the one that is offered and not granted, if there is one.
    pub fn fence_waits(
        &self,
        fence: &Fence,
        offered: Option<u8>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let walk = offered.and_then(|slot| *self.slots.get(usize::from(slot))?);
        if walk.is_some_and(|walk| self.walks[walk].is_matched_by(fence)) {
            return Ok(());
        }
        let violation = PortViolation::FenceStalled { fence: *fence };
        Err(Mismatch::new(cycle, Violation::Port(violation)))
    }

    /// What was fenced before every request that waits is of no more use.
    fn forget_fenced(&mut self) {
        if self.requests.is_empty()
            && let Some(known) = &mut self.known
        {
            known.forget_fenced();
        }
        if self.requests.is_empty() && self.fenced_in_legal {
            self.legal.retain(|_, legal| {
                legal.retain(|one| one.fenced == LIVE);
                !legal.is_empty()
            });
            self.fenced_in_legal = false;
        }
    }

    #[inline]
    pub fn read(&mut self, slot: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let most_waited = self.most_waited();
        if let Some(&Some(walk)) = self.slots.get(usize::from(slot))
            && let Some(state) = self.walks.get_mut(walk)
            && !state.ended
        {
            state.reads.push(*read);
            if let Some(Overtaken { by, .. }) = state.overtaken
                && by.cycle < read.cycle
            {
                return Err(self.read_after_fence(walk, read, by));
            }
            // "Slots are served round robin": none waits for more than one turn of each other.
            let waited = self.grants - self.wants_since[usize::from(slot)];
            self.grants += 1;
            if waited >= most_waited {
                return Err(Self::unfair(slot, waited, most_waited, read.cycle));
            }
            if state.reads.len() >= LONG_WALK && state.reads.len().is_power_of_two() {
                return self.check_long_walk(walk, read.cycle);
            }
            return Ok(());
        }
        Err(Self::read_of_no_walk(slot, read))
    }

    /// Reads of others that a slot waits for at most. A walk that is looked up in walk caches waits for its turn there first, and while
    /// reads of others fill them: at most those between two look-ups of each other, the levels of the host's stage, some with an update.
    #[inline]
    fn most_waited(&self) -> u64 {
        let turn = u64::from(self.slot_count);
        match self.known {
            None => turn,
            Some(_) => (2 * u64::from(self.format.geometry().levels) + 2) * turn,
        }
    }

    #[cold]
    fn unfair(slot: u8, waited: u64, bound: u64, cycle: u64) -> Box<Mismatch> {
        let violation = PortViolation::NotRoundRobin {
            slot,
            waited,
            most: bound - 1,
        };
        Mismatch::new(cycle, Violation::Port(violation))
    }

    #[cold]
    fn read_after_fence(&self, walk: usize, read: &Read, by: FenceEvent) -> Box<Mismatch> {
        let id = self.id_of(walk).unwrap_or_default();
        let (_, before) = self.walks[walk].reads.split_last().unwrap_or((read, &[]));
        let observed = ActionAfterFence::Request {
            request: MemoryRequest::of(read).behind(before),
            cycle: read.cycle,
        };
        let violation = Violation::AfterFence { by, observed };
        let mut mismatch = self.mismatch(id, read.cycle, violation);
        mismatch.wrong_read = Some(before.len());
        mismatch
    }

    /// The data of a read or an update of a slot have come.
    #[inline]
    pub fn served(&mut self, slot: u8, cycle: u64) {
        if let Some(&Some(walk)) = self.slots.get(usize::from(slot)) {
            let walk = &mut self.walks[walk];
            walk.answered += 1;
            if let Some(overtaken) = &mut walk.overtaken
                && overtaken.by.cycle == cycle
            {
                overtaken.answered += 1;
            }
        }
    }

    /// Memory has answered a slot.
    #[inline]
    pub fn replied(&mut self, slot: u8) {
        if let Some(since) = self.wants_since.get_mut(usize::from(slot)) {
            *since = self.grants;
        }
    }

    /// Whether it wants to be told the steps of walks.
    #[inline]
    pub fn wants_steps(&self) -> bool {
        self.with_steps || self.known.is_some()
    }

    /// The device tells a step of a walk.
    pub fn step(&mut self, step: &WalkStep, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(&Some(walk)) = self.slots.get(usize::from(step.slot)) else {
            return Ok(());
        };
        let state = &mut self.walks[walk];
        state.told.push(Told {
            step: *step,
            fences: state.fences_at_step,
        });
        state.fences_at_step = self.fences;
        match self.hold(walk, step, cycle) {
            None => Ok(()),
            Some(missed) => Err(self.missed(walk, step, missed, cycle)),
        }
    }

    /// Follows what the walk caches must hold, and says what of it a step should have come by and has not.
    fn hold(&mut self, walk: usize, step: &WalkStep, cycle: u64) -> Option<WalkCacheHit> {
        let held = self.held.as_mut()?;
        let look = self.walks[walk].look.take();
        let state = &self.walks[walk];
        let query = state.query.as_ref()?;
        let number = state.told.len() - 1;
        // A step of something that was not read is for the end of the walk to find.
        let read = state.reads.get(number)?;
        let (walks, slots) = (&self.walks, &self.slots);
        let open = |of_guest: bool, before: u64| {
            let looks = slots.iter().flatten().filter_map(|&walk| {
                let look = walks[walk].look.filter(|_| !walks[walk].ended)?;
                (look.since < before && (look.first || !of_guest)).then_some(())
            });
            looks.count() as u32
        };
        if let Some(look) = look {
            let looked = Looked {
                query,
                step,
                look,
                read: read.cycle,
                fenced: state.told[number].fences != self.fences,
            };
            let missed = held.missed(&looked, open);
            if missed.is_some() {
                return missed;
            }
            held.led(&looked, open);
        }
        let space = query.context.space();
        let mut fences = state.fences.iter();
        // An overtaken walk fills nothing.
        if !fences.any(|(_, fence)| fence.names_space(space)) {
            held.stepped(query, step, read.word, cycle, open);
        }
        // After a guest's entry the host's stage is walked for the next gPA.
        let looks = !step.host && step.next == Next::Read && query.context.host.levels > 0;
        self.walks[walk].look = looks.then_some(Look {
            since: cycle,
            first: false,
        });
        None
    }

    /// A page-walk cache contains an entry that leads further than the walk has been led.
    #[cold]
    fn missed(
        &self,
        walk: usize,
        step: &WalkStep,
        missed: WalkCacheHit,
        cycle: u64,
    ) -> Box<Mismatch> {
        let query = self.walks[walk].query.as_ref();
        let since = (self.held.as_ref().zip(query))
            .and_then(|(held, query)| held.since(query, step, missed));
        let number = self.walks[walk].told.len() - 1;
        let violation = Violation::WalkCache(WalkCacheViolation::Missed {
            place: self.place_of(walk, number),
            expected: missed,
            since,
            observed: WalkCacheHit::of(step),
        });
        let id = self.id_of(walk).unwrap_or_default();
        let mut mismatch = self.mismatch(id, cycle, violation);
        mismatch.wrong_read = Some(number);
        mismatch
    }

    /// Returns the place in a walk of the memory request with an index.
    fn place_of(&self, walk: usize, index: usize) -> WalkPlace {
        WalkPlace::of(&self.walks[walk].reads, index)
    }

    /// The id of a request that waits for a walk.
    fn id_of(&self, walk: usize) -> Option<u8> {
        (0..=u8::MAX).find(|&id| {
            let request = self.requests.get(id);
            request.is_some_and(|request| request.walk == Some(walk))
        })
    }

    /// Compares what the device told of a walk's steps with the golden walk over the same words. After the first `kept` of them the walk
    /// had been overtaken: what came then was dropped.
    fn check_steps(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        kept: usize,
    ) -> Result<(), Box<Mismatch>> {
        let state = &self.walks[walk];
        // The request that it was begun for: those that share it differ in the offset.
        let Some(query) = &state.query else {
            return Ok(());
        };
        let mut served = Served::new(self.format, state);
        let mut golden = Vec::new();
        let _ = golden::walk(self.format, query, &mut served, &mut golden);
        let mut expected = steps::expected(&golden);
        expected.truncate(state.reads.len());
        for dropped in expected.iter_mut().skip(kept) {
            *dropped = dropped.dropped();
        }
        let told = &state.told;
        let pair = |n: usize| {
            let reported = told.get(n).map(|told| StepRecord::reported(&told.step));
            (expected.get(n).copied(), reported)
        };
        let wrong = (0..expected.len().max(told.len())).find(|&n| {
            let (expected, reported) = pair(n);
            expected != reported
        });
        match wrong {
            None => Ok(()),
            Some(n) => {
                let (expected, observed) = pair(n);
                let violation = Violation::Steps {
                    place: self.place_of(walk, n),
                    expected,
                    observed,
                };
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(n);
                Err(mismatch)
            }
        }
    }

    /// A walk that does not end must at least be on its way: it may be that updates have been lost.
    #[cold]
    fn check_long_walk(&self, walk: usize, cycle: u64) -> Result<(), Box<Mismatch>> {
        let state = &self.walks[walk];
        let Some(query) = state.query else {
            return Ok(());
        };
        let mut served = Served::new(self.format, state);
        // Over when it asks for what has not been served yet, or before.
        let _ = golden::walk(self.format, &query, &mut served, &mut ());
        let asks_on = served.wrong.is_some() && served.next == state.reads.len();
        match self.id_of(walk) {
            Some(id) if !asks_on => self.judge(walk, id, &query, cycle, &mut ()).map(drop),
            _ => Ok(()),
        }
    }

    #[cold]
    fn read_of_no_walk(slot: u8, read: &Read) -> Box<Mismatch> {
        let violation = Violation::Reads {
            expected: ExpectedRequest::NoWalk { slot },
            observed: ObservedRequest::Request {
                request: MemoryRequest::of(read),
                place: None,
                cycle: read.cycle,
            },
        };
        Box::new(Mismatch {
            reads: vec![*read],
            wrong_read: Some(0),
            ..*Mismatch::new(read.cycle, violation)
        })
    }

    pub fn miss(&mut self, miss: &Miss, cycle: u64) -> Result<(), Box<Mismatch>> {
        let slot = usize::from(miss.slot);
        let Some(request) = self.requests.get(miss.id) else {
            return Err(Self::no_request(miss.id, cycle, RequestEvent::Miss));
        };
        let (query, driven, fences) = (request.query, request.driven, request.fences);
        let wrong = |checker: &Self, violation| Err(checker.mismatch(miss.id, cycle, violation));
        if let Some(by) = request.overtaken {
            let observed = ActionAfterFence::Walk { slot: miss.slot };
            return wrong(self, Violation::AfterFence { by, observed });
        }
        if let Some(must_hit) = request.must_hit {
            let MustHit {
                page,
                found,
                because,
            } = must_hit;
            return wrong(
                self,
                Violation::MustHit {
                    page,
                    found,
                    because,
                },
            );
        }
        if request.by_second {
            let violation = PairingViolation::MissAfterL2Hit;
            return wrong(self, Violation::OneResponse(violation));
        }
        if let Some(second) = &mut self.second {
            if let Some(key) = second.must_answer(&query) {
                let violation = Violation::MustHit {
                    page: key.page(),
                    found: self.found_in(&key),
                    because: HitReason::L2,
                };
                return wrong(self, violation);
            }
            second.taken(&query);
        }
        if miss.merged {
            let walk = self.slots[slot].filter(|&walk| !self.walks[walk].ended);
            let Some(walk) = walk else {
                let violation = AssignmentViolation::NoWalk { slot: miss.slot };
                return wrong(self, Violation::WrongWalk(violation));
            };
            self.assign(miss.id, walk);
            if let Some(other) = self.walks[walk].query
                && !self.is_equal(walk, &query)
            {
                let violation = AssignmentViolation::OtherRequest {
                    slot: miss.slot,
                    query: other,
                };
                return wrong(self, Violation::WrongWalk(violation));
            }
            let overtaken = self.walks[walk].fences.iter().find(|(number, fence)| {
                *number <= fences && fence.names_space(query.context.space())
            });
            if let Some((number, fence)) = overtaken {
                let violation = Violation::Overtaken {
                    by: self.event_of(*number, fence),
                    observed: OvertakenUse::Shared { slot: miss.slot },
                };
                return wrong(self, violation);
            }
            self.walks[walk].requests += 1;
            return Ok(());
        }
        if let Some(other) = (0..self.slots.len()).find(|&other| {
            self.slots[other].is_some_and(|walk| {
                !self.walks[walk].ended
                    && self.must_be_shared(walk, &query, &driven)
                    && !self.is_overtaken(walk, &query)
            })
        }) {
            let violation = Violation::Coalescing {
                walk: other as u8,
                second: miss.slot,
            };
            return wrong(self, violation);
        }
        if self.slots[slot].is_some_and(|walk| !self.walks[walk].ended) {
            let violation = AssignmentViolation::SlotInUse { slot: miss.slot };
            return wrong(self, Violation::WrongWalk(violation));
        }
        let walk = self.free_walks.pop().unwrap_or_else(|| {
            self.walks.push(Walk::default());
            self.walks.len() - 1
        });
        self.wants_since[slot] = self.grants;
        let state = &mut self.walks[walk];
        state.query = Some(query);
        state.driven = Some(driven);
        state.reads.clear();
        state.told.clear();
        state.fences_at_step = self.fences;
        state.look = self.held.is_some().then_some(Look {
            since: cycle,
            first: true,
        });
        state.fences.clear();
        state.overtaken = None;
        state.answered = 0;
        state.replayed = None;
        state.requests = 1;
        state.unanswered = 0;
        state.ended = false;
        state.judged = None;
        self.slots[slot] = Some(walk);
        self.assign(miss.id, walk);
        Ok(())
    }

    fn assign(&mut self, id: u8, walk: usize) {
        if let Some(request) = self.requests.get_mut(id) {
            request.walk = Some(walk);
            self.walks[walk].unanswered += 1;
            self.unassigned = self.unassigned.saturating_sub(1);
        }
    }

    /// Whether a fence names the translation for `query`, of which only its gPA is known.
    fn names_surely(&self, fence: &Fence, query: &Query, gpa: Gpa) -> bool {
        let smallest = self.format.geometry().offset_width;
        let extent = Extent {
            gva: query.gva,
            gpa,
            guest_size: smallest,
            host_size: smallest,
            // It may turn out to be, and is not named then.
            global: self.format.is_riscv(),
        };
        fence.names(query.context.space(), &extent)
    }

    fn is_equal(&self, walk: usize, query: &Query) -> bool {
        let smallest = self.format.geometry().offset_width;
        let any_access = !self.format.is_riscv() && !query.context.rights;
        self.walks[walk].query.is_some_and(|other| {
            other.context == query.context
                && other.gva.0 >> smallest == query.gva.0 >> smallest
                && (other.access == query.access || any_access)
        })
    }

    /// Whether they are equal and look it: a device may tell contexts apart that mean the same.
    fn must_be_shared(&self, walk: usize, query: &Query, driven: &Context) -> bool {
        self.is_equal(walk, query) && self.walks[walk].driven.as_ref() == Some(driven)
    }

    /// Whether a fence has named the address space of a walk under way, whatever the address.
    fn is_overtaken(&self, walk: usize, query: &Query) -> bool {
        let space = query.context.space();
        let mut fences = self.walks[walk].fences.iter();
        fences.any(|(_, fence)| fence.names_space(space))
    }

    /// What the request of an id is for.
    #[inline]
    pub fn query(&self, id: u8) -> Option<Query> {
        self.requests.get(id).map(|request| request.query)
    }

    /// A walk's result is given to a request: at the first, the walk is judged, with its steps to `log`, and what it found given.
    pub fn done<L: StepLog>(
        &mut self,
        done: &Done,
        cycle: u64,
        log: &mut L,
    ) -> Result<Option<Ended>, Box<Mismatch>> {
        let Some(request) = self.requests.get(done.id) else {
            return Err(Self::no_request(done.id, cycle, RequestEvent::WalkResult));
        };
        let wrong = |checker: &Self, violation| Err(checker.mismatch(done.id, cycle, violation));
        let walk = self.slots[usize::from(done.slot)];
        let (Some(walk), true) = (walk, request.walk == walk) else {
            let violation = AssignmentViolation::OtherResult { slot: done.slot };
            return wrong(self, Violation::WrongWalk(violation));
        };
        let query = request.query;
        let mut ended = None;
        let replayed = match self.walks[walk].replayed {
            None => self.check_replay(walk, done.id, &query, cycle)?,
            replayed => replayed,
        };
        if let Some(by) = replayed {
            if done.fill {
                let reason = NoFillReason::Overtaken(by);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
        } else if self.walks[walk].judged.is_none() {
            let found = match self.known {
                None => self.judge(walk, done.id, &query, cycle, log)?,
                Some(_) => self.judge_with_caches(walk, done.id, &query, cycle, log)?,
            };
            ended = Some(Ended { walk, query, found });
            self.walks[walk].judged = Some(Judged {
                query,
                reads: self.walks[walk].reads.len(),
                found,
            });
            if self.with_steps {
                let all = self.walks[walk].reads.len();
                self.check_steps(walk, done.id, cycle, all)?;
            }
            let fill_is_legal =
                found.is_ok_and(|mapping| self.remember(walk, &query, &mapping, done.fill, cycle));
            if done.fill && !fill_is_legal {
                let reason = self.why_no_fill(walk, &query, &found);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
            let translated = query.context.guest.levels + query.context.host.levels > 0;
            if !done.fill && found.is_ok() && translated && !self.is_overtaken(walk, &query) {
                return wrong(self, Violation::Fill(FillViolation::Missing));
            }
        } else if done.fill {
            return wrong(self, Violation::Fill(FillViolation::Repeated));
        }
        self.walks[walk].requests -= 1;
        if self.walks[walk].requests == 0 {
            self.walks[walk].ended = true;
        }
        Ok(ended)
    }

    /// Whether a walk owes its requests a replay: a fence has overtaken it before memory had answered all that it called for. What it
    /// has read must be what the golden walk begins with.
    fn check_replay(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<Option<FenceEvent>, Box<Mismatch>> {
        let state = &self.walks[walk];
        let Some(Overtaken { answered, by }) = state.overtaken else {
            return Ok(None);
        };
        let mut served = Served::new(self.format, state);
        served.reads = &state.reads[..answered.min(state.reads.len())];
        let _ = golden::walk(self.format, query, &mut served, &mut ());
        let asks_on = matches!(served.wrong, Some(Wrong::Asked(_))) && served.next == answered;
        if !asks_on {
            return Ok(None);
        }
        self.walks[walk].replayed = Some(by);
        // A read in flight is dropped, and must have been asked for rightly all the same.
        match self.known {
            None => self.judge(walk, id, query, cycle, &mut ()).map(drop)?,
            Some(_) => self
                .judge_with_caches(walk, id, query, cycle, &mut ())
                .map(drop)?,
        }
        if self.with_steps {
            self.check_steps(walk, id, cycle, answered)?;
        }
        let look = self.walks[walk].look.take();
        if let (Some(held), Some(look)) = (&mut self.held, look) {
            held.abandoned(look, by.cycle);
        }
        Ok(Some(by))
    }

    /// The steps of a walk that has ended, by number, that walk caches have led it to: what they knew has been judged.
    #[inline]
    pub fn passes(&self, ended: &Ended) -> impl Iterator<Item = (usize, &WalkStep)> {
        let told = self.walks[ended.walk].told.iter().enumerate();
        told.filter(|(_, told)| told.step.pass != Pass::None)
            .map(|(number, told)| (number, &told.step))
    }

    /// The same with walk caches: what they have spared must be what they may know; and what this walk has read, they may know.
    fn judge_with_caches<L: StepLog>(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let mut steps: Vec<Step> = Vec::new();
        let found = self.judge(walk, id, query, cycle, &mut steps)?;
        for step in &steps {
            log.step(*step);
        }
        self.check_passes(walk, id, query, cycle)?;
        let Walk { told, fences, .. } = &self.walks[walk];
        if let Some(known) = &mut self.known {
            known.learn(query, &steps, told, fences);
        }
        Ok(found)
    }

    /// What walk caches have spared a walk must be what they may know.
    fn check_passes(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.unknown_pass(walk, query).is_some() {
            // Caches are filled step by step, not at the end of a walk.
            self.learn_under_way();
            if let Some(number) = self.unknown_pass(walk, query)
                && let Some(hit) = WalkCacheHit::of(&self.walks[walk].told[number].step)
            {
                let violation = Violation::WalkCache(WalkCacheViolation::Illegal {
                    place: self.place_of(walk, number),
                    observed: hit,
                    hpa: self.walks[walk].told[number].step.hpa,
                    because: self.why_no_pass(walk, query, number),
                });
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(number);
                return Err(mismatch);
            }
        }
        Ok(())
    }

    /// The number of the first step of a walk that a walk cache has led to without knowing of it.
    fn unknown_pass(&self, walk: usize, query: &Query) -> Option<usize> {
        let known = self.known.as_ref()?;
        let told = &self.walks[walk].told;
        told.iter().position(|told| !known.allows(query, told))
    }

    /// What walks have read that are not over.
    fn learn_under_way(&mut self) {
        let Some(known) = &mut self.known else {
            return;
        };
        for walk in self.slots.iter().flatten().map(|&walk| &self.walks[walk]) {
            if let Some(query) = &walk.query
                && walk.judged.is_none()
            {
                let mut steps = Vec::new();
                let mut served = Served::new(self.format, walk);
                // It ends with what has not been read yet, as an error: nothing is learnt from that.
                let _ = golden::walk(self.format, query, &mut served, &mut steps);
                known.learn(query, &steps, &walk.told, &walk.fences);
            }
        }
    }

    /// The golden walk over the words that the device was given.
    fn judge<L: StepLog>(
        &self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let state = &self.walks[walk];
        let reads = &state.reads;
        let mut served = Served::new(self.format, state);
        let found = golden::walk(self.format, query, &mut served, log);
        let (next, wrong) = (served.next, served.wrong);
        if state.replayed.is_some() && next == reads.len() && matches!(wrong, Some(Wrong::Asked(_)))
        {
            // It has read all that it was to read before the fence overtook it.
            return Ok(found);
        }
        if wrong.is_none() && next == reads.len() {
            return Ok(found);
        }
        Err(self.wrong_reads(walk, id, cycle, (next, wrong), &found))
    }

    /// Returns the mismatch of a walk that differs from the golden walk over the same words after
    /// `next` memory requests. `found` is the end of the golden walk, if the device goes on behind
    /// it; else `wrong` says what the golden walk calls for.
    #[cold]
    fn wrong_reads(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        (next, wrong): (usize, Option<Wrong>),
        found: &Result<Mapping, Fault>,
    ) -> Box<Mismatch> {
        let state = &self.walks[walk];
        let (before, behind) = state.reads.split_at(next);
        let made = RequestCounts::of(before);
        let observed = match behind.first() {
            Some(read) => ObservedRequest::behind(read, before),
            None => ObservedRequest::End(WalkEnd {
                made,
                id,
                response: None,
            }),
        };
        let violation = match (wrong, found) {
            // A word that the device has not asked for is an error to the golden walk.
            (Some(Wrong::Asked(wanted)), Err(fault)) => Violation::Reads {
                expected: ExpectedRequest::Request {
                    request: wanted.behind(before),
                    at: fault.at,
                },
                observed,
            },
            (Some(Wrong::Pass), _) => Violation::WalkCache(WalkCacheViolation::NothingSkipped {
                place: self.place_of(walk, next),
                hit: (state.told.get(next)).and_then(|told| WalkCacheHit::of(&told.step)),
                observed,
            }),
            _ => Violation::Reads {
                expected: ExpectedRequest::End {
                    made,
                    outcome: golden::answer(found),
                },
                observed,
            },
        };
        let mut mismatch = self.mismatch(id, cycle, violation);
        mismatch.wrong_read = Some(next);
        mismatch
    }

    /// Remembers what a walk has found as what a hit may say, and says whether the TLB may take it.
    fn remember(
        &mut self,
        walk: usize,
        query: &Query,
        mapping: &Mapping,
        fills: bool,
        cycle: u64,
    ) -> bool {
        let space = query.context.space();
        if space.guest_levels == 0 && space.host_levels == 0 {
            // What no stage translates is not for the TLB.
            return false;
        }
        let kind = PageKind {
            size: mapping.page_size,
            global: mapping.global,
        };
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        let key = Key::new(query, kind);
        let fences = &self.walks[walk].fences;
        let extent = mapping.extent(query.gva);
        let fenced = fences
            .iter()
            .find(|(_, fence)| fence.names(space, &extent))
            .map_or(LIVE, |(number, _)| *number);
        let in_scope = self.is_overtaken(walk, query);
        let named = fences.iter().find(|(number, _)| *number == fenced).copied();
        let page = |address: u64| address >> kind.size << kind.size;
        let mut mapping = *mapping;
        mapping.gpa.0 = page(mapping.gpa.0);
        mapping.hpa.0 = page(mapping.hpa.0);
        if let Some((number, fence)) = named {
            self.fenced_in_legal = true;
            let found = Found { mapping, cycle };
            self.history
                .note(key, Invalidated::new(found, &fence, number));
        }
        let legal = self.legal.entry(key).or_default();
        let same = legal
            .iter_mut()
            .find(|one| one.mapping == mapping && one.fenced == fenced);
        match same {
            Some(one) => one.found = cycle,
            None => legal.push(Legal {
                mapping,
                fenced,
                found: cycle,
            }),
        }
        if fenced == LIVE {
            self.cleared[usize::from(space.virt)] = false;
            if fills {
                if let Some(second) = &mut self.second {
                    let held = self
                        .requests
                        .iter()
                        .filter(|request| request.walk.is_none())
                        .map(|request| &request.query);
                    second.filled(query, key, &mapping, held);
                }
                for touched in &mut self.touched {
                    touched.take_if(|touched| *touched != key && touched.overlaps(&key));
                }
                self.touch(Some(key));
            }
        }
        if self.may_hold_is_known && fenced == LIVE {
            self.may_hold.insert(key);
            if self.kinds.len() > 1 {
                // Of two that overlap, the TLB holds the later.
                self.must_hold.retain(|other| !other.overlaps(&key));
            }
            if !in_scope {
                self.must_hold.insert(key);
            }
            let (fence_cycle, before) = self.before_fence;
            let had_room = fence_cycle != cycle || before < self.tlb_entries;
            if self.may_hold.len() > self.tlb_entries || !had_room {
                self.may_hold_is_known = false;
                self.may_hold.clear();
                self.must_hold.clear();
            }
        }
        fenced == LIVE
    }

    /// The TLB has filled or hit a page.
    fn touch(&mut self, key: Option<Key>) {
        if let Some(place) = key.and_then(|_| self.touched.iter().position(|one| *one == key)) {
            self.touched.remove(place);
        }
        self.touched.push_front(key);
        // One less than what is safe: a hit is known of only when its answer is taken, which may be after a fill.
        self.touched.truncate(self.tlb_entries.ilog2() as usize);
    }

    /// The TLB has hit: the page, if there is only one that it can have been.
    fn touch_of_hit(&mut self, query: &Query, outcome: &Outcome) {
        let answers = |legal: &[Legal]| {
            legal.iter().any(|one| {
                golden::answer_from(self.format, query, &one.mapping).as_ref() == Some(outcome)
            })
        };
        // One that a fence has named since is gone, and so is one that a fill in this cycle overlaps.
        let is_there = |key: &Key, legal: &[Legal]| {
            let mut touched = self.touched.iter().flatten();
            legal.iter().all(|one| one.fenced == LIVE)
                && !touched.any(|other| other != key && other.overlaps(key))
        };
        let mut candidates = (None, 0);
        for key in self.keys(query) {
            if let Some(legal) = self.legal.get(&key)
                && answers(legal)
            {
                candidates = (is_there(&key, legal).then_some(key), candidates.1 + 1);
            }
        }
        match candidates {
            (key, 1) => self.touch(key),
            _ => self.touch(None),
        }
    }

    /// Judges a response.
    pub fn response(&mut self, outputs: &Outputs, cycle: u64) -> Result<Response, Box<Mismatch>> {
        let id = outputs.rsp_id;
        let Some(request) = self.requests.get(id) else {
            return Err(Self::no_request(id, cycle, RequestEvent::Response));
        };
        let (op, query, fences) = (request.op, request.query, request.fences);
        if outputs.rsp_replay {
            self.check_is_replay(id, outputs, cycle)?;
            if request_has_no_walk(self.requests.get(id)) {
                self.unassigned = self.unassigned.saturating_sub(1);
            }
            self.release(id);
            return Ok(Response::Replay { op });
        }
        let wrong = |checker: &Self, violation| Err(checker.mismatch(id, cycle, violation));
        let outcome = match outputs.outcome(self.format.is_riscv()) {
            Ok(outcome) if outputs.rsp_gva == query.gva.0 => outcome,
            Ok(_) => {
                let violation = ResponseViolation::Gva {
                    expected: query.gva,
                    observed: Gva(outputs.rsp_gva),
                };
                return wrong(self, Violation::WalkResponse(violation));
            }
            Err(malformed) => {
                let violation = ResponseViolation::Malformed(malformed);
                return wrong(self, Violation::WalkResponse(violation));
            }
        };
        match (outputs.rsp_hit, request.walk) {
            (true, None) => {
                self.check_hit(id, &query, fences, &outcome, cycle)?;
                self.touch_of_hit(&query, &outcome);
                self.unassigned = self.unassigned.saturating_sub(1);
            }
            (false, Some(walk)) => {
                if let Some(by) = self.walks[walk].replayed {
                    let observed = outcome;
                    let violation = ReplayViolation::Missing { by, observed };
                    return wrong(self, Violation::Replay(violation));
                }
                let Some(judged) = self.walks[walk].judged else {
                    let violation = PairingViolation::BeforeWalkEnd;
                    return wrong(self, Violation::OneResponse(violation));
                };
                // Of the same query over the same reads, the golden model would say the same again.
                let same = judged.query == query && judged.reads == self.walks[walk].reads.len();
                let found = if same {
                    judged.found
                } else {
                    self.judge(walk, id, &query, cycle, &mut ())?
                };
                let expected = golden::answer(&found);
                if expected != outcome {
                    let violation = ResponseViolation::Outcome {
                        expected,
                        observed: outcome,
                    };
                    return wrong(self, Violation::WalkResponse(violation));
                }
                self.check_not_stale(walk, id, &query, fences, &found, cycle)?;
            }
            (true, Some(_)) => {
                return wrong(self, Violation::OneResponse(PairingViolation::HitOfWalk));
            }
            (false, None) => {
                let violation = PairingViolation::NeitherHitNorWalk;
                return wrong(self, Violation::OneResponse(violation));
            }
        }
        self.release(id);
        let hit = outputs.rsp_hit;
        Ok(Response::Answer { op, outcome, hit })
    }

    /// A replay says nothing but whose it is, and a fence has overtaken its request.
    #[cold]
    fn check_is_replay(&self, id: u8, outputs: &Outputs, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.requests.get(id) else {
            return Ok(());
        };
        let reason = match request.walk.map(|walk| &self.walks[walk]) {
            Some(walk) if walk.replayed.is_some() => None,
            Some(walk) => Some(match walk.overtaken {
                Some(overtaken) => NoReplayReason::WalkEnded(overtaken.by),
                None => NoReplayReason::WalkNotOvertaken,
            }),
            None if request.overtaken.is_some() => None,
            None => Some(NoReplayReason::RequestNotOvertaken),
        };
        let expected = request.query.gva;
        let observed = Gva(outputs.rsp_gva);
        let violation = match reason {
            Some(reason) => ReplayViolation::Unexpected(reason),
            None if observed == expected && outputs.is_bare_replay() => return Ok(()),
            None => ReplayViolation::Fields { expected, observed },
        };
        Err(self.mismatch(id, cycle, Violation::Replay(violation)))
    }

    /// A shared walk must not be older than a fence before the request that names what it found.
    fn check_not_stale(
        &self,
        walk: usize,
        id: u8,
        query: &Query,
        fences: u64,
        found: &Result<Mapping, Fault>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let names = |fence: &Fence| match found {
            Ok(mapping) => fence.names(query.context.space(), &mapping.extent(query.gva)),
            Err(Fault {
                at:
                    Position::Host {
                        gpa,
                        purpose: Purpose::Data,
                        ..
                    },
                ..
            }) => self.names_surely(fence, query, *gpa),
            Err(_) => false,
        };
        let stale = self.walks[walk]
            .fences
            .iter()
            .find(|(number, fence)| *number <= fences && names(fence));
        match stale {
            None => Ok(()),
            Some((number, fence)) => {
                let violation = Violation::Overtaken {
                    by: self.event_of(*number, fence),
                    observed: OvertakenUse::Answered,
                };
                Err(self.mismatch(id, cycle, violation))
            }
        }
    }

    fn check_hit(
        &self,
        id: u8,
        query: &Query,
        fences: u64,
        outcome: &Outcome,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let mut legal = Vec::new();
        let mut refused = false;
        for answer in self.legal_answers(query, |fenced| fenced > fences) {
            match answer {
                Some(answer) if answer == *outcome => return Ok(()),
                Some(answer) => legal.push(answer),
                None => refused = true,
            }
        }
        let violation = Violation::Hit {
            expected: if !legal.is_empty() {
                ExpectedHit::AnyOf(legal)
            } else if refused {
                ExpectedHit::Miss(MissReason::NotPermitted)
            } else {
                ExpectedHit::Miss(self.why_no_hit(query, fences))
            },
            observed: *outcome,
            origin: self.origin(query, fences, outcome),
        };
        Err(self.mismatch(id, cycle, violation))
    }

    // The reasons that follow come from facts that are kept until the reset, or say what is not known
    // any more.

    /// Returns a fence with the cycle of its handshake, by its number.
    fn event_of(&self, number: u64, fence: &Fence) -> FenceEvent {
        FenceEvent {
            fence: *fence,
            cycle: self.fence_cycles[number as usize - 1],
        }
    }

    /// The facts of the pages that an address is in, as far as fences up to a number have invalidated
    /// them.
    fn invalidated(&self, query: &Query, fences: u64) -> impl Iterator<Item = &Invalidated<Found>> {
        self.keys(query)
            .flat_map(move |key| self.history.of(&key, fences))
    }

    /// Returns why a request must miss that was accepted after so many fences: no response is legal.
    #[cold]
    fn why_no_hit(&self, query: &Query, fences: u64) -> MissReason {
        let last = self.invalidated(query, fences).max_by_key(|one| one.number);
        match last {
            Some(Invalidated { fence, number, .. }) => {
                MissReason::Invalidated(self.event_of(*number, fence))
            }
            None if self.history.is_complete() => MissReason::NeverFound,
            None => MissReason::NotFoundOfLate {
                known: history::KEYS,
            },
        }
    }

    /// Returns the walk from which the response of a hit comes, if fences have invalidated it.
    #[cold]
    fn origin(&self, query: &Query, fences: u64, outcome: &Outcome) -> Option<StaleOrigin> {
        let is_it = |one: &&Invalidated<Found>| {
            let mapping = &one.fact.mapping;
            golden::answer_from(self.format, query, mapping).as_ref() == Some(outcome)
        };
        let invalidated = self.invalidated(query, fences).filter(is_it);
        let Invalidated {
            fact: Found { cycle: found, .. },
            fence,
            number,
        } = invalidated.max_by_key(|one| one.number)?;
        Some(StaleOrigin {
            found: *found,
            by: self.event_of(*number, fence),
        })
    }

    /// The cycle in which a walk found a page last that no fence has named since.
    fn found_in(&self, key: &Key) -> u64 {
        let legal = self.legal.get(key).into_iter().flatten();
        let live = legal.filter(|one| one.fenced == LIVE);
        live.map(|one| one.found).max().unwrap_or(0)
    }

    /// Returns why the TLB must not take what a walk has found.
    #[cold]
    fn why_no_fill(
        &self,
        walk: usize,
        query: &Query,
        found: &Result<Mapping, Fault>,
    ) -> NoFillReason {
        let space = query.context.space();
        let mapping = match found {
            Ok(mapping) => mapping,
            Err(fault) => return NoFillReason::Fault(*fault),
        };
        let extent = mapping.extent(query.gva);
        let mut fences = self.walks[walk].fences.iter();
        match fences.find(|(_, fence)| fence.names(space, &extent)) {
            Some((number, fence)) => NoFillReason::Invalidated(self.event_of(*number, fence)),
            None => NoFillReason::StagesOff,
        }
    }

    /// Returns why a page-walk cache must not have led a walk to the step of a number.
    #[cold]
    fn why_no_pass(&self, walk: usize, query: &Query, number: usize) -> NoWalkCacheHit {
        let told = &self.walks[walk].told[number];
        let why = self.known.as_ref().map(|known| known.why_not(query, told));
        match why.unwrap_or(WhyNot::NeverRead) {
            WhyNot::NeverRead => NoWalkCacheHit::NeverRead,
            WhyNot::NotReadOfLate => NoWalkCacheHit::NotReadOfLate {
                known: history::KEYS,
            },
            WhyNot::Invalidated(fence, number) => {
                NoWalkCacheHit::Invalidated(self.event_of(number, &fence))
            }
            WhyNot::Elsewhere(places) => NoWalkCacheHit::Elsewhere(places),
        }
    }

    fn release(&mut self, id: u8) {
        if let Some(request) = self.requests.take(id)
            && let Some(walk) = request.walk
        {
            self.release_walk(walk);
        }
        self.forget_fenced();
    }

    /// A walk's record serves again when its last request has been answered.
    fn release_walk(&mut self, walk: usize) {
        let state = &mut self.walks[walk];
        state.unanswered -= 1;
        if state.ended && state.unanswered == 0 {
            for slot in self.slots.iter_mut().filter(|slot| **slot == Some(walk)) {
                *slot = None;
            }
            self.free_walks.push(walk);
        }
    }

    /// What a port offers and is not taken stays as it is.
    #[inline]
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        rsp_taken: bool,
        read_taken: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.response_is_stalled {
            let riscv = self.format.is_riscv();
            let stalled = &self.stalled_response;
            let same = outputs.rsp_valid
                && stalled.rsp_id == outputs.rsp_id
                && stalled.rsp_hit == outputs.rsp_hit
                && stalled.rsp_replay == outputs.rsp_replay
                && stalled.rsp_gva == outputs.rsp_gva
                && stalled.outcome(riscv) == outputs.outcome(riscv);
            if !same && let Some(stalled) = PortResponse::on_port(stalled, self.format) {
                let violation = PortViolation::ResponseChanged {
                    stalled,
                    now: PortResponse::on_port(outputs, self.format),
                };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
        }
        self.response_is_stalled = outputs.rsp_valid && !rsp_taken;
        if self.response_is_stalled {
            self.stalled_response.clone_from(outputs);
        }
        if let Some(stalled) = self.stalled_read.take() {
            let now = PortRequest::on_port(outputs);
            if now != Some(stalled) {
                let violation = PortViolation::MemoryRequestChanged { stalled, now };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
        }
        if outputs.mem_req_valid && !read_taken {
            self.stalled_read = PortRequest::on_port(outputs);
        }
        Ok(())
    }

    /// A device with something to do and nothing to wait for does something, soon.
    #[inline]
    pub fn goes_on(&mut self, fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        self.idle = if fine { 0 } else { self.idle + 1 };
        if self.idle > MOST_IDLE {
            let cycles = MOST_IDLE;
            return Err(self.stalled(cycle, Stall::Idle { cycles }));
        }
        Ok(())
    }

    /// What a reset leaves: nothing.
    pub fn reset(&mut self, machine: &Machine) {
        *self = Self::new(machine, self.walk_caches_ever);
    }

    /// Other walk caches are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        if let Some(held) = &mut self.held {
            held.use_now(used);
        }
    }

    /// Counts cycles in which a request waits, and says whether there is to be a reason. A waiting request is looked up in each
    /// cycle in which the response register is free and neither a fence nor an ended walk goes first. `looks`: this is such a
    /// cycle. `is_offered`: a request is on the port, and was not taken. `progress`: one was looked up with success.
    #[inline]
    pub fn keeps_out(&mut self, looks: bool, is_offered: bool, progress: bool) -> bool {
        let waits = is_offered || self.unassigned > 0;
        if !waits || !looks || progress {
            self.kept_out = 0;
            return false;
        }
        self.kept_out += 1;
        self.kept_out.is_multiple_of(MOST_KEPT_OUT)
    }

    /// Whether a request that a fence matches has no walk and no response yet.
    pub fn has_held(&self, fence: &Fence) -> bool {
        let mut requests = self
            .requests
            .iter()
            .filter(|request| request.walk.is_none());
        requests.any(|request| fence.names_space(request.query.context.space()))
    }

    /// A request that waits must have no room: `offered` is the one on the port, if there is one.
    #[cold]
    pub fn check_room(
        &self,
        offered: Option<(Query, Context)>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        // One that was taken goes before the one on the port.
        let held = self.requests.iter().find(|request| request.walk.is_none());
        let held_asks = held.map(|request| (request.query, request.driven));
        let Some((query, driven)) = held_asks.or(offered) else {
            return Ok(());
        };
        let under_way: Vec<usize> = self
            .slots
            .iter()
            .flatten()
            .copied()
            .filter(|&walk| !self.walks[walk].ended)
            .collect();
        let waiting: u32 = under_way
            .iter()
            .map(|&walk| self.walks[walk].requests)
            .sum();
        let may_share = under_way.iter().any(|&walk| {
            self.must_be_shared(walk, &query, &driven) && !self.is_overtaken(walk, &query)
        });
        let slot_is_free = under_way.len() < self.slot_count as usize;
        // As many requests can wait for walks as `MissEntries` of sim/tb_top.sv says.
        if waiting >= 2 * self.slot_count || !(slot_is_free || may_share) {
            return Ok(());
        }
        let stall = Stall::Unassigned {
            slots: self.slot_count,
            in_use: under_way.len(),
            waiting,
            cycles: MOST_KEPT_OUT,
        };
        let mut mismatch = self.stalled(cycle, stall);
        mismatch.op = held.map(|request| request.op);
        mismatch.query = Some(query);
        Err(mismatch)
    }

    #[cold]
    fn stalled(&self, cycle: u64, stall: Stall) -> Box<Mismatch> {
        let waits = self.requests.iter().min_by_key(|request| request.accepted);
        Box::new(Mismatch {
            op: waits.map(|request| request.op),
            query: waits.map(|request| request.query),
            ..*Mismatch::new(cycle, Violation::Stalled(stall))
        })
    }

    #[cold]
    fn no_request(id: u8, cycle: u64, observed: RequestEvent) -> Box<Mismatch> {
        let violation = PairingViolation::NoRequest { id, observed };
        Mismatch::new(cycle, Violation::OneResponse(violation))
    }

    /// Returns a mismatch that concerns the request of an id.
    #[cold]
    fn mismatch(&self, id: u8, cycle: u64, violation: Violation) -> Box<Mismatch> {
        let request = self.requests.get(id);
        let walk = request.and_then(|request| request.walk);
        Box::new(Mismatch {
            op: request.map(|request| request.op),
            query: request.map(|request| request.query),
            reads: walk.map_or_else(Vec::new, |walk| self.walks[walk].reads.clone()),
            ..*Mismatch::new(cycle, violation)
        })
    }
}

impl Walk {
    /// Whether a fence matches it, by V, ASID and VMID: its addresses and whether it is global are known for certain only when it ends.
    fn is_matched_by(&self, fence: &Fence) -> bool {
        self.query
            .is_some_and(|query| fence.names_space(query.context.space()))
    }
}

fn request_has_no_walk(request: Option<&Request>) -> bool {
    request.is_some_and(|request| request.walk.is_none())
}

#[cfg(test)]
mod tests;
