//! read, write, fallocate, lseek.

use super::clock::now;
use super::content::MAX_SIZE;
use super::filesystem::MemFs;
use super::inode::{Body, Inode, State};
use super::space::PAGE;
use crate::fs::{
    DataReader, DataWriter, Errno, FallocateMode, FsResult, Ino, OpenFlags, ReadRequest, SeekFrom, Timestamp,
    WriteRequest,
};

/// After this long a time of access is brought up to date in any case, as `relatime` does it.
const RELATIME_SECONDS: i64 = 24 * 60 * 60;

impl MemFs {
    pub(super) fn read_file(
        &self,
        ino: Ino,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        let inode = self.table.get(ino)?;
        let state = inode.read();
        let count = match &state.body {
            Body::File(content) => content.read(request.offset, u64::from(request.size), data)?,
            Body::Directory(_) => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        };
        let stale = !request.flags.contains(OpenFlags::NOATIME) && atime_is_stale(&state, now());
        drop(state);
        if stale {
            touch(&inode);
        }
        Ok(count)
    }

    pub(super) fn write_file(
        &self,
        ino: Ino,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        let inode = self.table.get(ino)?;
        let mut state = inode.write();
        let content = state.content()?;
        let appends = request.flags.contains(OpenFlags::APPEND) && !request.delayed;
        let offset = if appends && !self.caching.writeback {
            content.size()
        } else {
            request.offset
        };
        let written = content.write(&self.space, offset, u64::from(request.size), data)?;
        if request.kill_privileges {
            self.kill_privileges(&mut state);
        }
        if written > 0 {
            state.modified();
        }
        Ok(written)
    }

    pub(super) fn allocate(&self, ino: Ino, mode: FallocateMode, offset: u64, len: u64) -> FsResult<()> {
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= MAX_SIZE)
            .ok_or(Errno::EFBIG)?;
        let inode = self.table.get(ino)?;
        let mut state = inode.write();
        allocate(self, &mut state, mode, offset, end)?;
        state.modified();
        self.kill_privileges(&mut state);
        Ok(())
    }

    pub(super) fn seek(&self, ino: Ino, from: SeekFrom) -> FsResult<u64> {
        let inode = self.table.get(ino)?;
        match (&inode.read().body, from) {
            (Body::File(content), SeekFrom::Data(offset)) => content.seek_data(offset),
            (Body::File(content), SeekFrom::Hole(offset)) => content.seek_hole(offset),
            _ => Err(Errno::EINVAL),
        }
    }
}

fn allocate(fs: &MemFs, state: &mut State, mode: FallocateMode, offset: u64, end: u64) -> FsResult<()> {
    let keeps = mode.contains(FallocateMode::KEEP_SIZE);
    let content = match state.content() {
        Ok(content) => content,
        Err(Errno::EISDIR) => return Err(Errno::EISDIR),
        Err(_) => return Err(Errno::ENODEV),
    };
    match mode - FallocateMode::KEEP_SIZE {
        FallocateMode::PUNCH_HOLE if keeps => {
            content.punch(&fs.space, offset, end);
            return Ok(());
        }
        FallocateMode::COLLAPSE_RANGE if !keeps => return collapse(fs, state, offset, end),
        FallocateMode::INSERT_RANGE if !keeps => return insert(state, offset, end),
        FallocateMode::ZERO_RANGE => content.zero_range(&fs.space, offset, end)?,
        mode if mode.is_empty() => content.reserve(&fs.space, offset, end)?,
        _ => return Err(Errno::ENOTSUP),
    }
    if !keeps {
        content.grow(end);
    }
    Ok(())
}

fn collapse(fs: &MemFs, state: &mut State, offset: u64, end: u64) -> FsResult<()> {
    let content = state.content()?;
    if !offset.is_multiple_of(PAGE) || !end.is_multiple_of(PAGE) || end >= content.size() {
        return Err(Errno::EINVAL);
    }
    content.collapse(&fs.space, offset, end);
    Ok(())
}

fn insert(state: &mut State, offset: u64, end: u64) -> FsResult<()> {
    let content = state.content()?;
    let len = end - offset;
    if !offset.is_multiple_of(PAGE) || !len.is_multiple_of(PAGE) || offset >= content.size() {
        return Err(Errno::EINVAL);
    }
    if content.size().checked_add(len).is_none_or(|size| size > MAX_SIZE) {
        return Err(Errno::EFBIG);
    }
    content.insert(offset, len);
    Ok(())
}

/// `relatime`: whether the time of access is older than a change, or than a day.
pub(super) fn atime_is_stale(state: &State, now: Timestamp) -> bool {
    state.atime <= state.mtime
        || state.atime <= state.ctime
        || now.seconds.saturating_sub(state.atime.seconds) >= RELATIME_SECONDS
}

/// It was accessed.
pub(super) fn touch(inode: &Inode) {
    inode.write().atime = now();
}
