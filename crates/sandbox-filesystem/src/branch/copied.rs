//! Which entries a whole copy had when it was made, so that what was never touched need not be compared, and
//! what others have since added to the base is not taken for deleted.
//!
//! An entry that still has its inode number and an older ctime than the copy's stamp was neither written nor
//! moved. A directory that was moved does not change the ctime of what is in it: therefore the numbers.
//!
//! Of directories it is noted too which one of the base they were copied from, so that another one in its place is
//! noticed.
//!
//! On the disk: a line with the version, then for each entry its inode number and that of what it was copied from (0
//! where that is not noted; 8 bytes each, little-endian) and its path, ended by NUL.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use sandbox_types::RelPath;

use super::node::{Meta, Timestamp};
use super::stack::{access, names};

const VERSION: &[u8] = b"sandbox copy 2\n";
/// The same without the numbers of what was copied.
const OLDER: &[u8] = b"sandbox copy 1\n";

/// The entries of a whole copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyIndex {
    inodes: HashMap<Box<[u8]>, u64>,
    /// Inode numbers of the base's directories.
    sources: HashMap<Box<[u8]>, u64>,
}

impl CopyIndex {
    /// Of the tree at `root`, which nobody has written yet.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut index = Self::default();
        index.add_directory(&access::open_root(root)?, &RelPath::root())?;
        Ok(index)
    }

    /// Notes that inode `ino` was made at `path`.
    pub(crate) fn record(&mut self, path: &RelPath, ino: u64) {
        self.inodes.insert(path.as_bytes().into(), ino);
    }

    fn add_directory(&mut self, dir: &OwnedFd, path: &RelPath) -> io::Result<()> {
        for name in names(dir.as_fd())? {
            let Some(meta) = Meta::at(dir, &name)? else {
                continue;
            };
            let inner = path.join(&name).map_err(io::Error::other)?;
            self.record(&inner, meta.ino);
            if meta.is_dir() {
                self.add_directory(&access::open_dir(dir.as_fd(), &name)?, &inner)?;
            }
        }
        Ok(())
    }

    /// Whether anything was copied to `path`.
    pub(crate) fn contains(&self, path: &RelPath) -> bool {
        self.inodes.contains_key(path.as_bytes())
    }

    /// Whether what is at `path` is still the entry that was copied there.
    pub(crate) fn is_in_place(&self, path: &RelPath, meta: &Meta) -> bool {
        self.inodes.get(path.as_bytes()) == Some(&meta.ino)
    }

    /// Notes which directories of the base at `root` it was copied from, as far as nobody has touched them since
    /// `birth`.
    pub(crate) fn note_sources(&mut self, root: &Path, birth: Timestamp) -> io::Result<()> {
        self.add_sources(&access::open_root(root)?, &RelPath::root(), birth)
    }

    fn add_sources(&mut self, dir: &OwnedFd, path: &RelPath, birth: Timestamp) -> io::Result<()> {
        for name in names(dir.as_fd())? {
            let inner = path.join(&name).map_err(io::Error::other)?;
            let meta = Meta::at(dir, &name)?.filter(|meta| meta.is_dir() && meta.ctime < birth);
            let Some(meta) = meta.filter(|_| self.contains(&inner)) else {
                continue;
            };
            // What may not be read could not be copied either.
            let Ok(opened) = access::open_dir(dir.as_fd(), &name) else {
                continue;
            };
            if Meta::of(&opened)?.ino == meta.ino {
                self.sources.insert(inner.as_bytes().into(), meta.ino);
                self.add_sources(&opened, &inner, birth)?;
            }
        }
        Ok(())
    }

    /// Whether what is at `path` in the base is the directory that was copied.
    pub(crate) fn was_copied_from(&self, path: &RelPath, base: &Meta) -> bool {
        base.is_dir() && self.sources.get(path.as_bytes()) == Some(&base.ino)
    }

    /// Writes it down.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(VERSION)?;
        for (path, inode) in &self.inodes {
            let source = self.sources.get(path).copied().unwrap_or(0);
            out.write_all(&inode.to_le_bytes())?;
            out.write_all(&source.to_le_bytes())?;
            out.write_all(path)?;
            out.write_all(&[0])?;
        }
        Ok(())
    }

    /// Reads what [`Self::write_to`] has written.
    pub(crate) fn read_from(input: &mut dyn BufRead) -> io::Result<Self> {
        let mut version = [0; VERSION.len()];
        input.read_exact(&mut version)?;
        if version != VERSION && version != OLDER {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut index = Self::default();
        while !input.fill_buf()?.is_empty() {
            let mut inode = [0; 8];
            input.read_exact(&mut inode)?;
            let mut source = [0; 8];
            if version == VERSION {
                input.read_exact(&mut source)?;
            }
            let mut path = Vec::new();
            input.read_until(0, &mut path)?;
            if path.pop() != Some(0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let path: Box<[u8]> = path.into();
            if source != [0; 8] {
                index.sources.insert(path.clone(), u64::from_le_bytes(source));
            }
            index.inodes.insert(path, u64::from_le_bytes(inode));
        }
        Ok(index)
    }
}
