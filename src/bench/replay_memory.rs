// SPDX-License-Identifier: Apache-2.0
//! The words that memory returned to a walk of the device, as memory for the golden walk.

use super::memory_request::{MemoryRequest, Read, Update};
use super::reported::{self, ReportedStep};
use crate::addr::{Gpa, Hpa};
use crate::dut::{Pass, WalkStep};
use crate::format::{Format, Geometry};
use crate::golden::{EntryMemory, GuestTable};

/// Memory for the golden walk that returns the words of a walk of the device, as long as both walks
/// make the same memory requests.
pub(super) struct ReplayMemory<'a> {
    geometry: Geometry,
    reads: &'a [Read],
    /// The steps that the device has reported; empty if steps are not checked.
    reported: &'a [ReportedStep],
    /// Number of memory requests of the golden walk that were served.
    served: usize,
    /// The golden walk has taken the page-walk cache hit that the device reports before the next
    /// request.
    skipped: bool,
    difference: Option<Difference>,
}

/// The first difference between the golden walk and the walk of the device.
#[derive(Clone, Copy)]
pub(super) enum Difference {
    /// The golden walk calls for a memory request that the device has not made.
    Request(MemoryRequest),
    /// The device reports a page-walk cache hit that skips nothing, or that no page-walk cache can
    /// have here.
    WalkCache,
}

impl<'a> ReplayMemory<'a> {
    /// Returns a memory with the words of the memory requests `reads` of a walk. `reported`: the
    /// reported steps of the walk.
    pub fn new(format: Format, reads: &'a [Read], reported: &'a [ReportedStep]) -> Self {
        Self {
            geometry: format.geometry(),
            reads,
            reported,
            served: 0,
            skipped: false,
            difference: None,
        }
    }

    /// Returns a memory with only the first `count` memory requests of the walk.
    pub fn truncated(mut self, count: usize) -> Self {
        self.reads = &self.reads[..count.min(self.reads.len())];
        self
    }

    /// Returns the number of memory requests of the golden walk that were served, and the
    /// difference between the golden walk and the walk of the device, if there is one.
    pub fn end(&self) -> (usize, Option<Difference>) {
        (self.served, self.difference)
    }

    /// Returns true if the golden walk agrees with all memory requests of the device, and calls for
    /// one more.
    pub fn asks_on(&self) -> bool {
        self.served == self.reads.len() && matches!(self.difference, Some(Difference::Request(_)))
    }

    /// Returns true if the golden walk agrees with all memory requests of the device, and differs
    /// after the last one.
    pub fn differs_behind_the_last(&self) -> bool {
        self.served == self.reads.len() && self.difference.is_some()
    }

    #[inline]
    fn serve(&mut self, hpa: Hpa, update: Option<Update>) -> Option<u64> {
        if self.difference.is_some() {
            return None;
        }
        match self.reads.get(self.served) {
            Some(read) if read.at == hpa && read.update == update => {
                if !self.skipped && self.skip().is_some() {
                    self.difference = Some(Difference::WalkCache);
                    return None;
                }
                self.served += 1;
                self.skipped = false;
                read.word
            }
            _ => {
                self.difference = Some(Difference::Request(MemoryRequest { hpa, update }));
                None
            }
        }
    }

    /// Returns the next step of the device if it follows a page-walk cache hit that the golden walk
    /// has not taken yet.
    #[inline]
    fn skip(&self) -> Option<&'a WalkStep> {
        let reported = self.reported.get(self.served).filter(|_| !self.skipped)?;
        Some(&reported.step).filter(|step| step.pass != Pass::None)
    }

    /// Takes the page-walk cache hit before the next step, if it is a hit of the given kind of
    /// cache.
    #[inline]
    fn skip_by(&mut self, kind: Pass) -> Option<&'a WalkStep> {
        let step = self.skip().filter(|step| step.pass == kind)?;
        self.skipped = true;
        Some(step)
    }
}

impl EntryMemory for ReplayMemory<'_> {
    #[inline]
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.serve(at, None)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        self.serve(at, Some(Update { expected, new }))
    }

    #[inline]
    fn known_guest_table(&mut self) -> Option<GuestTable> {
        let step = self.skip_by(Pass::Guest)?;
        Some(reported::guest_table(&self.geometry, step))
    }

    #[inline]
    fn known_host_table(&mut self, gpa: Gpa) -> Option<(u32, Hpa)> {
        // The gPA of a coalesced request may differ from the reported gPA in the page offset.
        let page = |gpa: Gpa| gpa.0 >> self.geometry.offset_width;
        self.skip().filter(|step| page(step.gpa) == page(gpa))?;
        let step = self.skip_by(Pass::Host)?;
        Some(reported::host_table(&self.geometry, step))
    }

    #[inline]
    fn known_entry(&mut self, gpa: Gpa) -> Option<Hpa> {
        self.skip().filter(|step| step.gpa == gpa)?;
        let step = self.skip_by(Pass::Nested)?;
        Some(reported::entry_in_page(&self.geometry, step, gpa))
    }
}
