// SPDX-License-Identifier: Apache-2.0
//! Every parser of the program on mutated inputs: no panic, no abort, and no input that takes
//! longer than 20 s or more than 1 GiB.
//!
//! A parser runs in a process of its own with limited memory, and a watchdog ends it. So an abort
//! is detected as well. The inputs are a function of a seed. `cargo test` runs a few, and
//! `make fuzz-parsers` runs 120,000. Variables: `NESTWALK_FUZZ_INPUTS` (number of inputs),
//! `NESTWALK_FUZZ_SEED`.

use std::env;
use std::fmt::Display;
use std::fs;
use std::hint::black_box;
use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nestwalk::audit::record::Recorder;
use nestwalk::audit::{self, Audit, Map, Recording};
use nestwalk::bench::Stats;
use nestwalk::bench::auditor::{Auditor, Finding, Observed};
use nestwalk::bundle;
use nestwalk::campaign::{Campaign, Outcome};
use nestwalk::coverage::rtl::{self, CodeCoverage};
use nestwalk::coverage::{Bins, Coverage, CoverageCollector, InOrder, Run, file, html, text};
use nestwalk::dut::description::{Description, Visibility};
use nestwalk::dut::fields;
use nestwalk::dut::socket::port;
use nestwalk::dut::variants::Variant;
use nestwalk::format::Format;
use nestwalk::golden::outcome;
use nestwalk::report;
use nestwalk::results::{Results, merge};
use nestwalk::scenario::{parse, write};
use nestwalk::shard::Shard;
use nestwalk::stimulus::{Profile, scenario_toward};
use nestwalk::trace::{self, Reader, device, golden};
use nestwalk::vectors::judge::GoldenWalk;
use nestwalk::vectors::{Vectors, record};
use nestwalk::{campaign::Devices, mmu::WalkCaches};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The default number of inputs.
const FEW: u64 = 4000;
/// The time limit of an input.
const MOST_TIME: Duration = Duration::from_secs(20);
/// The memory limit of a process, in bytes of its address space.
const MOST_MEMORY: u64 = 1 << 30;

/// A parser, with the code that uses its result.
struct Parser {
    name: &'static str,
    /// Its part of all inputs.
    weight: u64,
    corpus: fn() -> Vec<Vec<u8>>,
    /// Passes the input, in the file `path`, to the parser. The file is in a folder of its own.
    /// Returns true if the input, or a part of it, was accepted.
    feed: fn(path: &Path, input: &[u8]) -> bool,
}

const PARSERS: [Parser; 11] = [
    Parser {
        name: "scenarios",
        weight: 6,
        corpus: scenarios,
        feed: feed_scenario,
    },
    Parser {
        name: "vectors",
        weight: 4,
        corpus: vectors,
        feed: feed_vectors,
    },
    Parser {
        name: "traces",
        weight: 4,
        corpus: traces,
        feed: feed_trace,
    },
    Parser {
        name: "results",
        weight: 3,
        corpus: results,
        feed: feed_results,
    },
    Parser {
        name: "coverage",
        weight: 2,
        corpus: coverage,
        feed: feed_coverage,
    },
    Parser {
        name: "lean",
        weight: 1,
        corpus: coverage,
        feed: feed_lean,
    },
    Parser {
        name: "waivers",
        weight: 2,
        corpus: waivers,
        feed: feed_waivers,
    },
    Parser {
        name: "rtl-coverage",
        weight: 2,
        corpus: code_coverage,
        feed: feed_code_coverage,
    },
    Parser {
        name: "bundle-report-and-shard",
        weight: 1,
        corpus: reports,
        feed: feed_report,
    },
    Parser {
        name: "maps",
        weight: 2,
        corpus: maps,
        feed: feed_map,
    },
    Parser {
        name: "recordings",
        weight: 3,
        corpus: recordings,
        feed: feed_recording,
    },
];

// --- What is fed ---------------------------------------------------------------------------------

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files_of(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(project(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn scenarios() -> Vec<Vec<u8>> {
    let mut all = files_of("scenarios", ".toml");
    all.extend(files_of("tests/found", ".toml"));
    for profile in Profile::ALL {
        let made = nestwalk::stimulus::scenario(profile, 1, 0, 20);
        all.push(write::to_toml(&made).into_bytes());
    }
    all
}

fn vectors() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in ["hyp-tests.jsonl.gz", "suites.jsonl.gz"] {
        let mut vectors = Vectors::open(&project(&format!("tests/vectors/{name}"))).unwrap();
        for _ in 0..20 {
            let lines = vectors.lines(3).unwrap();
            let text: String = lines.into_iter().map(|(_, line)| line).collect();
            all.push(text.into_bytes());
        }
    }
    all.push(fs::read(project("tests/vectors/hyp-tests.jsonl.gz")).unwrap());
    all
}

fn traces() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for packed in files_of("tests/traces", ".zst") {
        let mut text = Vec::new();
        zstd::stream::read::Decoder::new(&packed[..])
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        let lines: Vec<&[u8]> = text
            .split_inclusive(|&byte| byte == b'\n')
            .take(120)
            .collect();
        let head = lines.concat();
        all.push(zstd::encode_all(&head[..], 1).unwrap());
        all.push(head);
    }
    // A complete trace.
    let whole = "H 1 64 1 1 1 1\n\
                 C 1 0 1 8000000000080000 0 0 0 0 0 0 0 0 0 0 0\n\
                 M 80000000 20000401\nM 80001000 20000801\nM 80002008 200010cf\n\
                 A 1 r 1008 =80004008 3\nF sfence.vma 0 0 - -\nA 1 r 1010 =80004010 3 ~80004010 ~!\n\
                 A 1 x 5000 !c 0 0 3\nE 3 3 0 1 1 0 0 0\n";
    all.push(whole.as_bytes().to_vec());
    all
}

fn campaign(profile: Profile) -> Campaign {
    Campaign {
        profile,
        seed: 3,
        count: 2000,
        jobs: 1,
        coverage: false,
        lean: None,
        device: None,
        devices: Vec::new(),
        visibility: nestwalk::dut::description::Visibility::Steps,
    }
}

fn results() -> Vec<Vec<u8>> {
    let campaign = campaign(Profile::ALL[0]);
    let stats = Stats {
        cycles: 9,
        accesses: 500,
        ..Stats::default()
    };
    let of = |shard: Shard| {
        let scenarios = shard.share(campaign.scenarios());
        let mut sum = Stats::default();
        (0..scenarios).for_each(|_| sum.add(&stats));
        let outcome = Outcome {
            stats: sum,
            scenarios,
            failed: None,
            interrupted: false,
            each: vec![stats; scenarios as usize],
            coverage: None,
            problems: Vec::new(),
        };
        Results::new(&campaign, shard, &outcome)
            .to_text()
            .into_bytes()
    };
    vec![
        of(Shard::WHOLE),
        of(Shard::new(0, 2).unwrap()),
        of(Shard::new(2, 3).unwrap()),
    ]
}

fn coverage() -> Vec<Vec<u8>> {
    [Profile::ALL[0], Profile::ALL[5]]
        .into_iter()
        .map(|profile| {
            let campaign = campaign(profile);
            let scenario = campaign.scenario(0);
            let mut bins = Bins::new(profile.format);
            let mut dut = Devices::make(&scenario).unwrap();
            let mut watch = CoverageCollector::new(&scenario, &mut bins);
            nestwalk::bench::run(&mut dut, &scenario, &mut watch).unwrap();
            let mut sum = InOrder::new(profile.format);
            sum.add(0, bins.take(), false);
            let sum = sum.finish(Run {
                profile: profile.to_string(),
                seed: 3,
                count: 2000,
                shape: campaign.shape(),
                abilities: None,
                version: "0".into(),
                parts: vec![Shard::new(0, 4).unwrap()],
                scenarios: 1,
                of: 4,
                accesses: 500,
                cycles: 9,
            });
            file::to_json(&sum).into_bytes()
        })
        .collect()
}

fn waivers() -> Vec<Vec<u8>> {
    vec![fs::read(project("tests/coverage-waivers.toml")).unwrap()]
}

fn code_coverage() -> Vec<Vec<u8>> {
    let mut text = format!("{}\n", rtl::MAGIC);
    for (kind, what, lines) in [
        ("line", "block", "3,5-7"),
        ("branch", "if", "9"),
        ("expr", "a==1", ""),
        ("toggle", "q[3]:0->1", ""),
        ("user", "", ""),
    ] {
        for line in [3, 9, 40] {
            text.push_str(&format!(
                "C '\x01t\x02{kind}\x01page\x02v_{kind}/a__pi1\x01f\x02rtl/tlb.sv\x01l\x02{line}\x01n\x023\x01o\x02{what}\x01S\x02{lines}' 12\n"
            ));
        }
    }
    vec![text.into_bytes()]
}

fn reports() -> Vec<Vec<u8>> {
    vec![
        br#"{"versions":{"nestwalk":"0","rtl":"0123","rtl_commit":null,"verilator":"5"},"text":"x"}"#.to_vec(),
        b"3/17".to_vec(),
    ]
}

fn maps() -> Vec<Vec<u8>> {
    let example = "examples/classic_mmu/classic_mmu.map.toml";
    vec![
        audit::template().as_bytes().to_vec(),
        fs::read(project(example)).unwrap(),
        b"name = \"x\"\nformat = \"rv32\"\nscope = \"tb.dut\"\nfields = [\"req_id_i\", \
          \"rsp_id_o\", \"rsp_fault_o\"]\n[clock]\nevery = 2\n[signals]\n\
          req_gva_i = \"{{2{tb.a[3]}}, tb.b & ~tb.c | 3'd2, x == 0}\"\n"
            .to_vec(),
    ]
}

/// The device of the recordings.
fn recorded() -> Description {
    let device = Variant::parse("handout").unwrap();
    device.description().at_most(Visibility::Attributed)
}

/// A run as JSON lines, and as a VCD with the ports of the testbench.
fn recordings() -> Vec<Vec<u8>> {
    let device = Variant::parse("handout").unwrap();
    let scenario = scenario_toward(Profile::ALL[0], 5, 0, 12, &[], Some(device));
    let description = recorded();
    let mut lines = audit::events::Writer::new(Vec::new(), &description).unwrap();
    let ports: Vec<_> = (description.ports.iter())
        .filter_map(|(name, width)| Some((port(name)?, width)))
        .filter(|(port, _)| !port.name.starts_with("event"))
        .collect();
    let mut vcd = String::from("$timescale 1ns $end\n$scope module tb_top $end\n");
    for (number, (port, width)) in ports.iter().enumerate() {
        vcd += &format!(
            "$var wire {width} i{number} {} [{}:0] $end\n",
            port.name,
            width - 1
        );
    }
    vcd += "$upscope $end\n$enddefinitions $end\n";
    let mut recorder = Recorder::new(|observed: Observed| {
        if observed.cycle >= 80 {
            return;
        }
        lines.cycle(&observed).unwrap();
        vcd += &format!("#{}\n", observed.cycle);
        for (number, (port, _)) in ports.iter().enumerate() {
            let bits = match port.is_input {
                true => (fields::input(port.field).unwrap().get)(&observed.inputs),
                false => (fields::output(port.field).unwrap().get)(&observed.outputs),
            };
            vcd += &format!("b{bits:b} i{number}\n");
        }
    });
    let mut dut = Devices::make(&scenario).unwrap();
    nestwalk::bench::run(&mut dut, &scenario, &mut recorder).unwrap();
    vec![lines.finish().unwrap(), vcd.into_bytes()]
}

// --- What it is fed to ---------------------------------------------------------------------------

/// Renders an error, as a command would.
fn shown<T, E: Display>(result: Result<T, E>) -> Option<T> {
    result
        .map_err(|error| {
            black_box(nestwalk::shown::text(&error.to_string()).len());
        })
        .ok()
}

fn feed_scenario(path: &Path, _: &[u8]) -> bool {
    let Some(scenario) = shown(parse::load(path)) else {
        return false;
    };
    let accesses = report::golden_accesses(&scenario);
    shown(report::reject_holes(&scenario, &accesses));
    // Mappings of many pages are written as words, and a file may have fewer words than that.
    if scenario.ops.len() > 10_000 || scenario.memory.blocks() > 2000 {
        return true;
    }
    let written = write::to_toml(&scenario);
    let again = parse::parse(&written, "written").expect("what is written can be read");
    assert_eq!(again.ops.len(), scenario.ops.len());
    true
}

fn feed_vectors(path: &Path, _: &[u8]) -> bool {
    let Some(mut file) = shown(Vectors::open(path)) else {
        return false;
    };
    let mut taken = false;
    while let Some(lines) = shown(file.lines(32)).filter(|lines| !lines.is_empty()) {
        for (number, line) in lines {
            if let Some(vector) = shown(record::parse(number, &line)) {
                let golden = GoldenWalk::of(&vector);
                black_box(golden.differences(&vector));
                taken = true;
            }
        }
    }
    taken
}

fn feed_trace(path: &Path, input: &[u8]) -> bool {
    let never = AtomicBool::new(false);
    let Some(mut reader) = shown(Reader::open(path)) else {
        return false;
    };
    let mut replay = golden::Replay::default();
    shown(golden::replay(
        &mut reader,
        u64::MAX,
        &|_| {},
        &never,
        &mut replay,
    ));
    if let Some(first) = replay.differences.first.first() {
        shown(trace::explain(path, &[first.line]));
    }
    let options = device::Options {
        limit: u64::MAX,
        latency: 1,
        serial: false,
        walk_caches: WalkCaches::default(),
        walk_cache_entries: 2,
        second_tlb: false,
    };
    let mut reader = Reader::read(path, Cursor::new(input.to_vec())).expect("it could be opened");
    device::lower(&mut reader, &options, &never)
        .0
        .counts
        .accesses
        > 0
}

fn feed_map(path: &Path, _: &[u8]) -> bool {
    let Some(map) = shown(Map::load(path)) else {
        return false;
    };
    shown(map.of_events());
    true
}

fn feed_recording(path: &Path, _: &[u8]) -> bool {
    let device = Variant::parse("handout").unwrap();
    let map = Map::of_device(device.description());
    let Some(recording) = shown(Recording::open(path, &map)) else {
        return false;
    };
    let mut audit = Audit {
        auditor: recording.auditor(Visibility::Attributed),
        found: |auditor: &Auditor, finding: Finding| {
            black_box(report::audit::violation(1, &finding, auditor).len());
            black_box(report::audit::violation_json(&finding, auditor));
        },
        interrupted: || false,
    };
    let ran = shown(recording.run(&mut audit)).is_some();
    black_box(audit.finish());
    ran
}

fn feed_results(path: &Path, _: &[u8]) -> bool {
    let Some(results) = shown(Results::read(path)) else {
        return false;
    };
    let file = (path.to_owned(), results);
    shown(merge(std::slice::from_ref(&file)));
    shown(merge(&[file.clone(), file]));
    true
}

fn read_coverage(path: &Path, input: &[u8]) -> Option<Coverage> {
    shown(file::parse(path, &String::from_utf8_lossy(input)))
}

fn feed_coverage(path: &Path, input: &[u8]) -> bool {
    let Some(coverage) = read_coverage(path, input) else {
        return false;
    };
    let mut sum = Coverage::default();
    shown(sum.merge(&coverage));
    shown(sum.merge(&coverage));
    black_box(file::to_json(&sum).len());
    black_box(text::report(&sum, 10).len());
    black_box(html::page(&sum, None).len());
    true
}

fn feed_lean(path: &Path, input: &[u8]) -> bool {
    let Some(coverage) = read_coverage(path, input) else {
        return false;
    };
    let profile = Profile::ALL[5];
    let goals = coverage.empty_goals(Format::Rv64);
    let made = scenario_toward(profile, 1, 0, 20, &goals, None);
    let mut memory = made.memory.clone();
    for access in report::golden_accesses(&made).iter().take(3) {
        black_box(outcome(&nestwalk::golden::walk(
            made.machine.format,
            &access.query,
            &mut memory,
            &mut (),
        )))
        .ok();
    }
    true
}

fn feed_waivers(path: &Path, input: &[u8]) -> bool {
    if shown(rtl::parse_waivers(path, &String::from_utf8_lossy(input))).is_none() {
        return false;
    }
    let mut code = CodeCoverage::default();
    let points = String::from_utf8(code_coverage().remove(0)).unwrap();
    code.parse(path, &points).unwrap();
    shown(code.report(&project(""), Some(path)));
    true
}

fn feed_code_coverage(path: &Path, input: &[u8]) -> bool {
    let mut code = CodeCoverage::default();
    let taken = shown(code.parse(path, &String::from_utf8_lossy(input))).is_some();
    if let Some(report) = shown(code.report(&project(""), None)) {
        black_box((report.text().len(), report.lcov().len(), report.json()));
        black_box(html::page(&Coverage::default(), Some(&report)).len());
    }
    taken
}

fn feed_report(path: &Path, input: &[u8]) -> bool {
    fs::write(path.with_file_name(bundle::REPORT_JSON), input).unwrap();
    let rtl = bundle::rtl_of_bundle(&path.with_file_name(bundle::SCENARIO));
    shown(String::from_utf8_lossy(input).parse::<Shard>()).is_some() || rtl.is_some()
}

// --- Mutations -----------------------------------------------------------------------------------

struct Mutator {
    rng: Xoshiro256PlusPlus,
}

impl Mutator {
    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    /// Returns a range of bytes, mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let most = if self.below(4) == 0 { length } else { 16 };
        let start = self.below(length + 1);
        let end = (start + self.below(most + 1)).min(length);
        start..end
    }

    /// Returns a word of letters and digits.
    fn word(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let at = self.below(text.len().max(1)).min(text.len());
        let start = text[at..].iter().position(is_part).map_or(at, |n| at + n);
        let end =
            (text[start..].iter().position(|b| !is_part(b))).map_or(text.len(), |n| start + n);
        start..end
    }

    fn mutate(&mut self, corpus: &[Vec<u8>], text: &mut Vec<u8>) {
        const NUMBERS: [&str; 22] = [
            "0",
            "1",
            "-1",
            "2",
            "63",
            "64",
            "65",
            "255",
            "256",
            "4095",
            "4096",
            "1000000",
            "2147483648",
            "4294967295",
            "4294967296",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "0xFFFFFFFFFFFFFFFF",
            "ffffffffffffffff",
            "1e308",
        ];
        const PIECES: [&str; 20] = [
            "\"",
            "'",
            "[",
            "]",
            "{",
            "}",
            "\n",
            "\r\n",
            ",",
            "=",
            "\\",
            "\u{1b}[31m",
            "\0",
            "[[op]]\n",
            "#",
            "\"\"\"",
            "\u{202e}",
            " ",
            "null",
            "\x01\x02",
        ];
        match self.below(12) {
            0 if !text.is_empty() => {
                let at = self.below(text.len());
                text[at] ^= 1 << self.below(8);
            }
            1 => {
                let range = self.range(text.len());
                text.drain(range);
            }
            2 => {
                let range = self.range(text.len());
                let piece = text[range.clone()].to_vec();
                text.splice(range.end..range.end, piece);
            }
            3 | 4 => {
                let range = self.word(text);
                let number = NUMBERS[self.below(NUMBERS.len())];
                text.splice(range, number.bytes());
            }
            5 => {
                let (one, two) = (self.word(text), self.word(text));
                let piece = text[two].to_vec();
                text.splice(one, piece);
            }
            6 => {
                let other = &corpus[self.below(corpus.len())];
                let range = self.word(other);
                let (piece, at) = (other[range].to_vec(), self.word(text));
                text.splice(at, piece);
            }
            7 => {
                let other = &corpus[self.below(corpus.len())];
                let piece = other[self.range(other.len())].to_vec();
                let at = self.below(text.len() + 1);
                text.splice(at..at, piece);
            }
            8 => {
                let at = self.below(text.len() + 1);
                let piece = PIECES[self.below(PIECES.len())];
                text.splice(at..at, piece.bytes());
            }
            9 => {
                // Many repetitions of a part.
                let range = self.range(text.len());
                let times = [2, 30, 400, 3000][self.below(4)];
                let piece = text[range.clone()].repeat(times);
                if piece.len() < 1 << 19 {
                    text.splice(range, piece);
                }
            }
            10 => {
                let at = self.below(text.len() + 1);
                let deep = ["[", "{\"a\":", "{a=", "(", "x."][self.below(5)].repeat(300);
                text.splice(at..at, deep.bytes());
            }
            _ => text.truncate(self.below(text.len() + 1)),
        }
    }

    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut text = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(4) {
            self.mutate(corpus, &mut text);
        }
        text
    }
}

/// Returns an input of a parser. It is a function of the seed and the number.
fn input(parser: &Parser, corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let name = parser.name.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let rng = Xoshiro256PlusPlus::seed_from_u64(name ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Mutator { rng }.input(corpus)
}

// --- Processes -----------------------------------------------------------------------------------

fn variable(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect(name))
}

/// The environment variable of the process of a parser: its name.
const CHILD: &str = "NESTWALK_FUZZ_PARSER";
/// The environment variable with its folder, which has the input and its number while it runs.
const FOLDER: &str = "NESTWALK_FUZZ_FOLDER";
const PROGRESS: &str = "progress";

fn main() -> ExitCode {
    let (inputs, seed) = (
        variable("NESTWALK_FUZZ_INPUTS", FEW),
        variable("NESTWALK_FUZZ_SEED", 1),
    );
    let all: u64 = PARSERS.iter().map(|parser| parser.weight).sum();
    let share = |parser: &Parser| (inputs * parser.weight).div_ceil(all);
    if let Ok(name) = env::var(CHILD) {
        let parser = PARSERS
            .iter()
            .find(|parser| parser.name == name)
            .expect(CHILD);
        return run(parser, seed, share(parser));
    }
    // The arguments of the test harness: a filter that names another test, or a list.
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("no_parser_panics_aborts_or_hangs: test");
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    let mut children: Vec<_> = PARSERS.iter().rev().collect();
    let mut running = Vec::new();
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    while !children.is_empty() || !running.is_empty() {
        while running.len() < at_once
            && let Some(parser) = children.pop()
        {
            let folder = tempfile::tempdir().unwrap();
            let child = Command::new(env::current_exe().unwrap())
                .env(CHILD, parser.name)
                .env(FOLDER, folder.path())
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            running.push((parser, folder, child));
        }
        let (parser, folder, mut child) = running.remove(0);
        let status = child.wait().unwrap();
        if !status.success()
            && let Ok(text) = fs::read_to_string(folder.path().join(PROGRESS))
        {
            let kept = folder.keep();
            eprintln!(
                "{}: ended at input {} of seed {seed}, which is kept in {}",
                parser.name,
                text.lines().last().unwrap_or_default(),
                kept.display()
            );
        }
        println!(
            "{}: {} inputs of seed {seed}: {}",
            parser.name,
            share(parser),
            if status.success() {
                "ok".to_owned()
            } else {
                format!("FAILED, {status}")
            }
        );
        failed += u32::from(!status.success());
    }
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Passes inputs to a parser, in a process with limits.
fn run(parser: &Parser, seed: u64, count: u64) -> ExitCode {
    let corpus = (parser.corpus)();
    let limit = rustix::process::Rlimit {
        current: Some(MOST_MEMORY),
        maximum: Some(MOST_MEMORY),
    };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
    let folder = PathBuf::from(env::var_os(FOLDER).expect(FOLDER));
    let path = folder.join("input.toml");
    // The number of the input, and the time at which it began, in ms.
    let (number_now, since) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let watched = (Arc::clone(&number_now), Arc::clone(&since));
    let name = parser.name;
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(500));
            let took = begun.elapsed().as_millis() as u64 - watched.1.load(Ordering::SeqCst);
            if u128::from(took) > MOST_TIME.as_millis() {
                let number = watched.0.load(Ordering::SeqCst);
                eprintln!("{name}: input {number} of seed {seed} takes longer than {MOST_TIME:?}");
                std::process::exit(3);
            }
        }
    });
    std::panic::set_hook(Box::new(|_| {}));
    let mut progress = fs::File::create(folder.join(PROGRESS)).unwrap();
    let (mut wrong, mut taken) = (0, 0);
    let mut slowest = (0, Duration::ZERO);
    for number in 0..count {
        let input = input(parser, &corpus, seed, number);
        number_now.store(number, Ordering::SeqCst);
        since.store(begun.elapsed().as_millis() as u64, Ordering::SeqCst);
        writeln!(progress, "{number}").unwrap();
        fs::write(&path, &input).unwrap();
        let at = Instant::now();
        let fed = catch_unwind(AssertUnwindSafe(|| (parser.feed)(&path, &input)));
        if at.elapsed() > slowest.1 {
            slowest = (number, at.elapsed());
        }
        taken += u64::from(matches!(fed, Ok(true)));
        if let Err(panic) = fed {
            let text = (panic.downcast_ref::<String>().cloned())
                .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                .unwrap_or_default();
            eprintln!("{name}: input {number} of seed {seed} panics: {text}");
            fs::write(folder.join(format!("panics-{number}")), &input).unwrap();
            wrong += 1;
        }
    }
    println!(
        "{name}: {taken} of {count} inputs are taken; the slowest is number {}, {:.2?}",
        slowest.0, slowest.1
    );
    // Mutations find nothing if a parser accepts none of them, or all.
    let is_of_use = (1..count).contains(&taken) || count < 100;
    if !is_of_use {
        eprintln!("{name}: {taken} of {count} inputs are taken: the mutations are of no use");
    }
    match wrong == 0 && is_of_use {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
