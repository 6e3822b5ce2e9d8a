// SPDX-License-Identifier: Apache-2.0
//! Lines of progress for whoever waits for a compiler.

use std::env;
use std::process::{Command, Stdio};

/// The number of an open file descriptor, on which progress is printed. cargo hides the output of a
/// build script until the script has failed, but hands on the descriptors that it has inherited.
/// The Makefile opens one.
const PROGRESS: &str = "NESTWALK_PROGRESS";

/// The descriptor of [`PROGRESS`], if there is one.
pub fn wanted() -> Option<String> {
    env::var(PROGRESS)
        .ok()
        .filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
}

/// Prints a line on the descriptor of [`PROGRESS`], if there is one. A descriptor that is closed is
/// no reason to fail.
pub fn print(line: &str) {
    let Some(descriptor) = wanted() else {
        return;
    };
    // On a terminal the line is that of cargo's bar, which cargo draws again. The shell takes the
    // descriptor as it is: to open it by name would write over the beginning of a file.
    const PRINT: &str =
        r#"if [ -t "$1" ]; then printf '\r\033[K' >&"$1"; fi; printf 'build: %s\n' "$2" >&"$1""#;
    let _ = Command::new("sh")
        .args(["-c", PRINT, "sh", &descriptor, line])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
