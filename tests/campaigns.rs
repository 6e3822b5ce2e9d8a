// SPDX-License-Identifier: Apache-2.0
//! Campaigns in parts: the merged results of shards equal those of one run, bit for bit, also if a
//! scenario fails. The bundle of a failure has the same contents in every format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use assert_cmd::cargo::cargo_bin_cmd;
use nestwalk::bench::run;
use nestwalk::bundle::{Bundle, WINDOW};
use nestwalk::campaign::{Campaign, Choose, Devices, Outcome};
use nestwalk::dut::DutError;
use nestwalk::dut::variants::{VARIANTS, Variant};
use nestwalk::output::Outputs;
use nestwalk::results::{Results, ResultsError, merge};
use nestwalk::scenario::{Op, Scenario, parse, write};
use nestwalk::shard::Shard;
use nestwalk::shrink::{Found, confirm, shrink};
use nestwalk::stimulus::Profile;
use quick_xml::events::Event;
use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::{Ran, nestwalk};

// --- Shards that pass ----------------------------------------------------------------------------

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs a shard, or the whole campaign, and keeps its results under a name.
    #[track_caller]
    fn fuzz(&self, name: &str, arguments: &[&str]) -> Ran {
        let (output, results) = (self.path("out"), self.path(name));
        let mut all = vec!["fuzz", "-o", &output, "--results", &results];
        all.extend(arguments);
        let ran = nestwalk(&all);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran
    }

    fn shards(&self, of: u64, arguments: &[&str]) -> Vec<String> {
        (0..of)
            .map(|index| {
                let (name, shard) = (format!("{index}-of-{of}.json"), format!("{index}/{of}"));
                let mut all = vec!["--shard", &shard];
                all.extend(arguments);
                self.fuzz(&name, &all);
                self.path(&name)
            })
            .collect()
    }

    /// Checks that a merge is refused: exit code 2, the words on standard error, nothing written.
    #[track_caller]
    fn refuses(&self, files: &[String], words: &[&str]) {
        let merged = self.path("merged.json");
        let before = self.names();
        let mut all = vec!["merge", "--results", &merged];
        all.extend(files.iter().map(String::as_str));
        let ran = nestwalk(&all);
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "");
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?}: {}", ran.stderr);
        }
        assert_eq!(self.names(), before);
    }
}

#[test]
fn shards_merged_in_any_order_are_the_file_of_one_run_bit_for_bit() {
    for profile in ["handout-rights", "rv64"] {
        let folder = Folder::new();
        // Nine scenarios, the last one shorter.
        let campaign = ["--profile", profile, "--seed", "7", "--count", "4321"];
        folder.fuzz("whole.json", &campaign);
        let whole = folder.text("whole.json");
        // More shards than scenarios, too.
        for of in [2, 8, 11] {
            let mut files = folder.shards(of, &campaign);
            files.reverse();
            files.swap(0, 1);
            let merged = folder.path("merged.json");
            let mut all = vec!["merge", "--results", &merged];
            all.extend(files.iter().map(String::as_str));
            let ran = nestwalk(&all);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
            assert!(
                ran.stdout.contains("\n9 scenarios\nno mismatch\n"),
                "{}",
                ran.stdout
            );
            assert_eq!(folder.text("merged.json"), whole, "{profile}, {of} shards");
            all.push("--json");
            let json: Value = serde_json::from_str(&whole).unwrap();
            assert_eq!(nestwalk(&all).json(), json);
        }
        // A merged file can be merged again, and does not change.
        let (from, to) = (folder.path("whole.json"), folder.path("again.json"));
        assert_eq!(nestwalk(&["merge", &from, "--results", &to]).code, 0);
        assert_eq!(folder.text("again.json"), whole);
    }
}

#[test]
fn a_shard_runs_its_own_scenarios_alone_on_any_number_of_threads() {
    let folder = Folder::new();
    let campaign = ["--profile", "classic32", "--seed", "3", "--count", "4321"];
    let mut accesses = 0;
    for shard in ["0/4", "1/4", "2/4", "3/4"] {
        let with = |name: &str, jobs| {
            let mut all = campaign.to_vec();
            all.extend(["--shard", shard, "--jobs", jobs, "--json"]);
            let stdout = folder.fuzz(name, &all).stdout;
            (stdout, folder.text(name))
        };
        let (one, results) = with("one.json", "1");
        assert_eq!((one.clone(), results), with("three.json", "3"));
        let json: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(json["scenarios"], if shard == "0/4" { 3 } else { 2 });
        accesses += json["stats"]["accesses"].as_u64().unwrap();
    }
    assert_eq!(accesses, 4321);
}

// --- Shards that fail ----------------------------------------------------------------------------

/// Returns the number of a campaign's scenario.
fn number(scenario: &Scenario) -> u64 {
    let (_, number) = scenario.title.split_once("scenario ").unwrap();
    let number = number.strip_suffix(", shrunk").unwrap_or(number);
    number.parse().unwrap()
}

/// Returns the device of a scenario. From scenario `FROM` on its TLB is smaller than the checks
/// assume, so it misses where it must hit.
fn small_from<const FROM: u64>(scenario: &Scenario) -> Result<&'static Variant, DutError> {
    let own = scenario.machine.variant()?;
    let small = |v: &&Variant| {
        v.format == own.format && v.slots == own.slots && v.tlb_entries < own.tlb_entries
    };
    match number(scenario) >= FROM {
        true => Ok(VARIANTS.iter().find(small).unwrap_or(own)),
        false => Ok(own),
    }
}

const HANDOUT: Profile = Profile::ALL[0];

fn campaign(count: u64, jobs: usize) -> Campaign {
    Campaign {
        profile: HANDOUT,
        seed: 5,
        count,
        jobs,
        coverage: false,
        lean: None,
        device: None,
        devices: Vec::new(),
        visibility: nestwalk::dut::description::Visibility::Steps,
    }
}

fn outcome(campaign: &Campaign, shard: Shard, choose: Choose) -> Outcome {
    let devices = || Devices::chosen(choose);
    let never = AtomicBool::new(false);
    campaign
        .run_shard(shard, &devices, &|_| {}, &never, &|_| Ok(()))
        .unwrap()
}

fn results(campaign: &Campaign, shard: Shard, choose: Choose) -> Results {
    Results::new(campaign, shard, &outcome(campaign, shard, choose))
}

/// Writes results to a file and reads them back, as another machine would.
fn through_a_file(folder: &Folder, results: &Results) -> (PathBuf, Results) {
    let path = PathBuf::from(folder.path(&format!("{}.json", results.shard.index)));
    fs::write(&path, results.to_text()).unwrap();
    let read = Results::read(&path).unwrap();
    assert_eq!(&read, results);
    (path, read)
}

#[test]
fn shards_of_a_campaign_that_fails_merge_to_the_file_of_one_run_bit_for_bit() {
    let folder = Folder::new();
    let mut failed_at = Vec::new();
    let mut failing_shards = 0;
    for choose in [small_from::<0>, small_from::<6>, small_from::<17>] as [Choose; 3] {
        let campaign = campaign(9_800, 2);
        let whole = results(&campaign, Shard::WHOLE, choose);
        let failed = whole
            .failure
            .clone()
            .expect("a TLB that is too small is seen");
        assert_eq!(whole.scenarios, failed.scenario + 1);
        failed_at.push(failed.scenario);
        for of in 2..=6 {
            let shards: Vec<_> = (0..of)
                .map(|index| results(&campaign, Shard::new(index, of).unwrap(), choose))
                .collect();
            failing_shards += shards.iter().filter(|s| s.failure.is_some()).count();
            let files: Vec<_> = shards.iter().map(|s| through_a_file(&folder, s)).collect();
            let merged = merge(&files).unwrap();
            assert_eq!(merged.to_text(), whole.to_text(), "{of} shards");
        }
    }
    // The failure is neither only in the first scenario nor only in one shard.
    assert!(
        failed_at[0] < failed_at[1] && failed_at[1] < failed_at[2],
        "{failed_at:?}"
    );
    assert!(failing_shards > 15, "{failing_shards}");
}

#[test]
fn merge_reports_the_first_failure_and_names_the_later_ones() {
    let folder = Folder::new();
    let campaign = campaign(9_800, 1);
    let mut files = Vec::new();
    let mut failed: BTreeMap<u64, String> = BTreeMap::new();
    for index in 0..3 {
        let shard = results(&campaign, Shard::new(index, 3).unwrap(), small_from::<0>);
        if let Some(failure) = &shard.failure {
            failed.insert(failure.scenario, failure.text.clone());
        }
        files.push(
            through_a_file(&folder, &shard)
                .0
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert!(failed.len() > 1, "{failed:?}");
    let junit = folder.path("junit.xml");
    let mut all = vec!["merge", "--junit", &junit];
    all.extend(files.iter().map(String::as_str));
    let ran = nestwalk(&all);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let (first, text) = failed.pop_first().unwrap();
    assert!(ran.stdout.contains(&text), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains(&format!("its bundle is handout-5-{first}, "))
    );
    for later in failed.keys() {
        let line = format!("scenario {later}: MISMATCH in cycle ");
        assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    }
    let junit = Junit::parse(&folder.text("junit.xml"));
    assert_eq!(junit.cases.len(), 3);
    assert_eq!(junit.failures.len(), failed.len() + 1);
    assert!(junit.failures.iter().any(|failure| failure.contains(&text)));
}

// --- Files that do not fit -----------------------------------------------------------------------

#[test]
fn files_that_are_not_the_shards_of_one_campaign_are_refused() {
    let folder = Folder::new();
    let campaign = ["--profile", "handout", "--seed", "7", "--count", "2000"];
    let files = folder.shards(4, &campaign);

    folder.refuses(&files[1..3], &["missing shards, of 4: 0, 3"]);
    let mut doubled = files.clone();
    folder.fuzz(
        "second.json",
        &[&campaign[..], &["--shard", "2/4"]].concat(),
    );
    doubled.push(folder.path("second.json"));
    folder.refuses(
        &doubled,
        &["2-of-4.json", "second.json", "are both shard 2/4"],
    );

    let foreign: [(&[&str], &str); 5] = [
        (
            &[
                "--profile",
                "handout-rights",
                "--seed",
                "7",
                "--count",
                "2000",
            ],
            "profile is handout-rights, not handout",
        ),
        (
            &["--profile", "handout", "--seed", "8", "--count", "2000"],
            "seed is 8, not 7",
        ),
        (
            &["--profile", "handout", "--seed", "7", "--count", "2001"],
            "count is 2001, not 2000",
        ),
        (
            &["--profile", "handout", "--seed", "7", "--count", "2000"],
            "number of shards is 5, not 4",
        ),
        (
            &["--seed", "7", "--count", "2000", "--device", "handout"],
            "device is handout, not drawn for each scenario",
        ),
    ];
    for (number, (arguments, what)) in foreign.into_iter().enumerate() {
        let shard = if number == 3 { "3/5" } else { "3/4" };
        folder.fuzz("foreign.json", &[arguments, &["--shard", shard]].concat());
        let mut all = files.clone();
        all[3] = folder.path("foreign.json");
        folder.refuses(
            &all,
            &["foreign.json belongs to another campaign than", what],
        );
    }

    // Another build, and another generator.
    for (field, what) in [
        ("\"verilator\": \"", "program is"),
        ("\"rtl\": \"", "RTL is"),
        ("\"stimulus\": \"", "generator of scenarios is"),
    ] {
        let text = folder.text("3-of-4.json");
        let at = text.find(field).unwrap() + field.len();
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        fs::write(
            folder.path("other.json"),
            format!("{}{digit}{}", &text[..at], &text[at + 1..]),
        )
        .unwrap();
        let mut all = files.clone();
        all[3] = folder.path("other.json");
        folder.refuses(&all, &["other.json belongs to another campaign than", what]);
    }
    let nowhere = folder.path("nowhere.json");
    folder.refuses(&[nowhere], &["cannot read", "nowhere.json"]);
}

#[test]
fn a_file_that_is_damaged_or_of_another_kind_is_refused() {
    let folder = Folder::new();
    folder.fuzz(
        "shard.json",
        &["--seed", "7", "--count", "2000", "--shard", "0/2"],
    );
    let text = folder.text("shard.json");
    let with = |old: &str, new: &str| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replace(old, new)
    };
    let last_row = text.rfind(",\n    [").unwrap();
    let end = text.rfind("\n  ]").unwrap();
    let cases = [
        ("{}".to_owned(), "is not a results file"),
        ("[1, 2]".to_owned(), "is not a results file"),
        (text[..text.len() / 2].to_owned(), "is not a results file"),
        (
            with("\"nestwalk_results\": 4", "\"nestwalk_results\": 3"),
            "has version 3",
        ),
        (
            with("\"interrupted\": false", "\"interrupted\": true"),
            "Run shard 0/2 again",
        ),
        (
            with("\"scenarios\": 2", "\"scenarios\": 3"),
            "damaged: the number of scenarios",
        ),
        (
            with("\"index\": 0", "\"index\": 2"),
            "there is no such shard",
        ),
        (
            with("\"index\": 0", "\"extra\": 0"),
            "is not a results file",
        ),
        (
            with("\"accesses\": 1000", "\"accesses\": 1001"),
            "the figures do not add up",
        ),
        (
            format!("{}{}", &text[..last_row], &text[end..]),
            "not as many lines as scenarios",
        ),
    ];
    for (text, what) in cases {
        fs::write(folder.path("bad.json"), &text).unwrap();
        folder.refuses(&[folder.path("bad.json")], &["bad.json", what]);
    }
}

#[test]
fn an_interrupted_shard_cannot_be_merged() {
    let folder = Folder::new();
    let campaign = campaign(2_000, 1);
    let shard = Shard::new(1, 2).unwrap();
    let interrupted = AtomicBool::new(true);
    let outcome = campaign
        .run_shard(shard, &Devices::default, &|_| {}, &interrupted, &|_| Ok(()))
        .unwrap();
    let path = PathBuf::from(folder.path("1.json"));
    fs::write(&path, Results::new(&campaign, shard, &outcome).to_text()).unwrap();
    let error = Results::read(&path).unwrap_err();
    assert!(matches!(error, ResultsError::Interrupted { .. }), "{error}");
    assert!(error.to_string().contains("Run shard 1/2 again"), "{error}");
}

// --- Which shard ---------------------------------------------------------------------------------

/// Runs `--shard auto` with these variables and no other variable of a scheduler. Returns the
/// shard, or the error.
fn auto(variables: &[(&str, &str)]) -> Result<String, String> {
    let folder = Folder::new();
    let mut command = cargo_bin_cmd!("nestwalk");
    for (name, _) in std::env::vars() {
        if ["SLURM_", "SGE_", "CI_", "BUILDKITE", "CIRCLE"]
            .iter()
            .any(|of| name.starts_with(of))
        {
            command.env_remove(name);
        }
    }
    let arguments = [
        "fuzz", "--seed", "1", "--count", "600", "--shard", "auto", "--json", "-o",
    ];
    command
        .args(arguments)
        .arg(folder.path("out"))
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        Some(0) => {
            let json: Value = serde_json::from_slice(&output.stdout).unwrap();
            Ok(format!(
                "{}/{}",
                json["shard"]["index"], json["shard"]["of"]
            ))
        }
        code => {
            assert_eq!(
                (code, output.stdout.as_slice()),
                (Some(2), &b""[..]),
                "{stderr}"
            );
            assert!(stderr.starts_with("error: --shard auto: "), "{stderr}");
            assert!(stderr.contains("--shard I/N"), "{stderr}");
            Err(stderr)
        }
    }
}

fn slurm<'a>(
    id: &'a str,
    min: &'a str,
    max: &'a str,
    step: &'a str,
    count: &'a str,
) -> [(&'static str, &'a str); 5] {
    [
        ("SLURM_ARRAY_TASK_ID", id),
        ("SLURM_ARRAY_TASK_MIN", min),
        ("SLURM_ARRAY_TASK_MAX", max),
        ("SLURM_ARRAY_TASK_STEP", step),
        ("SLURM_ARRAY_TASK_COUNT", count),
    ]
}

#[test]
fn the_shard_is_taken_from_the_variables_of_a_job_array() {
    let is = |variables: &[(&str, &str)], shard: &str| {
        assert_eq!(auto(variables), Ok(shard.to_owned()), "{variables:?}");
    };
    is(&slurm("0", "0", "7", "1", "8"), "0/8");
    is(&slurm("7", "0", "7", "1", "8"), "7/8");
    is(&slurm("3", "1", "8", "1", "8"), "2/8");
    is(&slurm("10", "2", "14", "4", "4"), "2/4");
    is(
        &[
            ("SGE_TASK_ID", "5"),
            ("SGE_TASK_FIRST", "1"),
            ("SGE_TASK_LAST", "10"),
            ("SGE_TASK_STEPSIZE", "2"),
        ],
        "2/5",
    );
    is(&[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "3")], "0/3");
    is(&[("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "3")], "2/3");
    is(
        &[
            ("BUILDKITE_PARALLEL_JOB", "2"),
            ("BUILDKITE_PARALLEL_JOB_COUNT", "3"),
        ],
        "2/3",
    );
    is(
        &[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "3")],
        "0/3",
    );
    // Grid Engine's word for "no array".
    is(
        &[
            ("SGE_TASK_ID", "undefined"),
            ("CIRCLE_NODE_INDEX", "1"),
            ("CIRCLE_NODE_TOTAL", "2"),
        ],
        "1/2",
    );
}

#[test]
fn variables_that_are_missing_or_do_not_fit_together_are_an_error() {
    let says = |variables: &[(&str, &str)], words: &[&str]| {
        let error = auto(variables).unwrap_err();
        for word in words {
            assert!(error.contains(word), "{word:?}: {error}");
        }
    };
    says(
        &[],
        &[
            "none of SLURM_ARRAY_TASK_ID (Slurm), ",
            "CI_NODE_INDEX (GitLab CI)",
        ],
    );
    says(&[("CI_NODE_TOTAL", "1")], &["none of "]);
    for left_out in 1..5 {
        let mut variables = slurm("0", "0", "7", "1", "8").to_vec();
        let (name, _) = variables.remove(left_out);
        says(
            &variables,
            &["SLURM_ARRAY_TASK_ID is set, but ", name, " is not"],
        );
    }
    says(
        &slurm("x", "0", "7", "1", "8"),
        &["SLURM_ARRAY_TASK_ID is \"x\", which is not a number"],
    );
    // With --array=0,3,7 the array has gaps.
    says(
        &slurm("3", "0", "7", "1", "3"),
        &["SLURM_ARRAY_TASK_ID=3 is not a task of an array without gaps from 0 to 7"],
    );
    says(
        &slurm("8", "0", "7", "1", "8"),
        &["SLURM_ARRAY_TASK_ID=8 is not a task"],
    );
    says(
        &slurm("3", "0", "6", "2", "4"),
        &["SLURM_ARRAY_TASK_ID=3 is not a task"],
    );
    says(&slurm("0", "0", "7", "0", "8"), &["in steps of 0"]);
    says(
        &[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "3")],
        &["CI_NODE_INDEX=0", "from 1 on", "CI_NODE_TOTAL=3"],
    );
    says(
        &[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "3")],
        &["CI_NODE_INDEX=4"],
    );
    let both = [
        ("CI_NODE_INDEX", "1"),
        ("CI_NODE_TOTAL", "3"),
        ("CIRCLE_NODE_INDEX", "0"),
        ("CIRCLE_NODE_TOTAL", "3"),
    ];
    says(&both, &["CI_NODE_INDEX and CIRCLE_NODE_INDEX are both set"]);
}

#[test]
fn a_shard_that_there_is_not_is_refused_and_so_is_one_without_a_seed() {
    let folder = Folder::new();
    let output = folder.path("out");
    for (shard, words) in [
        ("8/8", "there is no shard 8 of 8"),
        ("0/0", "there is no shard 0 of 0"),
        ("1", "\"1\" is not a shard"),
        ("1/", "is not a shard"),
        ("-1/8", "is not a shard"),
        ("one/two", "is not a shard"),
    ] {
        let shard = format!("--shard={shard}");
        let ran = nestwalk(&["fuzz", "--seed", "1", "-o", &output, &shard]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    // Each shard would draw a seed of its own.
    let ran = nestwalk(&["fuzz", "--shard", "0/8", "-o", &output]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--seed"), "{}", ran.stderr);
    assert!(folder.names().is_empty());
}

#[test]
fn files_that_cannot_be_written_are_refused_before_anything_runs() {
    let folder = Folder::new();
    let output = folder.path("out");
    for option in ["--results", "--junit"] {
        let here = folder.path("");
        let ran = nestwalk(&["fuzz", "--count", "100", "-o", &output, option, &here]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{option}");
        assert!(
            ran.stderr.starts_with("error: cannot write "),
            "{}",
            ran.stderr
        );
    }
    assert!(folder.names().is_empty());
}

// --- JUnit ---------------------------------------------------------------------------------------

/// A JUnit file, parsed and compared with its schema.
#[derive(Default)]
struct Junit {
    /// Class and name.
    cases: Vec<(String, String)>,
    failures: Vec<String>,
    errors: Vec<String>,
    outputs: Vec<String>,
}

impl Junit {
    #[track_caller]
    fn parse(xml: &str) -> Self {
        // The schema of Jenkins' xUnit plugin, junit-10.xsd: elements, their parents, the
        // attributes that are required, and those that are optional.
        const ELEMENTS: [(&str, &str, &[&str], &[&str]); 6] = [
            (
                "testsuites",
                "",
                &["name", "tests", "failures", "errors"],
                &["time"],
            ),
            (
                "testsuite",
                "testsuites",
                &["name", "tests", "failures", "errors"],
                &["time", "skipped"],
            ),
            ("testcase", "testsuite", &["name", "classname"], &["time"]),
            ("failure", "testcase", &["message", "type"], &[]),
            ("error", "testcase", &["message", "type"], &[]),
            ("system-out", "testcase", &[], &[]),
        ];
        let mut junit = Self::default();
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut within = vec![String::new()];
        let mut text = String::new();
        let mut claimed = [0; 3];
        loop {
            let event = reader.read_event().unwrap();
            match &event {
                Event::Start(start) | Event::Empty(start) => {
                    let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                    let (_, parent, must, may) = ELEMENTS
                        .into_iter()
                        .find(|element| element.0 == name)
                        .unwrap_or_else(|| panic!("<{name}>"));
                    assert_eq!(within.last().unwrap(), parent, "<{name}>");
                    let attributes: BTreeMap<String, String> = start
                        .attributes()
                        .map(|attribute| {
                            let attribute = attribute.unwrap();
                            let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                            let value =
                                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
                            (key, value.unwrap().into_owned())
                        })
                        .collect();
                    for name in must {
                        assert!(attributes.contains_key(*name), "{name}: {attributes:?}");
                    }
                    for name in attributes.keys() {
                        assert!(must.contains(&&**name) || may.contains(&&**name), "{name}");
                    }
                    match name.as_str() {
                        "testsuite" => {
                            claimed = ["tests", "failures", "errors"]
                                .map(|n| attributes[n].parse().unwrap());
                        }
                        "testcase" => junit
                            .cases
                            .push((attributes["classname"].clone(), attributes["name"].clone())),
                        "error" => junit.errors.push(attributes["message"].clone()),
                        _ => {}
                    }
                    if matches!(event, Event::Start(_)) {
                        within.push(name);
                    }
                    text.clear();
                }
                Event::Text(part) => text.push_str(&part.decode().unwrap()),
                Event::GeneralRef(entity) => match entity.resolve_char_ref().unwrap() {
                    Some(c) => text.push(c),
                    None => {
                        let name = entity.decode().unwrap();
                        text.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap());
                    }
                },
                Event::End(_) => match within.pop().unwrap().as_str() {
                    "failure" => junit.failures.push(std::mem::take(&mut text)),
                    "system-out" => junit.outputs.push(std::mem::take(&mut text)),
                    _ => {}
                },
                Event::Decl(_) => {}
                Event::Eof => break,
                other => panic!("{other:?}"),
            }
        }
        let count = [junit.cases.len(), junit.failures.len(), junit.errors.len()];
        assert_eq!(claimed, count);
        junit
    }
}

#[test]
fn fuzz_writes_a_case_of_junit_for_its_shard() {
    let folder = Folder::new();
    let (junit, output) = (folder.path("junit.xml"), folder.path("out"));
    let arguments = [
        "fuzz", "--seed", "4", "--count", "1500", "--shard", "1/2", "-o", &output, "--junit",
        &junit,
    ];
    let ran = nestwalk(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let junit = Junit::parse(&folder.text("junit.xml"));
    let name = "fuzz --profile handout --seed 4 --count 1500 --shard 1/2".to_owned();
    assert_eq!(junit.cases, [("nestwalk.fuzz.handout".to_owned(), name)]);
    let figures = ran.stdout.lines().nth(1).unwrap();
    assert_eq!(junit.outputs, [format!("{figures}\n")]);
    assert_eq!(folder.names(), ["junit.xml"]);
}

#[test]
fn run_writes_what_the_terminal_shows_into_junit_whatever_characters_it_has() {
    let folder = Folder::new();
    let exercise = fs::read_to_string(scenario_file("exercise.toml")).unwrap();
    let title = exercise
        .lines()
        .find(|line| line.starts_with("title = "))
        .unwrap();
    let wrong = exercise
        .replace(title, "title = \"<&]]> \\u0001\\uFFFF é 😀\"")
        .replace("0x11EAC", "0x11EAB");
    assert_ne!(wrong.matches("0x11EAB").count(), 0);
    let (scenario, junit) = (folder.path("wrong.toml"), folder.path("junit.xml"));
    fs::write(&scenario, wrong).unwrap();
    let ran = nestwalk(&["run", &scenario, "--junit", &junit]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.starts_with("<&]]> \\u{1}\u{FFFF} é 😀\n"),
        "{}",
        ran.stdout
    );
    let xml = folder.text("junit.xml");
    assert!(!xml.contains(['\u{1}', '\u{FFFF}']));
    let junit = Junit::parse(&xml);
    assert_eq!(junit.cases, [("nestwalk.run".to_owned(), scenario)]);
    let shown = (ran.stdout)
        .replace("\\u{1}", "\u{FFFD}")
        .replace('\u{FFFF}', "\u{FFFD}");
    assert!(
        shown.starts_with("<&]]> \u{FFFD}\u{FFFD} é 😀\n"),
        "{shown}"
    );
    assert_eq!(junit.failures, [shown]);
}

#[test]
fn vectors_and_traces_write_a_case_of_junit_for_each_file() {
    let folder = Folder::new();
    let bad = folder.path("bad.jsonl");
    fs::write(&bad, "{}\n").unwrap();
    for verb in ["vectors", "trace"] {
        let junit = folder.path("junit.xml");
        let ran = nestwalk(&[verb, &bad, "--junit", &junit]);
        assert_eq!(ran.code, 2, "{verb}: {}", ran.stdout);
        let junit = Junit::parse(&folder.text("junit.xml"));
        assert_eq!(junit.cases, [(format!("nestwalk.{verb}"), bad.clone())]);
        assert_eq!(junit.errors.len(), 1);
        assert!(ran.stderr.contains(&junit.errors[0]), "{}", ran.stderr);
    }
}

// --- The bundle ----------------------------------------------------------------------------------

/// Returns the first failure of a campaign on devices that are not those it is for, and its bundle.
fn bundle(output: &Path, small: bool) -> (Campaign, Bundle) {
    let choose: Choose = small_from::<3>;
    let campaign = campaign(9_800, 2);
    let outcome = outcome(&campaign, Shard::WHOLE, choose);
    let (number, failed) = outcome.failed.unwrap();
    let first = campaign.scenario(number);
    let mut devices = Devices::chosen(choose);
    let left = match small {
        true => shrink(devices.get(&first).unwrap(), &first, &failed),
        false => (first, *failed),
    };
    let bundle = Bundle::new(&campaign, number, left, output, "nestwalk");
    bundle.write(&devices, &mut Outputs::default()).unwrap();
    (campaign, bundle)
}

#[test]
fn the_bundle_says_the_same_in_each_of_its_files_and_holds_what_runs_it_again() {
    let folder = Folder::new();
    let (campaign, bundle) = bundle(folder.0.path(), true);
    let mut names: Vec<_> = fs::read_dir(&bundle.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let all = [
        "report.json",
        "report.txt",
        "scenario.toml",
        "wave.fst",
        "wave.gtkw",
        "wave.sucl",
    ];
    assert_eq!(names, all);
    assert_eq!(folder.names().len(), 1, "no draft is left");

    let read = |name: &str| fs::read_to_string(bundle.folder.join(name)).unwrap();
    let text = read("report.txt");
    assert_eq!(text, bundle.text());
    let json: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(json["text"], text.as_str());
    assert_eq!(json["failure"]["check"], "must-hit");
    assert_eq!(json["seed"], 5);
    let cycle = json["failure"]["cycle"].as_u64().unwrap();
    for part in [
        &format!("MISMATCH in cycle {cycle}: a miss where the TLB must hit\n"),
        "\n  expected: ",
        "\n  observed: ",
        "\n  rests on: docs/ports.md, \"TLB\"\n",
        &format!(
            "\n  again:    nestwalk run {}/scenario.toml\n",
            bundle.folder.display()
        ),
        &format!("\n  campaign: nestwalk {}\n", campaign.command()),
        "\n  device:   handout, ",
        "\n  versions: nestwalk 0.1.0, RTL ",
        ", Verilator ",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }

    // The command in the report runs on the device of the scenario, where it passes.
    let again = bundle.again();
    let arguments: Vec<&str> = again.split(' ').skip(1).collect();
    let ran = nestwalk(&arguments);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        bundle.scenario.ops.len() < 60,
        "{}",
        bundle.scenario.ops.len()
    );
}

#[test]
fn a_failure_that_does_not_come_again_is_reported_with_what_has_come_instead() {
    let folder = Folder::new();
    let (campaign, first) = bundle(folder.0.path(), false);
    let line = "did not fail again on a fresh device: it agreed\n";
    assert!(
        !first.text().contains("did not fail again"),
        "{}",
        first.text()
    );
    assert_eq!(first.json()["not_again"], Value::Null);

    let found = Found {
        scenario: first.scenario.clone(),
        failed: first.failed.clone(),
        shrunk: false,
        not_again: Some("it agreed".to_owned()),
    };
    let devices = Devices::chosen(small_from::<3>);
    let bundle = Bundle::new(&campaign, 3, found, folder.0.path(), "nestwalk");
    let mut outputs = nestwalk::output::Outputs::default();
    bundle.write(&devices, &mut outputs).unwrap();
    // The evidence is in the bundle as well.
    assert!(
        bundle.text().starts_with("MISMATCH in cycle "),
        "{}",
        bundle.text()
    );
    assert!(bundle.text().contains(line), "{}", bundle.text());
    let read = |name: &str| fs::read_to_string(bundle.folder.join(name)).unwrap();
    assert_eq!(read("report.txt"), bundle.text());
    let json: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(json["not_again"], "it agreed");
}

#[test]
fn a_failure_is_confirmed_from_its_file_on_a_new_device_before_it_is_reported() {
    let choose: Choose = small_from::<3>;
    let campaign = campaign(9_800, 2);
    let outcome = outcome(&campaign, Shard::WHOLE, choose);
    let (number, failed) = outcome.failed.unwrap();
    let first = campaign.scenario(number);

    // On the devices on which it failed, it fails again, and so does its shrunk form.
    let devices = Devices::chosen(choose);
    let whole = confirm(&devices, first.clone(), &failed, false).unwrap();
    assert!(!whole.shrunk);
    assert_eq!(whole.not_again, None);
    assert_eq!(whole.failed.failure, failed.failure);
    let small = confirm(&devices, first.clone(), &failed, true).unwrap();
    assert!(small.shrunk && small.scenario.ops.len() < first.ops.len() / 4);
    let file = write::to_toml(&small.scenario);
    let mut parsed = parse::parse(&file, "scenario.toml").unwrap();
    parsed.title = small.scenario.title.clone();
    let mut dut = devices.fresh(&parsed).unwrap();
    let again = run(&mut dut, &parsed, &mut ()).unwrap_err();
    assert_eq!(again.failure, small.failed.failure);

    // On the devices of `nestwalk run`, which are correct, the scenario does not fail. It is
    // reported unchanged, with a remark.
    let innocent = confirm(&Devices::default(), first.clone(), &failed, true).unwrap();
    assert!(!innocent.shrunk);
    assert_eq!(innocent.not_again.as_deref(), Some("it agreed"));
    assert_eq!(innocent.scenario.ops, first.ops);
    assert_eq!(innocent.failed.failure, failed.failure);
}

#[test]
fn the_views_of_a_bundle_begin_at_the_failing_cycle_with_the_signals_that_it_is_about() {
    let folder = Folder::new();
    let (_, bundle) = bundle(folder.0.path(), true);
    let cycle = bundle.failed.failure.cycle();
    let gtkw = fs::read_to_string(bundle.folder.join("wave.gtkw")).unwrap();
    let line = |start: &str| {
        gtkw.lines()
            .find_map(|line| line.strip_prefix(start))
            .unwrap()
    };
    let primary: u64 = line("*-1.600000 ")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(primary, cycle);
    let start: u64 = line("[timestart] ").parse().unwrap();
    assert!(start <= cycle && cycle < start + 15, "{start}, {cycle}");
    let mut groups = gtkw.lines().zip(gtkw.lines().skip(1));
    let headline = format!("-FAILS in cycle {cycle}: a miss where the TLB must hit");
    assert!(
        groups.any(|(flag, name)| flag == "@200" && name == headline),
        "{gtkw}"
    );
    // Open ones first, then those that are folded.
    let open: Vec<&str> = groups
        .filter(|(flag, _)| ["@800200", "@c00200"].contains(flag))
        .map(|(flag, _)| flag)
        .collect();
    assert!(open.is_sorted() && open.contains(&"@c00200"), "{open:?}");
    let sucl = fs::read_to_string(bundle.folder.join("wave.sucl")).unwrap();
    assert!(sucl.contains(&format!("cursor_set {cycle}\n")), "{sucl}");
    assert!(
        sucl.contains(&format!("marker_set FAILS_HERE {cycle}\n")),
        "{sucl}"
    );

    let wave = wellen::simple::read(bundle.folder.join("wave.fst")).unwrap();
    let times = wave.time_table();
    assert_eq!(times.first(), Some(&0));
    assert!(
        *times.last().unwrap() > cycle,
        "what the failing cycle did is seen"
    );
}

#[test]
fn the_wave_of_a_long_run_is_a_window_before_the_failing_cycle() {
    let folder = Folder::new();
    // A wait makes the run long.
    let (campaign, small) = bundle(folder.0.path(), true);
    let mut scenario = small.scenario.clone();
    scenario.ops.insert(0, Op::Wait(20_000));
    let mut devices = Devices::chosen(small_from::<0>);
    scenario.title = "fuzz, scenario 3".to_owned();
    let failed =
        nestwalk::bench::run(devices.get(&scenario).unwrap(), &scenario, &mut ()).unwrap_err();
    let cycle = failed.failure.cycle();
    assert!(cycle > 20_000);
    let left = (scenario, *failed);
    let long = Bundle::new(&campaign, 3, left, folder.0.path(), "nestwalk");
    long.write(&devices, &mut Outputs::default()).unwrap();
    let wave = wellen::simple::read(long.folder.join("wave.fst")).unwrap();
    let times = wave.time_table();
    assert_eq!(times.first(), Some(&(cycle - WINDOW)));
    assert!(*times.last().unwrap() > cycle);
}

#[test]
fn a_bundle_replaces_the_one_of_its_name_and_nothing_else() {
    let folder = Folder::new();
    let (_, first) = bundle(folder.0.path(), false);
    assert!(first.scenario.ops.len() > 300);
    fs::write(first.folder.join("notes.txt"), "mine").unwrap();
    let (_, second) = bundle(folder.0.path(), true);
    assert_eq!(first.folder, second.folder);
    let text = fs::read_to_string(second.folder.join("scenario.toml")).unwrap();
    assert!(text.contains(", shrunk\""), "{text}");
    let notes = fs::read_to_string(second.folder.join("notes.txt")).unwrap();
    assert_eq!(notes, "mine");
    assert_eq!(fs::read_dir(&second.folder).unwrap().count(), 7);
}

#[test]
fn a_bundle_without_a_wave_has_all_else() {
    let folder = Folder::new();
    let (_, first) = bundle(folder.0.path(), true);
    let wave = first.folder.join("wave.fst");
    fs::remove_file(&wave).unwrap();
    fs::create_dir_all(wave.join("in the way")).unwrap();
    fs::write(first.folder.join("report.txt"), "old").unwrap();
    let devices = Devices::chosen(small_from::<3>);
    let errors = first.write(&devices, &mut Outputs::default()).unwrap_err();
    assert!(
        errors
            .iter()
            .all(|error| error.to_string().contains("wave.fst")),
        "{errors:?}"
    );
    let report = fs::read_to_string(first.folder.join("report.txt")).unwrap();
    assert_eq!(report, first.text());
}

#[test]
fn two_campaigns_in_one_folder_at_once_leave_one_whole_bundle() {
    let folder = Folder::new();
    let bundles = std::thread::scope(|scope| {
        let others: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| bundle(folder.0.path(), true).1))
            .collect();
        let bundles: Vec<Bundle> = others.into_iter().map(|one| one.join().unwrap()).collect();
        bundles
    });
    let folder = &bundles[0].folder;
    let report = fs::read_to_string(folder.join("report.txt")).unwrap();
    assert_eq!(report, bundles[0].text());
    wellen::simple::read(folder.join("wave.fst")).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 6, "no draft is left");
}

// --- Memory --------------------------------------------------------------------------------------

#[test]
fn the_memory_in_use_is_said_after_each_tenth_if_it_is_asked_for() {
    let folder = Folder::new();
    let output = folder.path("out");
    let arguments = [
        "fuzz", "--seed", "4", "--count", "7000", "-o", &output, "--json",
    ];
    assert!(nestwalk(&arguments).json().get("memory").is_none());
    let mut all = arguments.to_vec();
    all.push("--memory");
    let json = nestwalk(&all).json();
    let tenths = json["memory"].as_array().unwrap();
    assert_eq!(tenths.len(), 10);
    assert!(
        tenths.iter().all(|bytes| bytes.as_u64().unwrap() > 1 << 20),
        "{tenths:?}"
    );
}
