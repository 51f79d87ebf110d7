//! Files that appear whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::CliError;
use crate::interrupt::Guard;

/// Writes beside `path`, and gives it that name when it is whole: half an archive is none, whatever ends this process.
/// What has the name already stays, and is an error.
pub(crate) fn written_to<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let failed = |source: io::Error| CliError::File {
        path: path.to_owned(),
        source,
    };
    if path.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let guard = Guard::removing(part.clone());
    let mut file = BufWriter::new(File::create_new(&part).map_err(failed)?);
    let result = write(&mut file).and_then(|written| {
        file.flush().map_err(failed)?;
        renameat_with(CWD, &part, CWD, path, RenameFlags::NOREPLACE)
            .map_err(|errno| failed(errno.into()))
            .map(|()| written)
    });
    if result.is_err() {
        std::fs::remove_file(&part).ok();
    }
    drop(guard);
    result
}
