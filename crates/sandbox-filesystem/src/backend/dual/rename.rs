//! Names that move.

use std::ffi::OsStr;
use std::sync::{Arc, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use super::DualFs;
use super::copy::Keep;
use super::crash::crash_point;
use super::look::{Need, Seen, Shown};
use super::node::{Life, Node};
use super::notes::{NUMBER, format_number};
use super::policy::Plan;
use super::side::Side;
use super::staging::{Form, clear, move_out};
use crate::backend::union::marks;
use crate::backend::union::plan::{self, RenamePlan, Step, Upper};
use crate::fs::{Context, Errno, FsResult, Ino, RenameFlags};

/// How often what is renamed may change before it is.
const TRIES: usize = 8;

/// A name in a directory.
#[derive(Clone, Copy)]
struct Spelled<'a> {
    dir: &'a Arc<Node>,
    name: &'a OsStr,
}

/// What both names lead to.
struct Both {
    old: (Seen, Arc<Node>),
    new: (Seen, Option<Arc<Node>>),
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    ctx: &'a Context<'a>,
    old: Spelled<'a>,
    new: Spelled<'a>,
    flags: RenameFlags,
    plan: &'a Plan,
}

impl Ask<'_> {
    fn exchanges(&self) -> bool {
        self.flags.contains(RenameFlags::EXCHANGE)
    }
}

impl DualFs {
    pub(super) fn do_rename(
        &self,
        ctx: &Context<'_>,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        flags: RenameFlags,
        plan: &Plan,
    ) -> FsResult<()> {
        let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        // Two at once make no sense, and a whiteout of a client's would hide something.
        if !known.contains(flags) || flags == known {
            return Err(Errno::EINVAL);
        }
        let (dir, new_dir) = (self.directory(from.0)?, self.directory(to.0)?);
        self.check_old_name(&dir, from.1)?;
        self.check_new_name(&new_dir, to.1)?;
        let ask = Ask {
            ctx,
            old: Spelled {
                dir: &dir,
                name: from.1,
            },
            new: Spelled {
                dir: &new_dir,
                name: to.1,
            },
            flags,
            plan,
        };
        for _ in 0..TRIES {
            match self.try_rename(&ask) {
                // Something came up that is not ready.
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        Err(Errno::EBUSY)
    }

    fn try_rename(&self, ask: &Ask<'_>) -> FsResult<()> {
        if self.prepare(ask)? {
            return Ok(());
        }
        let _topology = self.lock_topology(ask)?;
        let names = lock_both(ask.old.dir, ask.new.dir);
        if *names.0 == Life::Removed || names.1.as_ref().is_some_and(|life| **life == Life::Removed) {
            return Err(Errno::ENOENT);
        }
        let both = self.both(ask)?;
        if check_kinds(ask, &both)? {
            return Ok(());
        }
        check_ready(ask, &both)?;
        self.carry_out(ask, &both)
    }

    /// Everything that takes long: both directories and what moves are in A, complete. Refuses what can be told to fail
    /// before. Whether there is nothing to do.
    fn prepare(&self, ask: &Ask<'_>) -> FsResult<bool> {
        let both = {
            let _topology = self.lock_topology(ask)?;
            let _names = look_both(ask.old.dir, ask.new.dir);
            self.both(ask)?
        };
        if check_kinds(ask, &both)? {
            return Ok(true);
        }
        if let Some(target) = &both.new.1
            && !ask.exchanges()
            && target.is_directory()
        {
            let _looking = target.looking();
            self.check_empty(target, ask.plan)?;
        }
        self.raise(ask.old.dir, Keep::All)?;
        self.raise(ask.new.dir, Keep::All)?;
        self.ready(ask.old, &both.old.1, ask.plan)?;
        if let Some(target) = both.new.1.as_ref().filter(|_| ask.exchanges()) {
            self.ready(ask.new, target, ask.plan)?;
        }
        self.ready_to_be_replaced(ask, &both)?;
        Ok(false)
    }

    /// What changes places with what replaces it has to be in A.
    fn ready_to_be_replaced(&self, ask: &Ask<'_>, both: &Both) -> FsResult<()> {
        let Some(target) = both.new.1.as_ref().filter(|_| !ask.exchanges()) else {
            return Ok(());
        };
        if both.new.0.shown != Shown::B || !both.old.0.beneath() {
            return Ok(());
        }
        let able = self.staging()?.able;
        if !able.keeps() || able.leaves_whiteout {
            Ok(())
        } else if target.is_directory() {
            self.raise(target, Keep::All).map(drop)
        } else if able.links {
            Ok(())
        } else {
            self.raise_name(ask.new.dir, ask.new.name, target, ask.plan)
        }
    }

    fn ready(&self, spelled: Spelled<'_>, node: &Arc<Node>, plan: &Plan) -> FsResult<()> {
        if node.is_directory() {
            self.complete(node, plan)
        } else {
            self.raise_name(spelled.dir, spelled.name, node, plan)
        }
    }

    fn check_empty(&self, dir: &Node, plan: &Plan) -> FsResult<()> {
        if self.is_empty(dir, plan)? {
            Ok(())
        } else {
            Err(Errno::ENOTEMPTY)
        }
    }

    /// What can move directories waits for others that do.
    fn lock_topology(&self, ask: &Ask<'_>) -> FsResult<Option<MutexGuard<'_, ()>>> {
        let same = Arc::ptr_eq(ask.old.dir, ask.new.dir);
        let directory = same && {
            let _looking = ask.old.dir.looking();
            let seen = self.look(ask.ctx, ask.old.dir, ask.old.name, ask.plan.view, Need::Seen)?;
            let there = seen.a.or(seen.b);
            there.is_some_and(|there| there.is_directory())
        };
        if same && !directory {
            return Ok(None);
        }
        Ok(Some(self.renames.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn both(&self, ask: &Ask<'_>) -> FsResult<Both> {
        let view = ask.plan.view;
        let seen = self.look(ask.ctx, ask.old.dir, ask.old.name, view, Need::Both)?;
        let node = self.known(ask.ctx, ask.old.dir, ask.old.name, &seen)?.node;
        let over = self.look(ask.ctx, ask.new.dir, ask.new.name, view, Need::Both)?;
        let target = if over.is_nothing() {
            None
        } else {
            Some(self.known(ask.ctx, ask.new.dir, ask.new.name, &over)?.node)
        };
        Ok(Both {
            old: (seen, node),
            new: (over, target),
        })
    }

    fn carry_out(&self, ask: &Ask<'_>, both: &Both) -> FsResult<()> {
        let (old, new) = (&both.old.0, &both.new.0);
        let source = &both.old.1;
        let facts = plan::Rename {
            source_is_directory: source.is_directory(),
            beneath_old: old.beneath(),
            target: new.upper(),
            beneath_new: new.beneath(),
        };
        let steps = if ask.exchanges() {
            plan::exchange(facts)
        } else {
            plan::rename(facts)
        };
        let replaced = both.new.1.as_ref().filter(|_| !ask.exchanges());
        // Nothing gets into it any more.
        let mut inside = replaced
            .filter(|target| target.is_directory())
            .map(|target| target.changing());
        if let (Some(target), Some(_)) = (replaced, &inside) {
            self.check_empty(target, ask.plan)?;
        }
        self.prepare_marks(ask, both, steps)?;
        if steps.target_is_cleared
            && let Some(target) = replaced
        {
            if target.b().is_some() {
                self.becomes_opaque(target)?;
            }
            clear(&*target.raised()?)?;
            crash_point("rename: cleared");
        }
        crash_point("rename: prepared");
        self.step(ask, both, steps)?;
        crash_point("rename: done");
        if let Some(inside) = &mut inside {
            **inside = Life::Removed;
        }
        drop(inside);
        self.moved(ask, both)
    }

    /// What is to be hidden beneath what moves is hidden already when it does.
    fn prepare_marks(&self, ask: &Ask<'_>, both: &Both, steps: RenamePlan) -> FsResult<()> {
        let source = &both.old.1;
        if self.marks(ask.old.dir)?.impure {
            self.becomes_impure(ask.new.dir)?;
        }
        if steps.source_becomes_opaque {
            self.mark_node(source, marks::OPAQUE, b"y")?;
        } else if both.new.0.beneath() && !source.is_directory() {
            self.becomes_impure(ask.new.dir)?;
            self.is_made_here(source)?;
        }
        let Some(target) = both.new.1.as_ref().filter(|_| ask.exchanges()) else {
            return Ok(());
        };
        if self.marks(ask.new.dir)?.impure {
            self.becomes_impure(ask.old.dir)?;
        }
        if steps.target_becomes_opaque {
            self.mark_node(target, marks::OPAQUE, b"y")?;
        } else if both.old.0.beneath() && !target.is_directory() {
            self.becomes_impure(ask.old.dir)?;
            self.is_made_here(target)?;
        }
        Ok(())
    }

    /// A file hides what B has under its name. Where it says so already, it may say more.
    fn is_made_here(&self, file: &Arc<Node>) -> FsResult<()> {
        match self.note(&*file.raised()?, file.kind, NUMBER)? {
            Some(_) => Ok(()),
            None => self.mark_node(file, NUMBER, &format_number(file.number())),
        }
    }

    /// The one step.
    fn step(&self, ask: &Ask<'_>, both: &Both, steps: RenamePlan) -> FsResult<()> {
        let plain = ask.flags - RenameFlags::NOREPLACE;
        let hides = matches!(steps.step, Step::MoveAndLeaveWhiteout)
            || steps.step == Step::Exchange && !ask.exchanges();
        if !hides {
            self.host_rename(ask, plain)?;
            Self::swap_memory(ask, false);
            return Ok(());
        }
        let able = self.staging()?.able;
        match steps.step {
            Step::Exchange if able.exchange => {
                if able.whiteout == Some(Form::Attribute) {
                    self.holds_attributes(ask.old.dir)?;
                }
                self.host_rename(ask, RenameFlags::EXCHANGE)?;
                crash_point("rename: exchanged");
                if steps.old_is_unlinked {
                    let a = ask.old.dir.raised()?;
                    a.fs.unlink(ask.ctx, a.ino, ask.old.name)?;
                }
                Ok(())
            }
            Step::Exchange => {
                let a = ask.new.dir.raised()?;
                a.fs.unlink(ask.ctx, a.ino, ask.new.name)?;
                self.host_rename(ask, plain)?;
                Self::swap_memory(ask, !steps.old_is_unlinked);
                Ok(())
            }
            _ if !able.keeps() => {
                self.whiteout_in_memory(ask.old.dir, ask.old.name);
                let moved = self.host_rename(ask, plain);
                match moved {
                    Ok(()) => Self::swap_memory(ask, true),
                    Err(_) => {
                        ask.old.dir.memory().whiteouts.remove(ask.old.name);
                    }
                }
                moved
            }
            _ if able.leaves_whiteout => self.host_rename(ask, plain | RenameFlags::WHITEOUT),
            _ if both.old.1.is_directory() => self.move_directory(ask, both),
            _ => self.move_file(ask, both),
        }
    }

    fn host_rename(&self, ask: &Ask<'_>, flags: RenameFlags) -> FsResult<()> {
        let (from, to) = (ask.old.dir.raised()?, ask.new.dir.raised()?);
        self.a
            .rename(ask.ctx, from.ino, ask.old.name, to.ino, ask.new.name, flags)
    }

    /// Where whiteouts are in memory: none is at the new name any more.
    fn swap_memory(ask: &Ask<'_>, leaves: bool) {
        if !ask.exchanges() {
            ask.new.dir.memory().whiteouts.remove(ask.new.name);
        }
        if leaves {
            ask.old.dir.memory().whiteouts.insert(ask.old.name.to_owned());
        }
    }

    /// Where no rename leaves a whiteout. One step where nothing is replaced; else the file has both names first, or it and what
    /// it replaces have changed places, and then the old name goes.
    fn move_file(&self, ask: &Ask<'_>, both: &Both) -> FsResult<()> {
        let Some(target) = &both.new.1 else {
            return self.change_places_with_whiteout(ask);
        };
        let staging = self.staging()?;
        if staging.able.links {
            let staged = staging.name();
            let (source, to) = (both.old.1.raised()?, ask.new.dir.raised()?);
            let entry = self
                .a
                .link(ask.ctx, source.ino, staging.stage.ino, &staged.name)?;
            drop(to.adopt(&entry)?);
            move_out(&staged, &to, ask.new.name, RenameFlags::empty())?;
            crash_point("rename: linked");
        } else if both.new.0.upper() == Upper::Other {
            self.becomes_impure(ask.old.dir)?;
            self.is_made_here(target)?;
            self.host_rename(ask, RenameFlags::EXCHANGE)?;
            crash_point("rename: exchanged");
        } else {
            return Err(Errno::ESTALE);
        }
        self.leave_whiteout(ask, Upper::Other)
    }

    /// The same for a directory, which changes places with the empty one that it replaces.
    fn move_directory(&self, ask: &Ask<'_>, both: &Both) -> FsResult<()> {
        if both.new.1.is_none() {
            return self.change_places_with_whiteout(ask);
        }
        if both.new.0.upper() != Upper::Directory {
            return Err(Errno::ESTALE);
        }
        self.host_rename(ask, RenameFlags::EXCHANGE)?;
        crash_point("rename: exchanged");
        self.leave_whiteout(ask, Upper::Directory)
    }

    /// A whiteout, which hides nothing that is seen, comes to the new name, and then to the old one in the same step in which
    /// that is left.
    fn change_places_with_whiteout(&self, ask: &Ask<'_>) -> FsResult<()> {
        let staging = self.staging()?;
        if staging.able.whiteout == Some(Form::Attribute) {
            self.holds_attributes(ask.old.dir)?;
            self.holds_attributes(ask.new.dir)?;
        }
        let to = ask.new.dir.raised()?;
        move_out(&staging.whiteout()?, &to, ask.new.name, RenameFlags::empty())?;
        crash_point("rename: whiteout in place");
        self.host_rename(ask, RenameFlags::EXCHANGE)
    }

    fn leave_whiteout(&self, ask: &Ask<'_>, at_old: Upper) -> FsResult<()> {
        let staging = self.staging()?;
        if staging.able.whiteout == Some(Form::Attribute) {
            self.holds_attributes(ask.old.dir)?;
        }
        let flags = match at_old {
            Upper::Directory => RenameFlags::EXCHANGE,
            _ => RenameFlags::empty(),
        };
        move_out(&staging.whiteout()?, &*ask.old.dir.raised()?, ask.old.name, flags)
    }

    /// What is known of both follows.
    fn moved(&self, ask: &Ask<'_>, both: &Both) -> FsResult<()> {
        let source = &both.old.1;
        if source.is_directory() {
            self.table.detach(source, Side::B);
        }
        source.set_place(ask.new.dir, ask.new.name);
        let Some(target) = &both.new.1 else { return Ok(()) };
        if ask.exchanges() {
            if target.is_directory() {
                self.table.detach(target, Side::B);
            }
            target.set_place(ask.old.dir, ask.old.name);
            return Ok(());
        }
        if target.is_directory() {
            self.directory_gone(ask.new.dir, ask.new.name, target);
            return Ok(());
        }
        target.leave(ask.new.dir, ask.new.name);
        self.name_gone(ask.ctx, target, &both.new.0)
    }
}

/// Whether there is nothing to do: both names lead to the same file.
fn check_kinds(ask: &Ask<'_>, both: &Both) -> FsResult<bool> {
    let (source, target) = (&both.old.1, both.new.1.as_ref());
    let exchange = ask.exchanges();
    match target {
        Some(_) if ask.flags.contains(RenameFlags::NOREPLACE) => return Err(Errno::EEXIST),
        None if exchange => return Err(Errno::ENOENT),
        _ => {}
    }
    if source.is_directory() && is_within(ask.new.dir, source) {
        return Err(Errno::EINVAL);
    }
    let Some(target) = target else { return Ok(false) };
    if Arc::ptr_eq(source, target) {
        return Ok(true);
    }
    if target.is_directory() && is_within(ask.old.dir, target) {
        return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    match (source.is_directory(), target.is_directory()) {
        _ if exchange => Ok(false),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        _ => Ok(false),
    }
}

/// `ESTALE` where something that moves is not all in A.
fn check_ready(ask: &Ask<'_>, both: &Both) -> FsResult<()> {
    let is_ready =
        |seen: &Seen, node: &Node| seen.shown == Shown::A && (!node.is_directory() || node.b().is_none());
    let target = both.new.1.as_ref().filter(|_| ask.exchanges());
    let ready =
        is_ready(&both.old.0, &both.old.1) && target.is_none_or(|target| is_ready(&both.new.0, target));
    if ready && ask.old.dir.a().is_some() && ask.new.dir.a().is_some() {
        Ok(())
    } else {
        Err(Errno::ESTALE)
    }
}

/// Whether it is the directory or beneath it.
fn is_within(node: &Arc<Node>, directory: &Arc<Node>) -> bool {
    let mut at = Some(Arc::clone(node));
    while let Some(here) = at {
        if Arc::ptr_eq(&here, directory) {
            return true;
        }
        at = here.place().map(|place| place.parent);
    }
    false
}

/// Ancestors before descendants, others by number.
fn first_of(one: &Arc<Node>, other: &Arc<Node>) -> bool {
    if is_within(other, one) {
        true
    } else if is_within(one, other) {
        false
    } else {
        one.ino < other.ino
    }
}

type Changing<'a> = (RwLockWriteGuard<'a, Life>, Option<RwLockWriteGuard<'a, Life>>);

fn lock_both<'a>(one: &'a Arc<Node>, other: &'a Arc<Node>) -> Changing<'a> {
    if Arc::ptr_eq(one, other) {
        (one.changing(), None)
    } else if first_of(one, other) {
        let first = one.changing();
        (first, Some(other.changing()))
    } else {
        let first = other.changing();
        (one.changing(), Some(first))
    }
}

type Looking<'a> = (RwLockReadGuard<'a, Life>, Option<RwLockReadGuard<'a, Life>>);

fn look_both<'a>(one: &'a Arc<Node>, other: &'a Arc<Node>) -> Looking<'a> {
    if Arc::ptr_eq(one, other) {
        (one.looking(), None)
    } else if first_of(one, other) {
        let first = one.looking();
        (first, Some(other.looking()))
    } else {
        let first = other.looking();
        (one.looking(), Some(first))
    }
}
