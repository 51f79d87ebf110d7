//! Whether a directory beside a workspace is one that this program has made for branches.
//!
//! What is in such a directory is believed: it says what is mounted, and what a commit writes. A command on a branch of
//! the directory above can make one that looks the same, with that owner and mode, and a commit brings it here. So what
//! is made is written down in the state directory, by what a command cannot choose: the inode number and the time it
//! was made. It is still known when it was renamed.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::BranchError;
use super::manifest::{self, Durability, VERSION};
use super::node::Meta;
use super::place::make_private;

/// Why a directory beside a workspace is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// A link leads elsewhere.
    #[error("it is no directory")]
    NotADirectory,
    /// It is somebody else's.
    #[error("it belongs to user {uid}")]
    Owner {
        /// Whose.
        uid: u32,
    },
    /// Others can reach into it.
    #[error("others than its owner may use it: its mode is {mode:04o}")]
    Mode {
        /// Its permission bits.
        mode: u32,
    },
    /// Nothing says that this program has made it.
    #[error("nothing says that it was made for branches: a command may have left it there")]
    Unknown,
    /// It cannot be looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is written down of one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// Where it was made.
    pub(crate) path: PathBuf,
}

/// What is written down, in a directory of the user's.
#[derive(Debug, Clone)]
pub(crate) struct Records(PathBuf);

impl Records {
    /// Those of the user; none where nothing says where the state directory is.
    pub(crate) fn of_user() -> Option<Self> {
        super::place::state_directory().map(|state| Self(state.join("beside")))
    }

    /// Whether `place` may be used for branches: it is not there, or empty, or was made for them.
    pub(crate) fn check(&self, place: &Path) -> Result<(), Distrust> {
        match private(place)? {
            Some(meta) if !self.knows(place, &meta)? && !is_empty(place)? => Err(Distrust::Unknown),
            _ => Ok(()),
        }
    }

    /// Whether it is there and was made for branches.
    pub(crate) fn has(&self, place: &Path) -> bool {
        let known = private(place).and_then(|meta| match meta {
            Some(meta) => self.knows(place, &meta),
            None => Ok(false),
        });
        known.unwrap_or(false)
    }

    /// Makes it where it is missing, and writes down that it is for branches. Only for one that was checked, or that
    /// the user has named.
    pub(crate) fn establish(&self, place: &Path) -> Result<(), BranchError> {
        let problem = |source| BranchError::io("make", place)(source);
        match DirBuilder::new().mode(0o700).create(place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(problem(error)),
            _ => {}
        }
        if self.has(place) {
            return Ok(());
        }
        let distrusted = |reason| BranchError::Distrusted {
            directory: place.to_owned(),
            reason,
        };
        let meta = private(place).map_err(distrusted)?;
        let Some(meta) = meta else {
            return Err(problem(io::ErrorKind::NotFound.into()));
        };
        make_private(&self.0).map_err(BranchError::io("make", &self.0))?;
        let record = Record {
            version: VERSION,
            path: place.to_owned(),
        };
        let file = self.file(place, &meta).map_err(problem)?;
        Ok(manifest::store(&file, &record, Durability::Machine)?)
    }

    /// Where they were made. Not all are there still.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let records = entries.filter_map(|entry| manifest::load::<Record>(&entry.path()).ok());
        records.map(|record| record.path).collect()
    }

    fn knows(&self, place: &Path, meta: &Meta) -> Result<bool, Distrust> {
        let Ok(record) = manifest::load::<Record>(&self.file(place, meta)?) else {
            return Ok(false);
        };
        // Without the time it was made, a number that is used again would do: then it has to be where it was.
        Ok(record.path == place || born(place)?.is_some())
    }

    fn file(&self, place: &Path, meta: &Meta) -> io::Result<PathBuf> {
        Ok(self.0.join(match born(place)? {
            Some((seconds, nanoseconds)) => format!("{:x}-{seconds}.{nanoseconds:09}.json", meta.ino),
            None => format!("{:x}-on-{:x}.json", meta.ino, meta.dev),
        }))
    }
}

/// None where there is nothing; an error unless it is a directory that is the caller's alone.
pub(crate) fn private(place: &Path) -> Result<Option<Meta>, Distrust> {
    let meta = match Meta::of_path(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    if !meta.is_dir() {
        return Err(Distrust::NotADirectory);
    }
    if meta.uid != rustix::process::geteuid().as_raw() {
        return Err(Distrust::Owner { uid: meta.uid });
    }
    if meta.mode & 0o077 != 0 {
        return Err(Distrust::Mode { mode: meta.mode });
    }
    Ok(Some(meta))
}

fn born(place: &Path) -> io::Result<Option<super::node::Timestamp>> {
    Meta::born(rustix::fs::CWD, place)
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(std::fs::read_dir(directory)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn scene() -> (tempfile::TempDir, Records, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let records = Records(place.path().join("records"));
        let beside = place.path().join(".app.sandbox");
        (place, records, beside)
    }

    #[test]
    fn what_was_made_for_branches_is_known_also_when_it_was_renamed() {
        let (place, records, beside) = scene();
        records.check(&beside).unwrap();
        records.establish(&beside).unwrap();
        fs::write(beside.join("workspace.json"), "").unwrap();
        records.check(&beside).unwrap();
        assert_eq!(records.paths(), std::slice::from_ref(&beside));
        let renamed = place.path().join(".other.sandbox");
        fs::rename(&beside, &renamed).unwrap();
        if born(&renamed).unwrap().is_some() {
            assert!(records.has(&renamed));
        }
    }

    #[test]
    fn what_only_looks_the_same_is_not_believed() {
        let (_place, records, beside) = scene();
        records.establish(&beside).unwrap();
        fs::rename(&beside, beside.with_extension("gone")).unwrap();
        DirBuilder::new().mode(0o700).create(&beside).unwrap();
        records.check(&beside).unwrap();
        fs::write(beside.join("workspace.json"), "").unwrap();
        assert!(matches!(records.check(&beside), Err(Distrust::Unknown)));
        assert!(!records.has(&beside));
    }

    #[test]
    fn what_others_can_reach_and_what_is_no_directory_is_not_used() {
        let (place, records, beside) = scene();
        records.establish(&beside).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            records.check(&beside),
            Err(Distrust::Mode { mode: 0o755 })
        ));
        fs::remove_dir(&beside).unwrap();
        symlink(place.path(), &beside).unwrap();
        assert!(matches!(records.check(&beside), Err(Distrust::NotADirectory)));
        assert!(records.establish(&beside).is_err());
    }
}
