// SPDX-License-Identifier: Apache-2.0
//! Mismatches as text.

use crate::bench::clause::Clause;
use crate::bench::memory_request::{MemoryRequest, RequestCounts, WalkPlace, WalkRequest};
use crate::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, Check, ExpectedHit, ExpectedRequest, FenceEvent,
    FillViolation, HitReason, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit,
    ObservedRequest, ObservedResponse, ObservedTrap, OvertakenUse, Page, PairingViolation,
    PortRequest, PortResponse, PortViolation, ReplayViolation, RequestEvent, ResponseViolation,
    StaleOrigin, Stall, Violation, WalkCache, WalkCacheHit, WalkCacheViolation, WalkEnd,
};
use crate::bench::steps::{StepFault, StepPosition, StepRecord};
use crate::dut::{MalformedResponse, Next};
use crate::format::Format;
use crate::mmu::{Fault, MemoryType, Outcome, Translation};
use crate::report::text::{self, count};
use crate::scenario::size_name;

/// Returns the title of a check.
pub const fn title(check: Check) -> &'static str {
    match check {
        Check::Reads => "reads of a walk",
        Check::WalkResponse => "response of a walk",
        Check::Hit => "response of a TLB hit",
        Check::MustHit => "a miss where the TLB must hit",
        Check::Fill => "fill of the TLB",
        Check::Coalescing => "equal misses walked twice",
        Check::WrongWalk => "request assigned to another request's walk",
        Check::Overtaken => "request assigned to a walk that a fence had overtaken",
        Check::AfterFence => "memory access after a fence",
        Check::Replay => "replay of a request",
        Check::OneResponse => "one response for each request",
        Check::Port => "port rules",
        Check::Stalled => "a stall without a visible cause",
        Check::Steps => "reported steps of a walk",
        Check::WalkCache => "page-walk caches",
    }
}

/// Returns the clause on which a check rests: document and section.
pub fn rests_on(clause: Clause) -> String {
    format!("{}, \"{}\"", clause.document(), clause.section())
}

/// Both sides of a mismatch, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sides {
    /// The expected side.
    pub expected: String,
    /// The observed side.
    pub observed: String,
}

impl Sides {
    fn new(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            observed: observed.into(),
        }
    }

    /// Returns both sides of a violation.
    pub fn of(violation: &Violation, format: Format) -> Self {
        match violation {
            Violation::Reads { expected, observed } => Self::new(
                expected_request(expected, format),
                observed_request(observed, format),
            ),
            Violation::WalkResponse(violation) => response(violation, format),
            Violation::Hit {
                expected,
                observed,
                origin,
            } => Self::new(
                expected_hit(expected, observed, format),
                observed_hit(expected, observed, origin.as_ref(), format),
            ),
            Violation::MustHit {
                page,
                found,
                because,
            } => Self::new(must_hit(page, *found, because), "a miss"),
            Violation::Fill(violation) => fill(violation, format),
            Violation::Coalescing { walk, second } => Self::new(
                format!("the request shares the walk of slot {walk}"),
                format!("a walk of its own in slot {second}"),
            ),
            Violation::WrongWalk(violation) => assignment(violation, format),
            Violation::Overtaken { by, observed } => Self::new(
                format!("a walk that was started after the {}", fence(by)),
                match observed {
                    OvertakenUse::Shared { slot } => {
                        format!("the request shares the walk of slot {slot}, started before it")
                    }
                    OvertakenUse::Answered => {
                        "the response of a walk that was started before it".to_owned()
                    }
                },
            ),
            Violation::AfterFence { by, observed } => after_fence(by, observed),
            Violation::Replay(violation) => replay(violation, format),
            Violation::OneResponse(violation) => pairing(violation),
            Violation::Port(violation) => port(violation, format),
            Violation::Stalled(stall) => stalled(stall),
            Violation::Steps {
                place: at,
                expected,
                observed,
            } => Self::new(
                format!("{}: {}", place(at), step(expected.as_ref(), format)),
                format!("{}: {}", place(at), step(observed.as_ref(), format)),
            ),
            Violation::WalkCache(violation) => walk_cache(violation, format),
        }
    }
}

fn fence(event: &FenceEvent) -> String {
    format!("{} in cycle {}", event.fence, event.cycle)
}

fn place(place: &WalkPlace) -> String {
    let WalkPlace { is_update, number } = place;
    match is_update {
        false => format!("memory read {number} of the walk"),
        true => format!("update {number} of the walk"),
    }
}

/// Describes the address of a memory request, and the words of an update.
fn target(request: &MemoryRequest) -> String {
    match request.update {
        None => format!("hPA {}", request.hpa),
        Some(update) => format!(
            "hPA {} from 0x{:X} to 0x{:X}",
            request.hpa, update.expected, update.new
        ),
    }
}

fn walk_request(walk_request: &WalkRequest) -> String {
    let request = target(&walk_request.request);
    format!("{}: {request}", place(&walk_request.place))
}

/// Describes a memory request without its place in a walk.
fn memory_request(request: &MemoryRequest) -> String {
    let kind = match request.update {
        None => "a memory read",
        Some(_) => "an update",
    };
    format!("{kind} of {}", target(request))
}

fn counts(counts: &RequestCounts) -> String {
    let reads = count(counts.reads as u64, "memory read");
    match counts.updates {
        0 => reads,
        updates => format!("{reads} and {}", count(updates as u64, "update")),
    }
}

/// The fields of two outcomes that are printed only if they differ.
#[derive(Clone, Copy, Default)]
struct Shown {
    gpa: bool,
    trap_gva: bool,
}

impl Shown {
    fn of(expected: &Outcome, observed: &Outcome) -> Self {
        match (expected, observed) {
            (Ok(expected), Ok(observed)) => Self {
                // If the hPA differs, the gPA adds nothing.
                gpa: expected.hpa == observed.hpa && expected.gpa != observed.gpa,
                trap_gva: false,
            },
            (Err(expected), Err(observed)) => {
                let gva = |fault: &Fault| fault.trap.map(|trap| trap.gva);
                Self {
                    gpa: false,
                    trap_gva: gva(expected) != gva(observed),
                }
            }
            _ => Self::default(),
        }
    }
}

fn outcome_with(outcome: &Outcome, shown: Shown, format: Format) -> String {
    match outcome {
        Ok(translation) => {
            let Translation {
                gpa,
                hpa,
                page_size,
                memory_type,
            } = translation;
            let gpa = match shown.gpa {
                true => format!("gPA {gpa}, "),
                false => String::new(),
            };
            let memory_type = match memory_type {
                MemoryType::Pma => "",
                MemoryType::Nc => ", NC",
                MemoryType::Io => ", IO",
            };
            // No page has a size of 0: the device has no such field.
            let page = match page_size {
                0 => String::new(),
                &log2 => format!(", page of {}", size(log2)),
            };
            format!("{gpa}hPA {hpa}{page}{memory_type}")
        }
        Err(fault) => {
            let gva = match fault.trap.filter(|_| shown.trap_gva) {
                Some(trap) => format!(", GVA={}", u8::from(trap.gva)),
                None => String::new(),
            };
            fault.describe(format) + &gva
        }
    }
}

fn outcome(outcome: &Outcome, format: Format) -> String {
    outcome_with(outcome, Shown::default(), format)
}

/// Describes the size of a page of 2^`size` bytes.
fn size(size: u32) -> String {
    size_name(size).to_uppercase()
}

/// Describes the fields that make a response malformed.
const fn malformed(response: MalformedResponse) -> &'static str {
    match response {
        MalformedResponse::TranslationWithFaultFields => {
            "a translation with fault fields that are not 0"
        }
        MalformedResponse::TranslationWithTrapFields => {
            "a translation with trap fields that are not 0"
        }
        MalformedResponse::UnknownMemoryType => "a memory type that does not exist",
        MalformedResponse::UnknownFaultKind(_) => "a fault kind that does not exist",
        MalformedResponse::FaultWithTranslation => "a fault with a translation beside it",
        MalformedResponse::GuestFaultWithHostFields => {
            "a guest-stage fault with fields of the host stage"
        }
        MalformedResponse::DataFaultWithGuestLevel => "a fault for the data and for a guest level",
        MalformedResponse::UnknownPurpose => "a purpose that does not exist",
        MalformedResponse::TrapWithoutTraps => "trap fields in a format without traps",
    }
}

fn port_outcome(result: &Result<Outcome, MalformedResponse>, format: Format) -> String {
    match result {
        Ok(result) => outcome(result, format),
        Err(MalformedResponse::UnknownFaultKind(kind)) => {
            format!("fault kind {kind}, which does not exist")
        }
        Err(response) => malformed(*response).to_owned(),
    }
}

fn expected_request(expected: &ExpectedRequest, format: Format) -> String {
    match expected {
        ExpectedRequest::Request { request, at: _ } => walk_request(request),
        ExpectedRequest::End {
            made,
            outcome: result,
        } => format!(
            "the end of the walk after {}; the outcome is {}",
            counts(made),
            outcome(result, format)
        ),
        ExpectedRequest::NoWalk { slot } => {
            format!("no memory request by slot {slot}, which has no walk in flight")
        }
    }
}

fn observed_request(observed: &ObservedRequest, format: Format) -> String {
    match observed {
        ObservedRequest::Request {
            request,
            place: Some(at),
            cycle,
        } => format!("{}: {} in cycle {cycle}", place(at), target(request)),
        ObservedRequest::Request {
            request,
            place: None,
            cycle,
        } => format!("{} in cycle {cycle}", memory_request(request)),
        ObservedRequest::End(WalkEnd {
            made,
            id: _,
            response,
        }) => {
            let response = response.as_ref().map_or_else(String::new, |response| {
                format!("; the response is {}", port_outcome(response, format))
            });
            format!("the end of the walk after {}{response}", counts(made))
        }
    }
}

fn response(violation: &ResponseViolation, format: Format) -> Sides {
    match violation {
        ResponseViolation::Outcome { expected, observed } => {
            let shown = Shown::of(expected, observed);
            Sides::new(
                outcome_with(expected, shown, format),
                outcome_with(observed, shown, format),
            )
        }
        ResponseViolation::NotLegal { legal, observed } => not_legal(legal, observed, format),
        ResponseViolation::Gva { expected, observed } => Sides::new(
            format!("a response for gVA {expected}"),
            format!("a response for gVA {observed}"),
        ),
        ResponseViolation::Malformed(response) => Sides::new(
            "a well-formed response",
            port_outcome(&Err(*response), format),
        ),
    }
}

/// Describes a response that no walk over words gives that the device was given.
fn not_legal(legal: &[Outcome], observed: &ObservedResponse, format: Format) -> Sides {
    let shown = |one: &Outcome| match observed.outcome() {
        Some(observed) => Shown::of(one, observed),
        None => Shown::default(),
    };
    let expected: Vec<String> = (legal.iter())
        .map(|one| outcome_with(one, shown(one), format))
        .collect();
    let expected = match expected.is_empty() {
        true => "no response: no walk over the words that memory has served ends".to_owned(),
        false => expected.join(", or "),
    };
    let shown = Shown {
        gpa: legal.iter().any(|one| shown(one).gpa),
        trap_gva: legal.iter().any(|one| shown(one).trap_gva),
    };
    match observed {
        ObservedResponse::Outcome(observed) => {
            Sides::new(expected, outcome_with(observed, shown, format))
        }
        ObservedResponse::Fault(trap) => Sides::new(expected, observed_trap(trap)),
    }
}

/// Describes a fault by the fields of the trap that the device has.
fn observed_trap(trap: &ObservedTrap) -> String {
    let ObservedTrap {
        cause,
        gva,
        tval2,
        tinst,
    } = trap;
    let fields = [
        cause.map(|cause| format!("cause {cause}")),
        gva.map(|gva| format!("GVA {}", u8::from(gva))),
        tval2.map(|tval2| format!("tval2 0x{tval2:X}")),
        tinst.map(|tinst| format!("tinst 0x{tinst:X}")),
    ];
    let told: Vec<String> = fields.into_iter().flatten().collect();
    match told.is_empty() {
        true => "a fault".to_owned(),
        false => format!("a fault with {}", told.join(", ")),
    }
}

fn expected_hit(expected: &ExpectedHit, observed: &Outcome, format: Format) -> String {
    let reason = match expected {
        ExpectedHit::AnyOf(legal) => {
            let legal: Vec<String> = (legal.iter())
                .map(|one| outcome_with(one, Shown::of(one, observed), format))
                .collect();
            return legal.join(", or ");
        }
        ExpectedHit::Miss(reason) => match reason {
            MissReason::NotPermitted => {
                "what walks have found does not permit this access".to_owned()
            }
            MissReason::Invalidated(by) => {
                format!(
                    "fences have invalidated this page; the last was the {}",
                    fence(by)
                )
            }
            MissReason::NeverFound => "no walk has found this page since the reset".to_owned(),
            MissReason::NotFoundOfLate { known } => format!(
                "no walk has found this page recently; of the invalidated pages, the last {known} \
                 are known"
            ),
        },
    };
    format!("a miss: {reason}")
}

fn observed_hit(
    expected: &ExpectedHit,
    observed: &Outcome,
    origin: Option<&StaleOrigin>,
    format: Format,
) -> String {
    let shown = match expected {
        ExpectedHit::AnyOf(legal) => Shown {
            gpa: (legal.iter()).any(|one| Shown::of(one, observed).gpa),
            trap_gva: (legal.iter()).any(|one| Shown::of(one, observed).trap_gva),
        },
        ExpectedHit::Miss(_) => Shown::default(),
    };
    let observed = outcome_with(observed, shown, format);
    let origin = match origin {
        None => String::new(),
        Some(origin) if origin.is_overtaken() => format!(
            "; the walk that found it in cycle {} was started before the {}",
            origin.found,
            fence(&origin.by)
        ),
        Some(StaleOrigin { found, by }) => format!(
            "; a walk found it in cycle {found}, and the {} invalidated it in cycle {}",
            by.fence, by.cycle
        ),
    };
    format!("a hit: {observed}{origin}")
}

fn must_hit(page: &Page, found: u64, because: &HitReason) -> String {
    let Page {
        gva,
        size: page_size,
    } = page;
    let walked = format!(
        "a walk found the {} page of gVA {gva} in cycle {found}",
        size(*page_size)
    );
    match because {
        HitReason::Recent { of } => format!(
            "a TLB hit: {walked}, no fence has invalidated it since, and it is one of the last \
             {of} that the TLB has filled or hit"
        ),
        HitReason::Room { entries } => format!(
            "a TLB hit: {walked}, no fence has invalidated it since, and the TLB of {entries} \
             entries has room for every page that it may contain"
        ),
        HitReason::L2 => format!(
            "a hit of the L2 TLB: {walked}, and no fence and no replacement can have removed it \
             since"
        ),
    }
}

fn fill(violation: &FillViolation, format: Format) -> Sides {
    match violation {
        FillViolation::Unexpected(reason) => {
            let reason = match reason {
                NoFillReason::Fault(fault) => {
                    format!(
                        "the walk has ended with a fault; {}",
                        fault.describe(format)
                    )
                }
                NoFillReason::Invalidated(by) => {
                    format!("the {} has invalidated what the walk has found", fence(by))
                }
                NoFillReason::Overtaken(by) => format!("the {} has overtaken the walk", fence(by)),
                NoFillReason::StagesOff => "both stages are off".to_owned(),
            };
            Sides::new(format!("no fill: {reason}"), "a fill")
        }
        FillViolation::Missing => Sides::new("a fill: nothing has overtaken the walk", "no fill"),
        FillViolation::Repeated => Sides::new("one fill for a walk", "a second fill"),
    }
}

fn assignment(violation: &AssignmentViolation, format: Format) -> Sides {
    match violation {
        AssignmentViolation::NoWalk { slot } => Sides::new(
            "a walk of its own",
            format!("the request is assigned to slot {slot}, which has no walk in flight"),
        ),
        AssignmentViolation::OtherRequest { slot, query } => Sides::new(
            "a walk of its own, or the walk of an equal request",
            format!(
                "the request is assigned to slot {slot}, which walks for {}",
                text::query(query, format)
            ),
        ),
        AssignmentViolation::SlotInUse { slot } => Sides::new(
            "a walk in a free slot",
            format!("a walk in slot {slot}, which has a walk in flight"),
        ),
        AssignmentViolation::OtherResult { slot } => Sides::new(
            "the result of its own walk",
            format!("the result of the walk of slot {slot}"),
        ),
    }
}

fn after_fence(by: &FenceEvent, observed: &ActionAfterFence) -> Sides {
    let by = fence(by);
    match observed {
        ActionAfterFence::Request { request, cycle } => Sides::new(
            format!("no memory request of the walk after the {by}, which matches it"),
            format!("{} in cycle {cycle}", walk_request(request)),
        ),
        ActionAfterFence::Walk { slot } => Sides::new(
            format!("no walk after the {by}, which matches the request"),
            format!("a walk in slot {slot}"),
        ),
    }
}

fn replay(violation: &ReplayViolation, format: Format) -> Sides {
    match violation {
        ReplayViolation::Missing { by, observed } => Sides::new(
            format!("a replay: the {} has overtaken the walk", fence(by)),
            outcome(observed, format),
        ),
        ReplayViolation::Unexpected(reason) => Sides::new(
            match reason {
                NoReplayReason::WalkEnded(by) => {
                    format!(
                        "the response of its walk, which ended before the {}",
                        fence(by)
                    )
                }
                NoReplayReason::WalkNotOvertaken => {
                    "the response of its walk, which no fence has overtaken".to_owned()
                }
                NoReplayReason::RequestNotOvertaken => {
                    "no replay: no fence has overtaken the request".to_owned()
                }
            },
            "a replay",
        ),
        ReplayViolation::Fields { expected, observed } => Sides::new(
            format!("a replay with gVA {expected}, and all other fields 0"),
            match expected == observed {
                true => "a replay with another field that is not 0".to_owned(),
                false => format!("a replay with gVA {observed}"),
            },
        ),
    }
}

fn pairing(violation: &PairingViolation) -> Sides {
    match violation {
        PairingViolation::NoRequest { id, observed } => Sides::new(
            format!("nothing for id {id}, which has no outstanding request"),
            match observed {
                RequestEvent::Response => "a response",
                RequestEvent::Miss => "a miss",
                RequestEvent::WalkResult => "the result of a walk",
                RequestEvent::L2TlbHit => "a hit of the L2 TLB",
            },
        ),
        PairingViolation::L2HitAgain => Sides::new("one response", "a hit of the L2 TLB"),
        PairingViolation::MissAfterL2Hit => Sides::new("the response of the L2 TLB", "a miss"),
        PairingViolation::BeforeWalkEnd => {
            Sides::new("no response before the end of its walk", "a response")
        }
        PairingViolation::HitOfWalk => Sides::new(
            "the response of its walk",
            "a response that says that the TLB has hit",
        ),
        PairingViolation::NeitherHitNorWalk => Sides::new(
            "a TLB hit, or the result of a walk",
            "a response that is neither",
        ),
    }
}

fn port(violation: &PortViolation, format: Format) -> Sides {
    match violation {
        PortViolation::ResponseChanged { stalled, now } => Sides::new(
            format!(
                "the response stays until it is accepted: {}",
                port_response(stalled, format)
            ),
            match now {
                Some(now) => port_response(now, format),
                None => "no response".to_owned(),
            },
        ),
        PortViolation::MemoryRequestChanged { stalled, now } => Sides::new(
            format!(
                "the memory request stays until it is accepted: {}",
                port_request(stalled)
            ),
            match now {
                Some(now) => port_request(now),
                None => "no memory request".to_owned(),
            },
        ),
        PortViolation::FenceStalled { fence } => Sides::new(
            "a fence waits only for a stalled memory request of a walk that it matches",
            format!("the {fence} waits without one"),
        ),
        PortViolation::RequestWithFence => Sides::new(
            "no request is accepted in the cycle in which a fence is accepted",
            "a request is accepted",
        ),
        PortViolation::RequestBeforeFence { fence } => Sides::new(
            format!("no request is accepted while the {fence} waits, which matches it"),
            "the request is accepted",
        ),
        PortViolation::NotRoundRobin { slot, waited, most } => Sides::new(
            format!(
                "slots are served round robin: slot {slot} waits for {most} memory requests of \
                 others at most"
            ),
            format!("it has waited for {waited}"),
        ),
    }
}

fn port_response(response: &PortResponse, format: Format) -> String {
    let PortResponse {
        id,
        gva,
        hit,
        replay,
        outcome,
    } = response;
    let kind = match (replay, hit) {
        (true, _) => "a replay".to_owned(),
        (false, true) => format!("a hit, {}", port_outcome(outcome, format)),
        (false, false) => port_outcome(outcome, format),
    };
    format!("id {id}, gVA {gva}, {kind}")
}

fn port_request(port_request: &PortRequest) -> String {
    let PortRequest { slot, request } = port_request;
    format!("slot {slot}, {}", memory_request(request))
}

fn stalled(stall: &Stall) -> Sides {
    match stall {
        Stall::Idle { cycles } => Sides::new(
            format!(
                "a memory request, a response, or a request or fence accepted: nothing has been in \
                 flight for {cycles} cycles"
            ),
            "nothing",
        ),
        Stall::Walk { slot, cycles } => Sides::new(
            format!(
                "the walk in slot {slot} offers its next memory request: the memory port has \
                 offered and returned nothing for more than {cycles} cycles since it could"
            ),
            "it has offered it only now",
        ),
        Stall::Livelock { requests, most } => Sides::new(
            format!("a response after {most} memory requests at most"),
            format!("{requests} memory requests, and no response"),
        ),
        Stall::Unassigned {
            slots,
            in_use,
            waiting,
            cycles,
        } => Sides::new(
            format!(
                "the request is assigned to a walk: {in_use} of {slots} slots are in use, and \
                 {waiting} requests wait for their results"
            ),
            format!("it has waited for {cycles} cycles"),
        ),
    }
}

fn step(step: Option<&StepRecord>, format: Format) -> String {
    let Some(step) = step else {
        return "no step".to_owned();
    };
    let StepRecord {
        at,
        gpa,
        hpa,
        update,
        word,
        next,
        fault,
    } = step;
    let at = match at {
        StepPosition::Entry(position) => position.describe(format),
        StepPosition::UnknownPurpose { level, purpose } => format!(
            "host {}, translating gPA {gpa} for purpose {purpose}, which does not exist",
            format.level_name(*level)
        ),
    };
    let request = if *update { "update" } else { "memory read" };
    let word = word.map_or_else(|| "an error".to_owned(), |word| format!("0x{word:X}"));
    let fault = fault.map(|fault| match fault {
        StepFault::Kind(kind) => kind.to_string(),
        StepFault::Overtaken => "overtaken".to_owned(),
        StepFault::Unknown(number) => format!("number {number}, which does not exist"),
    });
    let name = match next {
        Next::Read => "memory read",
        Next::Update => "update",
        Next::Done => "translation found",
        Next::Fault => "fault",
    };
    let next = match (next, fault) {
        (Next::Fault, Some(fault)) => format!("fault {fault}"),
        (_, Some(fault)) => format!("{name}, with fault {fault}"),
        (_, None) => name.to_owned(),
    };
    format!("{at}, gPA {gpa}, {request} of hPA {hpa} gives {word}, next: {next}")
}

fn cache(hit: &WalkCacheHit, format: Format) -> String {
    let WalkCacheHit { cache, level } = hit;
    let level = format.level_name(*level);
    match cache {
        WalkCache::Guest => format!("the guest page-walk cache of {level}"),
        WalkCache::Host => format!("the host page-walk cache of {level}"),
        WalkCache::Nested => "the nested TLB".to_owned(),
    }
}

fn walk_cache(violation: &WalkCacheViolation, format: Format) -> Sides {
    let hit_in = |hit: &Option<WalkCacheHit>| match hit {
        Some(hit) => format!("a hit in {}", cache(hit, format)),
        None => "no page-walk cache hit".to_owned(),
    };
    match violation {
        WalkCacheViolation::Missed {
            place: at,
            expected,
            since,
            observed,
        } => {
            let since = since.map_or_else(String::new, |since| {
                format!(", which has contained the entry since cycle {since}")
            });
            Sides::new(
                format!(
                    "{} after a hit in {}{since}",
                    place(at),
                    cache(expected, format)
                ),
                format!("{} after {}", place(at), hit_in(observed)),
            )
        }
        WalkCacheViolation::Illegal {
            place: at,
            observed,
            hpa,
            because,
        } => {
            let cache = cache(observed, format);
            let expected = match because {
                NoWalkCacheHit::NeverRead => {
                    format!("a miss in {cache}: no walk has read this entry since the reset")
                }
                NoWalkCacheHit::NotReadOfLate { known } => format!(
                    "a miss in {cache}: no walk has read this entry recently; of the invalidated \
                     entries, the last {known} are known"
                ),
                NoWalkCacheHit::Invalidated(by) => format!(
                    "a miss in {cache}: fences have invalidated this entry; the last was the {}",
                    fence(by)
                ),
                NoWalkCacheHit::Elsewhere(places) => {
                    let places: Vec<String> = (places.iter())
                        .map(|at| format!("the page of hPA {at}"))
                        .collect();
                    format!("a hit in {cache} that leads to {}", places.join(" or "))
                }
            };
            Sides::new(
                expected,
                format!("{} after a hit in {cache}: hPA {hpa}", place(at)),
            )
        }
        WalkCacheViolation::NothingSkipped {
            place: at,
            hit,
            observed,
        } => Sides::new(
            format!(
                "{} without a page-walk cache hit: nothing is skipped here",
                place(at)
            ),
            format!(
                "{} after {}",
                observed_request(observed, format),
                hit_in(hit)
            ),
        ),
    }
}
