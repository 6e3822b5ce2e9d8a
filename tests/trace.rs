// SPDX-License-Identifier: Apache-2.0
//! Recorded traces: they are compared with the golden model and the device, and a line with an
//! illegal record is refused.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

/// A file with a trace of a few lines, in a temporary folder.
struct Trace {
    _folder: TempDir,
    path: PathBuf,
}

impl Trace {
    fn file(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn of(text: &str) -> Self {
        Self::file("t.trace", text)
    }

    fn run(&self, more: &[&str]) -> Ran {
        run(&[&self.path], more)
    }

    fn golden(&self) -> Ran {
        self.run(&["--golden-only"])
    }
}

fn run(files: &[impl AsRef<Path>], more: &[&str]) -> Ran {
    let mut arguments = vec!["trace".to_owned()];
    arguments.extend(
        files
            .iter()
            .map(|f| f.as_ref().to_str().unwrap().to_owned()),
    );
    arguments.extend(more.iter().map(|&s| s.to_owned()));
    nestwalk(&arguments)
}

/// One address space: three levels of tables map 0x1000 to 0x80003000 for loads and stores of
/// supervisor mode.
const HEAD: &str = "\
H 1 64 0 0 1 1
C 1 0 1 8000500000080000 0 0 0 0 0 0 1 0 0 0 0
M 80000000 20000401
M 80001000 20000801
M 80002008 20000cc7
A 1 r 1008 =80003008 3
";

/// Returns the lines with a trailer that counts them.
fn with_trailer(lines: &str) -> String {
    let count = |kind: &str| lines.lines().filter(|line| line.starts_with(kind)).count();
    format!(
        "{lines}E {:x} {:x} {:x} {:x} {:x} 0 0 0\n",
        count("A"),
        count("M"),
        count("W"),
        count("F"),
        count("C")
    )
}

/// Returns [`HEAD`] with more lines, from line 7.
fn trace(lines: &str) -> Trace {
    Trace::of(&with_trailer(&format!("{HEAD}{lines}")))
}

/// A trace with every kind of record and field.
const ALL: &str = "\
A 1 w 1010 =80003010 3
A 1 x 1000 !c 0 0 3
M 80002010 0
A 1 r 2000 !d 0 0 3
A 1 w 1ff8 =80003ff8 3
M 80002010 20001007
F sfence.vma 0 0 2000 -
A 1 w 2000 =80004000 3
W 80002010 200010c7
A 1 w 2008 =80004008 3
C 2 1 1 8000500000080000 0 8000300000080010 0 0 0 0 1 0 0 0 0
M 80010010 0
A 2 x 80200000 !14 20080000 0 1
F hinval.gvma 0 3 20080000 3
F sfence.inval.ir 0 3
M 80010010 200000df
A 2 hlvx 80200004 =80200004 1
A 1 r 1008 =80003008 3
";

#[track_caller]
fn agrees(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("no mismatch"), "{}", ran.stdout);
}

/// Checks that the golden model and the device find line `line` to be wrong.
#[track_caller]
fn differs(trace: &Trace, line: u64, expected: &str, got: &str) {
    for more in [&["--golden-only"][..], &[]] {
        let ran = trace.run(more);
        assert_eq!(ran.code, 1, "{more:?}: {}{}", ran.stdout, ran.stderr);
        for part in [
            format!("line {line}: "),
            format!("expected: {expected}"),
            format!("observed: {got}"),
        ] {
            assert!(
                ran.stdout.contains(&part),
                "{more:?}, {part}: {}",
                ran.stdout
            );
        }
    }
}

#[test]
fn a_trace_is_replayed_as_it_was_recorded() {
    let trace = trace(ALL);
    let golden = trace.golden();
    agrees(&golden);
    assert!(golden.stdout.contains("10 accesses"), "{}", golden.stdout);
    let device = trace.run(&[]);
    agrees(&device);
    assert!(
        device
            .stdout
            .contains("3 fences, 1 A/D updates, 3 faults, 0 marked lines"),
        "{}",
        device.stdout
    );
    agrees(&trace.run(&["--serial"]));
    // The latency of memory does not matter.
    for latency in ["1", "3", "50"] {
        agrees(&trace.run(&["--latency", latency]));
    }
}

#[test]
fn a_walk_gives_what_is_in_memory_on_a_marked_line_too() {
    // The page has not been walked before, so the TLB has no older translation.
    let page = "M 80002010 200010c7\n";
    for mark in ["~80004000", "~!", "~80004000 ~!"] {
        differs(
            &trace(&format!("{page}A 1 r 2000 =80005000 3 {mark}\n")),
            8,
            "=80005000",
            "=80004000",
        );
        differs(
            &trace(&format!("{page}A 1 x 2000 =80004000 3 {mark}\n")),
            8,
            "=80004000",
            "!c tval2 0 tinst 0",
        );
    }
}

#[test]
fn json_says_the_same() {
    let value = trace(ALL).run(&["--json"]).json();
    assert_eq!(value["agree"], true);
    let file = &value["files"][0];
    assert_eq!(file["accesses"], 10);
    assert_eq!(file["mismatches"], 0);
    assert_eq!(file["updates"], 1);
    assert_eq!(file["reference"], Value::Null);
    let value = trace("A 1 r 1008 =80003000 3\n").run(&["--json"]).json();
    assert_eq!(value["agree"], false);
    let first = &value["files"][0]["first_mismatches"][0];
    assert_eq!(first["line"], 7);
    assert_eq!(first["record"], "A 1 r 1008 =80003000 3");
    assert_eq!(first["expected"], "=80003000");
    assert_eq!(first["steps"].as_array().unwrap().len(), 3);
}

#[test]
fn a_limit_ends_a_replay_with_what_belongs_to_its_last_access() {
    // The sixth access sets bits. Without them, the access of the seventh line would differ.
    for limit in 1..=11 {
        let limit_text = limit.to_string();
        for more in [
            &["--golden-only", "--limit", &limit_text][..],
            &["--limit", &limit_text],
        ] {
            let ran = trace(ALL).run(more);
            agrees(&ran);
            let accesses = format!("{} accesses", limit.min(10));
            assert!(ran.stdout.contains(&accesses), "{}", ran.stdout);
        }
    }
}

#[test]
fn a_wrong_result_is_found() {
    let of = |right: &str, wrong: &str| {
        assert_eq!(ALL.matches(right).count(), 1, "{right}");
        trace(&ALL.replace(right, wrong))
    };
    differs(
        &of("1ff8 =80003ff8", "1ff8 =80003ff0"),
        11,
        "=80003ff0",
        "=80003ff8",
    );
    differs(
        &of("1ff8 =80003ff8", "1ff8 !f 0 0"),
        11,
        "!f tval2 0 tinst 0",
        "=80003ff8",
    );
    differs(
        &of("2000 !d", "2000 !f"),
        10,
        "!f tval2 0 tinst 0",
        "!d tval2 0 tinst 0",
    );
    differs(
        &of("!14 20080000 0", "!14 20080001 0"),
        19,
        "!14 tval2 20080001 tinst 0",
        "!14 tval2 20080000 tinst 0",
    );
    differs(
        &of("!14 20080000 0", "!14 20080000 3000"),
        19,
        "!14 tval2 20080000 tinst 3000",
        "!14 tval2 20080000 tinst 0",
    );
    differs(
        &of("W 80002010 200010c7", "W 80002010 20001047"),
        14,
        "W 80002010 20001047",
        "W 80002010 200010c7",
    );
    differs(
        &of("W 80002010 200010c7\n", ""),
        14,
        "no W",
        "W 80002010 200010c7",
    );
    differs(
        &of("F hinval", "W 80010010 0\nF hinval"),
        19,
        "W 80010010 0",
        "no W",
    );
}

#[test]
fn a_wrong_number_of_reads_is_found() {
    let ran = trace("A 1 r 1018 =80003018 4\n").golden();
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("expected: 4 reads"), "{}", ran.stdout);
    assert!(ran.stdout.contains("observed: 3 reads"), "{}", ran.stdout);
}

#[test]
fn the_first_mismatches_are_shown_with_their_walks_and_all_are_counted() {
    let ran = trace(&"A 1 r 1018 =80003010 3\n".repeat(9)).run(&[]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout.matches("MISMATCH").count(), 5, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("9 accesses did not come"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("line 7: A 1 r 1018 =80003010 3"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("context 1: load gVA"), "{}", ran.stdout);
    assert!(ran.stdout.contains("=> hPA 0x80003018"), "{}", ran.stdout);
}

/// 0x1000 is mapped to 0x80007000 without a fence; the device has the old translation.
const MOVED: &str = "M 80002008 20001cc7\n";

#[test]
fn an_older_result_is_right_where_a_mark_permits_it() {
    let permitted = trace(&format!(
        "{MOVED}A 1 r 1018 =80007018 3 ~80005018 ~80003018\n"
    ));
    agrees(&permitted.golden());
    let ran = permitted.run(&[]);
    agrees(&ran);
    assert!(
        ran.stdout
            .contains("1 marked lines (1 came to an older result)"),
        "{}",
        ran.stdout
    );
    for mark in ["", " ~80005018", " ~!"] {
        let ran = trace(&format!("{MOVED}A 1 r 1018 =80007018 3{mark}\n")).run(&[]);
        assert_eq!(ran.code, 1, "{mark}: {}", ran.stdout);
        assert!(ran.stdout.contains("observed: =80003018"), "{}", ran.stdout);
    }
    // A mark does not change the result of a fresh walk.
    let ran = trace(&format!("{MOVED}A 1 r 1018 =80003018 3 ~80007018\n")).golden();
    assert_eq!(ran.code, 1, "{}", ran.stdout);
}

#[test]
fn behind_a_fence_the_older_result_is_not_needed() {
    for fence in [
        "F sfence.vma 0 0 - -",
        "F sfence.vma 0 0 1000 5",
        "F sinval.vma 0 0 - 5",
    ] {
        let ran = trace(&format!("{MOVED}{fence}\nA 1 r 1018 =80007018 3\n")).run(&[]);
        agrees(&ran);
    }
    // A fence for another page, address space or kind of address space.
    for fence in [
        "F sfence.vma 0 0 2000 -",
        "F sfence.vma 0 0 - 6",
        "F sfence.vma 1 0 - -",
        "F hfence.gvma 0 0 - -",
    ] {
        let ran = trace(&format!("{MOVED}{fence}\nA 1 r 1018 =80007018 3\n")).run(&[]);
        assert_eq!(ran.code, 1, "{fence}: {}", ran.stdout);
    }
}

#[test]
fn an_update_may_be_left_out_where_a_mark_permits_it() {
    // The D bit is cleared without a fence; the device has it set in its TLB.
    let cleared = "A 1 w 1000 =80003000 3\nM 80002008 20000c47\nA 1 w 1000 =80003000 3";
    let updates = "W 80002008 20000cc7\n";
    let permitted = trace(&format!("{cleared} ~80003000\n{updates}"));
    agrees(&permitted.golden());
    let ran = permitted.run(&[]);
    agrees(&ran);
    assert!(
        ran.stdout.contains("(1 came to an older result)"),
        "{}",
        ran.stdout
    );
    let ran = trace(&format!("{cleared}\n{updates}")).run(&[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("expected: W 80002008 20000cc7"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("observed: no W"), "{}", ran.stdout);
}

/// Checks that the trace is refused, with the file and the line.
#[track_caller]
fn refused(trace: &Trace, line: u64, what: &str) {
    for more in [&["--golden-only"][..], &[]] {
        let ran = trace.run(more);
        assert_eq!(ran.code, 2, "{more:?}: {}{}", ran.stdout, ran.stderr);
        let place = format!("error: {}:{line}: ", trace.path.display());
        assert!(ran.stderr.starts_with(&place), "{place}: {}", ran.stderr);
        assert!(ran.stderr.contains(what), "{what}: {}", ran.stderr);
    }
}

#[test]
fn a_wrong_line_is_refused() {
    for (lines, line, what) in [
        ("X 1\n", 7, "unknown record \"X 1\""),
        ("\n", 7, "unknown record \"\""),
        ("A\n", 7, "unknown record \"A\""),
        (
            "A 1 r 1000\n",
            7,
            "the access has no field =pa or !cause: A n type va",
        ),
        ("A 1 r 1000 =80003000\n", 7, "the access has no field reads"),
        ("A 1 r 1000 !d 0 3\n", 7, "the access has no field reads"),
        ("A 1 z 1000 =80003000 3\n", 7, "unknown access type \"z\""),
        ("A 1 r 1000 80003000 3\n", 7, "the result is \"80003000\""),
        ("A 1 r 1000 !2 0 0 3\n", 7, "cause 2 is not an exception"),
        (
            "A 1 r 1000 !d 0 10000 3\n",
            7,
            "tinst is 10000; it is at most ffff",
        ),
        (
            "A 1 r 1000 =100000000000000 3\n",
            7,
            "pa is 100000000000000; it is at most",
        ),
        (
            "A 1 r 1000 =80003000 3 5\n",
            7,
            "unknown mark \"5\" after an access",
        ),
        ("A 1 r 1000 =80003000 3 ~x\n", 7, "pa behind ~ is \"x\""),
        (
            "A 1 r 0x1000 =80003000 3\n",
            7,
            "va is \"0x1000\", which is not a number",
        ),
        ("A 1 r 1ABC =80003000 3\n", 7, "va is \"1ABC\""),
        (
            "A 1 r 10000000000000000 =80003000 3\n",
            7,
            "of at most 64 bits",
        ),
        ("A 1  1000 =80003000 3\n", 7, "unknown access type \"\""),
        (
            "A 2 r 1000 =80003000 3\n",
            7,
            "context 2 is not defined; number of defined contexts: 1",
        ),
        ("A 0 r 1000 =80003000 3\n", 7, "context 0 is not defined"),
        (
            "M 80000000\n",
            7,
            "the word has no field value: M addr value",
        ),
        ("M 80000000 1 2\n", 7, "the word ends before \"2\""),
        ("M 80000004 1\n", 7, "80000004 is not the address of a word"),
        ("M 100000000000000 1\n", 7, "is not the address of a word"),
        ("F sfence 0 0 - -\n", 7, "unknown fence \"sfence\""),
        (
            "F sfence.vma 0 0 -\n",
            7,
            "the fence has no field rs2: F kind v vmid rs1 rs2",
        ),
        (
            "F sfence.w.inval 0 0 - -\n",
            7,
            "the fence ends before \"- -\": F kind v vmid",
        ),
        ("F sfence.vma 2 0 - -\n", 7, "v is 2; it is at most 1"),
        (
            "F sfence.vma 1 4000 - -\n",
            7,
            "vmid is 4000; it is at most 3fff",
        ),
        (
            "F hfence.gvma 1 0 - -\n",
            7,
            "hfence.gvma with v 1: the instruction traps",
        ),
        (
            "F hfence.gvma 0 0 4000000000000000 -\n",
            7,
            "rs1 is 4000000000000000; it is at most 3fffffffffffffff",
        ),
        (
            "A 1 hlv 1008 =80003008 3\n",
            7,
            "hlv in context 1, whose v is 0",
        ),
        (
            "C 2 0 1 8000500000080000 0 0 0 0 0 0 0 0 0 0 1\nA 2 x 1000 !c 0 0 3\n",
            8,
            "a fetch in context 2, whose mprv is 1",
        ),
        (
            "C 2 0 1 80000 0 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "satp 0x80000 has MODE 0 (Bare) and other fields",
        ),
        (
            "C 2 1 1 0 0 8400500000080000 0 0 0 0 0 0 0 0 0\n",
            7,
            "the reserved field hgatp[59:58] is 1",
        ),
        (
            "F sfence.vma 0 0 - -\nW 80002008 0\n",
            8,
            "a W line follows the A line of its access",
        ),
        ("H 1 64 0 0 1 1\n", 7, "a second header"),
        (
            "C 1 0 1 0 0 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "context 1 is defined a second time",
        ),
        (
            "C 3 0 1 0 0 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "context 3 is defined; the next number is 2",
        ),
        (
            "C 2 0 1 0 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "the context has no field mprv",
        ),
        (
            "C 2 0 1 1000000000000000 0 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "satp",
        ),
        (
            "C 2 1 1 0 b000000000000000 0 0 0 0 0 0 0 0 0 0\n",
            7,
            "vsatp",
        ),
        (
            "C 2 1 1 0 0 7000000000000000 0 0 0 0 0 0 0 0 0\n",
            7,
            "hgatp",
        ),
        (
            "C 2 1 1 0 0 8000000000080001 0 0 0 0 0 0 0 0 0\n",
            7,
            "a multiple of 16 KiB",
        ),
        (
            "C 2 0 1 0 0 0 0 0 0 0 0 1 0 0 0\n",
            7,
            "m_pbmte is 1, but the header has no Svpbmt",
        ),
    ] {
        refused(&trace(lines), line, what);
    }
    // Registers that the access does not use may have any value.
    agrees(
        &trace("C 2 0 1 8000500000080000 f000000000000000 f000000000000001 0 0 0 0 0 0 0 0 0\n")
            .golden(),
    );
}

#[test]
fn a_trace_begins_with_its_header_and_ends_with_its_trailer() {
    refused(&Trace::of(""), 1, "a trace begins with its header");
    refused(&Trace::of("C 1 0 1\n"), 1, "a trace begins with its header");
    refused(
        &Trace::of("H 2 64 0 0 0 1\n"),
        1,
        "version 2 of the trace format",
    );
    refused(&Trace::of("H 1 32 0 0 0 1\n"), 1, "XLEN 32");
    refused(&Trace::of("H 1 64 0 0 0\n"), 1, "the header has no field h");
    refused(&Trace::of("H 1 64 0 0 2 1\n"), 1, "svadu is 2");
    refused(
        &Trace::of("H 1 64 0 0 0 0\nC 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0\n"),
        2,
        "the header has no H extension",
    );
    refused(&Trace::of(HEAD), 7, "the file ends without its trailer");
    refused(
        &Trace::of(&format!("{HEAD}E 1 3 0 0 1 0 0\n")),
        7,
        "the trailer has no field fetches",
    );
    let whole = with_trailer(HEAD);
    refused(
        &Trace::of(&format!("{whole}A 1 r 1008 =80003008 3\n")),
        8,
        "after the trailer",
    );
    for (trailer, what) in [
        (
            "E 2 3 0 0 1 0 0 0\n",
            "the trailer counts 2 A lines; the file has 1",
        ),
        (
            "E 1 1f 0 0 1 0 0 0\n",
            "the trailer counts 1f M lines; the file has 3",
        ),
        (
            "E 1 3 1 0 1 0 0 0\n",
            "the trailer counts 1 W lines; the file has 0",
        ),
        (
            "E 1 3 0 1 1 0 0 0\n",
            "the trailer counts 1 F lines; the file has 0",
        ),
        (
            "E 1 3 0 0 0 0 0 0\n",
            "the trailer counts 0 C lines; the file has 1",
        ),
    ] {
        refused(&Trace::of(&format!("{HEAD}{trailer}")), 7, what);
    }
    refused(&Trace::of(&"x".repeat(100_000)), 1, "this is not a trace");
    refused(
        &Trace::file(
            "t.trace",
            [b"H 1 64 0 0 1 1\n\xFF\xFE\n".as_slice()].concat(),
        ),
        2,
        "unknown record",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        folder.path().join("missing.trace"),
        folder.path().to_owned(),
    ] {
        let ran = run(&[&path], &[]);
        assert_eq!(ran.code, 2);
        let place = format!("error: {}: ", path.display());
        assert!(ran.stderr.starts_with(&place), "{}", ran.stderr);
    }
    // The other files are replayed all the same.
    let good = trace(ALL);
    let missing = folder.path().join("missing.trace");
    let ran = run(&[&missing, &good.path], &["--golden-only"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("no mismatch"), "{}", ran.stdout);
}

fn recorded(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "traces", name]
        .iter()
        .collect()
}

#[test]
fn a_compressed_trace_may_be_cut_or_damaged() {
    let small = Trace::file(
        "t.trace.zst",
        zstd::encode_all(with_trailer(&format!("{HEAD}{ALL}")).as_bytes(), 3).unwrap(),
    );
    agrees(&small.golden());

    let bytes = fs::read(recorded("sv39-boot.head.trace.zst")).unwrap();
    let cut = Trace::file("cut.trace.zst", &bytes[..bytes.len() * 3 / 4]);
    let ran = cut.golden();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("the file is truncated"),
        "{}",
        ran.stderr
    );
    let place = format!("error: {}:", cut.path.display());
    let line = ran
        .stderr
        .strip_prefix(&place)
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    assert!(line.parse::<u64>().unwrap() > 1000, "{}", ran.stderr);

    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    for byte in &mut damaged[middle..middle + 64] {
        *byte ^= 0x55;
    }
    let ran = Trace::file("damaged.trace.zst", damaged).golden();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
}

const HEADS: [&str; 3] = [
    "sv39-boot.head.trace.zst",
    "sv39-twovm.head.trace.zst",
    "sv48hwad-churn.head.trace.zst",
];

#[test]
fn heads_of_recorded_traces_are_replayed() {
    let files = HEADS.map(recorded);
    agrees(&run(&files, &["--golden-only"]));
    let ran = run(&files, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let value = ran.json();
    for (number, name) in HEADS.iter().enumerate() {
        let file = &value["files"][number];
        assert!(file["file"].as_str().unwrap().ends_with(name), "{file}");
        assert!(file["hit_rate"].as_f64().unwrap() > 90.0, "{file}");
    }
    let churn = &value["files"][2];
    assert_eq!(churn["updates"], 13);
    assert_eq!(churn["marked"], 5);
    // The order of the output, and everything except the speed, is the same for any number of files
    // run in parallel.
    let text = |jobs: &str| -> Vec<String> {
        let ran = run(&files, &["--jobs", jobs]);
        let lines = ran.stdout.lines();
        lines
            .map(|line| line.split(" accesses, ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(text("1"), text("3"));
}

#[test]
fn walk_caches_spare_a_trace_reads_and_change_no_answer() {
    let files = HEADS.map(recorded);
    let reads = |args: &[&str]| -> u64 {
        let args = [args, &["--json"]].concat();
        let ran = run(&files, &args);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        let of_files = ran.json()["files"].as_array().unwrap().clone();
        of_files
            .iter()
            .map(|file| file["reads"].as_u64().unwrap())
            .sum()
    };
    let none = reads(&[]);
    let all = ["--walk-caches", "guest,host,nested"];
    let few = reads(&all);
    let many = reads(&[&all[..], &["--walk-cache-entries", "8"]].concat());
    assert!(none > 2 * few && few > many, "{none}, {few}, {many}");
    for args in [
        &["--walk-caches", "gest"][..],
        &["--walk-caches", "guest", "--walk-cache-entries", "3"],
        &["--walk-cache-entries", "8"],
    ] {
        assert_eq!(run(&files, args).code, 2, "{args:?}");
    }
}

#[test]
fn a_second_level_tlb_spares_a_trace_walks_and_changes_no_answer() {
    let files = HEADS.map(recorded);
    let count = |args: &[&str], what: &str| -> u64 {
        let args = [args, &["--json"]].concat();
        let ran = run(&files, &args);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        let of_files = ran.json()["files"].as_array().unwrap().clone();
        let of_files = of_files
            .iter()
            .map(|file| file["stats"][what].as_u64().unwrap());
        of_files.sum()
    };
    let walks = count(&[], "walks");
    let fewer = count(&["--second-tlb"], "walks");
    let by_second = count(&["--second-tlb"], "second_hits");
    assert_eq!(count(&[], "second_hits"), 0);
    assert!(
        fewer < walks && by_second > 0,
        "{walks}, {fewer}, {by_second}"
    );
    for args in [
        &["--second-tlb", "--walk-cache-entries", "2"][..],
        &["--second-tlb", "--golden-only"],
    ] {
        assert_eq!(run(&files, args).code, 2, "{args:?}");
    }
}

/// Whole traces, with the number of accesses in each.
const WHOLE: [(&str, u64); 2] = [
    ("sv39-init.trace.zst", 2_000_000),
    ("sv48ad-init.trace.zst", 2_000_000),
];

#[test]
fn whole_recorded_traces_are_replayed() {
    let files = WHOLE.map(|(name, _)| recorded(name));
    let golden = run(&files, &["--golden-only", "--json"]);
    let device = run(&files, &["--json"]);
    for ran in [golden, device] {
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        let report = ran.json();
        for (file, (name, accesses)) in report["files"].as_array().unwrap().iter().zip(WHOLE) {
            assert!(file["file"].as_str().unwrap().ends_with(name), "{file}");
            assert_eq!(file["accesses"], accesses, "{name}");
            assert_eq!(file["mismatches"], 0, "{name}");
            // On the device alone: the recorder's statistics lie next to the traces.
            if let Some(rate) = file.get("hit_rate") {
                let reference = file["reference"]["hit_rate"].as_f64().unwrap();
                assert!((rate.as_f64().unwrap() - reference).abs() < 0.2, "{file}");
            }
        }
    }
}

/// Returns the traces of the folder that the environment variable `NESTWALK_TRACES` names. There
/// are none if it is not set.
fn more_traces() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("NESTWALK_TRACES") else {
        return Vec::new();
    };
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("NESTWALK_TRACES={}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(".trace.zst"));
    files.sort();
    assert!(
        !files.is_empty(),
        "NESTWALK_TRACES={}: there is no *.trace.zst in it",
        folder.display()
    );
    files
}

#[test]
fn every_recorded_trace_is_replayed_in_part() {
    let mut files: Vec<PathBuf> = WHOLE.iter().map(|(name, _)| recorded(name)).collect();
    files.extend(more_traces());
    let ran = run(&files, &["--limit", "50000", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    let replayed = report["files"].as_array().unwrap();
    assert_eq!(replayed.len(), files.len());
    for file in replayed {
        let accesses = file["accesses"].as_u64().unwrap();
        assert!((1..=50_000).contains(&accesses), "{file}");
        assert_eq!(file["agree"], true, "{file}");
    }
}
