//! What operations cost where there is a quota. Without one every function here returns at once.
//!
//! The data of a file is settled by what the host says it has allocated, after the operation and when it is closed; what
//! an operation may need at most is taken first, so the limit is never passed by what was written. What the host allocates
//! for itself (a block that lists the pieces of a file in many pieces) is in its answer, too, and cannot be told before:
//! the limit can be passed by that much. While the host writes back it may answer more than it will in the end, which can
//! only refuse too early, until the file is settled again.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{OFlags, SeekFrom, Statx};

use super::inode::Inode;
use super::owner::Kind;
use super::{PassthroughFs, host};
use crate::backend::quota::{
    Entered, INODE, QuotaKeeper, data_of, held_by, name_weight, xattr_weight, xattrs_of,
};
use crate::fs::{Errno, FsResult};

/// What the host allocates at once.
const BLOCK: u64 = 4096;

/// Something is charged that is about to be made. Dropped without [`keep`](Self::keep), it is given back.
#[must_use]
pub(in crate::backend) struct Charge<'a> {
    taken: Option<(&'a QuotaKeeper, u64, u64, Entered<'a>)>,
    /// What of it is for attributes that the directory hands down, at most.
    handed: u64,
    /// What is given back, and what is charged, when it was made.
    then: (u64, u64),
}

impl Charge<'_> {
    /// It was made.
    pub(in crate::backend) fn keep(mut self) {
        if let Some((quota, ..)) = self.taken.take() {
            let (less, more) = self.then;
            quota.exchange(less, more);
        }
    }

    /// It was made there, with what the directory has handed down.
    pub(in crate::backend) fn keep_made(mut self, dir: BorrowedFd<'_>, name: &OsStr) {
        if let Some((quota, ..)) = self.taken.take()
            && self.handed > 0
        {
            // Where it cannot be told it stays as it was charged, until it is counted.
            let has = xattrs_of(dir, name).unwrap_or(self.handed);
            quota.exchange(self.handed, has);
        }
    }

    /// What the directory hands down, at most.
    pub(in crate::backend) fn handed(&self) -> u64 {
        self.handed
    }

    /// A file was made there, and holds data already.
    pub(in crate::backend) fn keep_file(self, dir: BorrowedFd<'_>, name: &OsStr, stat: &Statx) {
        if let Some((quota, ..)) = &self.taken {
            quota.add(data_of(stat));
        }
        self.keep_made(dir, name);
    }

    /// It is the data of this file, however much that is.
    pub(in crate::backend) fn keep_data(mut self, inode: &Inode, file: BorrowedFd<'_>) {
        if let Some((quota, bytes, ..)) = self.taken.take() {
            settle_taken(quota, inode, file, bytes);
        }
    }

    /// It was made, and holds data of which `expected` is in the charge.
    pub(in crate::backend) fn keep_with(mut self, stat: &Statx, expected: u64) {
        if let Some((quota, ..)) = self.taken.take() {
            let data = data_of(stat);
            quota.add(data.saturating_sub(expected));
            quota.give_back(expected.saturating_sub(data), 0);
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if let Some((quota, bytes, inodes, _)) = self.taken.take() {
            quota.give_back(bytes, inodes);
        }
    }
}

/// What a rename leaves in the old place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Leaves {
    Nothing,
    /// A device.
    Whiteout,
}

impl PassthroughFs {
    fn charge(&self, bytes: u64, inodes: u64) -> FsResult<Charge<'_>> {
        let Some(quota) = &self.quota else {
            return Ok(Charge {
                taken: None,
                handed: 0,
                then: (0, 0),
            });
        };
        let entered = quota.enter();
        quota.take(bytes, inodes)?;
        Ok(Charge {
            taken: Some((quota, bytes, inodes, entered)),
            handed: 0,
            then: (0, 0),
        })
    }

    /// For a new inode with this name in this directory.
    pub(in crate::backend) fn charge_name(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        kind: Kind,
    ) -> FsResult<Charge<'_>> {
        self.charge_new(dir, name_weight(name), kind)
    }

    fn charge_new(&self, dir: BorrowedFd<'_>, name: u64, kind: Kind) -> FsResult<Charge<'_>> {
        let handed = match &self.quota {
            Some(_) => handed_down(dir, kind),
            None => 0,
        };
        let mut charge = self.charge(INODE + name + handed, 1)?;
        charge.handed = handed;
        Ok(charge)
    }

    /// For a name that becomes another, which may be there already; `leaves` is what takes its old place.
    pub(in crate::backend) fn charge_rename(
        &self,
        (old, new): (&OsStr, &OsStr),
        is_replaced: bool,
        leaves: Leaves,
    ) -> FsResult<Charge<'_>> {
        let (old, new) = (name_weight(old), name_weight(new));
        let (left, inodes) = match leaves {
            Leaves::Nothing => (0, 0),
            Leaves::Whiteout => (INODE + old, 1),
        };
        let after = new + left;
        // What is replaced gives its name back itself, when it goes; room for it is there before.
        let before = old + if is_replaced { new } else { 0 };
        let taken = after.saturating_sub(before);
        let mut charge = self.charge(taken, inodes)?;
        charge.then = (old + taken, after);
        Ok(charge)
    }

    /// For a new symbolic link that holds so many bytes.
    pub(in crate::backend) fn charge_symlink(&self, name: &OsStr, bytes: u64) -> FsResult<Charge<'_>> {
        self.charge(INODE + name_weight(name) + bytes, 1)
    }

    /// For a new inode without a name that is made in this directory.
    pub(in crate::backend) fn charge_nameless(&self, dir: BorrowedFd<'_>) -> FsResult<Charge<'_>> {
        self.charge_new(dir, 0, Kind::File)
    }

    /// For another name of an inode.
    pub(in crate::backend) fn charge_link(&self, name: &OsStr) -> FsResult<Charge<'_>> {
        self.charge(name_weight(name), 0)
    }

    /// For a file that takes the place of a link. What else has the link as its name stays what it is, and is another inode
    /// from then on.
    pub(in crate::backend) fn charge_replacement(
        &self,
        target: &OsStr,
        link: &Statx,
    ) -> FsResult<Charge<'_>> {
        let (bytes, inodes) = if link.stx_nlink > 1 { (INODE, 1) } else { (0, 0) };
        self.charge(rounded(target.len()) + bytes, inodes)
    }

    /// It has taken that place.
    pub(in crate::backend) fn keep_replacement(
        &self,
        charge: Charge<'_>,
        inode: &Inode,
        file: BorrowedFd<'_>,
        link: &Statx,
    ) {
        if let (Some(quota), true) = (&self.quota, link.stx_nlink > 1) {
            quota.add(INODE);
            // What was charged for the link stays.
            inode.charged.store(0, Ordering::Relaxed);
        }
        charge.keep_data(inode, file);
    }

    pub(in crate::backend) fn give_back_name(&self, name: &OsStr) {
        if let Some(quota) = &self.quota {
            quota.give_back(name_weight(name), 0);
        }
    }

    /// What the inode behind an entry holds, which is about to lose this name.
    pub(in crate::backend) fn weigh(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Statx,
        known: Option<&Arc<Inode>>,
    ) -> FsResult<u64> {
        if self.quota.is_none() {
            return Ok(0);
        }
        let held = held_by(dir, name, stat)?;
        // What was charged for data is what is given back for it.
        let charged = known.and_then(|inode| u64::try_from(inode.charged.load(Ordering::Relaxed)).ok());
        Ok(charged.map_or(held, |charged| held - data_of(stat) + charged))
    }

    /// An inode that nobody knows has lost its last name.
    pub(in crate::backend) fn give_back_inode(&self, held: u64) {
        if let Some(quota) = &self.quota {
            quota.give_back(held, 1);
        }
    }

    /// A known inode has lost its last name: it stays charged until nobody knows it.
    pub(in crate::backend) fn becomes_nameless(&self, inode: &Inode, held: u64) {
        if let Some(quota) = &self.quota {
            let mut state = inode.state();
            if !state.orphan {
                state.orphan = true;
                state.held = held.saturating_sub(charged(inode));
                quota.add_nameless(held, 1);
            }
        }
    }

    /// An inode without a name has got one (linkat(2) of an `O_TMPFILE`).
    pub(in crate::backend) fn becomes_named(&self, inode: &Inode) {
        if let Some(quota) = &self.quota {
            let mut state = inode.state();
            if std::mem::take(&mut state.orphan) {
                quota.less_nameless(state.held + charged(inode), 1);
            }
        }
    }

    /// Nobody knows the inode any more: if it had no name, what it held is free.
    pub(in crate::backend) fn give_back_data(&self, inode: &Inode) {
        let Some(quota) = &self.quota else { return };
        let mut state = inode.state();
        if std::mem::take(&mut state.orphan) {
            let held = state.held + charged(inode);
            quota.less_nameless(held, 1);
            quota.give_back(held, 1);
        }
    }

    /// The data of an inode that was there before is charged already.
    pub(in crate::backend) fn charge_known(&self, inode: &Inode, stat: &Statx) {
        if self.quota.is_some() {
            let data = i64::try_from(data_of(stat)).unwrap_or(i64::MAX);
            let unknown = inode
                .charged
                .compare_exchange(-1, data, Ordering::Relaxed, Ordering::Relaxed);
            debug_assert!(unknown != Err(-1), "only what is unknown is set");
        }
    }

    /// Makes the figure follow what the host has allocated.
    pub(in crate::backend) fn settle(&self, inode: &Inode, file: BorrowedFd<'_>) {
        if let Some(quota) = &self.quota {
            settle_taken(quota, inode, file, 0);
        }
    }

    /// As `settle`, for whatever descriptor there is.
    pub(in crate::backend) fn settle_path(&self, inode: &Inode) {
        if self.quota.is_some()
            && let Some(fd) = inode.descriptor()
        {
            self.settle(inode, fd.as_fd());
        }
    }

    /// Runs an operation that may make a file hold `more` bytes more.
    pub(in crate::backend) fn charged_for<T>(
        &self,
        inode: &Inode,
        file: BorrowedFd<'_>,
        more: usize,
        operation: impl FnOnce() -> FsResult<T>,
    ) -> FsResult<T> {
        let Some(quota) = &self.quota else {
            return operation();
        };
        let _entered = quota.enter();
        let most = rounded(more);
        quota.take(most, 0)?;
        let result = operation();
        settle_taken(quota, inode, file, most);
        result
    }

    /// Writes up to `wanted` bytes at `offset`: as many as there is room for, where not all are in place already.
    pub(in crate::backend) fn charged_write(
        &self,
        inode: &Inode,
        file: BorrowedFd<'_>,
        (offset, wanted): (u64, usize),
        operation: impl FnOnce(usize) -> FsResult<usize>,
    ) -> FsResult<usize> {
        let Some(quota) = &self.quota else {
            return operation(wanted);
        };
        let entered = quota.enter();
        let most = rounded(wanted);
        let (taken, allowed) = match quota.take(most, 0) {
            Ok(()) => (most, wanted),
            Err(Errno::ENOSPC) => take_what_fits(quota, file, offset, wanted)?,
            Err(error) => return Err(error),
        };
        let result = operation(allowed);
        settle_taken(quota, inode, file, taken);
        drop(entered);
        result
    }

    /// Runs a change of an attribute of this length.
    pub(in crate::backend) fn charge_xattr(
        &self,
        file: BorrowedFd<'_>,
        name: &OsStr,
        length: usize,
        operation: impl FnOnce() -> FsResult<()>,
    ) -> FsResult<()> {
        let Some(quota) = &self.quota else {
            return operation();
        };
        let _entered = quota.enter();
        let before = xattr_now(file, name);
        let after = xattr_weight(name.as_bytes(), length);
        quota.take(after.saturating_sub(before), 0)?;
        match operation() {
            Ok(()) => {
                quota.give_back(before.saturating_sub(after), 0);
                Ok(())
            }
            Err(error) => {
                quota.give_back(after.saturating_sub(before), 0);
                Err(error)
            }
        }
    }

    pub(in crate::backend) fn discharge_xattr(
        &self,
        file: BorrowedFd<'_>,
        name: &OsStr,
        operation: impl FnOnce() -> FsResult<()>,
    ) -> FsResult<()> {
        let Some(quota) = &self.quota else {
            return operation();
        };
        let _entered = quota.enter();
        let before = xattr_now(file, name);
        operation()?;
        quota.give_back(before, 0);
        Ok(())
    }
}

/// Replaces what was taken for an operation by what the host has allocated, in one step: in between, nobody else finds free
/// what is written already.
fn settle_taken(quota: &QuotaKeeper, inode: &Inode, file: BorrowedFd<'_>, taken: u64) {
    // Locked before it is asked, or a later answer could be overtaken by an earlier one.
    let state = inode.state();
    let Ok(stat) = host::stat(file) else {
        quota.give_back(taken, 0);
        return;
    };
    let now = data_of(&stat);
    let before = u64::try_from(
        inode
            .charged
            .swap(i64::try_from(now).unwrap_or(i64::MAX), Ordering::Relaxed),
    );
    let before = before.unwrap_or(now);
    let (more, less) = (now.saturating_sub(before), before.saturating_sub(now));
    quota.exchange(taken.saturating_add(less), more);
    if state.orphan {
        quota.add_nameless(more, 0);
        quota.less_nameless(less, 0);
    }
}

/// Takes what is free, up to what a write can need, and says how much of the write that is enough for.
fn take_what_fits(
    quota: &QuotaKeeper,
    file: BorrowedFd<'_>,
    offset: u64,
    wanted: usize,
) -> FsResult<(u64, usize)> {
    let taken = quota.take_free(rounded(wanted), BLOCK)?;
    match fits(quota, file, (offset, wanted), taken) {
        Ok(fits) => Ok((taken, fits)),
        Err(error) => {
            quota.give_back(taken, 0);
            Err(error)
        }
    }
}

/// How much of a write needs no more than this room: what overwrites data, and the whole blocks that are left.
fn fits(
    quota: &QuotaKeeper,
    file: BorrowedFd<'_>,
    (offset, wanted): (u64, usize),
    room: u64,
) -> FsResult<usize> {
    let stat = host::stat(file)?;
    // Whatever the client says, the host puts it at the end.
    let appends = rustix::fs::fcntl_getfl(file)?.contains(OFlags::APPEND);
    let offset = if appends { stat.stx_size } else { offset };
    let end = offset.saturating_add(weight(wanted));
    let over = quota.usage().bytes > quota.limits().bytes;
    // Made room for by fallocate(2): as much as the file can hold is there.
    if !over && data_of(&stat) >= end.max(stat.stx_size).div_ceil(BLOCK) * BLOCK {
        return Ok(wanted);
    }
    let in_place = in_place_until(file, offset, &stat);
    let limit = in_place.max(offset / BLOCK * BLOCK).saturating_add(room);
    match usize::try_from(limit.min(end).saturating_sub(offset)) {
        Ok(0) | Err(_) => Err(Errno::ENOSPC),
        Ok(fits) => Ok(fits),
    }
}

fn xattr_now(file: BorrowedFd<'_>, name: &OsStr) -> u64 {
    let path = host::proc_path(file);
    rustix::fs::getxattr_query(path.as_c_str(), name)
        .map_or(0, |length| xattr_weight(name.as_bytes(), length))
}

/// What the host gives to what is made in a directory, at most: the list that it has as its default, and to another
/// directory once more, to hand on.
fn handed_down(dir: BorrowedFd<'_>, kind: Kind) -> u64 {
    const DEFAULT: &str = "system.posix_acl_default";
    const OWN: &str = "system.posix_acl_access";
    let path = host::proc_path(dir);
    let Ok(length @ 1..) = rustix::fs::getxattr_query(path.as_c_str(), DEFAULT) else {
        return 0;
    };
    let own = xattr_weight(OWN.as_bytes(), length);
    match kind {
        Kind::Symlink => 0,
        Kind::Dir => own + xattr_weight(DEFAULT.as_bytes(), length),
        _ => own,
    }
}

fn charged(inode: &Inode) -> u64 {
    u64::try_from(inode.charged.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Whole blocks, and one more for where it begins in the middle of one.
pub(in crate::backend) fn rounded(bytes: usize) -> u64 {
    if bytes == 0 {
        0
    } else {
        weight(bytes)
            .div_ceil(BLOCK)
            .saturating_add(1)
            .saturating_mul(BLOCK)
    }
}

/// Up to where there is data from `offset` on, to the end of its block.
fn in_place_until(file: BorrowedFd<'_>, offset: u64, stat: &Statx) -> u64 {
    if offset >= stat.stx_size.div_ceil(BLOCK) * BLOCK {
        return 0;
    }
    let aligned = (offset / BLOCK * BLOCK).min(stat.stx_size.saturating_sub(1));
    match rustix::fs::seek(file, SeekFrom::Hole(aligned)) {
        Ok(hole) if hole > aligned => hole.div_ceil(BLOCK) * BLOCK,
        _ => 0,
    }
}

fn weight(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
