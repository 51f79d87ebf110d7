//! Locks of fcntl(2) and flock(2), and waiting for them.

mod held;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

pub(super) use super::super::waits::Waits;
use super::filesystem::MemFs;
use super::inode::Inode;
use super::space::Space;
use crate::fs::{Context, Errno, FlockOperation, FsResult, Handle, Ino, Lock, LockKind, LockOwner};
pub(in crate::backend) use held::Held;

/// What a lock adds at most: its own range, the second half of one that it splits, and by which file that was.
const LOCKING: u64 = 3;
/// What giving up all of something adds, so that it never fails.
const DROPPING: u64 = 0;

/// The locks on one inode.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<Option<Box<Held>>>,
    changed: Condvar,
}

impl Locks {
    pub(super) fn count(&self) -> u64 {
        self.lock().as_ref().map_or(0, |held| held.count())
    }

    pub(super) fn clear(&self, space: &Space) {
        if let Some(held) = self.lock().take() {
            space.release_locks(held.count());
        }
        self.changed.notify_all();
    }

    /// Changes what is held, if there is room for `more` ranges, and wakes whoever waits.
    fn change<T>(&self, space: &Space, more: u64, how: impl FnOnce(&mut Held) -> FsResult<T>) -> FsResult<T> {
        let mut held = self.lock();
        Self::change_held(&mut held, space, more, how).inspect(|_| self.changed.notify_all())
    }

    fn change_held<T>(
        held: &mut Option<Box<Held>>,
        space: &Space,
        more: u64,
        how: impl FnOnce(&mut Held) -> FsResult<T>,
    ) -> FsResult<T> {
        let now = held.get_or_insert_default();
        let before = now.count();
        space.charge_locks(more)?;
        let result = how(now);
        let after = now.count();
        space.release_locks((before + more).saturating_sub(after));
        if after == 0 {
            *held = None;
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes who waits for a lock on an inode.
struct WakeWaiters(Arc<Inode>);

impl Wake for WakeWaiters {
    fn wake(self: Arc<Self>) {
        // With the lock, so that nobody is between looking and waiting.
        let _held = self.0.locks.lock();
        self.0.locks.changed.notify_all();
    }
}

impl MemFs {
    pub(super) fn find_conflict(&self, ino: Ino, owner: LockOwner, lock: Lock) -> FsResult<Lock> {
        let inode = self.table.get(ino)?;
        let held = inode.locks.lock();
        let conflict = held.as_ref().and_then(|held| held.conflict(owner, &lock));
        Ok(conflict.map_or(
            Lock {
                kind: LockKind::Unlocked,
                ..lock
            },
            |(_, theirs)| theirs,
        ))
    }

    pub(super) fn lock_records(
        &self,
        ino: Ino,
        by: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        check_range(&lock)?;
        let inode = self.table.get(ino)?;
        inode
            .locks
            .change(&self.space, LOCKING, |held| held.set_by(owner, by, lock))
    }

    pub(super) fn lock_records_waiting(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        by: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        check_range(&lock)?;
        let inode = self.table.get(ino)?;
        self.wait(ctx, &inode, Some(owner), |held| {
            held.set_by(owner, by, lock)
                .map_err(|error| (error, held.conflict(owner, &lock).map(|(theirs, _)| theirs)))
        })
    }

    pub(super) fn lock_file(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        let inode = self.table.get(ino)?;
        if operation.wait {
            self.wait(ctx, &inode, None, |held| {
                held.set_flock(owner, operation.kind)
                    .map_err(|error| (error, None))
            })
        } else {
            inode.locks.change(&self.space, LOCKING, |held| {
                Ok(held.set_flock(owner, operation.kind))
            })?
        }
    }

    /// close(2) gives up every range of a process.
    pub(super) fn drop_record_locks(&self, ino: Ino, owner: LockOwner) -> FsResult<()> {
        let everything = Lock {
            start: 0,
            end: u64::MAX,
            kind: LockKind::Unlocked,
            pid: 0,
        };
        let inode = self.table.get(ino)?;
        if inode.locks.lock().is_none() {
            return Ok(());
        }
        inode
            .locks
            .change(&self.space, DROPPING, |held| held.set_by(owner, None, everything))
    }

    /// An open file is there no more: what was locked by it alone, and by flock(2) through it.
    pub(super) fn drop_locks_of(
        &self,
        ino: Ino,
        file: Option<Handle>,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        let inode = self.table.get(ino)?;
        if inode.locks.lock().is_none() {
            return Ok(());
        }
        inode.locks.change(&self.space, DROPPING, |held| {
            if let Some(file) = file {
                held.closed(file);
            }
            flock_owner.map_or(Ok(()), |owner| held.set_flock(owner, LockKind::Unlocked))
        })
    }

    /// Tries until it succeeds, fails with something else than `EAGAIN`, or the caller gives up. Whoever waits for
    /// somebody who waits for them is told so where `owner` is known.
    fn wait(
        &self,
        ctx: &Context<'_>,
        inode: &Arc<Inode>,
        owner: Option<LockOwner>,
        mut attempt: impl FnMut(&mut Held) -> Result<(), (Errno, Option<LockOwner>)>,
    ) -> FsResult<()> {
        let locks = &inode.locks;
        let _woken = ctx
            .interrupt
            .wake_on_raise(&Waker::from(Arc::new(WakeWaiters(Arc::clone(inode)))));
        let mut held = locks.lock();
        loop {
            let result = Locks::change_held(&mut held, &self.space, LOCKING, |held| Ok(attempt(held)))?;
            let blocker = match result {
                Ok(()) => {
                    locks.changed.notify_all();
                    return Ok(());
                }
                Err((Errno::EAGAIN, blocker)) => blocker,
                Err((error, _)) => return Err(error),
            };
            if ctx.interrupt.is_raised() {
                return Err(Errno::EINTR);
            }
            let _waiting = match (owner, blocker) {
                (Some(owner), Some(blocker)) => Some(self.waits.begin(owner, blocker)?),
                _ => None,
            };
            held = locks.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn check_range(lock: &Lock) -> FsResult<()> {
    if lock.start > lock.end {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}
