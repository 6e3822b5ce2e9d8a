// SPDX-License-Identifier: Apache-2.0
//! Scenario files of RISC-V: writing and reading agree, each error is reported at its place, and
//! the files of `scenarios/` hold on golden model and device.

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::format::{Family, Format};
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Fence, MemoryType, Purpose, Stage, StageControl};
use nestwalk::scenario::parse::{load, parse};
use nestwalk::scenario::write::to_toml;
use nestwalk::scenario::{
    AccessOp, Expect, ExpectFault, Holes, Machine, NamedContext, Op, Scenario, Timing,
};
use nestwalk::stimulus::{self, Profile};

use program::nestwalk;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| load(path).unwrap().machine.format.family() == Family::Riscv)
        .collect();
    files.sort();
    files
}

/// Writes a scenario and reads it back. Only the line numbers may differ.
fn round_trip(scenario: &Scenario) -> Scenario {
    let text = to_toml(scenario);
    let read = parse(&text, "written").unwrap_or_else(|error| panic!("{error}"));
    let ops = |scenario: &Scenario| -> Vec<Op> {
        let mut ops = scenario.ops.clone();
        for op in &mut ops {
            if let Op::Access(access) = op {
                access.line = None;
            }
        }
        ops
    };
    assert_eq!(read.title, scenario.title);
    assert_eq!(read.machine, scenario.machine);
    assert_eq!(read.memory.words(), scenario.memory.words());
    assert_eq!(read.holes, scenario.holes);
    assert_eq!(read.timing, scenario.timing);
    assert_eq!(read.contexts, scenario.contexts, "{text}");
    assert_eq!(ops(&read), ops(scenario), "{text}");
    assert_eq!(to_toml(&read), text);
    read
}

fn scenario(format: Format) -> Scenario {
    Scenario {
        title: "made by a test".into(),
        machine: Machine::of(format),
        memory: HostMemory::new(format),
        holes: Holes::Fault,
        timing: Timing::default(),
        contexts: Vec::new(),
        ops: vec![Op::Wait(1)],
    }
}

#[test]
fn files_of_the_project_are_written_as_ones_that_say_the_same() {
    let files = files();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        round_trip(&load(&file).unwrap());
    }
}

#[test]
fn random_scenarios_are_written_as_ones_that_say_the_same() {
    for format in [Format::Rv32, Format::Rv64] {
        for number in 0..30 {
            let profile = Profile {
                format,
                rights: false,
            };
            round_trip(&stimulus::scenario(profile, 5, number, 100));
        }
    }
}

#[test]
fn files_of_the_project_hold_on_the_golden_model_and_on_the_device() {
    for file in files() {
        for verb in ["walk", "run"] {
            let ran = nestwalk(&[verb, file.to_str().unwrap()]);
            assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn every_access_of_a_file_expects_a_translation_or_a_trap() {
    for file in files() {
        for op in load(&file).unwrap().ops {
            let Op::Access(access) = op else { continue };
            let expect = access.expect.unwrap_or_default();
            let says = expect.hpa.is_some() || expect.fault.is_some() && expect.cause.is_some();
            assert!(says, "{}: line {:?}", file.display(), access.line);
        }
    }
}

#[test]
fn the_examples_of_the_documentation_hold() {
    let docs = include_str!("../docs/scenarios.md");
    let example = docs.split("```toml\n").nth(2).unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.toml");
    fs::write(&file, example).unwrap();
    let ran = nestwalk(&["run", file.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn every_field_of_a_context_is_written_and_read() {
    // Two values of each field, in every combination of flags. There are two files, because the
    // contexts of a file are limited.
    for half in 0..2 {
        written_and_read((half << 10)..(half + 1) << 10);
    }
}

fn written_and_read(combinations: std::ops::Range<u32>) {
    let count = combinations.len();
    let mut all = scenario(Format::Rv64);
    all.contexts.clear();
    for bits in combinations {
        let bit = |n: u32| bits >> n & 1 != 0;
        let virt = bit(0);
        let context = Context {
            virt,
            guest: StageControl {
                levels: [0, 3, 4, 5][bits as usize / 3 % 4],
                root: Gpa(if bit(1) { 0xFFF_FFFF_FFFF_F000 } else { 0x1000 }),
                mxr: bit(2),
                adue: bit(3),
                pbmte: bit(4),
            },
            host: StageControl {
                levels: if virt {
                    [0, 3, 4, 5][bits as usize / 5 % 4]
                } else {
                    0
                },
                root: Hpa(if bit(5) { 0xFF_FFFF_FFFF_C000 } else { 0 }),
                mxr: bit(6),
                adue: bit(7),
                pbmte: bit(8),
            },
            user: bit(9),
            sum: bit(10),
            napot: bit(4) ^ bit(9),
            rights: false,
            asid: if bit(3) { 0xFFFF } else { 0 },
            vmid: if bit(7) { 0x3FFF } else { 0 },
        };
        all.contexts.push(NamedContext {
            name: format!("context {bits}"),
            context,
        });
    }
    let read = round_trip(&all);
    assert_eq!(read.contexts.len(), count);
}

#[test]
fn every_fence_access_and_expectation_is_written_and_read() {
    let mut all = scenario(Format::Rv64);
    all.contexts.push(NamedContext {
        name: "bare".into(),
        context: parse(&with_context("v = false"), "x").unwrap().contexts[0].context,
    });
    for bits in 0..32u32 {
        let bit = |n: u32| bits >> n & 1 != 0;
        all.ops.push(Op::Fence(Fence {
            virt: bit(0),
            gva: bit(1).then_some(Gva(0xFFFF_FFFF_8000_0000)),
            gpa: bit(2).then_some(Gpa(0x07FF_FFFF_FFFF_F008)),
            asid: bit(3).then_some(0xFFFF),
            vmid: bit(4).then_some(0x3FFF),
        }));
    }
    for access in [
        Access::Load,
        Access::Store,
        Access::Fetch,
        Access::LoadExecute,
    ] {
        for expect in [
            Expect {
                hpa: Some(Hpa(0xFF_FFFF_FFFF_FFF8)),
                gpa: Some(Gpa(u64::MAX)),
                page_size: Some(48),
                memory_type: Some(MemoryType::Nc),
                ..Expect::default()
            },
            Expect {
                cause: Some(23),
                tval2: Some(u64::MAX >> 2),
                tinst: Some(0x3020),
                fault: Some(ExpectFault {
                    kind: nestwalk::mmu::FaultKind::AccessedDirty,
                    stage: Some(Stage::Host),
                    level: Some(4),
                    gpa: Some(Gpa(8)),
                    purpose: Some(Purpose::GuestUpdate(3)),
                }),
                ..Expect::default()
            },
        ] {
            all.ops.push(Op::Access(AccessOp {
                context: 0,
                gva: Gva(u64::MAX - 7),
                access,
                speculative: false,
                expect: Some(Box::new(expect)),
                line: None,
            }));
        }
    }
    all.ops.push(Op::Write {
        at: Hpa(0xFF_FFFF_FFFF_FFF8),
        word: Some(u64::MAX),
    });
    all.memory.write(Hpa(0x8000_0008), u64::MAX);
    round_trip(&all);
}

/// Returns a file with one context, of these lines.
fn with_context(lines: &str) -> String {
    format!(
        r#"title = "x"
[machine]
format = "rv64"
[memory]
tables = {{ from = 0x8800_0000, bytes = 0x10_0000 }}
[[host]]
name = "vm"
mode = "sv39x4"
map = [{{ from = 0x8000_0000, to = 0x1_0000_0000, size = "2m", pages = 2 }}]
[[guest]]
name = "init"
mode = "sv48"
host = "vm"
tables = 0x8020_0000
map = [{{ from = 0x1_0000, to = 0x8000_0000, u = true }}]
[[context]]
name = "context"
{lines}
[[op]]
wait = 1
"#
    )
}

fn context(lines: &str) -> Context {
    let read = parse(&with_context(lines), "x").unwrap_or_else(|error| panic!("{error}"));
    read.contexts[0].context
}

#[test]
fn names_and_registers_say_the_same() {
    let named = context(
        "guest = \"init\"\nhost = \"vm\"\npriv = \"u\"\nsum = true\nvs_mxr = true\ng_adue = true\npbmte = true\n\
         g_pbmte = true\nasid = 5\nvmid = 7",
    );
    let images = context(
        "priv = \"u\"\n[context.csrs]\nvsatp = 0x9000_5000_0008_0200\nhgatp = 0x8000_7000_0008_8000\n\
         vsstatus = 0xC_0000\nmenvcfg = 0x6000_0000_0000_0000\nhenvcfg = 0x4000_0000_0000_0000",
    );
    assert_eq!(named, images);
    assert!(named.user && named.virt && named.guest.mxr && !named.host.mxr && !named.guest.adue);
    assert_eq!((named.guest.levels, named.host.levels), (4, 3));
    // The host reads with the rights of the guest's kernel.
    let hlvx = context(
        "access = \"hlvx\"\n[context.csrs]\nvsatp = 0x9000_5000_0008_0200\nhgatp = 0x8000_7000_0008_8000\nhstatus = 0x100",
    );
    assert!(hlvx.virt && !hlvx.user);
    assert_eq!(hlvx.guest.root, named.guest.root);
}

/// Checks that the file is refused at `place`, with all of `words` in the message.
fn refused(text: &str, place: &str, words: &[&str]) {
    let error = match parse(text, "x.toml") {
        Ok(_) => panic!("not refused: {place}\n{text}"),
        Err(error) => error,
    };
    let shown = error.to_string();
    let at = &text[error.span()];
    assert!(
        at.contains(place) || place.contains(at) && !at.is_empty(),
        "{at:?}\n{shown}"
    );
    for word in words {
        assert!(shown.contains(word), "{word:?} is not in\n{shown}");
    }
}

#[test]
fn a_context_that_makes_no_sense_is_refused() {
    for (lines, place, words) in [
        (
            "mode = \"sv32\"",
            "\"sv32\"",
            &["`sv32` is a mode of RV32", "sv39"][..],
        ),
        ("g_mode = \"sv39\"", "\"sv39\"", &["sv39x4"]),
        ("mode = \"sv39\"", "\"sv39\"", &["no root table", "`root`"]),
        ("root = 0x1000", "root", &["`root` without `mode`"]),
        (
            "v = false\nhost = \"vm\"",
            "host",
            &["`v` = false", "no G-stage"],
        ),
        (
            "guest = \"init\"",
            "\"init\"",
            &["not in this host's memory"],
        ),
        (
            "host = \"vm\"\ng_mode = \"sv48x4\"",
            "\"sv48x4\"",
            &["another mode"],
        ),
        (
            "host = \"vm\"\ng_root = 0x4000",
            "g_root",
            &["`host` and `g_root`"],
        ),
        ("v = false\nvs_mxr = true", "vs_mxr", &["`mxr`"]),
        ("priv = \"m\"", "\"m\"", &["unknown privilege `m`"]),
        ("rights = true", "rights", &["unknown key `rights`"]),
        ("asid = 65536", "65536", &["out of range", "0 to 65535"]),
        ("access = \"hlv\"", "access", &["without `csrs`"]),
        (
            "asid = 1\ncsrs = { satp = 0 }",
            "asid",
            &["`asid` in a context with `csrs`"],
        ),
        (
            "csrs = { vsatp = 0x7000_0000_0000_0000 }",
            "0x7000_0000_0000_0000",
            &["vsatp.MODE is 7", "reserved"],
        ),
        (
            "csrs = { mstatus = 0x1000 }",
            "0x1000",
            &["mstatus.MPP is 2", "reserved"],
        ),
        (
            "v = true\naccess = \"hlv\"\ncsrs = {}",
            "{}",
            &["HLV, HLVX and HSV trap while V=1"],
        ),
    ] {
        refused(&with_context(lines), place, words);
    }
}

#[test]
fn a_context_of_what_the_device_was_built_without_is_refused() {
    let of_sv39 = |lines: &str| {
        let text = with_context(lines);
        assert!(text.contains("format = \"rv64\""));
        text.replace(
            "format = \"rv64\"",
            "format = \"rv64\"\ntlb = 4\nmax_levels = 3\nsvadu = false",
        )
    };
    let parsed = parse(&of_sv39("mode = \"sv39\"\nroot = 0x1000"), "x.toml");
    let machine = parsed.unwrap().machine;
    assert_eq!((machine.max_levels, machine.svadu), (3, false));
    assert_eq!(machine.variant().unwrap().name, "rv64_sv39");
    for (lines, words) in [
        (
            "mode = \"sv48\"\nroot = 0x1000",
            &["has 4 levels", "`max_levels` = 3"][..],
        ),
        (
            "g_mode = \"sv57x4\"\ng_root = 0x4000",
            &["has 5 levels", "`max_levels` = 3"],
        ),
    ] {
        refused(&of_sv39(lines), "[[context]]", words);
    }
}

#[test]
fn what_a_machine_does_not_heed_of_a_context_is_legal_and_means_nothing() {
    let text = with_context(
        "mode = \"sv39\"\nroot = 0x1FF8\ng_mode = \"sv39x4\"\ng_root = 0x7FF1\nadue = true\ng_adue = true",
    );
    let parsed = parse(&text, "x.toml").unwrap();
    let context = parsed.contexts[0].context;
    assert_eq!(
        (context.guest.root.0, context.host.root.0),
        (0x1FF8, 0x7FF1)
    );
    let heeded = parsed.machine.heeded(&context);
    assert_eq!((heeded.guest.root.0, heeded.host.root.0), (0x1000, 0x4000));
    assert!(heeded.guest.adue && heeded.host.adue);
    let without = nestwalk::scenario::Machine {
        svadu: false,
        ..parsed.machine
    };
    let heeded = without.heeded(&context);
    assert!(!heeded.guest.adue && !heeded.host.adue);
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let text = with_context("v = false");
    for (old, new, place, words) in [
        (
            "mode = \"sv39x4\"\n",
            "",
            "[[host]]",
            &["no `mode`", "sv39x4"][..],
        ),
        (
            "mode = \"sv39x4\"",
            "mode = \"bare\"",
            "\"bare\"",
            &["has no tables"],
        ),
        (
            "size = \"2m\"",
            "size = \"3m\"",
            "\"3m\"",
            &["unknown page size `3m`", "`2m`"],
        ),
        (
            "size = \"2m\"",
            "size = \"512g\"",
            "0x8000_0000",
            &["not aligned"],
        ),
        (
            "from = 0x8000_0000",
            "from = 0x8000_1000",
            "0x8000_1000",
            &["not aligned", "0x80000000"],
        ),
        (
            "from = 0x8000_0000",
            "from = 0x200_0000_0000",
            "0x200_0000_0000",
            &["sv39x4 does not translate gPA"],
        ),
        (
            "from = 0x1_0000",
            "from = 0x8000_0000_0000",
            "0x8000_0000_0000",
            &["sv48 does not translate"],
        ),
        (
            "from = 0x1_0000, to = 0x8000_0000",
            "from = 0, to = 0, size = \"256t\"",
            "0",
            &["sv48 has no pages of 2^48 bytes"],
        ),
        (
            "tables = 0x8020_0000",
            "tables = 0x9000_0000",
            "0x9000_0000",
            &["does not map gPA 0x90000000"],
        ),
        (
            "tables = 0x8020_0000",
            "tables = 0x8020_0008",
            "0x8020_0008",
            &["not aligned"],
        ),
        ("u = true", "u = 1", "1", &["true or false"]),
        ("u = true", "user = true", "user", &["unknown key `user`"]),
        (
            "u = true",
            "pbmt = \"wc\"",
            "\"wc\"",
            &["unknown memory type `wc`", "`nc`"],
        ),
        (
            "bytes = 0x10_0000",
            "bytes = 0x10_0000_0001",
            "0x10_0000_0001",
            &["out of range", "68719476736"],
        ),
        (
            "from = 0x8800_0000",
            "from = 0x8800_0008",
            "\"vm\"",
            &["not a multiple of 0x1000"],
        ),
        (
            "bytes = 0x10_0000",
            "bytes = 0x3000",
            "\"vm\"",
            &["no room", "`bytes`"],
        ),
        (
            "u = true }",
            "u = true }, { from = 0x0, to = 0x8000_0000, size = \"2m\" }",
            "0x0",
            &["would overlap"],
        ),
    ] {
        assert!(text.contains(old), "{old}");
        refused(&text.replacen(old, new, 1), place, words);
    }
}

#[test]
fn ops_that_make_no_sense_are_refused() {
    for (op, place, words) in [
        (
            "fence = { gva = 0x1000 }",
            "{ gva",
            &["no `virt`", "hfence_gvma"][..],
        ),
        (
            "fence = { sfence_vma = { gpa = 1 } }",
            "gpa",
            &["unknown key `gpa`"],
        ),
        (
            "fence = { hfence_vvma = { asid = 1 } }",
            "{ asid",
            &["no `vmid`", "hgatp"],
        ),
        (
            "fence = { hfence_gvma = {}, virt = true }",
            "virt",
            &["next to `hfence_gvma`"],
        ),
        (
            "fence = { hfence_gvma = {}, sfence_vma = {} }",
            "hfence_gvma",
            &["one instruction"],
        ),
        ("fence = 1", "1", &["an instruction"]),
        (
            "load = 0\nexpect = { hpa = 1, cause = 5 }",
            "cause",
            &["`hpa` and `cause`"],
        ),
        (
            "load = 0\nexpect = { page = \"2k\" }",
            "\"2k\"",
            &["unknown page size"],
        ),
        (
            "load = 0\nexpect = { fault = { kind = \"memory\", update = true } }",
            "update",
            &["`update` without a guest entry"],
        ),
        (
            "write = { at = 0x8000_0004, word = 1 }",
            "0x8000_0004",
            &["not aligned"],
        ),
        (
            "unmap = { guest = \"init\", from = 0x2_0000 }",
            "0x2_0000",
            &["is not mapped"],
        ),
        (
            "map = { host = \"vm\", from = 0x8000_0000, to = 0x8000_0000 }",
            "0x8000_0000",
            &["would overlap"],
        ),
        ("fence = \"owed\"", "\"owed\"", &["no fence obligation"]),
    ] {
        let text = with_context("v = false").replace("wait = 1", op);
        refused(&text, place, words);
    }
    // Keys of RISC-V are unknown in the other formats.
    for (key, text) in [
        ("hlvx", "hlvx = 0"),
        ("cause", "load = 0\nexpect = { cause = 5 }"),
    ] {
        let text = format!(
            "title = \"x\"\n[machine]\nformat = \"handout\"\n[[context]]\nname = \"c\"\nhost = 0\n[[op]]\n{text}\n"
        );
        refused(&text, key, &["unknown key"]);
    }
}

#[test]
fn an_edit_owes_the_fence_of_the_stage_that_it_changes() {
    let fences = |context: &str, op: &str| -> Vec<Fence> {
        let ops = format!("{op}\n[[op]]\nfence = \"owed\"");
        let text = with_context(context).replace("wait = 1", &ops);
        let read = parse(&text, "x").unwrap_or_else(|error| panic!("{error}"));
        read.ops
            .iter()
            .filter_map(|op| match op {
                Op::Fence(fence) => Some(*fence),
                _ => None,
            })
            .collect()
    };
    let context = "guest = \"init\"\nhost = \"vm\"\nasid = 3\nvmid = 4";
    let of_vm = Fence {
        vmid: Some(4),
        ..Fence::default()
    };
    let gva = Some(Gva(0x1_0000));
    assert_eq!(
        fences(
            context,
            "map = { guest = \"init\", from = 0x1_0000, to = 0x8000_1000 }"
        ),
        [Fence {
            gva,
            asid: Some(3),
            ..of_vm
        }]
    );
    // A fence by ASID would not match it.
    assert_eq!(
        fences(
            context,
            "map = { guest = \"init\", from = 0x1_0000, to = 0x8000_1000, g = true }"
        ),
        [Fence { gva, ..of_vm }]
    );
    let gpa = Some(Gpa(0x8000_0000));
    assert_eq!(
        fences(context, "unmap = { host = \"vm\", from = 0x8000_0000 }"),
        [Fence { gpa, ..of_vm }]
    );
    // This page contains the guest's tables.
    assert_eq!(
        fences(context, "unmap = { host = \"vm\", from = 0x8020_0000 }"),
        [of_vm]
    );
}

/// Returns the output of `nestwalk walk` for the file of `scenarios/`.
fn walked(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scenarios")
        .join(name);
    nestwalk(&["walk", file.to_str().unwrap()]).stdout
}

/// Checks that the text contains all of `words`, in this order.
fn has(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("{word:?} is not in\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn walk_prints_entries_by_their_fields_and_why_a_walk_faults() {
    has(
        &walked("sv39-kvm.toml"),
        &[
            "fetch gVA 0x10000 in VU-mode; Sv39 root gPA 0x80200000, Sv39x4 root hPA 0x88000000, ASID 1, VMID 1\n",
            "guest L0   0x80206000 + 16*8 = 0x80206080",
            "PPN 0x80400 DA-UX-RV",
            "leaf of 4K; the data is at gPA 0x80400000",
            "=> hPA 0x90010000: 12 memory reads in the walk, 13 memory accesses with the data access",
            // A store to a page that is not writable.
            "permission fault at guest L0",
            "trap: store page fault, cause 15; xtval 0x10000 with GVA=1",
            "why: W=0; \"Virtual Address Translation Process\", step 8",
            "why: U=0: not a user page",
            "not canonical",
            "why: U=1: a user page, and SUM=0",
            "why: U=1: supervisor mode cannot fetch from a user page",
            "cause 23, tval2 0x4000001; xtval 0xFFFFFFD000000005 with GVA=1; tval2 is gPA 0x10000005 >> 2",
            "tinst 0x3000",
            "tinst: an implicit read",
            "why: R=0, and MXR=0",
            "why: X=0: HLVX needs X in both stages",
        ],
    );
    has(
        &walked("svadu.toml"),
        &[
            "A=0, and no hardware update",
            "D=0, and no hardware update",
            "tinst: an implicit write",
            "ADUE, ADUE of the G-stage",
            "D=0, to be set by hardware first",
            "compare-and-swap sets D; the guest L0 entry is at",
            "compare-and-swap sets A; the data is at gPA",
            "18 memory reads and 3 updates in the walk, 22 memory accesses",
            "why: W=0: an implicit write needs W",
        ],
    );
    has(
        &walked("svnapot-svpbmt.toml"),
        &[
            "PBMTE of the G-stage, Svnapot",
            " N ",
            "leaf of 64K",
            "PBMT IO",
            "hPA 0x40000000, IO",
        ],
    );
    has(
        &walked("host-only.toml"),
        &[
            "in U-mode; Sv48 root hPA 0x88005000, ASID 5\n",
            "page fault, cause 15; xtval 0x555555550000\n",
            "Bare",
        ],
    );
}

#[test]
fn walk_as_json_has_the_context_the_updates_and_the_trap() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/svadu.toml");
    let json = nestwalk(&["walk", "--json", file.to_str().unwrap()]).json();
    let implicit_write = &json["accesses"][3];
    let query = &implicit_write["query"];
    assert_eq!(query["mode"], "sv39");
    assert_eq!(query["g_mode"], "sv39x4");
    assert_eq!(
        (&query["adue"], &query["g_adue"]),
        (&true.into(), &false.into())
    );
    let trap = &implicit_write["fault"]["trap"];
    assert_eq!((&trap["cause"], &trap["gva"]), (&21.into(), &true.into()));
    assert_eq!(
        (&trap["tval2"], &trap["tinst"]),
        (&"0x20080420".into(), &"0x3020".into())
    );
    assert_eq!(implicit_write["fault"]["for"], "update of L0");
    let updating = &json["accesses"][4];
    let updates: Vec<&str> = updating["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["update"].as_str())
        .collect();
    assert_eq!(updates, ["0x240804DF", "0x2000005F", "0x2400005F"]);
    assert_eq!(
        (&updating["page_bytes"], &updating["memory_type"]),
        (&4096.into(), &"pma".into())
    );
}

#[test]
fn a_wrong_expectation_is_found_on_both_sides() {
    let text =
        fs::read_to_string(files().iter().find(|f| f.ends_with("svadu.toml")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    for (right, wrong, words) in [
        (
            "cause = 13",
            "cause = 5",
            "expected cause 5, observed accessed-dirty fault at guest L0",
        ),
        (
            "tval2 = 0x2000_0402",
            "tval2 = 0x402",
            "expected tval2 0x402",
        ),
        ("tinst = 0x3020", "tinst = 0x3000", "expected tinst 0x3000"),
        (
            "hpa = 0x9000_0000, accesses = 22",
            "page = \"64k\"",
            "expected a page of 2^16 bytes",
        ),
        (
            "hpa = 0x9000_0000, accesses = 22",
            "memory_type = \"io\"",
            "expected memory type io",
        ),
        (
            "gpa = 0x8000_0000, hpa",
            "gpa = 0x8000_1000, hpa",
            "expected gPA 0x80001000, observed gPA 0x80000000",
        ),
    ] {
        assert!(text.contains(right), "{right}");
        fs::write(&file, text.replacen(right, wrong, 1)).unwrap();
        let ran = nestwalk(&["run", file.to_str().unwrap()]);
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        for side in ["golden model", "device"] {
            let line = ran
                .stdout
                .lines()
                .find(|line| line.contains(&format!(", {side}: {words}")));
            assert!(line.is_some(), "{side}: {words}\n{}", ran.stdout);
        }
    }
}

#[test]
fn a_guests_tables_find_their_place_in_its_memory() {
    // The host maps only the first page of the virtual machine's 4 MiB, and the tables are placed
    // after it.
    let text = with_context("host = \"vm\"\nguest = \"init\"\npriv = \"u\"")
        .replace("tables = 0x8020_0000\n", "")
        .replace(
            "wait = 1",
            "load = 0x1_0008\nexpect = { hpa = 0x1_0000_0008 }",
        );
    let read = parse(&text, "x").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.contexts[0].context.guest.root, Gpa(0x8000_1000));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("placed.toml");
    fs::write(&file, text).unwrap();
    let ran = nestwalk(&["run", file.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
