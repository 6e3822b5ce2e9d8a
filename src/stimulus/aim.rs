// SPDX-License-Identifier: Apache-2.0
//! Fault injection: finds the one table word whose change makes a walk end as intended.
//!
//! [`Image`] is memory as the device will find it when it reaches the next operation. The golden
//! model walks over the image, so the generator knows every entry that an access reads. A candidate
//! is checked with the golden model before it is used. Suitable words are easy to draw, so a few
//! tries take the place of a solver.

use super::{Draw, formats};
use crate::addr::Hpa;
use crate::format::Format;
use crate::golden::{self, EntryMemory, Mapping, Overlay, Step};
use crate::memory::HostMemory;
use crate::mmu::{Fault, FaultKind, Position, Purpose, Query, Stage};

/// Words that are tried for one goal.
const TRIES: u32 = 10;

/// The intended event at an entry of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The walk ends there with this fault.
    Fault(FaultKind),
    /// The walk sets A or D of the entry.
    Update,
}

/// A change of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub at: Hpa,
    /// The new word. None: a hole.
    pub word: Option<u64>,
    /// The word before.
    pub before: Option<u64>,
    /// The table that the entry is of.
    pub stage: Stage,
}

/// The time at which an edit is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the walk.
    Before,
    /// Between two accesses of the walk to the same word.
    Meanwhile,
}

/// Two accesses of a walk to one word, by number. Only the second one sees a change of the word
/// between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub first: usize,
    pub second: usize,
}

/// An edit for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aimed {
    pub edit: Edit,
    /// The window in which it must be made; none is before the walk.
    pub window: Option<Window>,
}

/// Memory in which an edit is made while a walk is in flight.
struct Racing<'a> {
    memory: Overlay<'a>,
    edit: Edit,
    /// Accesses before it.
    after: usize,
    accesses: usize,
}

impl Racing<'_> {
    /// Counts an access. Returns true if it finds a hole that the edit has made.
    fn begin(&mut self, at: Hpa) -> bool {
        let is_edited = self.accesses >= self.after;
        if self.accesses == self.after
            && let Some(word) = self.edit.word
        {
            self.memory.updates.push((self.edit.at, word));
        }
        self.accesses += 1;
        is_edited && at == self.edit.at && self.edit.word.is_none()
    }
}

impl EntryMemory for Racing<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        if self.begin(at) {
            return None;
        }
        self.memory.read_entry(at)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        if self.begin(at) {
            return None;
        }
        self.memory.update_entry(at, expected, new)
    }
}

/// Memory as the device will find it, without the effects of what is still in flight.
pub(super) struct Image {
    format: Format,
    memory: HostMemory,
    /// The steps of the last look.
    steps: Vec<Step>,
}

impl Image {
    pub fn new(format: Format, memory: &HostMemory) -> Self {
        Self {
            format,
            memory: memory.clone(),
            steps: Vec::new(),
        }
    }

    pub fn read(&self, at: Hpa) -> Option<u64> {
        self.memory.read(at).ok()
    }

    pub fn write(&mut self, at: Hpa, word: Option<u64>) {
        match word {
            Some(word) => self.memory.write(at, word),
            None => self.memory.remove(at),
        }
    }

    /// Applies the updates of an access, as the device will make them.
    pub fn access(&mut self, query: &Query) {
        // The checks judge the result.
        let _ = golden::walk(self.format, query, &mut self.memory, &mut ());
    }

    /// A walk that changes nothing. [`Image::steps`] has its steps then.
    pub fn look(&mut self, query: &Query) -> Result<Mapping, Fault> {
        self.steps.clear();
        let mut memory = Overlay::new(&self.memory);
        golden::walk(self.format, query, &mut memory, &mut self.steps)
    }

    /// The steps of the last look.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The leaf that the last look went through to the data, in a stage.
    pub fn leaf(&self, stage: Stage) -> Option<Step> {
        let of_data = |step: &&Step| match step.at {
            Position::Guest { .. } => stage == Stage::Guest,
            Position::Host { purpose, .. } => stage == Stage::Host && purpose == Purpose::Data,
        };
        self.steps.iter().rev().find(of_data).copied()
    }

    /// An edit of the entry of a step.
    pub fn edit(&self, step: &Step, word: Option<u64>) -> Option<Edit> {
        let at = step.hpa?;
        Some(Edit {
            at,
            word,
            before: self.read(at),
            stage: step.at.stage(),
        })
    }

    /// Returns true if the walk ends with `end` at the position of `step`, with an edit after the
    /// given number of its memory accesses.
    fn comes_to(&self, query: &Query, aimed: &Aimed, step: &Step, end: End) -> bool {
        let mut memory = Racing {
            memory: Overlay::new(&self.memory),
            edit: aimed.edit,
            after: aimed.window.map_or(0, |window| window.first + 1),
            accesses: 0,
        };
        let mut steps = Vec::new();
        let found = golden::walk(self.format, query, &mut memory, &mut steps);
        match end {
            End::Fault(kind) => {
                found.is_err_and(|fault| fault.kind == kind && same_place(fault.at, step.at))
            }
            End::Update => steps
                .iter()
                .any(|other| other.update.is_some() && same_place(other.at, step.at)),
        }
    }

    /// Finds an edit that makes the walk of `query` end as `wanted` draws for one of its steps,
    /// among the steps selected by `at`. None: no edit was found, there is no such step, or the
    /// walk has faulted before.
    pub fn aim(
        &mut self,
        draw: &mut Draw,
        query: &Query,
        when: When,
        at: impl Fn(Position) -> bool,
        wanted: impl Fn(&mut Draw, Position) -> Option<End>,
    ) -> Option<Aimed> {
        // The present end of the walk does not matter: all steps up to it are candidates.
        let _ = self.look(query);
        let mut candidates: Vec<usize> = match when {
            When::Before => (0..self.steps.len()).collect(),
            When::Meanwhile => self.windows().iter().map(|window| window.second).collect(),
        };
        candidates.retain(|&index| at(self.steps[index].at));
        for _ in 0..TRIES {
            let index = draw_place(draw, &self.steps, &candidates)?;
            let step = self.steps[index];
            let Some(end) = wanted(draw, step.at) else {
                continue;
            };
            let aimed = self.draw_edit(draw, end, index).map(|edit| Aimed {
                edit,
                window: match when {
                    When::Before => None,
                    When::Meanwhile => self.window(index),
                },
            });
            if let Some(aimed) = aimed
                && aimed.edit.word != aimed.edit.before
                && self.comes_to(query, &aimed, &step, end)
            {
                return Some(aimed);
            }
        }
        None
    }

    /// An edit that may bring the walk to an end at a step.
    fn draw_edit(&self, draw: &mut Draw, end: End, index: usize) -> Option<Edit> {
        let step = self.steps[index];
        let words = formats::of(self.format).words();
        let word = match end {
            End::Fault(FaultKind::Memory) => None,
            End::Fault(kind) if words.is_of_address(kind) => {
                let parent = self.steps[parent(&self.steps, index)?];
                let word = words.lead_astray(self.format, draw, kind, &parent, &step)?;
                return self.edit(&parent, Some(word));
            }
            end => Some(words.word(self.format, draw, end, &step)?),
        };
        self.edit(&step, word)
    }

    /// An update of the last look at one of the positions selected by `at`, with the access before
    /// it to the same word.
    pub fn draw_update(&self, draw: &mut Draw, at: impl Fn(Position) -> bool) -> Option<Window> {
        let updates: Vec<usize> = (0..self.steps.len())
            .filter(|&index| self.steps[index].update.is_some() && at(self.steps[index].at))
            .collect();
        self.window(draw_place(draw, &self.steps, &updates)?)
    }

    /// The accesses of the last walk to a word that it had accessed before, each with the access
    /// before it.
    fn windows(&self) -> Vec<Window> {
        (0..self.steps.len())
            .filter_map(|index| self.window(index))
            .collect()
    }

    fn window(&self, second: usize) -> Option<Window> {
        let at = self.steps[second].hpa?;
        let first = self.steps[..second]
            .iter()
            .rposition(|step| step.hpa == Some(at))?;
        Some(Window { first, second })
    }
}

/// Returns true if two positions are equal except for the gPA.
fn same_place(one: Position, other: Position) -> bool {
    match (one, other) {
        (Position::Guest { level: one }, Position::Guest { level: other }) => one == other,
        (
            Position::Host {
                level: l1,
                purpose: p1,
                ..
            },
            Position::Host {
                level: l2,
                purpose: p2,
                ..
            },
        ) => l1 == l2 && p1 == p2,
        _ => false,
    }
}

/// Draws one of some steps of a walk: first the table and level, then a step there, because a deep
/// walk has many steps of few kinds.
fn draw_place(draw: &mut Draw, steps: &[Step], candidates: &[usize]) -> Option<usize> {
    if candidates.is_empty() {
        return None;
    }
    let kind = |step: &Step| {
        let purpose = match step.at {
            Position::Guest { .. } => 0,
            Position::Host { purpose, .. } => match purpose {
                Purpose::GuestEntry(_) => 1,
                Purpose::Data => 2,
                Purpose::GuestUpdate(_) => 3,
            },
        };
        (purpose, step.at.level())
    };
    let mut kinds: Vec<(u32, u32)> = candidates.iter().map(|&at| kind(&steps[at])).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let wanted = *draw.of(&kinds);
    let of_kind: Vec<usize> = candidates
        .iter()
        .copied()
        .filter(|&index| kind(&steps[index]) == wanted)
        .collect();
    Some(*draw.of(&of_kind))
}

/// The step whose entry points at the table of another step or, at a host root, gives the gPA that
/// is translated there. None: a root register does.
fn parent(steps: &[Step], index: usize) -> Option<usize> {
    let step = &steps[index];
    let before = index.checked_sub(1)?;
    let leads = |other: &Step| match (step.at, other.at) {
        (Position::Guest { .. }, Position::Guest { .. }) => true,
        (
            Position::Host { level, gpa, .. },
            Position::Host {
                level: above,
                gpa: of,
                ..
            },
        ) => above == level + 1 && of == gpa,
        _ => false,
    };
    if let Position::Host { .. } = step.at
        && leads(&steps[before])
    {
        return Some(before);
    }
    steps[..index]
        .iter()
        .rposition(|other| matches!(other.at, Position::Guest { .. }))
}
