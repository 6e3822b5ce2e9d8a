// SPDX-License-Identifier: Apache-2.0
//! RTL of other projects, from the Python package index (docs/foreign.md): it has the findings that
//! are known and no others, and agrees with the golden model once they are mended.
//!
//! The RTL is not checked where it is not installed; `make test` says so.

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns true if the RTL is installed, by the present pins.
fn is_installed() -> bool {
    let read = |path: &str| fs::read(root().join(path)).ok();
    let pins = read("tools/requirements-foreign.txt");
    assert!(pins.is_some());
    pins == read(".tools/foreign/requirements.txt")
}

/// Checks the devices of a folder of `examples/foreign`: their campaigns find something, the
/// scenario of each known finding fails as it says, and all of them pass on the mended devices, as
/// a longer campaign does. Returns the rows of the table.
fn rows_of(folder: &str) -> Vec<String> {
    let output = Command::new(root().join("tools/foreign.py"))
        .args(["run", "--count", "2000", "--seeds", "1", folder])
        .env("NESTWALK", assert_cmd::cargo::cargo_bin("nestwalk"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let (campaigns, table) = text.split_once("\n\n").unwrap();
    let lines = campaigns.lines().filter(|line| line.starts_with("  "));
    for line in lines {
        let is_mended = line.contains("mended");
        assert_eq!(line.ends_with("no mismatch"), is_mended, "{text}");
    }
    let rows = table.lines().skip(1);
    rows.take_while(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_mmu_of_cva6_has_its_known_findings_and_no_others() {
    if !is_installed() {
        eprintln!("not checked: tools/setup.sh --with-foreign installs the RTL");
        return;
    }
    let rows = rows_of("cva6");
    let count = |device: &str| rows.iter().filter(|row| row.starts_with(device)).count();
    assert_eq!((count("cva6_sv39"), count("cva6_sv32")), (7, 3), "{rows:?}");
}

#[test]
fn the_walker_of_blackparrot_has_its_known_findings_and_no_others() {
    if !is_installed() {
        eprintln!("not checked: tools/setup.sh --with-foreign installs the RTL");
        return;
    }
    assert_eq!(rows_of("blackparrot").len(), 2);
}

#[test]
fn each_finding_is_in_the_page_with_a_judgement_and_has_its_scenario_and_its_mend() {
    let page = fs::read_to_string(root().join("docs/foreign.md")).unwrap();
    let mut findings = 0;
    for folder in ["cva6", "blackparrot"] {
        let folder = root().join("examples/foreign").join(folder);
        let text = fs::read_to_string(folder.join("findings.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let mut scenarios = 0;
        for finding in table["finding"].as_array().unwrap() {
            let id = finding["id"].as_str().unwrap();
            let row = page.lines().find(|line| line.contains(&format!("`{id}`")));
            let row = row.unwrap_or_else(|| panic!("{id}"));
            let judgement = finding["judgement"].as_str().unwrap();
            assert!(row.contains(judgement), "{id}: {row}");
            assert!(folder.join(format!("mends/{id}.toml")).is_file(), "{id}");
            for device in finding["devices"].as_array().unwrap() {
                let name = format!("findings/{}-{id}.toml", device.as_str().unwrap());
                assert!(folder.join(&name).is_file(), "{name}");
                scenarios += 1;
            }
            findings += 1;
        }
        let files = fs::read_dir(folder.join("findings")).unwrap().count();
        assert_eq!(files, scenarios, "{}", folder.display());
    }
    assert!(findings > 5);
}
