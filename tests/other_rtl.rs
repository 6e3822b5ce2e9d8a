// SPDX-License-Identifier: Apache-2.0
//! `NESTWALK_RTL`: devices of the RTL in a folder, without a new build of the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin_cmd;
use tempfile::TempDir;

/// A copy of the project's RTL.
fn copy() -> TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = TempDir::new().unwrap();
    for folder in ["rtl", "sim"] {
        fs::create_dir(copy.path().join(folder)).unwrap();
    }
    for entry in fs::read_dir(root.join("rtl")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(
            entry.path(),
            copy.path().join("rtl").join(entry.file_name()),
        )
        .unwrap();
    }
    let top = "sim/tb_top.sv";
    fs::copy(root.join(top), copy.path().join(top)).unwrap();
    copy
}

/// Runs a campaign on the RTL of a folder.
fn campaign(rtl: &Path, out: &Path) -> Output {
    let arguments = [
        "fuzz",
        "--profile",
        "handout-rights",
        "--seed",
        "1",
        "--count",
        "4000",
    ];
    cargo_bin_cmd!("nestwalk")
        .env("NESTWALK_RTL", rtl)
        .args(arguments)
        .args(["--device", "handout", "-o"])
        .arg(out)
        .output()
        .unwrap()
}

#[test]
fn a_bug_in_the_rtl_of_a_folder_is_found_and_its_scenario_fails_on_that_rtl_alone() {
    let copy = copy();
    let out = copy.path().join("out");
    let planted = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/mutant.py"))
        .args(["plant", "tests/mutants/01-implicit-read-as-access.toml"])
        .arg(copy.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(planted.unwrap().success());
    let ran = campaign(copy.path(), &out);
    let text = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{text}");
    let folder = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let again = |rtl: &Path| {
        let scenario = folder.join("scenario.toml");
        let mut command = cargo_bin_cmd!("nestwalk");
        let command = command.env("NESTWALK_RTL", rtl).arg("run").arg(scenario);
        command.output().unwrap().status.code()
    };
    assert_eq!(again(copy.path()), Some(1));
    assert_eq!(again(Path::new("")), Some(0));
}

#[test]
fn a_folder_without_rtl_is_refused_with_the_path() {
    let empty = TempDir::new().unwrap();
    let ran = campaign(empty.path(), &empty.path().join("out"));
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{errors}");
    let rtl = empty.path().join("rtl");
    assert!(errors.contains(rtl.to_str().unwrap()), "{errors}");
    assert!(errors.contains("sim/tb_top.sv"), "{errors}");
}
