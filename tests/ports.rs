// SPDX-License-Identifier: Apache-2.0
//! The tables of parameters and ports in `devices/`, and the files that follow from them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the names in the table of parameters, in its order.
fn parameters() -> Vec<String> {
    let table: toml::Table = toml::from_str(&read("devices/parameters.toml")).unwrap();
    let rows = table["parameter"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the words after each occurrence of a text, as far as they are letters and digits.
fn words_after<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let word = |rest: &'a str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
        &rest[..end.unwrap_or(rest.len())]
    };
    text.match_indices(start)
        .map(|(at, _)| word(&text[at + start.len()..]))
        .filter(|word| !word.is_empty())
        .collect()
}

/// A copy of `tools/generate.py` and of the files that it writes.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(TempDir::new().unwrap());
        for file in [
            "tools/generate.py",
            "devices/parameters.toml",
            "devices/ports.toml",
            "rtl/nested_mmu_pkg.sv",
            "rtl/nested_mmu.sv",
            "rtl/nested_mmu_flat.sv",
            "rtl/nested_mmu.core",
            "sim/tb_top.sv",
            "sim/ports.h",
            "sim/dut_abi.h",
            "src/dut/bridge.rs",
            "src/dut/event_layout.rs",
            "src/dut/socket.rs",
            "docs/ports.md",
        ] {
            let to = copy.0.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root().join(file), to).unwrap();
        }
        copy
    }

    /// Replaces a text of a file, which must occur in it.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    /// Returns the exit code and the whole output.
    fn generate(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new("python3")
            .arg(self.0.path().join("tools/generate.py"))
            .args(arguments)
            .output()
            .expect("Python 3.11 or newer is needed");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }
}

#[test]
fn all_that_follows_from_the_tables_agrees_with_them() {
    let output = Command::new("python3")
        .arg(root().join("tools/generate.py"))
        .arg("--check")
        .output()
        .expect("Python 3.11 or newer is needed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn an_edit_of_a_generated_region_is_found_and_undone() {
    for (file, from, to) in [
        ("rtl/nested_mmu_flat.sv", "req_gva_i", "req_gav_i"),
        ("sim/tb_top.sv", "mmu_req_id", "mmu_rsp_id"),
        ("sim/ports.h", "in.req_gva", "in.req_gpa"),
        (
            "sim/dut_abi.h",
            "FIELD(uint64_t, req_gva)",
            "FIELD(uint32_t, req_gva)",
        ),
        ("src/dut/bridge.rs", "req_gva: u64", "req_gva: u32"),
        (
            "src/dut/event_layout.rs",
            "let step_error = field(1)",
            "let step_error = field(2)",
        ),
        ("rtl/nested_mmu.core", "- Svadu", "- Svade"),
        ("docs/ports.md", "| `rsp_hpa` |", "| `rsp_hva` |"),
    ] {
        let copy = Copy::new();
        let before = copy.text(file);
        copy.edit(file, from, to);
        let (code, said) = copy.generate(&["--check"]);
        assert_eq!(code, 1, "{file}: {said}");
        assert_eq!(
            said,
            format!("{file} differs from devices/*.toml: run tools/generate.py\n")
        );
        assert_eq!(copy.generate(&[]), (0, format!("written: {file}\n")));
        assert_eq!(copy.text(file), before);
    }
}

#[test]
fn a_new_port_and_a_new_parameter_come_to_every_file() {
    let copy = Copy::new();
    copy.edit(
        "devices/ports.toml",
        "[[port.field]]\nname = \"napot\"",
        "[[port.field]]\nname = \"aim\"\nmember = \"query.aim\"\ntype = \"logic\"\n\
         doc = \"new\"\n\n\
         [[port.field]]\nname = \"napot\"",
    );
    copy.edit(
        "devices/parameters.toml",
        "[[parameter]]\nname = \"Svadu\"",
        "[[parameter]]\nname = \"Colour\"\ntype = \"bit\"\ndefault = \"1'b0\"\nsample = 1\n\
         doc = \"new\"\nlegal = \"0\"\n\n[[parameter]]\nname = \"Svadu\"",
    );
    assert_eq!(copy.generate(&[]).0, 0);
    for (file, text) in [
        ("rtl/nested_mmu_flat.sv", "req_aim_i"),
        ("sim/tb_top.sv", "mmu_req_aim"),
        ("sim/ports.h", "m.req_aim_i = in.req_aim;"),
        ("sim/dut_abi.h", "FIELD(bool, req_aim)"),
        ("src/dut/bridge.rs", "req_aim: bool"),
        ("docs/ports.md", "| `req_aim` | `query.aim` | 1 | new |"),
        ("rtl/nested_mmu_pkg.sv", "Colour;"),
        ("rtl/nested_mmu.sv", "Colour"),
        ("rtl/nested_mmu_flat.sv", ".Colour"),
        ("sim/tb_top.sv", ".Colour"),
        ("rtl/nested_mmu.core", "- Colour"),
    ] {
        assert!(copy.text(file).contains(text), "{file} lacks {text}");
    }
    assert!(copy.generate(&["samples"]).1.contains("\nColour=1\n"));
}

#[test]
fn a_region_that_is_missing_is_an_error() {
    let copy = Copy::new();
    copy.edit(
        "sim/ports.h",
        "// generated by tools/generate.py: ports\n",
        "",
    );
    let (code, said) = copy.generate(&["--check"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("the end of a region without its start"),
        "{said}"
    );
}

#[test]
fn tools_name_parameters_as_the_table_does() {
    let known: BTreeSet<String> = parameters().into_iter().collect();
    assert!(known.len() >= 16, "{known:?}");
    // One set of NAME=VALUE pairs per line.
    let mut named = Vec::new();
    let sets = read("tools/rtl-params");
    for set in sets.lines().filter(|line| !line.starts_with('#')) {
        named.extend(
            set.split_whitespace()
                .map(|pair| pair.split('=').next().unwrap()),
        );
    }
    assert!(named.len() > 40);
    let mutate = read("tools/mutate.py");
    let tops = mutate
        .lines()
        .filter(|line| line.trim_start().starts_with("\".Format("));
    named.extend(
        tops.flat_map(|line| words_after(line, "."))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())),
    );
    for name in named {
        assert!(known.contains(name), "{name} is no parameter");
    }
}

#[test]
fn the_build_names_parameters_as_the_table_does() {
    fn sources(folder: &Path, texts: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, texts);
            } else {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut texts = vec![read("build.rs")];
    sources(&root().join("src/dut"), &mut texts);
    let named: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| words_after(text, "-G"))
        .map(str::to_owned)
        .collect();
    assert!(named.contains("Format"), "{named:?}");
    let known: BTreeSet<String> = parameters().into_iter().collect();
    for name in named {
        // The parameters of the top itself; all others are those of the MMU.
        assert!(name == "InputsAt" || known.contains(&name), "{name}");
    }
}

#[test]
fn fields_of_the_event_record_stand_in_the_order_of_its_struct() {
    let types = read("rtl/nested_mmu_types.svh");
    let members = |name: &str| -> Vec<String> {
        let start = types.find(&format!("{name} = struct packed {{")).unwrap();
        let text = &types[start..];
        text[..text.find("\n  }").unwrap()]
            .lines()
            .skip(1)
            .filter_map(|line| line.split(';').next()?.split_whitespace().last())
            .map(str::to_owned)
            .filter(|word| word != "\\")
            .collect()
    };
    let step = members("step_t");
    let mut record = members("event_t");
    assert_eq!(record.pop().as_deref(), Some("step"));
    record.extend(step.iter().map(|member| format!("step.{member}")));
    let table: toml::Table = toml::from_str(&read("devices/ports.toml")).unwrap();
    let port = table["port"]
        .as_array()
        .unwrap()
        .iter()
        .find(|port| port["name"].as_str() == Some("event"))
        .unwrap();
    let listed: Vec<String> = port["field"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field.get("member").unwrap_or(&field["name"]))
        .map(|member| member.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, record);
}
