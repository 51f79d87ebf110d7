//! A disk as a file that appears complete or not at all.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    error::FormatError,
    options::Ext4FormatOptions,
    write::{FormatReport, Source, write},
};

/// Makes an empty ext4 disk at `path`, replacing a file that is there.
///
/// The image is written beside `path` under a temporary name, synced, and renamed; its directory is synced too.
/// When this fails or the process is killed, what was at `path` is still there; after a kill, so may be a file
/// named `.ext4-*.tmp`.
pub fn format_ext4(path: impl AsRef<Path>, options: &Ext4FormatOptions) -> Result<FormatReport, FormatError> {
    write_ext4(path, Source::Empty, options)
}

/// As [`format_ext4`], with files.
pub fn write_ext4(
    path: impl AsRef<Path>,
    source: Source<'_>,
    options: &Ext4FormatOptions,
) -> Result<FormatReport, FormatError> {
    let path = path.as_ref();
    let at = |step: &'static str| {
        let path = path.to_owned();
        move |source: io::Error| FormatError::Image { step, path, source }
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if path.file_name().is_none() || path.is_dir() {
        return Err(at("write")(io::ErrorKind::IsADirectory.into()));
    }
    let mut image = tempfile::Builder::new()
        .prefix(".ext4-")
        .suffix(".tmp")
        .tempfile_in(&directory)
        .map_err(at("create a temporary file beside"))?;
    let report = write(image.as_file_mut(), source, options).map_err(|error| match error {
        FormatError::Write(source) => at("write")(source),
        other => other,
    })?;
    image
        .persist(path)
        .map_err(|error| at("rename to")(error.error))?;
    File::open(&directory)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync the directory of"))?;
    Ok(report)
}
