// SPDX-License-Identifier: Apache-2.0
//! The comparison of a translation with its vector.

use super::{Answer, Tag, Vector};
use crate::addr::Hpa;
use crate::golden::{self, EntryMemory, Mapping, Meaning, Step};
use crate::mmu::{Fault, Outcome, Position, Purpose, Query};

/// A property that a vector fixes, or that the testbench checks in addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// Privilege and virtualization that the access is made with.
    Effective,
    /// A translation exists.
    Ok,
    /// The physical address.
    Pa,
    /// The guest physical address.
    Gpa,
    /// xcause.
    Cause,
    /// xtval.
    Tval,
    /// htval or mtval2.
    Tval2,
    /// htinst or mtinst.
    Tinst,
    /// GVA.
    Gva,
    /// The entries read, in order.
    Reads,
    /// The entries updated, in order.
    Writes,
    /// The contents of memory after the access.
    Memory,
    /// On the RTL: the response to the same access, made again at once.
    Again,
    /// On the RTL: the first access misses the TLB, and the repeated access hits if the TLB caches
    /// its translation.
    Hit,
    /// On the RTL: the checks that the testbench makes in every run.
    Checker,
}

impl Field {
    /// Returns the name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Effective => "effective",
            Field::Ok => "ok",
            Field::Pa => "pa",
            Field::Gpa => "gpa",
            Field::Cause => "cause",
            Field::Tval => "tval",
            Field::Tval2 => "tval2",
            Field::Tinst => "tinst",
            Field::Gva => "gva",
            Field::Reads => "reads",
            Field::Writes => "writes",
            Field::Memory => "memory",
            Field::Again => "again",
            Field::Hit => "hit",
            Field::Checker => "checker",
        }
    }
}

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The property.
    pub field: Field,
    /// The value in the vector.
    pub expected: String,
    /// The observed value.
    pub observed: String,
}

impl Difference {
    /// Returns a difference in a field, with both values.
    pub fn new(field: Field, expected: impl ToString, observed: impl ToString) -> Self {
        Self {
            field,
            expected: expected.to_string(),
            observed: observed.to_string(),
        }
    }
}

/// Returns the part of an outcome that a hart sees.
pub fn answer(query: &Query, outcome: &Outcome) -> Answer {
    let virt = query.context.virt;
    match outcome {
        Ok(found) => Answer::Found {
            pa: found.hpa.0,
            gpa: virt.then_some(found.gpa.0),
        },
        Err(Fault { at, trap, .. }) => {
            let trap = trap.unwrap_or_default();
            Answer::Trap {
                cause: trap.cause.into(),
                tval: query.gva.0,
                tval2: trap.tval2,
                tinst: trap.tinst.into(),
                gva: trap.gva,
                gpa: match at {
                    Position::Host {
                        gpa,
                        purpose: Purpose::Data,
                        ..
                    } => Some(gpa.0),
                    _ => None,
                },
            }
        }
    }
}

/// Adds the differences between two responses.
pub fn compare_answers(expected: &Answer, got: &Answer, differences: &mut Vec<Difference>) {
    let hex = |number: u64| format!("{number:x}");
    let mut number = |field, expected: u64, got: u64| {
        if expected != got {
            differences.push(Difference::new(field, hex(expected), hex(got)));
        }
    };
    let (expected_gpa, got_gpa) = match (*expected, *got) {
        (Answer::Found { pa, gpa }, Answer::Found { pa: p, gpa: g }) => {
            number(Field::Pa, pa, p);
            (gpa, g)
        }
        (
            Answer::Trap {
                cause,
                tval,
                tval2,
                tinst,
                gva,
                gpa,
            },
            Answer::Trap {
                cause: got_cause,
                tval: got_tval,
                tval2: got_tval2,
                tinst: got_tinst,
                gva: got_gva,
                gpa: got_gpa,
            },
        ) => {
            number(Field::Tval, tval, got_tval);
            number(Field::Tval2, tval2, got_tval2);
            number(Field::Tinst, tinst, got_tinst);
            number(Field::Gva, gva.into(), got_gva.into());
            if cause != got_cause {
                differences.push(Difference::new(Field::Cause, cause, got_cause));
            }
            (gpa, got_gpa)
        }
        _ => {
            let (expected, got) = (describe(expected), describe(got));
            differences.push(Difference::new(Field::Ok, expected, got));
            return;
        }
    };
    if expected_gpa != got_gpa {
        let gpa = |gpa: Option<u64>| gpa.map_or_else(|| "none".into(), hex);
        differences.push(Difference::new(Field::Gpa, gpa(expected_gpa), gpa(got_gpa)));
    }
}

/// Returns a short description of a response.
pub fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Found { pa, .. } => format!("pa {pa:x}"),
        Answer::Trap { cause, .. } => format!("cause {cause}"),
    }
}

/// Adds the differences between memory reads. Reads on the way to the update of a VS-stage entry
/// are optional if the vector has such an update. No other reads are.
pub fn compare_reads(vector: &Vector, got: &[(Hpa, Tag)], differences: &mut Vec<Difference>) {
    let kept = |reads: &[(Hpa, Tag)]| -> Vec<(Hpa, Tag)> {
        let kept = reads.iter().filter(|(_, tag)| !tag.is_for_update());
        kept.copied().collect()
    };
    let free = !vector.writes.is_empty() || vector.reads.iter().any(|(_, tag)| tag.is_for_update());
    let same = if free {
        kept(&vector.reads) == kept(got)
    } else {
        vector.reads == got
    };
    if !same {
        let (expected, got) =
            first_difference(&vector.reads, got, |(at, tag)| format!("{at:x} {tag}"));
        differences.push(Difference::new(Field::Reads, expected, got));
    }
}

/// Returns the first place where two lists differ, with its number from 1.
pub fn first_difference<T: PartialEq>(
    expected: &[T],
    got: &[T],
    text: impl Fn(&T) -> String,
) -> (String, String) {
    let same = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let place = |list: &[T]| match list.get(same) {
        Some(item) => format!("#{}: {}", same + 1, text(item)),
        None => format!("{} in all", list.len()),
    };
    (place(expected), place(got))
}

/// Adds how memory differs afterwards, both by ascending address.
pub fn compare_memory(vector: &Vector, got: &[(Hpa, u64)], differences: &mut Vec<Difference>) {
    let expected = vector.memory_after();
    if expected == got {
        return;
    }
    let text = |words: &[(Hpa, u64)], others: &[(Hpa, u64)]| {
        let own = words.iter().filter(|word| !others.contains(word));
        let own: Vec<_> = own.map(|(at, word)| format!("{at:x}: {word:x}")).collect();
        own.join(", ")
    };
    differences.push(Difference::new(
        Field::Memory,
        text(&expected, got),
        text(got, &expected),
    ));
}

/// The memory of a vector, as a walk uses it.
#[derive(Clone, Debug)]
pub struct Words {
    /// The words, by ascending address.
    pub words: Vec<(Hpa, u64)>,
    /// Every update, in order: where, and the new word.
    pub updates: Vec<(Hpa, u64)>,
}

impl Words {
    /// Makes the memory before the access.
    pub fn of(vector: &Vector) -> Self {
        Self {
            words: vector.memory.clone(),
            updates: Vec::new(),
        }
    }
}

impl EntryMemory for Words {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        let index = self.words.binary_search_by_key(&at, |&(at, _)| at).ok()?;
        Some(self.words[index].1)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        let index = self.words.binary_search_by_key(&at, |&(at, _)| at).ok()?;
        let found = self.words[index].1;
        if found == expected {
            self.words[index].1 = new;
            self.updates.push((at, new));
        }
        Some(found)
    }
}

/// A vector's translation on the golden model.
#[derive(Clone, Debug)]
pub struct GoldenWalk {
    /// The result of the walk.
    pub found: Result<Mapping, Fault>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Memory afterwards, and the updates.
    pub memory: Words,
}

impl GoldenWalk {
    /// Walks for a vector.
    pub fn of(vector: &Vector) -> Self {
        let mut memory = Words::of(vector);
        let mut steps = Vec::new();
        let found = golden::walk(vector.format(), &vector.query(), &mut memory, &mut steps);
        Self {
            found,
            steps,
            memory,
        }
    }

    /// Returns the entries read, in order.
    pub fn reads(&self, virt: bool) -> Vec<(Hpa, Tag)> {
        let read = |step: &Step| match step {
            Step { update: None, .. } => Some((step.hpa?, Tag::of(step.at, virt))),
            _ => None,
        };
        self.steps.iter().filter_map(read).collect()
    }

    /// Returns the entries updated, in order. (No other hart is there to get in between.)
    pub fn writes(&self, virt: bool) -> Vec<(Hpa, u64, Tag)> {
        let update = |step: &Step| match step.meaning {
            Meaning::Fault(_) => None,
            _ => Some((step.hpa?, step.update?, Tag::of(step.at, virt))),
        };
        self.steps.iter().filter_map(update).collect()
    }

    /// Returns the differences from the vector.
    pub fn differences(&self, vector: &Vector) -> Vec<Difference> {
        let mut differences = Vec::new();
        if let Ok(effective) = vector.csrs.effective(vector.kind)
            && effective != vector.effective
        {
            let text = |(privilege, virt)| format!("{privilege:?}, V={}", u8::from(virt));
            let (expected, got) = (text(vector.effective), text(effective));
            differences.push(Difference::new(Field::Effective, expected, got));
        }
        let got = answer(&vector.query(), &golden::outcome(&self.found));
        compare_answers(&vector.expect, &got, &mut differences);
        let virt = vector.context.virt;
        compare_reads(vector, &self.reads(virt), &mut differences);
        let writes = self.writes(virt);
        if writes != vector.writes {
            let text = |(at, word, tag): &_| format!("{at:x} {tag} := {word:x}");
            let (expected, got) = first_difference(&vector.writes, &writes, text);
            differences.push(Difference::new(Field::Writes, expected, got));
        }
        compare_memory(vector, &self.memory.words, &mut differences);
        differences
    }
}
