// SPDX-License-Identifier: Apache-2.0
//! The comparison of an access with the expectations of its scenario.

use std::borrow::Cow;
use std::fmt::Display;

use super::{Expect, ExpectEntry, ExpectFault, formats};
use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::golden::{self, Mapping, Step};
use crate::mmu::{Fault, FaultKind, Outcome, Position, Purpose, Stage, describe_outcome};

impl Expect {
    /// Returns true if a key of the response is expected.
    fn says_answer(&self) -> bool {
        self.hpa.is_some()
            || self.gpa.is_some()
            || self.fault.is_some()
            || self.cause.is_some()
            || self.tval2.is_some()
            || self.tinst.is_some()
            || self.gva.is_some()
            || self.page_size.is_some()
            || self.memory_type.is_some()
    }

    /// Returns true if a memory fault is expected: by its kind, or, in RISC-V, as an access fault
    /// by its cause.
    pub fn is_memory_fault(&self) -> bool {
        self.fault
            .as_ref()
            .is_some_and(|f| f.kind == FaultKind::Memory)
            || self.fault.is_none() && matches!(self.cause, Some(1 | 5 | 7))
    }

    /// Returns the expectations of the device. A response in [`Expect::device`] replaces the
    /// response of the golden walk. Its reads, number of accesses and entries replace those of the
    /// golden walk, each by itself.
    fn of_device(&self) -> Cow<'_, Expect> {
        let Some(device) = &self.device else {
            return Cow::Borrowed(self);
        };
        let answer = match device.says_answer() {
            true => device,
            false => self,
        };
        Cow::Owned(Expect {
            hpa: answer.hpa,
            gpa: answer.gpa,
            fault: answer.fault.clone(),
            cause: answer.cause,
            tval2: answer.tval2,
            tinst: answer.tinst,
            gva: answer.gva,
            page_size: answer.page_size,
            memory_type: answer.memory_type,
            reads: device.reads.clone().or_else(|| self.reads.clone()),
            accesses: device.accesses.or(self.accesses),
            entries: match device.entries.is_empty() {
                true => self.entries.clone(),
                false => device.entries.clone(),
            },
            hit: self.hit,
            device: None,
        })
    }

    /// Returns the differences, as text, from the walk of the golden model: its steps and its
    /// result. TLB hits are not compared.
    pub fn check_golden(
        &self,
        format: Format,
        steps: &[Step],
        found: &Result<Mapping, Fault>,
    ) -> Vec<String> {
        let mut differences = self.check_outcome(format, &golden::outcome(found));
        if let Some(gpa) = self.gpa {
            match found {
                Ok(mapping) if mapping.gpa == gpa => {}
                Ok(mapping) => differences.push(expected(
                    format_args!("gPA {gpa}"),
                    format_args!("gPA {}", mapping.gpa),
                )),
                Err(fault) => {
                    differences.push(expected(format_args!("gPA {gpa}"), fault.describe(format)))
                }
            }
        }
        let reads: Vec<(&Step, Hpa)> = steps
            .iter()
            .filter_map(|step| Some((step, step.hpa?)))
            .collect();
        let addresses: Vec<Hpa> = reads.iter().map(|&(_, hpa)| hpa).collect();
        differences.extend(self.check_reads(&addresses, found.is_ok()));
        for entry in &self.entries {
            differences.extend(check_entry(format, entry, &reads));
        }
        differences
    }

    /// Returns the differences, as text, from the observations of a device: the response, whether
    /// it was a TLB hit, and, for a walk, the table entries that it read with the words that memory
    /// returned (none: an error).
    pub fn check_device(
        &self,
        format: Format,
        outcome: &Outcome,
        hit: bool,
        reads: &[(Hpa, Option<u64>)],
    ) -> Vec<String> {
        self.of_device()
            .check_answer_and_reads(format, outcome, hit, reads)
    }

    fn check_answer_and_reads(
        &self,
        format: Format,
        outcome: &Outcome,
        hit: bool,
        reads: &[(Hpa, Option<u64>)],
    ) -> Vec<String> {
        let mut differences = self.check_outcome(format, outcome);
        if self.hit.is_some_and(|expected| expected != hit) {
            let name = |hit| {
                if hit {
                    "a TLB hit"
                } else {
                    "the result of a walk"
                }
            };
            differences.push(expected(name(!hit), name(hit)));
        }
        if formats::of(format).answers_with_gpa()
            && let (Some(gpa), Ok(found)) = (self.gpa, outcome)
            && found.gpa != gpa
        {
            differences.push(expected(
                format_args!("gPA {gpa}"),
                format_args!("gPA {}", found.gpa),
            ));
        }
        if hit {
            return differences;
        }
        let addresses: Vec<Hpa> = reads.iter().map(|&(hpa, _)| hpa).collect();
        differences.extend(self.check_reads(&addresses, outcome.is_ok()));
        for entry in &self.entries {
            let is_read = (1..).zip(reads).any(|(access, &(hpa, word))| {
                agrees(entry.hpa, hpa)
                    && agrees(entry.access, access)
                    && entry.word.is_none_or(|expected| word == Some(expected))
            });
            if !is_read {
                let entry = describe_expected(format, entry);
                let reads: Vec<String> = (1..)
                    .zip(reads)
                    .map(|(access, &(hpa, word))| describe_read(access, hpa, word))
                    .collect();
                differences.push(format!("expected {entry}; read {}", list(&reads)));
            }
        }
        differences
    }

    fn check_outcome(&self, format: Format, outcome: &Outcome) -> Vec<String> {
        let mut differences = Vec::new();
        let what = match (self.hpa, &self.fault, outcome) {
            (Some(hpa), _, Ok(translation)) if translation.hpa == hpa => None,
            (Some(hpa), _, _) => Some(format!("hPA {hpa}")),
            (None, Some(fault), Err(found)) if fault_agrees(fault, found) => None,
            (None, Some(fault), _) => Some(describe_expected_fault(format, fault)),
            (None, None, _) => None,
        };
        if let Some(what) = what {
            differences.push(expected(what, describe_outcome(outcome, format)));
        }
        let mut compare = |same: bool, what: String| {
            if !same {
                differences.push(expected(what, describe_outcome(outcome, format)));
            }
        };
        let trap = outcome.err().and_then(|fault| fault.trap);
        if let Some(cause) = self.cause {
            compare(
                trap.is_some_and(|t| t.cause == cause),
                format!("cause {cause}"),
            );
        }
        if let Some(tval2) = self.tval2 {
            compare(
                trap.is_some_and(|t| t.tval2 == tval2),
                format!("tval2 0x{tval2:X}"),
            );
        }
        if let Some(tinst) = self.tinst {
            compare(
                trap.is_some_and(|t| t.tinst == tinst),
                format!("tinst 0x{tinst:X}"),
            );
        }
        if let Some(gva) = self.gva {
            compare(
                trap.is_some_and(|t| t.gva == gva),
                format!("a trap with GVA={}", u8::from(gva)),
            );
        }
        if let Some(size) = self.page_size {
            let same = outcome.is_ok_and(|found| found.page_size == size);
            compare(same, format!("a page of 2^{size} bytes"));
        }
        if let Some(memory_type) = self.memory_type {
            let same = outcome.is_ok_and(|found| found.memory_type == memory_type);
            compare(same, format!("memory type {}", memory_type.name()));
        }
        differences
    }

    fn check_reads(&self, reads: &[Hpa], translated: bool) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(wanted) = &self.reads
            && wanted != reads
        {
            let at = (0..)
                .zip(wanted.iter().zip(reads))
                .find(|(_, (wanted, read))| wanted != read)
                .map_or(wanted.len().min(reads.len()), |(at, _)| at);
            differences.push(format!(
                "expected reads of {}, observed {}; read {} is the first that differs",
                list(wanted),
                list(reads),
                at + 1
            ));
        }
        // After a fault there is no data access.
        let accesses = reads.len() as u32 + u32::from(translated);
        if let Some(wanted) = self.accesses
            && wanted != accesses
        {
            differences.push(expected(
                format_args!("{wanted} memory accesses"),
                format_args!("{accesses}"),
            ));
        }
        differences
    }
}

fn expected(expected: impl Display, found: impl Display) -> String {
    format!("expected {expected}, observed {found}")
}

fn agrees<T: PartialEq>(expected: Option<T>, found: T) -> bool {
    expected.is_none_or(|expected| expected == found)
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

fn fault_agrees(expected: &ExpectFault, found: &Fault) -> bool {
    let (gpa, purpose) = match found.at {
        Position::Guest { .. } => (None, None),
        Position::Host { gpa, purpose, .. } => (Some(gpa), Some(purpose)),
    };
    expected.kind == found.kind
        && agrees(expected.stage, found.at.stage())
        && agrees(expected.level, found.at.level())
        && (expected.gpa.is_none() || expected.gpa == gpa)
        && (expected.purpose.is_none() || expected.purpose == purpose)
}

/// Describes the fields of an expected fault that are given, as [`Fault::describe`] does.
fn describe_expected_fault(format: Format, fault: &ExpectFault) -> String {
    let mut words = format!("{} fault", fault.kind);
    let place: Vec<String> = fault
        .stage
        .iter()
        .map(Stage::to_string)
        .chain(fault.level.map(|level| format.level_name(level)))
        .collect();
    if !place.is_empty() {
        words += &format!(" at {}", place.join(" "));
    }
    if let Some(gpa) = fault.gpa {
        words += &format!(", translating gPA {gpa}");
    }
    match fault.purpose {
        Some(Purpose::Data) => words += " of the data",
        Some(Purpose::GuestEntry(level)) => {
            words += &format!(" of the guest {} entry", format.level_name(level));
        }
        Some(Purpose::GuestUpdate(level)) => {
            words += &format!(
                " of the guest {} entry, to update it",
                format.level_name(level)
            );
        }
        None => {}
    }
    words
}

fn check_entry(format: Format, entry: &ExpectEntry, reads: &[(&Step, Hpa)]) -> Option<String> {
    let mut found = Vec::new();
    for (access, &(step, hpa)) in (1..).zip(reads) {
        if step.at.stage() != entry.stage || step.at.level() != entry.level {
            continue;
        }
        if agrees(entry.hpa, hpa)
            && (entry.stage == Stage::Host || agrees(entry.gpa, Gpa(step.entry)))
            && entry.word.is_none_or(|word| step.word == Some(word))
            && agrees(entry.access, access)
        {
            return None;
        }
        let mut read = describe_read(access, hpa, step.word);
        if entry.stage == Stage::Guest {
            read = format!("gPA 0x{:05X}, {read}", step.entry);
        }
        found.push(read);
    }
    Some(format!(
        "expected {}; of that table and level the walk reads {}",
        describe_expected(format, entry),
        list(&found)
    ))
}

fn describe_expected(format: Format, entry: &ExpectEntry) -> String {
    let mut words = format!("a {} {} entry", entry.stage, format.level_name(entry.level));
    if let Some(gpa) = entry.gpa {
        words += &format!(" at gPA {gpa}");
    }
    if let Some(hpa) = entry.hpa {
        words += &format!(" at hPA {hpa}");
    }
    if let Some(word) = entry.word {
        words += &format!(" that is 0x{word:05X}");
    }
    if let Some(access) = entry.access {
        words += &format!(" as access {access}");
    }
    words
}

fn describe_read(access: u32, hpa: Hpa, word: Option<u64>) -> String {
    match word {
        Some(word) => format!("hPA {hpa} that is 0x{word:05X} as access {access}"),
        None => format!("hPA {hpa}, an error, as access {access}"),
    }
}
