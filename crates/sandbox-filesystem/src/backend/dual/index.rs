//! Files of B that have several names, by whichever they were copied or lost one: how they are known again.
//!
//! Each that was copied has a link in the index. Of one that was not, but has lost names, the index has a symbolic link with
//! their number in it.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::DualFs;
use super::node::Node;
use super::notes::{NUMBER, parse_key};
use super::side::{Held, There, ourselves};
use super::staging::{move_out, staged};
use crate::fs::{Attr, Context, Errno, FsResult, RenameFlags};

/// How names end that say how many names have gone.
const GONE: &str = ".gone";

impl DualFs {
    /// Makes the copy reachable from B's other names. Not done where A has no links, nor for what no number of names can be
    /// noted of.
    pub(super) fn enter_index(&self, copy: &There, original: &Attr) -> FsResult<bool> {
        if copy.kind() != libc::S_IFREG {
            return Ok(false);
        }
        let index = Arc::clone(&self.staging()?.index);
        match index
            .fs
            .link(&ourselves(), copy.held.ino, index.ino, &key(original))
        {
            Ok(entry) => {
                drop(index.adopt(&entry)?);
                Ok(true)
            }
            Err(Errno::EPERM | Errno::ENOSYS | Errno::ENOTSUP | Errno::EMLINK) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The copy of a file of B that has several names.
    pub(super) fn indexed(&self, ctx: &Context<'_>, there: &There) -> FsResult<Option<There>> {
        let found = self.in_index(ctx, there, key)?;
        Ok(found.filter(|copy| copy.kind() == libc::S_IFREG))
    }

    /// How many names of a file of B with several have gone, if it was not copied.
    pub(super) fn names_gone(&self, ctx: &Context<'_>, there: &There) -> FsResult<i64> {
        let found = self.in_index(ctx, there, gone_key)?;
        let Some(noted) = found.filter(|noted| noted.kind() == libc::S_IFLNK) else {
            return Ok(0);
        };
        let number = noted.held.fs.readlink(ctx, noted.held.ino)?;
        let number = std::str::from_utf8(&number)
            .ok()
            .and_then(|text| text.parse().ok());
        Ok(number.filter(|number| *number > 0).unwrap_or(0))
    }

    fn in_index(
        &self,
        ctx: &Context<'_>,
        there: &There,
        name: fn(&Attr) -> OsString,
    ) -> FsResult<Option<There>> {
        if !is_several(&there.attr) {
            return Ok(None);
        }
        let Some(index) = self.index_if_any(ctx)? else {
            return Ok(None);
        };
        Ok(index.look(ctx, &name(&there.attr))?.there())
    }

    /// Keeps how many names of a file have gone that is not copied, as the target of a link, which is there or is not; nothing
    /// where none have gone.
    pub(super) fn keep_names_gone(&self, node: &Node, number: i64) -> FsResult<()> {
        let staging = self.staging()?;
        let Some(b) = node.b() else { return Ok(()) };
        if node.kind != libc::S_IFREG || !staging.able.keeps() {
            return Ok(());
        }
        let ctx = ourselves();
        let name = gone_key(&b.attr(&ctx)?);
        if number <= 0 {
            return remove(&staging.index, &name);
        }
        let new = staging.name();
        let stage = &*staging.stage;
        let number = OsString::from(number.to_string());
        match staged(stage.fs.symlink(&ctx, stage.ino, &new.name, &number), stage) {
            Ok(_) => move_out(&new, &staging.index, &name, RenameFlags::empty()),
            // It is in memory.
            Err(Errno::EPERM | Errno::ENOSYS | Errno::ENOTSUP) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// No name leads to the file any more: the index does not either.
    pub(super) fn leave_index(&self, node: &Node) -> FsResult<()> {
        let ctx = ourselves();
        let Some(index) = self.index_if_any(&ctx)?.filter(|_| node.kind == libc::S_IFREG) else {
            return Ok(());
        };
        if let Some(a) = node.a() {
            // Where all its names are A's, nobody knows of B's file any more.
            let noted = self.note(&a, node.kind, NUMBER)?;
            if let Some(key) = noted.as_deref().and_then(parse_key) {
                remove(&index, OsStr::new(key))?;
            }
        } else if let Some(b) = node.b() {
            remove(&index, &gone_key(&b.attr(&ctx)?))?;
        }
        Ok(())
    }
}

/// By what a file of B is known again: its number, and when it was changed, so that another one with the same number is not
/// taken for it.
pub(super) fn key(attr: &Attr) -> OsString {
    let time = attr.ctime;
    OsString::from(format!(
        "{:x}-{:x}.{:x}",
        attr.ino, time.seconds, time.nanoseconds
    ))
}

fn gone_key(attr: &Attr) -> OsString {
    let mut key = key(attr);
    key.push(GONE);
    key
}

/// Whether it is a file with several names.
pub(super) fn is_several(attr: &Attr) -> bool {
    attr.mode & libc::S_IFMT == libc::S_IFREG && attr.nlink > 1
}

fn remove(index: &Held, name: &OsStr) -> FsResult<()> {
    match index.fs.unlink(&ourselves(), index.ino, name) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
