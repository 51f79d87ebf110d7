//! Materialisation: what is in B gets a copy in A, once, whoever asks for it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::DualFs;
use super::copy::{Keep, Original, copy, times_of};
use super::crash::crash_point;
use super::create::seen_in_a;
use super::index::{is_several, key};
use super::lookup::shown_number;
use super::node::{Node, Place};
use super::notes::{Kept, NUMBER, format_number};
use super::side::{Held, Looked, Side, There, ourselves};
use super::staging::{Staged, move_out};
use crate::backend::union::Turn;
use crate::backend::union::marks;
use crate::fs::{Attr, Errno, FsResult, RenameFlags};

/// How often directories may change their places under a copy before it gives up.
const TRIES: usize = 8;

/// What is done with a part in A.
pub(super) type Act<'a> = dyn FnMut(&Arc<Held>) -> FsResult<()> + 'a;

/// A copy that has a name.
pub(super) struct Linkable {
    pub(super) held: Arc<Held>,
    _named: Option<Staged>,
}

impl DualFs {
    /// The part in A, which is made where there is none, and so is that of every directory above. Nobody who calls this holds
    /// a lock.
    pub(super) fn raise(&self, node: &Arc<Node>, keep: Keep) -> FsResult<Arc<Held>> {
        self.raise_and(node, keep, &mut |_| Ok(()))
    }

    /// As `raise`, and does something with the part in A; with a copy before it has its name, so that where it fails all is
    /// as it was, also what would have been cut off. Where it is called several times, the last one is with what is returned.
    pub(super) fn raise_and(&self, node: &Arc<Node>, keep: Keep, act: &mut Act<'_>) -> FsResult<Arc<Held>> {
        for _ in 1..TRIES {
            match self.raise_with_parents(node, keep, act) {
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        self.raise_with_parents(node, keep, act)
    }

    fn raise_with_parents(&self, node: &Arc<Node>, keep: Keep, act: &mut Act<'_>) -> FsResult<Arc<Held>> {
        // No recursion: a tree can be deeper than a thread's stack.
        let mut above = Vec::new();
        let mut at = Arc::clone(node);
        while at.a().is_none()
            && let Some(place) = at.place()
        {
            at = place.parent;
            above.push(Arc::clone(&at));
        }
        for dir in above.iter().rev() {
            self.raise_alone(dir, Keep::All, &mut |_| Ok(()))?;
        }
        self.raise_alone(node, keep, act)
    }

    /// As `raise`, for what is in a directory that is in A; `ESTALE` where it is in another one by now.
    fn raise_alone(&self, node: &Arc<Node>, keep: Keep, act: &mut Act<'_>) -> FsResult<Arc<Held>> {
        loop {
            if let Some(a) = node.a() {
                act(&a)?;
                return Ok(a);
            }
            if let Turn::Own(_own) = self.once.turn(node.ino) {
                if node.a().is_some() {
                    continue;
                }
                return if node.is_directory() {
                    self.raise_directory(node, act)
                } else {
                    self.raise_file(node, keep, act)
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

    fn raise_directory(&self, node: &Arc<Node>, act: &mut Act<'_>) -> FsResult<Arc<Held>> {
        let place = node.place().ok_or(Errno::ENOENT)?;
        let parent = place.parent.raised()?;
        let (b, attr) = Self::original(node)?;
        let staging = self.staging()?;
        let original = Original { held: &b, attr };
        let (staged, there) = copy(&staging, &original, Keep::All, self.durability)?;
        let kept = self.mark_number(&there, node.number())?;
        act(&there.held)?;
        crash_point("copy: dir staged");
        let names = place.parent.changing_live()?;
        if !self.is_still_there(&place, &b)? {
            return Err(Errno::ENOENT);
        }
        self.put(&place, &parent, &staged)?;
        crash_point("copy: dir in place");
        self.table.attach(node, &there.held);
        self.settle(node, kept);
        drop(names);
        Ok(there.held)
    }

    fn raise_file(&self, node: &Arc<Node>, keep: Keep, act: &mut Act<'_>) -> FsResult<Arc<Held>> {
        let (b, attr) = Self::original(node)?;
        let place = node.place();
        let parent = match &place {
            Some(place) => Some(place.parent.raised()?),
            None => None,
        };
        let staging = self.staging()?;
        let original = Original { held: &b, attr };
        let (staged, there) = copy(&staging, &original, keep, self.durability)?;
        let kept = if is_several(&attr) {
            let noted = [&*format_number(node.number()), b" ", key(&attr).as_bytes()].concat();
            self.mark(&there.held, there.kind(), NUMBER, &noted)?
        } else {
            self.mark_number(&there, node.number())?
        };
        act(&there.held)?;
        crash_point("copy: staged");
        let indexed = self.prepare_names(node, &there, &attr)?;
        // Other names can go meanwhile.
        let uncounted = i64::from(attr.nlink) - i64::from(indexed);
        let mut named = false;
        if let (Some(place), Some(parent)) = (&place, &parent) {
            let _names = place.parent.changing();
            named = self.is_still_there(place, &b)?;
            if named {
                self.put(place, parent, &staged)?;
                crash_point("copy: in place");
                node.add_links(uncounted - 1);
                self.table.attach(node, &there.held);
            }
        }
        if !named {
            // Gone meanwhile, or known by another name alone. The copy loses its name in staging.
            drop(staged);
            node.add_links(uncounted);
            self.table.attach(node, &there.held);
        }
        self.settle(node, kept);
        if attr.nlink > 1 {
            self.note_links(&there, node.links())?;
            self.keep_names_gone(node, 0)?;
        }
        Ok(there.held)
    }

    /// Other names of B's find the copy from now on. Whether it is in the index.
    ///
    /// The number that is noted is never too small, whenever this ends: with the last name that is counted the copy would be
    /// forgotten, and names that are left would show what B has.
    fn prepare_names(&self, node: &Arc<Node>, copy: &There, original: &Attr) -> FsResult<bool> {
        if original.nlink < 2 {
            return Ok(false);
        }
        let names = i64::from(original.nlink) + node.links();
        self.note_links(copy, names)?;
        if names > 0 && self.enter_index(copy, original)? {
            crash_point("copy: indexed");
            return Ok(true);
        }
        // They find it for as long as somebody remembers it.
        self.table.pin(node);
        Ok(false)
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
        let links = i32::try_from(links).map_err(|_| Errno::EMLINK)?;
        let value = marks::format_nlink(links);
        match self.mark(&there.held, there.kind(), marks::NLINK, value.as_bytes())? {
            Kept::InA | Kept::Not => Ok(()),
        }
    }

    /// What is in staging gets its name in a directory whose names are locked, whose times stay.
    fn put(&self, place: &Place, parent: &Held, staged: &Staged) -> FsResult<()> {
        self.becomes_impure(&place.parent)?;
        crash_point("copy: impure");
        let ctx = ourselves();
        let before = parent.attr(&ctx)?;
        move_out(staged, parent, &place.name, RenameFlags::empty())?;
        parent.set(&ctx, &times_of(&before)).map(drop)
    }

    /// A name of B's of a file that has a copy leads to the copy from then on. The directory's names are locked, and it is in A.
    pub(super) fn link_name(&self, dir: &Arc<Node>, name: &OsStr, node: &Arc<Node>) -> FsResult<()> {
        let parent = dir.raised()?;
        let ctx = ourselves();
        self.becomes_impure(dir)?;
        let before = parent.attr(&ctx)?;
        let linkable = self.linkable(node)?;
        // In staging first, since a file that was there before may have the name in A.
        let staged = self.staging()?.name();
        let stage = &staged.staging.stage;
        let entry = parent.fs.link(&ctx, linkable.held.ino, stage.ino, &staged.name)?;
        drop(parent.adopt(&entry)?);
        crash_point("name: linked");
        move_out(&staged, &parent, name, RenameFlags::empty())?;
        crash_point("name: in place");
        parent.set(&ctx, &times_of(&before))?;
        self.count_links(node, -1)
    }

    /// The copy of a file, which has a name in A for as long as this is kept.
    ///
    /// Of what is no file the index has nothing, so that the last of its names in A can have gone when one of B's is to lead
    /// to it, and no backend gives a name to what has none. It is made again then: it has no content, so that nobody can tell.
    pub(super) fn linkable(&self, node: &Arc<Node>) -> FsResult<Linkable> {
        loop {
            let held = node.raised()?;
            if node.kind == libc::S_IFREG || node.links() <= 0 || held.attr(&ourselves())?.nlink > 0 {
                return Ok(Linkable { held, _named: None });
            }
            // Whoever has its turn waits for no lock: there is a copy already.
            let Turn::Own(_own) = self.once.turn(node.ino) else {
                continue;
            };
            let original = Original {
                attr: held.attr(&ourselves())?,
                held: &held,
            };
            let staging = self.staging()?;
            let (staged, there) = copy(&staging, &original, Keep::All, self.durability)?;
            self.table.attach(node, &there.held);
            return Ok(Linkable {
                held: there.held,
                _named: Some(staged),
            });
        }
    }

    /// A copy of the copy, for a name of B's where A has no links: hard links part.
    pub(super) fn own_copy(&self, node: &Arc<Node>) -> FsResult<(Staged, There)> {
        let held = node.raised()?;
        let original = Original {
            attr: held.attr(&ourselves())?,
            held: &held,
        };
        copy(&self.staging()?, &original, Keep::All, self.durability)
    }

    /// The name leads to what is in staging, which is another file than the node from then on. The directory's names are
    /// locked, and it is in A.
    pub(super) fn part_name(
        &self,
        dir: &Arc<Node>,
        name: &OsStr,
        node: &Arc<Node>,
        (staged, own): &(Staged, There),
    ) -> FsResult<()> {
        let parent = dir.raised()?;
        let ctx = ourselves();
        self.becomes_impure(dir)?;
        let number = shown_number(Side::A, own.attr.ino);
        let kept = self.mark_number(own, number)?;
        let before = parent.attr(&ctx)?;
        move_out(staged, &parent, name, RenameFlags::empty())?;
        parent.set(&ctx, &times_of(&before))?;
        if kept == Kept::Not {
            let known = self.known(&ctx, dir, name, &seen_in_a(own.clone()))?;
            self.remember_new(&known.node);
        }
        self.count_links(node, -1)
    }

    /// So many names more than the backend counts.
    pub(super) fn count_links(&self, node: &Arc<Node>, more: i64) -> FsResult<()> {
        let links = node.add_links(more);
        match node.a() {
            None => {
                self.table.pin(node);
                self.keep_names_gone(node, -links)?;
            }
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
