//! What is in files.

use super::DualFs;
use super::copy::{read, write_all};
use super::side::{OpenFile, Side, if_known};
use crate::fs::{
    Context, DataReader, DataWriter, Errno, FallocateMode, FsResult, Handle, Ino, ReadRequest, SeekFrom,
    SyncScope, WriteRequest,
};

/// How much is copied at once between two backends.
const CHUNK: u64 = 1 << 20;

impl DualFs {
    pub(super) fn do_read(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        let file = self.opened(ctx, handle)?;
        file.held.fs.read(ctx, file.held.ino, file.handle, request, data)
    }

    pub(super) fn do_write(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        let file = self.writable(ctx, handle)?;
        file.held.fs.write(ctx, file.held.ino, file.handle, request, data)
    }

    pub(super) fn do_fsync(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        scope: SyncScope,
    ) -> FsResult<()> {
        let file = self.opened(ctx, handle)?;
        if_known(file.held.fs.fsync(ctx, file.held.ino, file.handle, scope))
    }

    pub(super) fn do_fallocate(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        let file = self.writable(ctx, handle)?;
        file.held
            .fs
            .fallocate(ctx, file.held.ino, file.handle, mode, offset, len)
    }

    pub(super) fn do_lseek(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        from: SeekFrom,
    ) -> FsResult<u64> {
        let file = self.opened(ctx, handle)?;
        file.held.fs.lseek(ctx, file.held.ino, file.handle, from)
    }

    /// By the backend where both files are its own, otherwise through memory.
    pub(super) fn do_copy(
        &self,
        ctx: &Context<'_>,
        from: (Option<Handle>, u64),
        to: (Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        let (source, target) = (self.opened(ctx, from.0)?, self.writable(ctx, to.0)?);
        if source.held.side == Side::A {
            let one = (source.held.ino, source.handle, from.1);
            let other = (target.held.ino, target.handle, to.1);
            match target.held.fs.copy_file_range(ctx, one, other, len) {
                Err(Errno::ENOSYS | Errno::ENOTSUP | Errno::EXDEV) => {}
                done => return done,
            }
        }
        copy_through_memory(ctx, (&source, from.1), (&target, to.1), len)
    }

    pub(super) fn do_syncfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<()> {
        let part = self.table.get(ino)?.a();
        let ino = part.map_or(crate::fs::ROOT_INO, |part| part.ino);
        self.a.syncfs(ctx, ino)
    }

    /// What is written to is in A since it was opened for that.
    fn writable(&self, ctx: &Context<'_>, handle: Option<Handle>) -> FsResult<std::sync::Arc<OpenFile>> {
        let file = self.opened(ctx, handle)?;
        if file.held.side == Side::A {
            Ok(file)
        } else {
            Err(Errno::EBADF)
        }
    }
}

/// What was copied before something went wrong is what was copied.
fn copy_through_memory(
    ctx: &Context<'_>,
    from: (&OpenFile, u64),
    to: (&OpenFile, u64),
    len: u64,
) -> FsResult<u64> {
    let mut done = 0;
    while done < len {
        let size = u32::try_from((len - done).min(CHUNK)).map_err(|_| Errno::EINVAL)?;
        let piece = read(ctx, from.0, from.1 + done, size)
            .and_then(|bytes| write_all(ctx, to.0, to.1 + done, &bytes).map(|()| bytes.len()));
        match piece {
            Ok(0) => break,
            Ok(count) => done += count as u64,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
