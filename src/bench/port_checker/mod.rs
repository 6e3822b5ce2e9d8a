// SPDX-License-Identifier: Apache-2.0
//! Compares a device with the golden model by its ports alone.
//!
//! - *Ports*: every request has one response. The response is the result of a golden walk over
//!   words that memory has returned and that no fence before the request has invalidated since. Old
//!   and new words may be mixed in one walk, because page-walk caches can contain old words.
//! - *Attributed*: the memory requests with each id of the memory port are exactly the memory
//!   requests of golden walks of requests in flight, in the same order. A response without a walk
//!   (a TLB hit) agrees with the golden walk over the words of one earlier walk, because a TLB
//!   contains results of complete walks.
//!
//! At both levels a response that no golden walk gives is found, and so is a device that stalls.
//! Behaviour that the ports do not show is not checked: see `docs/visibility.md`.

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

/// The most ended walks that are kept for each address-space tag. If there are more, the oldest is
/// dropped. From then on, a response that no known walk explains is accepted, because it may come
/// from a dropped walk.
const MOST_KEPT: usize = 4096;

/// A walk that has ended, and whose result a TLB may contain.
#[derive(Debug)]
struct Kept {
    /// The context of the request that it served.
    context: Context,
    /// The walk has found a global page.
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
    /// The uses of the freedoms of the device file. A reset does not clear them.
    uses: FreedomUses,
    /// Memory requests are attributed to walks.
    is_attributed: bool,
    /// The page-walk caches that are in use at some time in the run. If there are any, a walk may
    /// skip memory requests of the golden walk.
    walk_caches_ever: WalkCaches,
    board: Scoreboard,
    /// By id of a request: the earliest cycle in which a walk may have begun whose result the
    /// request may get.
    since: [u64; 256],
    /// By id of the memory port: the walks that explain the memory requests with the id.
    streams: Vec<Stream>,
    /// By address-space tag without the ASID: the walks that have ended, the oldest first.
    kept: FxHashMap<AddressSpaceTag, VecDeque<Kept>>,
    /// The TLB may contain the results of walks that are not known, because they were dropped or
    /// not followed.
    has_forgotten: bool,
    /// By the tags of the host stage: the contexts of the requests since the reset.
    contexts: FxHashMap<AddressSpaceTag, Vec<Context>>,
    /// The translations that the TLB may contain.
    translations: Tlb,
    /// All words that memory has returned since the reset.
    words: Words,
    /// The must-contain set of the TLB. If the device has a second TLB for fetches, the second
    /// element is its must-contain set. None if the sets are not known: they are known only for a
    /// device with one request in flight.
    tlbs: Option<[Tlb; 2]>,
    /// Number of memory requests since the last request, response or fence was accepted.
    requests_since: u64,
    /// Number of consecutive cycles for which a fence has waited without a visible cause.
    fence_waits: u32,
    ports: StablePorts,
    progress: Progress,
    /// The state that is not known after a mismatch. It is used only for recordings, because a run
    /// of the testbench ends with its first mismatch.
    recovery: Recovery,
}

impl PortChecker {
    /// Returns the checker of a device. `ever`: the page-walk caches that are in use at some time
    /// in the run.
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
            // The TLB has no limit here, because the set is used only for what the TLB may contain.
            translations: Tlb::new(machine.format, u32::MAX, 0),
            words: Words::default(),
            // The description says only how many of the most recently used pages the TLB must keep.
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

    /// Resets the checker with the device. Only the counts of freedom uses are kept.
    pub fn reset(&mut self, machine: &Machine) {
        let uses = std::mem::take(&mut self.uses);
        *self = Self {
            uses,
            ..Self::new(machine, self.description.clone(), self.walk_caches_ever)
        };
    }

    /// Returns the index in [`PortChecker::tlbs`] of the TLB that serves a request.
    fn tlb_index(&self, query: &Query) -> usize {
        let is_split = self.description.tlb.is_some_and(|tlb| tlb.split);
        usize::from(is_split && query.access == Access::Fetch)
    }

    /// Returns the must-contain set of the TLB that serves a request, if it is known.
    fn tlb_of(&self, query: &Query) -> Option<&Tlb> {
        let tlbs = self.tlbs.as_ref()?;
        Some(&tlbs[self.tlb_index(query)])
    }

    /// Returns when the walks of the device check permissions: at each entry, or at their end.
    fn permissions(&self) -> PermissionCheck {
        self.description.walks.permissions
    }

    /// Returns true if the device may ignore a fence for the entries of an address space.
    fn may_ignore(&self, fence: &Fence, space: AddressSpaceTag) -> bool {
        may_ignore(self.description.fences, fence, space)
    }

    /// Returns true if a page-walk cache is in use at some time in the run.
    fn has_walk_caches(&self) -> bool {
        self.walk_caches_ever.any()
    }

    /// Notes that the device has accepted a request. `driven`: the context as it is driven, with
    /// the fields that the device ignores.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        // The request may share the walk of an equal request in flight, so a walk that began before
        // the request was accepted may serve it.
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

    /// Allows the requests in flight that a fence matches to miss. The fence may take effect before
    /// the device looks up these requests.
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

    /// Drops the ended walks that no future request may hit, because fences have invalidated them.
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
                    // A fence with an ASID does not match global pages, so it does not invalidate a
                    // walk for certain.
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

    /// Checks that a fence has not waited for longer than the device file allows. Cycles do not
    /// count if a memory request is offered and not accepted (`is_offered`).
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

    /// Checks a memory request with an id that memory has accepted.
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

    /// Adds a memory error to every entry of its line, if the device reads whole lines. Such a
    /// device may report the error for any of these entries.
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

    /// Checks that the device does not make more memory requests than the walks of the requests in
    /// flight can need. The count restarts after an update that has failed, because the walk may
    /// then start again.
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
        // The factor 2 allows one update for each read.
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

    /// Checks that stalled ports have not changed since the last cycle. `accepted`: a handshake of
    /// the response port, and of the memory request port, takes place in this cycle.
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        accepted: (bool, bool),
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.ports.on_cycle(outputs, accepted, self.format, cycle)
    }

    /// Checks that the device makes progress. `is_fine`: the device did something in the cycle, or
    /// has a cause to do nothing.
    pub fn goes_on(&mut self, is_fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        if !self.progress.is_idle_for_too_long(is_fine) {
            return Ok(());
        }
        let cycles = self.description.stalls.request;
        Err(rules::stalled(&self.board, cycle, Stall::Idle { cycles }))
    }

    /// Returns a mismatch that belongs to the request with an id.
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

/// Returns true if a device may ignore a fence for the entries of an address space: the fence has
/// an operand of a stage that is Bare in this address space, and the device file declares that such
/// fences may be ignored.
fn may_ignore(fences: Option<Fences>, fence: &Fence, space: AddressSpaceTag) -> bool {
    let of_guest = fence.gva.is_some() || fence.asid.is_some();
    // The VMID of a guest-stage fence comes from hgatp. It is not an operand of the instruction.
    let of_host = fence.gpa.is_some() || fence.vmid.is_some() && !of_guest;
    fences.is_some_and(|fences| fences.ignores_bare)
        && (of_guest && space.guest_levels == 0 || of_host && space.host_levels == 0)
}

/// Returns the widest fence that a device may execute in place of a fence, if the device file says
/// that it ignores operands.
fn widest(description: &Description, fence: &Fence) -> Fence {
    let Some(fences) = description.fences else {
        return *fence;
    };
    let zero = fences.zero_is_all;
    let precise = fences.precise;
    // A device may compare only the address bits of its narrowest mode. Then a fence whose operand
    // has other upper bits also matches other pages, so the operand is dropped.
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
