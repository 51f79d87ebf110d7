//! What a backend tells the kernel of changes, with our numbers.

use std::ffi::OsStr;
use std::sync::Arc;

use super::side::Side;
use super::table::Table;
use crate::fs::{Errno, FsResult, Ino, Invalidate};

pub(super) struct Translate {
    pub(super) channel: Arc<dyn Invalidate>,
    pub(super) table: Table,
    pub(super) side: Side,
}

impl Translate {
    /// `ENOENT` for what nobody knows here, which the kernel does not remember then either.
    fn ino(&self, ino: Ino) -> FsResult<Ino> {
        let node = self.table.of_backend(self.side, ino);
        node.map(|node| node.ino).ok_or(Errno::ENOENT)
    }
}

impl Invalidate for Translate {
    fn inode(&self, ino: Ino, offset: i64, len: i64) -> FsResult<()> {
        self.channel.inode(self.ino(ino)?, offset, len)
    }

    fn entry(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.channel.entry(self.ino(parent)?, name)
    }

    /// Something of the other backend may be seen instead, so nobody is told that there is nothing.
    fn deleted(&self, parent: Ino, _child: Ino, name: &OsStr) -> FsResult<()> {
        self.channel.entry(self.ino(parent)?, name)
    }
}
