//! Names that move.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, MutexGuard, PoisonError, RwLockWriteGuard};

use rustix::fs::{AtFlags, RenameFlags as HostFlags};

use super::attributes::mark;
use super::content::Content;
use super::crash::crash_point;
use super::look::Seen;
use super::staging::clear_whiteouts;
use super::{OverlayFs, parts};
use crate::backend::passthrough::inode::{Inode, Life};
use crate::backend::union::plan::{self, RenamePlan, Step, Upper};
use crate::backend::union::{Found, marks};
use crate::fs::{Errno, FsResult, Ino, RenameFlags};

/// How often what is renamed may change before it is.
const TRIES: usize = 8;

/// A name in a directory.
#[derive(Clone, Copy)]
struct Spelled<'a> {
    dir: &'a Arc<Inode>,
    name: &'a OsStr,
}

/// What both names lead to, with references that [`OverlayFs::let_go`] gives back.
struct Both {
    old: (Seen, Arc<Inode>),
    new: (Seen, Option<Arc<Inode>>),
}

impl OverlayFs {
    pub(super) fn do_rename(
        &self,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        // Two at once make no sense, and a whiteout of a client's would hide something.
        if !known.contains(flags) || flags == known {
            return Err(Errno::EINVAL);
        }
        let (dir, new_dir) = (self.directory(parent)?, self.directory(new_parent)?);
        self.host.check_change(&dir, name)?;
        self.host.check_change(&new_dir, new_name)?;
        self.check_new_name(new_name)?;
        let old = Spelled { dir: &dir, name };
        let new = Spelled {
            dir: &new_dir,
            name: new_name,
        };
        for _ in 0..TRIES {
            match self.try_rename(old, new, flags) {
                // Something came up that is not ready.
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        Err(Errno::EBUSY)
    }

    fn try_rename(&self, old: Spelled<'_>, new: Spelled<'_>, flags: RenameFlags) -> FsResult<()> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let nothing_to_do = self.prepare(old, new, flags)?;
        if nothing_to_do {
            return Ok(());
        }
        let _topology = self.lock_topology(old, new)?;
        let names = lock_both(old.dir, new.dir);
        if *names.0 == Life::Removed || names.1.as_ref().is_some_and(|life| **life == Life::Removed) {
            return Err(Errno::ENOENT);
        }
        let both = self.both(old, new)?;
        let done = check(old, new, &both, flags).and_then(|nothing_to_do| {
            if nothing_to_do {
                Ok(())
            } else {
                self.carry_out(old, new, &both, exchange)
            }
        });
        self.let_go(both);
        done
    }

    /// Everything that takes long: both directories and what moves are in the upper, complete. Refuses what can be told
    /// to fail before. Whether there is nothing to do.
    fn prepare(&self, old: Spelled<'_>, new: Spelled<'_>, flags: RenameFlags) -> FsResult<bool> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        {
            let both = {
                let _topology = self.lock_topology(old, new)?;
                let _names = look_both(old.dir, new.dir);
                self.both(old, new)?
            };
            let checked = check_kinds(old, new, &both, flags).and_then(|nothing_to_do| {
                if !nothing_to_do {
                    self.check_target(&both, exchange)?;
                }
                Ok(nothing_to_do)
            });
            self.let_go(both);
            if checked? {
                return Ok(true);
            }
        }
        self.raise(new.dir, Content::All)?;
        self.ready(old)?;
        if exchange {
            self.ready(new)?;
        }
        Ok(false)
    }

    /// Only an empty directory can be replaced: told before anything is copied for it.
    fn check_target(&self, both: &Both, exchange: bool) -> FsResult<()> {
        match &both.new.1 {
            Some(target) if !exchange && target.type_bits() == libc::S_IFDIR => {
                let _looking = parts(target).looking();
                self.check_empty(target)
            }
            _ => Ok(()),
        }
    }

    /// Brings what a name leads to into the upper.
    fn ready(&self, spelled: Spelled<'_>) -> FsResult<()> {
        self.raise(spelled.dir, Content::All)?;
        let inode = {
            let _looking = parts(spelled.dir).looking();
            let seen = self.look(spelled.dir, spelled.name)?;
            self.known(spelled.dir, spelled.name, &seen)?.0
        };
        let done = if inode.type_bits() != libc::S_IFDIR {
            self.raise_name(spelled.dir, spelled.name)
        } else if inode.layer() == 0 && !parts(&inode).is_merged() {
            Ok(())
        } else {
            self.complete(&inode)
        };
        self.host.do_forget(inode.number, 1);
        done
    }

    /// What can move directories waits for others that do.
    fn lock_topology(&self, old: Spelled<'_>, new: Spelled<'_>) -> FsResult<Option<MutexGuard<'_, ()>>> {
        let same = Arc::ptr_eq(old.dir, new.dir);
        let directory = same && {
            let _looking = parts(old.dir).looking();
            matches!(self.look(old.dir, old.name)?.found, Found::Directory(_))
        };
        if same && !directory {
            return Ok(None);
        }
        Ok(Some(self.renames.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn both(&self, old: Spelled<'_>, new: Spelled<'_>) -> FsResult<Both> {
        let seen = self.look(old.dir, old.name)?;
        let (inode, _) = self.known(old.dir, old.name, &seen)?;
        let target =
            self.look(new.dir, new.name)
                .and_then(|seen| match self.known(new.dir, new.name, &seen) {
                    Ok((inode, _)) => Ok((seen, Some(inode))),
                    Err(Errno::ENOENT) => Ok((seen, None)),
                    Err(error) => Err(error),
                });
        match target {
            Ok(new) => Ok(Both {
                old: (seen, inode),
                new,
            }),
            Err(error) => {
                self.host.do_forget(inode.number, 1);
                Err(error)
            }
        }
    }

    fn let_go(&self, both: Both) {
        self.host.do_forget(both.old.1.number, 1);
        if let Some(inode) = both.new.1 {
            self.host.do_forget(inode.number, 1);
        }
    }

    fn carry_out(&self, old: Spelled<'_>, new: Spelled<'_>, both: &Both, exchange: bool) -> FsResult<()> {
        let source = &both.old.1;
        let facts = plan::Rename {
            source_is_directory: source.type_bits() == libc::S_IFDIR,
            beneath_old: self.is_beneath(old.dir, old.name)?,
            target: both.new.0.upper,
            beneath_new: self.is_beneath(new.dir, new.name)?,
        };
        let replaced = both.new.1.as_ref().filter(|_| !exchange);
        let mut life = None;
        if let Some(target) = replaced {
            if target.type_bits() == libc::S_IFDIR {
                life = Some(parts(target).changing());
                self.check_empty(target)?;
            }
            self.host.pin(target)?;
        }
        let plan = if exchange {
            plan::exchange(facts)
        } else {
            plan::rename(facts)
        };
        self.follow(old, new, both, plan)?;
        if let Some(life) = &mut life {
            **life = Life::Removed;
        }
        if let Some(target) = replaced.filter(|_| life.is_some()) {
            parts(target).was_removed();
        }
        drop(life);
        self.note_moves(old, new, both, exchange)
    }

    /// The plan on the host.
    fn follow(&self, old: Spelled<'_>, new: Spelled<'_>, both: &Both, plan: RenamePlan) -> FsResult<()> {
        let (fd, new_fd) = (
            self.host.part_descriptor(old.dir, 0)?,
            self.host.part_descriptor(new.dir, 0)?,
        );
        let target = both.new.1.as_ref();
        if plan.source_becomes_opaque {
            self.make_opaque(&both.old.1)?;
        }
        if let Some(target) = target.filter(|_| plan.target_becomes_opaque || plan.target_is_cleared) {
            self.make_opaque(target)?;
        }
        if let Some(target) = target.filter(|_| plan.target_is_cleared) {
            self.clear(target)?;
        }
        self.carry_marks(new.dir, new_fd.as_fd(), &both.old.1)?;
        if let Some(target) = target.filter(|_| plan.step == Step::Exchange) {
            self.carry_marks(old.dir, fd.as_fd(), target)?;
        }
        crash_point("rename: prepared");
        let step = |flags| rustix::fs::renameat_with(&*fd, old.name, &*new_fd, new.name, flags);
        match plan.step {
            Step::Move => step(HostFlags::empty())?,
            Step::MoveAndLeaveWhiteout if self.upper()?.staging.means().renames_leave => {
                step(HostFlags::WHITEOUT)?;
            }
            Step::MoveAndLeaveWhiteout => {
                self.mark_whiteouts(fd.as_fd())?;
                self.mark_whiteouts(new_fd.as_fd())?;
                self.exchange_for_whiteout((fd.as_fd(), old.name), (new_fd.as_fd(), new.name), both)?;
            }
            Step::Exchange => {
                self.mark_whiteouts(fd.as_fd())?;
                step(HostFlags::EXCHANGE)?;
            }
        }
        crash_point("rename: moved");
        if plan.old_is_unlinked {
            rustix::fs::unlinkat(&*fd, old.name, AtFlags::empty())?;
            crash_point("rename: whiteout unlinked");
        }
        Ok(())
    }

    /// Moves and leaves a whiteout, where the host's rename cannot. What is replaced changes places with what moves, and
    /// gives way to the whiteout after that: a crash in between leaves it under the old name.
    fn exchange_for_whiteout(
        &self,
        old: (BorrowedFd<'_>, &OsStr),
        new: (BorrowedFd<'_>, &OsStr),
        both: &Both,
    ) -> FsResult<()> {
        let staging = &self.upper()?.staging;
        let exchange = || rustix::fs::renameat_with(old.0, old.1, new.0, new.1, HostFlags::EXCHANGE);
        match both.new.0.upper {
            Upper::Nothing => {
                staging.whiteout(new.0, new.1)?;
                Ok(exchange()?)
            }
            Upper::Whiteout => Ok(exchange()?),
            Upper::Other => {
                let whiteout = staging.staged_whiteout()?;
                exchange()?;
                whiteout.replace(old.0, old.1)
            }
            Upper::Directory => {
                let whiteout = staging.staged_whiteout()?;
                exchange()?;
                // The directory is in staging then, and removed with what is dropped here.
                whiteout.exchange(old.0, old.1)
            }
        }
    }

    /// What is kept beside a copy is looked for only in directories that are marked.
    fn carry_marks(&self, dir: &Arc<Inode>, fd: BorrowedFd<'_>, moved: &Inode) -> FsResult<()> {
        if moved.shown().is_some() {
            self.mark_impure(dir, fd)?;
        }
        Ok(())
    }

    /// Makes a directory of the upper hide what is beneath, now or where it will be.
    fn make_opaque(&self, dir: &Arc<Inode>) -> FsResult<()> {
        let fd = self.host.descriptor(dir)?;
        mark(fd.as_fd(), marks::OPAQUE, b"y")?;
        parts(dir).became_opaque();
        Ok(())
    }

    /// Takes the whiteouts out of a directory that hides what is beneath.
    fn clear(&self, dir: &Arc<Inode>) -> FsResult<()> {
        let fd = self.host.descriptor(dir)?;
        let listed = self.open_listing(fd.as_fd(), 0)?;
        clear_whiteouts(listed.as_fd(), self.upper()?.staging.means().whiteouts)
    }

    fn note_moves(&self, old: Spelled<'_>, new: Spelled<'_>, both: &Both, exchange: bool) -> FsResult<()> {
        let moved = |inode: &Arc<Inode>, to: Spelled<'_>| {
            let gone = self.host.table.put(inode, to.dir, to.name);
            self.host.forgotten(gone);
        };
        match &both.new.1 {
            Some(target) if exchange => moved(target, old),
            Some(target) if target.type_bits() == libc::S_IFDIR => {
                let gone = self.host.table.lost(target, new.dir, new.name);
                self.host.forgotten(gone);
            }
            Some(target) => self.lost_name(new.dir, new.name, target, both.new.0.upper)?,
            None => {}
        }
        moved(&both.old.1, new);
        Ok(())
    }
}

/// As `check_kinds`, with names locked: everything must be ready by now, or it is `ESTALE`.
fn check(old: Spelled<'_>, new: Spelled<'_>, both: &Both, flags: RenameFlags) -> FsResult<bool> {
    let nothing_to_do = check_kinds(old, new, both, flags)?;
    let is_ready = |seen: &Seen, inode: &Inode| {
        !matches!(seen.upper, Upper::Nothing | Upper::Whiteout)
            && inode.layer() == 0
            && !parts(inode).is_merged()
    };
    let target_is_ready = both
        .new
        .1
        .as_ref()
        .is_none_or(|inode| is_ready(&both.new.0, inode));
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    let ready = is_ready(&both.old.0, &both.old.1) && (!exchange || target_is_ready);
    if ready && old.dir.layer() == 0 && new.dir.layer() == 0 {
        Ok(nothing_to_do)
    } else {
        Err(Errno::ESTALE)
    }
}

/// Whether there is nothing to do: both names lead to the same file.
fn check_kinds(old: Spelled<'_>, new: Spelled<'_>, both: &Both, flags: RenameFlags) -> FsResult<bool> {
    let (source, target) = (&both.old.1, both.new.1.as_ref());
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    let source_is_directory = source.type_bits() == libc::S_IFDIR;
    let into_itself = source_is_directory && is_within(new.dir, source);
    match target {
        Some(_) if flags.contains(RenameFlags::NOREPLACE) => return Err(Errno::EEXIST),
        None if exchange => return Err(Errno::ENOENT),
        _ if into_itself => return Err(Errno::EINVAL),
        _ => {}
    }
    let Some(target) = target else { return Ok(false) };
    if Arc::ptr_eq(source, target) {
        return Ok(true);
    }
    let target_is_directory = target.type_bits() == libc::S_IFDIR;
    if target_is_directory && is_within(old.dir, target) {
        return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    match (source_is_directory, target_is_directory) {
        _ if exchange => Ok(false),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        _ => Ok(false),
    }
}

/// Whether a directory is another one, or beneath it.
fn is_within(dir: &Arc<Inode>, other: &Arc<Inode>) -> bool {
    let mut at = Arc::clone(dir);
    loop {
        if Arc::ptr_eq(&at, other) {
            return true;
        }
        let Some(place) = at.place() else { return false };
        at = place.parent;
    }
}

/// Ancestors before descendants, others by number.
fn ordered<'a>(one: &'a Arc<Inode>, other: &'a Arc<Inode>) -> (&'a Arc<Inode>, Option<&'a Arc<Inode>>) {
    if Arc::ptr_eq(one, other) {
        (one, None)
    } else if is_within(other, one) || !is_within(one, other) && one.number < other.number {
        (one, Some(other))
    } else {
        (other, Some(one))
    }
}

type Changing<'a> = RwLockWriteGuard<'a, Life>;

fn lock_both<'a>(one: &'a Arc<Inode>, other: &'a Arc<Inode>) -> (Changing<'a>, Option<Changing<'a>>) {
    let (first, second) = ordered(one, other);
    (
        parts(first).changing(),
        second.map(|second| parts(second).changing()),
    )
}

type Looking<'a> = std::sync::RwLockReadGuard<'a, Life>;

fn look_both<'a>(one: &'a Arc<Inode>, other: &'a Arc<Inode>) -> (Looking<'a>, Option<Looking<'a>>) {
    let (first, second) = ordered(one, other);
    (
        parts(first).looking(),
        second.map(|second| parts(second).looking()),
    )
}
