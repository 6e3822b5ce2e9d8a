// SPDX-License-Identifier: Apache-2.0
//! Devices of a user: built from a device file, and refused with the place and the correction if
//! something in it, or in the sources, is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use nestwalk::dut::Dut;
use nestwalk::dut::description::{DeviceFile, Port, Visibility, template, template_top};
use nestwalk::dut::foreign;
use nestwalk::dut::variants::Variant;
use nestwalk::report::Recorder;
use nestwalk::scenario::Scenario;
use nestwalk::stimulus::{self, Profile};
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a copy of the example MMU.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
            let from = project(&format!("examples/classic_mmu/{name}"));
            fs::copy(from, folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a text of a file, which has it once.
    fn edit(self, name: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
        self
    }

    /// Replaces a name in a file.
    fn rename(self, name: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), text.replace(from, to)).unwrap();
        self
    }

    fn build(&self) -> Ran {
        let file = self.path("classic_mmu.toml");
        nestwalk(&["build", file.to_str().unwrap()])
    }

    /// The build is refused, and the error has these words.
    fn refused(&self, words: &[&str]) {
        let ran = self.build();
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        assert_eq!(ran.stdout, "");
    }
}

const TOML: &str = "classic_mmu.toml";
const TOP: &str = "classic_top.sv";

#[test]
fn a_port_that_is_missing_is_named_before_anything_is_compiled() {
    let copy = Copy::new().edit(TOP, "  output logic        rsp_valid_o,\n", "");
    let copy = copy.edit(
        TOP,
        "  // The request and its CSRs",
        "  logic rsp_valid_o;\n  // The request and its CSRs",
    );
    copy.refused(&[
        "classic_top has no port `rsp_valid_o`",
        "classic_mmu.toml:4",
        "build --new",
    ]);
}

#[test]
fn a_port_of_another_width_or_direction_or_name_is_refused_with_what_would_be_right() {
    let narrow = Copy::new().edit(TOP, "[63:0] req_gva_i", "[38:0] req_gva_i");
    narrow.refused(&[
        "`req_gva_i` of classic_top has the wrong width: 39 bits",
        "expected 64 bits",
    ]);
    let wide = Copy::new().edit(TOP, "[1:0]  req_access_i", "[2:0]  req_access_i");
    wide.refused(&["`req_access_i`", "3 bits", "expected 2 bits"]);
    let turned = Copy::new().edit(
        TOP,
        "input  logic        req_user_i",
        "output logic        req_user_i",
    );
    turned.refused(&[
        "`req_user_i` of classic_top is an output",
        "in the socket it is an input",
    ]);
    let other = Copy::new().rename(TOP, "rsp_hit_o", "rsp_hti_o");
    other.refused(&[
        "`rsp_hti_o` of classic_top is not a port of the socket",
        "did you mean `rsp_hit_o`?",
    ]);
    let half = Copy::new().edit(TOP, "  input  logic        fence_use_gva_i,\n", "");
    half.refused(&["only one of `fence_use_gva_i` and `fence_gva_i`"]);
}

#[test]
fn an_ability_that_no_port_backs_is_refused_at_its_line() {
    for (line, key, words) in [
        (
            "[tlb]",
            "[memory]\nupdates = \"compare-and-swap\"\n[tlb]",
            "no port `mem_req_update_o`",
        ),
        (
            "[tlb]",
            "[responses]\noutstanding = 4\n[tlb]",
            "no port `req_id_i`",
        ),
        (
            "[tlb]",
            "[memory]\nreorder = true\n[tlb]",
            "no port `mem_rsp_id_i`",
        ),
        (
            "[tlb]",
            "[fences]\nprecise = [\"gpa\"]\n[tlb]",
            "no port `fence_use_gpa_i`",
        ),
        (
            "[modes]",
            "[modes]\nextensions = [\"svadu\"]",
            "no port `mem_req_update_o`",
        ),
        (
            "[modes]",
            "[modes]\nextensions = [\"svpbmt\"]",
            "no port `req_guest_pbmte_i`",
        ),
        (
            "[tlb]",
            "[walks]\ncaches = { guest = 2 }\n[tlb]",
            "no port `walk_caches_i`",
        ),
    ] {
        let copy = Copy::new().edit(TOML, line, key);
        copy.refused(
            &[words, "-->", "add the port, or do not declare"].map(|word| {
                // One of these errors has another correction.
                if key.contains("outstanding") && word.starts_with("add") {
                    "expected at most 1"
                } else {
                    word
                }
            }),
        );
    }
}

#[test]
fn a_device_file_with_an_unknown_key_or_a_wrong_value_is_refused_at_its_line() {
    for (from, to, words) in [
        (
            "recent = 1",
            "recnet = 1",
            ["unknown key `recnet` in [tlb]", "did you mean `recent`?"],
        ),
        (
            "\"sv39\"]",
            "\"sv93\"]",
            ["unknown mode `sv93`", "did you mean `sv39`?"],
        ),
        (
            "entries = 8",
            "entries = \"8\"",
            ["`entries` cannot be a string", "without quotes"],
        ),
        (
            "format = \"rv64\"",
            "format = \"rv65\"",
            ["unknown format `rv65`", "did you mean"],
        ),
        (
            "top = \"classic_top\"",
            "",
            ["the file has no `top`", "the top module"],
        ),
        (
            "[modes]",
            "[mods]",
            ["unknown key `mods`", "did you mean `modes`?"],
        ),
        (
            "hit_may_fault = true",
            "hit_may_fault = 1",
            ["`hit_may_fault`", "true or false"],
        ),
        (
            "[modes]",
            "[modes]\nhpa_width = 60",
            ["`hpa_width` = 60 is out of range", "32 to 56"],
        ),
    ] {
        let copy = Copy::new().edit(TOML, from, to);
        copy.refused(&[words[0], words[1], "-->"]);
    }
}

#[test]
fn sources_that_verilator_refuses_are_shown_with_their_line() {
    let broken = Copy::new().edit("classic_mmu.sv", "S2_DONE: state <=", "S2_DONE: state");
    broken.refused(&[
        "Verilator on the sources of classic-mmu has failed",
        "classic_mmu.sv:",
    ]);
    let lost = Copy::new().edit(TOML, "\"classic_mmu.sv\", ", "\"lost.sv\", ");
    lost.refused(&["lost.sv"]);
    let other = Copy::new().edit(TOML, "top = \"classic_top\"", "top = \"classic\"");
    other.refused(&["classic", "not found"]);
}

#[test]
fn files_that_are_no_device_are_refused() {
    let copy = Copy::new();
    let run = |device: &Path| {
        let scenario = project("scenarios/sv39-kvm.toml");
        let ran = nestwalk(&["run", &scenario, "--device", device.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        ran.stderr
    };
    let text = copy.path("text.so");
    fs::write(&text, "no object").unwrap();
    assert!(run(&text).contains("cannot load the device"));
    assert!(run(&copy.path("lost.so")).contains("No such file"));
    assert!(run(&copy.path("lost.toml")).contains("build --new"));
}

/// A shared object whose interface has another version.
#[test]
fn an_object_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("other.c");
    let object = folder.path().join("other.so");
    fs::write(
        &source,
        "static const unsigned version[64] = {9999};\n\
         const void* nestwalk_dut_interface(void) { return version; }\n",
    )
    .unwrap();
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&object, &source])
        .status();
    assert!(compiled.unwrap().success());
    let scenario = project("scenarios/sv39-kvm.toml");
    let ran = nestwalk(&["run", &scenario, "--device", object.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("has version 9999 of the device interface, not"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_object_of_a_device_file_is_built_again_if_a_source_changes_and_not_otherwise() {
    let copy = Copy::new();
    let object = |copy: &Copy| {
        let file = copy.path(TOML);
        let ran = nestwalk(&["build", file.to_str().unwrap(), "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["object"].as_str().unwrap().to_owned()
    };
    let first = object(&copy);
    let made = fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(object(&copy), first);
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), made);
    let copy = copy.edit("classic_mmu.sv", "TLB_ENTRIES = 8", "TLB_ENTRIES = 4");
    assert_ne!(object(&copy), first);

    // The object explains itself, wherever it is.
    let to = copy.path("kept.so");
    let file = copy.path(TOML);
    let ran = nestwalk(&["build", file.to_str().unwrap(), "-o", to.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    drop(file);
    let device = foreign::device(to.to_str().unwrap()).unwrap().unwrap();
    assert_eq!(device.description().name, "classic-mmu");
    assert_eq!(device.description().visibility(), Visibility::Attributed);
}

/// The example with a function in C++, and one in C with a header, on the way of the response.
fn with_functions() -> Copy {
    let copy = Copy::new().edit(
        TOP,
        "assign rsp_trap_cause_o = response.cause;",
        "import \"DPI-C\" function int passed_by_c(input int value);\n  \
         import \"DPI-C\" function int passed_by_cpp(input int value);\n  \
         assign rsp_trap_cause_o = 6'(passed_by_cpp(passed_by_c(32'(response.cause))));",
    );
    let copy = copy.edit(
        TOML,
        "\"classic_top.sv\"]",
        "\"classic_top.sv\", \"passed.c\", \"passed.cpp\"]\ninclude = [\"include\"]",
    );
    fs::create_dir(copy.path("include")).unwrap();
    fs::write(copy.path("include/passed.h"), "enum { added = 0 };\n").unwrap();
    let c = "#include \"passed.h\"\n\
             int passed_by_c(int class) { return class + added; }\n";
    fs::write(copy.path("passed.c"), c).unwrap();
    let cpp = "#include \"svdpi.h\"\n#include <algorithm>\n\
               extern \"C\" int passed_by_cpp(int value) { return std::max(value, 0); }\n";
    fs::write(copy.path("passed.cpp"), cpp).unwrap();
    copy
}

#[test]
fn sources_in_c_and_cpp_are_compiled_and_the_object_is_built_again_if_a_header_changes() {
    let short = ["--count", "3000", "--no-shrink"];
    let copy = with_functions();
    let agrees = |copy: &Copy| {
        let ran = campaign(&copy.path(TOML), &copy.path("out"), &short);
        assert!(matches!(ran.code, 0 | 1), "{}{}", ran.stdout, ran.stderr);
        ran.code == 0
    };
    assert!(agrees(&copy));
    // The function is called: with another constant the cause is a wrong one.
    let copy = copy.edit("include/passed.h", "added = 0", "added = 1");
    assert!(!agrees(&copy));
    let copy = copy.edit("include/passed.h", "added = 1", "added = 0");
    assert!(agrees(&copy));
}

#[test]
fn sources_that_cannot_be_compiled_are_refused_with_what_would_be_right() {
    let broken = with_functions().edit("passed.c", "return class", "return clas");
    broken.refused(&["the compiler, on ", "passed.c", "clas"]);
    let headless = with_functions().edit("passed.c", "passed.h", "pased.h");
    headless.refused(&["the compiler, on ", "pased.h"]);
    let lost = with_functions().edit(TOML, "\"passed.cpp\"", "\"lost.cpp\"");
    lost.refused(&["lost.cpp", "No such file"]);
    let undefined = with_functions().edit(TOML, ", \"passed.cpp\"", "");
    undefined.refused(&["passed_by_cpp"]);
    let header = with_functions().edit(TOML, "\"passed.c\"", "\"include/passed.h\"");
    header.refused(&["is a header", "name the folder of headers in `include`"]);
    let object = with_functions().edit(TOML, "\"passed.c\"", "\"passed.o\"");
    object.refused(&["is compiled code", "expected sources"]);
}

/// The ports of a top module that `nestwalk build --new` writes.
fn template_ports() -> Vec<Port> {
    let text = template_top();
    let ports = text.lines().filter_map(|line| {
        let line = line.trim().trim_end_matches(',');
        let (side, rest) = line.split_once(" logic ")?;
        let is_input = match side.trim() {
            "input" => true,
            "output" => false,
            _ => return None,
        };
        let (range, name) = match rest.trim().split_once(']') {
            Some((range, name)) => (Some(range), name),
            None => (None, rest),
        };
        let high = range.and_then(|r| r.trim_start_matches('[').split(':').next()?.parse().ok());
        Some(Port {
            name: name.trim().to_owned(),
            is_input,
            width: high.map_or(1, |high: u32| high + 1),
        })
    });
    ports.collect()
}

#[test]
fn the_template_is_a_device_file_of_the_top_beside_it_and_shows_every_default() {
    let file = DeviceFile::parse(template(), "my_mmu.toml").unwrap();
    let ports = template_ports();
    assert!(ports.len() > 25);
    let full = file.resolve(&ports).unwrap();
    // Without any key that has a default it is the same device.
    let least = "name = \"my-mmu\"\ntop = \"my_mmu_top\"\nfiles = [\"my_mmu_top.sv\"]\n\
                 format = \"rv64\"\n";
    let least = DeviceFile::parse(least, "least.toml").unwrap();
    assert_eq!(least.resolve(&ports).unwrap(), full);

    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    let arguments = ["build", "--new", new.to_str().unwrap()];
    assert_eq!(nestwalk(&arguments).code, 0);
    assert_eq!(
        fs::read_to_string(new.join("my_mmu.toml")).unwrap(),
        template()
    );
    let built = nestwalk(&["build", new.join("my_mmu.toml").to_str().unwrap()]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    // Nothing is written over.
    let again = nestwalk(&arguments);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("the file exists"), "{}", again.stderr);
}

/// A device file for the project's own RTL, with all ports.
fn own(folder: &Path, parameters: &str) -> PathBuf {
    let path = folder.join("own.toml");
    let text = format!(
        "name = \"own\"\ntop = \"tb_top\"\nfiles = [{:?}, {:?}]\nassertions = false\n{parameters}",
        project("rtl/nested_mmu.f"),
        project("sim/tb_top.sv"),
    );
    fs::write(&path, text).unwrap();
    path
}

fn ran(dut: &mut Dut, scenario: &Scenario) -> String {
    dut.renew().unwrap();
    let mut recorder = Recorder::new(scenario);
    let stats = nestwalk::bench::run(dut, scenario, &mut recorder);
    let stats = stats.unwrap_or_else(|failed| panic!("{}", failed.failure));
    let requests: Vec<_> = (recorder.accesses.iter())
        .map(|request| (request.accepted, &request.answered, &request.replays))
        .collect();
    format!("{stats:?} {requests:?}")
}

#[test]
fn the_projects_rtl_takes_the_same_cycles_as_a_foreign_device() {
    let folder = tempfile::tempdir().unwrap();
    let file = own(
        folder.path(),
        "format = \"handout\"\n[parameters]\nFormat = 0\nTlbEntries = 16\nWalkSlots = 4\n\
         [tlb]\nentries = 16\nrecent = 5\nhit_may_fault = true\n[walks]\noutstanding = 4\n",
    );
    let foreign = foreign::device(file.to_str().unwrap()).unwrap().unwrap();
    let own = Variant::parse("handout").unwrap();
    assert_eq!(foreign.description().visibility(), Visibility::Steps);
    let mut duts = [own, foreign].map(|variant| Dut::new(variant, 1).unwrap());
    for number in 0..6 {
        let profile = Profile::ALL[0];
        let scenario =
            |variant| stimulus::scenario_toward(profile, 3, number, 500, &[], Some(variant));
        let [one, other] = &mut duts;
        assert_eq!(ran(one, &scenario(own)), ran(other, &scenario(foreign)));
    }
}

/// The commands of the blocks of a page that are marked `sh`, and of those that are marked
/// `sh exit=1`, which must end with that exit code.
fn commands(page: &str) -> String {
    let text = fs::read_to_string(project(page)).unwrap();
    let blocks = text.split("```sh").skip(1);
    let commands = blocks.map(|block| {
        let (mark, block) = block.split_once('\n').unwrap();
        let block = block.split("```").next().unwrap();
        match mark {
            "" => block.to_owned(),
            " exit=1" => (block.lines())
                .map(|line| format!("if {line}; then exit 9; else test $? -eq 1; fi\n"))
                .collect(),
            mark => panic!("sh{mark}"),
        }
    });
    commands.collect()
}

#[test]
fn the_commands_of_the_tutorial_work_as_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["examples", "tools"] {
        std::os::unix::fs::symlink(project(name), folder.path().join(name)).unwrap();
    }
    let commands = commands("docs/your-walker.md");
    assert!(commands.matches("nestwalk ").count() >= 6, "{commands}");
    // Links to the project are copied as what they lead to.
    let commands = commands.replace("cp -r examples buggy", "cp -rL examples buggy");
    let program = assert_cmd::cargo::cargo_bin("nestwalk");
    let script = format!("set -e\nnestwalk() {{ {program:?} \"$@\"; }}\n{commands}");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("device my-mmu: rv64") && text.contains("device classic-mmu: rv64"));
    assert!(
        text.contains("no mismatch") && text.contains("MISMATCH"),
        "{text}"
    );
}

/// Runs a campaign of the first seed on a device file, with further options.
fn campaign(device: &Path, out: &Path, options: &[&str]) -> Ran {
    let paths = [device, out].map(|path| path.to_str().unwrap());
    let fixed = ["fuzz", "--profile", "rv64", "--seed", "1"];
    let named = ["--device", paths[0], "-o", paths[1]];
    nestwalk(&[&fixed[..], &named, options].concat())
}

/// The options of a campaign that is long enough to find each planted bug.
const LONG: [&str; 4] = ["--count", "60000", "--jobs", "1"];

#[test]
fn the_example_mmu_agrees_with_the_golden_model() {
    let copy = Copy::new();
    let ran = campaign(&copy.path("classic_mmu.toml"), &copy.path("out"), &LONG);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("no mismatch"), "{}", ran.stdout);
}

#[test]
fn every_planted_bug_of_the_example_mmu_is_found_and_fails_again_by_its_file() {
    let folder = project("examples/classic_mmu/bugs");
    let mut bugs: Vec<PathBuf> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    bugs.sort();
    assert!(bugs.len() >= 10);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        while let Some(bug) = bugs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let name = bug.display();
            let copy = tempfile::tempdir().unwrap();
            let own = copy.path().join("examples/classic_mmu");
            fs::create_dir_all(&own).unwrap();
            for file in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
                let from = project(&format!("examples/classic_mmu/{file}"));
                fs::copy(from, own.join(file)).unwrap();
            }
            let planted = std::process::Command::new(project("tools/mutant.py"))
                .arg("plant")
                .args([bug, copy.path()])
                .status();
            assert!(planted.unwrap().success(), "{name}");
            let out = copy.path().join("out");
            let ran = campaign(&own.join("classic_mmu.toml"), &out, &LONG);
            assert_eq!(ran.code, 1, "{name}: {}{}", ran.stdout, ran.stderr);
            let bundle = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
            let scenario = bundle.join("scenario.toml");
            let again = nestwalk(&["run", scenario.to_str().unwrap()]);
            assert_eq!(again.code, 1, "{name}: {}{}", again.stdout, again.stderr);
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        other.join().unwrap();
    });
}

/// A copy of the example whose walk goes on when the guest's leaf does not permit the access, and
/// checks its permissions at the end. `first`: it reports the guest's fault also if the host's walk
/// ends with another.
fn with_late_checks(first: bool) -> Copy {
    let denied = "s1_on && !s1_allows(s1_flags, op_i, user_i, sum, virt_i ? vs_mxr : mxr)";
    let copy = Copy::new()
        .edit(
            "classic_mmu.sv",
            "is_misaligned(pte, s1_level)
                     || !s1_allows(pte[7:0], op_i, user_i, sum, virt_i ? vs_mxr : mxr)",
            "is_misaligned(pte, s1_level)",
        )
        .edit(
            "classic_mmu.sv",
            "FILL: begin",
            &format!(
                "FILL: if ({denied}) begin
        fault_cause <= page_cause(op_i); fault_htval <= '0; fault_htinst <= '0;
        state <= FAULT;
      end else begin"
            ),
        );
    match first {
        false => copy,
        true => copy.edit(
            "classic_mmu.sv",
            "S2_DONE: state <=",
            &format!(
                "LATE: begin
        if (g_data && {denied}) begin
          fault_cause <= page_cause(op_i); fault_htval <= '0; fault_htinst <= '0;
        end
        state <= FAULT;
      end
      S2_DONE: state <="
            ),
        ),
    }
}

#[test]
fn a_walk_that_checks_permissions_at_the_end_agrees_if_the_device_file_says_so() {
    let check = |first: bool, keys: &str| -> (i32, String) {
        let mut copy = with_late_checks(first);
        if first {
            copy = copy.rename("classic_mmu.sv", "S2_DONE,", "S2_DONE, LATE,");
            let text = fs::read_to_string(copy.path("classic_mmu.sv")).unwrap();
            let (head, host) = text.split_once("S2_START: begin").unwrap();
            let (host, tail) = host.split_once("LATE: begin").unwrap();
            let host = host.replace("FAULT", "LATE");
            let text = format!("{head}S2_START: begin{host}LATE: begin{tail}");
            fs::write(copy.path("classic_mmu.sv"), text).unwrap();
        }
        let copy = copy.edit(TOML, "[tlb]", &format!("{keys}\n[tlb]"));
        let ran = campaign(&copy.path(TOML), &copy.path("out"), &LONG);
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    };
    let at_end = "[walks]\npermissions = \"end\"";
    let any_order = format!("{at_end}\n[responses]\norder = \"any\"");
    // By default a read behind a fault is found.
    let (code, text) = check(true, "");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the end of the walk after"), "{text}");
    let (code, text) = check(true, at_end);
    assert_eq!(code, 0, "{text}");
    // The fault of the host's walk in place of the guest's.
    let (code, text) = check(false, at_end);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("response of a walk"), "{text}");
    let (code, text) = check(false, &any_order);
    assert_eq!(code, 0, "{text}");
}

/// Runs a campaign on the top that `build --new` writes, with this code in place of the MMU.
fn campaign_on(code: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    assert_eq!(nestwalk(&["build", "--new", new.to_str().unwrap()]).code, 0);
    let top = new.join("my_mmu_top.sv");
    let text = fs::read_to_string(&top).unwrap();
    assert!(text.contains("  // my_mmu u_mmu (...);\n"));
    fs::write(&top, text.replace("  // my_mmu u_mmu (...);\n", code)).unwrap();
    let short = ["--count", "500", "--no-shrink"];
    campaign(&new.join("my_mmu.toml"), &folder.path().join("out"), &short)
}

#[test]
fn a_device_that_never_answers_is_a_stall_or_a_hang() {
    let ran = campaign_on("");
    let says = match ran.code {
        1 => "a stall without a visible cause",
        3 => "HANG",
        code => panic!("{code}: {}{}", ran.stdout, ran.stderr),
    };
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
}

#[test]
fn a_device_that_ends_the_simulation_or_the_process_fails_and_the_report_is_whole() {
    let on_request = |what: &str| {
        let call = format!("  always @(posedge clk_i) if (req_valid_i) {what};\n");
        campaign_on(&format!(
            "  import \"DPI-C\" function void _exit(input int code);\n\
             {call}"
        ))
    };
    for (what, says) in [
        ("$finish", "$finish"),
        ("$fatal(1, \"lost\")", "lost"),
        ("_exit(0)", "the device called _exit"),
    ] {
        let ran = on_request(what);
        assert_eq!(ran.code, 1, "{what}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(says), "{what}: {}", ran.stdout);
        assert!(ran.stdout.contains("report.txt"), "{what}: {}", ran.stdout);
    }
}

#[test]
fn the_output_of_a_device_does_not_reach_the_standard_output() {
    let ran = campaign_on(
        "  import \"DPI-C\" function int puts(input string text);\n\
         always @(posedge clk_i) begin\n    $display(\"displayed\");\n    \
         void'(puts(\"put\"));\n  end\n",
    );
    assert!(matches!(ran.code, 1 | 3), "{}{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        !lines.contains(&"displayed") && !lines.contains(&"put"),
        "{}",
        ran.stdout
    );
}
