// SPDX-License-Identifier: Apache-2.0
//! What a device must tell of the steps of a walk, by the golden walk over the words that it was given.

use crate::addr::{Gpa, Hpa};
use crate::dut::{Next, WalkStep};
use crate::golden::{Meaning, Step};
use crate::mmu::{Position, Purpose};

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
            && step.next == self.next
            && step.fault == self.fault
    }
}
