//! Reading and looking.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::io::Errno;

use super::DiskFs;
use super::access::{Access, bytes};
use crate::ext4::edit::{Editor, Follow, Node};
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::fs::types::{DirEntry, EntryKind, FileStat, time};
use crate::lock::Share;

const READ: &str = "read";

/// A file that is being read; nobody changes the disk meanwhile.
#[derive(Debug)]
pub(in crate::fs) struct DiskReader {
    access: Access,
    node: Node,
    at: u64,
}

impl Read for DiskReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.access.editor.read_content(&self.node, self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl DiskFs {
    pub(in crate::fs) fn read_stream(&self, path: &Inner) -> Result<DiskReader, FsError> {
        let mut access = self.access(READ, path, Share::Shared)?;
        let node = access
            .editor
            .resolve(bytes(path), Follow::All)
            .map_err(FsError::new(READ, path))?;
        if !node.is_file() {
            let path = path.shown();
            return Err(FsError::NotAFile { what: READ, path });
        }
        Ok(DiskReader { access, node, at: 0 })
    }

    pub(in crate::fs) fn read_range(
        &self,
        path: &Inner,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, FsError> {
        let mut stream = self.read_stream(path)?;
        stream.at = offset;
        let mut content = Vec::new();
        stream
            .take(length as u64)
            .read_to_end(&mut content)
            .map_err(FsError::new(READ, path))?;
        Ok(content)
    }

    pub(in crate::fs) fn list(&self, path: &Inner) -> Result<Vec<DirEntry>, FsError> {
        self.reading("list", path, |editor| {
            let directory = editor.resolve(bytes(path), Follow::All)?;
            let mut entries = Vec::new();
            for entry in editor.list(&directory)? {
                let node = editor.node(entry.inode)?;
                entries.push(DirEntry {
                    name: OsString::from_vec(entry.name),
                    stat: stat_of(&node),
                });
            }
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(entries)
        })
    }

    pub(in crate::fs) fn stat(&self, path: &Inner) -> Result<FileStat, FsError> {
        self.stat_with(path, Follow::All)
    }

    pub(in crate::fs) fn symlink_stat(&self, path: &Inner) -> Result<FileStat, FsError> {
        self.stat_with(path, Follow::Parents)
    }

    fn stat_with(&self, path: &Inner, follow: Follow) -> Result<FileStat, FsError> {
        let look = |editor: &mut Editor| editor.resolve(bytes(path), follow).map(|node| stat_of(&node));
        self.reading("stat", path, look)
    }

    pub(in crate::fs) fn read_link(&self, path: &Inner) -> Result<PathBuf, FsError> {
        self.reading("readlink", path, |editor| {
            let link = editor.resolve(bytes(path), Follow::Parents)?;
            match editor.target(&link) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                    Err(io::Error::other("not a link"))
                }
                target => Ok(OsStr::from_bytes(&target?).into()),
            }
        })
    }
}

pub(super) fn stat_of(node: &Node) -> FileStat {
    let kind = if node.is_directory() {
        EntryKind::Directory
    } else if node.is_file() {
        EntryKind::File
    } else if node.is_link() {
        EntryKind::Link
    } else {
        EntryKind::Special
    };
    let (uid, gid) = node.owner();
    let modified = node.modified();
    FileStat {
        kind,
        size: if kind == EntryKind::Special {
            0
        } else {
            node.size()
        },
        mode: u32::from(node.fixed.mode.get() & 0o7777),
        uid,
        gid,
        links: u64::from(node.fixed.links.get()),
        modified: time(modified.seconds, u64::from(modified.nanoseconds)),
    }
}
