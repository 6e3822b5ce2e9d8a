// SPDX-License-Identifier: Apache-2.0
//! Checks a recording: the ports of a device, cycle by cycle, with the checks of `port_checker`.
//!
//! In a run of the testbench, the word of a memory request is known in the cycle in which memory
//! accepts the request. In a recording the word appears later, with the response of memory. So each
//! cycle waits in a queue until the words of its memory requests are known, and is judged then. The
//! checks use the words that memory has returned in the recording as the contents of memory.

use std::collections::VecDeque;

use super::checker::Response;
use super::driver::Stats;
use super::memory_request::{Read, Update};
use super::mismatch::{Mismatch, PortViolation, Violation};
use super::port_checker::PortChecker;
use crate::addr::{Gpa, Gva, Hpa};
use crate::dut::description::{Description, Visibility};
use crate::dut::socket::FENCE_INSTRUCTION;
use crate::dut::{Inputs, Outputs};
use crate::format::fits;
use crate::memory::HostMemory;
use crate::mmu::{Context, Fence, Query, StageControl, WalkCaches};
use crate::scenario::Machine;

/// The most cycles that may be queued behind a memory request whose word is not known. Consecutive
/// cycles without activity on the ports count as one.
pub const MOST_WAITING: usize = 1 << 18;
/// The number of the latest requests for which the cycle of acceptance is kept.
const KEPT_REQUESTS: usize = 1024;

/// The ports of a device in a cycle of a recording.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The cycle.
    pub cycle: u64,
    /// Number of consecutive cycles in which the ports have these values, at least 1. It is more
    /// than 1 only if no port has a handshake.
    pub repeat: u64,
    /// The device has been reset before this cycle.
    pub reset: bool,
    /// The inputs. The payload of a port is used only if its `valid` is high.
    pub inputs: Inputs,
    /// The outputs. The payload of a port is used only if its `valid` is high.
    pub outputs: Outputs,
    /// The value of [`FENCE_INSTRUCTION`].
    pub fence_instruction: u8,
    /// The outputs with bits that are neither 0 nor 1 (X or Z), if the checks use these outputs in
    /// this cycle. In [`Observed::outputs`] such bits are 0.
    pub unknown: Vec<&'static str>,
}

/// A violation in a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A check has failed.
    Mismatch(Box<Mismatch>),
    /// An output of the device has bits that are neither 0 nor 1.
    Unknown {
        /// The cycle.
        cycle: u64,
        /// The port.
        port: &'static str,
    },
}

impl Finding {
    /// Returns the cycle in which the violation was noticed.
    pub fn cycle(&self) -> u64 {
        match self {
            Self::Mismatch(mismatch) => mismatch.cycle,
            Self::Unknown { cycle, .. } => *cycle,
        }
    }
}

/// An error in a recording: no recording of the described device can contain this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// A request with an unknown kind of access.
    #[error(
        "cycle {cycle}: a request with access {access}; the accesses of {format} are 0 to {most}"
    )]
    Access {
        /// The cycle.
        cycle: u64,
        /// The access.
        access: u8,
        /// The format.
        format: &'static str,
        /// The largest legal access.
        most: u8,
    },
    /// A request in a context that the device does not serve.
    #[error(
        "cycle {cycle}: a request in a context that [modes] of the device file excludes: \
         {context}"
    )]
    Context {
        /// The cycle.
        cycle: u64,
        /// The context.
        context: String,
    },
    /// A request has the id of an earlier request that has no response yet.
    #[error(
        "cycle {cycle}: a request with id {id}; the request of cycle {since} with this id has no \
         response yet"
    )]
    IdInUse {
        /// The cycle.
        cycle: u64,
        /// The id.
        id: u8,
        /// The cycle in which the earlier request was accepted.
        since: u64,
    },
    /// Memory returns data although no memory request waits for data.
    #[error(
        "cycle {cycle}: memory returns data{}, but each memory request{} has its data already",
        match id { Some(id) => format!(" for id {id}"), None => String::new() },
        match id { Some(_) => " with this id", None => "" }
    )]
    DataOfNoRequest {
        /// The cycle.
        cycle: u64,
        /// The id of the memory port; none if it has no id.
        id: Option<u8>,
    },
    /// Memory returns no data for a memory request.
    #[error(
        "cycle {cycle}: the memory request of hPA {hpa} has no data after {MOST_WAITING} cycles \
         with events; is an event missing?"
    )]
    NoData {
        /// The cycle of the request.
        cycle: u64,
        /// The address of the request.
        hpa: Hpa,
    },
    /// The recording does not begin in reset, and the memory port has no ids although several
    /// memory requests can be outstanding. The first data may then belong to a request from before
    /// the recording.
    #[error(
        "the recording does not begin in reset; then the data of several outstanding memory \
         requests without ids cannot be attributed"
    )]
    NeedsReset,
}

/// Figures of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The figures that a run of the testbench has as well. The number of edits is 0, because a
    /// recording does not show edits.
    pub stats: Stats,
    /// Resets.
    pub resets: u64,
    /// Responses to requests from before the recording.
    pub before: u64,
    /// Responses that were not judged, because an earlier violation has made it impossible.
    pub unjudged: u64,
    /// Requests without a response at the end.
    pub open: u64,
    /// The recording does not begin in reset.
    pub begins_midway: bool,
    /// The recording begins in the middle of a run of a device with page-walk caches. The words in
    /// these caches are not known, so neither walks nor responses were judged until the first
    /// reset.
    pub is_blind: bool,
}

/// The memory request that memory accepts in a cycle.
struct MemoryRequest {
    id: u8,
    at: Hpa,
    update: Option<Update>,
    /// The response of memory; none if memory has not responded yet. The inner value is the word;
    /// none if the response is an error.
    word: Option<Option<u64>>,
}

/// A cycle that is not judged yet.
struct Waiting {
    observed: Observed,
    /// The time of the cycle in the recording.
    time: Option<u64>,
    /// The request that the device accepts in the cycle, with its context as it is driven on the
    /// port.
    request: Option<(Query, Context)>,
    read: Option<MemoryRequest>,
    /// The cycle has a request and a response with the same id. The response belongs to the earlier
    /// request with the id, not to the request of the cycle.
    responds_first: bool,
    /// The device has something to do, and waits for nothing outside it.
    owes: bool,
}

/// The id and the gVA of the request in flight, of a device whose requests have no ids.
#[derive(Default)]
struct Unnumbered {
    /// The id of the next request.
    next: u8,
    id: u8,
    gva: u64,
    /// A request waits for its response.
    waits: bool,
}

/// Checks a recording.
pub struct Auditor {
    machine: Machine,
    description: Description,
    checker: PortChecker,
    /// The recording shows requests, responses and memory requests also in cycles in which they are
    /// offered and not accepted.
    sees_waits: bool,
    begun: bool,
    /// The recording has begun in the middle of a run, and no reset has come since.
    is_midway: bool,
    /// By id: the cycle in which the request in flight was accepted.
    in_flight: Box<[Option<u64>; 256]>,
    /// By id: a request with the id has been judged since the beginning of the recording or the
    /// last reset.
    was_accepted: Box<[bool; 256]>,
    unnumbered: Unnumbered,
    waiting: VecDeque<Waiting>,
    /// The number of the first of [`Auditor::waiting`] among all cycles.
    first_waiting: u64,
    /// By id of the memory port: the numbers of the cycles whose memory requests are unanswered.
    unanswered: Vec<VecDeque<u64>>,
    /// By id of the memory port: memory has accepted a request with the id since the beginning of
    /// the recording.
    was_read: [bool; 16],
    /// Number of requests that were accepted. The next request gets this number in place of the
    /// index of an operation.
    requests: usize,
    /// The cycles in which the last [`KEPT_REQUESTS`] requests were accepted.
    accepted: VecDeque<u64>,
    /// The cycle that is being judged, with its time in the recording.
    now: (u64, Option<u64>),
    /// The words that memory has returned, for reports.
    memory: HostMemory,
    /// A stall of the device was reported and has not ended. It is not reported again.
    is_stalled: bool,
    /// A fence that waits for too long was reported, and still waits. It is not reported again.
    is_fence_stalled: bool,
    figures: Figures,
}

/// Returns the machine that a description describes, as the checks need it.
fn machine_of(description: &Description) -> Machine {
    Machine {
        format: description.format,
        slots: description.walks.outstanding,
        tlb_entries: description.tlb.map_or(1, |tlb| tlb.entries),
        walk_cache_entries: description.walks.caches,
        walk_caches: WalkCaches::default(),
        read_bypass: description.walks.read_bypass,
        max_levels: u32::from(description.max_levels()),
        svadu: description.modes.svadu || !description.format.updates_entries(),
        tlb2: description.tlb.and_then(|tlb| tlb.second),
        checked: false,
        visibility: description.visibility(),
        foreign: None,
    }
}

impl Auditor {
    /// Returns an auditor that checks a device at a level of visibility. The auditor uses
    /// `attributed` for higher levels, because it does not check events. `sees_waits`: the
    /// recording shows requests, responses and memory requests also in cycles in which they are
    /// offered and not accepted.
    pub fn new(description: &Description, visibility: Visibility, sees_waits: bool) -> Self {
        let description = description.at_most(visibility.min(Visibility::Attributed));
        let machine = machine_of(&description);
        // The recording shows which page-walk caches are in use.
        let ever = WalkCaches::default();
        Self {
            checker: PortChecker::new(&machine, description.clone(), ever),
            sees_waits,
            begun: false,
            is_midway: false,
            in_flight: Box::new([None; 256]),
            was_accepted: Box::new([false; 256]),
            unnumbered: Unnumbered::default(),
            waiting: VecDeque::new(),
            first_waiting: 0,
            unanswered: vec![VecDeque::new(); 16],
            was_read: [false; 16],
            requests: 0,
            accepted: VecDeque::new(),
            now: (0, None),
            memory: HostMemory::new(description.format),
            is_stalled: false,
            is_fence_stalled: false,
            figures: Figures::default(),
            machine,
            description,
        }
    }

    /// The description of the device, as far as the checks use its ports.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The words that memory has returned in the cycles that have been judged.
    pub fn memory(&self) -> &HostMemory {
        &self.memory
    }

    /// Returns the time of a cycle in the recording; none if another cycle is being judged.
    pub fn time_of(&self, cycle: u64) -> Option<u64> {
        self.now.1.filter(|_| self.now.0 == cycle)
    }

    /// Returns the cycle in which the request with a number was accepted; none if too many requests
    /// have followed, so that the cycle is not kept any more.
    pub fn accepted(&self, request: usize) -> Option<u64> {
        let back = self.requests.checked_sub(request)?;
        let at = self.accepted.len().checked_sub(back)?;
        self.accepted.get(at).copied()
    }

    /// Queues the next cycle, with its time in the recording, and judges the queued cycles whose
    /// words are known. `found` is called with each violation.
    ///
    /// # Errors
    /// If no recording of the described device can contain the cycle.
    pub fn cycle(
        &mut self,
        observed: Observed,
        time: Option<u64>,
        found: &mut impl FnMut(&Self, Finding),
    ) -> Result<(), RecordingError> {
        let mut observed = observed;
        let cycle = observed.cycle;
        if observed.reset {
            self.on_reset();
        } else if !self.begun {
            let ids = self.description.memory_ids();
            if ids == 1 && self.description.walks.outstanding > 1 {
                return Err(RecordingError::NeedsReset);
            }
            self.is_midway = true;
            self.figures.begins_midway = true;
            self.use_walk_caches(&observed.inputs);
            self.checker.begin_midway();
        }
        self.begun = true;
        self.number(&mut observed);
        let (inputs, outputs) = (&observed.inputs, &observed.outputs);

        let mut request = None;
        let is_accepted = inputs.req_valid && outputs.req_ready;
        let responds = outputs.rsp_valid && inputs.rsp_ready;
        let in_use = self.in_flight[usize::from(outputs.rsp_id)].is_some();
        let responds_first = is_accepted && responds && inputs.req_id == outputs.rsp_id && in_use;
        if responds_first {
            self.in_flight[usize::from(outputs.rsp_id)] = None;
        }
        if is_accepted {
            let id = inputs.req_id;
            if let Some(since) = self.in_flight[usize::from(id)] {
                return Err(RecordingError::IdInUse { cycle, id, since });
            }
            self.in_flight[usize::from(id)] = Some(cycle);
            request = Some(self.query(inputs, cycle)?);
        }
        let read = (outputs.mem_req_valid && inputs.mem_req_ready).then(|| {
            let id = outputs.mem_req_id;
            let number = self.first_waiting + self.waiting.len() as u64;
            let queue = self.queue_of(id);
            self.unanswered[queue].push_back(number);
            self.was_read[queue] = true;
            MemoryRequest {
                id,
                at: Hpa(outputs.mem_req_hpa),
                update: Update::on_port(outputs),
                word: None,
            }
        });
        let answers = inputs.mem_rsp_valid && outputs.mem_rsp_ready;
        let data = (inputs.mem_rsp_id, inputs.mem_rsp_error, inputs.mem_rsp_data);
        if responds && !responds_first {
            self.in_flight[usize::from(outputs.rsp_id)] = None;
        }
        let is_asked = self.in_flight.iter().any(Option::is_some)
            || inputs.req_valid && !outputs.req_ready
            || inputs.fence_valid && !outputs.fence_ready;
        let is_memory_offering = inputs.mem_rsp_valid;
        self.waiting.push_back(Waiting {
            observed,
            time,
            request,
            read,
            responds_first,
            owes: false,
        });
        if answers {
            self.answer(data, cycle)?;
        }
        let is_idle = self.unanswered.iter().all(VecDeque::is_empty);
        if let Some(last) = self.waiting.back_mut() {
            last.owes = is_asked && is_idle && !is_memory_offering;
        }
        self.judge_known(found)?;
        self.merge_quiet();
        Ok(())
    }

    /// Judges the cycles that are still queued at the end of the recording. A memory request
    /// without data is judged as if memory had responded with an error.
    pub fn finish(&mut self, found: &mut impl FnMut(&Self, Finding)) -> Figures {
        while let Some(waiting) = self.waiting.pop_front() {
            self.judge(&waiting, found);
        }
        self.figures.open = self.checker.board().count() as u64;
        self.figures
    }

    /// Tells the checks which page-walk caches are in use.
    fn use_walk_caches(&mut self, inputs: &Inputs) {
        let caches = self.description.walks.caches;
        if !caches.any() {
            return;
        }
        let used = |bit: u8, entries: u32| entries > 0 && inputs.walk_caches >> bit & 1 == 1;
        self.checker.use_walk_caches(WalkCaches {
            guest: used(0, caches.guest),
            host: used(1, caches.host),
            nested: used(2, caches.nested),
        });
    }

    /// The device has been reset: no request, walk or memory request is in flight any more.
    fn on_reset(&mut self) {
        self.is_midway = false;
        self.in_flight.fill(None);
        self.was_read = [false; 16];
        self.unnumbered = Unnumbered::default();
        // Memory requests from before the reset get no data.
        for queue in &mut self.unanswered {
            for number in queue.drain(..) {
                let waiting = self.waiting.get_mut((number - self.first_waiting) as usize);
                if let Some(read) = waiting.and_then(|waiting| waiting.read.as_mut()) {
                    read.word = Some(None);
                }
            }
        }
    }

    /// Numbers the requests and responses of a device whose request port has no ids, in the same
    /// way as `SocketPorts` does it for a foreign device in a run.
    fn number(&mut self, observed: &mut Observed) {
        if self.description.ports.has("rsp_id_o") {
            return;
        }
        let (inputs, outputs) = (&mut observed.inputs, &mut observed.outputs);
        let state = &mut self.unnumbered;
        let is_accepted = inputs.req_valid && outputs.req_ready;
        inputs.req_id = state.next;
        let accept = |state: &mut Unnumbered| {
            state.id = state.next;
            state.gva = inputs.req_gva;
            state.next = state.next.wrapping_add(1);
            state.waits = true;
        };
        // If no earlier request waits for a response, the response belongs to the request that is
        // accepted in the same cycle.
        let is_at_once = is_accepted && !state.waits;
        if is_at_once {
            accept(state);
        }
        if outputs.rsp_valid {
            outputs.rsp_id = state.id;
            if !self.description.ports.has("rsp_gva_o") {
                outputs.rsp_gva = state.gva;
            }
            if inputs.rsp_ready {
                state.waits = false;
            }
        }
        if is_accepted && !is_at_once {
            accept(state);
        }
    }

    /// Returns the queue of the memory requests with an id. Without ids there is one queue, because
    /// data come in the order of the requests.
    fn queue_of(&self, id: u8) -> usize {
        match self.description.ports.has("mem_req_id_o") {
            true => usize::from(id) % 16,
            false => 0,
        }
    }

    /// Attributes a response of memory to its memory request. `data`: the id, the error flag and
    /// the word of the response.
    fn answer(&mut self, data: (u8, bool, u64), cycle: u64) -> Result<(), RecordingError> {
        let (id, is_error, word) = data;
        let queue = self.queue_of(id);
        let Some(number) = self.unanswered[queue].pop_front() else {
            // The request may have come before the recording.
            if self.is_midway && !self.was_read[queue] {
                return Ok(());
            }
            let has_ids = self.description.ports.has("mem_req_id_o");
            let id = has_ids.then_some(id);
            return Err(RecordingError::DataOfNoRequest { cycle, id });
        };
        let waiting = self.waiting.get_mut((number - self.first_waiting) as usize);
        if let Some(read) = waiting.and_then(|waiting| waiting.read.as_mut()) {
            read.word = Some((!is_error).then_some(word));
        }
        Ok(())
    }

    /// Judges the queued cycles before the first cycle whose memory request has no word yet.
    fn judge_known(
        &mut self,
        found: &mut impl FnMut(&Self, Finding),
    ) -> Result<(), RecordingError> {
        let is_known = |waiting: &Waiting| match &waiting.read {
            Some(read) => read.word.is_some(),
            None => true,
        };
        while self.waiting.front().is_some_and(is_known) {
            if let Some(waiting) = self.waiting.pop_front() {
                self.first_waiting += 1;
                self.judge(&waiting, found);
            }
        }
        match self.waiting.front() {
            Some(first) if self.waiting.len() > MOST_WAITING => Err(RecordingError::NoData {
                cycle: first.observed.cycle,
                hpa: first.read.as_ref().map_or(Hpa(0), |read| read.at),
            }),
            _ => Ok(()),
        }
    }

    /// Merges the last two queued cycles into one if neither has activity on the ports.
    fn merge_quiet(&mut self) {
        let is_quiet = |waiting: &Waiting| {
            let Observed {
                inputs, outputs, ..
            } = &waiting.observed;
            waiting.request.is_none()
                && waiting.read.is_none()
                && !outputs.rsp_valid
                && !outputs.mem_req_valid
                && !inputs.fence_valid
                && waiting.observed.unknown.is_empty()
        };
        let Some(before) = self.waiting.len().checked_sub(2) else {
            return;
        };
        let (one, last) = (&self.waiting[before], &self.waiting[before + 1]);
        let are_quiet = is_quiet(one) && is_quiet(last) && !last.observed.reset;
        if are_quiet && one.owes == last.owes {
            let repeat = last.observed.repeat;
            self.waiting[before].observed.repeat += repeat;
            self.waiting.pop_back();
        }
    }

    /// Returns the request on the port with the fields of the context that the device uses, and the
    /// context with all fields as driven.
    fn query(&self, inputs: &Inputs, cycle: u64) -> Result<(Query, Context), RecordingError> {
        let format = self.description.format;
        let accesses = format.accesses();
        let access = accesses
            .iter()
            .find(|&&access| access as u8 == inputs.req_access);
        let Some(&access) = access else {
            return Err(RecordingError::Access {
                cycle,
                access: inputs.req_access,
                format: format.name(),
                most: accesses
                    .iter()
                    .map(|&access| access as u8)
                    .max()
                    .unwrap_or(0),
            });
        };
        let context = self.context(inputs);
        let Context { guest, host, .. } = context;
        let geometry = format.geometry();
        let is_in_range = fits(guest.root.0, geometry.gpa_width)
            && fits(host.root.0, geometry.hpa_width)
            && fits(inputs.req_gva, geometry.gva_width);
        if !self.description.serves(&context) || !is_in_range {
            let context = format!(
                "V={}, {} guest levels from {}, {} host levels from {}, user {}, ASID {}, VMID {}",
                u8::from(context.virt),
                guest.levels,
                guest.root,
                host.levels,
                host.root,
                u8::from(context.user),
                context.asid,
                context.vmid,
            );
            return Err(RecordingError::Context { cycle, context });
        }
        let query = Query {
            context: self.machine.heeded(&context),
            gva: Gva(inputs.req_gva),
            access,
        };
        Ok((query, context))
    }

    /// Returns the context of the request on the port. If the device lacks a port for V or a mode
    /// and serves one value alone, the description gives this value. Fields without a meaning in
    /// the context are 0.
    fn context(&self, inputs: &Inputs) -> Context {
        let ports = &self.description.ports;
        let modes = &self.description.modes;
        let one = |port, value: u8, modes: &[u8]| match (ports.has(port), modes) {
            (false, [only]) => *only,
            _ => value,
        };
        let virt = match (ports.has("req_virt_i"), &modes.virt[..]) {
            (false, [only]) => *only,
            _ => inputs.req_virt,
        };
        let guest_levels = one("req_guest_levels_i", inputs.req_guest_levels, &modes.guest);
        let host_levels = match virt {
            true => one("req_host_levels_i", inputs.req_host_levels, &modes.host),
            // Outside virtual machines there is no host stage.
            false => 0,
        };
        let root = |levels: u8, root: u64| if levels > 0 { root } else { 0 };
        Context {
            virt,
            guest: StageControl {
                levels: guest_levels,
                root: Gpa(root(guest_levels, inputs.req_guest_root)),
                mxr: inputs.req_guest_mxr,
                adue: inputs.req_guest_adue,
                pbmte: inputs.req_guest_pbmte,
            },
            host: StageControl {
                levels: host_levels,
                root: Hpa(root(host_levels, inputs.req_host_root)),
                mxr: virt && inputs.req_host_mxr,
                adue: virt && inputs.req_host_adue,
                pbmte: virt && inputs.req_host_pbmte,
            },
            user: inputs.req_user,
            sum: inputs.req_sum,
            napot: inputs.req_napot,
            rights: inputs.req_rights,
            asid: inputs.req_asid,
            vmid: if virt { inputs.req_vmid } else { 0 },
        }
    }

    /// Returns the fence on the port.
    fn fence(&self, observed: &Observed) -> Fence {
        let inputs = &observed.inputs;
        let ports = &self.description.ports;
        let virt = match (ports.has("fence_virt_i"), &self.description.modes.virt[..]) {
            (true, _) => inputs.fence_virt,
            (false, _) if ports.has(FENCE_INSTRUCTION) => observed.fence_instruction != 0,
            (false, [only]) => *only,
            (false, _) => true,
        };
        Fence {
            virt,
            gva: inputs.fence_use_gva.then_some(Gva(inputs.fence_gva)),
            gpa: inputs.fence_use_gpa.then_some(Gpa(inputs.fence_gpa)),
            asid: inputs.fence_use_asid.then_some(inputs.fence_asid),
            vmid: inputs.fence_use_vmid.then_some(inputs.fence_vmid),
        }
    }

    /// Judges a cycle, in the order in which a run of the testbench judges it.
    fn judge(&mut self, waiting: &Waiting, found: &mut impl FnMut(&Self, Finding)) {
        let observed = &waiting.observed;
        let (inputs, outputs) = (&observed.inputs, &observed.outputs);
        let cycle = observed.cycle;
        self.now = (cycle, waiting.time);
        if observed.reset {
            self.checker.reset(&self.machine);
            self.was_accepted.fill(false);
            self.figures.resets += 1;
            self.is_stalled = false;
            self.is_fence_stalled = false;
        }
        self.use_walk_caches(inputs);
        for &port in &observed.unknown {
            found(self, Finding::Unknown { cycle, port });
        }
        let port = |violation| Mismatch::new(cycle, Violation::Port(violation));
        let fence = inputs.fence_valid.then(|| self.fence(observed));
        let is_fence_accepted = inputs.fence_valid && outputs.fence_ready;
        if let Some((query, driven)) = &waiting.request {
            if is_fence_accepted {
                let mismatch = port(PortViolation::RequestWithFence);
                found(self, Finding::Mismatch(mismatch));
            } else if let Some(fence) = fence
                && fence.matches_tag(query.context.space())
            {
                let mismatch = port(PortViolation::RequestBeforeFence { fence });
                found(self, Finding::Mismatch(mismatch));
            }
            if waiting.responds_first {
                self.judge_response(outputs, cycle, found);
            }
            self.was_accepted[usize::from(inputs.req_id)] = true;
            let op = self.requests;
            self.requests += 1;
            if self.accepted.len() == KEPT_REQUESTS {
                self.accepted.pop_front();
            }
            self.accepted.push_back(cycle);
            self.checker
                .accepted(inputs.req_id, op, query, driven, cycle);
            self.checker.excuse_equal(inputs.req_id);
            self.checker.settle_id(inputs.req_id);
        }
        match &fence {
            Some(fence) if is_fence_accepted => {
                self.checker.fence(fence, cycle);
                self.figures.stats.fences += 1;
                self.is_fence_stalled = false;
            }
            Some(fence) if self.sees_waits => {
                let is_offered = outputs.mem_req_valid && !inputs.mem_req_ready;
                for later in 0..self.repeats(observed) {
                    if self.is_fence_stalled {
                        break;
                    }
                    let waits = self.checker.fence_waits(fence, is_offered, cycle + later);
                    if let Err(mismatch) = waits {
                        self.is_fence_stalled = true;
                        found(self, Finding::Mismatch(mismatch));
                    }
                }
            }
            Some(_) => {}
            None => self.is_fence_stalled = false,
        }
        if let Some(request) = &waiting.read {
            self.judge_read(request, cycle, found);
        }
        if outputs.rsp_valid && inputs.rsp_ready && !waiting.responds_first {
            self.judge_response(outputs, cycle, found);
        }
        if self.sees_waits {
            let accepted = (inputs.rsp_ready && outputs.rsp_valid, inputs.mem_req_ready);
            if let Err(mismatch) = self.checker.ports(outputs, accepted, cycle) {
                self.checker.recover_ports(outputs, accepted, cycle);
                found(self, Finding::Mismatch(mismatch));
            }
            let is_active = outputs.mem_req_valid
                || outputs.rsp_valid
                || waiting.request.is_some()
                || is_fence_accepted;
            self.judge_progress(observed, is_active || !waiting.owes, found);
        }
        self.figures.stats.cycles += observed.repeat;
        self.figures.is_blind |= self.checker.is_blind();
    }

    /// Returns how many of the equal cycles of an observation are judged one by one. The limits of
    /// all stalls expire within these cycles, so the rest of the cycles cannot add a violation.
    fn repeats(&self, observed: &Observed) -> u64 {
        let stalls = self.description.stalls;
        observed
            .repeat
            .min(u64::from(stalls.request.max(stalls.fence)) + 2)
    }

    fn judge_progress(
        &mut self,
        observed: &Observed,
        is_fine: bool,
        found: &mut impl FnMut(&Self, Finding),
    ) {
        if is_fine {
            self.is_stalled = false;
            // The check cannot fail in a cycle with progress; the call resets its counter.
            let _ = self.checker.goes_on(true, observed.cycle);
            return;
        }
        for later in 0..self.repeats(observed) {
            if self.is_stalled {
                return;
            }
            let cycle = observed.cycle + later;
            if let Err(mismatch) = self.checker.goes_on(false, cycle) {
                self.is_stalled = true;
                // The stall has been reported: the counter starts from 0.
                let _ = self.checker.goes_on(true, cycle);
                found(self, Finding::Mismatch(mismatch));
            }
        }
    }

    fn judge_read(
        &mut self,
        request: &MemoryRequest,
        cycle: u64,
        found: &mut impl FnMut(&Self, Finding),
    ) {
        let MemoryRequest { id, at, update, .. } = *request;
        let read = Read {
            at,
            update,
            word: request.word.flatten(),
            cycle,
        };
        let stats = &mut self.figures.stats;
        match update {
            Some(_) => stats.updates += 1,
            None => stats.reads += 1,
        }
        self.remember(&read);
        if let Err(mismatch) = self.checker.read(id, &read) {
            self.checker.recover_read(id, &read, &mismatch);
            found(self, Finding::Mismatch(mismatch));
        }
    }

    /// Writes a word that memory has returned into the memory for reports.
    fn remember(&mut self, read: &Read) {
        if !read
            .at
            .0
            .is_multiple_of(self.description.format.geometry().pte_bytes())
        {
            return;
        }
        match (read.word, read.update) {
            (Some(word), Some(update)) if word == update.expected => {
                self.memory.write(read.at, update.new);
            }
            (Some(word), _) => self.memory.write(read.at, word),
            (None, _) => {}
        }
    }

    fn judge_response(
        &mut self,
        outputs: &Outputs,
        cycle: u64,
        found: &mut impl FnMut(&Self, Finding),
    ) {
        let id = outputs.rsp_id;
        let is_known = self.checker.board().request(id).is_some();
        let is_midway = self.figures.begins_midway && self.figures.resets == 0;
        if !is_known && is_midway && !self.was_accepted[usize::from(id)] {
            self.figures.before += 1;
            self.checker.settle_id(id);
            return;
        }
        if is_known && self.checker.is_excused(id) {
            self.checker.end_excused(outputs);
            self.figures.unjudged += 1;
            self.figures.stats.accesses += 1;
            return;
        }
        let stats = &mut self.figures.stats;
        match self.checker.response(outputs, cycle) {
            Ok(Response::Answer { outcome, hit, .. }) => {
                stats.accesses += 1;
                stats.hits += u64::from(hit);
                stats.faults += u64::from(outcome.is_err());
            }
            Ok(Response::Replay { .. }) => stats.replays += 1,
            Err(mismatch) => {
                stats.accesses += u64::from(is_known);
                self.checker.end_wrong(outputs);
                found(self, Finding::Mismatch(mismatch));
            }
        }
    }
}
