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
use crate::backend::waits::Waits;
use crate::fs::{Context, Errno, FlockOperation, FsResult, Handle, Ino, Lock, LockKind, LockOwner};
use crate::sys::record_lock::{self, RecordLock};

/// OFFSET_MAX: what is at or beyond it is "to the end".
const LAST: u64 = i64::MAX.cast_unsigned();

/// How long a waiter sleeps between two tries at most.
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// Who holds record locks on which file, and who waits for whom.
#[derive(Debug, Default)]
pub(in crate::backend) struct RecordLocks {
    files: Mutex<HashMap<Ino, Holders>>,
    waits: Waits,
}

type Holders = Vec<(LockOwner, Arc<Holder>)>;

#[derive(Debug)]
struct Holder {
    file: OwnedFd,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Whom it was seen with last, for `F_GETLK` of others.
    locks: Vec<Lock>,
    /// The open files by which they were taken: a lock of an open file description (`F_OFD_SETLK` of the client) ends
    /// with that, of which nothing else tells.
    by: Vec<Handle>,
}

impl Holder {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordLocks {
    /// Ends all locks of an owner on a file, by closing the description.
    pub(in crate::backend) fn release(&self, ino: Ino, owner: LockOwner) {
        let ended = self.take(ino, |who, _| who == owner);
        drop(ended);
    }

    /// Ends the locks that were taken by an open file which nobody has any more, and by no other.
    pub(in crate::backend) fn closed(&self, ino: Ino, handle: Handle) {
        let ended = self.take(ino, |_, holder| {
            let mut held = holder.held();
            let had = held.by.len();
            held.by.retain(|by| *by != handle);
            had > 0 && held.by.is_empty()
        });
        drop(ended);
    }

    pub(in crate::backend) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// Takes out whom `ends` says. Their descriptions are closed by the caller, without the lock.
    fn take(&self, ino: Ino, ends: impl Fn(LockOwner, &Holder) -> bool) -> Holders {
        let mut files = self.lock();
        let Some(holders) = files.get_mut(&ino) else {
            return Holders::new();
        };
        let ended = holders.extract_if(.., |(owner, holder)| ends(*owner, holder));
        let ended = ended.collect();
        if holders.is_empty() {
            files.remove(&ino);
        }
        ended
    }

    fn get(&self, ino: Ino, owner: LockOwner) -> Option<Arc<Holder>> {
        let files = self.lock();
        let mut holders = files.get(&ino)?.iter();
        let found = holders.find(|(who, _)| *who == owner);
        found.map(|(_, holder)| Arc::clone(holder))
    }

    /// The holder of that owner: this one, or one that somebody else was faster with.
    fn get_or_add(&self, ino: Ino, owner: LockOwner, holder: Holder) -> Arc<Holder> {
        let mut files = self.lock();
        let holders = files.entry(ino).or_default();
        if let Some((_, known)) = holders.iter().find(|(who, _)| *who == owner) {
            return Arc::clone(known);
        }
        let holder = Arc::new(holder);
        holders.push((owner, Arc::clone(&holder)));
        holder
    }

    /// Somebody of this server's who is in the way of `lock`, and with which one.
    fn in_the_way(&self, ino: Ino, owner: LockOwner, lock: &Lock) -> Option<(LockOwner, Lock)> {
        let others: Holders = {
            let files = self.lock();
            let holders = files.get(&ino)?.iter();
            holders.filter(|(who, _)| *who != owner).cloned().collect()
        };
        let meets = |other: &Lock| other.start <= lock.end && lock.start <= other.end;
        let excludes = |other: &Lock| [other.kind, lock.kind].contains(&LockKind::Exclusive);
        others.iter().find_map(|(who, holder)| {
            let held = holder.held();
            let found = held.locks.iter().find(|other| meets(other) && excludes(other));
            found.map(|found| (*who, *found))
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ino, Holders>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
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
            let known = self.locks.in_the_way(ino, owner, &lock);
            answer.pid = known.map_or(0, |(_, theirs)| theirs.pid);
        }
        Ok(answer)
    }

    pub(in crate::backend) fn do_setlk(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        let inode = self.table.get(ino)?;
        let holder = match self.locks.get(ino, owner) {
            Some(holder) => holder,
            None if lock.kind == LockKind::Unlocked => return Ok(()),
            None => {
                let holder = Holder {
                    file: self.description(&inode)?,
                    held: Mutex::default(),
                };
                self.locks.get_or_add(ino, owner, holder)
            }
        };
        record_lock::set(holder.file.as_fd(), to_host(&lock)?)?;
        let mut held = holder.held();
        note(&mut held.locks, lock);
        if let Some(handle) = handle.filter(|handle| !held.by.contains(handle)) {
            held.by.push(handle);
        }
        Ok(())
    }

    pub(in crate::backend) fn do_setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        let mut waiting = None;
        wait(ctx, || {
            let result = self.do_setlk(ino, handle, owner, lock);
            if matches!(result, Err(Errno::EAGAIN | Errno::EACCES)) {
                drop(waiting.take());
                // Of those who are not this server's, nothing is known but that they are in the way.
                if let Some((blocker, _)) = self.locks.in_the_way(ino, owner, &lock) {
                    waiting = Some(self.locks.waits.begin(owner, blocker)?);
                }
            }
            result
        })
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
