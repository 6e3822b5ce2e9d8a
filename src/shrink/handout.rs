// SPDX-License-Identifier: Apache-2.0
//! The properties of the handout's formats that the shrinker needs.

use super::formats::{Change, PlainWord, ShrinkFormat, Target};
use super::tables::guest_off;
use crate::format::Format;
use crate::format::handout::{Entry, leaf};
use crate::mmu::Rights;

/// The handout's formats.
pub(super) struct Handout;

impl ShrinkFormat for Handout {
    fn target(&self, format: Format, level: u32, word: u64) -> Option<Target> {
        let geometry = format.geometry();
        let entry = Entry::new(word, geometry.hpa_width, &geometry);
        let (address, size) = match level {
            0 => (entry.page(), Some(geometry.offset_width)),
            _ => (entry.table(), None),
        };
        Some(Target {
            address,
            size,
            fixed: 0,
        })
    }

    fn with_address(&self, word: u64, old: u64, new: u64) -> u64 {
        word ^ old ^ new
    }

    fn root_size(&self) -> Option<u32> {
        None
    }

    fn lowest_page(&self) -> Option<u64> {
        None
    }

    /// The host stage of the handout's machine is always on.
    fn stages_off(&self) -> &'static [Change] {
        &[guest_off]
    }

    fn fewer_levels(&self) -> &'static [Change] {
        &[]
    }

    fn plain_words(&self) -> &'static [PlainWord] {
        // A plain leaf. If the word is a pointer, the failure is gone, and the change is not kept.
        &[|word, scenario| {
            let page = word & !(scenario.machine.format.geometry().page_bytes() - 1);
            match scenario.contexts.iter().any(|c| c.context.rights) {
                true => leaf(page, Rights::ALL),
                false => page,
            }
        }]
    }
}
