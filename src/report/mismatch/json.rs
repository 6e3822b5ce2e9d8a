// SPDX-License-Identifier: Apache-2.0
//! Mismatches as JSON. The table `side` of `docs/json.md` describes the expected and the observed
//! side, and the table `clause` the clause on which the check rests.

use serde_json::{Map, Value, json};

use crate::bench::clause::Clause;
use crate::bench::memory_request::{MemoryRequest, RequestCounts, WalkPlace, WalkRequest};
use crate::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, ExpectedHit, ExpectedRequest, FenceEvent, FillViolation,
    HitReason, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit, ObservedRequest,
    ObservedResponse, ObservedTrap, OvertakenUse, Page, PairingViolation, PortRequest,
    PortResponse, PortViolation, ReplayViolation, ResponseViolation, StaleOrigin, Stall, Violation,
    WalkCacheHit, WalkCacheViolation, WalkEnd,
};
use crate::bench::steps::{StepFault, StepPosition, StepRecord};
use crate::dut::{MalformedResponse, Next};
use crate::format::Format;
use crate::mmu::Outcome;
use crate::report::json as values;

/// Returns the clause on which a check rests.
pub fn clause(clause: Clause) -> Value {
    json!(clause)
}

/// Returns the fields of the trap that the device has.
fn observed_trap(trap: &ObservedTrap) -> Value {
    let ObservedTrap {
        cause,
        gva,
        tval2,
        tinst,
    } = trap;
    let fields = [
        ("cause", cause.map(|cause| json!(cause))),
        ("gva", gva.map(|gva| json!(gva))),
        ("tval2", tval2.map(|tval2| json!(format!("0x{tval2:X}")))),
        ("tinst", tinst.map(|tinst| json!(format!("0x{tinst:X}")))),
    ];
    let told = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(told.collect())
}

/// Returns the name of a walk's next action.
const fn next_name(next: Next) -> &'static str {
    match next {
        Next::Read => "memory-read",
        Next::Update => "update",
        Next::Done => "done",
        Next::Fault => "fault",
    }
}

/// Returns the name of the fields that make a response malformed.
const fn malformed_name(response: MalformedResponse) -> &'static str {
    match response {
        MalformedResponse::TranslationWithFaultFields => "translation-with-fault-fields",
        MalformedResponse::TranslationWithTrapFields => "translation-with-trap-fields",
        MalformedResponse::UnknownMemoryType => "unknown-memory-type",
        MalformedResponse::UnknownFaultKind(_) => "unknown-fault-kind",
        MalformedResponse::FaultWithTranslation => "fault-with-translation",
        MalformedResponse::GuestFaultWithHostFields => "guest-fault-with-host-fields",
        MalformedResponse::DataFaultWithGuestLevel => "data-fault-with-guest-level",
        MalformedResponse::UnknownPurpose => "unknown-purpose",
        MalformedResponse::TrapWithoutTraps => "trap-without-traps",
    }
}

/// One side of a mismatch, field by field.
struct Side(Map<String, Value>);

impl Side {
    fn new(what: &str) -> Self {
        Self(Map::new()).with("what", json!(what))
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.0.insert(field.to_owned(), value);
        self
    }

    fn because(self, reason: &str) -> Self {
        self.with("because", json!(reason))
    }

    fn slot(self, slot: u8) -> Self {
        self.with("slot", json!(slot))
    }

    fn fence(self, event: &FenceEvent) -> Self {
        self.with("fence", json!(event))
    }

    fn outcome(self, outcome: &Outcome, format: Format) -> Self {
        self.with("outcome", values::outcome(outcome, format))
    }

    /// Adds the response on a port: an outcome, or a malformed response.
    fn response(self, response: &Result<Outcome, MalformedResponse>, format: Format) -> Self {
        match response {
            Ok(outcome) => self.outcome(outcome, format),
            Err(MalformedResponse::UnknownFaultKind(number)) => self
                .with("malformed", json!("unknown-fault-kind"))
                .with("kind", json!(number)),
            Err(malformed) => self.with("malformed", json!(malformed_name(*malformed))),
        }
    }

    /// Renders a memory request, with its place in its walk if there is one.
    fn memory_request(request: &MemoryRequest, place: Option<&WalkPlace>) -> Self {
        let side = match request.update {
            None => Self::new("memory-read"),
            Some(update) => Self::new("update")
                .with("old", json!(format!("0x{:X}", update.expected)))
                .with("new", json!(format!("0x{:X}", update.new))),
        };
        let side = side.with("hpa", json!(request.hpa));
        match place {
            Some(place) => side.with("number", json!(place.number)),
            None => side,
        }
    }

    fn walk_request(walk_request: &WalkRequest) -> Self {
        Self::memory_request(&walk_request.request, Some(&walk_request.place))
    }

    /// Adds the place of a memory request that another field describes.
    fn place(self, place: &WalkPlace) -> Self {
        let request = if place.is_update {
            "update"
        } else {
            "memory-read"
        };
        self.with("request", json!(request))
            .with("number", json!(place.number))
    }

    fn walk_end(made: &RequestCounts) -> Self {
        Self::new("walk-end")
            .with("reads", json!(made.reads))
            .with("updates", json!(made.updates))
    }

    fn walk_cache(self, hit: &WalkCacheHit, format: Format) -> Self {
        self.with("cache", json!(hit.cache))
            .with("level", json!(format.level_name(hit.level)))
    }

    /// Renders a hit in a page-walk cache before a memory request, or none.
    fn walk_cache_hit(hit: Option<&WalkCacheHit>, format: Format) -> Self {
        match hit {
            Some(hit) => Self::new("walk-cache-hit").walk_cache(hit, format),
            None => Self::new("no-walk-cache-hit"),
        }
    }

    fn step(step: Option<&StepRecord>, format: Format) -> Self {
        let Some(step) = step else {
            return Self::new("no-step");
        };
        let StepRecord {
            at,
            gpa,
            hpa,
            update: _,
            word,
            next,
            fault,
        } = step;
        let position = match at {
            StepPosition::Entry(position) => values::position(position, format),
            StepPosition::UnknownPurpose { level, purpose } => json!({
                "stage": "host",
                "level": format.level_name(*level),
                "gpa": gpa,
                "for": format!("purpose {purpose}"),
            }),
        };
        let fault = fault.map(|fault| match fault {
            StepFault::Kind(kind) => json!(kind),
            StepFault::Overtaken => json!("overtaken"),
            StepFault::Unknown(number) => json!(format!("number {number}")),
        });
        Self::new("step")
            .with("at", position)
            .with("gpa", json!(gpa))
            .with("hpa", json!(hpa))
            .with("word", values::word(*word))
            .with("next", json!(next_name(*next)))
            .with("fault_kind", json!(fault))
    }

    fn port_response(response: &PortResponse, format: Format) -> Self {
        let PortResponse {
            id,
            gva,
            hit,
            replay,
            outcome,
        } = response;
        let side = Self::new(if *replay { "replay" } else { "response" })
            .with("id", json!(id))
            .with("gva", json!(gva));
        match replay {
            true => side,
            false => side.with("hit", json!(hit)).response(outcome, format),
        }
    }

    fn port_request(port_request: &PortRequest) -> Self {
        let PortRequest { slot, request } = port_request;
        Self::memory_request(request, None).slot(*slot)
    }

    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

/// Returns the expected side.
pub fn expected(violation: &Violation, format: Format) -> Value {
    let side = match violation {
        Violation::Reads { expected, .. } => expected_request(expected, format),
        Violation::WalkResponse(violation) => match violation {
            ResponseViolation::Outcome { expected, .. } => {
                Side::new("response").outcome(expected, format)
            }
            ResponseViolation::NotLegal { legal, .. } => {
                let legal = legal.iter().map(|outcome| values::outcome(outcome, format));
                Side::new("response").with("any_of", legal.collect())
            }
            ResponseViolation::Gva { expected, .. } => {
                Side::new("response").with("gva", json!(expected))
            }
            ResponseViolation::Malformed(_) => Side::new("well-formed-response"),
        },
        Violation::Hit { expected, .. } => expected_hit(expected, format),
        Violation::MustHit {
            page,
            found,
            because,
        } => must_hit(page, *found, because),
        Violation::Fill(violation) => expected_fill(violation, format),
        Violation::Coalescing { walk, .. } => Side::new("shared-walk").slot(*walk),
        Violation::WrongWalk(violation) => match violation {
            AssignmentViolation::NoWalk { .. } => Side::new("own-walk"),
            AssignmentViolation::OtherRequest { .. } => Side::new("own-or-equal-walk"),
            AssignmentViolation::SlotInUse { .. } => Side::new("free-slot"),
            AssignmentViolation::OtherResult { .. } => Side::new("own-result"),
        },
        Violation::Overtaken { by, .. } => Side::new("walk-after-fence").fence(by),
        Violation::AfterFence { by, observed } => match observed {
            ActionAfterFence::Request { .. } => Side::new("no-memory-request").fence(by),
            ActionAfterFence::Walk { .. } => Side::new("no-walk").fence(by),
        },
        Violation::Replay(violation) => match violation {
            ReplayViolation::Missing { by, .. } => Side::new("replay").fence(by),
            ReplayViolation::Unexpected(reason) => match reason {
                NoReplayReason::WalkEnded(by) => {
                    Side::new("response").because("walk-ended").fence(by)
                }
                NoReplayReason::WalkNotOvertaken => {
                    Side::new("response").because("walk-not-overtaken")
                }
                NoReplayReason::RequestNotOvertaken => {
                    Side::new("no-replay").because("request-not-overtaken")
                }
            },
            ReplayViolation::Fields { expected, .. } => {
                Side::new("bare-replay").with("gva", json!(expected))
            }
        },
        Violation::OneResponse(violation) => match violation {
            PairingViolation::NoRequest { id, .. } => Side::new("nothing").with("id", json!(id)),
            PairingViolation::L2HitAgain => Side::new("one-response"),
            PairingViolation::MissAfterL2Hit => Side::new("l2-tlb-response"),
            PairingViolation::BeforeWalkEnd => Side::new("walk-end-first"),
            PairingViolation::HitOfWalk => Side::new("walk-response"),
            PairingViolation::NeitherHitNorWalk => Side::new("hit-or-walk-response"),
        },
        Violation::Port(violation) => match violation {
            PortViolation::ResponseChanged { stalled, .. } => Side::port_response(stalled, format),
            PortViolation::MemoryRequestChanged { stalled, .. } => Side::port_request(stalled),
            PortViolation::FenceStalled { .. } => Side::new("fence-accepted"),
            PortViolation::RequestWithFence => {
                Side::new("no-request-accepted").because("fence-accepted")
            }
            PortViolation::RequestBeforeFence { fence } => Side::new("no-request-accepted")
                .because("fence-waits")
                .with("fence", json!(fence)),
            PortViolation::NotRoundRobin { slot, most, .. } => Side::new("round-robin")
                .slot(*slot)
                .with("most", json!(most)),
        },
        Violation::Stalled(stall) => match stall {
            Stall::Idle { .. } => Side::new("progress"),
            Stall::Livelock { most, .. } => Side::new("response").with("most", json!(most)),
            Stall::Walk { slot, cycles } => Side::new("memory-request")
                .slot(*slot)
                .with("cycles", json!(cycles)),
            Stall::Unassigned {
                slots,
                in_use,
                waiting,
                ..
            } => Side::new("walk")
                .with("slots", json!(slots))
                .with("in_use", json!(in_use))
                .with("waiting", json!(waiting)),
        },
        Violation::Steps {
            place, expected, ..
        } => Side::step(expected.as_ref(), format).place(place),
        Violation::WalkCache(violation) => match violation {
            WalkCacheViolation::Missed {
                place,
                expected,
                since,
                ..
            } => Side::walk_cache_hit(Some(expected), format)
                .place(place)
                .with("since", json!(since)),
            WalkCacheViolation::Illegal {
                place,
                observed,
                because,
                ..
            } => no_walk_cache_hit(observed, because, format).place(place),
            WalkCacheViolation::NothingSkipped { place, .. } => {
                Side::walk_cache_hit(None, format).place(place)
            }
        },
    };
    side.value()
}

/// Returns the observed side.
pub fn observed(violation: &Violation, format: Format) -> Value {
    let side = match violation {
        Violation::Reads { observed, .. } => observed_request(observed, format),
        Violation::WalkResponse(violation) => match violation {
            ResponseViolation::Outcome { observed, .. } => {
                Side::new("response").outcome(observed, format)
            }
            ResponseViolation::NotLegal { observed, .. } => match observed {
                ObservedResponse::Outcome(observed) => {
                    Side::new("response").outcome(observed, format)
                }
                ObservedResponse::Fault(trap) => {
                    Side::new("fault").with("trap", observed_trap(trap))
                }
            },
            ResponseViolation::Gva { observed, .. } => {
                Side::new("response").with("gva", json!(observed))
            }
            ResponseViolation::Malformed(malformed) => {
                Side::new("response").response(&Err(*malformed), format)
            }
        },
        Violation::Hit {
            observed, origin, ..
        } => {
            let side = Side::new("tlb-hit").outcome(observed, format);
            match origin {
                None => side,
                Some(StaleOrigin { found, by }) => side.with("found", json!(found)).fence(by),
            }
        }
        Violation::MustHit { .. } => Side::new("miss"),
        Violation::Fill(violation) => match violation {
            FillViolation::Unexpected(_) | FillViolation::Repeated => Side::new("fill"),
            FillViolation::Missing => Side::new("no-fill"),
        },
        Violation::Coalescing { second, .. } => Side::new("walk").slot(*second),
        Violation::WrongWalk(violation) => match violation {
            AssignmentViolation::NoWalk { slot } => Side::new("idle-slot").slot(*slot),
            AssignmentViolation::OtherRequest { slot, query } => Side::new("shared-walk")
                .slot(*slot)
                .with("query", values::query(query, format)),
            AssignmentViolation::SlotInUse { slot } => Side::new("walk").slot(*slot),
            AssignmentViolation::OtherResult { slot } => Side::new("walk-result").slot(*slot),
        },
        Violation::Overtaken { observed, .. } => match observed {
            OvertakenUse::Shared { slot } => Side::new("shared-walk").slot(*slot),
            OvertakenUse::Answered => Side::new("response"),
        },
        Violation::AfterFence { observed, .. } => match observed {
            ActionAfterFence::Request { request, cycle } => {
                Side::walk_request(request).with("cycle", json!(cycle))
            }
            ActionAfterFence::Walk { slot } => Side::new("walk").slot(*slot),
        },
        Violation::Replay(violation) => match violation {
            ReplayViolation::Missing { observed, .. } => {
                Side::new("response").outcome(observed, format)
            }
            ReplayViolation::Unexpected(_) => Side::new("replay"),
            ReplayViolation::Fields { observed, .. } => {
                Side::new("replay").with("gva", json!(observed))
            }
        },
        Violation::OneResponse(violation) => match violation {
            PairingViolation::NoRequest { observed, .. } => {
                Side(Map::new()).with("what", json!(observed))
            }
            PairingViolation::L2HitAgain => Side::new("l2-tlb-hit"),
            PairingViolation::MissAfterL2Hit => Side::new("miss"),
            PairingViolation::BeforeWalkEnd => Side::new("response"),
            PairingViolation::HitOfWalk => Side::new("response").with("hit", json!(true)),
            PairingViolation::NeitherHitNorWalk => Side::new("response").with("hit", json!(false)),
        },
        Violation::Port(violation) => match violation {
            PortViolation::ResponseChanged { now, .. } => match now {
                Some(now) => Side::port_response(now, format),
                None => Side::new("no-response"),
            },
            PortViolation::MemoryRequestChanged { now, .. } => match now {
                Some(now) => Side::port_request(now),
                None => Side::new("no-memory-request"),
            },
            PortViolation::FenceStalled { fence } => {
                Side::new("fence-stalled").with("fence", json!(fence))
            }
            PortViolation::RequestWithFence | PortViolation::RequestBeforeFence { .. } => {
                Side::new("request-accepted")
            }
            PortViolation::NotRoundRobin { slot, waited, .. } => Side::new("slot-waits")
                .slot(*slot)
                .with("waited", json!(waited)),
        },
        Violation::Stalled(Stall::Idle { cycles } | Stall::Unassigned { cycles, .. }) => {
            Side::new("nothing").with("cycles", json!(cycles))
        }
        Violation::Stalled(Stall::Livelock { requests, .. }) => {
            Side::new("memory-requests").with("requests", json!(requests))
        }
        Violation::Stalled(Stall::Walk { slot, .. }) => Side::new("late").slot(*slot),
        Violation::Steps {
            place, observed, ..
        } => Side::step(observed.as_ref(), format).place(place),
        Violation::WalkCache(violation) => match violation {
            WalkCacheViolation::Missed {
                place, observed, ..
            } => Side::walk_cache_hit(observed.as_ref(), format).place(place),
            WalkCacheViolation::Illegal {
                place,
                observed,
                hpa,
                ..
            } => Side::walk_cache_hit(Some(observed), format)
                .place(place)
                .with("hpa", json!(hpa)),
            WalkCacheViolation::NothingSkipped { hit, observed, .. } => {
                let side = observed_request(observed, format);
                match hit {
                    Some(hit) => side.walk_cache(hit, format),
                    None => side,
                }
            }
        },
    };
    side.value()
}

fn expected_request(expected: &ExpectedRequest, format: Format) -> Side {
    match expected {
        ExpectedRequest::Request { request, at } => {
            Side::walk_request(request).with("at", values::position(at, format))
        }
        ExpectedRequest::End { made, outcome } => Side::walk_end(made).outcome(outcome, format),
        ExpectedRequest::NoWalk { slot } => Side::new("no-memory-request").slot(*slot),
    }
}

fn observed_request(observed: &ObservedRequest, format: Format) -> Side {
    match observed {
        ObservedRequest::Request {
            request,
            place,
            cycle,
        } => Side::memory_request(request, place.as_ref()).with("cycle", json!(cycle)),
        ObservedRequest::End(WalkEnd {
            made,
            id: _,
            response,
        }) => {
            let side = Side::walk_end(made);
            match response {
                Some(response) => side.response(response, format),
                None => side,
            }
        }
    }
}

fn expected_hit(expected: &ExpectedHit, format: Format) -> Side {
    let reason = match expected {
        ExpectedHit::AnyOf(legal) => {
            let legal = legal.iter().map(|outcome| values::outcome(outcome, format));
            return Side::new("tlb-hit").with("any_of", legal.collect());
        }
        ExpectedHit::Miss(reason) => reason,
    };
    let miss = Side::new("miss");
    match reason {
        MissReason::NotPermitted => miss.because("not-permitted"),
        MissReason::Invalidated(by) => miss.because("invalidated").fence(by),
        MissReason::NeverFound => miss.because("never-found"),
        MissReason::NotFoundOfLate { known } => miss
            .because("not-found-recently")
            .with("known", json!(known)),
    }
}

fn must_hit(page: &Page, found: u64, because: &HitReason) -> Side {
    let Page { gva, size } = page;
    let side = match because {
        HitReason::Recent { of } => Side::new("tlb-hit")
            .because("recent")
            .with("last", json!(of)),
        HitReason::Room { entries } => Side::new("tlb-hit")
            .because("room")
            .with("entries", json!(entries)),
        HitReason::L2 => Side::new("l2-tlb-hit").because("not-replaced"),
    };
    side.with("gva", json!(gva))
        .with("page_bytes", json!(1u64 << size))
        .with("found", json!(found))
}

fn expected_fill(violation: &FillViolation, format: Format) -> Side {
    let no_fill = Side::new("no-fill");
    match violation {
        FillViolation::Unexpected(reason) => match reason {
            NoFillReason::Fault(fault) => no_fill
                .because("fault")
                .with("fault", values::fault(fault, format)),
            NoFillReason::Invalidated(by) => no_fill.because("invalidated").fence(by),
            NoFillReason::Overtaken(by) => no_fill.because("overtaken").fence(by),
            NoFillReason::StagesOff => no_fill.because("stages-off"),
        },
        FillViolation::Missing => Side::new("fill"),
        FillViolation::Repeated => no_fill.because("filled"),
    }
}

fn no_walk_cache_hit(hit: &WalkCacheHit, because: &NoWalkCacheHit, format: Format) -> Side {
    let miss = Side::new("no-walk-cache-hit").walk_cache(hit, format);
    match because {
        NoWalkCacheHit::NeverRead => miss.because("never-read"),
        NoWalkCacheHit::NotReadOfLate { known } => miss
            .because("not-read-recently")
            .with("known", json!(known)),
        NoWalkCacheHit::Invalidated(by) => miss.because("invalidated").fence(by),
        NoWalkCacheHit::Elsewhere(places) => Side::walk_cache_hit(Some(hit), format)
            .because("elsewhere")
            .with("leads_to", json!(places)),
    }
}
