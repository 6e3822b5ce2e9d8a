// SPDX-License-Identifier: Apache-2.0
//! Outputs of the program, and inputs that request too much: a verdict is never lost, only the
//! files named are replaced, and time and memory are limited.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::{Ran, nestwalk};

/// An empty folder, in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// Runs the program in the folder.
    fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        let mut command = Command::new(cargo_bin!("nestwalk"));
        ran(command
            .current_dir(self.0.path())
            .args(arguments)
            .output()
            .unwrap())
    }

    /// Runs a script in the folder; the program is `$1`.
    fn shell(&self, script: &str) -> Ran {
        let output = Command::new("bash")
            .current_dir(self.0.path())
            .args(["-c", script, "script"])
            .arg(cargo_bin!("nestwalk"))
            .output()
            .unwrap();
        ran(output)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Returns a scenario whose expectation is wrong: a mismatch.
fn wrong() -> String {
    let exercise = fs::read_to_string(scenario_file("exercise.toml")).unwrap();
    exercise.replace("0x11EAC", "0x11EAB")
}

fn right() -> String {
    fs::read_to_string(scenario_file("exercise.toml")).unwrap()
}

/// Reports that a test lacks a prerequisite. It writes past the test harness, which would hide the
/// message.
fn skipped(test: &str, needs: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs {needs}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

// --- A verdict is never lost ---------------------------------------------------------------------

#[test]
fn a_verdict_is_printed_and_is_the_exit_code_whatever_cannot_be_written() {
    let folder = Folder::new();
    folder.write("wrong.toml", wrong());
    folder.write("right.toml", right());
    for options in [
        &["--junit", "/dev/full"][..],
        &["--wave", "/dev/full"],
        &["--wave", "/dev/full", "--junit", "/dev/full"],
    ] {
        let ran = folder.run(&[&["run", "wrong.toml"], options].concat());
        assert_eq!(ran.code, 1, "{options:?}: {}", ran.stderr);
        assert!(ran.stdout.contains("NOT AS EXPECTED"), "{}", ran.stdout);
        let errors = ran
            .stderr
            .matches("error: cannot write /dev/full: ")
            .count();
        assert_eq!(errors, options.len() / 2, "{}", ran.stderr);
        // Without a mismatch the error sets the exit code.
        let ran = folder.run(&[&["run", "right.toml"], options].concat());
        assert_eq!(ran.code, 2, "{options:?}: {}", ran.stderr);
        assert!(
            ran.stdout.contains("device and golden model agree"),
            "{}",
            ran.stdout
        );
    }
    assert_eq!(
        folder.names(),
        ["right.toml", "wrong.toml"],
        "no draft is left"
    );
    let ran = folder.shell("\"$1\" run wrong.toml > /dev/full");
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("cannot write standard output: "),
        "{}",
        ran.stderr
    );
    // An error that cannot be reported does not change the verdict.
    let ran = folder.shell("\"$1\" run wrong.toml --junit /dev/full 2> /dev/full");
    assert_eq!(ran.code, 1);
    let ran = folder.shell("\"$1\" run wrong.toml > /dev/full 2> /dev/full");
    assert_eq!(ran.code, 1);
    let ran = folder.shell("\"$1\" run missing.toml 2> /dev/full");
    assert_eq!(ran.code, 2);
}

#[test]
fn a_mismatch_in_a_file_is_not_lost_to_an_error_behind_it_or_in_another_file() {
    let folder = Folder::new();
    let lines = "H 1 64 0 0 0 1\n\
                 C 1 0 1 8000000000080000 0 0 0 0 0 0 0 0 0 0 0\n\
                 M 80000000 20000401\nM 80001000 20000801\nM 80002008 200010cf\n\
                 A 1 r 1008 =80004009 3\nA 1 r 1008 =80004008 3\n";
    let trace = folder.write("wrong.trace", format!("{lines}Q\n"));
    for more in [&["--golden-only"][..], &[]] {
        let path = trace.to_str().unwrap();
        let ran = folder.run(&[&["trace", path, "missing.trace"], more].concat());
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("=80004009"), "{}", ran.stdout);
        assert!(
            ran.stderr.contains("wrong.trace:8: unknown record"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("missing.trace: "), "{}", ran.stderr);
    }
    // An access whose updates are missing is not a mismatch.
    let cut = "H 1 64 0 0 1 1\n\
               C 1 0 1 8000000000080000 0 0 0 0 0 0 1 0 0 0 0\n\
               M 80000000 20000401\nM 80001000 20000801\nM 80002008 2000100f\n\
               A 1 r 1008 =80004008 3\n";
    folder.write("cut.trace", cut);
    for more in [&["--golden-only"][..], &[]] {
        let ran = folder.run(&[&["trace", "cut.trace"], more].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("without its trailer"), "{}", ran.stderr);
    }

    let mut vectors = String::new();
    let mut read = nestwalk::vectors::Vectors::open(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hyp-tests.jsonl.gz"),
    )
    .unwrap();
    for (_, line) in read.lines(1).unwrap() {
        vectors.push_str(&line);
    }
    let pa = vectors.find("\"pa\":\"").map(|at| at + 6);
    let cause = vectors.find("\"cause\":").map(|at| at + 8);
    match (pa, cause) {
        (Some(at), _) => vectors.insert(at, '1'),
        (None, Some(at)) => vectors.replace_range(at..at + 1, "2"),
        (None, None) => panic!("{vectors}"),
    }
    folder.write("v.jsonl", format!("{vectors}{{}}\n"));
    let ran = folder.run(&["vectors", "v.jsonl", "--on", "golden"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("v.jsonl:2: "), "{}", ran.stderr);
}

// --- Places --------------------------------------------------------------------------------------

#[test]
fn a_link_is_followed_and_what_is_no_regular_file_is_written_into() {
    let folder = Folder::new();
    folder.write("s.toml", right());
    symlink("elsewhere/x.xml", folder.path("link")).unwrap();
    let ran = folder.run(&["run", "s.toml", "--junit", "link"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(folder.path("link").symlink_metadata().unwrap().is_symlink());
    let xml = fs::read_to_string(folder.path("elsewhere/x.xml")).unwrap();
    assert!(xml.contains("</testsuites>"), "{xml}");
    // Again, over the existing files; through a chain of links.
    symlink("link", folder.path("link2")).unwrap();
    assert_eq!(folder.run(&["run", "s.toml", "--junit", "link2"]).code, 0);
    assert!(
        folder
            .path("link2")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    symlink("loop", folder.path("loop")).unwrap();
    for place in ["loop", "loop/x"] {
        let ran = folder.run(&["run", "s.toml", "--junit", place]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{place}");
        assert!(ran.stderr.contains("cannot write loop"), "{}", ran.stderr);
    }

    assert!(
        Command::new("mkfifo")
            .arg(folder.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let fifo = folder.path("fifo");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        fs::File::open(fifo)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    assert_eq!(folder.run(&["run", "s.toml", "--junit", "fifo"]).code, 0);
    assert_eq!(reader.join().unwrap().matches("</testsuites>").count(), 1);
    assert!(
        folder
            .path("fifo")
            .metadata()
            .unwrap()
            .file_type()
            .is_fifo()
    );
    let before = fs::metadata("/dev/null").unwrap();
    let options = ["--junit", "/dev/null", "--wave", "/dev/null"];
    assert_eq!(
        folder
            .run(&[&["run", "s.toml"], &options[..]].concat())
            .code,
        0
    );
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!((before.ino(), before.rdev()), (after.ino(), after.rdev()));

    let ran = folder.run(&["run", "s.toml", "--junit", "/dev/stdout"]);
    assert!(ran.stdout.contains("agree") && ran.stdout.contains("</testsuites>"));
    // Redirected into a file, standard output is still one stream.
    let ran = folder.shell(
        "\"$1\" run s.toml --junit /dev/stdout > all; grep -c -e agree -e '</testsuites>' all",
    );
    assert_ne!(ran.stdout.trim(), "0", "{}", ran.stderr);
    let all = fs::read_to_string(folder.path("all")).unwrap();
    assert!(
        all.starts_with("Exercise") || all.contains("device and golden model agree"),
        "{all}"
    );
    assert!(all.contains("</testsuites>"), "{all}");
}

#[test]
fn a_fifo_that_nobody_reads_is_an_error_after_the_verdict() {
    let folder = Folder::new();
    folder.write("s.toml", wrong());
    assert!(
        Command::new("mkfifo")
            .arg(folder.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let ran = folder.run(&["run", "s.toml", "--junit", "fifo"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("NOT AS EXPECTED"));
    assert!(
        ran.stderr.contains("no process has opened this FIFO"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_file_keeps_its_mode() {
    let folder = Folder::new();
    folder.write("s.toml", right());
    for mode in [0o600, 0o755, 0o666] {
        let file = folder.write("x.xml", "old");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            folder
                .run(&["run", "s.toml", "--junit", "x.xml", "--wave", "w.fst"])
                .code,
            0
        );
        assert_eq!(file.metadata().unwrap().mode() & 0o777, mode);
        fs::set_permissions(folder.path("w.fst"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(folder.run(&["run", "s.toml", "--wave", "w.fst"]).code, 0);
        assert_eq!(
            folder.path("w.fst").metadata().unwrap().mode() & 0o777,
            mode
        );
    }
}

#[test]
fn an_input_is_never_an_output_and_no_two_outputs_are_one() {
    let folder = Folder::new();
    let scenario = folder.write("s.toml", right());
    symlink("s.toml", folder.path("link.toml")).unwrap();
    fs::hard_link(&scenario, folder.path("hard.toml")).unwrap();
    let seed = ["fuzz", "--seed", "1", "--count", "600"];
    let coverage = [&seed[..], &["--coverage", "c.json", "--results", "r.json"]].concat();
    assert_eq!(folder.run(&coverage).code, 0);
    fs::create_dir(folder.path("c")).unwrap();
    fs::copy(folder.path("c.json"), folder.path("c/coverage.json")).unwrap();
    let before = folder.names();
    let texts = |names: &[String]| -> Vec<Vec<u8>> {
        (names.iter().filter(|name| *name != "c"))
            .map(|name| fs::read(folder.path(name)).unwrap())
            .collect()
    };
    let contents = texts(&before);
    for arguments in [
        &["run", "s.toml", "--junit", "s.toml"][..],
        &["run", "s.toml", "--wave", "./s.toml"],
        &["run", "link.toml", "--junit", "s.toml"],
        &["run", "s.toml", "--junit", "link.toml"],
        &["run", "s.toml", "--junit", "hard.toml"],
        &["merge", "r.json", "--results", "r.json"],
        &["merge", "r.json", "--junit", "r.json"],
        &["cover", "c/coverage.json", "-o", "c"],
        &[
            "fuzz",
            "--profile",
            "rv64",
            "--lean",
            "c.json",
            "--coverage",
            "c.json",
        ],
        &["vectors", "s.toml", "--junit", "s.toml"],
        &["trace", "s.toml", "--junit", "s.toml"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ran.stderr.contains("which this command reads as"),
            "{}",
            ran.stderr
        );
    }
    for arguments in [
        &["run", "s.toml", "--junit", "x", "--wave", "x"][..],
        &["run", "s.toml", "--junit", "x", "--wave", "./x"],
        &[
            "merge",
            "r.json",
            "--junit",
            "c.json",
            "--results",
            "c.json",
        ],
        &["fuzz", "--results", "y", "--junit", "y"],
        &["fuzz", "--results", "y", "--coverage", "y"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ran.stderr.contains(" are the same file, "),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(folder.names(), before);
    assert_eq!(texts(&before), contents);
    // The file into which standard output is redirected.
    let ran = folder.shell("\"$1\" run s.toml --json --junit x > x");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("standard output and --junit are the same file"),
        "{}",
        ran.stderr
    );
    let ran = folder.shell("\"$1\" run s.toml >> s.toml");
    assert_eq!(ran.code, 2);
    assert_eq!(fs::read_to_string(folder.path("s.toml")).unwrap(), right());
}

#[test]
fn a_place_that_takes_nothing_is_found_before_anything_runs() {
    let folder = Folder::new();
    folder.write("file", "");
    for option in ["--results", "--junit", "--coverage", "-o"] {
        let ran = folder.run(&["fuzz", "--count", "600", option, "file/below"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{option}");
        assert!(
            ran.stderr.contains("cannot write file/below: "),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn a_wave_that_cannot_be_written_is_an_error_and_leaves_no_draft() {
    let folder = Folder::new();
    folder.write("s.toml", right());
    folder.write("wrong.toml", wrong());
    // This simulates a full disk: a file may have no more than 5 or 8 KiB.
    for limit in [5, 8] {
        for (scenario, code) in [("s.toml", 2), ("wrong.toml", 1)] {
            let ran = folder.shell(&format!(
                "ulimit -f {limit}; \"$1\" run {scenario} --wave w.fst"
            ));
            assert_eq!(ran.code, code, "{limit}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stdout.contains("taken in cycle"), "{}", ran.stdout);
            assert!(
                ran.stderr.contains("error: cannot write w.fst: "),
                "{}",
                ran.stderr
            );
        }
        let ran = folder.shell(&format!("ulimit -f {limit}; \"$1\" wave s.toml -o w"));
        assert_eq!(ran.code, 2, "{limit}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("error: cannot write w/wave.fst: "),
            "{}",
            ran.stderr
        );
        assert!(
            names(&folder.path("w")).is_empty(),
            "{:?}",
            names(&folder.path("w"))
        );
        fs::remove_dir(folder.path("w")).unwrap();
    }
    assert_eq!(folder.names(), ["s.toml", "wrong.toml"]);
}

#[test]
fn a_full_disk_is_an_error_of_the_wave_and_of_every_file() {
    let folder = Folder::new();
    folder.write("s.toml", wrong());
    let mounted = is_root()
        && folder
            .shell("mkdir tiny && mount -t tmpfs -o size=8k tmpfs tiny")
            .code
            == 0;
    if !mounted {
        return skipped(
            "a_full_disk_is_an_error_of_the_wave_and_of_every_file",
            "to mount a tmpfs",
        );
    }
    let ran = folder.run(&["run", "s.toml", "--wave", "tiny/w.fst"]);
    let left = names(&folder.path("tiny"));
    let wave = folder.run(&["wave", "s.toml", "-o", "tiny/w"]);
    folder.shell("dd if=/dev/zero of=tiny/fill bs=1k 2> dd");
    let junit = folder.run(&["run", "s.toml", "--junit", "tiny/x.xml"]);
    let unmounted = folder.shell("umount tiny").code;
    assert_eq!(unmounted, 0);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("cannot write tiny/w.fst"),
        "{}",
        ran.stderr
    );
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(wave.code, 1, "{}", wave.stderr);
    assert!(
        wave.stderr.contains("cannot write tiny/w/wave.fst"),
        "{}",
        wave.stderr
    );
    // No scenario has run yet: the output has been tested.
    assert_eq!(
        (junit.code, junit.stdout.as_str()),
        (2, ""),
        "{}",
        junit.stderr
    );
}

#[test]
fn a_device_node_stays_one() {
    let folder = Folder::new();
    if !is_root() || folder.shell("mknod null c 1 3 && : > null").code != 0 {
        return skipped("a_device_node_stays_one", "to make a device node");
    }
    let ran = folder.run(&["fuzz", "--seed", "1", "--count", "600", "--results", "null"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        folder
            .path("null")
            .metadata()
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn a_folder_that_may_not_be_searched_is_an_error_at_once() {
    let folder = Folder::new();
    if !is_root() {
        return skipped(
            "a_folder_that_may_not_be_searched_is_an_error_at_once",
            "to be root",
        );
    }
    // A copy in a folder that every user can read.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("nestwalk");
    fs::copy(cargo_bin!("nestwalk"), &program).unwrap();
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new("timeout")
        .args([
            "20",
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
        ])
        .arg(&program)
        .args(["fuzz", "--seed", "1", "--count", "600"])
        .current_dir(folder.0.path())
        .output()
        .unwrap();
    let ran = ran(output);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot write out: "), "{}", ran.stderr);
}

#[test]
fn a_folder_that_is_gone_is_an_error_at_once() {
    let folder = Folder::new();
    let ran = folder
        .shell("mkdir gone; cd gone; rmdir ../gone; timeout 20 \"$1\" fuzz --seed 1 --count 600");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot write out: "), "{}", ran.stderr);
}

// --- Identities ----------------------------------------------------------------------------------

#[test]
fn shards_of_campaigns_that_lean_toward_other_goals_are_not_merged() {
    let folder = Folder::new();
    let run = |arguments: &str| {
        let ran = folder.run(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{arguments}: {}", ran.stderr);
    };
    run("fuzz --profile handout --seed 5 --count 2200 --coverage a.cov");
    run("fuzz --profile rv64 --seed 5 --count 2200 --coverage b.cov");
    let campaign = "fuzz --profile rv64 --seed 77 --count 3000";
    run(&format!(
        "{campaign} --shard 0/3 --lean a.cov --results k0.json"
    ));
    for shard in 0..3 {
        let lean = "--lean b.cov --results";
        run(&format!(
            "{campaign} --shard {shard}/3 {lean} l{shard}.json"
        ));
    }
    let ran = folder.run(&["merge", "k0.json", "l1.json", "l2.json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("hash of the goals of --lean is "),
        "{}",
        ran.stderr
    );
    let ran = folder.run(&["merge", "l0.json", "l1.json", "l2.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // The coverage of a shard is counted once.
    run(&format!("{campaign} --shard 0/3 --coverage 0.cov"));
    run(&format!("{campaign} --shard 1/3 --coverage 1.cov"));
    run(&format!("{campaign} --shard 1/2 --coverage half.cov"));
    assert_eq!(folder.run(&["cover", "0.cov", "1.cov"]).code, 0);
    for two in [["0.cov", "0.cov"], ["0.cov", "half.cov"]] {
        let ran = folder.run(&[&["cover"], &two[..]].concat());
        assert_eq!(ran.code, 2, "{two:?}");
        assert!(ran.stderr.contains("in it twice"), "{}", ran.stderr);
    }
}

// --- Limits --------------------------------------------------------------------------------------

/// Runs the program with 1 GiB of address space and 20 s. It must refuse its input with these
/// words.
#[track_caller]
fn is_too_much(folder: &Folder, arguments: &str, words: &[&str]) {
    let ran = folder.shell(&format!("ulimit -v 1048576; timeout 20 \"$1\" {arguments}"));
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (2, ""),
        "{arguments}: {}",
        ran.stderr
    );
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

const RV64: &str = "title=\"t\"\n[machine]\nformat=\"rv64\"\n";

#[test]
fn images_and_mappings_and_waits_and_ops_have_limits() {
    let folder = Folder::new();
    let refused = |text: String, words: &[&str]| {
        folder.write("s.toml", format!("{RV64}{text}"));
        is_too_much(&folder, "run s.toml", words);
    };
    let image = |n: u64| {
        format!(
            "[[memory.image]]\nat={}\nwords=[1]\nrepeat=1048576\n",
            n << 23
        )
    };
    refused(
        (0..200).map(image).collect(),
        &["the images up to here", "4194304 words"],
    );
    let image = |n: u64| format!("[[memory.image]]\nat={}\nwords=[1]\n", n << 12);
    refused(
        (0..300_000).map(image).collect(),
        &["the images up to here", "262144 different blocks"],
    );

    let tables = "[memory]\ntables={from=0x80000000,bytes=0x1000000000}\n";
    let host = format!("{tables}[[host]]\nname=\"h\"\nmode=\"sv39x4\"\nmap=[");
    let end = "]\n[[context]]\nname=\"c\"\nhost=\"h\"\n[[op]]\nload=0\n";
    let map = |n: u64| format!("{{from={0},to={0},pages=1048576}},", n << 32);
    let many: String = (0..8).map(map).collect();
    refused(
        format!("{host}{many}{end}"),
        &["too many pages", "at most 1048576 pages"],
    );
    // Each with tables of its own.
    let map = |n: u64| format!("{{from={0},to={0}}},", n << 21);
    let many: String = (0..20_000).map(map).collect();
    refused(
        format!("{host}{many}{end}"),
        &["take too much memory", "4194304 words"],
    );

    let context = "[[context]]\nname=\"c\"\n";
    let wait = "[[op]]\nwait=600000000\n".repeat(2);
    refused(
        format!("{context}[[op]]\nload=0\n{wait}"),
        &["the waits up to here", "1000000000"],
    );
    refused(
        format!("{context}{}", "[[op]]\nload=0\n".repeat(70_000)),
        &["70000 ops", "at most 65536"],
    );
    let contexts: String = (0..2000)
        .map(|n| format!("[[context]]\nname=\"c{n}\"\n"))
        .collect();
    refused(
        format!("{contexts}[[op]]\nload=0\n"),
        &["too many contexts", "at most 1024"],
    );
}

#[test]
fn one_large_mapping_is_laid_out_in_time() {
    let folder = Folder::new();
    folder.write(
        "s.toml",
        format!(
            "{RV64}[memory]\ntables={{from=0x80000000,bytes=0x1000000000}}\n[[host]]\nname=\"h\"\nmode=\"sv39x4\"\n\
             map=[{{from=0,to=0,pages=1048576}}]\n[[context]]\nname=\"c\"\nhost=\"h\"\n[[op]]\nload=0x123456\n\
             expect={{hpa=0x123456}}\n"
        ),
    );
    let ran = folder.shell("ulimit -v 1048576; \"$1\" walk s.toml");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_trace_of_words_that_are_far_from_one_another_is_refused_in_time() {
    let folder = Folder::new();
    let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(b"H 1 64 0 0 0 1\n").unwrap();
    for page in 0..1_000_000 {
        writeln!(bomb, "M {:x} 0", page * 4096).unwrap();
    }
    bomb.write_all(b"E 0 f4240 0 0 0 0 0 0\n").unwrap();
    folder.write("bomb.trace.zst", bomb.finish().unwrap());
    let words = ["bomb.trace.zst:524290: ", "524288 blocks of 512 bytes"];
    is_too_much(&folder, "trace bomb.trace.zst", &words);
    is_too_much(&folder, "trace bomb.trace.zst --golden-only", &words);
}

#[test]
fn files_without_an_end_are_refused() {
    let folder = Folder::new();
    for arguments in [
        "run /dev/zero",
        "walk /dev/zero",
        "merge /dev/zero",
        "cover /dev/zero",
        "fuzz --profile rv64 --lean /dev/zero",
        "vectors /dev/zero",
        "trace /dev/zero",
    ] {
        is_too_much(&folder, arguments, &["error: ", "/dev/zero"]);
    }
    assert!(folder.names().is_empty());
}

#[test]
fn numbers_of_shards_have_a_limit_and_threads_that_cannot_be_made_are_done_without() {
    let folder = Folder::new();
    // A device that is compiled in, because the user below may start no compiler and write no
    // cache.
    let campaign = "fuzz --seed 1 --count 3000 --device handout";
    is_too_much(
        &folder,
        &format!("{campaign} --shard 0/18446744073709551615"),
        &["18446744073709551615 shards", "at most 1000000"],
    );
    let one = format!("{campaign} --json --jobs 1");
    let one = folder.run(&one.split(' ').collect::<Vec<_>>());
    assert_eq!(one.code, 0, "{}", one.stderr);
    if !is_root() {
        return skipped("threads_that_cannot_be_made_are_done_without", "to be root");
    }
    // This runs as a user who may have only one thread.
    let user = tempfile::tempdir().unwrap();
    fs::set_permissions(user.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(cargo_bin!("nestwalk"), user.path().join("nestwalk")).unwrap();
    for arguments in [
        format!("{campaign} --json --jobs 8"),
        "run s.toml --json".to_owned(),
        "trace t.trace t.trace t.trace --jobs 3".to_owned(),
        "vectors v.gz --jobs 8".to_owned(),
    ] {
        fs::write(user.path().join("s.toml"), right()).unwrap();
        fs::write(user.path().join("t.trace"), TRACE).unwrap();
        let vectors =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hyp-tests.jsonl.gz");
        fs::copy(vectors, user.path().join("v.gz")).unwrap();
        let output = Command::new("prlimit")
            .arg("--nproc=1:1")
            .args([
                "setpriv",
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "./nestwalk",
            ])
            .args(arguments.split(' '))
            .current_dir(user.path())
            .output()
            .unwrap();
        let ran = ran(output);
        assert_eq!(ran.code, 0, "{arguments}: {}", ran.stderr);
        if arguments.starts_with("fuzz") {
            assert_eq!(ran.stdout, one.stdout);
        }
    }
}

/// A short trace of a host.
const TRACE: &str = "H 1 64 0 0 0 1\n\
    C 1 0 1 8000000000080000 0 0 0 0 0 0 0 0 0 0 0\n\
    M 80000000 20000401\nM 80001000 20000801\nM 80002008 200010cf\n\
    A 1 r 1008 =80004008 3\nE 1 3 0 0 1 0 0 0\n";

// --- Interrupts ----------------------------------------------------------------------------------

/// Interrupts the program as soon as it prints something, or runs. It must end in an orderly way.
fn interrupted(folder: &Folder, arguments: &[&str]) -> Ran {
    let child = Command::new(cargo_bin!("nestwalk"))
        .current_dir(folder.0.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    // Until it catches the signal: bit 1 of the mask is SIGINT's.
    let status = format!("/proc/{}/status", child.id());
    loop {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap_or("0");
        let catches = u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & 2 != 0);
        if catches || text.contains("State:\tZ") {
            break;
        }
        thread::yield_now();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    ran(child.wait_with_output().unwrap())
}

#[test]
fn an_interrupt_ends_a_trace_a_wave_and_a_run_in_order() {
    let folder = Folder::new();
    let scenario = right().replacen("[[op]]", "[[op]]\nwait = 900_000_000\n\n[[op]]", 1);
    folder.write("s.toml", scenario);
    let ran = interrupted(&folder, &["wave", "s.toml", "-o", "w"]);
    assert_eq!(ran.code, 130, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("interrupted"), "{}", ran.stdout);
    assert!(names(&folder.path("w")).is_empty());
    let ran = interrupted(&folder, &["run", "s.toml", "--wave", "w.fst"]);
    assert_eq!(ran.code, 130, "{}{}", ran.stdout, ran.stderr);
    assert!(!folder.path("w.fst").exists());

    let mut trace = String::from(
        "H 1 64 0 0 0 1\nC 1 0 1 8000000000080000 0 0 0 0 0 0 0 0 0 0 0\n\
         M 80000000 20000401\nM 80001000 20000801\nM 80002008 200010cf\n",
    );
    trace.push_str(&"A 1 r 1008 =80004008 3\n".repeat(2_000_000));
    trace.push_str("E 1e8480 3 0 0 1 0 0 0\n");
    folder.write("long.trace", trace);
    for more in [&[][..], &["--golden-only"]] {
        let ran = interrupted(&folder, &[&["trace", "long.trace"], more].concat());
        assert_eq!(ran.code, 130, "{}{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    }
}

// --- What is shown -------------------------------------------------------------------------------

#[test]
fn no_control_character_of_an_input_reaches_a_terminal() {
    let folder = Folder::new();
    let raw = "\\u001b]0;x\\u0007\\u009b31m\\u202e";
    let title = right()
        .lines()
        .find(|line| line.starts_with("title"))
        .unwrap()
        .to_owned();
    let text = right().replace(&title, &format!("title = \"{raw}\"")) + "\n";
    folder.write("t\u{1b}[31m.toml", &text);
    folder.write("bad\u{1b}[31m.toml", "title = \"\u{1b}[31m\" x\n");
    folder.write("v\u{1b}[31m.jsonl", "{\"id\":\"\u{1b}[31m\"}\n");
    folder.write("x\u{1b}[31m.trace", "H 1 64 0 0 0 1\n\u{1b}[31m\n");
    for arguments in [
        &["run", "t\u{1b}[31m.toml"][..],
        &["run", "t\u{1b}[31m.toml", "--json"],
        &["walk", "t\u{1b}[31m.toml"],
        &["wave", "t\u{1b}[31m.toml", "-o", "w\u{1b}[31m"],
        &["run", "bad\u{1b}[31m.toml"],
        &["run", "missing\u{1b}[31m.toml"],
        &["vectors", "v\u{1b}[31m.jsonl"],
        &["trace", "x\u{1b}[31m.trace"],
        &["merge", "t\u{1b}[31m.toml"],
        &["cover", "t\u{1b}[31m.toml"],
        &["fuzz", "--count", "9", "--results", "t\u{1b}[31m.toml/x"],
        &["fuzz", "--profile", "\u{1b}[31m"],
        &["\u{1b}[31m"],
    ] {
        let ran = folder.run(arguments);
        let all = ran.stdout + &ran.stderr;
        let is_raw = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || c == '\u{202e}';
        assert!(!all.contains(is_raw), "{arguments:?}: {all:?}");
        assert!(!all.is_empty());
    }
}

#[test]
fn a_command_in_a_report_works_as_it_stands() {
    let folder = Folder::new();
    folder.write("s p'a$ce.toml", right());
    let ran = folder.run(&["wave", "s p'a$ce.toml", "-o", "w o'w"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line = ran.stdout.lines().last().unwrap();
    let command = line.strip_prefix("open: gtkwave ").unwrap();
    let (files, _) = command.split_once("   (or:").unwrap();
    let ran = folder.shell(&format!("ls {files}"));
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (0, 2),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_bundles_scenario_on_other_rtl_says_so() {
    let folder = Folder::new();
    folder.write("scenario.toml", right());
    let report = |rtl: &str| format!("{{\"versions\":{{\"rtl\":\"{rtl}\"}}}}");
    folder.write("report.json", report("0123456789abcdef"));
    let ran = folder.run(&["run", "scenario.toml"]);
    assert!(
        ran.stdout
            .contains("found with RTL 0123456789abcdef; this program"),
        "{}",
        ran.stdout
    );
    let json = folder.run(&["run", "scenario.toml", "--json"]).json();
    assert!(json["note"].as_str().unwrap().contains("0123456789abcdef"));
    let here = nestwalk::version::Versions::of_this_build().rtl;
    folder.write("report.json", report(&here));
    let ran = folder.run(&["run", "scenario.toml"]);
    assert!(!ran.stdout.contains("note: "), "{}", ran.stdout);
    assert_eq!(
        nestwalk(&["run", folder.path("scenario.toml").to_str().unwrap()]).code,
        0
    );
}
