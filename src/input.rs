// SPDX-License-Identifier: Apache-2.0
//! Reading of whole files, with a limit on their size. An input may have no end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// The most bytes of a scenario file.
pub const MOST_SCENARIO: u64 = 16 * MIB;
/// The most bytes of a results file: some five million scenarios of a shard.
pub const MOST_RESULTS: u64 = 128 * MIB;
/// The most bytes of a functional coverage file.
pub const MOST_COVERAGE: u64 = 32 * MIB;
/// The most bytes of a file of Verilator's code coverage.
pub const MOST_CODE_COVERAGE: u64 = 64 * MIB;
/// The most bytes of a source of the RTL, a waiver file or a file of reference figures.
pub const MOST_SMALL: u64 = 4 * MIB;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, or has more bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!(
                "the file has more than {} MiB, the most that the program reads",
                most / MIB
            ),
        )),
        false => Ok(bytes),
    }
}

/// Reads a text file of at most `most` bytes.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_read_up_to_the_limit() {
        let error = read(Path::new("/dev/zero"), MIB).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let error = read_text(Path::new("/dev/zero"), 2 * MIB).unwrap_err();
        assert!(error.to_string().contains("more than 2 MiB"), "{error}");
    }

    #[test]
    fn a_file_of_as_many_bytes_as_the_limit_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345678").unwrap();
        assert_eq!(read_text(file.path(), 8).unwrap(), "12345678");
        assert!(read_text(file.path(), 7).is_err());
    }
}
