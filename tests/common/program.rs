// SPDX-License-Identifier: Apache-2.0
//! The program, run as a user runs it.

use std::ffi::OsStr;

use assert_cmd::cargo::cargo_bin_cmd;

/// The result of a run of the program.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Returns the JSON on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

/// Runs `nestwalk`. It must not panic for any arguments.
pub fn nestwalk(arguments: &[impl AsRef<OsStr>]) -> Ran {
    let output = cargo_bin_cmd!("nestwalk").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}
