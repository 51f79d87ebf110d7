//! Paths of the command line: made absolute where they are typed.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::CliError;

/// An absolute path that exists, links in it kept. `..` goes by what is on the disk.
pub(crate) fn existing(flag: &'static str, path: &Path) -> Result<PathBuf, CliError> {
    let problem = |source| CliError::Path {
        flag,
        path: path.to_owned(),
        source,
    };
    let real = path.canonicalize().map_err(problem)?;
    let absolute = std::path::absolute(path).map_err(problem)?;
    let climbs = absolute
        .components()
        .any(|component| component == Component::ParentDir);
    Ok(if climbs { real } else { absolute })
}

/// An existing directory.
pub(crate) fn existing_directory(flag: &'static str, path: &Path) -> Result<PathBuf, CliError> {
    let found = existing(flag, path)?;
    if found.is_dir() {
        return Ok(found);
    }
    let source = io::ErrorKind::NotADirectory.into();
    Err(CliError::Path {
        flag,
        path: path.to_owned(),
        source,
    })
}
