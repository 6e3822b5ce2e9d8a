// SPDX-License-Identifier: Apache-2.0
//! Errors of the compilation of a device.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The reason why a device cannot be compiled.
#[derive(Debug)]
pub enum BuildError {
    /// There is no usable Verilator. The field is the output of `tools/find-verilator.sh`.
    NoVerilator(String),
    /// The C++ compiler cannot be found or identified.
    NoCompiler(String),
    /// A tool cannot be started.
    Start {
        /// The tool.
        tool: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A tool has failed.
    Failed {
        /// The task of the tool, as a noun phrase: `Verilator on the RTL`.
        what: String,
        /// The output of the tool.
        output: String,
    },
    /// A file or a folder cannot be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// An environment variable has an illegal value.
    Variable {
        /// The variable.
        name: &'static str,
        /// The value of the variable.
        value: String,
        /// The legal values.
        legal: String,
    },
}

impl BuildError {
    /// Returns the error of a tool that has ended with a failure, with its output.
    pub fn failed(what: impl Into<String>, output: &Output) -> Self {
        let printed = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        Self::Failed {
            what: what.into(),
            output: format!("{}{}", printed[0], printed[1]).trim().to_owned(),
        }
    }

    /// Returns a function that converts an I/O error of a file or folder.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVerilator(text) => write!(
                f,
                "no usable Verilator. {text}\n  Run `make setup`, which installs one inside the \
                 project, or set NESTWALK_VERILATOR to the program."
            ),
            Self::NoCompiler(text) => write!(
                f,
                "no usable C++ compiler. {text}\n  Set CXX to a compiler of C++20."
            ),
            Self::Start { tool, source } => write!(f, "cannot run {}: {source}", tool.display()),
            Self::Failed { what, output } => write!(f, "{what} has failed:\n{output}"),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Variable { name, value, legal } => {
                write!(f, "{name} is {value:?}, but must be {legal}")
            }
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}
