//! Changes as texts: counted lines, and patches that `git apply` takes.
//!
//! A file with a NUL byte in its first 8,000 bytes is binary, as git has it; so is one that is too long to be compared.
//! Of a binary file a patch says that it is not in it.

mod patch;

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use sandbox_types::{Change, ChangeKind, ChangeSet, NodeKind, RelPath};
use similar::{ChangeTag, TextDiff};

use super::copy::symlink_target;
use super::error::BranchError;
use super::handle::Branch;
use super::review::ReviewError;
use super::stack::{Found, Stack};

/// The longest file that is compared line by line.
const MAX_TEXT: u64 = 16 << 20;
/// Where git looks for NUL bytes.
const MAGIC: usize = 8000;
/// After this the rest of two files counts as different.
const PATIENCE: Duration = Duration::from_secs(2);

/// A branch whose texts are read.
#[derive(Debug)]
pub struct Texts {
    stack: Stack,
}

/// How many lines of a file are new, and how many are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines that are new.
    pub added: usize,
    /// Lines that are gone.
    pub removed: usize,
}

/// One side of a change.
struct Version {
    /// As git has modes: 100644, 100755, 120000. None where there is nothing that git keeps: nothing at all, a directory,
    /// a special file.
    mode: Option<u32>,
    /// None: binary, or too long.
    text: Option<Vec<u8>>,
}

impl Branch {
    /// Its texts, and those of its base.
    ///
    /// # Errors
    /// The branch cannot be read.
    pub fn texts(&self) -> Result<Texts, BranchError> {
        Ok(Texts { stack: self.stack()? })
    }
}

impl Texts {
    /// The lines of a change; none for what is no text.
    ///
    /// # Errors
    /// [`ReviewError::Look`].
    pub fn counts(&self, change: &Change) -> Result<Option<LineCounts>, ReviewError> {
        let (old, new) = self.versions(change)?;
        let (Some(old), Some(new)) = (&old.text, &new.text) else {
            return Ok(None);
        };
        let mut counts = LineCounts { added: 0, removed: 0 };
        for line in diff(old, new).iter_all_changes() {
            match line.tag() {
                ChangeTag::Insert => counts.added += 1,
                ChangeTag::Delete => counts.removed += 1,
                ChangeTag::Equal => {}
            }
        }
        Ok(Some(counts))
    }

    /// A change as a patch; empty where git keeps nothing of what has changed.
    ///
    /// # Errors
    /// [`ReviewError::Look`].
    pub fn patch(&self, change: &Change) -> Result<Vec<u8>, ReviewError> {
        let (old, new) = self.versions(change)?;
        let old_path = match &change.change {
            ChangeKind::Renamed { from, .. } => from,
            _ => &change.path,
        };
        let mut out = Vec::new();
        patch::write(&mut out, (old_path, &old), (&change.path, &new)).map_err(look(&change.path))?;
        Ok(out)
    }

    /// All changes as one patch.
    ///
    /// # Errors
    /// A file cannot be read, or `out` not be written.
    pub fn write_patches(&self, set: &ChangeSet, out: &mut dyn Write) -> Result<(), ReviewError> {
        for change in &set.changes {
            let patch = self.patch(change)?;
            out.write_all(&patch).map_err(look(&change.path))?;
        }
        Ok(())
    }

    /// What was there, and what is there now.
    fn versions(&self, change: &Change) -> Result<(Version, Version), ReviewError> {
        let path = &change.path;
        let old = match &change.change {
            ChangeKind::Added => Ok(Version::absent()),
            ChangeKind::Renamed { from, .. } => self.version(from, Which::Base),
            _ => self.version(path, Which::Base),
        };
        let new = match &change.change {
            ChangeKind::Deleted => Ok(Version::absent()),
            _ => self.version(path, Which::View),
        };
        Ok((old.map_err(look(path))?, new.map_err(look(path))?))
    }

    fn version(&self, path: &RelPath, which: Which) -> io::Result<Version> {
        let (parent, name) = (path.parent().unwrap_or_default(), path.name().unwrap_or_default());
        // The base's directory may be hidden in the view: it is entered all the same.
        let mut dir = self.stack.root()?;
        for component in parent.as_path() {
            match dir.enter(component)? {
                Some(next) => dir = next,
                None => return Ok(Version::absent()),
            }
        }
        let found = match which {
            Which::Base => dir.base(name)?,
            Which::View => dir.view(name)?,
        };
        let Some(Found { meta, origin }) = found else {
            return Ok(Version::absent());
        };
        Ok(match meta.kind {
            NodeKind::File => Version {
                mode: Some(if meta.mode & 0o100 == 0 {
                    0o100_644
                } else {
                    0o100_755
                }),
                text: match meta.size {
                    0..=MAX_TEXT => text(dir.open_file(name, origin)?)?,
                    _ => None,
                },
            },
            NodeKind::Symlink => Version {
                mode: Some(0o120_000),
                text: Some(symlink_target(dir.holder(origin)?, Path::new(name))?.0),
            },
            _ => Version::absent(),
        })
    }
}

#[derive(Clone, Copy)]
enum Which {
    Base,
    View,
}

impl Version {
    fn absent() -> Self {
        Self {
            mode: None,
            text: Some(Vec::new()),
        }
    }
}

fn text(file: std::fs::File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    let is_binary = bytes.iter().take(MAGIC).any(|byte| *byte == 0) || bytes.len() as u64 > MAX_TEXT;
    Ok((!is_binary).then_some(bytes))
}

fn diff<'a>(old: &'a [u8], new: &'a [u8]) -> TextDiff<'a, 'a, [u8]> {
    // A line ends where git ends it: a lone carriage return is a byte of it.
    TextDiff::configure()
        .timeout(PATIENCE)
        .newline_terminated(true)
        .diff_slices(&lines(old), &lines(new))
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

fn look(path: &RelPath) -> impl FnOnce(io::Error) -> ReviewError {
    let path = path.clone();
    move |source| ReviewError::Look { path, source }
}
