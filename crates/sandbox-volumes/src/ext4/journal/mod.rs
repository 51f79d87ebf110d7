//! The journal (JBD2): its superblock, transactions, and their replay. Big-endian, unlike all else.
//!
//! Source: Documentation/filesystems/ext4/journal.rst.

mod log;
mod place;
mod recover;
mod replay;
mod structures;
mod transact;

pub use recover::{RecoverError, Recovered, recover, recover_device};

use log::{commit, finish, prepare, write_superblock};
pub(crate) use place::Place;
pub(crate) use recover::load_superblock;
pub(crate) use structures::{JournalSuperblock, MAGIC};
pub(crate) use transact::{TransactError, Transaction, marked};

/// A block of the file system and what it will be.
pub(crate) type Change = (u64, Vec<u8>);
