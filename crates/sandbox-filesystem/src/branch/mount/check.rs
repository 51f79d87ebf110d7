//! Whether an overlay's directories go together, before anything is made or mounted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::place::{existing, resolve};
use super::super::suitable;
use super::config::{OverlayConfig, OverlayPlace};
use super::error::OverlayError;

/// The directories of a configuration, absolute and without links. Those that are made may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directories {
    pub(super) lowers: Vec<PathBuf>,
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
    pub(super) merged: PathBuf,
}

/// Looks at all of them; makes none.
pub(super) fn directories(config: &OverlayConfig) -> Result<Directories, OverlayError> {
    if config.lowers.is_empty() {
        return Err(OverlayError::NoLower);
    }
    let made = |path: &Path| resolve(path).map_err(OverlayError::io("find", path));
    let directories = Directories {
        lowers: config
            .lowers
            .iter()
            .map(|path| lower(path))
            .collect::<Result<_, _>>()?,
        upper: made(&config.upper)?,
        work: made(&config.work)?,
        merged: made(&config.merged)?,
    };
    directories.check_apart(config.place)?;
    for lower in &directories.lowers {
        suitable::check(lower, existing(&directories.upper))?;
    }
    Ok(directories)
}

impl Directories {
    fn check_apart(&self, place: OverlayPlace) -> Result<(), OverlayError> {
        apart(&self.upper, &self.work)?;
        for lower in &self.lowers {
            apart(lower, &self.upper)?;
            apart(lower, &self.work)?;
        }
        if place == OverlayPlace::Private {
            return Ok(());
        }
        apart(&self.merged, &self.upper)?;
        apart(&self.merged, &self.work)?;
        // The view may take the place of the layer it is a view of.
        for lower in self.lowers.iter().filter(|lower| **lower != self.merged) {
            apart(&self.merged, lower)?;
        }
        Ok(())
    }
}

/// Refuses two directories that are one, or one in the other.
pub(super) fn apart(a: &Path, b: &Path) -> Result<(), OverlayError> {
    for (inner, outer) in [(a, b), (b, a)] {
        if is_inside(inner, outer) {
            return Err(OverlayError::Nested {
                inner: inner.to_owned(),
                outer: outer.to_owned(),
            });
        }
    }
    Ok(())
}

/// By name, and by what is there: a directory may be mounted in two places.
fn is_inside(inner: &Path, outer: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let wanted = identity(outer);
    inner
        .ancestors()
        .any(|path| path == outer || wanted.is_some() && identity(path) == wanted)
}

fn lower(path: &Path) -> Result<PathBuf, OverlayError> {
    let problem = |source| OverlayError::Layer {
        path: path.to_owned(),
        source,
    };
    let found = path.canonicalize().map_err(problem)?;
    if found.metadata().map_err(problem)?.is_dir() {
        Ok(found)
    } else {
        Err(OverlayError::NotADirectory {
            path: path.to_owned(),
        })
    }
}
