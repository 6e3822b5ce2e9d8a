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
fn audit(dut: &mut Dut, scenario: &Scenario, mut change: impl FnMut(&mut Observed) -> bool) -> Audited {
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
    let mut scenario =
        stimulus::scenario_toward(profile, 11, number, accesses, &[], Some(device));
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
                assert!(found.is_empty(), "{profile} {number} {visibility}: {found:?}");
                let figures = audited.figures;
                assert!(figures.stats.accesses > 100 && figures.open == 0, "{figures:?}");
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
                assert!(found.is_empty(), "{profile} {number} {visibility}: {found:?}");
                assert!(audited.figures.begins_midway);
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
    // Some responses cannot be judged: docs/visibility.md.
    assert!(all > 500 && found * 10 > all * 9, "{found} of {all}");
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
            if let Some(&(check, cycle)) = violations.first() {
                assert_eq!((check, cycle), (Check::Reads, wrong), "{profile} {number}");
                found += 1;
            }
            assert!(violations.len() <= 1, "{profile} {number}: {violations:?}");
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
    assert!(violations.iter().all(|(check, _)| *check == Check::OneResponse), "{violations:?}");
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
    let mut auditor = Auditor::new(&scenario.machine.description(), Visibility::Attributed, true);
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
    assert!((cycle + stall - 2..=cycle + stall + 1).contains(&found[0]), "{found:?} {cycle}");
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
        "fuzz", "--profile", profile, "--seed", "1", "--count", "60000", "--jobs", "1",
        "--device", device, "-o", out,
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
        let scope = ["tb_top.", "nestwalk_socket."].iter().find_map(|s| name.strip_prefix(s));
        let Some(port) = scope.filter(|port| PORTS.iter().any(|known| known.name == *port)) else {
            continue;
        };
        let width = hierarchy[var].length(hierarchy).unwrap();
        let signal = hierarchy[var].signal_ref();
        let range = if width > 1 { format!(" [{}:0]", width - 1) } else { String::new() };
        let _ = writeln!(text, "$var wire {width} s{} {port}{range} $end", signals.len());
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
        assert_eq!(ran.code, i32::from(is_failing), "{file} {options:?}: {json:#}");
        assert_eq!(json["error"], Value::Null);
        assert_eq!(json["figures"]["begins_midway"], false, "{file}");
        if is_failing {
            let [check, cycle, expected] = first(&json);
            assert_eq!(check, failure["check"], "{file}: {json:#}");
            assert_eq!(cycle.as_u64().unwrap(), failure["cycle"].as_u64().unwrap() + earlier);
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
    assert!(json["figures"]["responses"].as_u64().unwrap() > 2, "{json:#}");
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
    assert_eq!(recordings.run["failure"], Value::Null, "{:#}", recordings.run);
    agrees(&recordings, clean.to_str().unwrap(), &map);

    let buggy = tempfile::tempdir().unwrap();
    let device = own(buggy.path(), "attributed");
    plant("tests/mutants/14-hit-ignores-host-rights.toml", buggy.path());
    let scenario = failing(&device, "handout-rights", &path(&buggy, "out"));
    let recordings = record(&buggy, &scenario, device.to_str().unwrap());
    assert!(!recordings.run["failure"].is_null());
    agrees(&recordings, device.to_str().unwrap(), &map);
}
