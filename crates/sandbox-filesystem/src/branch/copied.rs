//! Which entries a whole copy had when it was made, so that what was never touched need not be compared, and
//! what others have since added to the base is not taken for deleted.
//!
//! An entry that still has its inode number and an older ctime than the copy's stamp was neither written nor
//! moved. A directory that was moved does not change the ctime of what is in it: therefore the numbers.
//!
//! On the disk: a line with the version, then for each entry its inode number (8 bytes, little-endian) and its
//! path, ended by NUL.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use sandbox_types::RelPath;

use super::node::Meta;
use super::stack::{access, names};

const VERSION: &[u8] = b"sandbox copy 1\n";

/// The entries of a whole copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyIndex {
    inodes: HashMap<Box<[u8]>, u64>,
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

    /// Writes it down.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(VERSION)?;
        for (path, inode) in &self.inodes {
            out.write_all(&inode.to_le_bytes())?;
            out.write_all(path)?;
            out.write_all(&[0])?;
        }
        Ok(())
    }

    /// Reads what [`Self::write_to`] has written.
    pub(crate) fn read_from(input: &mut dyn BufRead) -> io::Result<Self> {
        let mut version = [0; VERSION.len()];
        input.read_exact(&mut version)?;
        if version != VERSION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut index = Self::default();
        while !input.fill_buf()?.is_empty() {
            let mut inode = [0; 8];
            input.read_exact(&mut inode)?;
            let mut path = Vec::new();
            input.read_until(0, &mut path)?;
            if path.pop() != Some(0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            index.inodes.insert(path.into(), u64::from_le_bytes(inode));
        }
        Ok(index)
    }
}
