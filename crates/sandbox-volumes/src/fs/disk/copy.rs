//! A disk's side of a copy.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use sandbox_types::TreeTime;

use super::DiskFs;
use super::access::bytes;
use crate::copy::across::{Content, From, Item, Kind, To, buffer};
use crate::copy::{CopyProgress, Failed};
use crate::ext4::edit::{Editor, Filling, Follow, NewNode, Node, Owner};
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::lock::Share;

const COPY: &str = "copy";

/// A disk that is copied from or to, or both.
pub(in crate::fs) struct DiskSide<'e>(&'e RefCell<&'e mut Editor>);

impl DiskFs {
    /// Copies something out of it.
    pub(in crate::fs) fn copying_from(
        &self,
        path: &Inner,
        work: impl FnOnce(&mut DiskSide<'_>) -> Result<CopyProgress, Failed>,
    ) -> Result<(), FsError> {
        let mut access = self.access(COPY, path, Share::Shared)?;
        let editor = RefCell::new(&mut access.editor);
        work(&mut DiskSide(&editor)).map(drop).map_err(explained)
    }

    /// Copies something into it, or within it.
    pub(in crate::fs) fn copying_to(
        &self,
        path: &Inner,
        work: impl FnOnce(&mut DiskSide<'_>, &mut DiskSide<'_>) -> Result<CopyProgress, Failed>,
    ) -> Result<(), FsError> {
        let mut access = self.access(COPY, path, Share::Exclusive)?;
        let mut failure = None;
        let changed = access.editor.change(|editor| {
            let editor = RefCell::new(editor);
            let result = work(&mut DiskSide(&editor), &mut DiskSide(&editor));
            result.map(drop).map_err(|failed| {
                let error = io::Error::from(failed.source.kind());
                failure = Some(failed);
                error
            })
        });
        match failure {
            Some(failed) => Err(explained(failed)),
            None => changed.map_err(FsError::new(COPY, path)),
        }
    }
}

fn explained(failed: Failed) -> FsError {
    FsError::at(COPY, failed.path)(failed.source)
}

struct DiskContent<'e> {
    editor: &'e RefCell<&'e mut Editor>,
    node: Node,
}

impl Content for DiskContent<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.editor.borrow_mut().read_content(&self.node, offset, buffer)
    }
}

impl From for DiskSide<'_> {
    fn item(&mut self, path: &Inner) -> io::Result<Item> {
        let mut editor = self.0.borrow_mut();
        let node = editor.resolve(bytes(path), Follow::Parents)?;
        let (uid, gid) = node.owner();
        let file_type = u32::from(node.fixed.file_type());
        let kind = match file_type {
            0o040_000 => Kind::Directory,
            0o100_000 => Kind::File,
            0o120_000 => Kind::Link(editor.target(&node)?),
            0o140_000 => Kind::Socket,
            _ => Kind::Special {
                file_type,
                device: node.device(),
            },
        };
        Ok(Item {
            shared: (node.fixed.links.get() > 1 && kind != Kind::Directory)
                .then_some((0, u64::from(node.number))),
            kind,
            size: node.size(),
            permissions: u32::from(node.fixed.mode.get() & 0o7777),
            uid,
            gid,
            accessed: node.accessed(),
            modified: node.modified(),
            xattrs: editor.xattrs(&node)?,
        })
    }

    fn names(&mut self, path: &Inner) -> io::Result<Vec<OsString>> {
        let mut editor = self.0.borrow_mut();
        let directory = editor.resolve(bytes(path), Follow::Parents)?;
        let entries = editor.list(&directory)?.into_iter();
        Ok(entries.map(|entry| OsString::from_vec(entry.name)).collect())
    }

    fn content(&mut self, path: &Inner) -> io::Result<Box<dyn Content + '_>> {
        let node = self.0.borrow_mut().resolve(bytes(path), Follow::Parents)?;
        Ok(Box::new(DiskContent { editor: self.0, node }))
    }
}

impl DiskSide<'_> {
    /// Makes something in the directory that `path` is in, and ends the transaction where it has become large.
    fn make<T>(
        &mut self,
        path: &Inner,
        work: impl FnOnce(&mut Editor, &mut Node, &[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut editor = self.0.borrow_mut();
        let (mut parent, name) = editor.resolve_parent(bytes(path))?;
        let made = work(&mut editor, &mut parent, name)?;
        editor.commit_if_large()?;
        Ok(made)
    }
}

impl To for DiskSide<'_> {
    fn directory(&mut self, path: &Inner, item: &Item) -> io::Result<()> {
        let new = node_of(0o040_000, item);
        self.make(path, |editor, parent, name| {
            editor.make_directory(parent, name, &new).map(drop)
        })
    }

    fn finish_directory(&mut self, path: &Inner, item: &Item) -> io::Result<()> {
        let mut editor = self.0.borrow_mut();
        let mut node = editor.resolve(bytes(path), Follow::Parents)?;
        editor.set_attributes(&mut node, None, Some((item.accessed, item.modified)))?;
        editor.commit_if_large()
    }

    fn file(
        &mut self,
        path: &Inner,
        item: &Item,
        next: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut filling = Filling::default();
        let mut buffer = buffer();
        loop {
            let read = next(&mut buffer)?;
            if read == 0 {
                break;
            }
            let piece = buffer.get(..read).unwrap_or_default();
            self.0.borrow_mut().fill(&mut filling, piece)?;
        }
        let new = node_of(0o100_000, item);
        self.make(path, |editor, parent, name| {
            if editor.look_up(parent, name)?.is_some() {
                return Err(rustix::io::Errno::EXIST.into());
            }
            editor.put_file(parent, name, &new, &mut filling).map(drop)
        })
    }

    fn link(&mut self, path: &Inner, target: &[u8], item: &Item) -> io::Result<()> {
        let new = node_of(0o120_000, item);
        self.make(path, |editor, parent, name| {
            editor.make_link(parent, name, target, &new).map(drop)
        })
    }

    fn special(&mut self, path: &Inner, file_type: u32, device: (u32, u32), item: &Item) -> io::Result<()> {
        let new = node_of(u16::try_from(file_type).unwrap_or_default(), item);
        let numbers = crate::ext4::edit::device_numbers(device);
        self.make(path, |editor, parent, name| {
            editor.make_special(parent, name, numbers, &new).map(drop)
        })
    }

    fn hard_link(&mut self, first: &Inner, path: &Inner) -> io::Result<()> {
        self.make(path, |editor, parent, name| {
            let node = editor.resolve(bytes(first), Follow::Parents)?;
            editor.link(parent, name, node.number)
        })
    }
}

fn node_of(file_type: u16, item: &Item) -> NewNode {
    NewNode {
        mode: file_type | u16::try_from(item.permissions & 0o7777).unwrap_or_default(),
        owner: Owner {
            uid: item.uid,
            gid: item.gid,
        },
        times: Some::<(TreeTime, TreeTime)>((item.accessed, item.modified)),
        xattrs: item.xattrs.clone(),
    }
}
