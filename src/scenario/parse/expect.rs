// SPDX-License-Identifier: Apache-2.0
//! The expectations of an access.

use super::error::{Problem, Result};
use super::reader::{Field, Table, one_of};
use super::{formats, riscv};
use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::mmu::{FaultKind, Purpose, Stage};
use crate::scenario::{Expect, ExpectEntry, ExpectFault};

/// The largest number of memory accesses of a walk, in any format.
const MOST_ACCESSES: u32 = 1000;

pub(super) fn expect(field: &Field<'_>, format: Format) -> Result<Expect> {
    let table = field.table("`expect`")?;
    let mut expect = read(&table, format, &["hit", "device"])?;
    if let Some(field) = table.get("device") {
        let device = field.table("`device` of `expect`")?;
        if device.keys().is_empty() {
            return Err(field.wrong(
                "`device` has no key",
                "the expectations of the device alone",
            ));
        }
        expect.device = Some(Box::new(read(&device, format, &[])?));
    }
    Ok(expect)
}

/// Reads the expectations. `also` has keys that the table may have in addition to the common ones.
fn read(table: &Table<'_>, format: Format, also: &[&str]) -> Result<Expect> {
    let mut known = vec!["hpa", "gpa", "reads", "accesses", "fault", "entries"];
    known.extend(also);
    known.extend(formats::of(format).expect_keys());
    table.only(&known)?;
    let mut expect = Expect {
        hpa: hpa(table, "hpa", format)?,
        gpa: gpa(table, "gpa", format)?,
        ..Expect::default()
    };
    if let Some(reads) = table.get("reads") {
        let width = format.geometry().hpa_width;
        let reads = reads.array("a list of hPAs")?;
        let reads: Result<Vec<Hpa>> = reads
            .iter()
            .map(|read| Ok(Hpa(read.address("hPA", width)?)))
            .collect();
        expect.reads = Some(reads?);
    }
    if let Some(accesses) = table.get("accesses") {
        expect.accesses = Some(accesses.number_u32(0, MOST_ACCESSES)?);
    }
    if let Some(hit) = table.get("hit") {
        expect.hit = Some(hit.boolean()?);
    }
    if let Some(field) = table.get("cause") {
        expect.cause = Some(field.number_u16(63)? as u8);
    }
    if let Some(field) = table.get("tval2") {
        expect.tval2 = Some(field.number(0, u64::MAX)?);
    }
    if let Some(field) = table.get("tinst") {
        expect.tinst = Some(field.number_u16(u16::MAX)?);
    }
    if let Some(field) = table.get("gva") {
        expect.gva = Some(field.boolean()?);
    }
    if let Some(field) = table.get("page") {
        expect.page_size = Some(riscv::page_size(&field, format)?);
    }
    if let Some(field) = table.get("memory_type") {
        expect.memory_type = Some(riscv::memory_type(&field)?);
    }
    trap_and_translation(table)?;
    if let Some(field) = table.get("fault") {
        for key in ["hpa", "gpa", "page", "memory_type"] {
            if let Some(other) = table.get(key) {
                return Err(Problem::at(
                    &field.key_span,
                    format!("`expect` has `{key}` and `fault`"),
                )
                .label("an access that ends in a fault is not translated")
                .also(&other.key_span, "the translation that contradicts it"));
            }
        }
        expect.fault = Some(fault(&field, format)?);
    }
    if let Some(entries) = table.get("entries") {
        for item in entries.array("a list of { stage = ..., level = ..., ... }")? {
            expect.entries.push(entry(&item, format)?);
        }
    }
    Ok(expect)
}

/// Checks that a trap and a translation are not both expected.
fn trap_and_translation(table: &Table<'_>) -> Result<()> {
    let first = |keys: &[&'static str]| keys.iter().find_map(|key| table.get(key));
    let trap = first(&["cause", "tval2", "tinst", "gva"]);
    let found = first(&["hpa", "gpa", "page", "memory_type"]);
    if let (Some(trap), Some(found)) = (&trap, &found) {
        return Err(Problem::at(
            &trap.key_span,
            format!("`expect` has `{}` and `{}`", found.name, trap.name),
        )
        .label("an access that traps is not translated")
        .also(&found.key_span, "the translation that contradicts it"));
    }
    Ok(())
}

fn hpa(table: &Table<'_>, key: &'static str, format: Format) -> Result<Option<Hpa>> {
    let width = format.geometry().hpa_width;
    let address = table.get(key).map(|field| field.address("hPA", width));
    Ok(address.transpose()?.map(Hpa))
}

fn gpa(table: &Table<'_>, key: &'static str, format: Format) -> Result<Option<Gpa>> {
    let width = format.geometry().gpa_width;
    let address = table.get(key).map(|field| field.address("gPA", width));
    Ok(address.transpose()?.map(Gpa))
}

fn fault(field: &Field<'_>, format: Format) -> Result<ExpectFault> {
    let table = field.table("`fault`")?;
    let mut known = vec!["kind", "stage", "level", "gpa", "for"];
    if format.updates_entries() {
        known.push("update");
    }
    table.only(&known)?;
    let kinds = FaultKind::ALL.map(|kind| (kind.name(), kind));
    let fault = ExpectFault {
        kind: table
            .require("kind", &one_of(&kinds.map(|(name, _)| name)))?
            .choice("kind of fault", &kinds)?,
        stage: table.get("stage").map(|field| stage(&field)).transpose()?,
        level: table
            .get("level")
            .map(|field| level(&field, format))
            .transpose()?,
        gpa: gpa(&table, "gpa", format)?,
        purpose: table
            .get("for")
            .map(|field| purpose(&field, format))
            .transpose()?,
    };
    let fault = of_update(fault, &table)?;
    if fault.stage == Some(Stage::Guest) {
        for key in ["gpa", "for", "update"] {
            if let Some(field) = table.get(key) {
                return Err(Problem::at(
                    &field.key_span,
                    format!("`{key}` of a fault of the guest stage"),
                )
                .label("only a fault of the host stage has it: the gPA that is translated"));
            }
        }
    }
    Ok(fault)
}

/// Reads `update`: the fault was at the update of a guest entry, and not at its read.
fn of_update(mut fault: ExpectFault, table: &Table<'_>) -> Result<ExpectFault> {
    let Some(field) = table.get("update") else {
        return Ok(fault);
    };
    match (field.boolean()?, fault.purpose) {
        (false, _) => {}
        (true, Some(Purpose::GuestEntry(level))) => {
            fault.purpose = Some(Purpose::GuestUpdate(level));
        }
        (true, _) => {
            return Err(
                Problem::at(&field.key_span, "`update` without a guest entry")
                    .label("goes with `for` = the level of that entry"),
            );
        }
    }
    Ok(fault)
}

fn entry(field: &Field<'_>, format: Format) -> Result<ExpectEntry> {
    if !field.is_table() {
        return Err(field.wrong_kind("{ stage = ..., level = ..., ... }"));
    }
    let table = field.table("an entry")?;
    table.only(&["stage", "level", "gpa", "hpa", "word", "access"])?;
    let entry = ExpectEntry {
        stage: stage(&table.require("stage", "whose table it is in, \"guest\" or \"host\"")?)?,
        level: level(&table.require("level", "the name of its level")?, format)?,
        gpa: gpa(&table, "gpa", format)?,
        hpa: hpa(&table, "hpa", format)?,
        word: table
            .get("word")
            .map(|field| field.word(format))
            .transpose()?,
        access: table
            .get("access")
            .map(|field| field.number_u32(1, MOST_ACCESSES))
            .transpose()?,
    };
    if let (Stage::Host, Some(field)) = (entry.stage, table.get("gpa")) {
        return Err(
            Problem::at(&field.key_span, "`gpa` of an entry of the host's table")
                .label("it has only an hPA"),
        );
    }
    Ok(entry)
}

fn stage(field: &Field<'_>) -> Result<Stage> {
    field.choice("stage", &[("guest", Stage::Guest), ("host", Stage::Host)])
}

fn levels<T>(format: Format, value: impl Fn(u32) -> T) -> Vec<(String, T)> {
    let levels = (0..format.geometry().levels).rev();
    levels
        .map(|level| (format.level_name(level), value(level)))
        .collect()
}

fn choice<T: Clone>(field: &Field<'_>, what: &str, options: &[(String, T)]) -> Result<T> {
    let options: Vec<(&str, T)> = options
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    field.choice(what, &options)
}

fn level(field: &Field<'_>, format: Format) -> Result<u32> {
    choice(field, "level", &levels(format, |level| level))
}

fn purpose(field: &Field<'_>, format: Format) -> Result<Purpose> {
    let mut options = levels(format, Purpose::GuestEntry);
    options.insert(0, ("data".to_owned(), Purpose::Data));
    choice(field, "purpose", &options)
}
