// SPDX-License-Identifier: Apache-2.0
//! Walks of RISC-V as text: entries by their fields, and the clauses by which a walk faults.
//!
//! Step numbers and quotations are from the "Virtual Address Translation Process" of the privileged
//! specification, numbered as in [`crate::golden::riscv`].

use std::fmt::Write;

use serde_json::{Value, json};

use super::formats::ReportFormat;
use super::text::count;
use crate::format::Format;
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE, mode_name};
use crate::golden::{self, Mapping, Meaning, Step};
use crate::mmu::{
    Access, Context, Fault, FaultKind, MemoryType, Position, Purpose, Query, Stage, Translation,
    describe_outcome,
};
use crate::scenario::size_name;

/// The RISC-V formats.
pub(super) struct Riscv;

impl ReportFormat for Riscv {
    fn query(&self, query: &Query) -> String {
        self::query(query)
    }

    fn query_json(&self, query: &Query) -> Value {
        let context = &query.context;
        json!({
            "access": query.access,
            "gva": query.gva,
            "v": context.virt,
            "priv": if context.user { "u" } else { "s" },
            "mode": mode_name(Stage::Guest, context.guest.levels),
            "root": context.guest_root(),
            "g_mode": context.virt.then(|| mode_name(Stage::Host, context.host.levels)).flatten(),
            "g_root": (context.host.levels > 0).then_some(context.host.root),
            "asid": context.asid,
            "vmid": context.virt.then_some(context.vmid),
            "sum": context.sum,
            "guest_mxr": context.guest.mxr,
            "host_mxr": context.host.mxr,
            "adue": context.guest.adue,
            "g_adue": context.host.adue,
            "pbmte": context.guest.pbmte,
            "g_pbmte": context.host.pbmte,
            "svnapot": context.napot,
        })
    }

    fn translation_json(&self, translation: &Translation) -> Value {
        json!({
            "gpa": translation.gpa,
            "hpa": translation.hpa,
            "page_bytes": 1u64 << translation.page_size,
            "memory_type": translation.memory_type,
        })
    }

    fn add_mapping(&self, mapping: &Mapping, walk: &mut Value) {
        walk["page_bytes"] = json!(1u64 << mapping.page_size);
        walk["memory_type"] = json!(mapping.memory_type);
    }

    fn note(&self, format: Format, step: &Step) -> String {
        note(step, format)
    }

    fn fault(&self, format: Format, step: &Step, kind: FaultKind) -> String {
        note(step, format) + &reason(kind, &step.at, step.word)
    }

    fn to_be_set(&self, step: &Step) -> &'static str {
        to_be_set(step)
    }

    fn word_digits(&self, format: Format) -> usize {
        format.geometry().pte_width as usize / 4
    }

    fn fields(&self) -> Option<fn(u64) -> String> {
        Some(fields)
    }

    fn found(&self, format: Format, mapping: &Mapping, steps: &[Step]) -> String {
        let outcome = golden::outcome(&Ok(*mapping));
        format!(
            "{}: {}",
            describe_outcome(&outcome, format),
            accesses(steps)
        )
    }

    fn faulted(&self, format: Format, fault: &Fault, steps: &[Step]) -> String {
        // The trap is printed on a line of its own.
        let fault = Fault {
            trap: None,
            ..*fault
        };
        format!("{}: {}", fault.describe(format), accesses(steps))
    }

    fn trap(&self, fault: &Fault, query: &Query) -> Option<String> {
        trap(fault, query)
    }

    fn why(&self, fault: &Fault, query: &Query, steps: &[Step]) -> Option<String> {
        Some(why(fault, query, steps))
    }
}

/// Describes the number of memory reads, and of updates if there are any.
fn accesses(steps: &[Step]) -> String {
    let made = |update: bool| {
        let of_kind = |s: &&Step| s.hpa.is_some() && s.update.is_some() == update;
        steps.iter().filter(of_kind).count()
    };
    let reads = count(made(false) as u64, "memory read");
    match made(true) {
        0 => reads,
        updates => format!("{reads} and {}", count(updates as u64, "update")),
    }
}

fn mode(stage: Stage, levels: u8) -> String {
    let name = mode_name(stage, levels).unwrap_or("bare");
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

/// Describes a query in one line. Bits that are rarely set are named only if they are set.
fn query(query: &Query) -> String {
    let Context {
        virt,
        guest,
        host,
        user,
        sum,
        napot,
        rights: _,
        asid,
        vmid,
    } = query.context;
    let privilege = match (virt, user) {
        (true, true) => "VU-mode",
        (true, false) => "VS-mode",
        (false, true) => "U-mode",
        (false, false) => "S-mode",
    };
    let mut text = format!(
        "{} gVA {} in {privilege}; {}",
        query.access,
        query.gva,
        mode(Stage::Guest, guest.levels)
    );
    // Writing to a string does not fail.
    if guest.levels > 0 {
        let space = if virt { "gPA" } else { "hPA" };
        let _ = write!(text, " root {space} {}", guest.root);
    }
    if virt {
        let _ = write!(text, ", {}", mode(Stage::Host, host.levels));
        if host.levels > 0 {
            let _ = write!(text, " root hPA {}", host.root);
        }
    }
    let _ = write!(text, ", ASID {asid}");
    if virt {
        let _ = write!(text, ", VMID {vmid}");
    }
    for (name, set) in [
        ("SUM", sum),
        ("MXR", guest.mxr && (host.mxr || !virt)),
        ("vsstatus.MXR", guest.mxr && !host.mxr && virt),
        ("MXR of the G-stage", host.mxr && !guest.mxr),
        ("ADUE", guest.adue),
        ("ADUE of the G-stage", host.adue),
        ("PBMTE", guest.pbmte),
        ("PBMTE of the G-stage", host.pbmte),
        ("Svnapot", napot),
    ] {
        if set {
            let _ = write!(text, ", {name}");
        }
    }
    text
}

/// Describes the fields of an entry: page number, the bits D to V by their letters, and rare fields
/// only if they are set.
fn fields(word: u64) -> String {
    let entry = Entry(word);
    if !entry.valid() && word == 0 {
        return "0".to_owned();
    }
    let rights = entry.rights();
    let letters = [
        ('D', entry.dirty()),
        ('A', entry.accessed()),
        ('G', entry.global()),
        ('U', entry.user()),
        ('X', rights.execute),
        ('W', rights.write),
        ('R', rights.read),
        ('V', entry.valid()),
    ];
    let letters: String = letters
        .into_iter()
        .map(|(letter, set)| if set { letter } else { '-' })
        .collect();
    let mut text = format!("PPN 0x{:X} {letters}", entry.address() >> 12);
    if entry.rsw() != 0 {
        let _ = write!(text, " RSW {}", entry.rsw());
    }
    match (entry.pbmt(), MemoryType::of(entry.pbmt())) {
        (0, _) => {}
        (_, Some(kind)) => {
            let _ = write!(text, " PBMT {}", kind.name().to_uppercase());
        }
        (pbmt, None) => {
            let _ = write!(text, " PBMT {pbmt}");
        }
    }
    if entry.napot() {
        text.push_str(" N");
    }
    if entry.reserved_set() {
        let _ = write!(text, " bits 60:54 0x{:X}", word >> 54 & 0x7F);
    }
    text
}

/// Returns log2 of the size in bytes of a leaf's page; none for a pointer or no entry.
fn leaf_size(step: &Step, format: Format) -> Option<u32> {
    let geometry = format.geometry();
    let entry = Entry(step.word?);
    (!entry.is_pointer()).then(|| match entry.napot() {
        true => NAPOT_PAGE_SIZE,
        false => geometry.offset_width + step.at.level() * geometry.index_width,
    })
}

/// Describes the page of a leaf, or the result of an update, before the decision of the step.
fn note(step: &Step, format: Format) -> String {
    match (step.update, step.word, step.meaning) {
        (Some(new), Some(found), meaning) => {
            if !swapped(found, new, meaning) {
                return "compare-and-swap found another entry; ".to_owned();
            }
            let (before, after) = (Entry(found), Entry(new));
            let mut set = Vec::new();
            if !before.accessed() {
                set.push("A");
            }
            if after.dirty() && !before.dirty() {
                set.push("D");
            }
            format!("compare-and-swap sets {}; ", set.join(" and "))
        }
        (None, Some(_), Meaning::DataGpa(_) | Meaning::Found(_)) => leaf_size(step, format)
            .map_or_else(String::new, |size| {
                format!("leaf of {}; ", size_name(size).to_uppercase())
            }),
        _ => String::new(),
    }
}

/// Returns true if a compare-and-swap to `new` that found `found` took place. Then `new` is `found`
/// with A, or A and D, set, and the walk neither sets a bit nor faults.
fn swapped(found: u64, new: u64, meaning: Meaning) -> bool {
    let (found, new) = (Entry(found), Entry(new));
    let set = found
        .with_accessed(true)
        .with_dirty(found.dirty() || new.dirty());
    set == new && found != new && matches!(meaning, Meaning::DataGpa(_) | Meaning::Found(_))
}

/// Names the bit of a leaf that is set before the walk continues.
fn to_be_set(step: &Step) -> &'static str {
    match step.word.map(|word| Entry(word).accessed()) {
        Some(true) => "D=0, to be set by hardware first",
        _ => "A=0, to be set by hardware first",
    }
}

/// The bits of a leaf that do not permit the access.
#[derive(Clone, Copy)]
struct Denied {
    bits: &'static str,
    /// The step of the process that checks them.
    step: u32,
}

impl Denied {
    /// Makes a denial by U and SUM.
    const fn by_mode(bits: &'static str) -> Self {
        Self { bits, step: 6 }
    }

    /// Makes a denial by R, W and X.
    const fn by_rights(bits: &'static str) -> Self {
        Self { bits, step: 8 }
    }
}

/// The part of an entry that causes a fault.
#[derive(Clone, Copy)]
enum Why {
    /// The contents of the entry, or a memory error when it was read.
    Entry,
    /// The rights of the entry.
    Denied(Denied),
    /// The update of the entry.
    Update,
    /// There was no entry to read.
    NoEntry,
}

fn denied(query: &Query, at: &Position, word: u64) -> Denied {
    let entry = Entry(word);
    let rights = entry.rights();
    let context = &query.context;
    let (mxr, access) = match *at {
        Position::Guest { .. } => {
            match (context.user, entry.user(), query.access) {
                (true, false, _) => return Denied::by_mode("U=0: not a user page"),
                (false, true, Access::Fetch) => {
                    return Denied::by_mode("U=1: supervisor mode cannot fetch from a user page");
                }
                (false, true, _) if !context.sum => {
                    return Denied::by_mode("U=1: a user page, and SUM=0");
                }
                _ => {}
            }
            (context.guest.mxr, query.access)
        }
        Position::Host { .. } if !entry.user() => {
            return Denied::by_mode("U=0: the G-stage treats every access as a user access");
        }
        Position::Host { purpose, .. } => match purpose {
            Purpose::Data => (context.host.mxr, query.access),
            Purpose::GuestEntry(_) => {
                return Denied::by_rights("R=0: an implicit read needs R, and MXR does not apply");
            }
            Purpose::GuestUpdate(_) => {
                return Denied::by_rights("W=0: an implicit write needs W");
            }
        },
    };
    Denied::by_rights(match access {
        Access::Load if rights.execute && !mxr => "R=0, and MXR=0",
        Access::Load => "R=0",
        Access::Store => "W=0",
        Access::Fetch => "X=0",
        Access::LoadExecute => "X=0: HLVX needs X in both stages",
    })
}

/// Names the bits for a fault about rights, and the clause by which the walk faults.
fn why(fault: &Fault, query: &Query, steps: &[Step]) -> String {
    let last = steps.last();
    let word = last.and_then(|step| step.word);
    let why = match (fault.kind, word) {
        (FaultKind::Permission, Some(word)) => Why::Denied(denied(query, &fault.at, word)),
        (FaultKind::Memory, _) => match last {
            Some(step) if step.update.is_some() => Why::Update,
            Some(_) => Why::Entry,
            None => Why::NoEntry,
        },
        _ => Why::Entry,
    };
    match why {
        Why::Denied(denied) => format!("{}; {}", denied.bits, clause(fault, why)),
        _ => clause(fault, why),
    }
}

/// Describes the reason of a fault in a few words.
fn reason(kind: FaultKind, at: &Position, word: Option<u64>) -> String {
    let stage = match at.stage() {
        Stage::Guest => "this mode",
        Stage::Host => "the G-stage's mode",
    };
    match kind {
        FaultKind::Memory => "memory returns an error, or there is no memory".to_owned(),
        FaultKind::Misaligned => "a superpage whose low PPN bits are not 0".to_owned(),
        FaultKind::Width if at.stage() == Stage::Guest => {
            format!("not canonical: the bits above {stage}'s are not its top bit")
        }
        FaultKind::Width => format!("a gPA wider than {stage}"),
        FaultKind::Reserved => "reserved bits or encodings are set".to_owned(),
        FaultKind::Invalid => match word.map(|word| Entry(word).valid()) {
            Some(true) => "W=1 and R=0".to_owned(),
            _ => "V=0".to_owned(),
        },
        FaultKind::Permission => "U, R, W or X does not permit the access".to_owned(),
        FaultKind::AccessedDirty => match word.map(|word| Entry(word).accessed()) {
            Some(true) => "D=0, and no hardware update".to_owned(),
            _ => "A=0, and no hardware update".to_owned(),
        },
        FaultKind::Pointer => "a pointer at level 0".to_owned(),
    }
}

/// Quotes the clause of the privileged specification by which a walk faults.
fn clause(fault: &Fault, why: Why) -> String {
    let process = "\"Virtual Address Translation Process\"";
    let guest = fault.at.stage() == Stage::Guest;
    let text = match fault.kind {
        FaultKind::Memory if matches!(why, Why::Update) => format!(
            "{process}, step 9: \"If a store to the PTE at address a+va.vpn[i]×PTESIZE would \
             violate a PMA or PMP check, raise an access-fault exception corresponding to the \
             original access type\""
        ),
        FaultKind::Memory if matches!(why, Why::NoEntry) => {
            "\"Physical Memory Attributes\": no stage translates the address, and it is wider \
             than an hPA, so there is no memory: an access fault"
                .to_owned()
        }
        FaultKind::Memory => format!(
            "{process}, step 2: \"If accessing pte violates a PMA or PMP check, raise an \
             access-fault exception corresponding to the original access type\""
        ),
        FaultKind::Invalid => {
            format!("{process}, step 3: \"If pte.v=0, or if pte.r=0 and pte.w=1\"")
        }
        FaultKind::Reserved => format!(
            "{process}, step 3: \"if any bits or encodings that are reserved for future standard \
             use are set within pte\""
        ),
        FaultKind::Pointer => format!(
            "{process}, step 4: \"Let i=i-1. If i<0, stop and raise a page-fault exception\""
        ),
        FaultKind::Permission => match why {
            Why::Denied(Denied { step: 6, .. }) => format!(
                "{process}, step 6: \"Determine if the requested memory access is allowed by the \
                 pte.u bit, given the current privilege mode and the value of the SUM and MXR \
                 fields\""
            ),
            _ => format!(
                "{process}, step 8: \"Determine if the requested memory access is allowed by the \
                 pte.r, pte.w, and pte.x bits\""
            ),
        },
        FaultKind::Misaligned => format!(
            "{process}, step 5: \"If i>0 and pte.ppn[i-1:0] is not 0, this is a misaligned \
             superpage\""
        ),
        FaultKind::AccessedDirty => format!(
            "{process}, step 9: \"If pte.a=0, or if the original memory access is a store and \
             pte.d=0\"; it is a fault because ADUE=0, so the extension Svade applies"
        ),
        FaultKind::Width if guest => {
            "\"Sv39: Addressing and Memory Protection\" (Sv48 and Sv57 likewise): the bits above \
             must all be equal to the top bit translated, \"or else a page-fault exception will \
             occur\""
                .to_owned()
        }
        FaultKind::Width => {
            "\"Guest Physical Address Translation\": address bits above those that the mode \
             translates \"must all be zeros, or else a guest-page-fault exception occurs\""
                .to_owned()
        }
    };
    let Position::Host { purpose, .. } = fault.at else {
        return text;
    };
    let as_user = fault.kind == FaultKind::Permission;
    let of_host = match (fault.kind, purpose) {
        (FaultKind::Memory | FaultKind::Width, _) => "",
        (_, Purpose::Data) if as_user => {
            "; in the G-stage, \"Guest Physical Address Translation\": accesses are \"considered \
             to be user-level accesses\", and the exception is a guest-page fault"
        }
        (_, Purpose::Data) => {
            "; in the G-stage, \"Guest Physical Address Translation\": the exception is a \
             guest-page fault"
        }
        (_, Purpose::GuestEntry(_)) => {
            "; in the G-stage, for an implicit read of a VS-stage entry, which needs R: a \
             guest-page fault \"reported for the original access type\""
        }
        (_, Purpose::GuestUpdate(_)) => {
            "; in the G-stage, for an implicit write of a VS-stage entry's A and D bits: a \
             guest-page fault \"reported for the original access type\""
        }
    };
    text + of_host
}

/// Describes the registers of a trap in one line.
fn trap(fault: &Fault, query: &Query) -> Option<String> {
    let trap = fault.trap?;
    let mut text = format!("{}; xtval {}", trap.describe(), query.gva);
    if trap.gva {
        text.push_str(" with GVA=1");
    }
    if let Position::Host { gpa, purpose, .. } = fault.at
        && trap.cause >= 20
    {
        let _ = write!(text, "; tval2 is gPA {gpa} >> 2");
        match purpose {
            Purpose::Data => {}
            // "(b) a nonzero value (the faulting guest physical address) is written".
            _ if trap.tval2 == 0 => text.push_str("; it is 0, so tinst is 0 too"),
            Purpose::GuestEntry(_) => text.push_str("; tinst: an implicit read"),
            Purpose::GuestUpdate(_) => text.push_str("; tinst: an implicit write"),
        }
    }
    Some(text)
}
