// SPDX-License-Identifier: Apache-2.0
//! The values of the axes that depend on the format.

use super::axes::{CacheHitAt, Mode, PageSize, WalkPosition};
use super::formats::{self, CoverageFormat};
use crate::dut::Pass;
use crate::dut::variants::VARIANTS;
use crate::format::riscv::NAPOT_PAGE_SIZE;
use crate::format::{Format, Geometry};
use crate::mmu::{Purpose, Rights};

/// The values of the axes that depend on the format.
#[derive(Debug)]
pub struct Domain {
    /// The format.
    pub format: Format,
    /// Its widths and levels.
    pub geometry: Geometry,
    /// The properties of the format that covergroups need.
    pub(super) rules: &'static dyn CoverageFormat,
    /// The modes.
    pub(super) modes: Vec<Mode>,
    /// The number on the axis of each [`Mode::number`].
    mode_at: [Option<u8>; Mode::NUMBERS],
    /// The positions of table entries in a walk.
    pub(super) positions: Vec<WalkPosition>,
    /// The number of purposes of a host walk.
    pub(super) purposes: usize,
    /// The hits in page-walk caches.
    pub(super) cache_hits: Vec<CacheHitAt>,
    /// The sizes of pages, and none for a stage that is off.
    pub(super) page_sizes: Vec<PageSize>,
    /// The rights of leaves.
    pub(super) rights: Vec<Rights>,
    /// The numbers of walk slots of the built-in devices.
    pub(super) slots: Vec<u32>,
}

impl Domain {
    pub(super) fn new(format: Format) -> Self {
        let rules = formats::of(format);
        let modes = rules.modes(format);
        let mut mode_at = [None; Mode::NUMBERS];
        for (at, mode) in modes.iter().enumerate() {
            mode_at[mode.number()] = Some(at as u8);
        }
        let mut slots: Vec<u32> = VARIANTS
            .iter()
            .filter(|variant| variant.paging_format() == format)
            .map(|variant| variant.slots)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let purposes = purposes(format);
        let positions = positions(format, &purposes);
        Self {
            format,
            geometry: format.geometry(),
            rules,
            modes,
            mode_at,
            cache_hits: cache_hits(format, &positions),
            positions,
            purposes: purposes.len(),
            page_sizes: page_sizes(format),
            rights: rules.leaf_rights(),
            slots,
        }
    }

    /// Returns the number of a mode on its axis; none if the format has no such mode.
    #[inline]
    pub(super) fn mode_at(&self, mode: Mode) -> Option<usize> {
        self.mode_at[mode.number()].map(usize::from)
    }
}

fn purposes(format: Format) -> Vec<Purpose> {
    let levels = format.geometry().levels;
    let reads = (0..levels).map(Purpose::GuestEntry);
    let updated = if format.updates_entries() { levels } else { 0 };
    let updates = (0..updated).map(Purpose::GuestUpdate);
    reads.chain([Purpose::Data]).chain(updates).collect()
}

/// Returns the positions in the order of the axis.
fn positions(format: Format, purposes: &[Purpose]) -> Vec<WalkPosition> {
    let levels = format.geometry().levels;
    let guest = (0..levels).map(|level| WalkPosition::Guest { level });
    let host = (0..levels).flat_map(|level| {
        purposes
            .iter()
            .map(move |&purpose| WalkPosition::Host { level, purpose })
    });
    guest.chain(host).collect()
}

/// Returns the hits in page-walk caches. No hit points to a root table: the guest cache points to a
/// guest entry, the host cache to a host entry, and the nested TLB to any guest entry.
fn cache_hits(format: Format, positions: &[WalkPosition]) -> Vec<CacheHitAt> {
    if !format.has_walk_caches() {
        return Vec::new();
    }
    let levels = format.geometry().levels;
    let guest = |level| WalkPosition::Guest { level };
    let hit = |pass, entry| CacheHitAt { pass, entry };
    let is_below_root = |entry: &WalkPosition| match entry {
        WalkPosition::Guest { .. } => false,
        WalkPosition::Host { level, .. } => level + 1 < levels,
    };
    let by_guest = (0..levels - 1).map(|level| hit(Pass::Guest, guest(level)));
    let by_host = positions.iter().copied().filter(is_below_root);
    let by_host = by_host.map(|entry| hit(Pass::Host, entry));
    let by_nested = (0..levels).map(|level| hit(Pass::Nested, guest(level)));
    by_guest.chain(by_host).chain(by_nested).collect()
}

fn page_sizes(format: Format) -> Vec<PageSize> {
    let geometry = format.geometry();
    let mut sizes = vec![geometry.offset_width];
    if format.has_napot_pages() {
        sizes.push(NAPOT_PAGE_SIZE);
    }
    if format.has_superpages() {
        sizes.extend((1..geometry.levels).map(|level| geometry.page_size(level)));
    }
    let sizes = sizes.into_iter().map(Some);
    std::iter::once(None).chain(sizes).map(PageSize).collect()
}
