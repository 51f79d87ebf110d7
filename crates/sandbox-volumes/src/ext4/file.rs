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
/// The image is written beside `path` under a temporary name, synced, and renamed. When this fails or the process is
/// killed, what was at `path` is still there; after a kill, so may be a file named `.ext4-*.tmp`. When the machine loses
/// power afterwards, `path` is the whole image or what was there before: who has to know that it is the image syncs its
/// name, by [`sync_name`].
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
    let at = |step| failed(path, step);
    let directory = directory_of(path);
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
    Ok(report)
}

/// Returns when the name of the image at `path` is on the disk, as its content is: a sync of its directory, which takes about
/// as long as that of the image.
pub fn sync_name(path: impl AsRef<Path>) -> Result<(), FormatError> {
    let path = path.as_ref();
    File::open(directory_of(path))
        .and_then(|directory| directory.sync_all())
        .map_err(failed(path, "sync the directory of"))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn failed(path: &Path, step: &'static str) -> impl FnOnce(io::Error) -> FormatError + use<> {
    let path = path.to_owned();
    move |source| FormatError::Image { step, path, source }
}
