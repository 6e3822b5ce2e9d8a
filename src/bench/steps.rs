// SPDX-License-Identifier: Apache-2.0
//! Steps of walks: the expected steps, from the golden walk over the words of the device, and the
//! reported steps.

use crate::addr::{Gpa, Hpa};
use crate::dut::{Next, WalkStep};
use crate::golden::{Meaning, Step};
use crate::mmu::{FaultKind, Position, Purpose};

/// The value of `FaultOvertaken` in `rtl/nested_mmu_pkg.sv`. The event record shows it in the fault
/// field if a fence has overtaken the walk.
const OVERTAKEN: u8 = 9;

/// A step of a walk: an entry, and the next action of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// The entry's place in the tables.
    pub at: StepPosition,
    /// The gPA of the guest entry; for a host entry, the gPA that the host stage is translating.
    pub gpa: Gpa,
    /// Address of the entry.
    pub hpa: Hpa,
    /// The entry was returned by an update, not by a read.
    pub update: bool,
    /// The entry; none if memory returned an error.
    pub word: Option<u64>,
    /// The next action of the walk.
    pub next: Next,
    /// The fault, if there is one.
    pub fault: Option<StepFault>,
}

/// A place in the tables, as far as a device can report one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPosition {
    /// An entry.
    Entry(Position),
    /// A host entry that is reported with an undefined purpose.
    UnknownPurpose {
        /// The level; 0 is the leaf level.
        level: u32,
        /// The reported number of the purpose.
        purpose: u8,
    },
}

/// A fault, as far as a device can report one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepFault {
    /// The walk ends with a fault.
    Kind(FaultKind),
    /// A fence has overtaken the walk, so the walk drops the entry and ends.
    Overtaken,
    /// A reported number that is not the number of a fault.
    Unknown(u8),
}

impl StepFault {
    /// Returns the fault with a number in the event record; none for 0.
    fn of(number: u8) -> Option<Self> {
        let kind = FaultKind::ALL
            .into_iter()
            .find(|&kind| kind as u8 == number);
        match (number, kind) {
            (0, _) => None,
            (OVERTAKEN, _) => Some(Self::Overtaken),
            (_, Some(kind)) => Some(Self::Kind(kind)),
            (number, None) => Some(Self::Unknown(number)),
        }
    }
}

impl StepRecord {
    /// Converts a reported step.
    pub(super) fn reported(step: &WalkStep) -> Self {
        let guest_level = u32::from(step.guest_level);
        let level = u32::from(step.host_level);
        let purpose = match step.purpose {
            0 => Some(Purpose::GuestEntry(guest_level)),
            1 => Some(Purpose::Data),
            2 => Some(Purpose::GuestUpdate(guest_level)),
            _ => None,
        };
        let at = match (step.host, purpose) {
            (false, _) => StepPosition::Entry(Position::Guest { level: guest_level }),
            (true, Some(purpose)) => StepPosition::Entry(Position::Host {
                level,
                gpa: step.gpa,
                purpose,
            }),
            (true, None) => StepPosition::UnknownPurpose {
                level,
                purpose: step.purpose,
            },
        };
        Self {
            at,
            gpa: step.gpa,
            hpa: step.hpa,
            update: step.update,
            word: (!step.error).then_some(step.word),
            next: step.next,
            fault: StepFault::of(step.fault),
        }
    }

    /// Returns the step as a device must report it after a fence has overtaken the walk: the entry
    /// is dropped.
    pub(super) fn dropped(self) -> Self {
        Self {
            next: Next::Fault,
            fault: Some(StepFault::Overtaken),
            ..self
        }
    }
}

/// Returns the expected steps of a walk: its golden steps that read or update an entry. A fault
/// that is found without a read is part of the step before it.
pub(super) fn expected(steps: &[Step]) -> Vec<StepRecord> {
    let mut expected = Vec::new();
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
        expected.push(StepRecord {
            at: StepPosition::Entry(step.at),
            gpa: match step.at {
                Position::Guest { .. } => Gpa(step.entry),
                Position::Host { gpa, .. } => gpa,
            },
            hpa,
            update: step.update.is_some(),
            word: step.word,
            next,
            fault: fault.map(StepFault::Kind),
        });
    }
    expected
}
