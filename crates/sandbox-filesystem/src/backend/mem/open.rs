//! open, and what is agreed on with the kernel.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbox_types::CachePolicy;

use super::filesystem::MemFs;
use super::inode::Inode;
use crate::fs::{Capabilities, Errno, FsResult, Ino, OpenFlags, OpenReplyFlags, Opened};

impl MemFs {
    pub(super) fn open_file(&self, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        let inode = self.table.get(ino)?;
        match inode.kind {
            libc::S_IFDIR if flags.writes() => return Err(Errno::EISDIR),
            libc::S_IFLNK => return Err(Errno::ELOOP),
            _ => {}
        }
        self.truncate_at_open(&inode, flags)?;
        Ok(self.opened())
    }

    /// A handle is a number and nothing else, to know locks by: the kernel's reference keeps an unlinked file, and flags
    /// come with each request.
    pub(super) fn opened(&self) -> Opened {
        Opened {
            handle: Some(self.last_handle.fetch_add(1, Ordering::Relaxed) + 1),
            flags: self.open_reply(),
        }
    }

    pub(super) fn truncate_at_open(&self, inode: &Arc<Inode>, flags: OpenFlags) -> FsResult<()> {
        if !flags.contains(OpenFlags::TRUNC) || inode.kind != libc::S_IFREG {
            return Ok(());
        }
        let mut state = inode.write();
        state.content()?.set_size(&self.space, 0)?;
        self.kill_privileges(&mut state);
        state.modified();
        Ok(())
    }

    /// Whether what the kernel has of a file is still so. There is nothing to flush, but a lock may end with close(2).
    fn open_reply(&self) -> OpenReplyFlags {
        match self.caching.data {
            CachePolicy::Never => OpenReplyFlags::DIRECT_IO | OpenReplyFlags::PARALLEL_DIRECT_WRITES,
            CachePolicy::Auto => OpenReplyFlags::empty(),
            CachePolicy::Always => OpenReplyFlags::KEEP_CACHE,
        }
    }

    /// What is wanted of what the kernel offers.
    pub(super) fn wanted(&self) -> Capabilities {
        let wanted = Capabilities::ASYNC_READ
            | Capabilities::POSIX_LOCKS
            | Capabilities::ATOMIC_O_TRUNC
            | Capabilities::EXPORT_SUPPORT
            | Capabilities::BIG_WRITES
            | Capabilities::DONT_MASK
            | Capabilities::FLOCK_LOCKS
            | Capabilities::READDIRPLUS
            | Capabilities::READDIRPLUS_AUTO
            | Capabilities::ASYNC_DIO
            | Capabilities::PARALLEL_DIROPS
            | Capabilities::HANDLE_KILLPRIV_V2
            | Capabilities::POSIX_ACL
            | Capabilities::MAX_PAGES
            | Capabilities::CACHE_SYMLINKS;
        if self.caching.writeback {
            wanted | Capabilities::WRITEBACK_CACHE
        } else {
            wanted
        }
    }
}
