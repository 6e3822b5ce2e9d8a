// SPDX-License-Identifier: Apache-2.0
//! The RTL of the project's devices: the RTL that the program carries, or the RTL in the folder
//! that `NESTWALK_RTL` names.
//!
//! With such a folder every device of the project is built on first use from the RTL in it. So an
//! edit of the RTL can be tried without a new build of the program. The ports of `sim/tb_top.sv`
//! and the events must be those that the program was built for.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::fnv::fnv1a;
use crate::shown;

/// The variable that names the folder. The folder has `rtl/` and `sim/tb_top.sv`.
pub const VARIABLE: &str = "NESTWALK_RTL";

/// The RTL of a folder.
struct Other {
    /// Pairs of a path relative to the folder and the contents.
    files: Vec<(String, Vec<u8>)>,
    hash: String,
}

static OTHER: OnceLock<Other> = OnceLock::new();

/// The RTL in the folder that `NESTWALK_RTL` names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the RTL that {VARIABLE} names: {}: {source}\n  \
     Set {VARIABLE} to a folder that has rtl/ and sim/tb_top.sv, or unset it.",
    shown::path(path)
)]
pub struct RtlError {
    path: PathBuf,
    source: io::Error,
}

/// Reads the RTL of the folder that `NESTWALK_RTL` names, if it is set. The program calls it once,
/// before it makes a device.
///
/// # Errors
/// If the folder cannot be read.
pub fn use_environment() -> Result<(), RtlError> {
    let Some(folder) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    let files = read(Path::new(&folder))?;
    let bytes = files.iter().flat_map(|(path, contents)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.bytes().chain(contents.iter().copied())
    });
    let hash = fnv1a(bytes);
    if hash != env!("NESTWALK_RTL_HASH") {
        // The variable is read once.
        let _ = OTHER.set(Other { files, hash });
    }
    Ok(())
}

/// Reads `rtl/` and `sim/tb_top.sv` of a folder, in the order in which the build script hashes
/// them.
fn read(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, RtlError> {
    let cannot_read = |path: &Path| {
        let path = path.to_owned();
        move |source| RtlError { path, source }
    };
    let rtl = folder.join("rtl");
    let mut names = Vec::new();
    for entry in fs::read_dir(&rtl).map_err(cannot_read(&rtl))? {
        let name = entry.map_err(cannot_read(&rtl))?.file_name();
        names.push(format!("rtl/{}", name.to_string_lossy()));
    }
    names.sort();
    names.push("sim/tb_top.sv".to_owned());
    let contents = |name: String| {
        let path = folder.join(&name);
        let contents = fs::read(&path).map_err(cannot_read(&path))?;
        Ok((name, contents))
    };
    names.into_iter().map(contents).collect()
}

/// Returns the hash of the RTL in use: 16 hexadecimal digits.
pub fn hash() -> &'static str {
    OTHER
        .get()
        .map_or(env!("NESTWALK_RTL_HASH"), |other| &other.hash)
}

/// Returns the last commit that changed the RTL in use; none if it is not known.
pub fn commit() -> Option<&'static str> {
    let commit = env!("NESTWALK_RTL_COMMIT");
    (is_carried() && !commit.is_empty()).then_some(commit)
}

/// Returns true if the RTL in use is the one that the program carries.
pub fn is_carried() -> bool {
    OTHER.get().is_none()
}

/// Returns the files that take the place of those that the program carries.
pub(super) fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let files = OTHER.get().map(|other| other.files.iter());
    files
        .into_iter()
        .flatten()
        .map(|(path, contents)| (path.as_str(), contents.as_slice()))
}
