// SPDX-License-Identifier: Apache-2.0
//! The command line: bad input is refused with an error and leaves no file behind, wrong
//! expectations are found, and text and JSON report the results.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::{Ran, nestwalk};

/// Returns the text of a file of `scenarios/`.
fn text_of(name: &str) -> String {
    fs::read_to_string(scenario_file(name)).unwrap()
}

/// Returns the text with `old`, which occurs once, replaced.
#[track_caller]
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

/// Returns the text up to and including `place`, which occurs once.
#[track_caller]
fn cut_after(text: &str, place: &str) -> String {
    assert_eq!(text.matches(place).count(), 1, "{place}");
    let (before, _) = text.split_once(place).unwrap();
    format!("{before}{place}")
}

/// A folder with one scenario file in it.
struct Folder {
    folder: TempDir,
    scenario: PathBuf,
}

impl Folder {
    fn with(scenario: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenario.toml");
        fs::write(&path, scenario).unwrap();
        Self {
            folder,
            scenario: path,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn scenario(&self) -> &str {
        self.scenario.to_str().unwrap()
    }

    /// Returns all files in the folder and below, hidden or not.
    fn files(&self) -> BTreeSet<PathBuf> {
        fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, found);
                }
                found.insert(path);
            }
        }
        let mut found = BTreeSet::new();
        collect(self.folder.path(), &mut found);
        found
    }

    /// Returns every way to use the scenario, with an output.
    fn every_use(&self) -> Vec<Vec<String>> {
        let (scenario, output, wave) = (
            self.scenario().to_owned(),
            self.path("out"),
            self.path("wave.fst"),
        );
        [
            vec!["walk", &scenario],
            vec!["walk", &scenario, "--json"],
            vec!["run", &scenario],
            vec!["run", &scenario, "--json", "--wave", &wave],
            vec!["wave", &scenario, "-o", &output],
            vec!["wave", &scenario, "-o", &output, "--json"],
        ]
        .map(|arguments| arguments.into_iter().map(str::to_owned).collect())
        .into()
    }

    /// Checks that the program refuses to run: exit code 2, all of `words` on standard error,
    /// nothing on standard output, and the same files as before.
    #[track_caller]
    fn refuses(&self, arguments: &[impl AsRef<str>], words: &[&str]) {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let before = self.files();
        let ran = nestwalk(&arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{word:?} is not in:\n{}",
                ran.stderr
            );
        }
        assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert_eq!(self.files(), before, "{arguments:?}");
    }
}

/// Checks that every verb refuses the scenario with `words`, at the line of the last `place` in it.
#[track_caller]
fn refused(scenario: &str, place: &str, words: &[&str]) {
    let at = scenario
        .rfind(place)
        .unwrap_or_else(|| panic!("{place} is not in the file"));
    let folder = Folder::with(scenario);
    let line = scenario[..at].matches('\n').count() + 1;
    let at = format!("{}:{line}:", folder.scenario());
    let mut all = words.to_vec();
    all.push(&at);
    for arguments in folder.every_use() {
        folder.refuses(&arguments, &all);
    }
}

#[test]
fn a_scenario_that_is_cut_off_is_refused_where_it_ends() {
    let text = text_of("exercise.toml");
    for end in [
        "title = \"The handout's",
        "0x10084, 0x50DA8,",
        "expect.gpa = 0x41EAC\nexpect.hpa =",
        "hpa = 0x974D4, word = 0x41234, access",
    ] {
        let cut = cut_after(&text, end);
        let last_line = cut.rsplit('\n').next().unwrap();
        refused(&cut, last_line, &["not TOML", "truncated"]);
    }
    // A file that is truncated between two lines is still TOML.
    let cut = cut_after(&text, "fence = \"all\"\n") + "\n[[op]]\n";
    let folder = Folder::with(&cut);
    for arguments in folder.every_use() {
        folder.refuses(
            &arguments,
            &["an [[op]] that does nothing", "`load`", "`fence`"],
        );
    }
    refused("", "", &["`title`", "missing"]);
    let cut = cut_after(&text, "load = 0x61EAC\ncontext = \"nested\"\nexpect.reads");
    let (head, _) = cut.split_once("[[op]]").unwrap();
    let folder = Folder::with(head);
    for arguments in folder.every_use() {
        folder.refuses(&arguments, &["nothing happens in this scenario", "[[op]]"]);
    }
}

#[test]
fn what_is_misspelt_is_refused_with_what_it_may_have_been_meant_to_be() {
    let text = text_of("exercise.toml");
    for (old, new, words) in [
        (
            "format = \"handout\"",
            "format = \"handuot\"",
            ["handuot", "did you mean `handout`?"],
        ),
        (
            "format = \"handout\"",
            "formt = \"handout\"",
            ["formt", "did you mean `format`?"],
        ),
        (
            "[requests]",
            "[request]",
            ["unknown key `request`", "did you mean `requests`?"],
        ),
        (
            "one_at_a_time",
            "one_at_a_tyme",
            ["one_at_a_tyme", "did you mean `one_at_a_time`?"],
        ),
        (
            "store = 0x6FFFC",
            "stor = 0x6FFFC",
            ["unknown key `stor`", "did you mean `store`?"],
        ),
        (
            "fence = \"all\"",
            "fence = \"al\"",
            ["unknown fence `al`", "did you mean `all`?"],
        ),
        (
            "kind = \"memory\", stage = \"guest\"",
            "kind = \"memroy\", stage = \"guest\"",
            ["memroy", "did you mean `memory`?"],
        ),
        (
            "store = 0x6FFFC\ncontext = \"nested\"",
            "store = 0x6FFFC\ncontext = \"nestd\"",
            ["unknown context `nestd`", "did you mean `nested`?"],
        ),
        (
            "expect.gpa = 0x41EAC",
            "expect.gap = 0x41EAC",
            ["unknown key `gap`", "gpa"],
        ),
        (
            "hpa = 0x974D4, word = 0x41234, access = 6",
            "hpa = 0x974D4, wrod = 0x41234, access = 6",
            ["wrod", "did you mean `word`?"],
        ),
    ] {
        let place = new.rsplit('\n').next().unwrap();
        refused(&replaced(&text, old, new), place, &words);
    }
}

#[test]
fn what_overlaps_is_refused_with_both_places() {
    let text = text_of("exercise.toml");
    for (old, new) in [
        // The second image begins within the first; at its last word; the fourth within the third.
        ("at = 0x22998", "at = 0x02040"),
        ("at = 0x22998", "at = 0x0204C"),
        ("at = 0xA299C", "at = 0x52994"),
    ] {
        let wrong = replaced(&text, old, new);
        refused(
            &wrong,
            new,
            &["overlapping images", "this one", "and this one"],
        );
    }

    let text = text_of("two-vms.toml");
    let map = "map = [{ from = 0x00000, to = 0x70000, pages = 6 }]";
    let twice =
        "map = [{ from = 0x00000, to = 0x70000, pages = 6 }, { from = 0x50000, to = 0xF0000 }]";
    let words = ["page 0x50000 is mapped twice in one list"];
    refused(&replaced(&text, map, twice), twice, &words);
    let name = "name = \"vm1\"";
    refused(
        &replaced(&text, name, "name = \"vm0\" # again"),
        "name = \"vm0\" # again",
        &["a second host table with the name `vm0`"],
    );

    // An image in the memory for tables.
    let room = "tables = { from = 0x00000, bytes = 0x1000 }\n";
    let image = format!("{room}image = [{{ at = 0x00000, words = [1, 2, 3, 4], repeat = 256 }}]\n");
    let words = [
        "overlapping",
        "hPA 0x00000 is already used by the image of line",
    ];
    refused(&replaced(&text, room, &image), "name = \"vm0\"", &words);
}

#[test]
fn what_is_out_of_range_is_refused_with_the_range() {
    let text = text_of("exercise.toml");
    let machine = "format = \"handout\"";
    let requests = "one_at_a_time = true";
    let memory = "[[memory.image]]\nat = 0x02000";
    let host_only = "name = \"host only\" # Figure 1a: the guest table is off";
    for (old, new, words) in [
        (
            "store = 0x6FFFC",
            "store = 0x100000",
            ["out of range", "0x0 to 0xFFFFF"],
        ),
        (
            "store = 0x6FFFC",
            "store = -4",
            ["out of range", "0x0 to 0xFFFFF"],
        ),
        (
            "store = 0x6FFFC",
            "store = \"0x6FFFC\"",
            ["a string", "without quotes"],
        ),
        ("at = 0x974D4", "at = 0x974D6", ["not aligned", "0x974D4"]),
        (
            "word = 0x41234 }\n\n",
            "word = 0x1_0000_0000 }\n\n",
            ["out of range", "0xFFFFFFFF"],
        ),
        ("at = 0xA299C", "at = 0xA299E", ["not aligned", "0xA299C"]),
        (
            "expect.hpa = 0x11EAC",
            "expect.hpa = 0x111EAC",
            ["out of range", "0xFFFFF"],
        ),
        (
            "guest = 0xB29A0",
            "guest = 0x1B29A0",
            ["out of range", "gPA has 20 bits"],
        ),
        (
            machine,
            "format = \"handout\"\nslots = 17",
            ["slots = 17", "1 to 16"],
        ),
        (
            machine,
            "format = \"handout\"\ntlb = 0",
            ["`tlb` = 0 is out of range", "1 to"],
        ),
        (
            requests,
            "one_at_a_time = true\nidle = 91",
            ["`idle` = 91 is out of range", "0 to 90"],
        ),
        (
            requests,
            "one_at_a_time = 1",
            ["an integer", "expected true or false"],
        ),
        (
            memory,
            "[memory]\nlatency = 0\n[[memory.image]]\nat = 0x02000",
            ["`latency` = 0", "1 to 1000"],
        ),
        (
            memory,
            "[memory]\nlatency = [9, 3]\n[[memory.image]]\nat = 0x02000",
            ["the least `latency` is 9, but the most is 3", "9 to 1000"],
        ),
        (
            memory,
            "[memory]\nerrors = 1001\n[[memory.image]]\nat = 0x02000",
            ["`errors` = 1001", "0 to 1000"],
        ),
        (
            host_only,
            "name = \"host only\"\nasid = 0x10000",
            ["`asid` = 0x10000", "0 to 65535"],
        ),
        (
            host_only,
            "name = \"host only\"\nvmid = 0x4000",
            ["`vmid` = 0x4000", "0 to 16383"],
        ),
    ] {
        // The line in error is the line of the value.
        let place = new
            .lines()
            .find(|line| !old.contains(line) && !line.starts_with('['))
            .unwrap_or(new.trim_end());
        refused(&replaced(&text, old, new), place, &words);
    }
    let beyond = replaced(&text, "at = 0xA299C", "at = 0xFFFF0");
    let words = ["exceed the machine's memory", "an hPA has 20 bits"];
    refused(&beyond, "words = [0x8A624", &words);
}

#[test]
fn a_file_that_is_not_there_or_is_no_text_is_refused_by_name() {
    let folder = Folder::with([b"title = \"x\"\n\xFF\xFE\0".as_slice(), &[0x80; 40]].concat());
    for arguments in folder.every_use() {
        folder.refuses(&arguments, &[folder.scenario(), "not UTF-8 text", "line 2"]);
    }
    let missing = folder.path("missing.toml");
    let a_folder = folder.folder.path().to_str().unwrap().to_owned();
    let below_a_file = format!("{}/x.toml", folder.scenario());
    for wrong in [missing, a_folder, below_a_file] {
        for mut arguments in folder.every_use() {
            arguments[1] = wrong.clone();
            folder.refuses(&arguments, &["cannot read", &wrong]);
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_to_is_refused_by_name() {
    let folder = Folder::with(text_of("exercise.toml"));
    let scenario = folder.scenario().to_owned();
    // Permissions do not stop every user. A path below a file stops all of them.
    let below_a_file = format!("{scenario}/below");
    for output in [&scenario, &below_a_file] {
        let words = ["cannot write", output, "Name a folder"];
        folder.refuses(&["wave", &scenario, "-o", output], &words);
        folder.refuses(&["wave", &scenario, "-o", output, "--json"], &words);
        folder.refuses(&["fuzz", "--count", "9", "-o", output], &words);
        folder.refuses(&["fuzz", "--count", "9", "-o", output, "--json"], &words);
    }
    let words = ["cannot write", &below_a_file, "Name a folder"];
    folder.refuses(&["run", &scenario, "--wave", &below_a_file], &words);
    folder.refuses(
        &["run", &scenario, "--json", "--wave", &below_a_file],
        &words,
    );
    // A folder is not a file.
    let a_folder = folder.path("folder");
    fs::create_dir(&a_folder).unwrap();
    folder.refuses(
        &["run", &scenario, "--wave", &a_folder],
        &["cannot write", &a_folder],
    );
    fs::create_dir(folder.path("folder/wave.fst")).unwrap();
    let words = ["cannot write", &folder.path("folder/wave.fst")];
    folder.refuses(&["wave", &scenario, "-o", &a_folder], &words);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let folder = Folder::with(text_of("exercise.toml"));
    let scenario = folder.scenario();
    let output = folder.path("out");
    for (arguments, words) in [
        (&["wlak", scenario][..], &["wlak", "walk"][..]),
        (&["walk"], &["<SCENARIO>"]),
        (&["walk", scenario, scenario], &["unexpected argument"]),
        (&["run", scenario, "--wav", &output], &["--wav", "--wave"]),
        (&["wave", scenario], &["--output <DIR>"]),
        (
            &["fuzz", "--profile", "handuot", "-o", &output],
            &[
                "handuot",
                "handout, handout-rights, classic32, classic32-rights",
            ],
        ),
        (
            &["fuzz", "--count", "0", "-o", &output],
            &["'0'", "--count", "1.."],
        ),
        (
            &["fuzz", "--count", "many", "-o", &output],
            &["'many'", "--count"],
        ),
        (
            &["fuzz", "--jobs", "0", "-o", &output],
            &["'0'", "--jobs", "1..=1024"],
        ),
        (&["fuzz", "--seed", "-1", "-o", &output], &["-1"]),
    ] {
        folder.refuses(arguments, words);
    }
    // Without arguments the program lists its commands.
    let ran = nestwalk(&[""; 0]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    for verb in ["walk", "run", "fuzz", "wave"] {
        assert!(ran.stderr.contains(verb), "{}", ran.stderr);
    }
}

#[test]
fn help_names_every_verb_and_every_exit_code() {
    let ran = nestwalk(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for word in [
        "walk",
        "run",
        "fuzz",
        "wave",
        "0 everything agrees",
        "1 mismatch",
        "2 bad input",
        "3 the device",
    ] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
}

/// Returns the exercise without the word that it does not give, and with an access that does not
/// expect a fault.
fn with_a_hole() -> String {
    let text = text_of("exercise.toml");
    let fault = "expect.fault = { kind = \"memory\", stage = \"guest\", level = \"L2\" }\n";
    replaced(&text, fault, "")
}

#[test]
fn a_walk_into_a_hole_of_the_image_is_refused_with_line_gva_and_hpa() {
    let text = with_a_hole();
    let (before, _) = text.split_once("load = 0x61EAC").unwrap();
    let line = format!("line {}", before.matches('\n').count() + 1);
    let folder = Folder::with(&text);
    for arguments in folder.every_use() {
        let words = [
            folder.scenario(),
            &line,
            "gVA 0x61EAC",
            "hPA 0x974D4",
            "guest L2",
            "holes = \"fault\"",
        ];
        folder.refuses(&arguments, &words);
    }
}

#[test]
fn a_walk_into_a_hole_that_is_meant_is_a_memory_fault() {
    let image = "[[memory.image]]\nat = 0x02000";
    let holes = format!("[memory]\nholes = \"fault\"\n{image}");
    let by_rule = replaced(&with_a_hole(), image, &holes);
    for text in [text_of("exercise.toml"), by_rule] {
        let folder = Folder::with(&text);
        for verb in ["walk", "run"] {
            let ran = nestwalk(&[verb, folder.scenario()]);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
            assert!(
                ran.stdout.contains("memory fault at guest L2"),
                "{}",
                ran.stdout
            );
        }
    }
}

/// Checks that a wrong expectation has exit code 1, and is reported with both values and the line,
/// for the golden model and for the device.
#[track_caller]
fn found_wrong(scenario: &str, place: &str, words: &str) {
    let folder = Folder::with(scenario);
    // The line of the access, the last before the expectation.
    let (before, _) = scenario.split_once(place).unwrap();
    let access = before
        .rfind("\nload = ")
        .max(before.rfind("\nstore = "))
        .unwrap();
    let line = before[..=access].matches('\n').count() + 1;

    let walk = nestwalk(&["walk", folder.scenario()]);
    let run = nestwalk(&["run", folder.scenario()]);
    for ran in [&walk, &run] {
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (1, ""),
            "{place}: {}",
            ran.stdout
        );
    }
    let not_as_expected = |ran: &Ran, side: &str| {
        let start = format!("NOT AS EXPECTED (line {line}){side}: ");
        ran.stdout
            .lines()
            .any(|text| text.contains(&start) && text.contains(words))
    };
    assert!(not_as_expected(&walk, ""), "{words}\n{}", walk.stdout);
    assert!(
        not_as_expected(&run, ", golden model"),
        "{words}\n{}",
        run.stdout
    );

    for verb in ["walk", "run"] {
        let ran = nestwalk(&[verb, folder.scenario(), "--json"]);
        assert_eq!(
            (ran.code, &ran.json()["agree"]),
            (1, &Value::Bool(false)),
            "{place}"
        );
    }
}

#[test]
fn the_answers_that_the_exercises_decoys_lead_to_are_found_wrong() {
    let text = text_of("exercise.toml");
    let reads = "expect.reads = [0x02008, 0x02044]";
    for (old, new, words) in [
        // Base OR index: the PTE at 0x0203C, page 8.
        (
            "expect.hpa = 0x229A0",
            "expect.hpa = 0x829A0",
            "expected hPA 0x829A0, observed hPA 0x229A0",
        ),
        (
            reads,
            "expect.reads = [0x02008, 0x0203C]",
            "read 2 is the first that differs",
        ),
        (
            "hpa = 0x02044, word = 0x293A4",
            "hpa = 0x0203C, word = 0x8A524",
            "a host L2 entry at hPA 0x0203C that is 0x8A524",
        ),
        // The decoys at 0x529A4 and 0xA29A4.
        (
            "expect.hpa = 0x229A4",
            "expect.hpa = 0x529A4",
            "expected hPA 0x529A4, observed hPA 0x229A4",
        ),
        (
            "expect.hpa = 0x229A4",
            "expect.hpa = 0xA29A4",
            "expected hPA 0xA29A4, observed hPA 0x229A4",
        ),
        (
            "expect.hpa = 0x229A4",
            "expect.hpa = 0x829A4",
            "observed hPA 0x229A4",
        ),
        // The number of accesses with one level, or without the data.
        (
            "expect.accesses = 3",
            "expect.accesses = 2",
            "expected 2 memory accesses, observed 3",
        ),
        (
            "expect.accesses = 9",
            "expect.accesses = 8",
            "expected 8 memory accesses, observed 9",
        ),
        // The results of the walks.
        (
            "expect.hpa = 0x11EAC",
            "expect.hpa = 0x51EAC",
            "expected hPA 0x51EAC",
        ),
        (
            "expect.hpa = 0x11EAC",
            "expect.hpa = 0xA1EAC",
            "observed hPA 0x11EAC",
        ),
        (
            "expect.hpa = 0x11EAC",
            "expect.hpa = 0x81EAC",
            "observed hPA 0x11EAC",
        ),
        // A gPA in place of an hPA.
        (
            "expect.hpa = 0x11EAC",
            "expect.hpa = 0x41EAC",
            "observed hPA 0x11EAC",
        ),
    ] {
        found_wrong(&replaced(&text, old, new), new, words);
    }
}

#[test]
fn a_fault_where_a_translation_is_expected_is_found_wrong_and_the_reverse() {
    let text = text_of("exercise.toml");
    let (old, new) = (
        "expect.gpa = 0x41EAC\nexpect.hpa = 0x11EAC",
        "expect.fault = { kind = \"permission\" }",
    );
    let words = "expected permission fault, observed hPA 0x11EAC";
    found_wrong(&replaced(&text, old, new), new, words);

    let text = text_of("classic32.toml");
    let old = "expect.fault = { kind = \"permission\", stage = \"guest\", level = \"L2\" }\nexpect.accesses = 6";
    let new = "expect.hpa = 0x00300010 # not permitted";
    let words = "expected hPA 0x300010, observed permission fault at guest L2";
    found_wrong(&replaced(&text, old, new), new, words);
}

#[test]
fn whether_the_tlb_answers_is_seen_by_run_alone() {
    let text = text_of("exercise.toml");
    let wrong = replaced(&text, "expect.hit = true", "expect.hit = false");
    let folder = Folder::with(wrong);
    assert_eq!(nestwalk(&["walk", folder.scenario()]).code, 0);
    let ran = nestwalk(&["run", folder.scenario()]);
    assert_eq!(ran.code, 1);
    let words = "device: expected the result of a walk, observed a TLB hit";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    let json = nestwalk(&["run", folder.scenario(), "--json"]).json();
    assert_eq!(json["agree"], false);
    // The device itself made no error.
    assert_eq!(json["failure"], Value::Null);
}

#[test]
fn every_scenario_of_the_project_is_as_expected_by_walk_and_run() {
    let folder = scenario_file("");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let path = path.to_str().unwrap();
        for verb in ["walk", "run"] {
            let ran = nestwalk(&[verb, path]);
            assert_eq!(
                (ran.code, ran.stderr.as_str()),
                (0, ""),
                "{path}: {}",
                ran.stdout
            );
            assert!(ran.stdout.contains("as expected"));
            assert!(!ran.stdout.contains("NOT AS EXPECTED"), "{}", ran.stdout);
        }
        seen += 1;
    }
    assert!(seen >= 5);
}

/// The eight reads of gVA 0x61EAC in the exercise.
const READS: [&str; 8] = [
    "0x02008", "0x02044", "0x229A4", "0x02008", "0x02040", "0x974D4", "0x02004", "0x02010",
];

#[test]
fn walk_prints_the_exercises_eight_reads_in_their_order_and_the_ninth_access() {
    let path = scenario_file("exercise.toml");
    let ran = nestwalk(&["walk", path.to_str().unwrap()]);
    let (_, after) = ran.stdout.split_once("access 4: load gVA 0x61EAC").unwrap();
    let (block, _) = after.split_once("access 5").unwrap();
    // Rows begin with their number.
    let rows: Vec<&str> = block
        .lines()
        .filter(|line| {
            line.trim_start()
                .starts_with(|first: char| first.is_ascii_digit())
        })
        .collect();
    assert_eq!(rows.len(), 9, "{block}");
    for (number, (row, hpa)) in rows.iter().zip(READS).enumerate() {
        assert_eq!(
            row.split_whitespace().next(),
            Some(&*(number + 1).to_string())
        );
        assert!(row.contains(hpa), "{hpa}: {row}");
    }
    assert!(
        rows[8].contains("the data") && rows[8].contains("0x11EAC"),
        "{}",
        rows[8]
    );
    for word in [
        "0x02038 + 3*4 = 0x02044",
        "0xA74CC + 2*4 = 0xA74D4",
        "0x41234",
        "8 memory reads in the walk, 9 memory accesses with the data access",
    ] {
        assert!(block.contains(word), "{word}: {block}");
    }
}

#[test]
fn run_prints_the_exercises_reads_with_their_cycles_and_what_was_as_expected() {
    let path = scenario_file("exercise.toml");
    let ran = nestwalk(&["run", path.to_str().unwrap()]);
    let (_, after) = ran.stdout.split_once("access 4: load gVA 0x61EAC").unwrap();
    let (block, rest) = after.split_once("access 5").unwrap();
    let mut cycles = Vec::new();
    for (number, hpa) in READS.into_iter().enumerate() {
        let start = format!("{} ", number + 1);
        let row = block
            .lines()
            .map(str::trim_start)
            .find(|line| line.starts_with(&start))
            .unwrap();
        assert!(row.contains(hpa), "{row}");
        let cycle: u64 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
        cycles.push(cycle);
    }
    assert!(cycles.is_sorted_by(|a, b| a < b), "{cycles:?}");
    assert!(
        block.contains("as expected, on golden model and device"),
        "{block}"
    );
    assert!(rest.contains("TLB hit: no reads"), "{rest}");
    assert!(
        rest.contains("device and golden model agree; 5 of 5 accesses"),
        "{rest}"
    );
}

fn strings(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter()
        .filter_map(|item| Some(item[key].as_str()?.to_owned()))
        .collect()
}

#[test]
fn walk_as_json_has_every_step_of_the_exercise() {
    let path = scenario_file("exercise.toml");
    let ran = nestwalk(&["walk", path.to_str().unwrap(), "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let json = ran.json();
    assert_eq!(json["agree"], true);
    assert_eq!(json["format"], "handout");
    assert_eq!(json["accesses"].as_array().unwrap().len(), 5);
    let access = &json["accesses"][3];
    assert_eq!(strings(&access["steps"], "hpa"), READS);
    assert_eq!(access["walk_reads"], 8);
    assert_eq!(access["accesses"], 9);
    assert_eq!(access["gpa"], "0x41EAC");
    assert_eq!(access["hpa"], "0x11EAC");
    let query = &access["query"];
    assert_eq!(
        (&query["gva"], &query["access"]),
        (&"0x61EAC".into(), &"load".into())
    );
    assert_eq!(
        (&query["guest_root"], &query["asid"]),
        (&"0xB29A0".into(), &1.into())
    );
    // The access before it, which reads a hole.
    let access = &json["accesses"][2];
    assert_eq!(access["fault"]["kind"], "memory");
    assert_eq!(access["fault"]["stage"], "guest");
    assert_eq!(access["fault"]["level"], "L2");
    assert_eq!(access["steps"][5]["word"], Value::Null);
    // The first access, with the guest table off.
    assert_eq!(json["accesses"][0]["accesses"], 3);
    assert_eq!(json["accesses"][0]["query"]["guest_root"], Value::Null);
}

#[test]
fn run_as_json_has_both_sides_of_each_access_and_cycles_that_go_up() {
    for (name, variant) in [
        ("exercise.toml", "handout"),
        ("classic32.toml", "classic32"),
    ] {
        let path = scenario_file(name);
        let ran = nestwalk(&["run", path.to_str().unwrap(), "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let json = ran.json();
        assert_eq!(json["agree"], true);
        assert_eq!(json["failure"], Value::Null);
        assert_eq!(json["variant"], variant);
        assert_eq!(json["scenario"], path.to_str().unwrap());
        let accesses = json["accesses"].as_array().unwrap();
        assert_eq!(json["stats"]["accesses"], accesses.len());
        let mut before = 0;
        let mut reads = 0;
        for access in accesses {
            let (golden, device) = (&access["golden"], &access["device"]);
            let accepted = device["accepted"].as_u64().unwrap();
            let answered = device["answered"].as_u64().unwrap();
            let mut cycles = vec![accepted];
            if device["hit"] == false {
                // Each access waits for the one before, so both sides read the same.
                assert_eq!(
                    strings(&device["reads"], "hpa"),
                    strings(&golden["steps"], "hpa")
                );
                let of_reads = device["reads"].as_array().unwrap();
                cycles.extend(of_reads.iter().map(|read| read["cycle"].as_u64().unwrap()));
                reads += of_reads.len();
            } else {
                assert_eq!(device["reads"], Value::Null);
            }
            cycles.push(answered);
            assert!(cycles.is_sorted_by(|a, b| a < b), "{cycles:?}");
            assert!(accepted >= before, "{accepted}, {before}");
            before = answered;
            assert_eq!(device["outcome"]["hpa"], golden["hpa"]);
            assert_eq!(device["outcome"]["fault"], golden["fault"]);
            assert_eq!(device["differences"], Value::Array(Vec::new()));
        }
        assert_eq!(json["stats"]["reads"], reads);
        assert!(json["stats"]["cycles"].as_u64().unwrap() > before);
    }
}

#[test]
fn fuzz_as_json_says_what_it_did_and_leaves_nothing_behind() {
    let folder = Folder::with("");
    let output = folder.path("out");
    let before = folder.files();
    let arguments = [
        "fuzz",
        "--profile",
        "classic32-rights",
        "--seed",
        "12",
        "--count",
        "700",
        "--json",
        "-o",
        &output,
    ];
    let ran = nestwalk(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let json = ran.json();
    assert_eq!(json["profile"], "classic32-rights");
    assert_eq!((&json["seed"], &json["count"]), (&12.into(), &700.into()));
    assert_eq!(
        (&json["scenarios"], &json["stats"]["accesses"]),
        (&2.into(), &700.into())
    );
    assert_eq!(
        (&json["agree"], &json["interrupted"]),
        (&true.into(), &false.into())
    );
    assert_eq!(json["failure"], Value::Null);
    for figure in [
        "cycles", "hits", "faults", "walks", "merged", "reads", "fences", "edits",
    ] {
        assert!(json["stats"][figure].as_u64().unwrap() > 0, "{figure}");
    }
    assert_eq!(folder.files(), before);
}

#[test]
fn fuzz_runs_on_the_device_that_is_named_and_refuses_one_that_there_is_not() {
    let campaign = [
        "fuzz",
        "--profile",
        "handout",
        "--seed",
        "3",
        "--count",
        "2000",
    ];
    let ran = nestwalk(&[&campaign[..], &["--device", "handout_s1"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("--device handout_s1"), "{}", ran.stdout);
    // One walk at a time: the campaign differs from the one that draws its devices.
    let cycles = |ran: &Ran| ran.stdout.split_once(" cycles").unwrap().0.to_owned();
    assert_ne!(cycles(&ran), cycles(&nestwalk(&campaign)));
    let ran = nestwalk(&[&campaign[..], &["--device", "rv64"]].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("handout_s16"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("it is a device of rv64"),
        "{}",
        ran.stderr
    );
    let ran = nestwalk(&[&campaign[..], &["--device", "handout:slots=17"]].concat());
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("slots is 17, but must be 1 to 16"),
        "{}",
        ran.stderr
    );
}

#[test]
fn wave_as_json_names_its_files_and_has_the_run() {
    let folder = Folder::with(text_of("straddle.toml"));
    let output = folder.path("out");
    let run = nestwalk(&["run", folder.scenario(), "--json"]).json();
    let ran = nestwalk(&["wave", folder.scenario(), "-o", &output, "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let json = ran.json();
    assert_eq!(json["run"]["agree"], true);
    assert_eq!(json["run"]["accesses"], run["accesses"]);
    let files = json["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    for file in files {
        let file = file.as_str().unwrap();
        assert!(Path::new(file).is_file(), "{file}");
        assert!(json["open"].as_str().unwrap().contains(file), "{file}");
    }
}

/// Runs the program with a standard output of the test's own.
fn into(stdout: impl Into<Stdio>, arguments: &[&str]) -> Ran {
    let output = Command::new(cargo_bin!("nestwalk"))
        .args(arguments)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let path = scenario_file("exercise.toml");
    let path = path.to_str().unwrap();
    for arguments in [
        &["walk", path][..],
        &["walk", path, "--json"],
        &["run", path],
        &["run", path, "--json"],
        &["fuzz", "--count", "10"],
        &["fuzz", "--count", "10", "--json"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = into(writer, arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn an_output_that_is_full_is_an_error() {
    let path = scenario_file("exercise.toml");
    let path = path.to_str().unwrap();
    for arguments in [&["walk", path][..], &["run", path, "--json"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = into(full, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
}
