//! More names for a file.

use std::ffi::OsStr;

use super::DualFs;
use super::copy::Keep;
use super::create::seen_in_a;
use super::look::Need;
use super::notes::{Kept, NUMBER};
use super::policy::Plan;
use super::staging::move_out;
use crate::fs::{Context, Entry, Errno, FsResult, Ino, RenameFlags};

impl DualFs {
    pub(super) fn do_link(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        parent: Ino,
        name: &OsStr,
        plan: &Plan,
    ) -> FsResult<Entry> {
        let node = self.table.get(ino)?;
        if node.is_directory() {
            return Err(Errno::EPERM);
        }
        let dir = self.directory(parent)?;
        let a = self.ready_for(ctx, &dir, name, plan)?;
        self.raise(&node, Keep::All)?;
        let _names = dir.changing_live()?;
        let seen = self.look(ctx, &dir, name, plan.view, Need::Both)?;
        if !seen.is_nothing() {
            return Err(Errno::EEXIST);
        }
        let linkable = self.linkable(&node)?;
        let file = &linkable.held;
        if self.note(file, node.kind, NUMBER)?.is_some() {
            self.becomes_impure(&dir)?;
        }
        let mut kept = Kept::Not;
        let mut there = if seen.whiteout {
            let staging = self.staging()?;
            let staged = staging.name();
            let entry = a.fs.link(ctx, file.ino, staging.stage.ino, &staged.name)?;
            let there = a.adopt(&entry)?;
            kept = self.hide_beneath(&dir, &there, node.number(), &seen)?;
            move_out(&staged, &a, name, RenameFlags::empty())?;
            there
        } else {
            let entry = a.fs.link(ctx, file.ino, a.ino, name)?;
            a.adopt(&entry)?
        };
        drop(linkable);
        there.attr = there.held.attr(ctx)?;
        let known = self.known(ctx, &dir, name, &seen_in_a(there))?;
        if seen.beneath() && kept == Kept::Not {
            self.remember_new(&known.node);
        }
        dir.memory().whiteouts.remove(name);
        Ok(self.refer(&known))
    }
}
