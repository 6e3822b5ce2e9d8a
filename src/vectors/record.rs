// SPDX-License-Identifier: Apache-2.0
//! A line of a file of vectors: its JSON, and what of it cannot be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::{Answer, Tag, Vector, VectorError};
use crate::addr::{Gva, Hpa};
use crate::format::fits;
use crate::format::riscv::{AccessKind, Csrs, Privilege, Xlen};

/// Bytes of the smallest page.
const PAGE_BYTES: u64 = 1 << 12;

/// A hexadecimal number, a JSON string without `0x`.
#[derive(Clone, Copy, Debug)]
struct Hex(u64);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;

        impl Visitor<'_> for HexVisitor {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hexadecimal number of up to 64 bits, as a string without 0x")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
                // from_str_radix would take a sign.
                let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
                number
                    .map(Hex)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(HexVisitor)
    }
}

/// A bit, the JSON number 0 or 1.
#[derive(Clone, Copy, Debug)]
struct Bit(bool);

impl<'de> Deserialize<'de> for Bit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Ok(Bit(false)),
            1 => Ok(Bit(true)),
            other => Err(de::Error::invalid_value(
                de::Unexpected::Unsigned(other),
                &"0 or 1",
            )),
        }
    }
}

/// A privilege mode, by number.
#[derive(Clone, Copy, Debug)]
struct Mode(Privilege);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Privilege::of(number).map(Mode).ok_or_else(|| {
            let expected = &"a privilege mode: 0 (U), 1 (S) or 3 (M)";
            de::Error::invalid_value(de::Unexpected::Unsigned(number), expected)
        })
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a vector: an object with id, xlen, ext, csrs, access, eff, mem, expect, reads and \
        writes"
)]
struct Record<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    r#gen: Cow<'a, str>,
    xlen: u64,
    #[serde(borrow)]
    ext: Extensions<'a>,
    csrs: Registers,
    #[serde(borrow)]
    access: Access<'a>,
    eff: Effective,
    mem: Vec<(Hex, Hex)>,
    expect: Expect,
    #[serde(borrow)]
    reads: Vec<(Hex, Cow<'a, str>)>,
    #[serde(borrow)]
    writes: Vec<(Hex, Hex, Cow<'a, str>)>,
    #[serde(borrow, default)]
    fault: Option<Remark<'a>>,
}

/// Extensions by their names, those that are modelled and others.
#[derive(Deserialize)]
#[serde(expecting = "the extensions: an object with svnapot, svpbmt and svadu")]
struct Extensions<'a> {
    svnapot: Bit,
    svpbmt: Bit,
    svadu: Bit,
    /// 0 states that the extension is absent, which is what is modelled.
    #[serde(borrow, flatten)]
    others: BTreeMap<Cow<'a, str>, u64>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the registers: an object with satp, vsatp, hgatp, priv, virt and the rest of csrs"
)]
struct Registers {
    satp: Hex,
    vsatp: Hex,
    hgatp: Hex,
    r#priv: Mode,
    virt: Bit,
    mxr: Bit,
    sum: Bit,
    mprv: Bit,
    mpp: Mode,
    mpv: Bit,
    vs_mxr: Bit,
    vs_sum: Bit,
    spvp: Bit,
    hu: Bit,
    m_adue: Bit,
    m_pbmte: Bit,
    h_adue: Bit,
    h_pbmte: Bit,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the access: an object with type, kind, size and va"
)]
struct Access<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// In bytes. It has no effect on a translation.
    size: Option<u64>,
    va: Hex,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "what the access is made with: an object with priv and virt"
)]
struct Effective {
    r#priv: Mode,
    virt: Bit,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "what is expected: an object with ok, and pa or cause"
)]
struct Expect {
    ok: bool,
    pa: Option<Hex>,
    gpa: Option<Hex>,
    cause: Option<u64>,
    tval: Option<Hex>,
    tval2: Option<Hex>,
    tinst: Option<Hex>,
    gva: Option<Bit>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a remark: an object with stage, level, for and why"
)]
struct Remark<'a> {
    #[serde(borrow, default)]
    stage: Cow<'a, str>,
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default)]
    r#for: Cow<'a, str>,
    #[serde(borrow, default)]
    why: Cow<'a, str>,
}

fn value(field: &'static str, message: impl Into<String>) -> VectorError {
    VectorError::Value {
        field,
        message: message.into(),
    }
}

/// Reads line `line` of a file.
///
/// # Errors
/// If it is not a vector.
pub fn parse(line: u64, text: &str) -> Result<Vector, VectorError> {
    let record: Record<'_> = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The place that serde_json reports is within the line. The caller adds the number of the
        // line.
        let message = message.rsplit_once(" at line ").map_or(&*message, |m| m.0);
        VectorError::Json {
            column: error.column(),
            message: message.into(),
        }
    })?;
    let xlen = Xlen::of(record.xlen)
        .ok_or_else(|| value("xlen", format!("xlen is 32 or 64, not {}", record.xlen)))?;
    if record.expect.ok && record.fault.is_some() {
        return Err(value(
            "fault",
            "it gives the fault of a walk, but expect.ok is true",
        ));
    }
    let kind = access_kind(&record.access)?;
    let csrs = registers(xlen, &record.csrs, &record.ext)?;
    let va = within("access.va", record.access.va, xlen.bits())?;
    if let Some(size) = record.access.size {
        access_size(va, size)?;
    }
    let memory = memory(xlen, &record.mem)?;
    let tagged = |tag: &str| tag.parse::<Tag>();
    let reads: Result<Vec<_>, VectorError> = record
        .reads
        .iter()
        .map(|(at, tag)| Ok((Hpa(at.0), tagged(tag)?)))
        .collect();
    let writes: Result<Vec<_>, VectorError> = record
        .writes
        .iter()
        .map(|(at, word, tag)| Ok((Hpa(at.0), word.0, tagged(tag)?)))
        .collect();
    let writes = writes?;
    let exists = |at| memory.binary_search_by_key(at, |&(at, _)| at).is_ok();
    if let Some((at, ..)) = writes.iter().find(|(at, ..)| !exists(at)) {
        return Err(value("writes", format!("mem has no word at {at:x}")));
    }
    Ok(Vector {
        line,
        id: record.id.into_owned(),
        generator: record.r#gen.into_owned(),
        csrs,
        kind,
        va: Gva(va),
        context: csrs.context(kind)?,
        effective: (record.eff.r#priv.0, record.eff.virt.0),
        memory,
        expect: answer(&record.expect)?,
        reads: reads?,
        writes,
        remark: record.fault.as_ref().map_or_else(String::new, remark),
    })
}

fn within(field: &'static str, Hex(number): Hex, width: u32) -> Result<u64, VectorError> {
    match fits(number, width) {
        true => Ok(number),
        false => Err(value(
            field,
            format!("{number:x} does not fit into {width} bits"),
        )),
    }
}

fn access_kind(access: &Access<'_>) -> Result<AccessKind, VectorError> {
    Ok(match (&*access.r#type, &*access.kind) {
        ("fetch", "plain") => AccessKind::Fetch,
        ("load", "plain") => AccessKind::Load,
        ("store", "plain") => AccessKind::Store,
        ("load", "hlv") => AccessKind::Hlv,
        ("load", "hlvx") => AccessKind::Hlvx,
        ("store", "hsv") => AccessKind::Hsv,
        ("fetch" | "load" | "store", kind @ ("hlv" | "hlvx" | "hsv")) => {
            let message = format!("there is no {} of the kind {kind}", access.r#type);
            return Err(value("access.kind", message));
        }
        ("fetch" | "load" | "store", kind) => {
            let message = format!("unknown kind {kind:?}: the kinds are plain, hlv, hlvx and hsv");
            return Err(value("access.kind", message));
        }
        (other, _) => {
            let message = format!("unknown type {other:?}: the types are load, store and fetch");
            return Err(value("access.type", message));
        }
    })
}

fn registers(
    xlen: Xlen,
    registers: &Registers,
    extensions: &Extensions<'_>,
) -> Result<Csrs, VectorError> {
    extensions_are_there(xlen, registers, extensions)?;
    let image = |field, image| within(field, image, xlen.bits());
    Ok(Csrs {
        xlen,
        satp: image("csrs.satp", registers.satp)?,
        vsatp: image("csrs.vsatp", registers.vsatp)?,
        hgatp: image("csrs.hgatp", registers.hgatp)?,
        privilege: registers.r#priv.0,
        virt: registers.virt.0,
        mxr: registers.mxr.0,
        sum: registers.sum.0,
        mprv: registers.mprv.0,
        mpp: registers.mpp.0,
        mpv: registers.mpv.0,
        vs_mxr: registers.vs_mxr.0,
        vs_sum: registers.vs_sum.0,
        spvp: registers.spvp.0,
        hu: registers.hu.0,
        m_adue: registers.m_adue.0,
        m_pbmte: registers.m_pbmte.0,
        h_adue: registers.h_adue.0,
        h_pbmte: registers.h_pbmte.0,
        svnapot: extensions.svnapot.0,
        svpbmt: extensions.svpbmt.0,
        svadu: extensions.svadu.0,
    })
}

/// Checks that the vector uses only extensions that it declares, and that all of them are modelled.
fn extensions_are_there(
    xlen: Xlen,
    registers: &Registers,
    extensions: &Extensions<'_>,
) -> Result<(), VectorError> {
    for (name, &there) in &extensions.others {
        if there != 0 {
            let message = format!(
                "{name:?} is {there}, and this extension is not modelled: an extension other than \
                 svnapot, svpbmt and svadu must be 0"
            );
            return Err(value("ext", message));
        }
    }
    for (field, set, extension, there) in [
        (
            "csrs.m_adue",
            registers.m_adue.0,
            "ext.svadu",
            extensions.svadu.0,
        ),
        (
            "csrs.h_adue",
            registers.h_adue.0,
            "ext.svadu",
            extensions.svadu.0,
        ),
        (
            "csrs.m_pbmte",
            registers.m_pbmte.0,
            "ext.svpbmt",
            extensions.svpbmt.0,
        ),
        (
            "csrs.h_pbmte",
            registers.h_pbmte.0,
            "ext.svpbmt",
            extensions.svpbmt.0,
        ),
    ] {
        if set && !there {
            return Err(value(field, format!("it is 1, but {extension} is 0")));
        }
    }
    for (field, set) in [
        ("ext.svnapot", extensions.svnapot.0),
        ("ext.svpbmt", extensions.svpbmt.0),
    ] {
        if set && xlen == Xlen::X32 {
            let message = "it is 1, but xlen is 32, whose entries have neither N nor PBMT";
            return Err(value(field, message));
        }
    }
    Ok(())
}

/// Checks the size: one translation has one page.
fn access_size(va: u64, size: u64) -> Result<(), VectorError> {
    if !matches!(size, 1 | 2 | 4 | 8 | 16) {
        let message = format!("the size is {size} bytes; an access has 1, 2, 4, 8 or 16");
        return Err(value("access.size", message));
    }
    if va % PAGE_BYTES + size > PAGE_BYTES {
        let message = format!(
            "{size} bytes at {va:x} are on two pages, which are two translations: give each of \
             them its own vector"
        );
        return Err(value("access.size", message));
    }
    Ok(())
}

fn memory(xlen: Xlen, words: &[(Hex, Hex)]) -> Result<Vec<(Hpa, u64)>, VectorError> {
    let geometry = xlen.format().geometry();
    let mut memory: Vec<(Hpa, u64)> = Vec::with_capacity(words.len());
    for &(at, word) in words {
        let at = within("mem", at, geometry.hpa_width)?;
        let word = within("mem", word, geometry.pte_width)?;
        if !at.is_multiple_of(geometry.pte_bytes()) {
            let message = format!("{at:x} is not a multiple of {}", geometry.pte_bytes());
            return Err(value("mem", message));
        }
        if let Some(&(Hpa(last), _)) = memory.last()
            && last >= at
        {
            let message = format!("{at:x} comes after {last:x}: addresses must ascend");
            return Err(value("mem", message));
        }
        memory.push((Hpa(at), word));
    }
    Ok(memory)
}

fn answer(expect: &Expect) -> Result<Answer, VectorError> {
    let missing = |field, given: Option<Hex>| {
        given
            .map(|hex| hex.0)
            .ok_or_else(|| value(field, "missing field"))
    };
    let gpa = expect.gpa.map(|hex| hex.0);
    let of_trap = [
        ("expect.cause", expect.cause.is_some()),
        ("expect.tval", expect.tval.is_some()),
        ("expect.tval2", expect.tval2.is_some()),
        ("expect.tinst", expect.tinst.is_some()),
        ("expect.gva", expect.gva.is_some()),
    ];
    let contradicts = match expect.ok {
        true => of_trap.into_iter().find(|(_, given)| *given),
        false => expect.pa.is_some().then_some(("expect.pa", true)),
    };
    if let Some((field, _)) = contradicts {
        let of = if expect.ok { "a trap" } else { "a translation" };
        let message = format!("the field belongs to {of}, but expect.ok is {}", expect.ok);
        return Err(value(field, message));
    }
    if expect.ok {
        return Ok(Answer::Found {
            pa: missing("expect.pa", expect.pa)?,
            gpa,
        });
    }
    Ok(Answer::Trap {
        cause: expect
            .cause
            .ok_or_else(|| value("expect.cause", "missing field"))?,
        tval: missing("expect.tval", expect.tval)?,
        tval2: missing("expect.tval2", expect.tval2)?,
        tinst: missing("expect.tinst", expect.tinst)?,
        gva: expect
            .gva
            .ok_or_else(|| value("expect.gva", "missing field"))?
            .0,
        gpa,
    })
}

/// Returns the remark as text, such as `G1 for V2: perm`.
fn remark(fault: &Remark<'_>) -> String {
    let purpose = match &*fault.r#for {
        "" => String::new(),
        purpose => format!(" for {purpose}"),
    };
    format!("{}{}{purpose}: {}", fault.stage, fault.level, fault.why)
}
