//! Writing files: whole or not at all, and in place.

use std::fmt;
use std::io::{self, Write};

use rustix::io::Errno;

use super::DiskFs;
use super::access::{Access, bytes, owner};
use crate::ext4::edit::{Editor, Filling, Follow, NewNode, Node};
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::lock::Share;

const WRITE: &str = "write";
/// A regular file, for everybody to read.
const NEW_FILE: u16 = 0o100_644;
/// What others than the owner get of other permissions, too.
const NEW_MASK: u32 = 0o755;

/// A file that is being written into blocks of which nothing on the disk says anything yet. Dropped before it is
/// finished, it has never been there.
pub(in crate::fs) struct DiskWriter {
    access: Access,
    filling: Filling,
    path: Inner,
    /// Of one that replaces none.
    mode: u16,
}

impl fmt::Debug for DiskWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Write for DiskWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.access.editor.fill(&mut self.filling, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskWriter {
    pub(in crate::fs) fn finish(mut self) -> Result<(), FsError> {
        let (path, filling, mode) = (&self.path, &mut self.filling, self.mode);
        let put = |editor: &mut Editor| {
            let (mut parent, name) = editor.resolve_parent(bytes(path))?;
            let mode = match replaced(editor, &parent, name)? {
                Some(old) => 0o100_000 | old.fixed.mode.get() & 0o777,
                None => mode,
            };
            editor.put_file(&mut parent, name, &NewNode::plain(mode, owner()), filling)
        };
        let done = self.access.editor.change(put);
        done.map(drop).map_err(FsError::new(WRITE, path))
    }
}

/// The file that will be replaced, whose permissions are kept.
fn replaced(editor: &mut Editor, parent: &Node, name: &[u8]) -> io::Result<Option<Node>> {
    let Some(found) = editor.look_up(parent, name)? else {
        return Ok(None);
    };
    let old = editor.node(found.inode)?;
    if old.is_directory() {
        return Err(Errno::ISDIR.into());
    }
    Ok(Some(old).filter(Node::is_file))
}

impl DiskFs {
    /// Where it replaces none, it has `permissions` without those for others to write, else those that new files have.
    pub(in crate::fs) fn write_stream(
        &self,
        path: &Inner,
        permissions: Option<u32>,
    ) -> Result<DiskWriter, FsError> {
        let mut access = self.access(WRITE, path, Share::Exclusive)?;
        let look = |editor: &mut Editor| {
            let (parent, name) = editor.resolve_parent(bytes(path))?;
            replaced(editor, &parent, name)
        };
        look(&mut access.editor).map_err(FsError::new(WRITE, path))?;
        Ok(DiskWriter {
            access,
            filling: Filling::default(),
            path: path.clone(),
            mode: permissions.map_or(NEW_FILE, |permissions| {
                0o100_000 | u16::try_from(permissions & NEW_MASK).unwrap_or_default()
            }),
        })
    }

    pub(in crate::fs) fn write_range(
        &self,
        path: &Inner,
        offset: u64,
        content: &[u8],
    ) -> Result<(), FsError> {
        self.in_place(path, Missing::Make, |editor, node| {
            editor.overwrite(node, offset, content)
        })
    }

    pub(in crate::fs) fn append(&self, path: &Inner, content: &[u8]) -> Result<(), FsError> {
        self.in_place(path, Missing::Make, |editor, node| {
            let end = node.size();
            editor.overwrite(node, end, content)
        })
    }

    pub(in crate::fs) fn set_len(&self, path: &Inner, length: u64) -> Result<(), FsError> {
        self.in_place(path, Missing::Refuse, |editor, node| editor.set_len(node, length))
    }

    fn in_place(
        &self,
        path: &Inner,
        missing: Missing,
        work: impl FnOnce(&mut Editor, &mut Node) -> io::Result<()>,
    ) -> Result<(), FsError> {
        let mut is_file = true;
        let changed = self.changing(WRITE, path, |editor| {
            let mut node = match editor.resolve(bytes(path), Follow::All) {
                Err(error) if missing == Missing::Make && is_nothing(&error) => {
                    let (mut parent, name) = editor.resolve_new(bytes(path))?;
                    let new = NewNode::plain(NEW_FILE, owner());
                    editor.put_file(&mut parent, &name, &new, &mut Filling::default())?
                }
                found => found?,
            };
            if node.is_directory() {
                return Err(Errno::ISDIR.into());
            }
            is_file = node.is_file();
            if !is_file {
                return Err(Errno::INVAL.into());
            }
            work(editor, &mut node)
        });
        if is_file {
            changed
        } else {
            let path = path.shown();
            Err(FsError::NotAFile { what: WRITE, path })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
}

fn is_nothing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOENT)
}
