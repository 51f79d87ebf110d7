//! Locks that other processes of the host see too.
//!
//! fcntl(2): each owner has an open file description of its own, on which the host keeps its locks (`F_OFD_SETLK`). flock(2):
//! the open file's own description has it, and its end ends it.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation as HostFlock, OFlags};

use super::inode::Inode;
use super::{PassthroughFs, host};
use crate::fs::{Context, Errno, FlockOperation, FsResult, Handle, Ino, Lock, LockKind, LockOwner};
use crate::sys::record_lock::{self, RecordLock};

/// OFFSET_MAX: what is at or beyond it is "to the end".
const LAST: u64 = i64::MAX.cast_unsigned();

/// How long a waiter sleeps between two tries at most.
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// Who holds record locks, with which description, and what for.
#[derive(Debug, Default)]
pub(in crate::backend) struct RecordLocks(Mutex<HashMap<(Ino, LockOwner), Arc<Holder>>>);

#[derive(Debug)]
struct Holder {
    file: OwnedFd,
    /// Whom it was seen with last, for `F_GETLK` of others.
    held: Mutex<Vec<Lock>>,
}

impl RecordLocks {
    /// Ends all locks of an owner on a file, by closing the description.
    pub(in crate::backend) fn release(&self, ino: Ino, owner: LockOwner) {
        let holder = self.lock().remove(&(ino, owner));
        drop(holder);
    }

    pub(in crate::backend) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn get(&self, ino: Ino, owner: LockOwner) -> Option<Arc<Holder>> {
        self.lock().get(&(ino, owner)).cloned()
    }

    /// Somebody of this server's who is in the way of `lock`.
    fn pid_in_the_way(&self, ino: Ino, owner: LockOwner, lock: &Lock) -> Option<u32> {
        let holders: Vec<_> = self
            .lock()
            .iter()
            .filter(|((at, who), _)| *at == ino && *who != owner)
            .map(|(_, holder)| Arc::clone(holder))
            .collect();
        holders.iter().find_map(|holder| {
            let held = holder.held.lock().unwrap_or_else(PoisonError::into_inner);
            let meets = |other: &&Lock| other.start <= lock.end && lock.start <= other.end;
            held.iter().find(meets).map(|lock| lock.pid)
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Ino, LockOwner), Arc<Holder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassthroughFs {
    pub(in crate::backend) fn do_getlk(&self, ino: Ino, owner: LockOwner, lock: Lock) -> FsResult<Lock> {
        let inode = self.table.get(ino)?;
        let asked = to_host(&lock)?;
        let found = match self.locks.get(ino, owner) {
            Some(holder) => record_lock::get(holder.file.as_fd(), asked)?,
            // A description that holds nothing asks as well, and is closed again.
            None => record_lock::get(self.description(&inode)?.as_fd(), asked)?,
        };
        let mut answer = from_host(found)?;
        if answer.kind != LockKind::Unlocked {
            answer.pid = self.locks.pid_in_the_way(ino, owner, &answer).unwrap_or(0);
        }
        Ok(answer)
    }

    pub(in crate::backend) fn do_setlk(&self, ino: Ino, owner: LockOwner, lock: Lock) -> FsResult<()> {
        let inode = self.table.get(ino)?;
        let holder = match self.locks.get(ino, owner) {
            Some(holder) => holder,
            None if lock.kind == LockKind::Unlocked => return Ok(()),
            None => {
                let holder = Arc::new(Holder {
                    file: self.description(&inode)?,
                    held: Mutex::default(),
                });
                let mut holders = self.locks.lock();
                Arc::clone(holders.entry((ino, owner)).or_insert(holder))
            }
        };
        record_lock::set(holder.file.as_fd(), to_host(&lock)?)?;
        let mut held = holder.held.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut held, lock);
        Ok(())
    }

    pub(in crate::backend) fn do_setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        wait(ctx, || self.do_setlk(ino, owner, lock))
    }

    pub(in crate::backend) fn do_flock(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        operation: FlockOperation,
    ) -> FsResult<()> {
        let (file, dir) = (self.handles.file(handle), self.handles.dir(handle));
        let host_operation = match operation.kind {
            LockKind::Shared => HostFlock::NonBlockingLockShared,
            LockKind::Exclusive => HostFlock::NonBlockingLockExclusive,
            LockKind::Unlocked => HostFlock::NonBlockingUnlock,
        };
        let lock = || {
            match (&file, &dir) {
                (Ok(open), _) => rustix::fs::flock(open.fd(), host_operation)?,
                (_, Ok(open)) => rustix::fs::flock(&open.dir, host_operation)?,
                (Err(error), _) => return Err(*error),
            }
            Ok(())
        };
        if operation.wait { wait(ctx, lock) } else { lock() }
    }

    /// Open for writing too where that is allowed: an exclusive lock needs it.
    fn description(&self, inode: &Arc<Inode>) -> FsResult<OwnedFd> {
        let fd = self.descriptor(inode)?;
        match inode.type_bits() {
            libc::S_IFREG => {}
            libc::S_IFDIR => return self.with_descriptors(|| host::reopen_dir(fd.as_fd())),
            _ => return Err(Errno::EINVAL),
        }
        let open =
            |flags: OFlags| self.with_descriptors(|| host::reopen(fd.as_fd(), flags | OFlags::NONBLOCK));
        if inode.layer() != 0 {
            return open(OFlags::RDONLY);
        }
        match open(OFlags::RDWR) {
            Err(Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ETXTBSY) => {
                open(OFlags::RDONLY).or_else(|_| open(OFlags::WRONLY))
            }
            other => other,
        }
    }
}

/// Tries until it is there or the caller gives up. The host could wait itself, but nobody could then be told to stop.
fn wait(ctx: &Context<'_>, mut lock: impl FnMut() -> FsResult<()>) -> FsResult<()> {
    let mut nap = Duration::from_millis(1);
    loop {
        match lock() {
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            other => return other,
        }
        if ctx.interrupt.wait(nap) {
            return Err(Errno::EINTR);
        }
        nap = (nap * 2).min(LONGEST_NAP);
    }
}

/// What is held, after a lock was taken or given up: the new one replaces what it covers.
fn note(held: &mut Vec<Lock>, lock: Lock) {
    let mut rest = Vec::with_capacity(held.len() + 2);
    for old in held.drain(..) {
        if old.end < lock.start || lock.end < old.start {
            rest.push(old);
            continue;
        }
        if old.start < lock.start {
            rest.push(Lock {
                end: lock.start - 1,
                ..old
            });
        }
        if old.end > lock.end {
            rest.push(Lock {
                start: lock.end + 1,
                ..old
            });
        }
    }
    if lock.kind != LockKind::Unlocked {
        rest.push(lock);
    }
    *held = rest;
}

fn to_host(lock: &Lock) -> FsResult<RecordLock> {
    let kind = match lock.kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
        LockKind::Unlocked => libc::F_UNLCK,
    };
    let start = i64::try_from(lock.start).map_err(|_| Errno::EINVAL)?;
    if lock.end < lock.start {
        return Err(Errno::EINVAL);
    }
    let len = if lock.end >= LAST {
        0
    } else {
        lock.end - lock.start + 1
    };
    Ok(RecordLock {
        kind,
        start,
        len: i64::try_from(len).map_err(|_| Errno::EINVAL)?,
    })
}

fn from_host(lock: RecordLock) -> FsResult<Lock> {
    let start = u64::try_from(lock.start).map_err(|_| Errno::EIO)?;
    let len = u64::try_from(lock.len).map_err(|_| Errno::EIO)?;
    Ok(Lock {
        start,
        end: if len == 0 {
            LAST
        } else {
            start.saturating_add(len - 1)
        },
        kind: match lock.kind {
            libc::F_RDLCK => LockKind::Shared,
            libc::F_WRLCK => LockKind::Exclusive,
            _ => LockKind::Unlocked,
        },
        pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(start: u64, end: u64, kind: LockKind) -> Lock {
        Lock {
            start,
            end,
            kind,
            pid: 1,
        }
    }

    #[test]
    fn a_lock_in_the_middle_of_another_splits_it() {
        let mut held = vec![lock(0, 99, LockKind::Exclusive)];
        note(&mut held, lock(40, 59, LockKind::Unlocked));
        assert_eq!(
            held,
            [
                lock(0, 39, LockKind::Exclusive),
                lock(60, 99, LockKind::Exclusive)
            ]
        );
        note(&mut held, lock(0, u64::MAX, LockKind::Shared));
        assert_eq!(held, [lock(0, u64::MAX, LockKind::Shared)]);
    }

    #[test]
    fn a_lock_to_the_end_is_one_of_length_zero_on_the_host() {
        for end in [LAST, u64::MAX] {
            assert_eq!(to_host(&lock(5, end, LockKind::Shared)).unwrap().len, 0);
        }
        assert_eq!(to_host(&lock(5, 5, LockKind::Shared)).unwrap().len, 1);
        assert_eq!(to_host(&lock(5, 4, LockKind::Shared)), Err(Errno::EINVAL));
        assert_eq!(
            to_host(&lock(u64::MAX, u64::MAX, LockKind::Shared)),
            Err(Errno::EINVAL)
        );
    }
}
