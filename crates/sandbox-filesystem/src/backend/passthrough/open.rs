//! Files that are opened and closed.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU16};
use std::sync::{Arc, OnceLock};

use rustix::fs::OFlags;
use sandbox_types::CachePolicy;

use super::handle::OpenFile;
use super::inode::Inode;
use super::{PassthroughFs, host};
use crate::fs::{Context, Errno, FsResult, Handle, Ino, LockOwner, OpenFlags, OpenReplyFlags, Opened};

/// What of a client's flags means something to the host. Not `O_DIRECT`, which wants buffers that a server does not have.
const PASSED: OFlags = OFlags::ACCMODE
    .union(OFlags::TRUNC)
    .union(OFlags::APPEND)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC)
    .union(OFlags::NOATIME);

impl PassthroughFs {
    pub(in crate::backend) fn do_open(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        flags: OpenFlags,
    ) -> FsResult<Opened> {
        let inode = self.table.get(ino)?;
        match inode.type_bits() {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Errno::EISDIR),
            libc::S_IFLNK => return Err(Errno::ELOOP),
            // The kernel serves them itself.
            _ => return Err(Errno::ENXIO),
        }
        if flags.writes() || flags.contains(OpenFlags::TRUNC) {
            self.check_writable()?;
        }
        let truncates = flags.contains(OpenFlags::TRUNC);
        if truncates {
            self.drop_privileges(&inode, ctx.uid != 0)?;
        }
        let file = self.open_host(&inode, self.host_flags(flags))?;
        if truncates {
            self.settle(&inode, file.as_fd());
        }
        Ok(self.register(inode, file, flags))
    }

    /// The file itself is opened, whose type is known: there is nothing to wait for.
    fn open_host(&self, inode: &Arc<Inode>, flags: OFlags) -> FsResult<OwnedFd> {
        let fd = self.descriptor(inode)?;
        let open = |flags: OFlags| self.with_descriptors(|| host::reopen(fd.as_fd(), flags));
        match open(flags) {
            // Only the owner may ask for that.
            Err(Errno::EPERM) if flags.contains(OFlags::NOATIME) => open(flags - OFlags::NOATIME),
            // Reading was added for the client's cache; without the right to, pages are written whole or not at all.
            Err(Errno::EACCES) if self.config.writeback && flags.contains(OFlags::RDWR) => {
                open((flags - OFlags::RDWR) | OFlags::WRONLY)
            }
            other => other,
        }
    }

    /// The host's flags for a client's. With writeback the client reads pages that it writes parts of, and knows itself
    /// where the end is.
    pub(in crate::backend) fn host_flags(&self, flags: OpenFlags) -> OFlags {
        let mut host = OFlags::from_bits_retain(flags.bits()) & PASSED;
        if self.config.writeback {
            host -= OFlags::APPEND;
            if flags.contains(OpenFlags::WRONLY) {
                host = (host - OFlags::WRONLY) | OFlags::RDWR;
            }
        }
        host
    }

    pub(in crate::backend) fn register(&self, inode: Arc<Inode>, file: OwnedFd, flags: OpenFlags) -> Opened {
        let file = Arc::new(file);
        inode.opened(&file);
        let reply = self.reply_flags(&inode, &file);
        self.cache.file_opened();
        let appends = AtomicBool::new(self.host_flags(flags).contains(OFlags::APPEND));
        let handle = self.handles.add_file(OpenFile {
            file,
            inode,
            from: AtomicU16::new(0),
            copy: OnceLock::new(),
            appends,
        });
        Opened {
            handle: Some(handle),
            flags: reply,
        }
    }

    /// With `Auto` the client keeps the data of a file that is as it was when it was opened last.
    fn reply_flags(&self, inode: &Inode, file: &OwnedFd) -> OpenReplyFlags {
        if self.makes_content(inode, file) {
            // The client would go by the size, and by what it has read before.
            return OpenReplyFlags::DIRECT_IO;
        }
        match self.config.cache {
            CachePolicy::Never => OpenReplyFlags::DIRECT_IO,
            CachePolicy::Always => OpenReplyFlags::KEEP_CACHE,
            CachePolicy::Auto => match host::stat(file.as_fd()) {
                Ok(stat) if inode.is_as_seen(&stat) => OpenReplyFlags::KEEP_CACHE,
                _ => OpenReplyFlags::empty(),
            },
        }
    }

    fn makes_content(&self, inode: &Inode, file: &OwnedFd) -> bool {
        if inode.identity().device() == self.root_device {
            self.makes_content
        } else {
            host::makes_content_when_read(file.as_fd())
        }
    }

    pub(in crate::backend) fn do_release(
        &self,
        handle: Option<Handle>,
        owner: Option<LockOwner>,
    ) -> FsResult<()> {
        let open = self.handles.remove_file(handle)?;
        self.cache.file_closed();
        self.settle(&open.inode, open.fd());
        if let Some(handle) = handle {
            self.locks.closed(open.inode.number, handle);
        }
        if let Some(owner) = owner {
            self.locks.release(open.inode.number, owner);
        }
        Ok(())
    }
}
