// SPDX-License-Identifier: Apache-2.0
//! Mismatches: differences between the expected and the observed behaviour of a device, as typed
//! values.
//!
//! A mismatch contains no text. [`crate::report`] renders it as text and as JSON, and
//! [`crate::shrink`] computes the failure signature from it.

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

/// A check of the testbench. For each check, [`Violation`] has a variant with the details of a
/// failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The memory requests of a walk have the addresses, the order and the number of the golden
    /// walk.
    Reads,
    /// The response of a walk agrees with the golden walk, and the fields of every response are
    /// well-formed.
    WalkResponse,
    /// The response of a TLB hit is a translation that the TLB may contain.
    Hit,
    /// A request hits if the TLB, or the L2 TLB, certainly contains its page.
    MustHit,
    /// A walk fills the TLB once if its result may be cached, and not otherwise.
    Fill,
    /// Equal misses share one walk.
    Coalescing,
    /// A request is assigned to its own walk, or to the walk of an equal request.
    WrongWalk,
    /// A request does not use a walk that a fence overtook before the request was accepted.
    Overtaken,
    /// After a fence, walks that it has overtaken make no memory request, and requests that it has
    /// overtaken start no walk.
    AfterFence,
    /// A request gets a replay if, and only if, a fence has overtaken it.
    Replay,
    /// Each request has one response, from the TLB or from its walk.
    OneResponse,
    /// The rules of the ports hold: stability, acceptance order of fences and requests, round-robin
    /// arbitration.
    Port,
    /// The device makes progress unless it waits for something.
    Stalled,
    /// The reported steps of a walk agree with the expected steps.
    Steps,
    /// A page-walk cache hits only with entries that it may contain, and hits if it must contain an
    /// entry.
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

/// A difference between the expected and the observed behaviour of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Cycle in which the difference was noticed.
    pub cycle: u64,
    /// Index of the operation of the scenario to which the mismatch belongs.
    pub op: Option<usize>,
    /// The request to which the mismatch belongs.
    pub query: Option<Query>,
    /// Memory requests of the device's walk; empty if there was no walk.
    pub reads: Vec<Read>,
    /// Index of the first wrong request among [`Mismatch::reads`].
    pub wrong_read: Option<usize>,
    /// The expected and the observed behaviour.
    pub violation: Violation,
}

impl Mismatch {
    /// Returns the mismatch for a memory request of a slot that has no walk in flight.
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

    /// Returns a mismatch that belongs to no request.
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

    /// Returns the clause of the specification that the check is based on.
    pub fn clause(&self, format: Format) -> Clause {
        let virt = self.query.is_none_or(|query| query.context.virt);
        self.violation.clause(format, virt)
    }

    /// Returns the end of the device's walk, if the walk has ended too early.
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
        /// The page that the TLB certainly contains.
        page: Page,
        /// Cycle in which a walk last found the page.
        found: u64,
        /// The reason why the TLB certainly contains the page.
        because: HitReason,
    },
    /// See [`Check::Fill`].
    Fill(FillViolation),
    /// See [`Check::Coalescing`].
    Coalescing {
        /// Slot of the walk in flight that the request must share.
        walk: u8,
        /// Slot of the walk that was started for the request.
        second: u8,
    },
    /// See [`Check::WrongWalk`].
    WrongWalk(AssignmentViolation),
    /// See [`Check::Overtaken`].
    Overtaken {
        /// The fence. The walk was started before the fence, and the request was accepted after it.
        by: FenceEvent,
        /// The forbidden use of the walk.
        observed: OvertakenUse,
    },
    /// See [`Check::AfterFence`].
    AfterFence {
        /// The fence that has overtaken the request or the walk.
        by: FenceEvent,
        /// The forbidden action of the device after the fence.
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
        /// The expected step; none if the golden walk has ended before.
        expected: Option<StepRecord>,
        /// The reported step; none if the device has not reported one.
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

    /// Returns the clause of the specification that the check is based on. `virt`: V of the
    /// request.
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

/// Returns the clause that specifies the outcome of a walk.
fn of_outcome(outcome: &Outcome, format: Format, virt: bool) -> Clause {
    match outcome {
        Ok(_) => Clause::of_walk(format, virt),
        Err(fault) => match fault.at.stage() {
            Stage::Guest => Clause::of_fault(format, Stage::Guest),
            Stage::Host => Clause::of_fault(format, Stage::Host),
        },
    }
}

/// A fence that the device has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FenceEvent {
    /// The fence.
    #[serde(flatten)]
    pub fence: Fence,
    /// Cycle of its handshake.
    pub cycle: u64,
}

/// The next action of the golden walk, at the point where the device differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpectedRequest {
    /// It reads or updates an entry.
    Request {
        /// The memory request.
        request: WalkRequest,
        /// The position of the entry in the page tables.
        at: Position,
    },
    /// It has ended.
    End {
        /// Memory requests of the walk.
        made: RequestCounts,
        /// The outcome of the walk.
        outcome: Outcome,
    },
    /// No memory request is expected, because the slot has no walk in flight.
    NoWalk {
        /// The slot.
        slot: u8,
    },
}

/// The next action of the device's walk, at the point where it differs from the golden walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservedRequest {
    /// It reads or updates an entry.
    Request {
        /// The memory request.
        request: MemoryRequest,
        /// The place of the request in the walk; none if the slot has no walk.
        place: Option<WalkPlace>,
        /// Cycle in which memory accepted the request.
        cycle: u64,
    },
    /// It has ended.
    End(WalkEnd),
}

impl ObservedRequest {
    /// Returns the observed request for a memory request of a walk. `before`: the requests of the
    /// walk before it.
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
    /// Id of the request to which the result of the walk was given.
    pub id: u8,
    /// The response to this request; none if the response is not on its port in the cycle after the
    /// mismatch.
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
    /// No golden walk over words that memory returned to the device has the outcome.
    NotLegal {
        /// Some of the legal outcomes: outcomes of golden walks over these words.
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
    /// The fields of the response contradict each other, or have undefined values.
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

/// The responses that the TLB may give to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedHit {
    /// One of these responses.
    AnyOf(Vec<Outcome>),
    /// No response: the request must miss.
    Miss(MissReason),
}

/// The reason why a request must miss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MissReason {
    /// Walks have found the page, but none of its mappings permits the access.
    NotPermitted,
    /// Fences have invalidated every mapping of the page. The field is the last of these fences.
    Invalidated(FenceEvent),
    /// No walk has found the page since the reset.
    NeverFound,
    /// No walk has found the page recently. Only a limited number of invalidated pages are
    /// remembered, so an earlier walk may have found it.
    NotFoundOfLate {
        /// Number of invalidated pages that are remembered at least.
        known: usize,
    },
}

/// The walk whose result a stale response gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaleOrigin {
    /// Cycle in which the walk found the page.
    pub found: u64,
    /// The fence that invalidated the page. The fence may have overtaken the walk before the walk
    /// ended.
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
    /// log2 of the size of the page in bytes.
    pub size: u32,
}

impl From<occupancy::Page> for Page {
    /// Converts a page, and drops its address-space tag.
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
    /// The page is one of the pages that the TLB has filled or hit most recently.
    Recent {
        /// The number of most recently used pages that the TLB certainly contains.
        of: u32,
    },
    /// The TLB has enough entries for every page that it may contain, so no page was evicted.
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
    /// The TLB was filled, but must not be filled.
    Unexpected(NoFillReason),
    /// The TLB was not filled, although no fence has overtaken the walk.
    Missing,
    /// One walk has filled the TLB twice.
    Repeated,
}

/// The reason why the result of a walk must not fill the TLB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoFillReason {
    /// The walk has ended with a fault.
    Fault(Fault),
    /// A fence has invalidated the translation that the walk has found.
    Invalidated(FenceEvent),
    /// A fence has overtaken the walk before its end.
    Overtaken(FenceEvent),
    /// Both stages are off, so there is no translation to cache.
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
    /// The request is assigned to the walk of a request that is not equal to it.
    OtherRequest {
        /// The slot.
        slot: u8,
        /// The request that started the walk.
        query: Query,
    },
    /// A new walk is started in a slot whose previous walk is still in flight.
    SlotInUse {
        /// The slot.
        slot: u8,
    },
    /// The request gets the result of a walk in another slot than its own.
    OtherResult {
        /// The slot.
        slot: u8,
    },
}

/// The forbidden use of a walk that a fence has overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OvertakenUse {
    /// A request that was accepted after the fence is coalesced with the walk.
    Shared {
        /// Slot of the walk.
        slot: u8,
    },
    /// The result of the walk is the response to a request that was accepted after the fence.
    Answered,
}

/// An action of a device that is forbidden after a fence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActionAfterFence {
    /// A memory request of a walk that the fence has overtaken.
    Request {
        /// The request.
        request: WalkRequest,
        /// Cycle in which memory accepted the request.
        cycle: u64,
    },
    /// The start of a walk for a request that the fence has overtaken.
    Walk {
        /// Its slot.
        slot: u8,
    },
}

/// A replay that is wrong or missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplayViolation {
    /// The response is not a replay, although a fence has overtaken the walk.
    Missing {
        /// The fence.
        by: FenceEvent,
        /// The response.
        observed: Outcome,
    },
    /// The response is a replay, but must not be one.
    Unexpected(NoReplayReason),
    /// The response is a replay with a wrong gVA, or with another field that is not 0.
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
    /// The walk of the request had ended before the fence.
    WalkEnded(FenceEvent),
    /// No fence has overtaken the walk of the request.
    WalkNotOvertaken,
    /// The request has no walk, and no fence has overtaken the request.
    RequestNotOvertaken,
}

/// A wrong pairing of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairingViolation {
    /// No request with the id is in flight.
    NoRequest {
        /// The id.
        id: u8,
        /// The event that has the id.
        observed: RequestEvent,
    },
    /// The L2 TLB hits for a request that has hit before, or that has a walk.
    L2HitAgain,
    /// A request misses after the L2 TLB has hit for it.
    MissAfterL2Hit,
    /// The response to a request comes before the end of the walk of the request.
    BeforeWalkEnd,
    /// The response of a walk is marked as a TLB hit.
    HitOfWalk,
    /// The request has a response, although it has neither hit nor been assigned to a walk.
    NeitherHitNorWalk,
}

/// An event that belongs to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestEvent {
    /// A response on the response port.
    Response,
    /// An assignment to a walk.
    Miss,
    /// The result of a walk is given to the request.
    WalkResult,
    /// A hit of the L2 TLB.
    L2TlbHit,
}

/// A port rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PortViolation {
    /// A response changes before it is accepted.
    ResponseChanged {
        /// The response in the first cycle, in which it was not accepted.
        stalled: PortResponse,
        /// The response in the next cycle; none if `valid` is low.
        now: Option<PortResponse>,
    },
    /// A memory request changes before it is accepted.
    MemoryRequestChanged {
        /// The memory request in the first cycle, in which it was not accepted.
        stalled: PortRequest,
        /// The memory request in the next cycle; none if `valid` is low.
        now: Option<PortRequest>,
    },
    /// A fence waits without a cause: no memory request of a walk that the fence matches is
    /// stalled.
    FenceStalled {
        /// The fence.
        fence: Fence,
    },
    /// A request and a fence are accepted in the same cycle.
    RequestWithFence,
    /// A request is accepted while a fence that matches the request waits.
    RequestBeforeFence {
        /// The fence.
        fence: Fence,
    },
    /// A slot waits for the memory port for longer than round-robin arbitration allows.
    NotRoundRobin {
        /// The slot.
        slot: u8,
        /// Number of memory requests of other slots that were accepted while the slot waited.
        waited: u64,
        /// The most memory requests of other slots for which the slot may wait.
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

/// A response on the response port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortResponse {
    /// Id of the request.
    pub id: u8,
    /// gVA of the request.
    pub gva: Gva,
    /// The TLB has hit.
    pub hit: bool,
    /// The response is a replay.
    pub replay: bool,
    /// The outcome that the other fields encode.
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
    /// The device does nothing, although it has a request or a fence to serve and waits for no
    /// memory response.
    Idle {
        /// The most cycles for which the device may do nothing.
        cycles: u32,
    },
    /// A walk withholds its next memory request, although the memory port is free.
    Walk {
        /// The slot of the walk.
        slot: u8,
        /// The most cycles without activity on the memory port for which the walk may wait.
        cycles: u64,
    },
    /// The device makes more and more memory requests, and no request gets a response.
    Livelock {
        /// Number of memory requests since the last request, response or fence.
        requests: u64,
        /// The most memory requests that the walks of the requests in flight may make.
        most: u64,
    },
    /// A request is not assigned to a walk, although a walk slot is free or a walk in flight can be
    /// shared.
    Unassigned {
        /// Number of walk slots of the device.
        slots: u32,
        /// Number of slots with a walk in flight.
        in_use: usize,
        /// Number of requests that wait for the results of walks.
        waiting: u32,
        /// Number of cycles for which the request has waited.
        cycles: u32,
    },
}

/// A kind of page-walk cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WalkCache {
    /// The guest page-walk cache: from a gVA prefix to a guest table.
    Guest,
    /// The host page-walk cache: from a gPA prefix to a host table.
    Host,
    /// The nested TLB: from the gPA of a guest table to its hPA.
    Nested,
}

/// A hit in a page-walk cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkCacheHit {
    /// The cache.
    pub cache: WalkCache,
    /// Level of the table that the hit points to; 0 is the leaf level. Always 0 for the nested TLB.
    pub level: u32,
}

impl WalkCacheHit {
    /// Returns the page-walk cache hit that is reported with a step; none if there is no hit.
    pub fn of(step: &WalkStep) -> Option<Self> {
        reported::led_by(step).map(Self::from)
    }
}

impl From<PageWalkCache> for WalkCacheHit {
    /// Converts the cache of the golden model.
    fn from(cache: PageWalkCache) -> Self {
        let (cache, level) = match cache {
            PageWalkCache::Guest { level } => (WalkCache::Guest, level),
            PageWalkCache::Host { level } => (WalkCache::Host, level),
            PageWalkCache::Nested => (WalkCache::Nested, 0),
        };
        Self { cache, level }
    }
}

/// A hit or a miss of a page-walk cache that is impossible with its contents.
#[derive(Clone, Debug, PartialEq)]
pub enum WalkCacheViolation {
    /// A cache missed, although it certainly contains an entry that skips more memory reads.
    Missed {
        /// Place of the memory request that was made instead of the hit.
        place: WalkPlace,
        /// The hit that was expected.
        expected: WalkCacheHit,
        /// Cycle since which the cache has contained the entry.
        since: Option<u64>,
        /// The reported hit, if there is one.
        observed: Option<WalkCacheHit>,
    },
    /// A cache hit with an entry that it cannot contain.
    Illegal {
        /// Place of the memory request that follows the hit.
        place: WalkPlace,
        /// The reported hit.
        observed: WalkCacheHit,
        /// Address that the memory request has read.
        hpa: Hpa,
        /// The reason why the hit is impossible.
        because: NoWalkCacheHit,
    },
    /// A hit is reported, but the walk has skipped no memory read.
    NothingSkipped {
        /// Place of the memory request.
        place: WalkPlace,
        /// The reported hit.
        hit: Option<WalkCacheHit>,
        /// The next action of the walk.
        observed: ObservedRequest,
    },
}

/// The reason why a hit of a page-walk cache is impossible.
#[derive(Clone, Debug, PartialEq)]
pub enum NoWalkCacheHit {
    /// No walk has read the entry since the reset.
    NeverRead,
    /// No walk has read the entry recently. Only a limited number of invalidated entries are
    /// remembered, so an earlier walk may have read it.
    NotReadOfLate {
        /// Number of invalidated entries that are remembered at least.
        known: usize,
    },
    /// Fences have invalidated every entry that walks have read for this hit. The field is the last
    /// of these fences.
    Invalidated(FenceEvent),
    /// The entries that the cache may contain point to other tables or pages. The field is their
    /// addresses.
    Elsewhere(Vec<Hpa>),
}
