//! Files of a disk: read and changed without mounting it, for somebody who is the only one to have it open.
//!
//! It guarantees: the journal is replayed before anything is read; every change is one transaction of the journal,
//! written after the data that it makes visible, so that a crash leaves what was or what is to be; blocks that were
//! freed are not used again before that is on the disk. What is damaged is `EUCLEAN`, never a panic or a loop.
//!
//! Only what [`check`](super::check) understands is opened. Errors are errnos, as a mounted file system has them.
//!
//! # It is not
//! - a cache: what it reads it reads from the device, which the host's own cache does better;
//! - for several at once: whoever has it holds the disk's lock.

mod blocks;
mod content;
mod directory;
mod entries;
mod extents;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod index;
mod inodes;
mod node;
mod ops;
mod path;
#[cfg(test)]
mod tests;
mod tree;
mod xattrs;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;

use rustix::io::Errno;

pub(crate) use content::Filling;
#[cfg(fuzzing)]
pub use fuzz::edit_disk;
pub(crate) use node::{Node, device_numbers};
pub(crate) use ops::{NewNode, Owner};
pub(crate) use path::Follow;

use super::device::BlockDevice;
use super::disk::checksum::filesystem_seed;
use super::disk::superblock::{STATE_VALID, Superblock};
use super::geometry::Geometry;
use super::journal::{TransactError, Transaction, load_superblock, recover_device};

/// A transaction of more blocks than this is ended where that can be done between two files.
const MANY_BLOCKS: usize = 256;

/// A disk that is open to be read and changed.
pub(crate) struct Editor {
    device: Box<dyn BlockDevice + Send>,
    superblock: Superblock,
    geometry: Geometry,
    seed: u32,
    /// Blocks as they will be; nothing of it is on the disk.
    dirty: BTreeMap<u64, Vec<u8>>,
    /// Changes of the totals since the last transaction.
    free_blocks: i64,
    free_inodes: i64,
    /// Blocks that are free on the disk or will be, and must not be given away: freed by this transaction, or being
    /// filled by somebody who has not finished.
    pinned: Vec<Range<u64>>,
    freed: Vec<Range<u64>>,
    /// Where the next file's blocks are looked for.
    goal: u64,
    /// A transaction has failed in its middle: what is on the disk is for the journal to say.
    is_broken: bool,
}

impl fmt::Debug for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editor")
            .field("dirty", &self.dirty.len())
            .finish_non_exhaustive()
    }
}

impl Editor {
    /// Opens a disk; what is in its journal is replayed.
    ///
    /// # Errors
    /// `EUCLEAN` where the disk is damaged or says that it was, `EOPNOTSUPP` where it has what this version does not
    /// know.
    pub(crate) fn open(mut device: Box<dyn BlockDevice + Send>) -> io::Result<Self> {
        recover_device(&mut *device).map_err(refused)?;
        let (superblock, geometry) = load_superblock(&mut *device).map_err(refused)?;
        if !superblock.is_sealed() || superblock.state.get() != STATE_VALID {
            return Err(damaged());
        }
        let seed = filesystem_seed(&superblock.uuid);
        Ok(Self {
            device,
            superblock,
            geometry,
            seed,
            dirty: BTreeMap::new(),
            free_blocks: 0,
            free_inodes: 0,
            pinned: Vec::new(),
            freed: Vec::new(),
            goal: 0,
            is_broken: false,
        })
    }

    /// Does `work`, which changes nothing where it fails, and makes what it has changed durable.
    pub(crate) fn change<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.is_broken {
            return Err(Errno::IO.into());
        }
        let result = work(self);
        match result {
            Ok(value) => self.commit().map(|()| value),
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    /// Ends the transaction where it has become large: between two files of many.
    pub(crate) fn commit_if_large(&mut self) -> io::Result<()> {
        if self.dirty.len() > MANY_BLOCKS {
            self.commit()
        } else {
            Ok(())
        }
    }

    fn commit(&mut self) -> io::Result<()> {
        // What the transaction makes visible is on the disk before it.
        self.device.sync()?;
        if self.dirty.is_empty() {
            return Ok(());
        }
        let new = self.totals();
        let changes: Vec<_> = std::mem::take(&mut self.dirty).into_iter().collect();
        let end = self.device.size()?;
        let transaction = Transaction {
            old: &self.superblock,
            new: &new,
            geometry: &self.geometry,
            changes: &changes,
            end,
        };
        let done = transaction.carry_out(&mut *self.device);
        self.forget();
        match done {
            Ok(()) => {
                self.superblock = new;
                Ok(())
            }
            Err(error) => {
                self.is_broken = true;
                Err(match error {
                    TransactError::Io(source) | TransactError::NoRoomForLog(source) => source,
                    TransactError::Journal => damaged(),
                })
            }
        }
    }

    fn totals(&self) -> Superblock {
        let mut new = self.superblock.clone();
        let blocks = new.free_blocks().saturating_add_signed(self.free_blocks);
        new.set_free_blocks(blocks);
        let inodes = i64::from(new.free_inodes_count.get()) + self.free_inodes;
        new.free_inodes_count = u32::try_from(inodes.max(0)).unwrap_or(u32::MAX).into();
        let (seconds, _) = super::disk::inode::time(node::now());
        new.wtime = seconds;
        new
    }

    fn forget(&mut self) {
        self.dirty.clear();
        self.freed.clear();
        self.free_blocks = 0;
        self.free_inodes = 0;
    }
}

/// What the disk has cannot be.
fn damaged() -> io::Error {
    Errno::UCLEAN.into()
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
