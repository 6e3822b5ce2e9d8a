// SPDX-License-Identifier: Apache-2.0
//! What a device must tell of the steps of a walk, by the golden walk over the words that it was given.

use crate::addr::{Gpa, Hpa};
use crate::dut::{Next, WalkStep};
use crate::format::Format;
use crate::golden::{Meaning, Step};
use crate::mmu::{FaultKind, Position, Purpose};

/// `FaultOvertaken` of `rtl/nested_mmu_pkg.sv`, in the place of a fault's number.
const OVERTAKEN: u8 = 9;

/// A step, as it must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    at: Position,
    /// The gPA being translated, or that of the guest's entry.
    gpa: Gpa,
    hpa: Hpa,
    update: bool,
    /// None: an error.
    word: Option<u64>,
    next: Next,
    /// The number of the fault, 0 for none.
    fault: u8,
}

/// The steps of a walk that read or update an entry; a fault that needs no read is told with the one before.
pub(super) fn told(steps: &[Step]) -> Vec<Told> {
    let mut told = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let Some(hpa) = step.hpa else {
            continue;
        };
        let behind = steps.get(number + 1);
        let fault = match (step.meaning, behind) {
            (Meaning::Fault(kind), _) => Some(kind),
            (
                _,
                Some(Step {
                    hpa: None,
                    meaning: Meaning::Fault(kind),
                    ..
                }),
            ) => Some(*kind),
            _ => None,
        };
        let next = match behind {
            _ if fault.is_some() => Next::Fault,
            None => Next::Done,
            Some(step) if step.update.is_some() => Next::Update,
            Some(_) => Next::Read,
        };
        told.push(Told {
            at: step.at,
            gpa: match step.at {
                Position::Guest { .. } => Gpa(step.entry),
                Position::Host { gpa, .. } => gpa,
            },
            hpa,
            update: step.update.is_some(),
            word: step.word,
            next,
            fault: fault.map_or(0, |kind| kind as u8),
        });
    }
    told
}

impl Told {
    /// Whether a device has told it so.
    pub fn is(&self, step: &WalkStep) -> bool {
        self.is_entry(step) && step.next == self.next && step.fault == self.fault
    }

    /// Whether a device has told so of its entry, and that it has dropped it, for a fence had overtaken the walk.
    pub fn is_dropped(&self, step: &WalkStep) -> bool {
        self.is_entry(step) && step.next == Next::Fault && step.fault == OVERTAKEN
    }

    fn is_entry(&self, step: &WalkStep) -> bool {
        let place = match self.at {
            Position::Guest { level } => !step.host && u32::from(step.guest_level) == level,
            Position::Host { level, purpose, .. } => {
                let (number, of_level) = match purpose {
                    Purpose::GuestEntry(of) => (0, Some(of)),
                    Purpose::Data => (1, None),
                    Purpose::GuestUpdate(of) => (2, Some(of)),
                };
                step.host
                    && u32::from(step.host_level) == level
                    && step.purpose == number
                    && of_level.is_none_or(|of| u32::from(step.guest_level) == of)
            }
        };
        place
            && step.gpa == self.gpa
            && step.hpa == self.hpa
            && step.update == self.update
            && step.error == self.word.is_none()
            && (step.error || Some(step.word) == self.word)
    }

    /// In the same words as [`describe`].
    pub fn describe(&self, format: Format) -> String {
        words(
            &self.at.describe(format),
            (self.gpa, self.hpa),
            self.update,
            self.word,
            (self.next, self.fault),
        )
    }
}

/// A step that a device has reported, in words.
pub(super) fn describe(step: &WalkStep, format: Format) -> String {
    let level = step.host_level.into();
    let of_level = step.guest_level.into();
    let purpose = match step.purpose {
        0 => Some(Purpose::GuestEntry(of_level)),
        1 => Some(Purpose::Data),
        2 => Some(Purpose::GuestUpdate(of_level)),
        _ => None,
    };
    let gpa = step.gpa;
    let at = match (step.host, purpose) {
        (false, _) => Position::Guest { level: of_level }.describe(format),
        (true, Some(purpose)) => Position::Host {
            level,
            gpa,
            purpose,
        }
        .describe(format),
        (true, None) => format!(
            "host {}, translating gPA {gpa} for purpose {}, which there is not",
            format.level_name(level),
            step.purpose
        ),
    };
    let word = (!step.error).then_some(step.word);
    words(
        &at,
        (gpa, step.hpa),
        step.update,
        word,
        (step.next, step.fault),
    )
}

fn words(
    at: &str,
    (gpa, hpa): (Gpa, Hpa),
    update: bool,
    word: Option<u64>,
    (next, fault): (Next, u8),
) -> String {
    let made = if update { "update" } else { "memory read" };
    let word = word.map_or_else(|| "an error".to_owned(), |word| format!("0x{word:X}"));
    let kind = || {
        let kind = FaultKind::ALL.into_iter().find(|&kind| kind as u8 == fault);
        kind.map_or_else(|| format!("number {fault}"), |kind| kind.to_string())
    };
    let next = match (next, fault) {
        (Next::Fault, _) => format!("fault {}", kind()),
        (Next::Read, 0) => "memory read".to_owned(),
        (Next::Update, 0) => "update".to_owned(),
        (Next::Done, 0) => "translation found".to_owned(),
        (next, _) => format!("{next:?}, with fault {}", kind()),
    };
    format!("{at}, gPA {gpa}, {made} of hPA {hpa} gives {word}, next: {next}")
}
