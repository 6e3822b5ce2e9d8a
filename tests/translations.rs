// SPDX-License-Identifier: Apache-2.0
//! Translation vectors: golden model and RTL agree with them, a wrong expectation is found, and a
//! line that is not a vector is refused with its place.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

/// Returns the files of a folder of vectors, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(".jsonl.gz"));
    files.sort();
    files
}

/// Returns the files of the folder that the environment variable `NESTWALK_VECTORS` names, without
/// those that equal one of `known`. There are none if the variable is not set.
fn more_files(known: &[PathBuf]) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("NESTWALK_VECTORS") else {
        return Vec::new();
    };
    let mut more = files(Path::new(&folder));
    assert!(
        !more.is_empty(),
        "NESTWALK_VECTORS={}: there is no *.jsonl.gz in it",
        folder.display()
    );
    let known: Vec<Vec<u8>> = known.iter().map(|path| fs::read(path).unwrap()).collect();
    more.retain(|path| !known.contains(&fs::read(path).unwrap()));
    more
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> PathBuf {
    project().join("tests/vectors").join(name)
}

/// Returns the lines of a file.
fn lines(name: &str) -> Vec<String> {
    let mut text = String::new();
    let mut file = GzDecoder::new(File::open(file(name)).unwrap());
    file.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Returns the first vector of a file that satisfies a condition.
fn vector(name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let vectors = lines(name).into_iter();
    let mut vectors = vectors.map(|line| serde_json::from_str(&line).unwrap());
    vectors.find(fits).unwrap()
}

fn succeeds(vector: &Value) -> bool {
    vector["expect"]["ok"] == true && vector["reads"].as_array().unwrap().len() > 3
}

/// A temporary file of vectors.
struct Written {
    _folder: TempDir,
    path: String,
}

fn written(bytes: impl AsRef<[u8]>) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.jsonl");
    fs::write(&path, bytes).unwrap();
    Written {
        path: path.to_str().unwrap().to_owned(),
        _folder: folder,
    }
}

fn check(file: &Written, more: &[&str]) -> Ran {
    let mut arguments = vec!["vectors", &file.path];
    arguments.extend(more);
    nestwalk(&arguments)
}

/// Checks that a file is refused, at this line and with these words.
#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, line: u64, words: &[&str]) {
    let file = written(bytes);
    let ran = check(&file, &["--on", "golden"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let place = format!("{}:{line}:", file.path);
    assert!(ran.stderr.contains(&place), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

/// Returns a correct line, then the vector.
fn second(vector: &Value) -> String {
    format!("{}\n{vector}\n", lines("hyp-tests.jsonl.gz")[0])
}

#[test]
fn golden_model_and_rtl_agree_with_every_vector() {
    let mut all = files(&project().join("tests/vectors"));
    assert_eq!(all.len(), 4);
    let of_the_repository = all.len();
    all.extend(more_files(&all));
    let mut arguments = vec!["vectors".to_owned(), "--json".to_owned()];
    arguments.extend(all.iter().map(|path| path.to_str().unwrap().to_owned()));
    let ran = nestwalk(&arguments);
    let report = ran.json();
    assert_eq!(ran.code, 0, "{report:#}");
    let checked = report["files"].as_array().unwrap();
    assert_eq!(checked.len(), all.len());
    let vectors = |file: &Value| file["vectors"].as_u64().unwrap();
    let counts: Vec<u64> = checked[..of_the_repository].iter().map(vectors).collect();
    // hyp-tests, kvm-linux, public, suites.
    assert_eq!(counts, [560, 24_762, 20_000, 2_930]);
    for file in checked {
        for on in ["golden", "rtl"] {
            assert_eq!(file[on]["agreeing"], file["vectors"], "{file:#}");
        }
    }
}

#[test]
fn a_report_does_not_depend_on_the_number_of_threads() {
    // Every tenth vector expects another page.
    let mut text = String::new();
    let sample = lines("public.jsonl.gz").into_iter().step_by(20);
    for (number, line) in sample.enumerate() {
        let mut vector: Value = serde_json::from_str(&line).unwrap();
        if number % 10 == 5 && vector["expect"]["ok"] == true {
            vector["expect"]["pa"] = "1000".into();
        }
        text += &format!("{vector}\n");
    }
    let file = written(text);
    let one = check(&file, &["--on", "golden", "--jobs", "1"]);
    assert_eq!(one.code, 1);
    for jobs in ["2", "7"] {
        let many = check(&file, &["--on", "golden", "--jobs", jobs]);
        assert_eq!((many.code, many.stdout), (1, one.stdout.clone()));
    }
}

#[test]
fn a_wrong_expectation_is_a_disagreement_on_both() {
    let good = vector("hyp-tests.jsonl.gz", succeeds);
    let change = |path: &[&str], to: Value| {
        let mut vector = good.clone();
        let mut place = &mut vector;
        for key in path {
            place = match key.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[*key],
            };
        }
        assert_ne!(*place, to);
        *place = to;
        vector
    };
    let pa = u64::from_str_radix(good["expect"]["pa"].as_str().unwrap(), 16).unwrap();
    let page = format!("{:x}", pa + 0x1000);
    for (field, vector) in [
        ("pa", change(&["expect", "pa"], page.clone().into())),
        ("gpa", change(&["expect", "gpa"], page.into())),
        ("reads", change(&["reads", "1", "0"], "1000".into())),
    ] {
        let file = written(second(&vector));
        let ran = check(&file, &["--json"]);
        assert_eq!(ran.code, 1);
        let report = ran.json();
        for on in ["golden", "rtl"] {
            let found = &report["files"][0][on];
            assert_eq!(found["agreeing"], 1, "{found:#}");
            assert_eq!(found["fields"][field], 1, "{found:#}");
            assert_eq!(found["first"][0]["line"], 2);
        }
        let ran = check(&file, &[]);
        assert_eq!(ran.code, 1);
        let id = vector["id"].as_str().unwrap();
        assert!(ran.stdout.contains(&format!("{}:2: {id}", file.path)));
    }
}

#[test]
fn a_trap_in_place_of_a_translation_is_a_disagreement() {
    let mut vector = vector("hyp-tests.jsonl.gz", succeeds);
    vector["expect"] = serde_json::json!({
        "ok": false, "cause": 13, "tval": vector["access"]["va"], "tval2": "0", "tinst": "0", "gva": 1,
    });
    let ran = check(&written(vector.to_string()), &["--on", "golden", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["files"][0]["golden"]["fields"]["ok"], 1);
}

#[test]
fn a_wrong_update_is_a_disagreement() {
    let updates = |vector: &Value| !vector["writes"].as_array().unwrap().is_empty();
    let mut vector = vector("public.jsonl.gz", updates);
    vector["writes"].as_array_mut().unwrap().pop();
    let ran = check(&written(vector.to_string()), &["--json"]);
    assert_eq!(ran.code, 1);
    let report = ran.json();
    assert_eq!(report["files"][0]["golden"]["fields"]["writes"], 1);
    assert_eq!(report["files"][0]["rtl"]["fields"]["memory"], 1);
}

#[test]
fn what_is_no_vector_is_refused_with_its_place() {
    let good = vector("hyp-tests.jsonl.gz", succeeds);
    let without = |outer: &str, inner: &str| {
        let mut vector = good.clone();
        vector[outer].as_object_mut().unwrap().remove(inner);
        second(&vector)
    };
    let with = |outer: &str, inner: &str, value: Value| {
        let mut vector = good.clone();
        vector[outer][inner] = value;
        second(&vector)
    };
    refused(without("csrs", "vs_sum"), 2, &["missing field", "vs_sum"]);
    refused(without("access", "va"), 2, &["missing field", "va"]);
    refused(without("expect", "pa"), 2, &["expect.pa", "missing field"]);
    let mode = with("csrs", "hgatp", "7000000000080018".into());
    refused(mode, 2, &["csrs: hgatp.MODE is 7", "reserved"]);
    let there = with("ext", "svrsw60t59b", 0.into());
    assert_eq!(check(&written(there), &["--on", "golden"]).code, 0);
    let bits = with("csrs", "hgatp", "8800000000080018".into());
    refused(bits, 2, &["csrs: the reserved field hgatp[59:58] is 2"]);
    let bare = with("csrs", "hgatp", "18".into());
    refused(bare, 2, &["csrs: hgatp 0x18 has MODE 0 (Bare)"]);
    for (outer, known) in [
        ("csrs", "`h_pbmte`"),
        ("access", "`size`"),
        ("eff", "`virt`"),
        ("expect", "`tval2`"),
    ] {
        let unknown = with(outer, "m_sse", 0.into());
        refused(unknown, 2, &["unknown field `m_sse`", known]);
    }
    let mut unknown = good.clone();
    unknown["note"] = "x".into();
    refused(second(&unknown), 2, &["unknown field `note`", "`writes`"]);
    let other = with("ext", "svrsw60t59b", 1.into());
    refused(other, 2, &["ext: \"svrsw60t59b\" is 1", "not modelled"]);
    refused(without("ext", "svadu"), 2, &["missing field", "svadu"]);
    let mut adue = good.clone();
    adue["ext"]["svadu"] = 0.into();
    adue["csrs"]["h_adue"] = 1.into();
    refused(second(&adue), 2, &["csrs.h_adue", "ext.svadu is 0"]);
    let crossing = with("access", "va", "fff".into());
    refused(crossing, 2, &["access.size", "two pages"]);
    refused(
        with("access", "size", 3.into()),
        2,
        &["access.size", "3 bytes"],
    );
    let trap = with("expect", "tval2", "0".into());
    refused(
        trap,
        2,
        &["expect.tval2", "belongs to a trap", "expect.ok is true"],
    );
    let kind = with("access", "kind", "hsx".into());
    refused(kind, 2, &["access.kind", "\"hsx\"", "hlvx"]);
    let kind = with("access", "type", "amo".into());
    refused(kind, 2, &["access.type", "\"amo\""]);
    let kind = with("access", "kind", "hlvx".into());
    let fetch: Value = serde_json::from_str(kind.lines().nth(1).unwrap()).unwrap();
    let mut fetch = fetch;
    fetch["access"]["type"] = "fetch".into();
    refused(second(&fetch), 2, &["there is no fetch of the kind hlvx"]);
    refused(with("csrs", "priv", 2.into()), 2, &["privilege mode"]);
    refused(with("csrs", "virt", 2.into()), 2, &["0 or 1"]);
    for number in ["0x1000", "+1", "", "10000000000000000", "12g"] {
        let bad = with("access", "va", number.into());
        refused(bad, 2, &["a hexadecimal number"]);
    }
    let mut vector = good.clone();
    vector["xlen"] = 128.into();
    refused(second(&vector), 2, &["xlen", "128"]);
    vector = good.clone();
    vector["reads"][0][1] = "G1@X2".into();
    refused(second(&vector), 2, &["G1@X2"]);
    vector = good.clone();
    vector["mem"].as_array_mut().unwrap().reverse();
    refused(second(&vector), 2, &["mem", "ascend"]);
    vector = good.clone();
    vector["mem"][0][0] = "3".into();
    refused(second(&vector), 2, &["mem", "multiple of 8"]);
    vector = good.clone();
    vector["writes"] = serde_json::json!([["8", "1", "V0"]]);
    refused(second(&vector), 2, &["writes", "mem has no word at 8"]);
    refused("{\"id\": 1", 1, &["column"]);
    refused("\n\n  \nno vector\n", 4, &["column"]);
    refused(b"\x00\xFF\xFE junk", 1, &["UTF-8"]);
    refused("", 1, &["no vector"]);
}

#[test]
fn a_file_that_is_cut_off_is_refused_after_the_lines_that_are_whole() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for line in lines("hyp-tests.jsonl.gz") {
        writeln!(gzip, "{line}").unwrap();
    }
    let bytes = gzip.finish().unwrap();
    let file = written(&bytes[..bytes.len() / 2]);
    let ran = check(&file, &["--on", "golden"]);
    assert_eq!(ran.code, 2);
    let place = ran.stderr.split(&format!("{}:", file.path)).nth(1).unwrap();
    let line: u64 = place.split(':').next().unwrap().parse().unwrap();
    assert!((100..560).contains(&line), "{}", ran.stderr);
    // Only the magic number of gzip.
    refused([0x1F, 0x8B, 0x00], 1, &["truncated or damaged"]);
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    let ran = nestwalk(&["vectors", "no/such.jsonl.gz"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no/such.jsonl.gz"), "{}", ran.stderr);
    assert_eq!(nestwalk(&["vectors"]).code, 2);
    let folder = tempfile::tempdir().unwrap();
    let ran = nestwalk(&["vectors", folder.path().to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}
