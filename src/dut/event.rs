// SPDX-License-Identifier: Apache-2.0
//! Decodes the event record of a device, `event_t` of `rtl/nested_mmu_types.svh`.

use std::ops::Range;

use bitvec::prelude::*;

use super::event_layout::{EventBits, Widths};
use super::variants::Variant;
use crate::addr::{Gpa, Hpa};

/// The events of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// A request missed and was assigned to a walk.
    pub miss: Option<Miss>,
    /// A request got the result of its walk.
    pub done: Option<Done>,
    /// The id of a request that hit in the L2 TLB.
    pub second: Option<u8>,
    /// A walk accepted a memory response, and so made a step.
    pub step: Option<WalkStep>,
}

/// The events of a cycle that belong to requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// A request missed and was assigned to a walk.
    pub miss: Option<Miss>,
    /// A request got the result of its walk.
    pub done: Option<Done>,
    /// The id of a request that hit in the L2 TLB.
    pub second: Option<u8>,
}

/// A request that missed and was assigned to a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The id of the request.
    pub id: u8,
    /// The slot of the walk.
    pub slot: u8,
    /// The request was coalesced with a walk that was already in flight.
    pub merged: bool,
}

/// A request that got the result of its walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The id of the request.
    pub id: u8,
    /// The slot of the walk.
    pub slot: u8,
    /// The result of the walk fills the TLB.
    pub fill: bool,
}

/// The next action of a walk after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The walk reads another entry.
    Read,
    /// The walk has ended with a translation.
    Done,
    /// The walk has ended with a fault.
    Fault,
    /// The walk updates the entry.
    Update,
}

/// A page-walk cache hit. The kind of cache determines which memory reads the hit skips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// No hit.
    #[default]
    None,
    /// The guest page-walk cache: skips all reads before a guest table.
    Guest,
    /// The host page-walk cache: skips the reads of host entries before a host table.
    Host,
    /// The nested TLB: skips the host-stage walk for the gPA of a guest entry.
    Nested,
}

/// A step of a walk: the walk has accepted a memory response with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkStep {
    /// The slot of the walk.
    pub slot: u8,
    /// The entry is a host-stage entry; false for a guest-stage entry.
    pub host: bool,
    /// Guest level of the walk before the step.
    pub guest_level: u8,
    /// Host level of the walk before the step.
    pub host_level: u8,
    /// The purpose for which the host stage translates the gPA: to read a guest entry (0), for the
    /// data access (1), to update a guest entry (2).
    pub purpose: u8,
    /// The memory response is the response to an update.
    pub update: bool,
    /// The page-walk cache hit before this entry was read.
    pub pass: Pass,
    /// A guest pointer of the walk before this entry had the G bit set.
    pub global: bool,
    /// The gPA of the guest entry; for a host-stage entry, the gPA that the host stage is
    /// translating.
    pub gpa: Gpa,
    /// hPA of the entry.
    pub hpa: Hpa,
    /// Memory returned an error.
    pub error: bool,
    /// The word that memory returned.
    pub word: u64,
    /// The next action of the walk.
    pub next: Next,
    /// The number of the fault in the RTL; 0 if there is none.
    pub fault: u8,
}

/// The layout of the event record of one variant.
#[derive(Clone, Debug)]
pub struct EventLayout {
    requests: RequestsLayout,
    bits: EventBits,
}

/// The layout of the fields about requests. These fields are adjacent at the top of the record, and
/// most events set one of them. So they are read as one word, and extracted by shifts, for speed.
#[derive(Clone, Debug)]
struct RequestsLayout {
    start: usize,
    miss_valid: Field,
    miss_coalesced: Field,
    miss_id: Field,
    miss_slot: Field,
    done_valid: Field,
    done_fill: Field,
    done_id: Field,
    done_slot: Field,
    tlb2_valid: Field,
}

impl RequestsLayout {
    fn new(bits: &EventBits) -> Self {
        let start = bits.tlb2_valid.start;
        let field = |bits: &Range<usize>| Field {
            shift: (bits.start - start) as u32,
            mask: (1 << bits.len()) - 1,
        };
        Self {
            start,
            miss_valid: field(&bits.miss_valid),
            miss_coalesced: field(&bits.miss_coalesced),
            miss_id: field(&bits.miss_id),
            miss_slot: field(&bits.miss_slot),
            done_valid: field(&bits.done_valid),
            done_fill: field(&bits.done_fill),
            done_id: field(&bits.done_id),
            done_slot: field(&bits.done_slot),
            tlb2_valid: field(&bits.tlb2_valid),
        }
    }
}

/// A field of up to 8 bits in a word.
#[derive(Clone, Copy, Debug)]
struct Field {
    shift: u32,
    mask: u32,
}

impl Field {
    #[inline]
    fn of(self, word: u32) -> u8 {
        ((word >> self.shift) & self.mask) as u8
    }

    #[inline]
    fn is_set(self, word: u32) -> bool {
        self.of(word) != 0
    }
}

/// Returns the width of a number below `n`, at least one bit: `index_width` of the RTL package.
fn index_width(n: u32) -> usize {
    (n.max(2) - 1).ilog2() as usize + 1
}

impl EventLayout {
    /// Returns the layout of a variant.
    pub fn new(variant: &Variant) -> Self {
        let geometry = variant.paging_format().geometry();
        let bits = EventBits::new(&Widths {
            id: 8,
            slot: index_width(variant.slots),
            level: index_width(geometry.levels.min(variant.max_levels)),
            gpa: geometry.gpa_width as usize,
            hpa: geometry.hpa_width as usize,
            pte: geometry.pte_width as usize,
        });
        Self {
            requests: RequestsLayout::new(&bits),
            bits,
        }
    }

    /// Returns the width of a record in bits.
    pub(super) fn width(&self) -> usize {
        self.bits.miss_valid.end
    }

    /// Decodes the fields of a record that belong to requests.
    #[inline]
    pub fn decode_requests(&self, words: &[u32; 8]) -> Requests {
        let at = &self.requests;
        let low = at.start / 32;
        let pair = u64::from(words[low]) | (u64::from(words[(low + 1) % 8]) << 32);
        let word = (pair >> (at.start % 32)) as u32;
        let valid = [at.miss_valid, at.done_valid, at.tlb2_valid];
        if !valid.iter().any(|valid| valid.is_set(word)) {
            return Requests::default();
        }
        let miss = at.miss_valid.is_set(word).then(|| Miss {
            id: at.miss_id.of(word),
            slot: at.miss_slot.of(word),
            merged: at.miss_coalesced.is_set(word),
        });
        let done = at.done_valid.is_set(word).then(|| Done {
            id: at.done_id.of(word),
            slot: at.done_slot.of(word),
            fill: at.done_fill.is_set(word),
        });
        let second = at.tlb2_valid.is_set(word).then(|| at.miss_id.of(word));
        Requests { miss, done, second }
    }

    /// Decodes a record.
    pub fn decode(&self, words: &[u32; 8]) -> Event {
        let Requests { miss, done, second } = self.decode_requests(words);
        let step = self.decode_step(words);
        Event {
            miss,
            done,
            second,
            step,
        }
    }

    /// Decodes the step of a record, if it has one.
    pub fn decode_step(&self, words: &[u32; 8]) -> Option<WalkStep> {
        let record = words.view_bits::<Lsb0>();
        let bits = &self.bits;
        let number = |field: &Range<usize>| record[field.clone()].load_le::<u8>();
        let word = |field: &Range<usize>| record[field.clone()].load_le::<u64>();
        let flag = |field: &Range<usize>| record[field.start];
        flag(&bits.step_valid).then(|| WalkStep {
            slot: number(&bits.step_slot),
            host: flag(&bits.step_stage),
            guest_level: number(&bits.step_guest_level),
            host_level: number(&bits.step_host_level),
            purpose: number(&bits.step_purpose),
            update: flag(&bits.step_update),
            pass: match number(&bits.step_pwc_hit) {
                0 => Pass::None,
                1 => Pass::Guest,
                2 => Pass::Host,
                _ => Pass::Nested,
            },
            global: flag(&bits.step_global),
            gpa: Gpa(word(&bits.step_gpa)),
            hpa: Hpa(word(&bits.step_hpa)),
            error: flag(&bits.step_error),
            word: word(&bits.step_pte),
            next: match number(&bits.step_next) {
                0 => Next::Read,
                1 => Next::Done,
                2 => Next::Fault,
                _ => Next::Update,
            },
            fault: number(&bits.step_fault),
        })
    }
}
