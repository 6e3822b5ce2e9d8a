// SPDX-License-Identifier: Apache-2.0
//! The files of `tests/cases`, each run through the program: it passes, is refused with an error
//! that names the unsupported feature, or is listed with its reason.

#[path = "common/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use program::nestwalk;

/// The outcome of a file.
enum Outcome {
    /// Every expectation is met.
    Passes,
    /// An error that contains these words; exit code 2.
    Refused(&'static [&'static str]),
    /// Device and golden model agree, but an expectation of the file is not met, for this reason.
    Listed(&'static str),
}

use Outcome::{Listed, Passes, Refused};

const CASES: &[(&str, Outcome)] = &[
    ("br11-implicit-fault-at-gpa-0.toml", Passes),
    (
        "br12-cache-block-management.toml",
        Listed("Zicbom: there is no such access"),
    ),
    (
        "br12b-prefetch.toml",
        Listed("Zicbop: there is no such access"),
    ),
    (
        "br13-shadow-stack-page.toml",
        Listed("Zicfiss: W without R is reserved"),
    ),
    (
        "br14-svrsw60t59b.toml",
        Listed("Svrsw60t59b: bits 60 and 59 of an entry are reserved"),
    ),
    (
        "br15-sv32-guest-on-rv64.toml",
        Refused(&[
            "`sv32` is a mode of RV32, and the format is rv64",
            "hstatus.VSXL",
        ]),
    ),
    (
        "br16-big-endian-tables.toml",
        Listed("hstatus.VSBE: tables are little-endian"),
    ),
    (
        "br18-csr-bits-that-matter.toml",
        Refused(&[
            "hstatus.VSXL is 1, which is not modelled",
            "bits 33:32: 0 or 2",
        ]),
    ),
    ("br21-wide-vmid-operand.toml", Passes),
    (
        "br30-tables-that-cannot-be-written.toml",
        Listed("its memory can be written"),
    ),
    ("br30b-update-refused.toml", Passes),
    ("br36-memory-type-of-a-table.toml", Passes),
    ("br32-update-after-the-fence.toml", Passes),
    ("br32b-update-after-hfence-gvma.toml", Passes),
    ("br32c-read-after-the-fence.toml", Passes),
    ("csrs-of-a-kvm-host.toml", Passes),
    ("error-of-the-device-alone.toml", Passes),
    ("fence-and-the-root-given-away.toml", Passes),
    ("fence-before-a-lost-update.toml", Passes),
    ("fence-before-an-update.toml", Passes),
    ("fence-before-an-update-of-the-host.toml", Passes),
    ("fence-by-address-over-a-walk.toml", Passes),
    ("fence-of-another-asid.toml", Passes),
    ("fence-of-another-vmid.toml", Passes),
    ("fence-over-a-shared-walk.toml", Passes),
    ("fence-over-the-host-stage-of-an-update.toml", Passes),
    ("fence-over-walk-caches.toml", Passes),
    ("fence-while-a-leaf-is-read.toml", Passes),
    ("fence-while-an-update-is-offered.toml", Passes),
    ("handout-unreadable-region.toml", Passes),
    ("implicit-fault-at-gpa-0-rv32.toml", Passes),
    ("implicit-write-at-gpa-0.toml", Passes),
    ("read-only-tables.toml", Passes),
    ("reads-with-walk-caches.toml", Passes),
    ("tables-that-cannot-be-read.toml", Passes),
    ("walk-cache-of-another-context.toml", Passes),
    ("walk-cache-of-another-mode.toml", Passes),
    ("wide-operands.toml", Passes),
    (
        "unknown-extensions.jsonl",
        Refused(&[
            "unknown-extensions.jsonl:1: ",
            "svrsw60t59b",
            "not modelled",
        ]),
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Returns the scenarios and vectors in a folder, by name.
fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml") || name.ends_with(".jsonl"))
        .collect()
}

/// Returns the verbs that read such a file.
fn verbs(name: &str) -> &'static [&'static str] {
    match name.ends_with(".jsonl") {
        true => &["vectors"],
        false => &["walk", "run"],
    }
}

fn passes(path: &Path, name: &str) {
    for verb in verbs(name) {
        let ran = nestwalk(&[verb.as_ref(), path.as_os_str(), "--json".as_ref()]);
        assert_eq!(ran.code, 0, "{verb} {name}\n{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.json()["agree"], true, "{verb} {name}");
    }
}

#[test]
fn each_case_has_an_outcome() {
    let named: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, files(&folder()));
}

#[test]
fn each_case_that_passes_does_so_on_golden_model_and_device() {
    for (name, outcome) in CASES {
        if let Passes = outcome {
            passes(&folder().join(name), name);
        }
    }
}

#[test]
fn each_case_that_is_refused_is_so_by_name_whatever_reads_it() {
    for (name, outcome) in CASES {
        let Refused(words) = outcome else { continue };
        for verb in verbs(name) {
            let ran = nestwalk(&[verb.as_ref(), folder().join(name).as_os_str()]);
            assert_eq!(ran.code, 2, "{verb} {name}\n{}{}", ran.stdout, ran.stderr);
            for word in *words {
                assert!(
                    ran.stderr.contains(word),
                    "{verb} {name}: {word}\n{}",
                    ran.stderr
                );
            }
        }
    }
}

#[test]
fn each_case_that_is_listed_agrees_and_is_not_as_it_expects() {
    let list = fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, outcome) in CASES {
        let Listed(reason) = outcome else { continue };
        assert!(
            list.contains(&format!("| `{name}` | {reason}")),
            "{name}: {reason}"
        );
        let ran = nestwalk(&["run".as_ref(), folder().join(name).as_os_str()]);
        assert_eq!(ran.code, 1, "{name}\n{}{}", ran.stdout, ran.stderr);
        for word in ["NOT AS EXPECTED", "device and golden model agree"] {
            assert!(ran.stdout.contains(word), "{name}: {word}\n{}", ran.stdout);
        }
    }
}

#[test]
fn each_case_that_has_always_passed_does_so_still() {
    let folder = folder().join("passing");
    let files = files(&folder);
    assert!(files.len() > 20, "{files:?}");
    for name in files {
        passes(&folder.join(&name), &name);
    }
}

#[test]
fn each_vector_with_an_unknown_field_is_refused_and_not_only_the_first() {
    let text = fs::read_to_string(folder().join("unknown-extensions.jsonl")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("one.jsonl");
    let mut vectors = 0;
    for line in text.lines() {
        fs::write(&file, format!("{line}\n")).unwrap();
        let ran = nestwalk(&["vectors".as_ref(), file.as_os_str()]);
        assert_eq!(ran.code, 2, "{line}\n{}", ran.stdout);
        let names = ["svrsw60t59b", "m_sse"];
        assert!(
            names.iter().any(|name| ran.stderr.contains(name)),
            "{}",
            ran.stderr
        );
        vectors += 1;
    }
    assert_eq!(vectors, 2);
}

/// Returns the reasons of the faults of a case, by the golden model.
fn whys(name: &str) -> Vec<String> {
    let ran = nestwalk(&["walk".as_ref(), folder().join(name).as_os_str()]);
    assert_eq!(ran.code, 0, "{name}\n{}{}", ran.stdout, ran.stderr);
    let lines = ran.stdout.lines().map(str::trim);
    let whys = lines.filter(|line| line.starts_with("why: "));
    whys.map(str::to_owned).collect()
}

#[test]
fn a_fault_is_told_by_the_step_of_the_process_that_it_comes_of() {
    for (name, step, number) in [
        (
            "read-only-tables.toml",
            "step 9: \"If a store to the PTE",
            9,
        ),
        (
            "tables-that-cannot-be-read.toml",
            "step 2: \"If accessing pte",
            2,
        ),
        (
            "passing/br01-sum-before-wide-gpa.toml",
            "SUM=0; \"Virtual Address Translation Process\", step 6",
            1,
        ),
        (
            "passing/br20-mxr-of-hs-and-implicit-reads.toml",
            "\"Virtual Address Translation Process\", step 8: ",
            1,
        ),
    ] {
        let whys = whys(name);
        let told = whys.iter().filter(|why| why.contains(step)).count();
        assert!(told >= number, "{name}: {step}\n{}", whys.join("\n"));
    }
    // Each fault of a memory that cannot be updated or read is at one of the two steps.
    let only = |name, step: &str| whys(name).iter().all(|why| why.contains(step));
    assert!(only("read-only-tables.toml", "step 9"));
    assert!(only("tables-that-cannot-be-read.toml", "step 2"));
}
