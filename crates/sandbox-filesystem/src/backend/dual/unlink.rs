//! Names that go.

use std::ffi::OsStr;
use std::sync::Arc;

use super::DualFs;
use super::copy::Keep;
use super::crash::crash_point;
use super::look::{Need, Seen, Shown};
use super::node::{Life, Node};
use super::policy::Plan;
use super::side::{Held, ourselves};
use super::staging::{Form, clear, make_whiteout, move_out};
use crate::backend::union::plan::{Removal, removal};
use crate::fs::{Context, Errno, FsResult, Ino, RenameFlags};

impl DualFs {
    pub(super) fn do_unlink(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        plan: &Plan,
    ) -> FsResult<()> {
        let dir = self.directory(parent)?;
        self.check_old_name(&dir, name)?;
        self.ready_to_lose(ctx, &dir, name, plan, |is_directory| {
            if is_directory { Err(Errno::EISDIR) } else { Ok(()) }
        })?;
        let _names = dir.changing_live()?;
        let seen = self.look(ctx, &dir, name, plan.view, Need::Both)?;
        let node = self.known(ctx, &dir, name, &seen)?.node;
        if node.is_directory() {
            return Err(Errno::EISDIR);
        }
        self.take_away(ctx, &dir, name, &seen)?;
        crash_point("remove: done");
        node.leave(&dir, name);
        self.name_gone(ctx, &node, &seen)
    }

    pub(super) fn do_rmdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, plan: &Plan) -> FsResult<()> {
        let dir = self.directory(parent)?;
        self.check_old_name(&dir, name)?;
        self.ready_to_lose(ctx, &dir, name, plan, |is_directory| {
            if is_directory { Ok(()) } else { Err(Errno::ENOTDIR) }
        })?;
        let _names = dir.changing_live()?;
        let seen = self.look(ctx, &dir, name, plan.view, Need::Both)?;
        let node = self.known(ctx, &dir, name, &seen)?.node;
        if !node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let mut inside = node.changing();
        if !self.is_empty(&node, plan)? {
            return Err(Errno::ENOTEMPTY);
        }
        self.take_away(ctx, &dir, name, &seen)?;
        crash_point("remove: done");
        *inside = Life::Removed;
        drop(inside);
        self.directory_gone(&dir, name, &node);
        Ok(())
    }

    /// Nothing is remembered of a directory that is gone.
    pub(super) fn directory_gone(&self, dir: &Arc<Node>, name: &OsStr, node: &Arc<Node>) {
        node.leave(dir, name);
        node.set_links(-1);
        self.forget_memory(node);
    }

    pub(super) fn forget_memory(&self, node: &Node) {
        let memory = std::mem::take(&mut *node.memory());
        drop(memory);
        self.table.unpin(node);
    }

    /// The directory is in A where it has to hold a whiteout; what can be told to fail fails before.
    fn ready_to_lose(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        plan: &Plan,
        check: impl FnOnce(bool) -> FsResult<()>,
    ) -> FsResult<Arc<Held>> {
        {
            let _looking = dir.looking();
            let seen = self.look(ctx, dir, name, plan.view, Need::Seen)?;
            let shown = match seen.shown {
                Shown::Nothing => None,
                Shown::B => seen.b.as_ref(),
                Shown::A | Shown::Both => seen.a.as_ref(),
            };
            check(shown.ok_or(Errno::ENOENT)?.is_directory())?;
        }
        self.raise(dir, Keep::All)
    }

    /// The name leads to nothing from now on, in one step. The names are locked, and the directory is in A.
    pub(super) fn take_away(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        seen: &Seen,
    ) -> FsResult<()> {
        let a = dir.raised()?;
        let is_directory = seen.a.as_ref().is_some_and(super::side::There::is_directory);
        let how = removal(seen.upper(), seen.beneath());
        if how == Removal::Remove {
            return Self::remove(ctx, &a, name, seen, is_directory);
        }
        let staging = self.staging()?;
        if !staging.able.keeps() {
            return self.hide_in_memory(ctx, dir, &a, name, seen, is_directory);
        }
        if staging.able.whiteout == Some(Form::Attribute) {
            self.holds_attributes(dir)?;
            crash_point("remove: attributes");
        } else if how == Removal::AddWhiteout {
            return make_whiteout(&a, name, Form::Device);
        }
        let whiteout = staging.whiteout()?;
        crash_point("remove: whiteout staged");
        let flags = match how {
            Removal::ExchangeWithWhiteout => RenameFlags::EXCHANGE,
            _ => RenameFlags::empty(),
        };
        move_out(&whiteout, &a, name, flags)?;
        crash_point("remove: moved");
        // What has come to staging by this is removed there.
        Ok(())
    }

    /// There is nothing beneath.
    fn remove(ctx: &Context<'_>, a: &Held, name: &OsStr, seen: &Seen, is_directory: bool) -> FsResult<()> {
        if !is_directory {
            return a.fs.unlink(ctx, a.ino, name);
        }
        if let Some(there) = &seen.a {
            // Whiteouts, which hide nothing any more.
            clear(&there.held)?;
            crash_point("remove: cleared");
        }
        a.fs.rmdir(ctx, a.ino, name)
    }

    fn hide_in_memory(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        a: &Held,
        name: &OsStr,
        seen: &Seen,
        is_directory: bool,
    ) -> FsResult<()> {
        self.whiteout_in_memory(dir, name);
        if seen.a.is_none() {
            return a.touch(&ourselves());
        }
        let removed = Self::remove(ctx, a, name, seen, is_directory);
        if removed.is_err() {
            dir.memory().whiteouts.remove(name);
        }
        removed
    }

    pub(super) fn whiteout_in_memory(&self, dir: &Arc<Node>, name: &OsStr) {
        dir.memory().whiteouts.insert(name.to_owned());
        self.table.pin(dir);
    }

    /// A file has a name less, which was B's where that was what was seen.
    pub(super) fn name_gone(&self, ctx: &Context<'_>, node: &Arc<Node>, seen: &Seen) -> FsResult<()> {
        let was_in_b = seen.shown == Shown::B;
        if !was_in_b && node.links() == 0 {
            return self.end_if_nameless(ctx, node);
        }
        let top = node.top()?;
        let links = i64::from(top.attr(ctx)?.nlink) + node.links() - i64::from(was_in_b);
        if links > 0 {
            return if was_in_b {
                self.count_links(node, -1)
            } else {
                Ok(())
            };
        }
        if node.a().is_some() || node.links() < 0 {
            self.leave_index(node)?;
        }
        let left = top.attr(ctx)?.nlink;
        node.set_links(-i64::from(left));
        self.forget_memory(node);
        Ok(())
    }

    /// What is remembered of a file without a name is of no use.
    fn end_if_nameless(&self, ctx: &Context<'_>, node: &Arc<Node>) -> FsResult<()> {
        let has_memory = !node.memory().notes.is_empty();
        if has_memory && node.top()?.attr(ctx)?.nlink == 0 {
            self.forget_memory(node);
        }
        Ok(())
    }
}
