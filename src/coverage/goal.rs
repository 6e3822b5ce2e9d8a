// SPDX-License-Identifier: Apache-2.0
//! Goals: the situations that the generator of stimulus can draw to hit bins without a hit.

use super::axes::{Mode, WalkPosition};
use super::groups::cache_switch::CacheSwitch;
use super::groups::error_word::ErrorWord;
use super::groups::fence_place::FencePlace;
use super::groups::fence_walk::FenceWalk;
use super::groups::second_again::SecondAgain;
use super::groups::twin::Twin;
use super::groups::update::Update;
use super::groups::wait::Wait;
use crate::format::Format;
use crate::mmu::{Access, FaultKind};

/// A situation that the generator of stimulus can draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// An outcome of a walk.
    Walk(WalkGoal),
    /// An event at a certain time.
    Situation(Situation),
}

/// An event at a certain time: a bin of one of these covergroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// A fence that meets a walk in a state.
    FenceWalk(FenceWalk),
    /// A fence that matches a walk in a state.
    FencePlace(FencePlace),
    /// Requests of contexts that differ in one field.
    Twin(Twin),
    /// A port that waits.
    Wait(Wait),
    /// An error of memory.
    ErrorWord(ErrorWord),
    /// A page-walk cache that is switched.
    CacheSwitch(CacheSwitch),
    /// A page that comes back from the second-level TLB.
    SecondAgain(SecondAgain),
    /// An update of a leaf, and its outcome.
    Update(Update),
}

/// An outcome of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkGoal {
    /// The format.
    pub format: Format,
    /// The mode.
    pub mode: Mode,
    /// The access.
    pub access: Access,
    /// The outcome of the walk.
    pub outcome: WalkOutcome,
}

/// The outcome of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkOutcome {
    /// A translation with pages of these sizes (log2 of the bytes); none for a stage that is off.
    Translation {
        /// The size of the guest's page.
        guest_size: Option<u32>,
        /// The size of the host's page.
        host_size: Option<u32>,
    },
    /// A fault.
    Fault {
        /// The kind of the fault.
        kind: FaultKind,
        /// The entry.
        at: WalkPosition,
        /// Only an edit between two reads of the entry causes the fault. The walk has read the
        /// entry for the same gPA before, and it was no fault then.
        race: bool,
    },
}

impl Goal {
    /// Returns the outcome of a walk, if the goal is one.
    pub fn walk(&self) -> Option<WalkGoal> {
        match self {
            Goal::Walk(goal) => Some(*goal),
            Goal::Situation(_) => None,
        }
    }

    /// Returns true if the goal needs a device with every level and with updates of A and D.
    pub fn needs_every_level(&self) -> bool {
        matches!(self, Goal::Walk(_) | Goal::Situation(Situation::Update(_)))
    }

    /// Returns the event, if the goal is one.
    pub fn situation(&self) -> Option<Situation> {
        match self {
            Goal::Walk(_) => None,
            Goal::Situation(situation) => Some(*situation),
        }
    }
}
