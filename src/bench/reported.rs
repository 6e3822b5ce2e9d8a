// SPDX-License-Identifier: Apache-2.0
//! Conversion of the reported steps and the parameters of a device into the types of the golden
//! model.

use crate::addr::{Gpa, Hpa};
use crate::dut::variants::SecondTlb;
use crate::dut::{Next, Pass, WalkStep};
use crate::format::Geometry;
use crate::golden::GuestTable;
use crate::golden::occupancy::PageWalkCache;
use crate::golden::occupancy::l2_tlb::L2Size;
use crate::golden::occupancy::page_walk_cache::{AcceptedEntry, Hit, NextAccess};

/// A reported step of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportedStep {
    pub step: WalkStep,
    /// The number of fences when the previous step was reported. The lookup in the page-walk caches
    /// for this step took place after that.
    pub fences: u64,
}

/// Returns the first address of the smallest page that contains an address.
fn page(geometry: &Geometry, address: u64) -> u64 {
    address - geometry.offset(address)
}

/// Returns the guest table that contains the entry of a step.
pub(super) fn guest_table(geometry: &Geometry, step: &WalkStep) -> GuestTable {
    GuestTable {
        level: step.guest_level.into(),
        gpa: Gpa(page(geometry, step.gpa.0)),
        hpa: Hpa(page(geometry, step.hpa.0)),
        global: step.global,
    }
}

/// Returns the level and the address of the host table that contains the entry of a step.
pub(super) fn host_table(geometry: &Geometry, step: &WalkStep) -> (u32, Hpa) {
    let table = Hpa(page(geometry, step.hpa.0));
    (step.host_level.into(), table)
}

/// Returns the hPA of a guest entry with a gPA, in the page that contains the entry of a step.
pub(super) fn entry_in_page(geometry: &Geometry, step: &WalkStep, gpa: Gpa) -> Hpa {
    Hpa(page(geometry, step.hpa.0) | geometry.offset(gpa.0))
}

/// Returns the page-walk cache whose hit is reported with a step; none if there is no hit.
pub(super) fn led_by(step: &WalkStep) -> Option<PageWalkCache> {
    match step.pass {
        Pass::None => None,
        Pass::Guest => Some(PageWalkCache::Guest {
            level: step.guest_level.into(),
        }),
        Pass::Host => Some(PageWalkCache::Host {
            level: step.host_level.into(),
        }),
        Pass::Nested => Some(PageWalkCache::Nested),
    }
}

/// Returns the page-walk cache hit that is reported with a step; none if there is no hit.
pub(super) fn hit(geometry: &Geometry, step: &WalkStep) -> Option<Hit> {
    let cache = led_by(step)?;
    Some(Hit {
        cache,
        gpa: match cache {
            PageWalkCache::Guest { .. } => Gpa(page(geometry, step.gpa.0)),
            PageWalkCache::Host { .. } | PageWalkCache::Nested => step.gpa,
        },
        hpa: Hpa(page(geometry, step.hpa.0)),
        is_global: step.global,
    })
}

/// Returns the entry that a step has read or updated. `word`: the word that memory returned.
pub(super) fn taken_entry(step: &WalkStep, word: Option<u64>) -> AcceptedEntry {
    AcceptedEntry {
        table: match step.host {
            false => PageWalkCache::Guest {
                level: step.guest_level.into(),
            },
            true => PageWalkCache::Host {
                level: step.host_level.into(),
            },
        },
        gpa: step.gpa,
        is_for_guest_entry: step.purpose == 0,
        led_by: led_by(step),
        is_update: step.update,
        next: match step.next {
            Next::Read => NextAccess::Read,
            Next::Update => NextAccess::Update,
            Next::Done => NextAccess::Done,
            Next::Fault => NextAccess::Fault,
        },
        word,
    }
}

/// Returns the size of a device's L2 TLB.
pub(super) fn l2_size(size: SecondTlb) -> L2Size {
    let SecondTlb {
        sets,
        ways,
        superpages,
    } = size;
    L2Size {
        sets,
        ways,
        superpages,
    }
}
