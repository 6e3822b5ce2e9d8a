// SPDX-License-Identifier: Apache-2.0
//! The outputs of a command: every option that names a file or a folder is handled here.
//!
//! An output is claimed before long work begins, and tested by a write into its folder. A file is
//! created atomically: a draft next to it replaces it. Symbolic links are followed, and a file
//! keeps its mode. A device, a FIFO or a terminal is written into and never replaced. An input of
//! the same command is never an output, and no two outputs are the same file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use tempfile::TempPath;

use crate::shown;

/// Time that a write waits for a process to open a FIFO for reading.
const FIFO_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that test whether a folder accepts a file.
const TRIAL: [u8; 4096] = [b'\n'; 4096];
/// Links that are followed from one name.
const MOST_LINKS: u32 = 40;

/// The reason why an output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The output cannot be written.
    #[error(
        "cannot write {}: {source}\n  Name a folder that exists or can be created, and that you \
         may write to.",
        shown::path(path)
    )]
    Write {
        /// The output, as it was given.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The output is an input of the same command.
    #[error(
        "{output} is {}, which this command reads as {input}\n  Name another file to write to.",
        shown::path(path)
    )]
    Input {
        /// The option that names the output.
        output: String,
        /// The output, as it was given.
        path: PathBuf,
        /// The option or argument that names the input.
        input: String,
    },
    /// Two outputs are one file.
    #[error(
        "{first} and {second} are the same file, {}\n  Name another file for one of the two.",
        shown::path(path)
    )]
    Same {
        /// The option that names the first output.
        first: String,
        /// The option that names the second output.
        second: String,
        /// The path of the second output, as it was given.
        path: PathBuf,
    },
    /// No process reads a FIFO.
    #[error(
        "cannot write {}: no process has opened this FIFO for reading within {} s",
        shown::path(path),
        FIFO_PATIENCE.as_secs()
    )]
    NoReader {
        /// The FIFO, as it was given.
        path: PathBuf,
    },
}

/// Makes the error of a failed write to a place.
pub fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> OutputError + use<> {
    let path = path.to_owned();
    move |source| OutputError::Write { path, source }
}

/// The identity of a file: device and inode; for a file that does not exist yet, its path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    There(u64, u64),
    Missing(PathBuf),
}

#[derive(Debug)]
struct Named {
    what: String,
    is: Identity,
    /// The open file of an output that exists. While it is open, no other file can get its inode.
    _open: Option<File>,
}

/// The inputs and outputs of one command.
#[derive(Debug, Default)]
pub struct Outputs {
    inputs: Vec<Named>,
    outputs: Vec<Named>,
}

/// A file that a command will write.
#[derive(Debug)]
pub struct FileOutput {
    named: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A regular file, or a path where no file exists yet: a draft replaces it.
    Place(PathBuf),
    /// A regular file in a folder that accepts no new files.
    InPlace(PathBuf),
    /// An existing file that is not regular, opened.
    Stream(File),
    /// A FIFO that no process reads yet.
    Fifo(PathBuf),
    /// The standard output of this program.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// A folder that a command will write into.
#[derive(Clone, Debug)]
pub struct FolderOutput {
    named: PathBuf,
    target: PathBuf,
}

/// A file that is being written, and has not replaced its target yet.
#[derive(Debug)]
pub struct Draft {
    /// The path of the draft.
    path: TempPath,
}

impl Draft {
    /// Returns the path of the draft.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Follows all links of a path. The last part, or several, need not exist.
fn resolve(path: &Path, links: u32) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let is_here = path == Path::new("") || path == Path::new(".");
    let (Some(name), false) = (path.file_name(), is_here) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let parent = folder_of(path);
    if let Ok(target) = fs::read_link(path) {
        if links == 0 {
            return Err(io::Error::other("too many symbolic links"));
        }
        return resolve(&parent.join(target), links - 1);
    }
    Ok(resolve(parent, links)?.join(name))
}

/// Returns the folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Returns the nearest existing folder of a path, which may be the path itself.
fn there(path: &Path) -> io::Result<&Path> {
    let mut there = path;
    loop {
        match fs::metadata(there) {
            Ok(_) => return Ok(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        there = match there.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
    }
}

/// Writes some bytes into a nameless file in the folder, or in its nearest parent that exists.
fn try_folder(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(there(folder)?)?.write_all(&TRIAL)
}

fn identity_of(metadata: &fs::Metadata) -> Identity {
    Identity::There(metadata.dev(), metadata.ino())
}

/// Returns true if the standard stream is this file.
fn is_stream(stream: rustix::fd::BorrowedFd<'_>, metadata: &fs::Metadata) -> bool {
    rustix::fs::fstat(stream)
        .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (metadata.dev(), metadata.ino()))
}

/// Returns true if a path names an open stream, and not a file of a folder.
fn names_a_stream(path: &Path) -> bool {
    let streams = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];
    streams.iter().any(|stream| path.starts_with(stream))
}

impl Outputs {
    /// Returns the outputs of a command with these inputs: the name and the path of each.
    pub fn of(inputs: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut outputs = Self::default();
        for (what, path) in inputs {
            // A missing input is an error of the code that reads it.
            if let Ok(metadata) = fs::metadata(&path)
                && metadata.is_file()
            {
                let is = identity_of(&metadata);
                outputs.inputs.push(Named {
                    what,
                    is,
                    _open: None,
                });
            }
        }
        outputs
    }

    /// Checks that standard output is not redirected into an input of this command.
    ///
    /// # Errors
    /// [`OutputError::Input`].
    pub fn claim_stdout(&self) -> Result<(), OutputError> {
        let Ok(stat) = rustix::fs::fstat(rustix::stdio::stdout()) else {
            return Ok(());
        };
        let is = Identity::There(stat.st_dev, stat.st_ino);
        match self.inputs.iter().find(|input| input.is == is) {
            None => Ok(()),
            Some(input) => Err(OutputError::Input {
                output: "standard output".to_owned(),
                path: PathBuf::from("/dev/stdout"),
                input: input.what.clone(),
            }),
        }
    }

    fn claim(
        &mut self,
        what: &str,
        path: &Path,
        is: Identity,
        open: Option<File>,
    ) -> Result<(), OutputError> {
        if let Some(input) = self.inputs.iter().find(|input| input.is == is) {
            return Err(OutputError::Input {
                output: what.to_owned(),
                path: path.to_owned(),
                input: input.what.clone(),
            });
        }
        if let Some(other) = self.outputs.iter().find(|other| other.is == is) {
            return Err(OutputError::Same {
                first: other.what.clone(),
                second: what.to_owned(),
                path: path.to_owned(),
            });
        }
        self.outputs.push(Named {
            what: what.to_owned(),
            is,
            _open: open,
        });
        Ok(())
    }

    /// Claims a file that `what` names, and tries its place.
    ///
    /// # Errors
    /// If it cannot be written, or is an input or another output.
    pub fn file(&mut self, what: &str, path: &Path) -> Result<FileOutput, OutputError> {
        let write = |source| OutputError::Write {
            path: path.to_owned(),
            source,
        };
        let to = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(write(io::ErrorKind::IsADirectory.into()));
            }
            Ok(metadata) => {
                let by_name = !names_a_stream(path);
                let stdout = is_stream(rustix::stdio::stdout(), &metadata);
                let stderr = is_stream(rustix::stdio::stderr(), &metadata);
                if metadata.is_file() && by_name && (stdout || stderr) {
                    return Err(OutputError::Same {
                        first: if stdout {
                            "standard output"
                        } else {
                            "standard error"
                        }
                        .to_owned(),
                        second: what.to_owned(),
                        path: path.to_owned(),
                    });
                }
                match metadata.is_file() {
                    true if !by_name && stdout => To::Stdout,
                    true if !by_name && stderr => To::Stderr,
                    true => self.there(what, path)?,
                    false => {
                        // A character device accepts any number of writers.
                        if !metadata.file_type().is_char_device() {
                            self.claim(what, path, identity_of(&metadata), None)?;
                        }
                        match (by_name, stdout, stderr) {
                            (false, true, _) => To::Stdout,
                            (false, _, true) => To::Stderr,
                            _ => open_stream(path).map_err(write)?,
                        }
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.missing(what, path)?,
            Err(error) => return Err(write(error)),
        };
        Ok(FileOutput {
            named: path.to_owned(),
            to,
        })
    }

    /// Claims a regular file that exists.
    fn there(&mut self, what: &str, path: &Path) -> Result<To, OutputError> {
        // A user who may not write the file may not replace it.
        let open = match OpenOptions::new().write(true).open(path) {
            // Another process has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.missing(what, path);
            }
            open => open.map_err(cannot_write(path))?,
        };
        let is = identity_of(&open.metadata().map_err(cannot_write(path))?);
        self.claim(what, path, is, Some(open))?;
        match regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.missing(what, path),
            to => to.map_err(cannot_write(path)),
        }
    }

    /// Claims a file that does not exist.
    fn missing(&mut self, what: &str, path: &Path) -> Result<To, OutputError> {
        let target = resolve(path, MOST_LINKS).map_err(cannot_write(path))?;
        self.claim(what, path, Identity::Missing(target.clone()), None)?;
        try_folder(folder_of(&target)).map_err(cannot_write(path))?;
        Ok(To::Place(target))
    }

    /// Claims a file, if one was requested.
    ///
    /// # Errors
    /// As [`Outputs::file`].
    pub fn file_if(
        &mut self,
        what: &str,
        path: Option<&PathBuf>,
    ) -> Result<Option<FileOutput>, OutputError> {
        path.map(|path| self.file(what, path)).transpose()
    }

    /// Claims a folder, which need not exist, and tests it.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn folder(&mut self, path: &Path) -> Result<FolderOutput, OutputError> {
        let target = resolve(path, MOST_LINKS).map_err(cannot_write(path))?;
        match fs::metadata(&target) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(cannot_write(path)(io::ErrorKind::NotADirectory.into()));
            }
            _ => {}
        }
        try_folder(&target).map_err(cannot_write(path))?;
        Ok(FolderOutput {
            named: path.to_owned(),
            target,
        })
    }

    /// Claims a file of a folder.
    ///
    /// # Errors
    /// As [`Outputs::file`].
    pub fn file_in(
        &mut self,
        what: &str,
        folder: &FolderOutput,
        name: &str,
    ) -> Result<FileOutput, OutputError> {
        let file = self.file(&format!("{name} of {what}"), &folder.target.join(name))?;
        Ok(FileOutput {
            named: folder.named.join(name),
            ..file
        })
    }
}

/// Decides how a regular file that exists is written.
fn regular(path: &Path) -> io::Result<To> {
    let target = match fs::canonicalize(path) {
        // An open stream may have no path that leads to it.
        Err(_) if names_a_stream(path) => return Ok(To::InPlace(path.to_owned())),
        target => target?,
    };
    match try_folder(folder_of(&target)) {
        Ok(()) => Ok(To::Place(target)),
        Err(error) if is_closed(&error) => Ok(To::InPlace(target)),
        Err(error) => Err(error),
    }
}

/// Returns true if a folder refuses new files. Existing files may still be writable.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// Opens a file that is not regular.
fn open_stream(path: &Path) -> io::Result<To> {
    // Not blocking: a FIFO without a reader would block forever.
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path);
    match opened {
        Ok(file) => {
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
            Ok(To::Stream(file))
        }
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
                && fs::metadata(path)?.file_type().is_fifo() =>
        {
            Ok(To::Fifo(path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Opens a FIFO, and waits for a process that reads it; none if there is no such process.
fn open_fifo(path: &Path) -> io::Result<Option<File>> {
    let begun = Instant::now();
    loop {
        match open_stream(path)? {
            To::Stream(file) => return Ok(Some(file)),
            _ if begun.elapsed() > FIFO_PATIENCE => return Ok(None),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl FileOutput {
    /// Returns the path as it was given.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// Writes the file atomically, and creates missing folders. A file that is not regular receives
    /// as many bytes as it accepts.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, content: &[u8]) -> Result<(), OutputError> {
        let write = cannot_write(&self.named);
        match &self.to {
            To::Place(_) => {
                let draft = self.draft()?;
                fs::write(draft.path(), content).map_err(cannot_write(&self.named))?;
                self.finish(draft)
            }
            To::InPlace(target) => in_place(target, content).map_err(write),
            To::Stream(file) => { file }.write_all(content).map_err(write),
            To::Fifo(path) => match open_fifo(path) {
                Ok(Some(mut file)) => file.write_all(content).map_err(write),
                Ok(None) => Err(OutputError::NoReader {
                    path: self.named.clone(),
                }),
                Err(error) => Err(write(error)),
            },
            To::Stdout => to_stream(&mut io::stdout().lock(), content).map_err(write),
            To::Stderr => to_stream(&mut io::stderr().lock(), content).map_err(write),
        }
    }

    /// Returns a draft, for a writer that needs a path.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn draft(&self) -> Result<Draft, OutputError> {
        let make = || -> io::Result<TempPath> {
            let folder = match &self.to {
                To::Place(target) => {
                    let folder = folder_of(target);
                    fs::create_dir_all(folder)?;
                    folder.to_owned()
                }
                _ => std::env::temp_dir(),
            };
            let draft = tempfile::Builder::new()
                .prefix(".draft")
                .permissions(fs::Permissions::from_mode(0o666))
                .tempfile_in(folder)?;
            Ok(draft.into_temp_path())
        };
        let path = make().map_err(cannot_write(&self.named))?;
        Ok(Draft { path })
    }

    /// Moves a draft to its target.
    ///
    /// # Errors
    /// If it cannot be moved. Then the draft is removed.
    pub fn finish(&self, draft: Draft) -> Result<(), OutputError> {
        let To::Place(target) = &self.to else {
            let mut content = Vec::new();
            File::open(draft.path())
                .and_then(|mut file| file.read_to_end(&mut content))
                .map_err(cannot_write(&self.named))?;
            return self.write(&content);
        };
        put(draft.path, target).map_err(cannot_write(&self.named))
    }
}

/// Replaces a file by a draft, which gets the mode of the file.
fn put(draft: TempPath, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(there) if there.is_file() => fs::set_permissions(&draft, there.permissions())?,
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // It was a regular file, or missing, when it was claimed.
        Ok(_) => return Err(io::Error::other("it is not a regular file any more")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    draft.persist(target).map_err(|error| error.error)
}

fn in_place(target: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(target)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
}

fn to_stream(stream: &mut impl Write, content: &[u8]) -> io::Result<()> {
    stream.write_all(content)?;
    stream.flush()
}

impl FolderOutput {
    /// Returns the path as it was given.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// Returns the folder, with all links followed.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the folder, if it does not exist.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(&self) -> Result<(), OutputError> {
        fs::create_dir_all(&self.target).map_err(cannot_write(&self.named))
    }
}
