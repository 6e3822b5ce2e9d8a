// SPDX-License-Identifier: Apache-2.0
//! The stages that translate.

use super::super::abilities::Abilities;
use super::super::covergroup::AxisValue;
use super::super::domain::Domain;
use super::{OFF, WalkPosition};
use crate::mmu::{Context, Purpose};

/// A mode: the stages that translate, with their numbers of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// See [`Context::virt`].
    pub virt: bool,
    /// Number of levels of the guest stage; 0 if it is off.
    pub guest: u8,
    /// Number of levels of the host stage; 0 if it is off.
    pub host: u8,
    /// Rights mode of the handout's formats.
    pub rights: bool,
}

impl Mode {
    /// [`Mode::number`] is below this.
    pub(in super::super) const NUMBERS: usize = 256;

    /// Returns the mode of a context.
    pub fn of(context: &Context) -> Self {
        Self {
            virt: context.virt,
            guest: context.guest.levels,
            host: context.host.levels,
            rights: context.rights,
        }
    }

    /// Returns the number of the mode. Modes have different numbers, because a stage has at most 5
    /// levels.
    pub(in super::super) fn number(self) -> usize {
        usize::from(self.virt) << 7
            | usize::from(self.guest & 7) << 4
            | usize::from(self.host & 7) << 1
            | usize::from(self.rights)
    }

    /// Returns true if both stages are off.
    pub fn is_bare(self) -> bool {
        self.guest == 0 && self.host == 0
    }

    /// Returns the reason why a walk of the mode has no entry at a position; none if it has one.
    pub(in super::super) fn lacks(self, position: WalkPosition) -> Option<&'static str> {
        const NO_LEVEL: &str = "the mode has no such level";
        let no_guest_level = |level: u32| match self.guest {
            0 => Some(OFF),
            levels => (level >= u32::from(levels)).then_some(NO_LEVEL),
        };
        match position {
            WalkPosition::Guest { level } => no_guest_level(level),
            WalkPosition::Host { .. } if self.host == 0 => Some(OFF),
            WalkPosition::Host { level, .. } if level >= self.host.into() => Some(NO_LEVEL),
            WalkPosition::Host { purpose, .. } => match purpose {
                Purpose::GuestEntry(level) | Purpose::GuestUpdate(level) => no_guest_level(level),
                Purpose::Data => None,
            },
        }
    }
}

impl AxisValue for Mode {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.modes.clone()
    }

    fn label(self, domain: &Domain) -> String {
        domain.rules.mode_name(self)
    }

    #[inline]
    fn position(self, domain: &Domain) -> Option<usize> {
        domain.mode_at(self)
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.virt.contains(&self.virt)
            && device.guest.contains(&self.guest)
            && (!self.virt || device.host.contains(&self.host))
            && (!self.rights || device.rights)
    }
}
