//! Materialisation: what is in B gets a copy in A, once, whoever asks for it.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::DualFs;
use super::copy::{Keep, Original, copy, times_of};
use super::node::{Node, Place};
use super::notes::{Kept, NUMBER, format_number};
use super::side::{Held, Looked, There, ourselves};
use super::staging::{Staged, move_out};
use crate::backend::union::Turn;
use crate::backend::union::marks;
use crate::fs::{Attr, Context, Errno, FsResult, RenameFlags};

impl DualFs {
    /// The part in A, which is made where there is none. Nobody who calls this holds a lock.
    pub(super) fn raise(&self, node: &Arc<Node>, keep: Keep) -> FsResult<Arc<Held>> {
        loop {
            if let Some(a) = node.a() {
                return Ok(a);
            }
            if let Turn::Own(_own) = self.once.turn(node.ino) {
                if node.a().is_some() {
                    continue;
                }
                return if node.is_directory() {
                    self.raise_directory(node)
                } else {
                    self.raise_file(node, keep)
                };
            }
        }
    }

    /// As it is in B.
    fn original(node: &Node) -> FsResult<(Arc<Held>, Attr)> {
        let b = node.b().ok_or(Errno::ESTALE)?;
        let attr = b.attr(&ourselves())?;
        Ok((b, attr))
    }

    fn raise_directory(&self, node: &Arc<Node>) -> FsResult<Arc<Held>> {
        let place = node.place().ok_or(Errno::ENOENT)?;
        let parent = self.raise(&place.parent, Keep::All)?;
        let (b, attr) = Self::original(node)?;
        let staging = self.staging()?;
        let original = Original { held: &b, attr };
        let (staged, there) = copy(&staging, &original, Keep::All, self.durability)?;
        let kept = self.mark_number(&there, node.number())?;
        let names = place.parent.changing_live()?;
        if !self.is_still_there(&place, &b)? {
            return Err(Errno::ENOENT);
        }
        self.put(&place, &parent, &staged)?;
        self.table.attach(node, &there.held);
        self.settle(node, kept);
        drop(names);
        Ok(there.held)
    }

    fn raise_file(&self, node: &Arc<Node>, keep: Keep) -> FsResult<Arc<Held>> {
        let (b, attr) = Self::original(node)?;
        let place = node.place();
        let parent = match &place {
            Some(place) => Some(self.raise(&place.parent, Keep::All)?),
            None => None,
        };
        let staging = self.staging()?;
        let original = Original { held: &b, attr };
        let (staged, there) = copy(&staging, &original, keep, self.durability)?;
        let kept = self.mark_number(&there, node.number())?;
        let key = if attr.nlink > 1 && i64::from(attr.nlink) + node.links() > 0 {
            self.enter_index(&there, &attr)?
        } else {
            None
        };
        let indexed = i64::from(key.is_some());
        if attr.nlink > 1 && key.is_none() {
            // Other names find it for as long as somebody remembers it.
            self.table.pin(node);
        }
        let visible = i64::from(attr.nlink) + node.links();
        let named = match (&place, &parent) {
            (Some(place), Some(parent)) => {
                let names = place.parent.changing();
                let there_still = self.is_still_there(place, &b)?;
                if there_still {
                    self.note_links(&there, visible - 1 - indexed)?;
                    self.put(place, parent, &staged)?;
                    node.set_links(visible - 1 - indexed);
                    self.table.attach(node, &there.held);
                }
                drop(names);
                there_still
            }
            _ => false,
        };
        if !named {
            // Gone meanwhile, or known by another name alone. The copy loses its name when this ends.
            self.note_links(&there, visible - indexed)?;
            drop(staged);
            node.set_links(visible - indexed);
            self.table.attach(node, &there.held);
        }
        self.settle(node, kept);
        Ok(there.held)
    }

    /// Whether the name still leads to the file of B, with nothing of A's above it that has to stay. The names are locked.
    fn is_still_there(&self, place: &Place, b: &Held) -> FsResult<bool> {
        let ctx = ourselves();
        let parts = place.parent.parts();
        let (Some(above), Some(beneath)) = (parts.a, parts.b) else {
            return Ok(false);
        };
        let same =
            matches!(beneath.look(&ctx, &place.name)?, Looked::There(there) if there.held.ino == b.ino);
        if !same || place.parent.memory().whiteouts.contains(&place.name) {
            return Ok(false);
        }
        match above.look(&ctx, &place.name)? {
            Looked::Nothing(_) => Ok(true),
            // A file that was there before, which B's was seen instead of.
            Looked::There(there) if there.kind() == libc::S_IFREG => Ok(!self
                .is_attribute_whiteout(&place.parent, &there)?
                && self.note_of(&there, NUMBER)?.is_none()),
            Looked::There(_) => Ok(false),
        }
    }

    /// What could not be noted in A is remembered.
    fn settle(&self, node: &Arc<Node>, kept: Kept) {
        if kept == Kept::Not {
            self.remember(node, NUMBER, &format_number(node.number()));
        }
    }

    pub(super) fn mark_number(&self, there: &There, number: u64) -> FsResult<Kept> {
        self.mark(&there.held, there.kind(), NUMBER, &format_number(number))
    }

    /// How many names there are beyond those in A, where files can carry that.
    fn note_links(&self, there: &There, links: i64) -> FsResult<()> {
        if links == 0 {
            return Ok(());
        }
        let links = i32::try_from(links).map_err(|_| Errno::EMLINK)?;
        let value = marks::format_nlink(links);
        match self.mark(&there.held, there.kind(), marks::NLINK, value.as_bytes())? {
            Kept::InA | Kept::Not => Ok(()),
        }
    }

    /// What is in staging gets its name in a directory whose names are locked, whose times stay.
    fn put(&self, place: &Place, parent: &Held, staged: &Staged) -> FsResult<()> {
        self.becomes_impure(&place.parent)?;
        let ctx = ourselves();
        let before = parent.attr(&ctx)?;
        move_out(staged, parent, &place.name, RenameFlags::empty())?;
        parent.set(&ctx, &times_of(&before)).map(drop)
    }

    /// Makes the copy reachable from B's other names. None where A has no links.
    fn enter_index(&self, copy: &There, original: &Attr) -> FsResult<Option<OsString>> {
        if copy.kind() != libc::S_IFREG {
            return Ok(None);
        }
        let index = Arc::clone(&self.staging()?.index);
        let key = index_key(original);
        match index.fs.link(&ourselves(), copy.held.ino, index.ino, &key) {
            Ok(entry) => {
                drop(index.adopt(&entry)?);
                Ok(Some(key))
            }
            Err(Errno::EPERM | Errno::ENOSYS | Errno::ENOTSUP | Errno::EMLINK) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The copy of a file of B that has several names.
    pub(super) fn indexed(&self, ctx: &Context<'_>, there: &There) -> FsResult<Option<There>> {
        if there.kind() != libc::S_IFREG || there.attr.nlink < 2 {
            return Ok(None);
        }
        let Some(index) = self.index_if_any(ctx)? else {
            return Ok(None);
        };
        let found = index.look(ctx, &index_key(&there.attr))?.there();
        Ok(found.filter(|copy| copy.kind() == libc::S_IFREG))
    }

    /// No name leads to the file any more: the index does not either.
    pub(super) fn leave_index(&self, node: &Node) -> FsResult<()> {
        let Some(b) = node.b() else { return Ok(()) };
        let ctx = ourselves();
        let Some(index) = self.index_if_any(&ctx)? else {
            return Ok(());
        };
        let key = index_key(&b.attr(&ctx)?);
        match index.fs.unlink(&ctx, index.ino, &key) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A name of B's of a file that has a copy leads to the copy from then on. The directory's names are locked, and it is in A.
    pub(super) fn link_name(&self, dir: &Arc<Node>, name: &OsStr, node: &Arc<Node>) -> FsResult<()> {
        let (parent, copy) = (dir.raised()?, node.raised()?);
        let ctx = ourselves();
        self.becomes_impure(dir)?;
        let before = parent.attr(&ctx)?;
        // In staging first, since a file that was there before may have the name in A.
        let staged = self.staging()?.name();
        let stage = &staged.staging.stage;
        let entry = parent.fs.link(&ctx, copy.ino, stage.ino, &staged.name)?;
        drop(parent.adopt(&entry)?);
        move_out(&staged, &parent, name, RenameFlags::empty())?;
        parent.set(&ctx, &times_of(&before))?;
        self.count_links(node, -1)
    }

    /// So many names more than the backend counts.
    pub(super) fn count_links(&self, node: &Arc<Node>, more: i64) -> FsResult<()> {
        let links = node.links() + more;
        node.set_links(links);
        match node.a() {
            None => self.table.pin(node),
            Some(a) => {
                let links = i32::try_from(links).map_err(|_| Errno::EMLINK)?;
                let value = marks::format_nlink(links);
                if self.mark(&a, node.kind, marks::NLINK, value.as_bytes())? == Kept::Not {
                    self.table.pin(node);
                }
            }
        }
        Ok(())
    }
}

/// By what a file of B is known again: its number, and when it was changed, so that another one with the same number is not
/// taken for it.
fn index_key(attr: &Attr) -> OsString {
    let time = attr.ctime;
    OsString::from(format!(
        "{:x}-{:x}.{:x}",
        attr.ino, time.seconds, time.nanoseconds
    ))
}
