//! Locks of fcntl(2) and flock(2). They are between those who use this filesystem, and stay when a file is copied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::DualFs;
use super::node::Node;
use crate::backend::mem::lock::Held;
use crate::backend::waits::Waits;
use crate::fs::{Context, Errno, FlockOperation, FsResult, Handle, Ino, Lock, LockKind, LockOwner};

/// How many ranges there may be, so that they do not eat up memory.
const MOST: u64 = 1 << 20;
/// What a lock adds at most: its own range, the second half of one that it splits, and by which file that was.
const LOCKING: u64 = 3;

/// The locks on one inode.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<Held>,
    changed: Condvar,
}

/// All locks there are.
#[derive(Debug, Default)]
pub(super) struct AllLocks {
    count: AtomicU64,
    waits: Waits,
}

impl Locks {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes who waits for a lock on an inode.
struct WakeWaiters(Arc<Node>);

impl Wake for WakeWaiters {
    fn wake(self: Arc<Self>) {
        // With the lock, so that nobody is between looking and waiting.
        let _held = self.0.locks.lock();
        self.0.locks.changed.notify_all();
    }
}

impl DualFs {
    pub(super) fn do_getlk(&self, ino: Ino, owner: LockOwner, lock: Lock) -> FsResult<Lock> {
        let node = self.table.get(ino)?;
        let conflict = node.locks.lock().conflict(owner, &lock);
        let free = Lock {
            kind: LockKind::Unlocked,
            ..lock
        };
        Ok(conflict.map_or(free, |(_, theirs)| theirs))
    }

    pub(super) fn do_setlk(
        &self,
        ino: Ino,
        by: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        check_range(&lock)?;
        let node = self.table.get(ino)?;
        self.change(&mut node.locks.lock(), LOCKING, |held| {
            held.set_by(owner, by, lock)
        })?;
        node.locks.changed.notify_all();
        Ok(())
    }

    pub(super) fn do_setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        by: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        check_range(&lock)?;
        let node = self.table.get(ino)?;
        self.wait(ctx, &node, Some(owner), |held| {
            held.set_by(owner, by, lock)
                .map_err(|error| (error, held.conflict(owner, &lock).map(|(theirs, _)| theirs)))
        })
    }

    pub(super) fn do_flock(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        let node = self.table.get(ino)?;
        let set = |held: &mut Held| held.set_flock(owner, operation.kind);
        if operation.wait {
            return self.wait(ctx, &node, None, |held| set(held).map_err(|error| (error, None)));
        }
        let set = self.change(&mut node.locks.lock(), LOCKING, set);
        // What was held may have been given up for nothing.
        node.locks.changed.notify_all();
        set
    }

    /// close(2) gives up every range of a process.
    pub(super) fn drop_record_locks(&self, node: &Node, owner: LockOwner) {
        let everything = Lock {
            start: 0,
            end: u64::MAX,
            kind: LockKind::Unlocked,
            pid: 0,
        };
        self.give_up(node, |held| held.set_by(owner, None, everything));
    }

    /// An open file is there no more: what was locked by it alone, and by flock(2) through it.
    pub(super) fn drop_locks_of(&self, node: &Node, file: Handle, flock_owner: Option<LockOwner>) {
        self.give_up(node, |held| {
            held.closed(file);
            flock_owner.map_or(Ok(()), |owner| held.set_flock(owner, LockKind::Unlocked))
        });
    }

    fn give_up(&self, node: &Node, how: impl FnOnce(&mut Held) -> FsResult<()>) {
        let mut held = node.locks.lock();
        if held.count() == 0 {
            return;
        }
        if let Err(error) = self.change(&mut held, 0, how) {
            tracing::debug!(%error, "a lock was not given up");
        }
        drop(held);
        node.locks.changed.notify_all();
    }

    /// Changes what is held, if there is room for `more` ranges.
    fn change<T>(
        &self,
        held: &mut Held,
        more: u64,
        how: impl FnOnce(&mut Held) -> Result<T, Errno>,
    ) -> FsResult<T> {
        let count = &self.locks.count;
        let before = held.count();
        if count.fetch_add(more, Ordering::Relaxed) + more > MOST && more > 0 {
            count.fetch_sub(more, Ordering::Relaxed);
            return Err(Errno::ENOLCK);
        }
        let result = how(held);
        let after = held.count();
        count.fetch_sub((before + more).saturating_sub(after), Ordering::Relaxed);
        result
    }

    /// Tries until it succeeds, fails with something else than `EAGAIN`, or the caller gives up. Whoever waits for
    /// somebody who waits for them is told so where `owner` is known.
    fn wait(
        &self,
        ctx: &Context<'_>,
        node: &Arc<Node>,
        owner: Option<LockOwner>,
        mut attempt: impl FnMut(&mut Held) -> Result<(), (Errno, Option<LockOwner>)>,
    ) -> FsResult<()> {
        let waker = Waker::from(Arc::new(WakeWaiters(Arc::clone(node))));
        let _woken = ctx.interrupt.wake_on_raise(&waker);
        let mut held = node.locks.lock();
        loop {
            let blocker = match self.change(&mut held, LOCKING, |held| Ok(attempt(held)))? {
                Ok(()) => {
                    node.locks.changed.notify_all();
                    return Ok(());
                }
                Err((Errno::EAGAIN, blocker)) => blocker,
                Err((error, _)) => return Err(error),
            };
            if ctx.interrupt.is_raised() {
                return Err(Errno::EINTR);
            }
            let _waiting = match (owner, blocker) {
                (Some(owner), Some(blocker)) => Some(self.locks.waits.begin(owner, blocker)?),
                _ => None,
            };
            held = node
                .locks
                .changed
                .wait(held)
                .unwrap_or_else(PoisonError::into_inner);
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
