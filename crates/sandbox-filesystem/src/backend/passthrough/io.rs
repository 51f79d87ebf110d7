//! What is in files.

use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, OFlags};

use super::PassthroughFs;
use super::handle::OpenFile;
use crate::fs::{
    DataReader, DataWriter, Errno, FallocateMode, FsResult, Handle, Ino, LockOwner, OpenFlags, ReadRequest,
    SeekFrom, SyncScope, WriteRequest,
};

impl PassthroughFs {
    pub(in crate::backend) fn do_read(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        let open = match self.handles.file(handle) {
            Err(_) if self.table.get(ino)?.type_bits() == libc::S_IFDIR => return Err(Errno::EISDIR),
            open => open?,
        };
        let wanted = usize::try_from(request.size)
            .unwrap_or(usize::MAX)
            .min(data.remaining());
        let mut total = 0;
        while total < wanted {
            let offset = advanced(request.offset, total)?;
            match data.read_from(open.fd(), wanted - total, offset) {
                Ok(0) => break,
                Ok(read) => total += read,
                Err(Errno::EINTR) => {}
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    pub(in crate::backend) fn do_write(
        &self,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        self.check_writable()?;
        let open = self.handles.file(handle)?;
        self.drop_privileges(&open.inode, request.kill_privileges)?;
        self.follow_append(&open, request)?;
        let wanted = usize::try_from(request.size)
            .unwrap_or(usize::MAX)
            .min(data.remaining());
        self.charged_write(&open.inode, open.fd(), (request.offset, wanted), |wanted| {
            let mut total = 0;
            while total < wanted {
                let offset = advanced(request.offset, total)?;
                match data.write_to(open.fd(), wanted - total, offset) {
                    Ok(0) => break,
                    Ok(written) => total += written,
                    Err(Errno::EINTR) => {}
                    Err(error) if total == 0 => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(total)
        })
    }

    /// `O_APPEND` of an open file can be changed by fcntl(2); the host's descriptor follows.
    fn follow_append(&self, open: &OpenFile, request: &WriteRequest) -> FsResult<()> {
        if request.delayed || self.config.writeback {
            return Ok(());
        }
        let appends = request.flags.contains(OpenFlags::APPEND);
        if open.appends.swap(appends, Ordering::Relaxed) != appends {
            let flags = rustix::fs::fcntl_getfl(open.fd())?;
            let flags = if appends {
                flags | OFlags::APPEND
            } else {
                flags - OFlags::APPEND
            };
            rustix::fs::fcntl_setfl(open.fd(), flags)?;
        }
        Ok(())
    }

    /// close(2) gives up the process's locks. There is nothing to flush: what was written is with the host.
    pub(in crate::backend) fn do_flush(&self, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        let open = self.handles.file(handle)?;
        self.locks.release(open.inode.number, owner);
        Ok(())
    }

    pub(in crate::backend) fn do_fsync(&self, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        let open = self.handles.file(handle)?;
        match scope {
            SyncScope::Data => rustix::fs::fdatasync(open.fd())?,
            SyncScope::Everything => rustix::fs::fsync(open.fd())?,
        }
        Ok(())
    }

    pub(in crate::backend) fn do_fallocate(
        &self,
        handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        self.check_writable()?;
        let open = self.handles.file(handle)?;
        self.drop_privileges(&open.inode, false)?;
        let gives_back = mode.intersects(FallocateMode::PUNCH_HOLE | FallocateMode::COLLAPSE_RANGE);
        let reserve = if gives_back {
            0
        } else {
            usize::try_from(len).unwrap_or(usize::MAX)
        };
        let flags = FallocateFlags::from_bits_retain(mode.bits());
        self.charged_for(&open.inode, open.fd(), reserve, || {
            Ok(rustix::fs::fallocate(open.fd(), flags, offset, len)?)
        })
    }

    pub(in crate::backend) fn do_lseek(&self, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        let open = self.handles.file(handle)?;
        let from = match from {
            SeekFrom::Data(offset) => rustix::fs::SeekFrom::Data(offset),
            SeekFrom::Hole(offset) => rustix::fs::SeekFrom::Hole(offset),
        };
        Ok(rustix::fs::seek(open.fd(), from)?)
    }

    pub(in crate::backend) fn do_copy(
        &self,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        self.check_writable()?;
        for ino in [from.0, to.0] {
            if self.table.get(ino)?.type_bits() == libc::S_IFDIR {
                return Err(Errno::EISDIR);
            }
        }
        let (source, target) = (self.handles.file(from.1)?, self.handles.file(to.1)?);
        self.drop_privileges(&target.inode, true)?;
        let len = usize::try_from(len)
            .unwrap_or(usize::MAX)
            .min(i32::MAX.unsigned_abs() as usize);
        let (mut from, mut to) = (from.2, to.2);
        self.charged_for(&target.inode, target.fd(), len, || {
            let copied =
                rustix::fs::copy_file_range(source.fd(), Some(&mut from), target.fd(), Some(&mut to), len)?;
            u64::try_from(copied).map_err(|_| Errno::EIO)
        })
    }
}

fn advanced(offset: u64, by: usize) -> FsResult<u64> {
    let by = u64::try_from(by).map_err(|_| Errno::EFBIG)?;
    offset.checked_add(by).ok_or(Errno::EFBIG)
}
