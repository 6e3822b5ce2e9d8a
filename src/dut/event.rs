// SPDX-License-Identifier: Apache-2.0
//! The device's event record: `event_t` of `rtl/nested_mmu_types.svh`, unpacked.

use std::ops::Range;

use bitvec::prelude::*;

use super::variants::Variant;
use crate::addr::{Gpa, Hpa};

/// What happened in a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// A request has been given to a walk.
    pub miss: Option<Miss>,
    /// A request has been given its walk's result.
    pub done: Option<Done>,
    /// A request has been answered by the second-level TLB: its id.
    pub second: Option<u8>,
    /// A walk has taken an entry.
    pub step: Option<WalkStep>,
}

/// What of an event concerns requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// A request has been given to a walk.
    pub miss: Option<Miss>,
    /// A request has been given its walk's result.
    pub done: Option<Done>,
    /// A request has been answered by the second-level TLB: its id.
    pub second: Option<u8>,
}

/// A request has been given to a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The request.
    pub id: u8,
    /// The walk's slot.
    pub slot: u8,
    /// The walk was under way.
    pub merged: bool,
}

/// A request has been given its walk's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The request.
    pub id: u8,
    /// The walk's slot.
    pub slot: u8,
    /// The TLB takes the result.
    pub fill: bool,
}

/// What a walk wants after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another entry.
    Read,
    /// Nothing: it has the translation.
    Done,
    /// Nothing: it has faulted.
    Fault,
    /// To update the entry.
    Update,
}

/// What a walk cache has spared a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// Nothing.
    #[default]
    None,
    /// All before a guest table.
    Guest,
    /// The host tables before one.
    Host,
    /// The translation of a guest entry's gPA.
    Nested,
}

/// A walk has taken an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkStep {
    /// The walk's slot.
    pub slot: u8,
    /// It read the host's table; else the guest's.
    pub host: bool,
    /// Guest level where it stands.
    pub guest_level: u8,
    /// Host level where it stands.
    pub host_level: u8,
    /// What the gPA is translated for: to read the guest entry (0), to reach the data (1), to update the guest entry (2).
    pub purpose: u8,
    /// The entry is the answer to an update.
    pub update: bool,
    /// The walk cache that has led the walk to this entry.
    pub pass: Pass,
    /// A pointer of the guest's before this entry was global.
    pub global: bool,
    /// The gPA being translated.
    pub gpa: Gpa,
    /// The entry's address.
    pub hpa: Hpa,
    /// The memory answered with an error.
    pub error: bool,
    /// The entry.
    pub word: u64,
    /// What is next.
    pub next: Next,
    /// The RTL's number of the fault, 0 without one.
    pub fault: u8,
}

/// Where the fields of `event_t` lie for one variant.
#[derive(Clone, Debug)]
pub struct EventLayout {
    requests: RequestsLayout,
    step_valid: usize,
    step_slot: Range<usize>,
    step_stage: usize,
    step_guest_level: Range<usize>,
    step_host_level: Range<usize>,
    step_purpose: Range<usize>,
    step_update: usize,
    step_pass: Range<usize>,
    step_global: usize,
    step_gpa: Range<usize>,
    step_hpa: Range<usize>,
    step_error: usize,
    step_pte: Range<usize>,
    step_next: Range<usize>,
    step_fault: Range<usize>,
}

/// Where the fields about requests lie. They are the top of the record, next to one another, and are looked at in nearly
/// every cycle: so they are taken out together, and apart by shifts.
#[derive(Clone, Debug)]
struct RequestsLayout {
    start: usize,
    miss_valid: Field,
    miss_merged: Field,
    miss_id: Field,
    miss_slot: Field,
    done_valid: Field,
    done_fill: Field,
    done_id: Field,
    done_slot: Field,
    second_valid: Field,
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

/// Width of a number below `n`, at least one bit: `index_width` of the RTL package.
fn index_width(n: u32) -> usize {
    (n.max(2) - 1).ilog2() as usize + 1
}

impl EventLayout {
    /// The layout of a variant. Fields are laid from the last, at bit 0, to the first.
    pub fn new(variant: &Variant) -> Self {
        let geometry = variant.paging_format().geometry();
        let id = 8;
        let slot = index_width(variant.slots);
        let level = index_width(geometry.levels.min(variant.max_levels));
        let mut at = 0;
        let mut field = |width: usize| {
            at += width;
            at - width..at
        };
        let step_fault = field(4);
        let step_next = field(2);
        let step_pte = field(geometry.pte_width as usize);
        let step_error = field(1).start;
        let step_hpa = field(geometry.hpa_width as usize);
        let step_gpa = field(geometry.gpa_width as usize);
        let step_global = field(1).start;
        let step_pass = field(2);
        let step_update = field(1).start;
        let step_purpose = field(2);
        let step_host_level = field(level);
        let step_guest_level = field(level);
        let step_stage = field(1).start;
        let step_slot = field(slot);
        let step_valid = field(1).start;
        let start = step_valid + 1;
        let mut field = |width: usize| {
            let field = field(width);
            Field {
                shift: (field.start - start) as u32,
                mask: (1 << width) - 1,
            }
        };
        let second_valid = field(1);
        let done_slot = field(slot);
        let done_id = field(id);
        let done_fill = field(1);
        let done_valid = field(1);
        let miss_slot = field(slot);
        let miss_id = field(id);
        let miss_merged = field(1);
        let miss_valid = field(1);
        Self {
            requests: RequestsLayout {
                start,
                miss_valid,
                miss_merged,
                miss_id,
                miss_slot,
                done_valid,
                done_fill,
                done_id,
                done_slot,
                second_valid,
            },
            step_valid,
            step_slot,
            step_stage,
            step_guest_level,
            step_host_level,
            step_purpose,
            step_update,
            step_pass,
            step_global,
            step_gpa,
            step_hpa,
            step_error,
            step_pte,
            step_next,
            step_fault,
        }
    }

    /// Takes a record apart, without its step.
    #[inline]
    pub fn decode_requests(&self, words: &[u32; 8]) -> Requests {
        let at = &self.requests;
        let low = at.start / 32;
        let pair = u64::from(words[low]) | (u64::from(words[(low + 1) % 8]) << 32);
        let word = (pair >> (at.start % 32)) as u32;
        let valid = [at.miss_valid, at.done_valid, at.second_valid];
        if !valid.iter().any(|valid| valid.is_set(word)) {
            return Requests::default();
        }
        let miss = at.miss_valid.is_set(word).then(|| Miss {
            id: at.miss_id.of(word),
            slot: at.miss_slot.of(word),
            merged: at.miss_merged.is_set(word),
        });
        let done = at.done_valid.is_set(word).then(|| Done {
            id: at.done_id.of(word),
            slot: at.done_slot.of(word),
            fill: at.done_fill.is_set(word),
        });
        let second = at.second_valid.is_set(word).then(|| at.miss_id.of(word));
        Requests { miss, done, second }
    }

    /// Takes a record apart.
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

    /// Takes a record's step apart.
    pub fn decode_step(&self, words: &[u32; 8]) -> Option<WalkStep> {
        let bits = words.view_bits::<Lsb0>();
        bits[self.step_valid].then(|| WalkStep {
            slot: bits[self.step_slot.clone()].load_le(),
            host: bits[self.step_stage],
            guest_level: bits[self.step_guest_level.clone()].load_le(),
            host_level: bits[self.step_host_level.clone()].load_le(),
            purpose: bits[self.step_purpose.clone()].load_le(),
            update: bits[self.step_update],
            pass: match bits[self.step_pass.clone()].load_le::<u8>() {
                0 => Pass::None,
                1 => Pass::Guest,
                2 => Pass::Host,
                _ => Pass::Nested,
            },
            global: bits[self.step_global],
            gpa: Gpa(bits[self.step_gpa.clone()].load_le()),
            hpa: Hpa(bits[self.step_hpa.clone()].load_le()),
            error: bits[self.step_error],
            word: bits[self.step_pte.clone()].load_le(),
            next: match bits[self.step_next.clone()].load_le::<u8>() {
                0 => Next::Read,
                1 => Next::Done,
                2 => Next::Fault,
                _ => Next::Update,
            },
            fault: bits[self.step_fault.clone()].load_le(),
        })
    }
}
