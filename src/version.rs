// SPDX-License-Identifier: Apache-2.0
//! The versions of the parts of the program. Reports state them.

use std::fmt;

use crate::dut::variants::Foreign;
use crate::dut::{foreign, rtl};
use serde::{Deserialize, Serialize};

/// Versions of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Version of the program.
    pub nestwalk: String,
    /// Hash of the RTL's sources, edited or not: 16 hexadecimal digits.
    pub rtl: String,
    /// The last commit that changed the RTL; none if the RTL was edited after it, or without a
    /// repository.
    pub rtl_commit: Option<String>,
    /// Version of the Verilator that compiled the RTL.
    pub verilator: String,
}

impl Versions {
    /// Returns the versions of this program, and of the RTL in use.
    pub fn of_this_build() -> Self {
        Self {
            nestwalk: env!("CARGO_PKG_VERSION").to_owned(),
            rtl: rtl::hash().to_owned(),
            rtl_commit: rtl::commit().map(str::to_owned),
            verilator: env!("NESTWALK_VERILATOR_VERSION").to_owned(),
        }
    }
}

impl Versions {
    /// The versions of this program with a foreign device, whose sources have a hash of their own.
    pub fn with_device(foreign: Option<Foreign>) -> Self {
        let own = Self::of_this_build();
        match foreign.and_then(foreign::sources) {
            Some(sources) => Self {
                rtl: sources.to_owned(),
                rtl_commit: None,
                ..own
            },
            None => own,
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nestwalk {}, RTL {}", self.nestwalk, self.rtl)?;
        match &self.rtl_commit {
            Some(commit) => write!(f, " of commit {commit}")?,
            None => write!(f, " of no commit")?,
        }
        write!(f, ", Verilator {}", self.verilator)
    }
}
