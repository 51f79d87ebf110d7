//! The journal (JBD2): its superblock, transactions, and their replay. Big-endian, unlike all else.
//!
//! Source: Documentation/filesystems/ext4/journal.rst.

mod structures;

pub(crate) use structures::{JournalSuperblock, MAGIC};
