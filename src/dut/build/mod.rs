// SPDX-License-Identifier: Apache-2.0
//! Compiles devices: Verilator translates the RTL into C++, and a C++ compiler compiles the C++
//! into objects.
//!
//! The build script uses this module to compile the devices that are linked into the program. The
//! program uses it to compile each other device into a shared object on first use
//! (`super::library`). Because the module is part of both, it uses nothing but `std`, `cc`, the
//! table of devices (`variants`) and the hash function of the crate.

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

/// The result of a function of this module.
pub type Result<T> = std::result::Result<T, BuildError>;

/// The environment variable with the path of the Verilator to use.
pub const VERILATOR: &str = "NESTWALK_VERILATOR";

/// Sources of Verilator's runtime that models need.
pub const RUNTIME: &[&str] = &[
    "verilated.cpp",
    "verilated_threads.cpp",
    "verilated_fst_c.cpp",
];

/// The further source of Verilator's runtime that models with code coverage need.
pub const COVERAGE_RUNTIME: &str = "verilated_cov.cpp";
