//! Files that are opened, and what is in them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::OFlags;

use super::OverlayFs;
use super::content::Content;
use crate::backend::passthrough::handle::OpenFile;
use crate::backend::passthrough::host;
use crate::fs::{
    Context, DataWriter, DynFileSystem, Errno, FsResult, Handle, Ino, OpenFlags, Opened, ReadRequest,
    SeekFrom,
};

impl OverlayFs {
    pub(super) fn do_open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        let inode = self.host.table.get(ino)?;
        let truncates = flags.contains(OpenFlags::TRUNC);
        if (truncates || flags.writes()) && inode.type_bits() == libc::S_IFREG {
            let content = if truncates {
                Content::First(0)
            } else {
                Content::All
            };
            self.raise(&inode, content)?;
        }
        let from = inode.layer();
        let opened = self.host.do_open(ctx, ino, flags)?;
        if from != 0 {
            self.host
                .handles
                .file(opened.handle)?
                .from
                .store(from, Ordering::Relaxed);
        }
        Ok(opened)
    }

    pub(super) fn do_read(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        self.follow_copy(handle)?;
        self.host.do_read(ino, handle, request, data)
    }

    pub(super) fn do_lseek(&self, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        self.follow_copy(handle)?;
        self.host.do_lseek(handle, from)
    }

    pub(super) fn do_copy(
        &self,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        self.follow_copy(from.1)?;
        self.host.do_copy(from, to, len)
    }

    /// Whoever opened a file before it was copied up goes on with the copy.
    pub(super) fn follow_copy(&self, handle: Option<Handle>) -> FsResult<()> {
        let Ok(open) = self.host.handles.file(handle) else {
            return Ok(());
        };
        if open.from.load(Ordering::Relaxed) == 0 || open.inode.layer() != 0 || open.copy.get().is_some() {
            return Ok(());
        }
        let copy = self.open_copy(&open)?;
        // Another thread may have been first, with the same file.
        drop(open.copy.set(copy));
        Ok(())
    }

    fn open_copy(&self, open: &Arc<OpenFile>) -> FsResult<OwnedFd> {
        let fd = self.host.descriptor(&open.inode)?;
        self.host
            .with_descriptors(|| host::reopen(fd.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK))
    }

    /// Only what is never copied up, or was never in a lower layer, is the same file from the first open to the last.
    pub(super) fn do_backing_file(&self, ino: Ino, handle: Option<Handle>) -> FsResult<OwnedFd> {
        let inode = self.host.table.get(ino)?;
        let was_copied = inode.state().origin.is_some();
        if self.upper.is_some() && (inode.layer() != 0 || was_copied) {
            return Err(Errno::ENOSYS);
        }
        self.host.backing_file(ino, handle)
    }
}
