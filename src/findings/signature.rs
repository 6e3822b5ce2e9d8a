// SPDX-License-Identifier: Apache-2.0
//! Signatures of findings: the properties by which a list of defects is sorted.
//!
//! A signature is coarser than the one that the shrinker keeps. It has the check, the step of the
//! golden walk that decided, the observation, and the fields that differ. The kind of access, the
//! regime, levels and addresses are not part of it.

use serde::Serialize;

use crate::bench::Failure;
use crate::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, Check, ExpectedHit, ExpectedRequest, FillViolation,
    Mismatch, MissReason, ObservedRequest, ObservedResponse, ObservedTrap, OvertakenUse,
    PairingViolation, PortViolation, ReplayViolation, ResponseViolation, Stall, TrapField,
    Violation, WalkCacheViolation,
};
use crate::bench::steps::{StepFault, StepPosition, StepRecord};
use crate::mmu::{Fault, Outcome, Position, Purpose, Stage};

/// The signature of a finding. A property that a check does not have is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Signature {
    /// The check that failed by its name, `hang` or `assertion`; one of [`checks`].
    pub check: &'static str,
    /// The expected behaviour; one of [`WORDS`].
    pub expected: Option<&'static str>,
    /// The stage of the step of the golden walk that decided; one of [`STAGES`].
    pub stage: Option<&'static str>,
    /// The purpose of that step in the host stage; one of [`PURPOSES`].
    pub purpose: Option<&'static str>,
    /// The fault of that step, by its kind.
    pub fault: Option<&'static str>,
    /// The observed behaviour; one of [`WORDS`].
    pub observed: Option<&'static str>,
    /// The kind of the observed fault.
    pub observed_fault: Option<&'static str>,
    /// The fields that differ between two responses; of [`FIELDS`].
    pub fields: Vec<&'static str>,
    /// The message of a failed RTL assertion, without digits.
    pub assertion: Option<String>,
}

/// The stages.
pub const STAGES: &[&str] = &["guest", "host"];

/// The purposes of a walk of the host's table.
pub const PURPOSES: &[&str] = &["guest-entry", "data", "guest-update"];

/// The fields of a response that can differ.
pub const FIELDS: &[&str] = &[
    "hpa",
    "gpa",
    "page-size",
    "memory-type",
    "kind",
    "stage",
    "purpose",
    "level",
    "cause",
    "gva",
    "tval2",
    "tinst",
];

/// Defines words as constants, and the list of all of them.
macro_rules! words {
    ($($name:ident = $word:literal),* $(,)?) => {
        $(const $name: &str = $word;)*
        /// The words for an expected or an observed behaviour.
        pub const WORDS: &[&str] = &[$($name),*];
    };
}

words! {
    AFTER_WALK = "before-the-walk-ends",
    ANSWERED = "answered-by-the-walk",
    CHANGED = "changed-before-accepted",
    END = "end",
    FAULT = "fault",
    FENCE_STALLED = "fence-stalled",
    HIT = "hit",
    HIT_OF_WALK = "hit-of-a-walk",
    IDLE = "idle",
    ILLEGAL = "illegal",
    INVALIDATED = "miss-after-fence",
    L2_TWICE = "second-l2-hit",
    LIVELOCK = "livelock",
    MALFORMED = "malformed",
    MISS = "miss",
    MISSING = "missing",
    NEITHER = "neither-hit-nor-walk",
    NEVER_FOUND = "miss-of-a-page-never-found",
    NO_REQUEST = "no-request",
    NO_WALK = "no-walk",
    NOT_FOUND_OF_LATE = "miss-of-a-page-not-found-recently",
    NOT_PERMITTED = "miss-without-permission",
    NOT_ROUND_ROBIN = "not-round-robin",
    NOTHING_SKIPPED = "nothing-skipped",
    OTHER_REQUEST = "walk-of-another-request",
    OTHER_RESULT = "result-of-another-walk",
    READ = "read",
    REPEATED = "repeated",
    REQUEST_BEFORE_FENCE = "request-before-fence",
    REQUEST_CHANGED = "memory-request-changed-before-accepted",
    REQUEST_WITH_FENCE = "request-with-fence",
    SHARED = "walk-shared",
    SLOT_IN_USE = "slot-in-use",
    TRANSLATION = "translation",
    UNASSIGNED = "unassigned",
    UNEXPECTED = "unexpected",
    UPDATE = "update",
    WALK = "walk",
    WALK_STALLED = "walk-stalled",
}

/// The checks of the testbench.
const ALL_CHECKS: [Check; 15] = [
    Check::Reads,
    Check::WalkResponse,
    Check::Hit,
    Check::MustHit,
    Check::Fill,
    Check::Coalescing,
    Check::WrongWalk,
    Check::Overtaken,
    Check::AfterFence,
    Check::Replay,
    Check::OneResponse,
    Check::Port,
    Check::Stalled,
    Check::Steps,
    Check::WalkCache,
];

/// The signature's check of a hang.
pub const HANG: &str = "hang";
/// The signature's check of a failed RTL assertion, or of a device that ended the simulation.
pub const ASSERTION: &str = "assertion";

/// Returns the checks of signatures, by name.
pub fn checks() -> impl Iterator<Item = &'static str> {
    let names = ALL_CHECKS.into_iter().map(Check::name);
    names.chain([HANG, ASSERTION])
}

/// Returns the check of the testbench with a name; none for a hang and an assertion.
pub fn check(name: &str) -> Option<Check> {
    ALL_CHECKS.into_iter().find(|check| check.name() == name)
}

impl Signature {
    /// Computes the signature of a failure.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(mismatch) => Self::of_mismatch(mismatch),
            Failure::Hang { .. } => Self {
                check: HANG,
                ..Self::default()
            },
            Failure::Device { error, .. } => {
                let message = error.to_string();
                Self {
                    check: ASSERTION,
                    assertion: Some(message.chars().filter(|c| !c.is_ascii_digit()).collect()),
                    ..Self::default()
                }
            }
        }
    }

    fn of_mismatch(mismatch: &Mismatch) -> Self {
        let mut signature = Self {
            check: mismatch.check().name(),
            ..Self::default()
        };
        signature.add(&mismatch.violation);
        signature
    }

    fn add(&mut self, violation: &Violation) {
        match violation {
            Violation::Reads { expected, observed } => {
                self.expect_request(expected);
                self.observe_request(observed);
            }
            Violation::WalkResponse(violation) => match violation {
                ResponseViolation::Outcome { expected, observed } => {
                    self.compare([expected], observed);
                }
                ResponseViolation::NotLegal { legal, observed } => match observed {
                    ObservedResponse::Outcome(observed) => self.compare(legal, observed),
                    ObservedResponse::Fault(trap) => self.compare_trap(legal, trap),
                },
                ResponseViolation::Gva { .. } => self.fields = vec!["gva"],
                ResponseViolation::Malformed(_) => self.observed = Some(MALFORMED),
            },
            Violation::Hit {
                expected, observed, ..
            } => match expected {
                ExpectedHit::AnyOf(legal) => self.compare(legal, observed),
                ExpectedHit::Miss(reason) => {
                    self.expected = Some(match reason {
                        MissReason::NotPermitted => NOT_PERMITTED,
                        MissReason::Invalidated(_) => INVALIDATED,
                        MissReason::NeverFound => NEVER_FOUND,
                        MissReason::NotFoundOfLate { .. } => NOT_FOUND_OF_LATE,
                    });
                    self.observe(observed);
                }
            },
            Violation::MustHit { .. } => {
                (self.expected, self.observed) = (Some(HIT), Some(MISS));
            }
            Violation::Fill(violation) => {
                self.observed = Some(match violation {
                    FillViolation::Unexpected(_) => UNEXPECTED,
                    FillViolation::Missing => MISSING,
                    FillViolation::Repeated => REPEATED,
                });
            }
            Violation::Coalescing { .. } => self.observed = Some(WALK),
            Violation::WrongWalk(violation) => {
                self.observed = Some(match violation {
                    AssignmentViolation::NoWalk { .. } => NO_WALK,
                    AssignmentViolation::OtherRequest { .. } => OTHER_REQUEST,
                    AssignmentViolation::SlotInUse { .. } => SLOT_IN_USE,
                    AssignmentViolation::OtherResult { .. } => OTHER_RESULT,
                });
            }
            Violation::Overtaken { observed, .. } => {
                self.observed = Some(match observed {
                    OvertakenUse::Shared { .. } => SHARED,
                    OvertakenUse::Answered => ANSWERED,
                });
            }
            Violation::AfterFence { observed, .. } => {
                self.observed = Some(match observed {
                    ActionAfterFence::Request { request, .. } => {
                        request_word(request.request.update.is_some())
                    }
                    ActionAfterFence::Walk { .. } => WALK,
                });
            }
            Violation::Replay(violation) => match violation {
                ReplayViolation::Missing { .. } => self.observed = Some(MISSING),
                ReplayViolation::Unexpected(_) => self.observed = Some(UNEXPECTED),
                ReplayViolation::Fields { .. } => self.fields = vec!["gva"],
            },
            Violation::OneResponse(violation) => {
                self.observed = Some(match violation {
                    PairingViolation::NoRequest { .. } => NO_REQUEST,
                    PairingViolation::L2HitAgain => L2_TWICE,
                    PairingViolation::MissAfterL2Hit => MISS,
                    PairingViolation::BeforeWalkEnd => AFTER_WALK,
                    PairingViolation::HitOfWalk => HIT_OF_WALK,
                    PairingViolation::NeitherHitNorWalk => NEITHER,
                });
            }
            Violation::Port(violation) => {
                self.observed = Some(match violation {
                    PortViolation::ResponseChanged { .. } => CHANGED,
                    PortViolation::MemoryRequestChanged { .. } => REQUEST_CHANGED,
                    PortViolation::FenceStalled { .. } => FENCE_STALLED,
                    PortViolation::RequestWithFence => REQUEST_WITH_FENCE,
                    PortViolation::RequestBeforeFence { .. } => REQUEST_BEFORE_FENCE,
                    PortViolation::NotRoundRobin { .. } => NOT_ROUND_ROBIN,
                });
            }
            Violation::Stalled(stall) => {
                self.observed = Some(match stall {
                    Stall::Idle { .. } => IDLE,
                    Stall::Walk { .. } => WALK_STALLED,
                    Stall::Livelock { .. } => LIVELOCK,
                    Stall::Unassigned { .. } => UNASSIGNED,
                });
            }
            Violation::Steps {
                expected, observed, ..
            } => self.compare_steps(expected.as_ref(), observed.as_ref()),
            Violation::WalkCache(violation) => {
                self.observed = Some(match violation {
                    WalkCacheViolation::Missed { .. } => MISS,
                    WalkCacheViolation::Illegal { .. } => ILLEGAL,
                    WalkCacheViolation::NothingSkipped { .. } => NOTHING_SKIPPED,
                });
            }
        }
    }

    fn at(&mut self, position: &Position) {
        (self.stage, self.purpose) = (Some(stage(position)), purpose(position));
    }

    fn expect(&mut self, outcome: &Outcome) {
        match outcome {
            Ok(_) => self.expected = Some(TRANSLATION),
            Err(fault) => {
                self.expected = Some(FAULT);
                self.fault = Some(fault.kind.name());
                self.at(&fault.at);
            }
        }
    }

    fn observe(&mut self, outcome: &Outcome) {
        self.observed = Some(match outcome {
            Ok(_) => TRANSLATION,
            Err(fault) => {
                self.observed_fault = Some(fault.kind.name());
                FAULT
            }
        });
    }

    fn expect_request(&mut self, expected: &ExpectedRequest) {
        match expected {
            ExpectedRequest::Request { request, at } => {
                self.expected = Some(request_word(request.request.update.is_some()));
                self.at(at);
            }
            ExpectedRequest::End { outcome, .. } => self.expect(outcome),
            ExpectedRequest::NoWalk { .. } => self.expected = Some(NO_WALK),
        }
    }

    fn observe_request(&mut self, observed: &ObservedRequest) {
        match observed {
            ObservedRequest::Request { request, .. } => {
                self.observed = Some(request_word(request.update.is_some()));
            }
            ObservedRequest::End(_) => self.observed = Some(END),
        }
    }

    /// Adds an observed outcome, and the legal one to compare it with.
    fn compare<'a>(&mut self, legal: impl IntoIterator<Item = &'a Outcome>, observed: &Outcome) {
        self.observe(observed);
        if let Some(expected) = nearest(legal, observed.is_ok()) {
            self.expect(expected);
            self.fields = fields(expected, observed);
        }
    }

    /// Adds an observed fault by its trap, and the legal outcome to compare it with.
    fn compare_trap(&mut self, legal: &[Outcome], observed: &ObservedTrap) {
        self.observed = Some(FAULT);
        if let Some(expected) = nearest(legal, false) {
            self.expect(expected);
            if let Err(fault) = expected {
                let fields = observed.differences(fault).into_iter();
                self.fields = fields.map(TrapField::name).collect();
            }
        }
    }

    fn compare_steps(&mut self, expected: Option<&StepRecord>, observed: Option<&StepRecord>) {
        let word = |step: Option<&StepRecord>| match step {
            None => MISSING,
            Some(step) => request_word(step.update),
        };
        let fault = |step: &StepRecord| match step.fault {
            Some(StepFault::Kind(kind)) => Some(kind.name()),
            _ => None,
        };
        (self.expected, self.observed) = (Some(word(expected)), Some(word(observed)));
        if let Some(StepPosition::Entry(at)) = expected.map(|step| step.at) {
            self.at(&at);
        }
        self.fault = expected.and_then(fault);
        self.observed_fault = observed.and_then(fault);
    }

    /// Returns the signature in words.
    pub fn words(&self) -> String {
        let mut words = self.check.to_owned();
        if let Some(expected) = self.expected {
            words.push_str(&format!(": expected {expected}"));
            if let Some(fault) = self.fault {
                words.push_str(&format!(" {fault}"));
            }
            match (self.stage, self.purpose) {
                (Some(stage), Some(purpose)) => {
                    words.push_str(&format!(" ({stage} stage, for {purpose})"));
                }
                (Some(stage), None) => words.push_str(&format!(" ({stage} stage)")),
                (None, _) => {}
            }
        }
        if let Some(observed) = self.observed {
            let between = match self.expected {
                Some(_) => ", observed ",
                None => ": ",
            };
            words.push_str(&format!("{between}{observed}"));
            if let Some(fault) = self.observed_fault {
                words.push_str(&format!(" {fault}"));
            }
        }
        if !self.fields.is_empty() {
            words.push_str(&format!(", differs in {}", self.fields.join(", ")));
        }
        if let Some(assertion) = &self.assertion {
            words.push_str(&format!(
                ": {}",
                assertion.lines().next().unwrap_or_default()
            ));
        }
        words
    }
}

/// Returns the legal outcome to compare an observed one with: the first translation or fault, as the
/// observed one is, or else the first. The first legal outcome is that of the walk over the newest
/// words.
fn nearest<'a>(legal: impl IntoIterator<Item = &'a Outcome>, is_ok: bool) -> Option<&'a Outcome> {
    let mut legal = legal.into_iter();
    let first = legal.next()?;
    match first.is_ok() == is_ok {
        true => Some(first),
        false => legal.find(|one| one.is_ok() == is_ok).or(Some(first)),
    }
}

const fn request_word(is_update: bool) -> &'static str {
    match is_update {
        true => UPDATE,
        false => READ,
    }
}

fn stage(position: &Position) -> &'static str {
    match position.stage() {
        Stage::Guest => "guest",
        Stage::Host => "host",
    }
}

const fn purpose(position: &Position) -> Option<&'static str> {
    match position {
        Position::Guest { .. } => None,
        Position::Host { purpose, .. } => Some(match purpose {
            Purpose::GuestEntry(_) => "guest-entry",
            Purpose::Data => "data",
            Purpose::GuestUpdate(_) => "guest-update",
        }),
    }
}

/// Returns the fields in which two outcomes of one kind differ.
fn fields(expected: &Outcome, observed: &Outcome) -> Vec<&'static str> {
    let differences: Vec<(&str, bool)> = match (expected, observed) {
        (Ok(expected), Ok(observed)) => vec![
            ("hpa", expected.hpa != observed.hpa),
            ("gpa", expected.gpa != observed.gpa),
            ("page-size", expected.page_size != observed.page_size),
            ("memory-type", expected.memory_type != observed.memory_type),
        ],
        (Err(expected), Err(observed)) => {
            let gpa = |fault: &Fault| match fault.at {
                Position::Guest { .. } => None,
                Position::Host { gpa, .. } => Some(gpa),
            };
            let traps = [expected, observed].map(|fault| fault.trap.unwrap_or_default());
            let is_one_stage = expected.at.stage() == observed.at.stage();
            vec![
                ("kind", expected.kind != observed.kind),
                ("stage", !is_one_stage),
                (
                    "purpose",
                    is_one_stage && purpose(&expected.at) != purpose(&observed.at),
                ),
                ("level", expected.at.level() != observed.at.level()),
                ("gpa", is_one_stage && gpa(expected) != gpa(observed)),
                ("cause", traps[0].cause != traps[1].cause),
                ("gva", traps[0].gva != traps[1].gva),
                ("tval2", traps[0].tval2 != traps[1].tval2),
                ("tinst", traps[0].tinst != traps[1].tinst),
            ]
        }
        _ => Vec::new(),
    };
    let differing = differences.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(field, _)| field).collect()
}
