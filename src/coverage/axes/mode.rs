// SPDX-License-Identifier: Apache-2.0
//! Which stages translate.

use super::super::covergroup::AxisValue;
use super::super::domain::Domain;
use super::{OFF, WalkPosition};
use crate::mmu::{Context, Purpose};

/// Which stages translate, and by how many levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// See [`Context::virt`].
    pub virt: bool,
    /// Levels of the guest's stage, 0 for off.
    pub guest: u8,
    /// Levels of the host's stage, 0 for off.
    pub host: u8,
    /// Rights mode of the handout's formats.
    pub rights: bool,
}

impl Mode {
    /// The numbers that [`Mode::number`] gives are below this one.
    pub(in super::super) const NUMBERS: usize = 256;

    /// The mode of a context.
    pub fn of(context: &Context) -> Self {
        Self {
            virt: context.virt,
            guest: context.guest.levels,
            host: context.host.levels,
            rights: context.rights,
        }
    }

    /// A number that no other mode has. No stage has more than 5 levels.
    pub(in super::super) fn number(self) -> usize {
        usize::from(self.virt) << 7
            | usize::from(self.guest & 7) << 4
            | usize::from(self.host & 7) << 1
            | usize::from(self.rights)
    }

    /// Both stages are off.
    pub fn is_bare(self) -> bool {
        self.guest == 0 && self.host == 0
    }

    /// Why a walk of the mode has no entry at a position, if it has none.
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
}
