//! The files of a directory of the host, beneath its root.

mod attributes;
mod entries;
mod list;
mod read;
mod write;

use std::io;
use std::path::Path;

pub(super) use write::HostWriter;

use super::beneath::Root;

/// A directory of the host.
#[derive(Debug)]
pub(super) struct HostFs {
    pub(super) root: Root,
}

impl HostFs {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(root)?,
        })
    }
}
