// SPDX-License-Identifier: Apache-2.0
//! Compares a device with the golden model by its ports alone.
//!
//! - *Ports*: every request has one response. The response is that of a golden walk over words that
//!   memory has served, and that no fence has invalidated since for this request. A walk may mix
//!   old and new words: page-walk caches do.
//! - *Attributed*: the memory requests of each id of the memory port are those of golden walks of
//!   requests in flight, in their order and no more. A response without a walk comes from the words
//!   of one walk, for a TLB holds the results of whole walks.
//!
//! A response that no walk gives is found at either level, and so is a device that stalls. What the
//! ports do not show is not judged: see `docs/visibility.md`.

mod attribution;
mod free_reads;
mod recovery;
mod responses;
mod streams;
mod words;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use self::attribution::host_tags;
use self::free_reads::FreeReads;
use self::recovery::Recovery;
use self::streams::Stream;
use self::words::Words;
use super::checks::{Progress, StablePorts};
use super::freedoms::FreedomUses;
use super::memory_request::Read;
use super::mismatch::{Mismatch, PortViolation, Stall, Violation};
use super::rules;
use super::scoreboard::{Request, Scoreboard};
use crate::addr::{Gva, Hpa};
use crate::dut::Outputs;
use crate::dut::description::{
    Description, Fences, PermissionCheck, Reads, ResponseFields, Visibility,
};
use crate::format::{Format, fits};
use crate::golden::occupancy::Tlb;
use crate::mmu::{Access, AddressSpaceTag, Context, Fence, Query, WalkCaches};
use crate::scenario::Machine;

/// The most walks of an address space that are kept. The oldest is forgotten if there are more.
/// Then a response that no walk explains may come from a walk that is not known any more, and is
/// accepted.
const MOST_KEPT: usize = 4096;

/// A walk that has ended, and whose result a TLB may contain.
#[derive(Debug)]
struct Kept {
    /// The context of the request that it served.
    context: Context,
    /// It has found a global page.
    is_global: bool,
    words: Words,
    reads: Vec<Read>,
}

/// Checks a device by its ports.
pub(super) struct PortChecker {
    format: Format,
    description: Description,
    fields: ResponseFields,
    free_reads: FreeReads,
    /// The uses of the freedoms of the device file, also before a reset.
    uses: FreedomUses,
    /// Memory requests are attributed to walks.
    is_attributed: bool,
    /// The page-walk caches that are in use at any time: walks may leave out requests.
    walk_caches_ever: WalkCaches,
    board: Scoreboard,
    /// By id of a request: the first cycle in which a walk whose result it may get may have begun.
    since: [u64; 256],
    /// By id of the memory port: the walks that it may be in.
    streams: Vec<Stream>,
    /// The walks that have ended, the oldest first.
    kept: FxHashMap<AddressSpaceTag, VecDeque<Kept>>,
    /// Some walks whose results the TLB may contain are not known.
    has_forgotten: bool,
    /// The contexts of the requests, by the tags of their host stages.
    contexts: FxHashMap<AddressSpaceTag, Vec<Context>>,
    /// The translations that the TLB may contain.
    translations: Tlb,
    /// All words that memory has served.
    words: Words,
    /// The translations that the TLB must contain, and those that the TLB of fetches must, if there
    /// are two. They are known only if one request is in flight at a time.
    tlbs: Option<[Tlb; 2]>,
    /// Memory requests since the last request, response or fence that was accepted.
    requests_since: u64,
    /// Cycles for which a fence has waited without a visible cause.
    fence_waits: u32,
    ports: StablePorts,
    progress: Progress,
    /// What is not known after a mismatch. A run of the testbench ends with the first.
    recovery: Recovery,
}

impl PortChecker {
    /// Returns the checker of a device. `ever`: the page-walk caches that are in use at any time.
    pub fn new(machine: &Machine, description: Description, ever: WalkCaches) -> Self {
        let limits = machine.microarchitecture();
        let ids = description.memory_ids().next_power_of_two().max(2) as usize;
        let is_alone = description.outstanding() == 1;
        let free_reads = FreeReads::of(machine.format, &description.walks);
        let tlb = description
            .tlb
            .filter(|tlb| is_alone && tlb.second.is_none());
        Self {
            format: machine.format,
            fields: description.response_fields(),
            is_attributed: free_reads.is_none()
                && description.visibility() >= Visibility::Attributed,
            free_reads,
            uses: FreedomUses::default(),
            walk_caches_ever: ever,
            board: Scoreboard::new(0),
            since: [0; 256],
            streams: vec![Stream::default(); ids],
            kept: FxHashMap::default(),
            has_forgotten: false,
            contexts: FxHashMap::default(),
            // It contains every translation, and none for certain.
            translations: Tlb::new(machine.format, u32::MAX, 0),
            words: Words::default(),
            // Nothing is known of the replacement but the pages that it must keep.
            tlbs: tlb.map(|tlb| [(); 2].map(|()| Tlb::new(machine.format, 0, tlb.recent))),
            requests_since: 0,
            fence_waits: 0,
            ports: StablePorts::default(),
            progress: Progress::new(description.stalls.request, limits.stall_cycles),
            recovery: Recovery::default(),
            description,
        }
    }

    /// The transactions in flight.
    pub fn board(&self) -> &Scoreboard {
        &self.board
    }

    /// The uses of the freedoms of the device file.
    pub fn uses(&self) -> &FreedomUses {
        &self.uses
    }

    /// The device is reset: nothing is left.
    pub fn reset(&mut self, machine: &Machine) {
        let uses = std::mem::take(&mut self.uses);
        *self = Self {
            uses,
            ..Self::new(machine, self.description.clone(), self.walk_caches_ever)
        };
    }

    /// The index of the TLB of a request.
    fn tlb_index(&self, query: &Query) -> usize {
        let is_split = self.description.tlb.is_some_and(|tlb| tlb.split);
        usize::from(is_split && query.access == Access::Fetch)
    }

    /// The TLB of a request, if it is known what the TLB must contain.
    fn tlb_of(&self, query: &Query) -> Option<&Tlb> {
        let tlbs = self.tlbs.as_ref()?;
        Some(&tlbs[self.tlb_index(query)])
    }

    /// The time at which walks check permissions.
    fn permissions(&self) -> PermissionCheck {
        self.description.walks.permissions
    }

    /// Returns true if a fence need not invalidate what it matches in an address space.
    fn may_ignore(&self, fence: &Fence, space: AddressSpaceTag) -> bool {
        may_ignore(self.description.fences, fence, space)
    }

    /// Returns true if a page-walk cache is in use at any time.
    fn has_walk_caches(&self) -> bool {
        self.walk_caches_ever.any()
    }

    /// The device has accepted a request. `driven`: its context as it is driven, with the fields
    /// that the device ignores.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        // Equal requests may share a walk, one after the other.
        let equal = self.board.unassigned_requests();
        let equal = equal.filter(|other| rules::may_share_walk(self.format, &other.query, query));
        let since = equal.map(|other| self.since[usize::from(other.id)]).min();
        self.since[usize::from(id)] = since.unwrap_or(cycle);
        let seen = self.contexts.entry(host_tags(&query.context));
        let seen = seen.or_default();
        if !seen.contains(&query.context) {
            seen.push(query.context);
        }
        self.free_reads
            .on_request(&query.context, self.board.is_empty());
        self.requests_since = 0;
        let tlb = self.tlb_of(query);
        let must_hit = tlb.and_then(|tlb| tlb.must_contain(query));
        let fences = self.board.fence_count();
        self.board
            .accept(Request::new(id, op, query, driven, cycle, fences, must_hit));
    }

    /// The device has accepted a fence.
    pub fn fence(&mut self, fence: &Fence, cycle: u64) {
        self.fence_waits = 0;
        self.requests_since = 0;
        self.let_miss(fence);
        let number = self.board.fence(fence, cycle);
        let has_replays = self.description.has_replays();
        for stream in &mut self.streams {
            stream.on_fence(fence, cycle, has_replays);
        }
        for tlb in self.tlbs.iter_mut().flatten() {
            tlb.on_fence(&widest(&self.description, fence), number, cycle);
        }
        let fences = self.description.fences;
        self.translations
            .on_fence_for(fence, number, cycle, |space| {
                !may_ignore(fences, fence, space)
            });
        self.recovery.on_fence(fence, number);
        if self.board.is_empty() {
            self.drop_invalidated();
        }
    }

    /// A fence that is offered may take effect before the device looks up a request in flight, so
    /// the requests that it matches may miss.
    fn let_miss(&mut self, fence: &Fence) {
        if self.tlbs.is_none() {
            return;
        }
        let fence = widest(&self.description, fence);
        for request in self.board.requests_mut() {
            if fence.matches_tag(request.query.context.space()) {
                request.must_hit = None;
            }
        }
    }

    /// Drops the walks that fences have invalidated for every request to come.
    fn drop_invalidated(&mut self) {
        let fences = self.board.fences();
        for (space, kept) in &mut self.kept {
            kept.retain(|walk| {
                let first = walk.reads.first().map_or(0, |read| read.cycle);
                let mut later = fences.iter().rev().take_while(|fence| fence.cycle >= first);
                let space = AddressSpaceTag {
                    asid: walk.context.asid,
                    ..*space
                };
                !later.any(|event| {
                    let Fence { gva, gpa, asid, .. } = event.fence;
                    // A fence with an ASID does not match global pages.
                    let is_whole = gva.is_none()
                        && gpa.is_none()
                        && !may_ignore(self.description.fences, &event.fence, space);
                    let matches_global = asid.is_none() || !self.format.has_global_pages();
                    is_whole && matches_global && event.fence.matches_tag(space)
                })
            });
        }
        self.translations.drop_invalidated();
        for tlb in self.tlbs.iter_mut().flatten() {
            tlb.drop_invalidated();
        }
    }

    /// Checks that a fence may wait: a memory request is offered and not accepted (`is_offered`),
    /// or the fence has not waited for longer than the device may take.
    pub fn fence_waits(
        &mut self,
        fence: &Fence,
        is_offered: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.let_miss(fence);
        self.fence_waits = if is_offered { 0 } else { self.fence_waits + 1 };
        match self.fence_waits > self.description.stalls.fence {
            true => {
                let violation = PortViolation::FenceStalled { fence: *fence };
                Err(Mismatch::new(cycle, Violation::Port(violation)))
            }
            false => Ok(()),
        }
    }

    /// Memory has accepted a memory request of an id.
    pub fn read(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        if self.board.is_empty() && self.free_reads.is_none() && !self.accepts_any(id) {
            return Err(Mismatch::of_no_walk(id, read));
        }
        self.check_free_read(id, read)?;
        self.check_livelock(read)?;
        if self.is_attributed {
            self.follow_stream(id, read)?;
        }
        self.words.add(read);
        self.add_error_of_line(read);
        self.free_reads.on_word(read);
        Ok(())
    }

    /// An error of any word of a line may be that of each of its entries, if the device reads
    /// lines.
    fn add_error_of_line(&mut self, read: &Read) {
        let Reads::Line(bytes) = self.description.walks.reads else {
            return;
        };
        if read.word.is_some() || read.update.is_some() {
            return;
        }
        let bytes = u64::from(bytes);
        let line = read.at.0 & !(bytes - 1);
        let entry = u64::from(self.format.geometry().pte_width / 8);
        for at in (line..=line + (bytes - 1)).step_by(entry as usize) {
            self.words.add(&Read {
                at: Hpa(at),
                ..*read
            });
        }
    }

    /// Checks that the requests in flight are not served by more memory requests than their walks
    /// may need. Each lost update may begin the walk of an entry anew.
    fn check_livelock(&mut self, read: &Read) -> Result<(), Box<Mismatch>> {
        let is_lost = read
            .update
            .is_some_and(|update| read.word != Some(update.expected));
        if is_lost {
            self.requests_since = 0;
        }
        self.requests_since += 1;
        let geometry = self.format.geometry();
        let levels = u64::from(geometry.levels);
        // With an update for each leaf.
        let a_walk = 2 * ((levels + 1) * (levels + 1) - 1) * self.free_reads.for_each(&geometry);
        let requests = self.board.count() as u64 + 1;
        let walks = u64::from(self.description.walks.outstanding);
        let most = a_walk * (requests + walks);
        if self.requests_since <= most {
            return Ok(());
        }
        let stall = Stall::Livelock {
            requests: self.requests_since,
            most,
        };
        Err(rules::stalled(&self.board, read.cycle, stall))
    }

    /// Checks that the ports are stable in a cycle. `accepted`: the response, and the memory
    /// request, is accepted in it.
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        accepted: (bool, bool),
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.ports.on_cycle(outputs, accepted, self.format, cycle)
    }

    /// Checks that the device makes progress. `is_fine`: it did something in the cycle, or has a
    /// cause to do nothing.
    pub fn goes_on(&mut self, is_fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        if !self.progress.is_idle_for_too_long(is_fine) {
            return Ok(());
        }
        let cycles = self.description.stalls.request;
        Err(rules::stalled(&self.board, cycle, Stall::Idle { cycles }))
    }

    /// Returns a mismatch that concerns the request of an id.
    #[cold]
    fn mismatch(&self, id: u8, cycle: u64, violation: Violation) -> Box<Mismatch> {
        let request = self.board.request(id);
        let walk = request.and_then(|request| self.walk_of(request));
        Box::new(Mismatch {
            op: request.map(|request| request.op),
            query: request.map(|request| request.query),
            reads: walk.map_or_else(Vec::new, |walk| walk.reads.clone()),
            ..*Mismatch::new(cycle, violation)
        })
    }
}

/// Returns true if a fence need not invalidate what it matches in an address space: it has an
/// operand of a stage that is Bare there, and the device ignores such fences.
fn may_ignore(fences: Option<Fences>, fence: &Fence, space: AddressSpaceTag) -> bool {
    let of_guest = fence.gva.is_some() || fence.asid.is_some();
    // The VMID of a fence of the guest stage is that of hgatp, and no operand.
    let of_host = fence.gpa.is_some() || fence.vmid.is_some() && !of_guest;
    fences.is_some_and(|fences| fences.ignores_bare)
        && (of_guest && space.guest_levels == 0 || of_host && space.host_levels == 0)
}

/// Returns a fence that invalidates all that a device may invalidate with a fence.
fn widest(description: &Description, fence: &Fence) -> Fence {
    let Some(fences) = description.fences else {
        return *fence;
    };
    let zero = fences.zero_is_all;
    let precise = fences.precise;
    // A device may ignore the bits of an operand that no page of the narrowest mode has. The fence
    // matches other pages then, too.
    let geometry = description.format.geometry();
    let width = |levels: &[u8]| {
        let narrowest = levels.iter().filter(|&&levels| levels > 0).min();
        let index = narrowest.map_or(0, |&levels| u32::from(levels) * geometry.index_width);
        geometry.offset_width + index
    };
    let guest = width(&description.modes.guest);
    let host = width(&description.modes.host) + geometry.host_root_extra;
    let is_gva = |gva: Gva| {
        let unused = 64 - guest;
        guest >= geometry.gva_width || (gva.0 << unused) as i64 >> unused == gva.0 as i64
    };
    Fence {
        virt: fence.virt,
        gva: fence
            .gva
            .filter(|gva| precise.gva && is_gva(*gva) && !(zero && gva.0 == 0)),
        gpa: fence
            .gpa
            .filter(|gpa| precise.gpa && fits(gpa.0, host) && !(zero && gpa.0 == 0)),
        asid: fence
            .asid
            .filter(|&asid| precise.asid && !(zero && asid == 0)),
        vmid: fence
            .vmid
            .filter(|&vmid| precise.vmid && !(zero && vmid == 0)),
    }
}

#[cfg(test)]
mod tests;
