//! rename, with all its flags.

use std::ffi::OsStr;
use std::sync::Arc;

use super::create::Make;
use super::directory::entry_cost;
use super::filesystem::MemFs;
use super::inode::{Inode, State};
use super::name;
use super::order::Locked;
use super::unlink::{child, close_directory, drop_name};
use crate::fs::{Context, Errno, FsResult, Ino, RenameFlags};

/// A directory and a name in it.
type Place<'a> = (&'a Arc<Inode>, &'a OsStr);

impl MemFs {
    pub(super) fn move_entry(
        &self,
        ctx: &Context<'_>,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        flags: RenameFlags,
    ) -> FsResult<()> {
        check_flags(flags)?;
        name::check_old(from.1)?;
        name::check_old(to.1)?;
        let (old, new) = (self.table.get(from.0)?, self.table.get(to.0)?);
        let across = !Arc::ptr_eq(&old, &new);
        let renames = across.then(|| self.hold_renames());
        let mut locked = self.lock_directories(&old, &new);
        let source = child(locked.from(), from.1)?;
        let target = match child(locked.to(), to.1) {
            Err(Errno::ENOENT) => None,
            found => Some(found?),
        };
        let (from, to) = ((&old, from.1), (&new, to.1));
        self.check_target(from, to, &source, target.as_ref(), flags)?;
        locked.to().live_directory()?;
        match target {
            Some(target) if Arc::ptr_eq(&source, &target) => return Ok(()),
            Some(target) if flags.contains(RenameFlags::EXCHANGE) => {
                exchange(&mut locked, from, to, &source, &target);
                return Ok(());
            }
            target => {
                self.replace(ctx, &mut locked, from, to, &source, target.as_ref(), flags)?;
                drop(locked);
                drop(renames);
                if let Some(target) = target {
                    self.reap(&target);
                }
            }
        }
        Ok(())
    }

    /// What Linux checks, in its order (`do_renameat2`, `vfs_rename`).
    fn check_target(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        source: &Arc<Inode>,
        target: Option<&Arc<Inode>>,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let exchanges = flags.contains(RenameFlags::EXCHANGE);
        match target {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => return Err(Errno::EEXIST),
            None if exchanges => return Err(Errno::ENOENT),
            _ => {}
        }
        let across = !Arc::ptr_eq(from.0, to.0);
        if across && source.is_directory() && self.is_below(to.0.ino, source.ino) {
            return Err(Errno::EINVAL);
        }
        let Some(target) = target else { return Ok(()) };
        if across && target.is_directory() && self.is_below(from.0.ino, target.ino) {
            return Err(if exchanges {
                Errno::EINVAL
            } else {
                Errno::ENOTEMPTY
            });
        }
        match (source.is_directory(), target.is_directory()) {
            _ if exchanges => Ok(()),
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            _ => Ok(()),
        }
    }

    /// Moves `source` over `target` or to where nothing is. Whatever can fail comes before the first change.
    #[expect(
        clippy::too_many_arguments,
        reason = "a rename has two places and what is at them"
    )]
    fn replace(
        &self,
        ctx: &Context<'_>,
        locked: &mut Locked<'_>,
        from: Place<'_>,
        to: Place<'_>,
        source: &Arc<Inode>,
        target: Option<&Arc<Inode>>,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let whiteout = if flags.contains(RenameFlags::WHITEOUT) {
            Some(self.make_inode(from.0.ino, locked.from(), &Make::new(ctx, libc::S_IFCHR, 0))?)
        } else {
            None
        };
        locked.to().nlink.checked_add(1).ok_or(Errno::EMLINK)?;
        match target {
            None => self.space.charge(entry_cost(to.1))?,
            Some(target) if target.is_directory() => close_directory(target)?,
            Some(_) => {}
        }
        let entries = locked.to().live_directory()?;
        match target {
            None => entries.insert(to.1, source),
            Some(_) => entries.replace(to.1, source),
        }
        match whiteout {
            None => self.remove_entry(locked.from(), from.1),
            Some(whiteout) => self.leave_whiteout(locked.from(), from.1, &whiteout),
        }
        if source.is_directory() {
            source.set_parent(to.0.ino);
            link_moves(locked);
        }
        match target {
            Some(target) if target.is_directory() => locked.to().nlink -= 1,
            Some(target) => {
                drop_name(target);
            }
            None => {}
        }
        source.write().changed();
        locked.from().modified();
        locked.to().modified();
        Ok(())
    }

    fn leave_whiteout(&self, directory: &mut State, name: &OsStr, whiteout: &Arc<Inode>) {
        whiteout.write().nlink = 1;
        self.table.insert(whiteout);
        if let Ok(entries) = directory.live_directory() {
            entries.replace(name, whiteout);
        }
    }
}

fn check_flags(flags: RenameFlags) -> FsResult<()> {
    let others = RenameFlags::NOREPLACE | RenameFlags::WHITEOUT;
    let contradicts = flags.contains(RenameFlags::EXCHANGE) && flags.intersects(others);
    if contradicts || !RenameFlags::all().contains(flags) {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}

fn exchange(
    locked: &mut Locked<'_>,
    from: Place<'_>,
    to: Place<'_>,
    source: &Arc<Inode>,
    target: &Arc<Inode>,
) {
    if let Ok(entries) = locked.from().live_directory() {
        entries.replace(from.1, target);
    }
    if let Ok(entries) = locked.to().live_directory() {
        entries.replace(to.1, source);
    }
    if source.is_directory() {
        source.set_parent(to.0.ino);
    }
    if target.is_directory() {
        target.set_parent(from.0.ino);
    }
    match (source.is_directory(), target.is_directory()) {
        (true, false) => link_moves(locked),
        (false, true) => {
            locked.to().nlink -= 1;
            locked.from().nlink += 1;
        }
        _ => {}
    }
    source.write().changed();
    target.write().changed();
    locked.from().modified();
    locked.to().modified();
}

/// A directory went from the old directory to the new one, which its ".." is a link to.
fn link_moves(locked: &mut Locked<'_>) {
    locked.from().nlink -= 1;
    locked.to().nlink += 1;
}
