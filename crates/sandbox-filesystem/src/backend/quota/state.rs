//! The state file: a bound, or an exact figure.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};

use super::account::Usage;
use super::error::QuotaError;

const VERSION: u32 = 1;

/// What is in it, as four lines of a word and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Whether the figure is exact, and nobody counts. Otherwise it is a bound.
    pub(super) exact: bool,
    pub(super) usage: Usage,
}

impl Record {
    pub(super) fn to_text(self) -> String {
        let Usage { bytes, inodes } = self.usage;
        let exact = u8::from(self.exact);
        format!("sandbox-quota {VERSION}\nexact {exact}\nbytes {bytes}\ninodes {inodes}\n")
    }

    /// None where it is damaged; the version where it is a later one.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, u32> {
        let mut lines = text.lines();
        let mut number = |word: &str| -> Option<u64> {
            let (found, number) = lines.next()?.split_once(' ')?;
            (found == word).then(|| number.parse().ok())?
        };
        match number("sandbox-quota").and_then(|version| u32::try_from(version).ok()) {
            Some(version) if version > VERSION => return Err(version),
            Some(_) => {}
            None => return Ok(None),
        }
        let (exact, bytes, inodes) = (number("exact"), number("bytes"), number("inodes"));
        Ok(exact.zip(bytes).zip(inodes).map(|((exact, bytes), inodes)| Self {
            exact: exact == 1,
            usage: Usage { bytes, inodes },
        }))
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
        let born = stat.stx_btime;
        let file = directory.join(format!("{:x}-{:x}-{:x}", stat.stx_ino, born.tv_sec, born.tv_nsec));
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

    /// None where there is none, and where what is there is damaged: then there is nothing but to count.
    pub(super) fn read(&self) -> Result<Option<Record>, QuotaError> {
        let text = match std::fs::read(&self.0) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let record = Record::parse(&text).map_err(|version| QuotaError::Version {
            path: self.0.clone(),
            version,
        })?;
        if record.is_none() {
            tracing::warn!(path = %self.0.display(), "a quota's state is damaged: the tree is counted anew");
        }
        Ok(record)
    }

    /// It is on the disk when this returns, and the old one until then. One server at a time writes it: who holds the root.
    pub(super) fn write(&self, record: Record) -> Result<(), QuotaError> {
        self.try_write(record).map_err(|source| self.failed(source))
    }

    fn try_write(&self, record: Record) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for exact in [true, false] {
            let record = Record {
                exact,
                usage: Usage {
                    bytes: u64::MAX,
                    inodes: 7,
                },
            };
            assert_eq!(Record::parse(&record.to_text()), Ok(Some(record)));
        }
    }

    #[test]
    fn a_damaged_state_is_none_and_a_later_version_is_told() {
        for text in [
            "",
            "sandbox-quota",
            "sandbox-quota 1\nexact 1\nbytes x\ninodes 1\n",
            "sandbox-quota 1\nexact 1\n",
            "\0\0",
        ] {
            assert_eq!(Record::parse(text), Ok(None), "{text:?}");
        }
        assert_eq!(Record::parse("sandbox-quota 2\n"), Err(2));
    }
}
