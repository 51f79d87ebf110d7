//! Files that appear whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::CliError;
use crate::interrupt::Guard;

/// A file on its way to `path`: dropped before it is finished, or interrupted, it is gone.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    beside: PathBuf,
    is_finished: bool,
    // Last: what it removes is gone by then.
    _guard: Guard,
}

impl Part {
    /// A file beside `path`, which has that name when it is finished. What has the name already stays, and is an error.
    /// It is to be made before any thread is.
    pub(crate) fn begin(path: &Path) -> Result<(Self, File), CliError> {
        let failed = failed(path);
        if path.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let guard = Guard::removing(beside.clone());
        let file = File::create_new(&beside).map_err(failed)?;
        let begun = Self {
            path: path.to_owned(),
            beside,
            is_finished: false,
            _guard: guard,
        };
        Ok((begun, file))
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        renameat_with(CWD, &self.beside, CWD, &self.path, RenameFlags::NOREPLACE)
            .map_err(|errno| failed(&self.path)(errno.into()))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            std::fs::remove_file(&self.beside).ok();
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> CliError + use<> {
    let path = path.to_owned();
    move |source| CliError::File {
        path: path.clone(),
        source,
    }
}

/// Writes beside `path`, and gives it that name when it is whole: half an archive is none, whatever ends this process.
/// What has the name already stays, and is an error.
pub(crate) fn written_to<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let (part, file) = Part::begin(path)?;
    let mut file = BufWriter::new(file);
    let written = write(&mut file)?;
    file.flush().map_err(failed(path))?;
    part.finish()?;
    Ok(written)
}
