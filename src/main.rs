// SPDX-License-Identifier: Apache-2.0
//! The program: see [`nestwalk::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    nestwalk::cli::main()
}
