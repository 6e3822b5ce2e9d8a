// SPDX-License-Identifier: Apache-2.0
//! The position of a table entry in a walk.

use super::super::abilities::Abilities;
use super::super::covergroup::AxisValue;
use super::super::domain::Domain;
use crate::format::Format;
use crate::mmu::{Position, Purpose};

/// The position of a table entry in a walk: a [`Position`] without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalkPosition {
    /// A guest entry.
    Guest {
        /// The level, 0 for the leaf's.
        level: u32,
    },
    /// A host entry.
    Host {
        /// The level, 0 for the leaf's.
        level: u32,
        /// The purpose of the host walk.
        purpose: Purpose,
    },
}

impl WalkPosition {
    /// Returns the position without its address.
    pub fn of(position: &Position) -> Self {
        match *position {
            Position::Guest { level } => Self::Guest { level },
            Position::Host { level, purpose, .. } => Self::Host { level, purpose },
        }
    }

    /// Returns the level of the entry.
    pub fn level(self) -> u32 {
        match self {
            Self::Guest { level } | Self::Host { level, .. } => level,
        }
    }

    /// Describes the position in words, with the format's names of levels.
    pub fn describe(self, format: Format) -> String {
        match self {
            Self::Guest { level } => format!("guest {}", format.level_name(level)),
            Self::Host { level, purpose } => {
                let purpose = match purpose {
                    Purpose::GuestEntry(level) => {
                        format!("to read guest {}", format.level_name(level))
                    }
                    Purpose::GuestUpdate(level) => {
                        format!("to update guest {}", format.level_name(level))
                    }
                    Purpose::Data => "for the data".to_owned(),
                };
                format!("host {} {purpose}", format.level_name(level))
            }
        }
    }
}

impl AxisValue for WalkPosition {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.positions.clone()
    }

    fn label(self, domain: &Domain) -> String {
        self.describe(domain.format)
    }

    #[inline]
    fn position(self, domain: &Domain) -> Option<usize> {
        let levels = domain.geometry.levels as usize;
        Some(match self {
            Self::Guest { level } => level as usize,
            Self::Host { level, purpose } => {
                // The guest entries come first, and then, for each level, every purpose.
                let purpose = match purpose {
                    Purpose::GuestEntry(level) => level as usize,
                    Purpose::Data => levels,
                    Purpose::GuestUpdate(level) => levels + 1 + level as usize,
                };
                levels + level as usize * domain.purposes + purpose
            }
        })
    }

    fn is_able(self, device: &Abilities) -> bool {
        match self {
            Self::Guest { level } => device.has_guest_level(level),
            Self::Host { level, purpose } => {
                device.has_host_level(level)
                    && match purpose {
                        Purpose::Data => true,
                        Purpose::GuestEntry(guest) => device.has_guest_level(guest),
                        Purpose::GuestUpdate(guest) => {
                            device.svadu && device.has_guest_level(guest)
                        }
                    }
            }
        }
    }
}
