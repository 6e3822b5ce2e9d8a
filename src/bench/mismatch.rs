// SPDX-License-Identifier: Apache-2.0
//! Mismatches: the differences between a device and what it must do, as values.
//!
//! A mismatch holds no text. [`crate::report`] writes it for people and as JSON, and
//! [`crate::shrink`] computes from it what makes two failures the same.

use serde::Serialize;

use super::clause::Clause;
use super::memory_request::{MemoryRequest, Read, RequestCounts, WalkPlace, WalkRequest};
use super::reported;
use super::steps::StepRecord;
use crate::addr::{Gva, Hpa};
use crate::dut::{MalformedResponse, Outputs, WalkStep};
use crate::format::Format;
use crate::golden::occupancy::{self, PageWalkCache};
use crate::mmu::{Fault, Fence, Outcome, Position, Query, Stage};

/// A check of the testbench. [`Violation`] has a variant for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The memory requests of a walk: addresses, order, number.
    Reads,
    /// The response of a walk, and the fields of every response.
    WalkResponse,
    /// The response of a TLB hit.
    Hit,
    /// A request that had to hit in the TLB, or in the L2 TLB, and missed.
    MustHit,
    /// Fills of the TLB: those that must not be, and those that are missing.
    Fill,
    /// Equal misses share one walk.
    Coalescing,
    /// A request is assigned to its own walk, or to an equal one.
    WrongWalk,
    /// A request is not assigned to a walk that a fence before the request has overtaken.
    Overtaken,
    /// No memory request and no walk follows from what a fence has invalidated.
    AfterFence,
    /// A request gets a replay if, and only if, a fence has overtaken it.
    Replay,
    /// Each request has one response, of the TLB or of its walk.
    OneResponse,
    /// The port rules.
    Port,
    /// The device makes progress unless it waits for something.
    Stalled,
    /// The steps of a walk that the device reports.
    Steps,
    /// Page-walk caches give what they may contain, and what they must contain.
    WalkCache,
}

impl Check {
    /// Returns the name of the check in JSON documents.
    pub const fn name(self) -> &'static str {
        match self {
            Check::Reads => "reads",
            Check::WalkResponse => "walk-response",
            Check::Hit => "hit",
            Check::MustHit => "must-hit",
            Check::Fill => "fill",
            Check::Coalescing => "coalescing",
            Check::WrongWalk => "wrong-walk",
            Check::Overtaken => "overtaken",
            Check::AfterFence => "after-fence",
            Check::Replay => "replay",
            Check::OneResponse => "one-response",
            Check::Port => "port",
            Check::Stalled => "stalled",
            Check::Steps => "steps",
            Check::WalkCache => "walk-cache",
        }
    }
}

/// A difference between a device and what it must do.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Cycle in which it was noticed.
    pub cycle: u64,
    /// Index of the operation of the scenario that is concerned.
    pub op: Option<usize>,
    /// The request that is concerned.
    pub query: Option<Query>,
    /// Memory requests of the device's walk, if there was one.
    pub reads: Vec<Read>,
    /// Index of the first wrong request among [`Mismatch::reads`].
    pub wrong_read: Option<usize>,
    /// The expected and the observed behaviour.
    pub violation: Violation,
}

impl Mismatch {
    /// Returns the mismatch of a memory request of a slot that has no walk in flight.
    #[cold]
    pub(super) fn of_no_walk(slot: u8, read: &Read) -> Box<Self> {
        let violation = Violation::Reads {
            expected: ExpectedRequest::NoWalk { slot },
            observed: ObservedRequest::Request {
                request: MemoryRequest::of(read),
                place: None,
                cycle: read.cycle,
            },
        };
        Box::new(Self {
            reads: vec![*read],
            wrong_read: Some(0),
            ..*Self::new(read.cycle, violation)
        })
    }

    /// Returns a mismatch that concerns no request.
    pub(super) fn new(cycle: u64, violation: Violation) -> Box<Self> {
        Box::new(Self {
            cycle,
            op: None,
            query: None,
            reads: Vec::new(),
            wrong_read: None,
            violation,
        })
    }

    /// Returns the check that failed.
    pub const fn check(&self) -> Check {
        self.violation.check()
    }

    /// Returns the clause on which the check rests.
    pub fn clause(&self, format: Format) -> Clause {
        let virt = self.query.is_none_or(|query| query.context.virt);
        self.violation.clause(format, virt)
    }

    /// Returns the end of the device's walk, if it has ended where it should not have.
    pub(super) fn walk_end_mut(&mut self) -> Option<&mut WalkEnd> {
        match &mut self.violation {
            Violation::Reads {
                observed: ObservedRequest::End(end),
                ..
            }
            | Violation::WalkCache(WalkCacheViolation::NothingSkipped {
                observed: ObservedRequest::End(end),
                ..
            }) => Some(end),
            _ => None,
        }
    }
}

/// The expected and the observed behaviour, by check.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// See [`Check::Reads`].
    Reads {
        /// The next action of the golden walk over the same words.
        expected: ExpectedRequest,
        /// The next action of the device's walk.
        observed: ObservedRequest,
    },
    /// See [`Check::WalkResponse`].
    WalkResponse(ResponseViolation),
    /// See [`Check::Hit`].
    Hit {
        /// The legal set.
        expected: ExpectedHit,
        /// The response.
        observed: Outcome,
        /// The walk from which the response comes, if a fence has invalidated it.
        origin: Option<StaleOrigin>,
    },
    /// See [`Check::MustHit`].
    MustHit {
        /// The page that must be there.
        page: Page,
        /// Cycle in which a walk found the page last.
        found: u64,
        /// The reason why it must be there.
        because: HitReason,
    },
    /// See [`Check::Fill`].
    Fill(FillViolation),
    /// See [`Check::Coalescing`].
    Coalescing {
        /// Slot of the equal walk in flight.
        walk: u8,
        /// Slot of the walk that was started.
        second: u8,
    },
    /// See [`Check::WrongWalk`].
    WrongWalk(AssignmentViolation),
    /// See [`Check::Overtaken`].
    Overtaken {
        /// The fence: the walk was started before, the request was accepted after it.
        by: FenceEvent,
        /// The use of the walk.
        observed: OvertakenUse,
    },
    /// See [`Check::AfterFence`].
    AfterFence {
        /// The fence that matches the request.
        by: FenceEvent,
        /// The action of the device after it.
        observed: ActionAfterFence,
    },
    /// See [`Check::Replay`].
    Replay(ReplayViolation),
    /// See [`Check::OneResponse`].
    OneResponse(PairingViolation),
    /// See [`Check::Port`].
    Port(PortViolation),
    /// See [`Check::Stalled`].
    Stalled(Stall),
    /// See [`Check::Steps`].
    Steps {
        /// Place of the memory request in the walk.
        place: WalkPlace,
        /// The step by the golden model; none if there is none.
        expected: Option<StepRecord>,
        /// The step that the device has reported; none if it has not.
        observed: Option<StepRecord>,
    },
    /// See [`Check::WalkCache`].
    WalkCache(WalkCacheViolation),
}

impl Violation {
    /// Returns the check that failed.
    pub const fn check(&self) -> Check {
        match self {
            Violation::Reads { .. } => Check::Reads,
            Violation::WalkResponse(_) => Check::WalkResponse,
            Violation::Hit { .. } => Check::Hit,
            Violation::MustHit { .. } => Check::MustHit,
            Violation::Fill(_) => Check::Fill,
            Violation::Coalescing { .. } => Check::Coalescing,
            Violation::WrongWalk(_) => Check::WrongWalk,
            Violation::Overtaken { .. } => Check::Overtaken,
            Violation::AfterFence { .. } => Check::AfterFence,
            Violation::Replay(_) => Check::Replay,
            Violation::OneResponse(_) => Check::OneResponse,
            Violation::Port(_) => Check::Port,
            Violation::Stalled(_) => Check::Stalled,
            Violation::Steps { .. } => Check::Steps,
            Violation::WalkCache(_) => Check::WalkCache,
        }
    }

    /// Returns the clause on which the check rests. `virt`: V of the request.
    fn clause(&self, format: Format, virt: bool) -> Clause {
        match self {
            Violation::Reads { expected, .. } => match expected {
                ExpectedRequest::Request { .. } => Clause::of_walk(format, virt),
                ExpectedRequest::End { outcome, .. } => of_outcome(outcome, format, virt),
                ExpectedRequest::NoWalk { .. } => Clause::Ports("Memory"),
            },
            Violation::WalkResponse(violation) => match violation {
                ResponseViolation::Outcome { expected, .. } => of_outcome(expected, format, virt),
                ResponseViolation::NotLegal { .. } => Clause::of_walk(format, virt),
                ResponseViolation::Gva { .. } | ResponseViolation::Malformed(_) => {
                    Clause::Ports("Request and response")
                }
            },
            Violation::Hit { expected, .. } => match expected {
                ExpectedHit::AnyOf(_) => Clause::of_walk(format, virt),
                ExpectedHit::Miss(MissReason::Invalidated(by)) => {
                    Clause::of_fence(format, by.fence.virt)
                }
                ExpectedHit::Miss(
                    MissReason::NotPermitted
                    | MissReason::NeverFound
                    | MissReason::NotFoundOfLate { .. },
                ) => Clause::Ports("TLB"),
            },
            Violation::MustHit { because, .. } => match because {
                HitReason::Recent { .. } | HitReason::Room { .. } => Clause::Ports("TLB"),
                HitReason::L2 => Clause::Ports("Second-level TLB"),
            },
            Violation::Fill(violation) => match violation {
                FillViolation::Unexpected(NoFillReason::Invalidated(by)) => {
                    Clause::of_fence(format, by.fence.virt)
                }
                FillViolation::Unexpected(NoFillReason::Overtaken(_)) => Clause::Ports("Fence"),
                FillViolation::Unexpected(NoFillReason::Fault(_) | NoFillReason::StagesOff)
                | FillViolation::Missing
                | FillViolation::Repeated => Clause::Ports("TLB"),
            },
            Violation::Coalescing { .. } | Violation::WrongWalk(_) | Violation::OneResponse(_) => {
                Clause::Ports("Request and response")
            }
            Violation::Overtaken { .. } | Violation::AfterFence { .. } | Violation::Replay(_) => {
                Clause::Ports("Fence")
            }
            Violation::Port(violation) => violation.clause(),
            Violation::Stalled(_) => Clause::Ports("Request and response"),
            Violation::Steps { .. } => Clause::Ports("Walk event"),
            Violation::WalkCache(violation) => match violation {
                WalkCacheViolation::Illegal {
                    because: NoWalkCacheHit::Invalidated(by),
                    ..
                } => Clause::of_fence(format, by.fence.virt),
                _ => Clause::Ports("Walk caches"),
            },
        }
    }
}

/// Returns the clause on the outcome of a walk.
fn of_outcome(outcome: &Outcome, format: Format, virt: bool) -> Clause {
    match outcome {
        Ok(_) => Clause::of_walk(format, virt),
        Err(fault) => match fault.at.stage() {
            Stage::Guest => Clause::of_fault(format, Stage::Guest),
            Stage::Host => Clause::of_fault(format, Stage::Host),
        },
    }
}

/// A fence that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FenceEvent {
    /// The fence.
    #[serde(flatten)]
    pub fence: Fence,
    /// Cycle of its handshake.
    pub cycle: u64,
}

/// The action of the golden walk where the device differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpectedRequest {
    /// It reads or updates an entry.
    Request {
        /// The memory request.
        request: WalkRequest,
        /// The entry's place in the tables.
        at: Position,
    },
    /// It has ended.
    End {
        /// Memory requests of the walk.
        made: RequestCounts,
        /// The outcome of the walk.
        outcome: Outcome,
    },
    /// There is none: the slot has no walk in flight.
    NoWalk {
        /// The slot.
        slot: u8,
    },
}

/// The action of the device's walk where it differs from the golden walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservedRequest {
    /// It reads or updates an entry.
    Request {
        /// The memory request.
        request: MemoryRequest,
        /// Its place in the walk; none without a walk.
        place: Option<WalkPlace>,
        /// Cycle in which memory accepted it.
        cycle: u64,
    },
    /// It has ended.
    End(WalkEnd),
}

impl ObservedRequest {
    /// Returns a memory request of a walk, behind the requests `before`.
    pub(super) fn behind(read: &Read, before: &[Read]) -> Self {
        let WalkRequest { request, place } = MemoryRequest::of(read).behind(before);
        Self::Request {
            request,
            place: Some(place),
            cycle: read.cycle,
        }
    }
}

/// The end of a device's walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WalkEnd {
    /// Memory requests of the walk.
    pub made: RequestCounts,
    /// Id of the request whose response says how the walk has ended.
    pub id: u8,
    /// That response; none if it is not on its port in the cycle after the mismatch.
    pub response: Option<Result<Outcome, MalformedResponse>>,
}

/// A response that differs from the expected one.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseViolation {
    /// The outcome differs.
    Outcome {
        /// The outcome of the golden walk over the same words.
        expected: Outcome,
        /// The outcome in the response.
        observed: Outcome,
    },
    /// No golden walk over words that the device was given has the outcome.
    NotLegal {
        /// Outcomes of golden walks over such words. There may be more.
        legal: Vec<Outcome>,
        /// The response.
        observed: ObservedResponse,
    },
    /// The response has another gVA than the request.
    Gva {
        /// The gVA of the request.
        expected: Gva,
        /// The gVA in the response.
        observed: Gva,
    },
    /// The fields are not those of any response.
    Malformed(MalformedResponse),
}

/// The response of a device, as far as its ports tell it.
#[derive(Clone, Debug, PartialEq)]
pub enum ObservedResponse {
    /// The ports tell the outcome.
    Outcome(Outcome),
    /// The response is a fault, and the ports do not tell its kind.
    Fault(ObservedTrap),
}

impl ObservedResponse {
    /// Returns the outcome, if the ports tell it.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Outcome(outcome) => Some(outcome),
            Self::Fault(_) => None,
        }
    }
}

/// The fields of the trap in a response. A field for which the device has no port is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedTrap {
    /// xcause.
    pub cause: Option<u8>,
    /// GVA.
    pub gva: Option<bool>,
    /// htval or mtval2.
    pub tval2: Option<u64>,
    /// htinst or mtinst.
    pub tinst: Option<u16>,
}

/// A field of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrapField {
    /// xcause.
    Cause,
    /// GVA.
    Gva,
    /// htval or mtval2.
    Tval2,
    /// htinst or mtinst.
    Tinst,
}

impl TrapField {
    /// Returns the name of the field in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::Gva => "gva",
            Self::Tval2 => "tval2",
            Self::Tinst => "tinst",
        }
    }
}

impl ObservedTrap {
    /// Returns the fields in which the trap differs from that of a fault.
    pub fn differences(&self, fault: &Fault) -> Vec<TrapField> {
        let trap = fault.trap.unwrap_or_default();
        let differs = [
            (
                TrapField::Cause,
                self.cause.is_some_and(|it| it != trap.cause),
            ),
            (TrapField::Gva, self.gva.is_some_and(|it| it != trap.gva)),
            (
                TrapField::Tval2,
                self.tval2.is_some_and(|it| it != trap.tval2),
            ),
            (
                TrapField::Tinst,
                self.tinst.is_some_and(|it| it != trap.tinst),
            ),
        ];
        let differing = differs.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(field, _)| field).collect()
    }
}

/// The responses that a request may get from the TLB.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedHit {
    /// One of these responses.
    AnyOf(Vec<Outcome>),
    /// No response: it must miss.
    Miss(MissReason),
}

/// The reason why a request must miss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MissReason {
    /// No mapping that walks have found permits the access.
    NotPermitted,
    /// Fences have invalidated what walks have found; this is the last of them.
    Invalidated(FenceEvent),
    /// No walk has found the page since the reset.
    NeverFound,
    /// No walk has found the page, as far as is known.
    NotFoundOfLate {
        /// Number of invalidated pages that are known at least.
        known: usize,
    },
}

/// A walk from which a stale response comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaleOrigin {
    /// Cycle in which the walk found the page.
    pub found: u64,
    /// The fence that invalidated it. It may have overtaken the walk.
    pub by: FenceEvent,
}

impl StaleOrigin {
    /// Returns true if the fence came before the end of the walk.
    pub const fn is_overtaken(&self) -> bool {
        self.found >= self.by.cycle
    }
}

/// A page of the guest's virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its first address.
    pub gva: Gva,
    /// log2 of its bytes.
    pub size: u32,
}

impl From<occupancy::Page> for Page {
    /// Returns the page without its address space.
    fn from(page: occupancy::Page) -> Self {
        Self {
            gva: page.first_gva(),
            size: page.size(),
        }
    }
}

/// The reason why a request must hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitReason {
    /// The page is one of those that the TLB has filled or hit last.
    Recent {
        /// The number of those that are certainly there.
        of: u32,
    },
    /// The TLB has room for every page that it may contain.
    Room {
        /// Entries of the TLB.
        entries: u32,
    },
    /// No fence and no replacement can have removed the page from the L2 TLB.
    L2,
}

/// A fill that is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FillViolation {
    /// A fill that must not be.
    Unexpected(NoFillReason),
    /// No fill, though nothing has overtaken the walk.
    Missing,
    /// A second fill of one walk.
    Repeated,
}

/// The reason why a walk must not fill the TLB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoFillReason {
    /// It has ended with a fault.
    Fault(Fault),
    /// A fence has invalidated what it has found.
    Invalidated(FenceEvent),
    /// A fence has overtaken it before its end.
    Overtaken(FenceEvent),
    /// Both stages are off.
    StagesOff,
}

/// A wrong assignment of a request to a walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AssignmentViolation {
    /// The request is assigned to a slot that has no walk in flight.
    NoWalk {
        /// The slot.
        slot: u8,
    },
    /// The request is assigned to the walk of a request that is not equal.
    OtherRequest {
        /// The slot.
        slot: u8,
        /// The request that the walk is for.
        query: Query,
    },
    /// Its own walk is started in a slot whose walk is still in flight.
    SlotInUse {
        /// The slot.
        slot: u8,
    },
    /// It gets the result of another slot's walk.
    OtherResult {
        /// The slot.
        slot: u8,
    },
}

/// The use of a walk that a fence has overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OvertakenUse {
    /// A request from after the fence shares it.
    Shared {
        /// Slot of the walk.
        slot: u8,
    },
    /// It has answered a request from after the fence.
    Answered,
}

/// An action of a device after a fence that forbids it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActionAfterFence {
    /// A memory request of a walk that the fence has overtaken.
    Request {
        /// The request.
        request: WalkRequest,
        /// Cycle in which memory accepted it.
        cycle: u64,
    },
    /// A walk for a request from before the fence.
    Walk {
        /// Its slot.
        slot: u8,
    },
}

/// A replay that is wrong or missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplayViolation {
    /// There is none, though a fence has overtaken the walk.
    Missing {
        /// The fence.
        by: FenceEvent,
        /// The response.
        observed: Outcome,
    },
    /// A replay that must not be.
    Unexpected(NoReplayReason),
    /// A replay with another gVA, or with other fields that are not 0.
    Fields {
        /// gVA of the request.
        expected: Gva,
        /// gVA in the response.
        observed: Gva,
    },
}

/// The reason why a request must not get a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoReplayReason {
    /// Its walk had ended before the fence.
    WalkEnded(FenceEvent),
    /// No fence has overtaken its walk.
    WalkNotOvertaken,
    /// No fence has overtaken the request, which has no walk.
    RequestNotOvertaken,
}

/// A wrong pairing of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairingViolation {
    /// No request of the id is outstanding.
    NoRequest {
        /// The id.
        id: u8,
        /// The event that names the id.
        observed: RequestEvent,
    },
    /// The L2 TLB has answered a request that has a response or a walk already.
    L2HitAgain,
    /// A request misses that the L2 TLB has answered.
    MissAfterL2Hit,
    /// A response comes before its walk has ended.
    BeforeWalkEnd,
    /// The response of a walk says that the TLB has hit.
    HitOfWalk,
    /// The request has neither hit nor been assigned to a walk.
    NeitherHitNorWalk,
}

/// An event of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestEvent {
    /// A response on its port.
    Response,
    /// An assignment to a walk.
    Miss,
    /// The result of a walk.
    WalkResult,
    /// A hit of the L2 TLB.
    L2TlbHit,
}

/// A port rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PortViolation {
    /// A response changes before it is accepted.
    ResponseChanged {
        /// The response that was not accepted.
        stalled: PortResponse,
        /// The response in the next cycle; none if `valid` is low.
        now: Option<PortResponse>,
    },
    /// A memory request changes before it is accepted.
    MemoryRequestChanged {
        /// The request that was not accepted.
        stalled: PortRequest,
        /// The request in the next cycle; none if `valid` is low.
        now: Option<PortRequest>,
    },
    /// A fence waits, and no memory request of a walk that it matches is stalled.
    FenceStalled {
        /// The fence.
        fence: Fence,
    },
    /// A request is accepted in the cycle in which a fence is.
    RequestWithFence,
    /// A request is accepted while a fence that matches it waits.
    RequestBeforeFence {
        /// The fence.
        fence: Fence,
    },
    /// A slot waits for more than its turn among the slots.
    NotRoundRobin {
        /// The slot.
        slot: u8,
        /// Memory requests of other slots that it has waited for.
        waited: u64,
        /// The most that it may wait for.
        most: u64,
    },
}

impl PortViolation {
    const fn clause(&self) -> Clause {
        match self {
            Self::ResponseChanged { .. } => Clause::Ports("Request and response"),
            Self::MemoryRequestChanged { .. } | Self::NotRoundRobin { .. } => {
                Clause::Ports("Memory")
            }
            Self::FenceStalled { .. }
            | Self::RequestWithFence
            | Self::RequestBeforeFence { .. } => Clause::Ports("Fence"),
        }
    }
}

/// A response on its port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortResponse {
    /// Id of the request.
    pub id: u8,
    /// gVA of the request.
    pub gva: Gva,
    /// The TLB has hit.
    pub hit: bool,
    /// It is a replay.
    pub replay: bool,
    /// The outcome in the other fields.
    pub outcome: Result<Outcome, MalformedResponse>,
}

impl PortResponse {
    /// Returns the response on a device's port; none if `valid` is low.
    pub(super) fn on_port(outputs: &Outputs, format: Format) -> Option<Self> {
        outputs.rsp_valid.then(|| Self {
            id: outputs.rsp_id,
            gva: Gva(outputs.rsp_gva),
            hit: outputs.rsp_hit,
            replay: outputs.rsp_replay,
            outcome: outputs.outcome(format.has_traps()),
        })
    }
}

/// A memory request on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRequest {
    /// Slot of the walk.
    pub slot: u8,
    /// The request.
    pub request: MemoryRequest,
}

impl PortRequest {
    /// Returns the memory request on a device's port; none if `valid` is low.
    pub(super) fn on_port(outputs: &Outputs) -> Option<Self> {
        outputs.mem_req_valid.then(|| Self {
            slot: outputs.mem_req_id,
            request: MemoryRequest::on_port(outputs),
        })
    }
}

/// A lack of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It does nothing, though nothing is in flight and something is asked of it.
    Idle {
        /// Cycles for which it may do nothing.
        cycles: u32,
    },
    /// A walk keeps its next memory request back, though the memory port is free.
    Walk {
        /// The slot of the walk.
        slot: u8,
        /// Cycles with nothing on the memory port for which it may wait.
        cycles: u64,
    },
    /// Requests get no response, and memory requests go on.
    Livelock {
        /// Memory requests since the last request, response or fence.
        requests: u64,
        /// The most that the walks of the requests in flight may make.
        most: u64,
    },
    /// A request is not assigned to a walk, though there is room for it.
    Unassigned {
        /// Walk slots of the device.
        slots: u32,
        /// Slots with a walk in flight.
        in_use: usize,
        /// Requests that wait for the results of walks.
        waiting: u32,
        /// Cycles that the request has waited.
        cycles: u32,
    },
}

/// A kind of page-walk cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WalkCache {
    /// From a gVA prefix to a guest table.
    Guest,
    /// From a gPA prefix to a host table.
    Host,
    /// The nested TLB: from the gPA of a guest table to its hPA.
    Nested,
}

/// A hit in a page-walk cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkCacheHit {
    /// The cache.
    pub cache: WalkCache,
    /// Level of the table that it leads to, counted down to the leaf's, 0; 0 in the nested TLB.
    pub level: u32,
}

impl WalkCacheHit {
    /// Returns the hit that a reported step says; none if it says none.
    pub fn of(step: &WalkStep) -> Option<Self> {
        reported::led_by(step).map(Self::from)
    }
}

impl From<PageWalkCache> for WalkCacheHit {
    /// Returns the hit of a page-walk cache.
    fn from(cache: PageWalkCache) -> Self {
        let (cache, level) = match cache {
            PageWalkCache::Guest { level } => (WalkCache::Guest, level),
            PageWalkCache::Host { level } => (WalkCache::Host, level),
            PageWalkCache::Nested => (WalkCache::Nested, 0),
        };
        Self { cache, level }
    }
}

/// A hit or a miss in a page-walk cache that its contents do not allow.
#[derive(Clone, Debug, PartialEq)]
pub enum WalkCacheViolation {
    /// A cache certainly contains an entry that leads further.
    Missed {
        /// Place of the memory request that was made instead.
        place: WalkPlace,
        /// The hit that must be.
        expected: WalkCacheHit,
        /// Cycle since which the cache has contained the entry.
        since: Option<u64>,
        /// The hit that is reported, if there is one.
        observed: Option<WalkCacheHit>,
    },
    /// A cache has given what it cannot contain.
    Illegal {
        /// Place of the memory request that it led to.
        place: WalkPlace,
        /// The hit.
        observed: WalkCacheHit,
        /// Address of the entry that was read.
        hpa: Hpa,
        /// The reason why there must be no such hit.
        because: NoWalkCacheHit,
    },
    /// A hit is reported where the walk has skipped nothing.
    NothingSkipped {
        /// Place of the memory request.
        place: WalkPlace,
        /// The hit that is reported.
        hit: Option<WalkCacheHit>,
        /// The action of the walk there.
        observed: ObservedRequest,
    },
}

/// The reason why a page-walk cache must not hit, or not with this entry.
#[derive(Clone, Debug, PartialEq)]
pub enum NoWalkCacheHit {
    /// No walk has read the entry since the reset.
    NeverRead,
    /// No walk has read the entry, as far as is known.
    NotReadOfLate {
        /// Number of invalidated entries that are known at least.
        known: usize,
    },
    /// Fences have invalidated what walks have read; this is the last of them.
    Invalidated(FenceEvent),
    /// The entry leads to one of these tables or pages.
    Elsewhere(Vec<Hpa>),
}
