// SPDX-License-Identifier: Apache-2.0
//! `make try`: after an edit it tries every profile that the edited file belongs to
//! (`tools/try.sh`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Returns the devices that it builds and the campaigns that it runs, as `profile on device`. Cargo
/// and the program are replaced by stand-ins.
fn tried(variables: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let cargo = script("cargo", r#"echo "built $NESTWALK_DEVICES""#);
    script("target/try/nestwalk", r#"echo "ran $3 on $5""#);
    let output = Command::new("sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/try.sh"))
        .env("CARGO", cargo)
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env_remove("profile")
        .env_remove("device")
        .env_remove("file")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(2));
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let lines = |start: &str| -> Vec<String> {
        let lines = stdout.lines();
        lines
            .filter_map(|line| line.strip_prefix(start).map(str::to_owned))
            .collect()
    };
    let built: Vec<String> = lines("built ")
        .iter()
        .flat_map(|devices| devices.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    Ok((built, lines("ran ")))
}

fn of_file(file: &str) -> (Vec<String>, Vec<String>) {
    tried(&[("file", file)]).unwrap()
}

const HANDOUT: [&str; 4] = [
    "handout on handout",
    "handout-rights on handout",
    "classic32 on classic32",
    "classic32-rights on classic32",
];
const RISCV: [&str; 2] = ["rv32 on rv32", "rv64 on rv64"];

#[test]
fn a_file_of_one_language_is_tried_on_all_its_profiles() {
    for file in [
        "rtl/walk_step_riscv.sv",
        "rtl/walk_caches.sv",
        "./golden/src/walk/riscv.rs",
    ] {
        let (built, ran) = of_file(file);
        assert_eq!(
            (built, ran),
            (
                vec!["rv32".into(), "rv64".into()],
                RISCV.map(String::from).to_vec()
            )
        );
    }
    for file in ["rtl/walk_step_handout.sv", "golden/src/walk/handout.rs"] {
        let (built, ran) = of_file(file);
        assert_eq!(built, ["handout", "classic32"]);
        assert_eq!(ran, HANDOUT);
    }
}

#[test]
fn a_file_that_all_share_is_tried_on_every_profile() {
    for file in [
        "rtl/tlb.sv",
        "rtl/nested_mmu_types.svh",
        "sim/tb_top.sv",
        "src/bench/checker/mod.rs",
    ] {
        let (built, ran) = of_file(file);
        assert_eq!(built, ["handout", "classic32", "rv32", "rv64"], "{file}");
        assert_eq!(ran, [&HANDOUT[..], &RISCV].concat(), "{file}");
    }
}

#[test]
fn the_second_level_tlb_is_tried_on_devices_that_have_one() {
    let (built, ran) = of_file("rtl/tlb2.sv");
    assert_eq!(built, ["classic32_l2", "rv32_l2", "rv64_l2"]);
    assert!(ran.contains(&"rv64 on rv64_l2".to_owned()), "{ran:?}");
}

#[test]
fn every_file_of_the_rtl_belongs_to_a_profile() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rtl")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".sv") || name.ends_with(".svh") {
            assert!(!of_file(&format!("rtl/{name}")).1.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_profile_or_a_device_is_tried_alone() {
    let ran = |variables: &[(&str, &str)]| tried(variables).unwrap().1;
    assert_eq!(
        ran(&[("profile", "handout-rights")]),
        ["handout-rights on handout"]
    );
    assert_eq!(ran(&[("device", "rv64_s1")]), ["rv64 on rv64_s1"]);
    assert_eq!(
        ran(&[("profile", "classic32-rights"), ("device", "classic32_s16")]),
        ["classic32-rights on classic32_s16"]
    );
}

#[test]
fn a_file_that_belongs_to_no_profile_is_refused() {
    let error = tried(&[("file", "README.md")]).unwrap_err();
    assert!(error.contains("README.md belongs to no profile"), "{error}");
    let error = tried(&[("file", "rtl/none.sv")]).unwrap_err();
    assert!(
        error.contains("the file rtl/none.sv does not exist"),
        "{error}"
    );
}
