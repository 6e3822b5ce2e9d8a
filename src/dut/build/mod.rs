// SPDX-License-Identifier: Apache-2.0
//! Compiles devices: Verilator makes C++ of the RTL, and a C++ compiler makes objects of that.
//!
//! The build script compiles the devices of the program with this module. The program compiles the
//! others with it on first use (`super::library`), each into a shared object. The module is part of
//! both, so it uses `std`, `cc`, the table of devices beside it and the hash of the crate.

pub mod compiler;
mod error;
mod progress;
pub mod units;
mod verilator;

pub use compiler::{Compilers, Linkage, Options, fingerprint};
pub use error::BuildError;
pub use progress::{print as print_progress, wanted as progress_wanted};
pub use units::{Kind, Model, Part, Unit, compile_all, write_if_changed};
pub use verilator::{Sources, Verilator};

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, BuildError>;

/// The variable that names the Verilator to use.
pub const VERILATOR: &str = "NESTWALK_VERILATOR";

/// Sources of Verilator's runtime that models need.
pub const RUNTIME: &[&str] = &[
    "verilated.cpp",
    "verilated_threads.cpp",
    "verilated_fst_c.cpp",
];

/// The source that models with code coverage need as well.
pub const COVERAGE_RUNTIME: &str = "verilated_cov.cpp";
