//! The state file: a bound, or an exact figure.

use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use super::account::Usage;
use super::error::QuotaError;

const VERSION: u32 = 1;

/// What is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Whether nobody has counted since: the figure is exact. Otherwise it is a bound.
    pub(super) exact: bool,
    bytes: u64,
    inodes: u64,
}

impl Record {
    pub(super) fn new(usage: Usage, exact: bool) -> Self {
        Self {
            version: VERSION,
            exact,
            bytes: usage.bytes,
            inodes: usage.inodes,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes,
            inodes: self.inodes,
        }
    }
}

/// Where it is: named after the root's inode number and its time of creation, whatever path leads there.
#[derive(Debug)]
pub(super) struct StateFile(PathBuf);

impl StateFile {
    pub(super) fn of(root: BorrowedFd<'_>, directory: &Path) -> Result<Self, QuotaError> {
        let stat = rustix::fs::statx(
            root,
            c"",
            AtFlags::EMPTY_PATH,
            StatxFlags::INO | StatxFlags::BTIME,
        )
        .map_err(|error| QuotaError::Root(error.into()))?;
        let file = directory.join(format!(
            "{:x}-{:x}-{:x}.json",
            stat.stx_ino, stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec
        ));
        std::fs::create_dir_all(directory).map_err(|source| QuotaError::State {
            path: file.clone(),
            source,
        })?;
        Ok(Self(file))
    }

    /// None where there is none, and where what is there is damaged: then there is nothing but to count.
    pub(super) fn read(&self) -> Result<Option<Record>, QuotaError> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
            tracing::warn!(path = %self.0.display(), "a quota's state is damaged: the tree is counted anew");
            return Ok(None);
        };
        if record.version > VERSION {
            return Err(QuotaError::Version {
                path: self.0.clone(),
                version: record.version,
            });
        }
        Ok(Some(record))
    }

    /// It is on the disk when this returns, and the old one until then.
    pub(super) fn write(&self, record: &Record) -> Result<(), QuotaError> {
        self.try_write(record).map_err(|source| self.failed(source))
    }

    fn try_write(&self, record: &Record) -> std::io::Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        std::fs::File::open(directory)?.sync_all()
    }

    fn failed(&self, source: std::io::Error) -> QuotaError {
        QuotaError::State {
            path: self.0.clone(),
            source,
        }
    }
}
