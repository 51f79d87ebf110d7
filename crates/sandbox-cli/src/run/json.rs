//! The result of a run, or why there was none, as one JSON object on one line.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use sandbox::RunResult;
use serde::Serialize;

use super::branch_report::BranchReport;
use crate::error::CliError;
use crate::output;

/// The name of standard error, and what `--json` without a name means.
pub(crate) const STDERR: &str = "-";

/// Where it goes. A file is opened before the run, so that one that cannot be written stops it.
#[derive(Debug)]
pub(crate) enum JsonTo {
    Stderr,
    File { path: PathBuf, file: ResultFile },
}

/// A file that is opened now and written later, and the directory it lies in, which may be the command's to write.
#[derive(Debug)]
pub(crate) struct ResultFile {
    directory: OwnedFd,
    name: OsString,
    file: File,
}

/// Where `--json` sends it, of a command line that cannot be read as a whole. Without `--` a later word may be one
/// of the command's, and no file of that name is touched.
pub(crate) fn named_in(args: &[OsString]) -> Option<PathBuf> {
    let end = args.iter().position(|word| word == "--");
    let flags = args.get(..end.unwrap_or(args.len())).unwrap_or_default();
    let mut named =
        flags
            .iter()
            .rev()
            .filter_map(|word| match (word.as_bytes().strip_prefix(b"--json")?, end) {
                ([], _) => Some(STDERR.into()),
                ([b'=', file @ ..], Some(_)) => Some(PathBuf::from(OsStr::from_bytes(file))),
                _ => None,
            });
    named.next()
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    result: &'a RunResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a BranchReport>,
    /// What would have been said on standard error, had the JSON not gone there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    exit: u8,
}

#[derive(Serialize)]
struct Failure {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    exit: u8,
}

impl JsonTo {
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new(STDERR) {
            return Ok(Self::Stderr);
        }
        match ResultFile::create(path) {
            Ok(file) => Ok(Self::File {
                path: path.to_owned(),
                file,
            }),
            Err(source) => Err(CliError::Path {
                flag: "--json",
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(crate) fn result(
        &mut self,
        result: &RunResult,
        branch: Option<&BranchReport>,
        exit: u8,
    ) -> Result<(), CliError> {
        let notes = output::collected();
        self.write(&Ended {
            result,
            branch,
            notes,
            exit,
        })
    }

    pub(crate) fn error(&mut self, error: &CliError, exit: u8) -> Result<(), CliError> {
        self.write(&Failure {
            error: error.to_string(),
            hint: error.hint(),
            exit,
        })
    }

    /// A command line that cannot be read.
    pub(crate) fn usage(&mut self, error: String, command: &str, exit: u8) -> Result<(), CliError> {
        let hint = Some(format!("see: sandbox {command} --help"));
        self.write(&Failure { error, hint, exit })
    }

    pub(crate) fn write(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let mut line = serde_json::to_vec(value).map_err(CliError::Json)?;
        line.push(b'\n');
        match self {
            // Nobody can be told that nobody listens there.
            Self::Stderr => {
                io::stderr().write_all(&line).ok();
                Ok(())
            }
            Self::File { path, file } => file.write(&line).map_err(|source| CliError::File {
                path: path.clone(),
                source,
            }),
        }
    }
}

impl ResultFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())?,
            name: path.file_name().unwrap_or_default().to_owned(),
            file,
        })
    }

    /// Makes `line` all that the file holds. Something that the command has put into its place gives way, and no
    /// link of its making is followed.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let opened = rustix::fs::fstat(&self.file)?;
        if !rustix::fs::FileType::from_raw_mode(opened.st_mode).is_file() {
            return self.file.write_all(line);
        }
        let is_there = rustix::fs::statat(&self.directory, &self.name, AtFlags::empty())
            .is_ok_and(|found| (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino));
        if is_there {
            self.file.set_len(0)?;
            return self.file.write_all(line);
        }
        self.replace(line)
    }

    fn replace(&self, line: &[u8]) -> io::Result<()> {
        let mut name = self.name.clone();
        name.push(format!(".{}", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        let file = rustix::fs::openat(&self.directory, &name, flags, mode)?;
        let written = File::from(file).write_all(line).and_then(|()| {
            rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name).map_err(Into::into)
        });
        if written.is_err() {
            // Whatever is wrong here is told by the first error.
            let _ = rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty());
        }
        written
    }
}
