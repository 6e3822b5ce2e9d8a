// SPDX-License-Identifier: Apache-2.0
//! Failure signatures: what makes two failures the same.
//!
//! A signature is computed from the values of a mismatch: the check, the step of the golden walk
//! that decided, the fields that differ, and the kind of the reason. Addresses, levels, cycles,
//! ids, slots and the kind of access are not part of it, because they change when a scenario
//! becomes smaller. Values that only explain a mismatch are not part of it either, such as the
//! fence that invalidated a page, or the reason why a page must be in the TLB.

use std::mem::{Discriminant, discriminant};

use crate::bench::Failure;
use crate::bench::memory_request::{MemoryRequest, WalkPlace};
use crate::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, ExpectedHit, ExpectedRequest, FillViolation, HitReason,
    Mismatch, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit, ObservedRequest,
    ObservedResponse, OvertakenUse, PairingViolation, PortViolation, ReplayViolation, RequestEvent,
    ResponseViolation, Stall, TrapField, Violation, WalkCache, WalkCacheViolation,
};
use crate::bench::steps::{StepFault, StepPosition, StepRecord};
use crate::dut::{MalformedResponse, Next};
use crate::mmu::{Fault, FaultKind, Fence, MemoryType, Outcome, Position, Purpose, Stage, Trap};

/// The failure signature: the properties that make two failures the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// A mismatch.
    Mismatch(Kind),
    /// A hang.
    Hang,
    /// An RTL assertion, by its name and its place in the hierarchy.
    Assertion(String),
}

impl Signature {
    /// Computes the signature of a failure.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(mismatch) => Self::Mismatch(Kind::of(mismatch)),
            Failure::Hang { .. } => Self::Hang,
            Failure::Device { error, .. } => {
                let message = error.to_string();
                Self::Assertion(message.chars().filter(|c| !c.is_ascii_digit()).collect())
            }
        }
    }

    /// Returns true if a failure with the signature `other` may replace a failure with this
    /// signature. Fewer responses may have been legal in it.
    pub fn is_kept_by(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Mismatch(Kind::Hit {
                    legal,
                    reason,
                    observed,
                }),
                Self::Mismatch(Kind::Hit {
                    legal: other_legal,
                    reason: other_reason,
                    observed: other_observed,
                }),
            ) => {
                (reason, observed) == (other_reason, other_observed)
                    && other_legal.iter().all(|one| legal.contains(one))
            }
            _ => self == other,
        }
    }
}

/// The signature of a mismatch, by check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reads {
        expected: RequestKind,
        /// The step of the golden walk that decided.
        step: Option<StepKind>,
        observed: RequestKind,
    },
    WalkResponse(ResponseKind),
    Hit {
        /// The legal responses.
        legal: Vec<Difference>,
        /// The reason for a miss.
        reason: Option<Discriminant<MissReason>>,
        observed: OutcomeKind,
    },
    MustHit {
        in_l2_tlb: bool,
    },
    Fill {
        violation: Discriminant<FillViolation>,
        reason: Option<Discriminant<NoFillReason>>,
    },
    Coalescing,
    WrongWalk(Discriminant<AssignmentViolation>),
    Overtaken {
        observed: Discriminant<OvertakenUse>,
        /// The fence of a walk that has answered.
        by: Option<FenceKind>,
    },
    AfterFence {
        by: FenceKind,
        observed: Option<RequestKind>,
    },
    Replay {
        violation: Discriminant<ReplayViolation>,
        reason: Option<Discriminant<NoReplayReason>>,
        by: Option<FenceKind>,
        observed: Option<OutcomeKind>,
    },
    OneResponse {
        violation: Discriminant<PairingViolation>,
        observed: Option<RequestEvent>,
    },
    Port(Discriminant<PortViolation>),
    Stalled(Discriminant<Stall>),
    Steps {
        request: RequestKind,
        expected: Option<RecordKind>,
        observed: Option<RecordKind>,
    },
    WalkCache(WalkCacheKind),
}

/// A memory request or the end of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A memory read.
    Read,
    /// An update.
    Update,
    /// The end of a walk.
    End,
    /// Nothing: there is no walk.
    None,
}

impl RequestKind {
    const fn new(is_update: bool) -> Self {
        match is_update {
            true => Self::Update,
            false => Self::Read,
        }
    }

    const fn of(request: &MemoryRequest) -> Self {
        Self::new(request.update.is_some())
    }

    const fn at(place: &WalkPlace) -> Self {
        Self::new(place.is_update)
    }

    const fn expected(expected: &ExpectedRequest) -> Self {
        match expected {
            ExpectedRequest::Request { request, .. } => Self::of(&request.request),
            ExpectedRequest::End { .. } => Self::End,
            ExpectedRequest::NoWalk { .. } => Self::None,
        }
    }

    const fn observed(observed: &ObservedRequest) -> Self {
        match observed {
            ObservedRequest::Request { request, .. } => Self::of(request),
            ObservedRequest::End(_) => Self::End,
        }
    }
}

/// A position in the tables, without its level and its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PositionKind {
    stage: Stage,
    purpose: Option<Discriminant<Purpose>>,
}

impl PositionKind {
    fn of(position: &Position) -> Self {
        Self {
            stage: position.stage(),
            purpose: match position {
                Position::Guest { .. } => None,
                Position::Host { purpose, .. } => Some(discriminant(purpose)),
            },
        }
    }
}

/// A step of the golden walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepKind {
    at: PositionKind,
    fault: Option<FaultKind>,
}

impl StepKind {
    /// Returns the step that decides the result of the golden walk; none if the walk finds a
    /// translation, or if there is no walk.
    fn deciding(expected: &ExpectedRequest) -> Option<Self> {
        match expected {
            ExpectedRequest::Request { at, .. } => Some(Self {
                at: PositionKind::of(at),
                fault: None,
            }),
            ExpectedRequest::End {
                outcome: Err(fault),
                ..
            } => Some(Self {
                at: PositionKind::of(&fault.at),
                fault: Some(fault.kind),
            }),
            ExpectedRequest::End { outcome: Ok(_), .. } | ExpectedRequest::NoWalk { .. } => None,
        }
    }
}

/// An outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutcomeKind {
    Translation(MemoryType),
    Fault {
        kind: FaultKind,
        at: PositionKind,
        trap: Option<TrapKind>,
    },
}

/// The registers that a trap writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrapKind {
    exception: Exception,
    has_tval2: bool,
    has_tinst: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exception {
    Access,
    Page,
    GuestPage,
}

impl OutcomeKind {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(translation) => Self::Translation(translation.memory_type),
            Err(Fault { kind, at, trap }) => Self::Fault {
                kind: *kind,
                at: PositionKind::of(at),
                trap: trap.as_ref().map(TrapKind::of),
            },
        }
    }
}

impl TrapKind {
    const fn of(trap: &Trap) -> Self {
        Self {
            exception: match trap.cause {
                12 | 13 | 15 => Exception::Page,
                20 | 21 | 23 => Exception::GuestPage,
                _ => Exception::Access,
            },
            has_tval2: trap.tval2 != 0,
            has_tinst: trap.tinst != 0,
        }
    }
}

/// An expected outcome, with the fields in which an observed outcome differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    expected: OutcomeKind,
    /// The fields that differ, if both outcomes are of one kind, and the page sizes.
    fields: Vec<Field>,
}

/// A field of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Hpa,
    /// The gPA, if the hPA is right.
    Gpa,
    PageSize,
    Level,
    /// The gPA that could not be translated.
    FaultGpa,
    Cause,
    TrapGva,
    /// tval2, if the gPA is right.
    Tval2,
    Tinst,
}

impl Difference {
    fn new(expected: &Outcome, observed: &Outcome) -> Self {
        let mut fields = Vec::new();
        let mut add = |field, differs: bool| {
            if differs {
                fields.push(field);
            }
        };
        match (expected, observed) {
            (Ok(expected), Ok(observed)) => {
                let hpa_differs = expected.hpa != observed.hpa;
                add(Field::Hpa, hpa_differs);
                add(Field::Gpa, !hpa_differs && expected.gpa != observed.gpa);
                add(Field::PageSize, expected.page_size != observed.page_size);
            }
            (Err(expected), Err(observed))
                if OutcomeKind::of(&Err(*expected)) == OutcomeKind::of(&Err(*observed)) =>
            {
                let gpa = |fault: &Fault| match fault.at {
                    Position::Guest { .. } => None,
                    Position::Host { gpa, .. } => Some(gpa),
                };
                let gpa_differs = gpa(expected) != gpa(observed);
                add(Field::Level, expected.at.level() != observed.at.level());
                add(Field::FaultGpa, gpa_differs);
                let (expected, observed) = (
                    expected.trap.unwrap_or_default(),
                    observed.trap.unwrap_or_default(),
                );
                add(Field::Cause, expected.cause != observed.cause);
                add(Field::TrapGva, expected.gva != observed.gva);
                let tval2_differs = expected.tval2 != observed.tval2;
                add(Field::Tval2, !gpa_differs && tval2_differs);
                add(Field::Tinst, expected.tinst != observed.tinst);
            }
            _ => {}
        }
        Self {
            expected: OutcomeKind::of(expected),
            fields,
        }
    }
}

/// A wrong response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ResponseKind {
    Outcome {
        difference: Difference,
        observed: OutcomeKind,
    },
    NotLegal {
        differences: Vec<Difference>,
        observed: Option<OutcomeKind>,
        trap: Vec<Vec<TrapField>>,
    },
    Gva,
    Malformed(MalformedResponse),
}

/// The operands of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FenceKind {
    virt: bool,
    operands: [bool; 4],
}

impl FenceKind {
    const fn of(fence: &Fence) -> Self {
        let Fence {
            virt,
            gva,
            gpa,
            asid,
            vmid,
        } = fence;
        Self {
            virt: *virt,
            operands: [gva.is_some(), gpa.is_some(), asid.is_some(), vmid.is_some()],
        }
    }
}

/// A step that a device reports, or should report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordKind {
    /// None for a purpose that does not exist.
    at: Option<PositionKind>,
    update: bool,
    is_error: bool,
    next: Next,
    fault: Option<StepFault>,
}

impl RecordKind {
    fn of(record: &StepRecord) -> Self {
        let StepRecord {
            at,
            gpa: _,
            hpa: _,
            update,
            word,
            next,
            fault,
        } = record;
        Self {
            at: match at {
                StepPosition::Entry(position) => Some(PositionKind::of(position)),
                StepPosition::UnknownPurpose { .. } => None,
            },
            update: *update,
            is_error: word.is_none(),
            next: *next,
            fault: match fault {
                // The value of a number that no fault has does not matter.
                Some(StepFault::Unknown(_)) => Some(StepFault::Unknown(0)),
                fault => *fault,
            },
        }
    }
}

/// A violation of the page-walk cache rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WalkCacheKind {
    Missed {
        request: RequestKind,
        expected: WalkCache,
        observed: Option<WalkCache>,
    },
    Illegal {
        request: RequestKind,
        observed: WalkCache,
        because: Discriminant<NoWalkCacheHit>,
    },
    NothingSkipped {
        request: RequestKind,
        hit: Option<WalkCache>,
        observed: RequestKind,
    },
}

impl Kind {
    fn of(mismatch: &Mismatch) -> Self {
        match &mismatch.violation {
            Violation::Reads { expected, observed } => Kind::Reads {
                expected: RequestKind::expected(expected),
                step: StepKind::deciding(expected),
                observed: RequestKind::observed(observed),
            },
            Violation::WalkResponse(violation) => Kind::WalkResponse(match violation {
                ResponseViolation::Outcome { expected, observed } => ResponseKind::Outcome {
                    difference: Difference::new(expected, observed),
                    observed: OutcomeKind::of(observed),
                },
                ResponseViolation::NotLegal { legal, observed } => ResponseKind::NotLegal {
                    differences: (legal.iter())
                        .filter_map(|one| Some(Difference::new(one, observed.outcome()?)))
                        .collect(),
                    observed: observed.outcome().map(OutcomeKind::of),
                    trap: match observed {
                        ObservedResponse::Outcome(_) => Vec::new(),
                        ObservedResponse::Fault(trap) => (legal.iter())
                            .filter_map(|one| Some(trap.differences(one.as_ref().err()?)))
                            .collect(),
                    },
                },
                ResponseViolation::Gva { .. } => ResponseKind::Gva,
                ResponseViolation::Malformed(malformed) => {
                    ResponseKind::Malformed(match malformed {
                        // The value of a number that no kind of fault has does not matter.
                        MalformedResponse::UnknownFaultKind(_) => {
                            MalformedResponse::UnknownFaultKind(0)
                        }
                        malformed => *malformed,
                    })
                }
            }),
            Violation::Hit {
                expected, observed, ..
            } => Kind::Hit {
                legal: match expected {
                    ExpectedHit::AnyOf(legal) => (legal.iter())
                        .map(|one| Difference::new(one, observed))
                        .collect(),
                    ExpectedHit::Miss(_) => Vec::new(),
                },
                reason: match expected {
                    ExpectedHit::AnyOf(_) => None,
                    ExpectedHit::Miss(reason) => Some(discriminant(reason)),
                },
                observed: OutcomeKind::of(observed),
            },
            Violation::MustHit { because, .. } => Kind::MustHit {
                in_l2_tlb: matches!(because, HitReason::L2),
            },
            Violation::Fill(violation) => Kind::Fill {
                violation: discriminant(violation),
                reason: match violation {
                    FillViolation::Unexpected(reason) => Some(discriminant(reason)),
                    FillViolation::Missing | FillViolation::Repeated => None,
                },
            },
            Violation::Coalescing { .. } => Kind::Coalescing,
            Violation::WrongWalk(violation) => Kind::WrongWalk(discriminant(violation)),
            Violation::Overtaken { by, observed } => Kind::Overtaken {
                observed: discriminant(observed),
                by: match observed {
                    OvertakenUse::Shared { .. } => None,
                    OvertakenUse::Answered => Some(FenceKind::of(&by.fence)),
                },
            },
            Violation::AfterFence { by, observed } => Kind::AfterFence {
                by: FenceKind::of(&by.fence),
                observed: match observed {
                    ActionAfterFence::Request { request, .. } => {
                        Some(RequestKind::of(&request.request))
                    }
                    ActionAfterFence::Walk { .. } => None,
                },
            },
            Violation::Replay(violation) => {
                let (reason, by, observed) = match violation {
                    ReplayViolation::Missing { by, observed } => (
                        None,
                        Some(FenceKind::of(&by.fence)),
                        Some(OutcomeKind::of(observed)),
                    ),
                    ReplayViolation::Unexpected(reason) => (Some(discriminant(reason)), None, None),
                    ReplayViolation::Fields { .. } => (None, None, None),
                };
                Kind::Replay {
                    violation: discriminant(violation),
                    reason,
                    by,
                    observed,
                }
            }
            Violation::OneResponse(violation) => Kind::OneResponse {
                violation: discriminant(violation),
                observed: match violation {
                    PairingViolation::NoRequest { observed, .. } => Some(*observed),
                    _ => None,
                },
            },
            Violation::Port(violation) => Kind::Port(discriminant(violation)),
            Violation::Stalled(stall) => Kind::Stalled(discriminant(stall)),
            Violation::Steps {
                place,
                expected,
                observed,
            } => Kind::Steps {
                request: RequestKind::at(place),
                expected: expected.as_ref().map(RecordKind::of),
                observed: observed.as_ref().map(RecordKind::of),
            },
            Violation::WalkCache(violation) => Kind::WalkCache(match violation {
                WalkCacheViolation::Missed {
                    place,
                    expected,
                    observed,
                    ..
                } => WalkCacheKind::Missed {
                    request: RequestKind::at(place),
                    expected: expected.cache,
                    observed: observed.map(|hit| hit.cache),
                },
                WalkCacheViolation::Illegal {
                    place,
                    observed,
                    because,
                    ..
                } => WalkCacheKind::Illegal {
                    request: RequestKind::at(place),
                    observed: observed.cache,
                    because: discriminant(because),
                },
                WalkCacheViolation::NothingSkipped {
                    place,
                    hit,
                    observed,
                } => WalkCacheKind::NothingSkipped {
                    request: RequestKind::at(place),
                    hit: hit.map(|hit| hit.cache),
                    observed: RequestKind::observed(observed),
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests;
