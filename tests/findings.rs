// SPDX-License-Identifier: Apache-2.0
//! Lists of defects: a campaign on a device with several bugs finds all of them, and does not
//! report those that a file of deviations covers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

/// A planted bug of the example MMU, with a condition that its findings meet. The conditions are
/// tried in this order.
struct Bug {
    name: &'static str,
    when: &'static str,
}

const BUGS: [Bug; 5] = [
    Bug {
        name: "bus-error-is-a-page-fault",
        when: r#"{ check = "walk-response", fault = "memory", observed = "fault" }"#,
    },
    Bug {
        name: "htval-of-a-hit-loses-the-offset",
        when: r#"{ check = "walk-response", fields = ["tval2"] }"#,
    },
    Bug {
        name: "htinst-survives",
        when: r#"{ check = "walk-response", fields = ["tinst"] }"#,
    },
    Bug {
        name: "canonical-check-of-sv48",
        when: r#"{ expected = "fault", stage = "guest", fault = "width" }"#,
    },
    Bug {
        name: "implicit-read-honours-mxr",
        when: r#"{ check = "reads", stage = "host", purpose = "guest-entry", observed = "read" }"#,
    },
];

/// The bug that is mended, and the bug that no deviation covers.
const MENDED: usize = 1;
const UNKNOWN: usize = 4;

fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A copy of the example MMU with planted bugs.
struct Copy(TempDir);

impl Copy {
    fn with<'a>(bugs: impl IntoIterator<Item = &'a Bug>) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let own = copy.path("examples/classic_mmu");
        fs::create_dir_all(&own).unwrap();
        for file in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
            let from = project(&format!("examples/classic_mmu/{file}"));
            fs::copy(from, own.join(file)).unwrap();
        }
        for bug in bugs {
            let file = project(&format!("examples/classic_mmu/bugs/{}.toml", bug.name));
            let planted = Command::new(project("tools/mutant.py"))
                .arg("plant")
                .args([Path::new(&file), copy.0.path()])
                .status();
            assert!(planted.unwrap().success(), "{}", bug.name);
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file of deviations for bugs, and returns its path.
    fn deviations<'a>(&self, bugs: impl IntoIterator<Item = &'a Bug>) -> String {
        let entry = |bug: &Bug| {
            let Bug { name, when } = bug;
            format!("[[deviation]]\nid = \"{name}\"\naction = \"accept\"\nwhen = {when}\n\n")
        };
        self.write(&bugs.into_iter().map(entry).collect::<String>())
    }

    fn write(&self, text: &str) -> String {
        let file = self.path("known.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Runs a campaign, with further options.
    fn campaign(&self, options: &[&str]) -> Ran {
        let device = self.path("examples/classic_mmu/classic_mmu.toml");
        let out = self.path("out");
        let paths = [&device, &out].map(|path| path.to_str().unwrap());
        let fixed = [
            "fuzz",
            "--profile",
            "rv64",
            "--seed",
            "1",
            "--count",
            "60000",
            "--all",
        ];
        nestwalk(&[&fixed[..], &["--device", paths[0], "-o", paths[1]], options].concat())
    }
}

/// Returns the findings of a document that meet the condition of a bug, and of no earlier one.
fn findings_of<'a>(document: &'a Value, bug: &Bug) -> Vec<&'a Value> {
    let meets = |finding: &&Value, bug: &Bug| {
        let when: toml::Table = toml::from_str(&format!("when = {}", bug.when)).unwrap();
        let when = when["when"].as_table().unwrap();
        when.iter()
            .all(|(key, value)| finding["signature"][key] == serde_json::to_value(value).unwrap())
    };
    let first = |finding: &&Value| {
        BUGS.iter()
            .find(|bug| meets(finding, bug))
            .map(|bug| bug.name)
    };
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| first(finding) == Some(bug.name))
        .collect()
}

#[test]
fn one_campaign_lists_five_bugs_and_each_fails_again_by_its_own_small_scenario() {
    let copy = Copy::with(&BUGS);
    let junit = copy.path("junit.xml");
    let ran = copy.campaign(&["--json", "--jobs", "1", "--junit", junit.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let list = ran.json();
    for bug in &BUGS {
        let findings = findings_of(&list, bug);
        let ops = |finding: &&Value| finding["failure"]["ops"].as_u64().unwrap();
        let fewest = findings.iter().map(ops).min();
        assert!(fewest.is_some_and(|ops| ops <= 2), "{}: {list:#}", bug.name);
    }
    let mut folders = Vec::new();
    for finding in list["findings"].as_array().unwrap() {
        let folder = finding["failure"]["folder"].as_str().unwrap();
        folders.push(folder.to_owned());
        let scenario = format!("{folder}/scenario.toml");
        let again = nestwalk(&["run", &scenario, "--json"]);
        assert_eq!(again.code, 1, "{}{}", again.stdout, again.stderr);
        assert!(Path::new(folder).join("wave.fst").is_file());
    }
    let number = folders.len();
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), number);
    let cases = fs::read_to_string(junit).unwrap();
    assert_eq!(cases.matches("<failure").count(), number, "{cases}");

    // The list does not depend on the number of threads.
    assert_eq!(copy.campaign(&["--json", "--jobs", "3"]).json(), list);
    // The proposed deviations accept everything, and nothing is stale.
    let known = copy.write(list["proposed"].as_str().unwrap());
    let ran = copy.campaign(&["--deviations", &known]);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 0, "{all}");
    assert!(!all.contains("STALE"), "{all}");
}

#[test]
fn with_deviations_for_four_bugs_the_fifth_alone_is_reported_and_a_mended_one_is_stale() {
    let copy = Copy::with(&BUGS);
    let known = copy.deviations(&BUGS[..UNKNOWN]);
    let ran = copy.campaign(&["--json", "--deviations", &known]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let list = ran.json();
    let others = list["findings"].as_array().unwrap().len();
    assert_eq!(findings_of(&list, &BUGS[UNKNOWN]).len(), others, "{list:#}");
    assert_eq!(others, 1, "{list:#}");
    for deviation in list["deviations"].as_array().unwrap() {
        assert_eq!(deviation["stale"], false, "{deviation:#}");
        assert!(deviation["count"].as_u64().unwrap() > 0);
    }

    let mended = Copy::with(BUGS.iter().filter(|bug| bug.name != BUGS[MENDED].name));
    let known = mended.deviations(&BUGS);
    let ran = mended.campaign(&["--deviations", &known]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let stale: Vec<&str> = (ran.stdout.lines())
        .filter(|line| line.contains("STALE"))
        .collect();
    assert_eq!(stale.len(), 1, "{}", ran.stdout);
    assert!(stale[0].contains(BUGS[MENDED].name), "{}", ran.stdout);
}

#[test]
fn a_device_that_ends_the_simulation_is_a_finding_and_the_campaign_goes_on() {
    let copy = Copy::with(&BUGS[..1]);
    let top = copy.path("examples/classic_mmu/classic_top.sv");
    let text = fs::read_to_string(&top).unwrap();
    assert_eq!(text.matches("endmodule").count(), 1);
    let fatal = "if (req_valid_i && req_gva_i[15:12] == 4'd2) $fatal(1, \"lost\");";
    let fatal = format!("  always @(posedge clk_i) {fatal}\nendmodule");
    fs::write(&top, text.replace("endmodule", &fatal)).unwrap();
    let ran = copy.campaign(&["--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let list = ran.json();
    let findings = list["findings"].as_array().unwrap();
    let check = |finding: &&Value| finding["signature"]["check"] == "assertion";
    let assertions: Vec<&Value> = findings.iter().filter(check).collect();
    assert_eq!(assertions.len(), 1, "{list:#}");
    assert!(assertions[0]["count"].as_u64().unwrap() > 100, "{list:#}");
    assert_eq!(assertions[0]["failure"]["ops"], 1);
    let message = assertions[0]["signature"]["assertion"].as_str().unwrap();
    assert!(message.contains("lost"), "{message}");
    // The other bug is found as well.
    assert!(!findings_of(&list, &BUGS[0]).is_empty(), "{list:#}");
}

#[test]
fn a_wrong_file_of_deviations_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known.toml");
    let entry = "[[deviation]]\nid = \"a\"\naction = \"accept\"\nwhen = { check = \"hang\" }\n";
    for (text, words) in [
        (
            format!("{entry}lnik = \"x\"\n"),
            ["line 5", "unknown field `lnik`"],
        ),
        (
            format!("{entry}{entry}"),
            [
                "known.toml:6",
                "the id `a` is that of the deviation in line 2",
            ],
        ),
        (
            entry.replace("hang", "hnag"),
            ["line 4", "unknown word `hnag`"],
        ),
        (
            entry.replace("check =", "chek ="),
            ["line 4", "unknown field `chek`"],
        ),
        (
            entry.replace("accept", "avoid"),
            ["line 3", "unknown variant `avoid`"],
        ),
        (
            entry.replace("{ check = \"hang\" }", "{}"),
            ["known.toml:4", "`when` is empty"],
        ),
        (
            entry.replace("\"a\"", "\"\""),
            ["known.toml:2", "`id` is empty"],
        ),
    ] {
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let ran = nestwalk(&["fuzz", "--all", "--count", "500", "--deviations", file]);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_list_of_a_part_of_a_campaign_is_refused() {
    for options in [
        ["--shard", "0/2"],
        ["--results", "results.json"],
        ["--coverage", "coverage.json"],
    ] {
        let fixed = ["fuzz", "--all", "--seed", "1", "--count", "500"];
        let ran = nestwalk(&[&fixed[..], &options].concat());
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
        assert!(ran.stderr.contains(options[0]), "{}", ran.stderr);
    }
    let ran = nestwalk(&["fuzz", "--count", "500", "--deviations", "known.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--all"), "{}", ran.stderr);
}
