// SPDX-License-Identifier: Apache-2.0
//! The planted bugs of `tests/mutants`, and `tools/mutant.py`, which plants them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The RTL that the mutants of these tests edit.
const RTL: &str = "\
module m (input logic a_i, output logic b_o);
  // The first is a comment: b_o = a_i
  function automatic logic twice(logic a);
    return a && a;
  endfunction

  always_comb begin : p_first
    b_o = twice(a_i);
    if (a_i) begin
      b_o = 1'b0;
    end
  end

  always_comb begin : p_second
    c_o = 1'b0;
  end
endmodule
";

/// Runs `tools/mutant.py`.
fn mutant(arguments: &[&str]) -> Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/mutant.py"))
        .args(arguments)
        .output()
        .expect("tools/mutant.py runs: Python 3.11 or newer is needed")
}

/// Plants a mutant of the given edits into [`RTL`]: the edited text, or the message of the error.
fn planted(edits: &str) -> Result<String, String> {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rtl")).unwrap();
    let rtl = folder.path().join("rtl/m.sv");
    fs::write(&rtl, RTL).unwrap();
    let file = folder.path().join("bug.toml");
    fs::write(&file, format!("about = \"A bug.\"\n{edits}")).unwrap();
    let output = mutant(&[
        "plant",
        file.to_str().unwrap(),
        folder.path().to_str().unwrap(),
    ]);
    let text = fs::read_to_string(&rtl).unwrap();
    if output.status.success() {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        Ok(text)
    } else {
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            text, RTL,
            "a mutant that does not apply must change nothing"
        );
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Returns an edit of [`RTL`].
fn edit(within: &str, replace: &str, by: &str) -> String {
    format!("[[edit]]\nfile = \"rtl/m.sv\"\n{within}\nreplace = \"{replace}\"\nby = \"{by}\"\n")
}

#[test]
fn every_mutant_applies_to_the_rtl() {
    let output = mutant(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name() != "survivors.toml")
        .count();
    assert!(files > 100);
    assert_eq!(said, format!("{files} of {files} mutants apply\n"));
}

#[test]
fn white_space_and_comments_do_not_count() {
    let text = planted(&edit("", "b_o=twice( a_i )  ; // gone", "b_o = a_i;")).unwrap();
    assert_eq!(text, RTL.replace("b_o = twice(a_i);", "b_o = a_i;"));
}

#[test]
fn lines_of_a_replacement_are_indented_like_its_first() {
    let text = planted(&edit("", "b_o = twice(a_i);", "b_o = a_i;\\nc_o = a_i;")).unwrap();
    let expected = RTL.replace("b_o = twice(a_i);", "b_o = a_i;\n    c_o = a_i;");
    assert_eq!(text, expected);
}

#[test]
fn a_part_of_the_file_tells_equal_texts_apart() {
    let ambiguous = planted(&edit("", "= 1'b0;", "= 1'b1;")).unwrap_err();
    assert!(
        ambiguous.contains("has this text 2 times, in lines 10, 15"),
        "{ambiguous}"
    );
    let text = planted(&edit("within = \"p_second\"", "= 1'b0;", "= 1'b1;")).unwrap();
    assert_eq!(text, RTL.replace("c_o = 1'b0", "c_o = 1'b1"));
}

#[test]
fn a_text_that_is_missing_or_elsewhere_is_refused() {
    let missing = planted(&edit("", "b_o = a_i;", "b_o = 1'b0;")).unwrap_err();
    assert!(
        missing.contains("rtl/m.sv has no text\n    b_o = a_i;"),
        "{missing}"
    );
    let elsewhere = edit("within = \"p_second\"", "return a && a;", "return a;");
    let elsewhere = planted(&elsewhere).unwrap_err();
    assert!(
        elsewhere.contains("p_second of rtl/m.sv has no text"),
        "{elsewhere}"
    );
}

#[test]
fn a_part_that_is_missing_is_refused() {
    let error = planted(&edit("within = \"p_third\"", "a_i", "b_o")).unwrap_err();
    assert!(
        error.contains("rtl/m.sv has no part of the name 'p_third'"),
        "{error}"
    );
}

#[test]
fn edits_that_overlap_or_change_nothing_are_refused() {
    let first = edit("", "return a && a;", "return a;");
    let second = edit("within = \"twice\"", "&& a", "|| a");
    let error = planted(&(first + &second)).unwrap_err();
    assert!(
        error.contains("two edits of rtl/m.sv overlap in line 4"),
        "{error}"
    );
    let error = planted(&edit("", "return a && a;", "return a  && a;")).unwrap_err();
    assert!(error.contains("does not change rtl/m.sv"), "{error}");
}

#[test]
fn a_file_that_is_no_mutant_is_refused() {
    for (text, what) in [
        ("", "one [[edit]] or more"),
        ("formats = \"rv64\"\n[[edit]]", "formats is 'rv64'"),
        ("[[edit]]\nfile = \"rtl/m.sv\"\nby = \"\"", "replace"),
        ("abuot = \"A bug.\"", "'abuot'"),
        ("[[edit]", "Expected"),
    ] {
        let error = planted(text).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
    }
}
