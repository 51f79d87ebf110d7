//! What a layer holds.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sandbox_types::Access;

use super::error::OverlayError;

/// A layer, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerInfo {
    /// What the caller calls it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How many entries other than directories it holds.
    pub files: u64,
    /// How many entries of the layers beneath it deletes: overlayfs's whiteouts.
    pub deletions: u64,
    /// Bytes of its regular files.
    pub size: u64,
    /// Whether it is written to.
    pub writable: bool,
}

impl LayerInfo {
    /// Looks at the layer at `path`, which is its upper where `access` is [`Access::Write`].
    ///
    /// # Errors
    /// [`OverlayError::Io`]: something in it cannot be read.
    pub fn from_path(
        name: impl Into<String>,
        path: impl Into<PathBuf>,
        access: Access,
    ) -> Result<Self, OverlayError> {
        let path = path.into();
        let mut info = Self {
            name: name.into(),
            files: 0,
            deletions: 0,
            size: 0,
            writable: access == Access::Write,
            path,
        };
        let root = info.path.clone();
        each(&root, &mut |metadata| {
            let kind = metadata.file_type();
            if kind.is_char_device() && metadata.rdev() == 0 {
                info.deletions += 1;
            } else {
                info.files += 1;
            }
            if kind.is_file() {
                info.size += metadata.len();
            }
        })?;
        Ok(info)
    }
}

/// Calls `visit` with every entry of a tree that is not a directory. No link is followed; what goes away meanwhile
/// is not counted.
fn each(root: &Path, visit: &mut dyn FnMut(&fs::Metadata)) -> Result<(), OverlayError> {
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if is_gone(&error) && directory != root => continue,
            result => result.map_err(OverlayError::io("read", &directory))?,
        };
        for entry in entries {
            let entry = entry.map_err(OverlayError::io("read", &directory))?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) => visit(&metadata),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(OverlayError::io("look at", &entry.path())(error)),
            }
        }
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
