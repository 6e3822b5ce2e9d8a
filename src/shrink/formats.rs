// SPDX-License-Identifier: Apache-2.0
//! The properties of a format that the shrinker needs. Formats are registered here.

use super::handout::Handout;
use super::riscv::Riscv;
use crate::format::{Family, Format};
use crate::scenario::Scenario;

/// A change of a scenario; none if there is nothing to change.
pub(super) type Change = fn(&Scenario) -> Option<Scenario>;

/// A plainer word for a word of a scenario.
pub(super) type PlainWord = fn(u64, &Scenario) -> u64;

/// The page or the table that an entry points to.
pub(super) struct Target {
    /// The address of the page or of the table.
    pub address: u64,
    /// log2 of the size in bytes of the page, or of the page that the table fills; none for a table
    /// that may begin at any address.
    pub size: Option<u32>,
    /// The low bits of an index of level 0 that do not change, because the page is larger than its
    /// level.
    pub fixed: u64,
}

/// The properties of a format that the shrinker needs.
pub(super) trait ShrinkFormat: Sync {
    /// Returns the target of an entry of a level; none if it has no target.
    fn target(&self, format: Format, level: u32, word: u64) -> Option<Target>;

    /// Returns the word with the address `new` in place of `old`.
    fn with_address(&self, word: u64, old: u64, new: u64) -> u64;

    /// Returns log2 of the alignment in bytes of the root of the host stage; none if it may begin
    /// at any address.
    fn root_size(&self) -> Option<u32>;

    /// Returns the lowest address for pages; none if they come directly after the tables.
    fn lowest_page(&self) -> Option<u64>;

    /// Returns the changes that switch a stage off.
    fn stages_off(&self) -> &'static [Change];

    /// Returns the changes that remove a level of a stage.
    fn fewer_levels(&self) -> &'static [Change];

    /// Returns the changes that make an entry plainer.
    fn plain_words(&self) -> &'static [PlainWord];
}

/// Returns the properties of a format.
pub(super) fn of(format: Format) -> &'static dyn ShrinkFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
