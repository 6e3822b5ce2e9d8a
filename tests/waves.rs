// SPDX-License-Identifier: Apache-2.0
//! Waves: the FST file has the signals of the views and the events of the report, cycle by cycle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use nestwalk::bench::run;
use nestwalk::campaign::Devices;
use nestwalk::dut::Dut;
use nestwalk::dut::variants::VARIANTS;
use nestwalk::format::Format;
use nestwalk::report::{Recorder, text};
use nestwalk::scenario::{Machine, Scenario};
use nestwalk::stimulus::{self, Profile};
use nestwalk::wave::{FST, record, views};
use serde_json::Value;
use wellen::simple::{Waveform, read};
use wellen::{Var, VarRef};

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::nestwalk;

/// An FST file.
struct Wave {
    waveform: Waveform,
    /// The variables by path.
    vars: HashMap<String, VarRef>,
}

/// Returns the reader's name of a signal that GTKWave calls `path`: an element of an array has a
/// scope of its own, whose name is the index.
fn path_of(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((scope, name)) => match name.find('[') {
            Some(index) if scope.ends_with(&format!(".{}", &name[..index])) => {
                format!("{scope}.{}", &name[index..])
            }
            _ => path.to_owned(),
        },
        None => path.to_owned(),
    }
}

impl Wave {
    fn open(file: &Path) -> Self {
        let waveform = read(file).unwrap();
        let hierarchy = waveform.hierarchy();
        let vars = hierarchy
            .all_vars()
            .map(|var| (hierarchy[var].full_name(hierarchy), var))
            .collect();
        Self { waveform, vars }
    }

    fn var(&self, path: &str) -> Option<&Var> {
        let var = self.vars.get(path)?;
        Some(&self.waveform.hierarchy()[*var])
    }

    fn width(&self, path: &str) -> Option<u32> {
        self.var(path)?.length(self.waveform.hierarchy())
    }

    /// Returns the names of a signal's enumeration, by value.
    fn names(&self, path: &str) -> HashMap<String, String> {
        let var = self.var(path).unwrap_or_else(|| panic!("no {path}"));
        let (_, names) = var
            .enum_type(self.waveform.hierarchy())
            .unwrap_or_else(|| panic!("{path} has no names"));
        names
            .into_iter()
            .map(|(value, name)| (value.to_owned(), name.to_owned()))
            .collect()
    }

    /// Returns a signal's bits in a cycle.
    fn bits(&mut self, path: &str, cycle: u64) -> String {
        let var = self.var(path).unwrap_or_else(|| panic!("no {path}"));
        let signal = var.signal_ref();
        self.waveform.load_signals(&[signal]);
        let times = self.waveform.time_table();
        // The last change up to the cycle.
        let index = times.partition_point(|&time| time <= cycle) as u32 - 1;
        let signal = self.waveform.get_signal(signal).unwrap();
        let offset = signal.get_offset(index).unwrap();
        let last = offset.elements - 1;
        signal.get_value_at(&offset, last).to_bit_string().unwrap()
    }

    fn value(&mut self, path: &str, cycle: u64) -> u64 {
        u64::from_str_radix(&self.bits(path, cycle), 2).unwrap()
    }

    /// Returns the name of an enumeration's value in a cycle.
    fn name(&mut self, path: &str, cycle: u64) -> String {
        let bits = self.bits(path, cycle);
        self.names(path)[&bits].clone()
    }
}

/// Returns the names of the files in a folder, including hidden ones.
fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn json(arguments: &[&str]) -> Value {
    let ran = nestwalk(arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran.json()
}

fn hex(value: &Value) -> u64 {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

/// Returns the scenarios to examine, with their walk slots: the exercise, as it is and with 16
/// slots, and one of CLASSIC32.
fn scenarios(folder: &Path) -> Vec<(String, u32)> {
    let exercise = fs::read_to_string(scenario_file("exercise.toml")).unwrap();
    let machine = "format = \"handout\"\n";
    assert_eq!(exercise.matches(machine).count(), 1);
    let sixteen = folder.join("sixteen.toml");
    let slots = format!("{machine}slots = 16\n");
    fs::write(&sixteen, exercise.replace(machine, &slots)).unwrap();
    [
        (scenario_file("exercise.toml"), 4),
        (sixteen, 16),
        (scenario_file("classic32.toml"), 4),
    ]
    .map(|(path, slots)| (path.to_str().unwrap().to_owned(), slots))
    .into()
}

/// Signals that only devices of the RISC-V formats have.
const OF_RISCV: [&str; 21] = [
    "req virtual",
    "req user",
    "req SUM",
    "req guest MXR",
    "req host MXR",
    "req guest ADUE",
    "req host ADUE",
    "req guest PBMTE",
    "req host PBMTE",
    "req Svnapot",
    "rsp page size (log2)",
    "rsp memory type",
    "trap cause",
    "trap GVA",
    "trap tval2",
    "trap tinst",
    "slot 0 update",
    "update",
    "update of",
    "update to",
    "of virtual",
];

/// Checks that both views of a folder show the same signals, that these are in its wave, and that
/// they include those of each walk slot. Returns their labels.
#[track_caller]
fn views_hold(output: &Path, slots: u32, scenario: &str) -> BTreeSet<String> {
    let wave = Wave::open(&output.join("wave.fst"));
    let gtkw = fs::read_to_string(output.join("wave.gtkw")).unwrap();
    let mut in_gtkw = Vec::new();
    let mut labels = BTreeSet::new();
    for line in gtkw.lines().filter(|line| line.starts_with('+')) {
        let (label, path) = line[2..].split_once("} ").unwrap();
        assert!(labels.insert(label.to_owned()), "{label} is there twice");
        // The path of a vector ends with its range, such as [7:0].
        let (path, width) = match path.strip_suffix(":0]").and_then(|p| p.rsplit_once('[')) {
            Some((path, high)) => (path, high.parse::<u32>().unwrap() + 1),
            None => (path, 1),
        };
        let path = path_of(path);
        assert_eq!(wave.width(&path), Some(width), "{scenario}: {line}");
        in_gtkw.push(path);
    }
    let sucl = fs::read_to_string(output.join("wave.sucl")).unwrap();
    let in_sucl: Vec<String> = sucl
        .lines()
        .filter_map(|line| Some(line.strip_prefix("variable_add ")?.to_owned()))
        .collect();
    for path in &in_sucl {
        assert!(wave.var(path).is_some(), "{scenario}: {path}");
    }
    assert_eq!(in_gtkw, in_sucl);

    for slot in 0..slots {
        for what in [
            "state",
            "gVA",
            "gPA",
            "hPA",
            "guest level",
            "host level",
            "fault",
        ] {
            let label = format!("slot {slot} {what}");
            assert!(labels.contains(&label), "{scenario}: {label}");
        }
    }
    let of_slots = labels
        .iter()
        .filter(|label| label.ends_with(" state"))
        .count();
    assert_eq!(of_slots, slots as usize, "{scenario}");
    labels
}

#[test]
fn a_folder_of_waves_has_the_wave_and_two_views_of_signals_that_are_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (scenario, slots)) in scenarios(folder.path()).into_iter().enumerate() {
        let output = folder.path().join(format!("deep/wave{number}"));
        let written = json(&["wave", &scenario, "-o", output.to_str().unwrap(), "--json"]);
        let names = ["wave.fst", "wave.gtkw", "wave.sucl"];
        assert_eq!(files(&output), names.map(String::from).into());
        let said: Vec<&str> = written["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file.as_str().unwrap())
            .collect();
        assert_eq!(
            said,
            names.map(|name| output.join(name).to_str().unwrap().to_owned())
        );

        let labels = views_hold(&output, slots, &scenario);
        assert!(labels.contains("req rights mode"));
        for label in OF_RISCV {
            assert!(!labels.contains(label), "{scenario}: {label}");
        }
    }
}

#[test]
fn the_views_of_riscv_devices_show_what_only_they_have() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["rv32", "rv64", "rv64_sv39"] {
        let device = VARIANTS.iter().find(|v| v.name == device).unwrap();
        let format = device.paging_format();
        let profile = Profile {
            format,
            rights: false,
        };
        let scenario = stimulus::scenario_toward(profile, 1, 0, 100, &[], Some(device));
        let output = folder.path().join(device.name);
        fs::create_dir(&output).unwrap();
        let mut dut = Devices::make(&scenario).unwrap();
        let mut recorder = Recorder::new(&scenario);
        let ran = record(&mut dut, &scenario, &mut recorder, &output.join(FST), 0);
        ran.wave.unwrap();
        if let Err(failed) = ran.result {
            panic!("{}", text::failure(&scenario, &failed));
        }
        for (name, view) in views(&scenario, &recorder, None) {
            fs::write(output.join(name), view).unwrap();
        }
        let labels = views_hold(&output, scenario.machine.slots, device.name);
        assert!(!labels.contains("req rights mode"));
        for label in OF_RISCV {
            assert!(labels.contains(label), "{}: {label}", device.name);
        }
    }
}

/// Returns every signal at the start of a run.
fn at_start(dut: &mut Dut, scenario: &Scenario, folder: &Path) -> BTreeMap<String, String> {
    let file = folder.join("start.fst");
    let recorded = record(dut, scenario, &mut (), &file, 0);
    recorded.wave.unwrap();
    recorded.result.unwrap();
    let mut wave = Wave::open(&file);
    let paths: Vec<String> = wave.vars.keys().cloned().collect();
    paths
        .into_iter()
        .map(|path| {
            let bits = wave.bits(&path, 0);
            (path, bits)
        })
        .collect()
}

#[test]
fn a_renewed_device_has_the_state_of_a_new_one_also_where_a_reset_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Handout, Format::Rv64] {
        let profile = Profile {
            format,
            rights: false,
        };
        let [before, after] =
            [0, 1].map(|number| stimulus::scenario_toward(profile, 7, number, 60, &[], None));
        let [before, after] = [before, after].map(|mut scenario| {
            scenario.machine = Machine::of(format);
            scenario
        });
        let mut new = Devices::make(&after).unwrap();
        let expected = at_start(&mut new, &after, folder.path());
        assert!(expected.len() > 100);

        // The actions of a campaign, the shrinker and the vectors between two scenarios.
        let mut devices = Devices::default();
        run(devices.get(&before).unwrap(), &before, &mut ()).unwrap();
        let renewed = devices.get(&after).unwrap();
        assert_eq!(at_start(renewed, &after, folder.path()), expected);

        // The same device, reset and not renewed, starts in another state.
        run(renewed, &before, &mut ()).unwrap();
        assert_ne!(at_start(renewed, &after, folder.path()), expected);
    }
}

#[test]
fn enumerations_have_their_names_in_the_wave() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (scenario, slots)) in scenarios(folder.path()).into_iter().enumerate() {
        let output = folder.path().join(number.to_string());
        json(&["wave", &scenario, "-o", output.to_str().unwrap(), "--json"]);
        let wave = Wave::open(&output.join("wave.fst"));
        let has = |path: &str, expected: &[&str]| {
            let names: BTreeSet<String> = wave.names(path).into_values().collect();
            let expected: BTreeSet<String> = expected.iter().map(|&name| name.into()).collect();
            assert!(names.is_superset(&expected), "{path}: {names:?}");
        };
        let faults = [
            "FaultNone",
            "FaultMemory",
            "FaultMisaligned",
            "FaultWidth",
            "FaultReserved",
            "FaultInvalid",
            "FaultPermission",
            "FaultAccessedDirty",
            "FaultPointer",
        ];
        let purposes = ["PurposeRead", "PurposeData", "PurposeUpdate"];
        has("tb_top.rsp_fault_kind_o", &faults);
        has("tb_top.rsp_fault_purpose_o", &purposes);
        for slot in 0..slots {
            has(
                &format!("tb_top.u_flat.u_mmu.u_walks.state_q.[{slot}]"),
                &["SlotIdle", "SlotRead", "SlotWait", "SlotDone"],
            );
            has(
                &format!("tb_top.u_flat.u_mmu.u_walks.walk_q.[{slot}].fault"),
                &faults,
            );
            has(
                &format!("tb_top.u_flat.u_mmu.u_walks.walk_q.[{slot}].purpose"),
                &purposes,
            );
        }
        // Every value of a signal that a view shows by name has a name.
        let gtkw = fs::read_to_string(output.join("wave.gtkw")).unwrap();
        let lines: Vec<&str> = gtkw.lines().collect();
        let mut named = 0;
        for pair in lines.windows(2).filter(|pair| pair[0] == "@100000028") {
            let (_, path) = pair[1].split_once("} ").unwrap();
            let (path, _) = path.rsplit_once('[').unwrap();
            assert!(wave.names(&path_of(path)).len() > 1, "{path}");
            named += 1;
        }
        assert_eq!(named, 3 + 3 * slots, "{scenario}");
    }
}

#[test]
fn the_wave_shows_each_request_and_answer_in_the_cycle_that_the_run_reports() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (scenario, _)) in scenarios(folder.path()).into_iter().enumerate() {
        let output = folder.path().join(number.to_string());
        let run = json(&["run", &scenario, "--json"]);
        let waved = json(&["wave", &scenario, "-o", output.to_str().unwrap(), "--json"]);
        assert_eq!(waved["run"]["accesses"], run["accesses"]);
        let mut wave = Wave::open(&output.join("wave.fst"));
        let accesses = run["accesses"].as_array().unwrap();
        assert!(accesses.len() >= 5, "{scenario}");
        let mut faults = 0;
        for access in accesses {
            let (asked, device) = (&access["golden"]["query"], &access["device"]);
            let accepted = device["accepted"].as_u64().unwrap();
            assert_eq!(wave.value("tb_top.req_valid_i", accepted), 1);
            assert_eq!(wave.value("tb_top.req_ready_o", accepted), 1);
            assert_eq!(wave.value("tb_top.req_gva_i", accepted), hex(&asked["gva"]));
            assert_eq!(wave.value("tb_top.req_asid_i", accepted), asked["asid"]);
            let guest_levels = if asked["guest_root"].is_null() { 0 } else { 2 };
            assert_eq!(
                wave.value("tb_top.req_guest_levels_i", accepted),
                guest_levels
            );
            assert_eq!(wave.value("tb_top.req_host_levels_i", accepted), 2);
            assert_eq!(wave.value("tb_top.req_virt_i", accepted), 1);

            let answered = device["answered"].as_u64().unwrap();
            assert_eq!(wave.value("tb_top.rsp_valid_o", answered), 1);
            assert_eq!(wave.value("tb_top.rsp_ready_i", answered), 1);
            assert_eq!(wave.value("tb_top.rsp_gva_o", answered), hex(&asked["gva"]));
            assert_eq!(wave.value("tb_top.rsp_hit_o", answered) == 1, device["hit"]);
            let kind = wave.name("tb_top.rsp_fault_kind_o", answered);
            match &device["outcome"]["hpa"] {
                Value::Null => {
                    let fault = device["outcome"]["fault"]["kind"].as_str().unwrap();
                    assert_eq!(kind.to_lowercase(), format!("fault{fault}"));
                    let gpa = match &device["outcome"]["fault"]["gpa"] {
                        Value::Null => 0,
                        gpa => hex(gpa),
                    };
                    assert_eq!(wave.value("tb_top.rsp_gpa_o", answered), gpa);
                    faults += 1;
                }
                hpa => {
                    assert_eq!(wave.value("tb_top.rsp_hpa_o", answered), hex(hpa));
                    let gpa = hex(&access["golden"]["gpa"]);
                    assert_eq!(wave.value("tb_top.rsp_gpa_o", answered), gpa);
                    assert_eq!(kind, "FaultNone");
                }
            }

            for read in device["reads"].as_array().into_iter().flatten() {
                let cycle = read["cycle"].as_u64().unwrap();
                assert_eq!(wave.value("tb_top.mem_req_valid_o", cycle), 1);
                assert_eq!(wave.value("tb_top.mem_req_ready_i", cycle), 1);
                assert_eq!(wave.value("tb_top.mem_req_hpa_o", cycle), hex(&read["hpa"]));
                assert_eq!(wave.value("tb_top.mem_req_id_o", cycle), device["slot"]);
                assert_eq!(wave.value("tb_top.mem_req_update_o", cycle), 0);
                if !read["word"].is_null() {
                    let data = wave.value("tb_top.mem_rsp_data_i", cycle + 1);
                    assert_eq!(data, hex(&read["word"]));
                }
            }
        }
        assert!(faults > 0, "{scenario}");
    }
}

#[test]
fn a_slot_reads_and_waits_in_turn_for_each_entry_of_its_walk() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (scenario, _)) in scenarios(folder.path()).into_iter().enumerate() {
        let output = folder.path().join(number.to_string());
        let run = json(&["wave", &scenario, "-o", output.to_str().unwrap(), "--json"]);
        let mut wave = Wave::open(&output.join("wave.fst"));
        let mut longest = 0;
        for access in run["run"]["accesses"].as_array().unwrap() {
            let device = &access["device"];
            let Some(reads) = device["reads"].as_array() else {
                assert_eq!(device["hit"], true);
                continue;
            };
            longest = longest.max(reads.len());
            let accepted = device["accepted"].as_u64().unwrap();
            let mut expected = ["SlotRead", "SlotWait"].repeat(reads.len());
            expected.insert(0, "SlotIdle");
            expected.extend(["SlotDone", "SlotIdle"]);
            let slot = device["slot"].as_u64().unwrap();
            let path = format!("tb_top.u_flat.u_mmu.u_walks.state_q.[{slot}]");
            let states: Vec<String> = (accepted..)
                .take(expected.len())
                .map(|cycle| wave.name(&path, cycle))
                .collect();
            assert_eq!(states, expected, "{scenario}");
            // The last cycle is the cycle of the response.
            assert_eq!(device["answered"], accepted + expected.len() as u64 - 1);
        }
        assert_eq!(longest, 8, "{scenario}");
    }
}

#[test]
fn the_markers_of_both_views_are_the_cycles_in_which_requests_were_taken() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (scenario, _)) in scenarios(folder.path()).into_iter().enumerate() {
        let output = folder.path().join(number.to_string());
        let run = json(&["wave", &scenario, "-o", output.to_str().unwrap(), "--json"]);
        let accepted: Vec<u64> = run["run"]["accesses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|access| access["device"]["accepted"].as_u64().unwrap())
            .collect();

        let gtkw = fs::read_to_string(output.join("wave.gtkw")).unwrap();
        let line = gtkw.lines().find(|line| line.starts_with('*')).unwrap();
        // The zoom, the primary marker, and A to Z. Markers that are not in use are -1.
        let numbers: Vec<&str> = line.split(' ').skip(1).collect();
        assert_eq!(numbers.len(), 27);
        let (primary, named) = numbers.split_first().unwrap();
        assert_eq!(primary.parse::<u64>(), Ok(accepted[0]));
        let marks: Vec<u64> = named.iter().map_while(|mark| mark.parse().ok()).collect();
        assert_eq!(marks, accepted[..accepted.len().min(26)], "{scenario}");
        assert!(named[marks.len()..].iter().all(|&mark| mark == "-1"));

        let sucl = fs::read_to_string(output.join("wave.sucl")).unwrap();
        let marks: Vec<u64> = sucl
            .lines()
            .filter_map(|line| line.strip_prefix("marker_set ")?.split(' ').nth(1))
            .map(|cycle| cycle.parse().unwrap())
            .collect();
        assert_eq!(marks, accepted, "{scenario}");
    }
}

#[test]
fn run_with_a_wave_writes_that_file_alone_and_shows_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("of my own.fst");
    let exercise = scenario_file("exercise.toml");
    let exercise = exercise.to_str().unwrap();
    let run = json(&["run", exercise, "--json"]);
    let mut waved = json(&["run", exercise, "--wave", file.to_str().unwrap(), "--json"]);
    assert_eq!(files(folder.path()), ["of my own.fst".to_owned()].into());
    assert_eq!(waved["wave"], file.to_str().unwrap());
    waved["wave"] = Value::Null;
    assert_eq!(waved, run);

    let output = folder.path().join("views");
    json(&["wave", exercise, "-o", output.to_str().unwrap(), "--json"]);
    let (mut one, mut other) = (Wave::open(&file), Wave::open(&output.join("wave.fst")));
    let last = run["stats"]["cycles"].as_u64().unwrap() - 1;
    for path in [
        "req_valid_i",
        "req_gva_i",
        "rsp_valid_o",
        "rsp_hpa_o",
        "mem_req_hpa_o",
    ] {
        let path = format!("tb_top.{path}");
        for cycle in 0..=last {
            assert_eq!(
                one.bits(&path, cycle),
                other.bits(&path, cycle),
                "{path}, {cycle}"
            );
        }
    }
}

#[test]
fn a_second_wave_takes_the_place_of_the_first_and_leaves_other_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let wave = |scenario: &str, output: &Path| {
        let scenario = scenario_file(scenario);
        let arguments = [
            "wave",
            scenario.to_str().unwrap(),
            "-o",
            output.to_str().unwrap(),
            "--json",
        ];
        json(&arguments)
    };
    wave("exercise.toml", &output);
    fs::write(output.join("notes.txt"), "mine").unwrap();
    wave("classic32.toml", &output);
    let names = ["notes.txt", "wave.fst", "wave.gtkw", "wave.sucl"];
    assert_eq!(files(&output), names.map(String::from).into());
    assert_eq!(
        fs::read_to_string(output.join("notes.txt")).unwrap(),
        "mine"
    );

    let fresh = folder.path().join("fresh");
    wave("classic32.toml", &fresh);
    for view in ["wave.gtkw", "wave.sucl"] {
        let read = |folder: &Path| fs::read_to_string(folder.join(view)).unwrap();
        assert_eq!(read(&output), read(&fresh));
    }
    // CLASSIC32 has addresses of 32 bits.
    let width = Wave::open(&output.join("wave.fst")).width("tb_top.req_gva_i");
    assert_eq!(width, Some(32));
}

#[test]
fn a_run_that_is_not_as_expected_has_its_wave_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let exercise = fs::read_to_string(scenario_file("exercise.toml")).unwrap();
    let wrong = exercise.replace("expect.hpa = 0x11EAC", "expect.hpa = 0x51EAC");
    assert_ne!(wrong, exercise);
    let scenario = folder.path().join("wrong.toml");
    fs::write(&scenario, wrong).unwrap();
    let output = folder.path().join("out");
    let ran = nestwalk(&[
        "wave",
        scenario.to_str().unwrap(),
        "-o",
        output.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(files(&output).len(), 3);
    assert!(
        Wave::open(&output.join("wave.fst"))
            .var("tb_top.clk_i")
            .is_some()
    );
}
