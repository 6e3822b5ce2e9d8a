// SPDX-License-Identifier: Apache-2.0
//! Reads a scenario from a file. `docs/scenarios.md` describes the format.
//!
//! Tables and mappings of the file become words and root registers here, and a change of a mapping
//! becomes the words that change. [`crate::tables`] does this, in the order of the file.

pub(crate) mod error;
mod expect;
mod formats;
mod handout;
mod head;
mod layout;
mod limits;
mod ops;
pub(crate) mod reader;
mod riscv;

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::Scenario;
use crate::dut::foreign;
use crate::input;
use crate::shown;
use error::{Lines, Problem, Result};
use layout::Layout;
use reader::Table;

pub use error::ParseError;

/// The reason why a scenario file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(
        "cannot read {}: {source}\n  Name a scenario file; docs/scenarios.md describes the format.",
        shown::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not text.
    #[error(
        "{} is not UTF-8 text, from byte {at} of line {line} on: is it a scenario file?",
        shown::path(path)
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is not text, from 1.
        line: usize,
        /// The number of the byte within that line, from 1.
        at: usize,
    },
    /// The file is not a scenario.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Reads the scenario file at `path`.
///
/// # Errors
/// [`LoadError`] names the file and, if the error is in the text, the line.
pub fn load(path: &Path) -> std::result::Result<Scenario, LoadError> {
    let bytes = input::read(path, input::MOST_SCENARIO).map_err(|source| LoadError::Read {
        path: path.into(),
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |i| i + 1);
        LoadError::NotText {
            path: path.into(),
            line: before.iter().filter(|&&b| b == b'\n').count() + 1,
            at: before.len() - line_start + 1,
        }
    })?;
    let mut scenario = parse(&text, &path.to_string_lossy())?;
    if let Some(foreign) = scenario.machine.foreign {
        let folder = path.parent().unwrap_or(Path::new(""));
        scenario.machine.foreign = Some(foreign::absolute(&folder.join(foreign.path())));
    }
    Ok(scenario)
}

/// Reads the scenario in `text`. Errors call it `name`.
///
/// # Errors
/// [`ParseError`] for the first error in the text.
pub fn parse(text: &str, name: &str) -> std::result::Result<Scenario, ParseError> {
    read(text).map_err(|problem| ParseError::new(*problem, text, name))
}

fn read(text: &str) -> Result<Scenario> {
    let lines = Lines::new(text);
    let document = DeTable::parse(text).map_err(|error| Problem::syntax(&error, text))?;
    let file = Table::document(document.get_ref());
    file.only(&[
        "title", "machine", "memory", "requests", "host", "guest", "context", "op",
    ])?;
    let title = file.require("title", "one line that describes the scenario")?;
    let title = title
        .string("one line that describes the scenario")?
        .to_owned();
    let machine = head::machine(&file)?;
    let memory = head::Memory::read(&file, machine.format)?;
    let mut timing = memory.timing.clone();
    let one_at_a_time = head::requests(&file, &mut timing)?;

    let mut layout = Layout::new(machine.format, &memory, &lines)?;
    let rules = formats::of(machine.format);
    rules.lay_hosts(&mut layout, &file)?;
    rules.lay_guests(&mut layout, &file)?;
    let contexts = rules.contexts(&file, &machine, &layout)?;
    let (contexts, by_registers): (Vec<_>, Vec<_>) = contexts.into_iter().unzip();
    let at_start = layout.take_memory();

    let ops = ops::Lowering::new(
        &lines,
        machine,
        &contexts,
        &by_registers,
        layout,
        &timing,
        one_at_a_time,
    )
    .lower(&file)?;
    Ok(Scenario {
        title,
        machine,
        memory: at_start,
        holes: memory.holes,
        timing,
        contexts,
        ops,
    })
}
