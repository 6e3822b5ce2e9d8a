// SPDX-License-Identifier: Apache-2.0
//! Rules and mismatches that the checks of events and the checks of ports share.

use super::mismatch::{HitReason, Mismatch, PairingViolation, RequestEvent, Stall, Violation};
use super::scoreboard::Scoreboard;
use crate::addr::Gpa;
use crate::format::Format;
use crate::golden::occupancy::Tlb;
use crate::golden::occupancy::tlb::{CertainPage, Certainty};
use crate::mmu::{Fence, FenceMatch, Query};

/// Returns true if two requests are equal, so that one walk may serve both. In a format without
/// privileges and without rights mode, the kind of access does not matter.
pub(super) fn may_share_walk(format: Format, one: &Query, other: &Query) -> bool {
    let smallest = format.geometry().offset_width;
    let any_access = !format.has_privileges() && !one.context.rights;
    one.context == other.context
        && one.gva.0 >> smallest == other.gva.0 >> smallest
        && (one.access == other.access || any_access)
}

/// Returns true if a fence certainly matches the translation of a request. Only the gPA of the
/// translation is known, so the pages are assumed to have the smallest size.
pub(super) fn surely_matches(format: Format, fence: &Fence, query: &Query, gpa: Gpa) -> bool {
    let smallest = format.geometry().offset_width;
    let extent = FenceMatch {
        gva: query.gva,
        gpa,
        guest_size: smallest,
        host_size: smallest,
        // The page may be a global page, which a fence with an ASID does not match.
        global: format.has_global_pages(),
    };
    fence.matches(query.context.space(), &extent)
}

/// Returns the violation of a miss in a TLB that certainly contains a page for the request.
pub(super) fn must_hit(tlb: &Tlb, certain: &CertainPage) -> Violation {
    Violation::MustHit {
        page: certain.page.into(),
        found: certain.found,
        because: match certain.because {
            Certainty::Recent => HitReason::Recent {
                of: tlb.recent_pages(),
            },
            Certainty::RoomForAll => HitReason::Room {
                entries: tlb.entries(),
            },
        },
    }
}

/// Returns the mismatch of a device that makes no progress. The mismatch names the request that has
/// waited longest.
#[cold]
pub(super) fn stalled(board: &Scoreboard, cycle: u64, stall: Stall) -> Box<Mismatch> {
    let waits = board.oldest();
    Box::new(Mismatch {
        op: waits.map(|request| request.op),
        query: waits.map(|request| request.query),
        ..*Mismatch::new(cycle, Violation::Stalled(stall))
    })
}

/// Returns the mismatch for an event with an id that no request in flight has.
#[cold]
pub(super) fn no_request(id: u8, cycle: u64, observed: RequestEvent) -> Box<Mismatch> {
    let violation = PairingViolation::NoRequest { id, observed };
    Mismatch::new(cycle, Violation::OneResponse(violation))
}
