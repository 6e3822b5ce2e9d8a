// SPDX-License-Identifier: Apache-2.0
//! The audit of recordings: waves and JSON lines of any simulator get the verdict that a run of the
//! testbench gets, in the same cycle.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nestwalk::audit::record::Recorder;
use nestwalk::audit::{Map, template};
use nestwalk::bench::auditor::{Auditor, Figures, Finding, Observed};
use nestwalk::bench::{Check, Failure, run};
use nestwalk::campaign::Devices;
use nestwalk::dut::Dut;
use nestwalk::dut::description::Visibility;
use nestwalk::dut::socket::PORTS;
use nestwalk::dut::variants::Variant;
use nestwalk::scenario::Scenario;
use nestwalk::stimulus::{self, Profile};
use serde_json::Value;
use tempfile::TempDir;
use wellen::LoadOptions;
use wellen::stream::Filter;

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::{Ran, nestwalk};

fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

// --- Cycles of a run, handed to the checks ------------------------------------------------------

/// The result of a run and of the audit of its ports.
struct Audited {
    failure: Option<Failure>,
    findings: Vec<Finding>,
    figures: Figures,
}

impl Audited {
    /// The checks that failed, with their cycles.
    fn violations(&self) -> Vec<(Check, u64)> {
        let of = |finding: &Finding| match finding {
            Finding::Mismatch(mismatch) => (mismatch.check(), mismatch.cycle),
            Finding::Unknown { port, .. } => panic!("{port}"),
        };
        self.findings.iter().map(of).collect()
    }
}

/// Runs a scenario, and audits its cycles behind a change of each.
fn audit(
    dut: &mut Dut,
    scenario: &Scenario,
    mut change: impl FnMut(&mut Observed) -> bool,
) -> Audited {
    let machine = &scenario.machine;
    let mut auditor = Auditor::new(&machine.description(), machine.visibility, true);
    let mut findings = Vec::new();
    dut.renew().unwrap();
    let mut recorder = Recorder::new(|mut observed: Observed| {
        if change(&mut observed) {
            let mut found = |_: &Auditor, finding| findings.push(finding);
            auditor.cycle(observed, None, &mut found).unwrap();
        }
    });
    let result = run(dut, scenario, &mut recorder);
    let figures = auditor.finish(&mut |_, finding| findings.push(finding));
    Audited {
        failure: result.err().map(|failed| failed.failure),
        findings,
        figures,
    }
}

/// A scenario of a profile on the default device of its format.
fn scenario(profile: Profile, number: u64, accesses: u64, visibility: Visibility) -> Scenario {
    let device = Variant::parse(profile.format.name()).unwrap();
    let mut scenario = stimulus::scenario_toward(profile, 11, number, accesses, &[], Some(device));
    scenario.machine.visibility = visibility;
    scenario
}

const LEVELS: [Visibility; 2] = [Visibility::Ports, Visibility::Attributed];

#[test]
fn runs_of_the_own_rtl_have_no_violation_at_either_level() {
    let mut devices = Devices::default();
    for profile in Profile::ALL {
        for (visibility, numbers) in LEVELS.into_iter().zip([0..12, 12..24]) {
            for number in numbers {
                let scenario = scenario(profile, number, 250, visibility);
                let dut = devices.get(&scenario).unwrap();
                let audited = audit(dut, &scenario, |_| true);
                assert!(audited.failure.is_none(), "{profile} {number}");
                let found = &audited.findings;
                assert!(
                    found.is_empty(),
                    "{profile} {number} {visibility}: {found:?}"
                );
                let figures = audited.figures;
                assert!(
                    figures.stats.accesses > 100 && figures.open == 0,
                    "{figures:?}"
                );
            }
        }
    }
}

#[test]
fn a_recording_that_begins_in_the_middle_of_a_run_has_no_violation() {
    let mut devices = Devices::default();
    let mut before = 0;
    for profile in Profile::ALL {
        for visibility in LEVELS {
            for number in 0..12 {
                let scenario = scenario(profile, number, 200, visibility);
                let dut = devices.get(&scenario).unwrap();
                let begin = 40 + 97 * number;
                // A reset would end what is not known.
                let audited = audit(dut, &scenario, |observed| {
                    let is_in_it = observed.cycle >= begin;
                    if observed.cycle == begin {
                        observed.reset = false;
                    }
                    is_in_it
                });
                let found = &audited.findings;
                assert!(
                    found.is_empty(),
                    "{profile} {number} {visibility}: {found:?}"
                );
                assert!(audited.figures.begins_midway || audited.figures.stats.cycles == 0);
                before += audited.figures.before;
            }
        }
    }
    assert!(before > 20, "{before} requests were in flight");
}

#[test]
fn a_wrong_response_is_one_violation_in_its_cycle_and_the_audit_goes_on() {
    let mut devices = Devices::default();
    let (mut found, mut all) = (0, 0);
    for profile in Profile::ALL {
        for number in 0..10 {
            let scenario = scenario(profile, number, 120, Visibility::Attributed);
            let dut = devices.get(&scenario).unwrap();
            // Each third response has another hPA.
            let (mut responses, mut wrong) = (0, Vec::new());
            let audited = audit(dut, &scenario, |observed| {
                let Observed {
                    cycle,
                    inputs,
                    outputs,
                    ..
                } = observed;
                if outputs.rsp_valid {
                    let is_chosen = responses % 3 == 2 && outputs.rsp_fault_kind == 0;
                    if is_chosen && !outputs.rsp_replay {
                        outputs.rsp_hpa ^= 0x40;
                        if inputs.rsp_ready {
                            wrong.push(*cycle);
                        }
                    }
                    responses += u64::from(inputs.rsp_ready);
                }
                true
            });
            for (check, cycle) in audited.violations() {
                assert_eq!(check, Check::WalkResponse, "{profile} {number}");
                assert!(wrong.contains(&cycle), "{profile} {number}: cycle {cycle}");
                found += 1;
            }
            all += wrong.len();
        }
    }
    // Some responses cannot be judged (docs/visibility.md).
    assert!(all > 500 && found * 10 > all * 8, "{found} of {all}");
}

#[test]
fn a_wrong_memory_request_is_one_violation_and_does_not_cause_others() {
    let mut devices = Devices::default();
    let (mut found, mut all) = (0, 0);
    for profile in Profile::ALL {
        for number in 0..20 {
            let scenario = scenario(profile, number, 150, Visibility::Attributed);
            let dut = devices.get(&scenario).unwrap();
            let (mut requests, mut wrong) = (0, None);
            let audited = audit(dut, &scenario, |observed| {
                let Observed {
                    cycle,
                    inputs,
                    outputs,
                    ..
                } = observed;
                if outputs.mem_req_valid {
                    if requests == 20 + number {
                        outputs.mem_req_hpa ^= 0x8;
                        if inputs.mem_req_ready {
                            wrong = Some(*cycle);
                        }
                    }
                    requests += u64::from(inputs.mem_req_ready);
                }
                true
            });
            let violations = audited.violations();
            let Some(wrong) = wrong else { continue };
            all += 1;
            let findings = &audited.findings;
            let Some(&(check, cycle)) = violations.first() else {
                continue;
            };
            // It may be the first request of another walk, which then cannot go on.
            assert!(cycle >= wrong, "{profile} {number}");
            if cycle == wrong {
                // A fence may have overtaken the walk already.
                assert!(
                    matches!(check, Check::Reads | Check::AfterFence),
                    "{check:?}"
                );
                assert_eq!(findings.len(), 1, "{profile} {number}: {findings:?}");
                found += 1;
            }
        }
    }
    assert!(all > 60 && found * 10 > all * 9, "{found} of {all}");
}

#[test]
fn a_response_that_no_request_asks_for_and_one_that_changes_are_violations() {
    let mut devices = Devices::default();
    let scenario = scenario(Profile::ALL[0], 1, 60, Visibility::Ports);
    let dut = devices.get(&scenario).unwrap();
    let mut last = None;
    let audited = audit(dut, &scenario, |observed| {
        // The response of the cycle before comes once more.
        let now = (observed.outputs.rsp_valid && observed.inputs.rsp_ready)
            .then(|| observed.outputs.clone());
        if let (Some(before), None) = (&last, &now)
            && observed.cycle > 100
            && !observed.outputs.rsp_valid
        {
            let before: &nestwalk::dut::Outputs = before;
            observed.outputs.rsp_valid = true;
            observed.outputs.rsp_id = before.rsp_id;
            observed.outputs.rsp_hpa = before.rsp_hpa;
            observed.inputs.rsp_ready = true;
            last = None;
            return observed.cycle < 200;
        }
        last = now;
        observed.cycle < 200
    });
    let violations = audited.violations();
    assert!(!violations.is_empty());
    assert!(
        violations
            .iter()
            .all(|(check, _)| *check == Check::OneResponse),
        "{violations:?}"
    );
}

#[test]
fn a_device_that_stops_is_one_stall_in_the_cycle_in_which_a_run_finds_it() {
    let mut devices = Devices::default();
    let scenario = scenario(Profile::ALL[0], 2, 60, Visibility::Attributed);
    let dut = devices.get(&scenario).unwrap();
    let stall = u64::from(scenario.machine.description().stalls.request);
    // From a cycle on in which a request waits and memory is idle, nothing happens any more.
    let mut frozen: Option<(u64, Observed)> = None;
    let (mut asked, mut reads) = (0i64, 0i64);
    let mut auditor = Auditor::new(
        &scenario.machine.description(),
        Visibility::Attributed,
        true,
    );
    let mut cycles = Vec::new();
    audit(dut, &scenario, |observed| {
        if frozen.is_some() {
            return false;
        }
        let Observed {
            inputs, outputs, ..
        } = &*observed;
        asked += i64::from(inputs.req_valid && outputs.req_ready);
        asked -= i64::from(outputs.rsp_valid && inputs.rsp_ready);
        reads += i64::from(outputs.mem_req_valid && inputs.mem_req_ready);
        reads -= i64::from(inputs.mem_rsp_valid && outputs.mem_rsp_ready);
        cycles.push(observed.clone());
        let is_idle = reads == 0 && !outputs.mem_req_valid && !outputs.rsp_valid;
        if observed.cycle > 50 && asked > 0 && is_idle && !inputs.mem_rsp_valid {
            let mut still = observed.clone();
            still.inputs.req_valid = false;
            still.inputs.fence_valid = false;
            still.reset = false;
            frozen = Some((observed.cycle, still));
        }
        true
    });
    let (cycle, still) = frozen.unwrap();
    let mut found = Vec::new();
    let mut keep = |_: &Auditor, finding: Finding| found.push(finding.cycle());
    for observed in cycles {
        auditor.cycle(observed, None, &mut keep).unwrap();
    }
    let quiet = Observed {
        cycle: cycle + 1,
        repeat: 10 * stall,
        ..still
    };
    auditor.cycle(quiet, None, &mut keep).unwrap();
    let figures = auditor.finish(&mut keep);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        (cycle + stall - 2..=cycle + stall + 1).contains(&found[0]),
        "{found:?} {cycle}"
    );
    assert!(figures.open > 0);
}

// --- The example MMU and the own RTL, with and without bugs, as files ---------------------------

/// A copy of the example MMU, with a bug if one is named.
fn example(folder: &Path, bug: Option<&str>) -> PathBuf {
    let own = folder.join("examples/classic_mmu");
    fs::create_dir_all(&own).unwrap();
    for file in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
        let from = project(&format!("examples/classic_mmu/{file}"));
        fs::copy(from, own.join(file)).unwrap();
    }
    if let Some(bug) = bug {
        plant(&format!("examples/classic_mmu/bugs/{bug}.toml"), folder);
    }
    own.join("classic_mmu.toml")
}

fn plant(bug: &str, folder: &Path) {
    let planted = Command::new(project("tools/mutant.py"))
        .args(["plant", &project(bug), folder.to_str().unwrap()])
        .status();
    assert!(planted.unwrap().success(), "{bug}");
}

/// Runs a campaign that must fail, and returns the scenario of its bundle.
fn failing(device: &Path, profile: &str, out: &str) -> String {
    let device = device.to_str().unwrap();
    let ran = nestwalk(&[
        "fuzz",
        "--profile",
        profile,
        "--seed",
        "1",
        "--count",
        "60000",
        "--jobs",
        "1",
        "--device",
        device,
        "-o",
        out,
    ]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let bundle = fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
    bundle.join("scenario.toml").to_str().unwrap().to_owned()
}

/// The recordings of a scenario: an FST, JSON lines, and a VCD with a clock.
struct Recordings {
    fst: String,
    lines: String,
    vcd: String,
    /// What `nestwalk run` says.
    run: Value,
}

fn record(folder: &TempDir, scenario: &str, device: &str) -> Recordings {
    let [fst, lines, vcd] = ["run.fst", "run.jsonl", "run.vcd"].map(|name| path(folder, name));
    let ran = nestwalk(&[
        "run", scenario, "--device", device, "--wave", &fst, "--record", &lines, "--json",
    ]);
    assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
    to_vcd(&fst, &vcd);
    Recordings {
        fst,
        lines,
        vcd,
        run: ran.json(),
    }
}

/// Rewrites a wave of this program as a simulator with a clock would have written it: ten units of
/// time a cycle, the signals change with the rising edge, and the reset is active for two cycles.
fn to_vcd(fst: &str, vcd: &str) {
    let input = BufReader::new(File::open(fst).unwrap());
    let mut wave = wellen::stream::read(input, &LoadOptions::default()).unwrap();
    let hierarchy = wave.hierarchy();
    let mut text = String::from("$timescale 1ns $end\n$scope module tb $end\n");
    text.push_str("$var reg 1 C clk $end\n$var reg 1 R rst_n $end\n$scope module dut $end\n");
    let mut signals = Vec::new();
    for var in hierarchy.all_vars() {
        let name = hierarchy[var].full_name(hierarchy);
        let scope = ["tb_top.", "nestwalk_socket."]
            .iter()
            .find_map(|s| name.strip_prefix(s));
        let Some(port) = scope.filter(|port| PORTS.iter().any(|known| known.name == *port)) else {
            continue;
        };
        let width = hierarchy[var].length(hierarchy).unwrap();
        let signal = hierarchy[var].signal_ref();
        let range = if width > 1 {
            format!(" [{}:0]", width - 1)
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "$var wire {width} s{} {port}{range} $end",
            signals.len()
        );
        signals.push(signal);
    }
    text.push_str("$upscope $end\n$upscope $end\n$enddefinitions $end\n");
    text.push_str("#0\n0R\n0C\n#5\n1C\n#10\n0C\n#15\n1C\n#20\n0C\n");
    // The cycle `n` ends with the edge at 35 + 10 n.
    let mut changes: Vec<(u64, String)> = Vec::new();
    let places = signals.clone();
    let mut ids = std::collections::HashMap::new();
    for (number, signal) in places.iter().enumerate() {
        ids.entry(*signal).or_insert_with(Vec::new).push(number);
    }
    let _: Result<(), wellen::stream::StreamError<()>> =
        wave.stream_changes(Filter::include_signals(&signals), |time, signal, value| {
            for id in &ids[&signal] {
                changes.push((time, format!("b{} s{id}\n", value.to_bit_string().unwrap())));
            }
            Ok(())
        });
    let last = changes.last().map_or(0, |(time, _)| *time);
    let mut changes = changes.into_iter().peekable();
    for cycle in 0..=last {
        // The edge that ends the cycle before, with what it changes.
        let _ = writeln!(text, "#{}\n1C", 25 + 10 * cycle);
        if cycle == 0 {
            text.push_str("1R\n");
        }
        while let Some((_, change)) = changes.next_if(|(time, _)| *time == cycle) {
            text.push_str(&change);
        }
        let _ = writeln!(text, "#{}\n0C", 30 + 10 * cycle);
    }
    let _ = writeln!(text, "#{}\n1C", 35 + 10 * last);
    fs::write(vcd, text).unwrap();
}

fn audited(arguments: &[&str]) -> (Ran, Value) {
    let ran = nestwalk(&[&["audit"][..], arguments, &["--json"]].concat());
    let json = ran.json();
    (ran, json)
}

/// The first violation, as far as a run reports it likewise.
fn first(audit: &Value) -> [Value; 3] {
    let violation = &audit["violations"][0];
    ["check", "cycle", "expected"].map(|field| violation[field].clone())
}

/// Audits the recordings of a scenario, which must agree with its run in verdict, check and cycle.
/// The VCD begins two cycles earlier, in reset.
fn agrees(recordings: &Recordings, device: &str, map: &str) -> Value {
    let failure = &recordings.run["failure"];
    let is_failing = !failure.is_null();
    let mut said = Value::Null;
    let by_device = ["--device", device];
    let by_map = ["--map", map];
    for (file, options, earlier) in [
        (&recordings.fst, by_device, 0),
        (&recordings.lines, by_device, 0),
        (&recordings.lines, by_map, 0),
        (&recordings.vcd, by_map, 3),
    ] {
        let (ran, json) = audited(&[file, options[0], options[1]]);
        assert_eq!(
            ran.code,
            i32::from(is_failing),
            "{file} {options:?}: {json:#}"
        );
        assert_eq!(json["error"], Value::Null);
        assert_eq!(json["figures"]["begins_midway"], false, "{file}");
        if is_failing {
            let [check, cycle, expected] = first(&json);
            assert_eq!(check, failure["check"], "{file}: {json:#}");
            assert_eq!(
                cycle.as_u64().unwrap(),
                failure["cycle"].as_u64().unwrap() + earlier
            );
            if earlier == 0 {
                assert_eq!(expected, failure["expected"], "{file}");
            }
        }
        said = json;
    }
    said
}

const EXAMPLE_MAP: &str = "examples/classic_mmu/classic_mmu.map.toml";

/// The map of the example, for the clock and the scope of [`to_vcd`].
fn example_map(folder: &TempDir) -> String {
    let text = fs::read_to_string(project(EXAMPLE_MAP)).unwrap();
    let to = path(folder, "map.toml");
    fs::write(&to, text).unwrap();
    to
}

#[test]
fn a_clean_recording_of_the_example_has_no_violation_from_fst_vcd_and_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let device = example(folder.path(), None);
    let device = device.to_str().unwrap();
    let text = fs::read_to_string(scenario_file("sv39-kvm.toml")).unwrap();
    // The example has neither the other modes nor updates.
    let scenario = path(&folder, "clean.toml");
    fs::write(&scenario, text).unwrap();
    let recordings = record(&folder, &scenario, device);
    assert_eq!(recordings.run["failure"], Value::Null);
    let json = agrees(&recordings, device, &example_map(&folder));
    assert!(
        json["figures"]["responses"].as_u64().unwrap() > 2,
        "{json:#}"
    );
}

#[test]
fn a_planted_bug_of_the_example_is_found_in_the_cycle_in_which_a_run_finds_it() {
    for bug in [
        "htval-is-not-shifted",
        "hit-ignores-dirty",
        "implicit-read-honours-mxr",
        "root-of-one-page",
        "tlb-ignores-vmid",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let device = example(folder.path(), Some(bug));
        let scenario = failing(&device, "rv64", &path(&folder, "out"));
        let device = device.to_str().unwrap();
        let recordings = record(&folder, &scenario, device);
        assert!(!recordings.run["failure"].is_null(), "{bug}");
        agrees(&recordings, device, &example_map(&folder));
    }
}

/// A device file for the project's own RTL in a folder, at a level of visibility.
fn own(folder: &Path, visibility: &str) -> PathBuf {
    for name in ["rtl", "sim"] {
        let to = folder.join(name);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(project(name)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let path = folder.join("own.toml");
    let text = format!(
        "name = \"own\"\ntop = \"tb_top\"\nfiles = [\"rtl/nested_mmu.f\", \"sim/tb_top.sv\"]\n\
         assertions = false\nformat = \"handout\"\nvisibility = \"{visibility}\"\n\
         [parameters]\nFormat = 0\nTlbEntries = 16\nWalkSlots = 4\n\
         [tlb]\nentries = 16\nrecent = 5\nhit_may_fault = true\n[walks]\noutstanding = 4\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// A map for the own RTL of the handout's machine in the scope of [`to_vcd`].
fn own_map(folder: &TempDir) -> String {
    let text = "name = \"own\"\nformat = \"handout\"\nscope = \"tb.dut\"\n\
                fields = [\"req_id_i\", \"rsp_id_o\", \"mem_req_id_o\", \"mem_rsp_id_i\", \
                \"req_virt_i\", \"req_rights_i\", \"req_guest_levels_i\", \
                \"req_host_levels_i\", \"req_guest_root_i\", \"req_host_root_i\", \
                \"req_asid_i\", \"req_vmid_i\", \"rsp_ready_i\", \"rsp_replay_o\", \"rsp_gva_o\", \
                \"rsp_gpa_o\", \"rsp_page_size_o\", \"rsp_fault_kind_o\", \"rsp_fault_stage_o\", \
                \"rsp_fault_level_o\", \"rsp_fault_purpose_o\", \"rsp_fault_for_level_o\", \
                \"fence_valid_i\", \"fence_ready_o\", \"fence_virt_i\", \"fence_use_gva_i\", \
                \"fence_gva_i\", \"fence_use_gpa_i\", \"fence_gpa_i\", \"fence_use_asid_i\", \
                \"fence_asid_i\", \"fence_use_vmid_i\", \"fence_vmid_i\", \"mem_rsp_ready_o\", \
                \"mem_rsp_error_i\"]\n\
                [clock]\nsignal = \"tb.clk\"\n[reset]\nsignal = \"tb.rst_n\"\nactive = \"low\"\n\
                [tlb]\nentries = 16\nrecent = 5\nhit_may_fault = true\n[walks]\noutstanding = 4\n";
    let to = path(folder, "own.map.toml");
    fs::write(&to, text).unwrap();
    to
}

#[test]
fn a_bug_of_the_own_rtl_is_found_in_the_cycle_in_which_a_run_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let clean = own(folder.path(), "attributed");
    let map = own_map(&folder);
    let scenario = scenario_file("exercise.toml");
    let recordings = record(&folder, scenario.to_str().unwrap(), clean.to_str().unwrap());
    assert_eq!(
        recordings.run["failure"],
        Value::Null,
        "{:#}",
        recordings.run
    );
    agrees(&recordings, clean.to_str().unwrap(), &map);

    let buggy = tempfile::tempdir().unwrap();
    let device = own(buggy.path(), "attributed");
    plant(
        "tests/mutants/14-hit-ignores-host-rights.toml",
        buggy.path(),
    );
    let scenario = failing(&device, "handout-rights", &path(&buggy, "out"));
    let recordings = record(&buggy, &scenario, device.to_str().unwrap());
    assert!(!recordings.run["failure"].is_null());
    agrees(&recordings, device.to_str().unwrap(), &map);
}

#[test]
fn a_wave_is_converted_to_the_events_that_the_run_records() {
    let folder = tempfile::tempdir().unwrap();
    for (name, device) in [("exercise.toml", "handout"), ("svadu.toml", "rv64")] {
        let scenario = scenario_file(name);
        let recordings = record(&folder, scenario.to_str().unwrap(), device);
        let converted = path(&folder, "converted.jsonl");
        let arguments = [&recordings.fst, "--device", device, "--events", &converted];
        let (ran, json) = audited(&arguments);
        assert_eq!(ran.code, 0, "{json:#}");
        let lines = |file: &str| fs::read_to_string(file).unwrap();
        assert_eq!(lines(&converted), lines(&recordings.lines), "{name}");
    }
}

// --- Maps and recordings that are wrong ---------------------------------------------------------

/// A VCD of a device without a TLB, with a clock of ten units of time, and its map: the events are
/// the ten lines of `docs/audit.md`.
struct Small {
    folder: TempDir,
    map: String,
    vcd: String,
}

const SMALL_MAP: &str = r#"name = "small"
format = "rv64"
[clock]
signal = "tb.clk"
[reset]
signal = "tb.rst_n"
active = "low"
[signals]
req_valid_i = "tb.dut.ctrl[0]"
req_ready_o = "~tb.dut.busy"
req_access_i = 0
req_gva_i = "{{25{tb.dut.va[38]}}, tb.dut.va}"
req_guest_root_i = "{tb.dut.satp[43:0], 12'h0}"
rsp_valid_o = "tb.dut.state == 2'd2"
rsp_hpa_o = "tb.dut.pa"
rsp_fault_o = "tb.dut.fault"
mem_req_valid_o = "tb.dut.ctrl[1] & tb.dut.busy"
mem_req_ready_i = "1'b1"
mem_req_hpa_o = "tb.dut.addr"
mem_rsp_valid_i = "tb.dut.ctrl[2]"
mem_rsp_data_i = "tb.dut.data"
[modes]
guest = ["sv39"]
virt = [0]
"#;

impl Small {
    fn new() -> Self {
        let mut vcd = String::from("$timescale 1ns $end\n$scope module tb $end\n");
        for (width, id, name) in [
            (1, "c", "clk"),
            (1, "r", "rst_n"),
            (3, "t", "dut.ctrl [2:0]"),
            (1, "b", "dut.busy"),
            (2, "s", "dut.state [1:0]"),
            (39, "v", "dut.va [38:0]"),
            (64, "p", "dut.satp [63:0]"),
            (56, "h", "dut.pa [55:0]"),
            (1, "f", "dut.fault"),
            (56, "a", "dut.addr [55:0]"),
            (64, "d", "dut.data [63:0]"),
        ] {
            let (scope, name) = name
                .split_once('.')
                .map_or((None, name), |(s, n)| (Some(s), n));
            if let Some(scope) = scope {
                let _ = writeln!(vcd, "$scope module {scope} $end");
            }
            let _ = writeln!(vcd, "$var wire {width} {id} {name} $end");
            if scope.is_some() {
                vcd.push_str("$upscope $end\n");
            }
        }
        vcd.push_str("$upscope $end\n$enddefinitions $end\n");
        let mut time = 0;
        let mut cycle = |changes: &str| {
            let _ = writeln!(vcd, "#{time}\n1c\n{changes}#{}\n0c", time + 5);
            time += 10;
        };
        // What does not count is unknown.
        cycle("0r\nbxxx t\nxb\nbx s\nbx v\nbx p\nbx h\nxf\nbx a\nbx d\n");
        cycle("");
        cycle("1r\nb000 t\n0b\nb0 s\n");
        cycle("b001 t\nb10010001101000101011001111000 v\nb10000000000000000000 p\n");
        for (addr, data) in [
            (0x8000_0000u64, 0x2000_0401u64),
            (0x8000_1488, 0x2000_0801),
            (0x8000_2A28, 0x2400_00CF),
        ] {
            cycle(&format!("b010 t\n1b\nb{addr:b} a\nbx v\nbx d\n"));
            cycle(&format!("b100 t\nbx a\nb{data:b} d\n"));
        }
        cycle(&format!("b000 t\nb10 s\nb{:b} h\n0f\n", 0x9000_0678u64));
        cycle("0b\nb0 s\nbx h\n");
        cycle("");
        Self {
            folder: tempfile::tempdir().unwrap(),
            map: SMALL_MAP.to_owned(),
            vcd,
        }
    }

    fn map(mut self, from: &str, to: &str) -> Self {
        assert_eq!(self.map.matches(from).count(), 1, "{from}");
        self.map = self.map.replace(from, to);
        self
    }

    fn vcd(mut self, from: &str, to: &str) -> Self {
        assert!(self.vcd.contains(from), "{from}: {}", self.vcd);
        self.vcd = self.vcd.replacen(from, to, 1);
        self
    }

    fn audit(&self) -> (Ran, String) {
        let [map, vcd] = ["map.toml", "small.vcd"].map(|name| path(&self.folder, name));
        fs::write(&map, &self.map).unwrap();
        fs::write(&vcd, &self.vcd).unwrap();
        let ran = nestwalk(&["audit", &vcd, "--map", &map]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        (ran, said)
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let (ran, said) = self.audit();
        assert_eq!(ran.code, 2, "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[test]
fn slices_operators_constants_and_concatenations_make_ports_of_other_signals() {
    let (ran, said) = Small::new().audit();
    assert_eq!(ran.code, 0, "{said}");
    assert!(
        said.contains("1 response") && said.contains("3 memory reads"),
        "{said}"
    );
    // Another response is a violation with the time of its edge.
    let wrong = Small::new().vcd("b10010000000000000000011001111000 h", "b1 h");
    let (ran, said) = wrong.audit();
    assert_eq!(ran.code, 1, "{said}");
    assert!(
        said.contains("VIOLATION 1 in cycle 10 (time 110)"),
        "{said}"
    );
    assert!(said.contains("request 0, accepted in cycle 3"), "{said}");
    assert!(
        said.contains("hPA 0x90000678") && said.contains("rests on"),
        "{said}"
    );
}

#[test]
fn a_map_that_does_not_fit_is_refused_with_its_place_and_the_correction() {
    let small = Small::new;
    small().map("\"tb.dut.pa\"", "\"tb.dut.pc\"").refused(&[
        "the recording has no signal `tb.dut.pc`",
        "map.toml:15",
        "tb.dut.pa",
    ]);
    small()
        .map("\"tb.dut.data\"", "\"tb.dut.data[62:0]\"")
        .refused(&[
            "`mem_rsp_data_i` has the wrong width: 63",
            "expected 64 bits",
            "map.toml:21",
        ]);
    small()
        .map("ctrl[2]\"", "ctrl[3]\"")
        .refused(&["`tb.dut.ctrl[3]` is not within the signal", "[2:0]"]);
    small()
        .map("tb.dut.state == 2'd2", "tb.dut.state == 2'd5")
        .refused(&["is no signal", "`2'd5` is not a constant"]);
    small()
        .map("rsp_hpa_o", "rsp_hap_o")
        .refused(&["`rsp_hap_o`", "did you mean `rsp_hpa_o`?"]);
    small()
        .map("rsp_hpa_o = \"tb.dut.pa\"\n", "")
        .refused(&["the map has no port `rsp_hpa_o`", "audit --new"]);
    small()
        .map("[modes]", "[mods]")
        .refused(&["unknown key `mods`", "did you mean `modes`?"]);
    small()
        .map("guest = [\"sv39\"]", "guest = [\"sv93\"]")
        .refused(&["unknown mode `sv93`"]);
    small()
        .map("[modes]", "[tlb]\nentries = 4\n[modes]")
        .refused(&["a TLB, but the map has no port `fence_valid_i`"]);
    small()
        .map("[clock]\nsignal = \"tb.clk\"\n", "")
        .refused(&["the map has no [clock]"]);
    small()
        .map("signal = \"tb.clk\"", "signal = \"tb.clk\"\nevery = 10")
        .refused(&["`every` beside `signal`"]);
    small()
        .map("\"tb.clk\"", "\"tb.dut.fault\"")
        .refused(&["the clock `tb.dut.fault` has no rising edge"]);
    small()
        .map("\"tb.clk\"", "\"tb.dut.ctrl\"")
        .refused(&["the clock has 3 bits"]);
    small()
        .map("\"tb.rst_n\"", "\"tb.rst_n & 1'b0\"")
        .refused(&["is active, or unknown"]);
    small()
        .map("active = \"low\"", "active = \"on\"")
        .refused(&["unknown level `on`"]);
    small()
        .map("name = \"small\"", "nam = 1")
        .refused(&["unknown key `nam`"]);
}

#[test]
fn unknown_bits_are_an_error_or_a_violation_only_where_they_count() {
    // An output that decides on a transfer, or whose value counts.
    let state = Small::new().vcd("b000 t\nb10 s", "b000 t\nbx0 s");
    let (ran, said) = state.audit();
    assert_eq!(ran.code, 1, "{said}");
    assert!(said.contains("unknown bits at an output"), "{said}");
    assert!(
        said.contains("`rsp_valid_o`") && said.contains("in cycle 10"),
        "{said}"
    );
    let address = Small::new().vcd("b10000000000000000001010010001000 a", "bx a");
    let (ran, said) = address.audit();
    assert_eq!(ran.code, 1, "{said}");
    assert!(said.contains("`mem_req_hpa_o`"), "{said}");
    // An input is the recording's own fault.
    Small::new()
        .vcd("b100000000000000000100000000001 d", "bx d")
        .refused(&["cycle 7", "`mem_rsp_data_i`", "neither 0 nor 1"]);
}

#[test]
fn damaged_and_foreign_files_are_refused_and_nothing_panics() {
    let small = Small::new();
    small.audit();
    let map = path(&small.folder, "map.toml");
    let refused = |bytes: &[u8], words: &[&str]| {
        let file = path(&small.folder, "bad");
        fs::write(&file, bytes).unwrap();
        let ran = nestwalk(&["audit", &file, "--map", &map]);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{word}: {}{}",
                ran.stdout,
                ran.stderr
            );
        }
        ran.code
    };
    assert_eq!(refused(b"", &["no FST, no VCD and no JSON lines"]), 2);
    assert_eq!(
        refused(&[0x55; 4096], &["no FST, no VCD and no JSON lines"]),
        2
    );
    let back = small.vcd.replace("#60\n", "#3\n");
    assert_eq!(refused(back.as_bytes(), &["time goes back"]), 2);
    let undeclared = small.vcd.replace("b0 s\n", "b0 q\n");
    refused(undeclared.as_bytes(), &[]);
    let unfinished = small.vcd.split("$enddefinitions").next().unwrap();
    assert_eq!(refused(unfinished.as_bytes(), &[]), 2);

    // An FST with bytes that are wrong, or that ends early: no panic, and no violation is made up.
    let fst = path(&small.folder, "exercise.fst");
    let scenario = scenario_file("exercise.toml");
    let ran = nestwalk(&["run", scenario.to_str().unwrap(), "--wave", &fst]);
    assert_eq!(ran.code, 0);
    let whole = fs::read(&fst).unwrap();
    for number in 0..24 {
        let mut bytes = whole.clone();
        let at = bytes.len() * number / 24;
        match number % 2 {
            0 => bytes.truncate(at),
            _ => bytes[at] ^= 0x5A,
        }
        fs::write(&fst, &bytes).unwrap();
        let ran = nestwalk(&["audit", &fst, "--device", "handout"]);
        assert!(matches!(ran.code, 0..=2), "{}", ran.stderr);
    }
    let ran = nestwalk(&["audit", "/nowhere/wave.fst", "--map", &map]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("/nowhere/wave.fst"), "{}", ran.stderr);
}

#[test]
fn a_wave_of_another_device_is_no_wave_of_this_one() {
    let small = Small::new();
    small.audit();
    let vcd = path(&small.folder, "small.vcd");
    let ran = nestwalk(&["audit", &vcd, "--device", "rv64"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no ports in a scope `tb_top`"),
        "{}",
        ran.stderr
    );
}

// --- JSON lines ---------------------------------------------------------------------------------

/// The block of a page that follows a mark.
fn block(page: &str, mark: &str) -> String {
    let text = fs::read_to_string(project(page)).unwrap();
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("{page} has no {mark}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split("```").next().unwrap().to_owned()
}

/// Audits lines on the standard input with a map.
fn audit_lines(folder: &TempDir, map: &str, lines: &str) -> Ran {
    let file = path(folder, "lines.map.toml");
    fs::write(&file, map).unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("nestwalk"))
        .args(["audit", "-", "--map", &file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

#[test]
fn the_ten_lines_of_the_page_are_a_recording_and_every_error_in_them_is_refused_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let map = block("docs/audit.md", "```toml events");
    let lines = block("docs/audit.md", "```json events");
    assert_eq!(lines.lines().count(), 10);
    let ran = audit_lines(&folder, &map, &lines);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 response") && ran.stdout.contains("no violation"));

    let edited = |from: &str, to: &str| {
        assert!(lines.contains(from), "{from}");
        audit_lines(&folder, &map, &lines.replacen(from, to, 1))
    };
    // A wrong word, and a wrong result.
    let ran = edited("0x90000678", "0x90001678");
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("VIOLATION 1 in cycle 19"),
        "{}",
        ran.stdout
    );
    let ran = edited("0x80001488", "0x80001480");
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("reads of a walk") && ran.stdout.contains("cycle 14"));

    for (from, to, words) in [
        (
            "\"gva\"",
            "\"gav\"",
            ":3: request has no field `gav` (did you mean `gva`?)",
        ),
        (
            "\"gva\":\"0x12345678\",",
            "",
            ":3: request has no field `gva`, and the device",
        ),
        (
            "\"read\"",
            "\"raed\"",
            ":4: unknown kind \"raed\" (did you mean `read`?)",
        ),
        ("\"cycle\":11,", "", ":4: an event has no field `cycle`"),
        (
            "\"cycle\":13",
            "\"cycle\":3",
            ":5: cycle 3 comes after cycle 11",
        ),
        (
            "\"0x20000401\"",
            "\"20000401\"",
            ":5: `data` is \"20000401\"; expected a number",
        ),
        (
            "\"load\"",
            "\"lode\"",
            ":3: `access` is \"lode\"; expected load",
        ),
        (
            "\"schema_version\":1",
            "\"schema_version\":9",
            ":1: the first line is",
        ),
        (
            "\"schema\"",
            "\"scheme\"",
            ":1: the first line has no field `scheme`",
        ),
        ("{\"cycle\":0", "[{\"cycle\":0", ":2: not JSON"),
        (
            "{\"cycle\":0,\"kind\":\"reset\"}",
            "7",
            ":2: an event is an object",
        ),
        (
            "\"kind\":\"reset\"",
            "\"kind\":\"fence\"",
            ":2: fence, but the device has no fence port",
        ),
        (
            "\"kind\":\"read\",\"hpa\":\"0x80000000\"",
            "\"kind\":\"read-data\",\"data\":1",
            "memory returns data, but each memory request",
        ),
        (
            "\"cycle\":13,\"kind\":\"read-data\"",
            "\"cycle\":11,\"kind\":\"read\"",
            ":5: a second read",
        ),
        (
            "\"kind\":\"read\"",
            "\"waits\":true,\"kind\":\"read\"",
            ":4: `waits` and `withdrawn` need",
        ),
    ] {
        let ran = edited(from, to);
        assert_eq!(ran.code, 2, "{from}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    let ran = audit_lines(&folder, &map, "");
    assert!(
        ran.code == 2 && ran.stderr.contains("the recording is empty"),
        "{}",
        ran.stderr
    );
    let long = format!(
        "{lines}{{\"cycle\":30,\"kind\":\"{}\"}}\n",
        "x".repeat(1 << 20)
    );
    let ran = audit_lines(&folder, &map, &long);
    assert!(
        ran.code == 2 && ran.stderr.contains(":11: a line of more than"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_recording_that_breaks_off_is_judged_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let map = block("docs/audit.md", "```toml events");
    let lines: Vec<String> = (block("docs/audit.md", "```json events").lines())
        .map(|line| format!("{line}\n"))
        .collect();
    for count in 1..=lines.len() {
        let ran = audit_lines(&folder, &map, &lines[..count].concat());
        assert_eq!(ran.code, 0, "{count}: {}{}", ran.stdout, ran.stderr);
    }
    // Without the reset, what is not known is stated.
    let ran = audit_lines(&folder, &map, &[&lines[..1], &lines[2..]].concat().concat());
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("does not begin in reset"),
        "{}",
        ran.stdout
    );
    let late = [&lines[..1], &lines[6..]].concat().concat();
    let ran = audit_lines(&folder, &map, &late);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("1 response to requests from before"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_template_has_every_port_and_is_a_map_and_is_not_written_over() {
    for port in PORTS.iter().filter(|port| !port.name.starts_with("event")) {
        let line = format!("{0} = \"tb.dut.{0}\"\n", port.name);
        assert!(template().contains(&line), "{}", port.name);
    }
    Map::parse(template(), "template.toml").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "new.toml");
    let ran = nestwalk(&["audit", "--new", &file]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), template());
    let ran = nestwalk(&["audit", "--new", &file]);
    assert!(
        ran.code == 2 && ran.stderr.contains("exists"),
        "{}",
        ran.stderr
    );
}

#[test]
fn outputs_are_written_and_never_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario_file("exercise.toml");
    let recordings = record(&folder, scenario.to_str().unwrap(), "handout");
    let junit = path(&folder, "junit.xml");
    let arguments = [&recordings.lines, "--device", "handout"];
    let (ran, _) = audited(&[&arguments[..], &["--junit", &junit]].concat());
    assert_eq!(ran.code, 0);
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("nestwalk.audit") && xml.contains("tests=\"1\""),
        "{xml}"
    );
    let before = fs::read(&recordings.lines).unwrap();
    let over = [
        "audit",
        &recordings.lines,
        "--device",
        "handout",
        "--events",
        &recordings.lines,
    ];
    assert_eq!(nestwalk(&over).code, 2);
    assert_eq!(fs::read(&recordings.lines).unwrap(), before);

    // A violation is a failed case, and the rest of a limit is counted.
    let lines = fs::read_to_string(&recordings.lines).unwrap();
    let wrong = lines.replace(
        "\"kind\":\"response\",\"id\":0",
        "\"kind\":\"response\",\"id\":7",
    );
    assert_ne!(wrong, lines);
    fs::write(&recordings.lines, wrong).unwrap();
    let ran = nestwalk(&[
        "audit",
        &recordings.lines,
        "--device",
        "handout",
        "--limit",
        "0",
        "--junit",
        &junit,
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("which --limit hides"), "{}", ran.stdout);
    assert!(
        fs::read_to_string(&junit)
            .unwrap()
            .contains("failures=\"1\"")
    );
}
