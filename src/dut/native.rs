// SPDX-License-Identifier: Apache-2.0
//! Compiles the C and C++ sources of a foreign device: functions that its RTL calls (DPI-C).
//!
//! The objects of these sources are linked into the shared object of the device. The contents of
//! all included files are part of the key of the device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::{BuildError, Compilers, fingerprint};

/// The source of Verilator's runtime for the functions of `svdpi.h`.
pub(super) const DPI_RUNTIME: &str = "verilated_dpi.cpp";

type Result<T> = std::result::Result<T, BuildError>;

/// The language of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    C,
    Cxx,
}

fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "c" => Some(Language::C),
        "cc" | "cpp" | "cxx" => Some(Language::Cxx),
        _ => None,
    }
}

/// Returns true if a path in the list of sources is a source in C or C++.
pub(super) fn is_native(path: &str) -> bool {
    language(Path::new(path)).is_some()
}

/// The native sources of a device.
#[derive(Debug)]
pub(super) struct NativeSources<'a> {
    /// The sources, with absolute paths.
    pub(super) sources: Vec<PathBuf>,
    /// Folders with include files, with absolute paths.
    pub(super) include: Vec<PathBuf>,
    /// The folder that has `sim/print.h`.
    pub(super) carried: &'a Path,
}

impl NativeSources<'_> {
    /// Returns the command that compiles a source, and a text that identifies the compiler.
    fn command(&self, source: &Path, compilers: &Compilers) -> Result<(Command, String)> {
        let (mut command, version) = match language(source) {
            Some(Language::C) => compilers.c_command()?,
            _ => (compilers.command(false, 3)?, compilers.identity.clone()),
        };
        let identity = format!("{version}\n{}", fingerprint(&command));
        command.current_dir(self.carried);
        for folder in &self.include {
            command.arg("-I").arg(folder);
        }
        Ok((command, identity))
    }

    /// Returns the files that the sources consist of, and texts that identify their compilers.
    ///
    /// # Errors
    /// If a compiler cannot read a source.
    pub(super) fn files(&self, compilers: &Compilers) -> Result<(Vec<PathBuf>, Vec<String>)> {
        let (mut files, mut identities) = (Vec::new(), Vec::new());
        for source in &self.sources {
            // Only the source itself is checked here. The compilation reports missing include
            // files.
            fs::metadata(source).map_err(BuildError::file(source))?;
            let (mut command, identity) = self.command(source, compilers)?;
            let output = run(command.args(["-MM", "-MG"]).arg(source), source)?;
            let rule = String::from_utf8_lossy(&output);
            let found = prerequisites(&rule).map(|file| self.carried.join(file));
            files.extend(found.filter(|file| !file.starts_with(self.carried) && file.is_file()));
            identities.push(identity);
        }
        files.sort();
        files.dedup();
        Ok((files, identities))
    }

    /// Compiles the sources. `generated`: the folder with the generated C++ of the model. Returns
    /// the paths of the objects, which are written to the folder `objects`.
    ///
    /// # Errors
    /// If a compiler reports an error in a source.
    pub(super) fn compile(
        &self,
        compilers: &Compilers,
        generated: &Path,
        objects: &Path,
    ) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(objects).map_err(BuildError::file(objects))?;
        let compile = |(number, source): (usize, &PathBuf)| {
            let object = objects.join(format!("native-{number}.o"));
            let (mut command, _) = self.command(source, compilers)?;
            command.arg("-I").arg(generated).arg("-c").arg(source);
            run(command.arg("-o").arg(&object), source)?;
            Ok(object)
        };
        self.sources.iter().enumerate().map(compile).collect()
    }
}

/// Runs a compiler, and returns its standard output.
fn run(command: &mut Command, source: &Path) -> Result<Vec<u8>> {
    let output = command.output().map_err(|source| BuildError::Start {
        tool: command.get_program().into(),
        source,
    })?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let what = format!("the compiler, on {},", source.display());
            Err(BuildError::failed(what, &output))
        }
    }
}

/// Returns the prerequisites of a make rule that a compiler has written, such as `a.o: a.c b\ c.h
/// \`.
fn prerequisites(rule: &str) -> impl Iterator<Item = String> {
    let files = rule.split_once(": ").map_or("", |(_, files)| files);
    let mut words = vec![String::new()];
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (character, next) {
            ('\\', Some('\n')) => {}
            ('\\', Some(' ' | '#')) | ('$', Some('$')) => {
                words.last_mut().expect("there is one").extend(next);
                characters.next();
            }
            (blank, _) if blank.is_whitespace() => words.push(String::new()),
            (character, _) => words.last_mut().expect("there is one").push(character),
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_rule_for_make_are_read_as_compilers_write_them() {
        let rule = "model.o: /a/model.c /a/my\\ words.h \\\n sim/print.h /b/$$x.h\n";
        let files: Vec<String> = prerequisites(rule).collect();
        assert_eq!(
            files,
            ["/a/model.c", "/a/my words.h", "sim/print.h", "/b/$x.h"]
        );
        assert_eq!(prerequisites("").count(), 0);
    }
}
