//! The state file: a bound, or an exact figure.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};

use sandbox_types::quota::QuotaRecord;

use super::error::QuotaError;
use crate::sys::figures::Figures;

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
        let born = stat.stx_btime;
        let file = directory.join(QuotaRecord::file_name(stat.stx_ino, (born.tv_sec, born.tv_nsec)));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| QuotaError::State {
                path: file.clone(),
                source,
            })?;
        Ok(Self(file))
    }

    /// Where the figure can be read by others while it is kept.
    pub(super) fn live(&self) -> Result<Figures, QuotaError> {
        Figures::create(&self.0.with_extension(QuotaRecord::LIVE)).map_err(|source| self.failed(source))
    }

    /// None where there is none, and where what is there is damaged: then there is nothing but to count.
    pub(super) fn read(&self) -> Result<Option<QuotaRecord>, QuotaError> {
        let text = match std::fs::read(&self.0) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let record = QuotaRecord::parse(&text).map_err(|version| QuotaError::Version {
            path: self.0.clone(),
            version,
        })?;
        if record.is_none() {
            tracing::warn!(path = %self.0.display(), "a quota's state is damaged: the tree is counted anew");
        }
        Ok(record)
    }

    /// It is on the disk when this returns, and the old one until then. One server at a time writes it: who holds the root.
    pub(super) fn write(&self, record: QuotaRecord) -> Result<(), QuotaError> {
        self.try_write(record).map_err(|source| self.failed(source))
    }

    fn try_write(&self, record: QuotaRecord) -> std::io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(record.to_text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.0)?;
        File::open(self.0.parent().unwrap_or(Path::new("/")))?.sync_all()
    }

    fn failed(&self, source: std::io::Error) -> QuotaError {
        QuotaError::State {
            path: self.0.clone(),
            source,
        }
    }
}
