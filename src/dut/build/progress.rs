// SPDX-License-Identifier: Apache-2.0
//! Progress messages of a build.

use std::env;
use std::process::{Command, Stdio};

/// The environment variable with the number of an open file descriptor to which progress is
/// printed. A build script needs it because cargo hides the output of the script, but the script
/// inherits the open descriptors. The Makefile opens one.
const PROGRESS: &str = "NESTWALK_PROGRESS";

/// Returns the file descriptor of [`PROGRESS`], if the variable is set.
pub fn wanted() -> Option<String> {
    env::var(PROGRESS)
        .ok()
        .filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
}

/// Prints a line to the file descriptor of [`PROGRESS`], if the variable is set. Errors are
/// ignored, because a missing progress message must not fail the build.
pub fn print(line: &str) {
    let Some(descriptor) = wanted() else {
        return;
    };
    // On a terminal the message replaces the line of cargo's progress bar, which cargo then
    // redraws. The shell writes to the inherited descriptor. To open the file by its name instead
    // would overwrite the beginning of the file.
    const PRINT: &str =
        r#"if [ -t "$1" ]; then printf '\r\033[K' >&"$1"; fi; printf 'build: %s\n' "$2" >&"$1""#;
    let _ = Command::new("sh")
        .args(["-c", PRINT, "sh", &descriptor, line])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
