// SPDX-License-Identifier: Apache-2.0
//! What the shrinker asks of a format, and where formats are registered for it.

use super::handout::Handout;
use super::riscv::Riscv;
use crate::format::{Family, Format};
use crate::scenario::Scenario;

/// A change of a scenario; none if there is nothing to change.
pub(super) type Change = fn(&Scenario) -> Option<Scenario>;

/// A plainer word for a word of a scenario.
pub(super) type PlainWord = fn(u64, &Scenario) -> u64;

/// The target of a table entry.
pub(super) struct Target {
    /// The address of the page or of the table.
    pub address: u64,
    /// log2 of the bytes of the page, or of the page that the table fills; none for a table that
    /// may begin anywhere.
    pub size: Option<u32>,
    /// The low bits of an index of level 0 that stay as they are, because the page is larger than
    /// its level says.
    pub fixed: u64,
}

/// What the shrinker asks of a format.
pub(super) trait ShrinkFormat: Sync {
    /// The target of an entry of a level, if it has one.
    fn target(&self, format: Format, level: u32, word: u64) -> Option<Target>;

    /// The word with the address `new` in the place of `old`.
    fn with_address(&self, word: u64, old: u64, new: u64) -> u64;

    /// log2 of the bytes to which the root of the host's stage is aligned; none if it may begin
    /// anywhere.
    fn root_size(&self) -> Option<u32>;

    /// The lowest address for pages; none if they come right after the tables.
    fn lowest_page(&self) -> Option<u64>;

    /// Changes that switch a stage off.
    fn stages_off(&self) -> &'static [Change];

    /// Changes that take a level from a stage.
    fn fewer_levels(&self) -> &'static [Change];

    /// Changes that make an entry plainer.
    fn plain_words(&self) -> &'static [PlainWord];
}

/// The rules of a format.
pub(super) fn of(format: Format) -> &'static dyn ShrinkFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
