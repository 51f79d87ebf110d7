//! What is done to open files.

use std::ffi::OsStr;

use super::convert::{allocation, lock_kind, open_flags, range, shown};
use super::{Backend, DONE, Done, END, Held, OpenFile};
use crate::conformance::op::{Allocation, Exclusive, HandleName, Locking, Op, Opening, Whence};
use crate::conformance::subject::show_bytes;
use crate::fs::{
    Attr, Buffer, Capabilities, Errno, FlockOperation, FsResult, Handle, Ino, LockKind, LockOwner, OpenFlags,
    Opened, ReadRequest, SeekFrom, SetAttr, WriteRequest,
};

impl<'a> Backend<'a> {
    pub(super) fn open(&mut self, name: HandleName, path: &OsStr, flags: Opening, mode: u32) -> Done {
        let raw = open_flags(flags);
        let (held, opened) = if flags.create {
            let (parent, last) = self.parent(path)?;
            self.check_existing(&parent, last, flags)?;
            let (mode, umask) = self.umask_for(mode);
            let made = self
                .fs
                .create(&self.ctx, parent.ino, last, libc::S_IFREG | mode, raw, umask)?;
            (self.hold(made.entry)?, made.opened)
        } else {
            let (held, attr) = self.find(path)?;
            let opened = self.open_found(&held, &attr, raw)?;
            (held, opened)
        };
        if flags.truncate && !self.agreed.contains(Capabilities::ATOMIC_O_TRUNC) {
            self.set_size(held.ino, opened.handle, 0)?;
        }
        self.keep_open(name, held, opened, raw);
        DONE
    }

    /// A kernel looks first; it lets a filesystem make only what it believes not to be there. The backend is asked all the
    /// same for a file that is there, as it would be where somebody else has just made it.
    pub(super) fn check_existing(&self, parent: &Held<'_>, name: &OsStr, flags: Opening) -> FsResult<()> {
        let found = match self.lookup(parent.ino, name) {
            Err(Errno::ENOENT) => return Ok(()),
            found => found?,
        };
        match found.1.mode & libc::S_IFMT {
            _ if flags.exclusive => Err(Errno::EEXIST),
            libc::S_IFREG => Ok(()),
            libc::S_IFDIR => Err(Errno::EISDIR),
            libc::S_IFLNK => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    /// What is neither a file nor a directory is not opened here.
    pub(super) fn open_found(&self, held: &Held<'_>, attr: &Attr, raw: OpenFlags) -> FsResult<Opened> {
        match attr.mode & libc::S_IFMT {
            libc::S_IFLNK => Err(Errno::ELOOP),
            libc::S_IFDIR if raw.writes() || raw.contains(OpenFlags::TRUNC) => Err(Errno::EISDIR),
            libc::S_IFDIR => Ok(Opened::default()),
            libc::S_IFREG => match self.fs.open(&self.ctx, held.ino, raw) {
                Err(Errno::ENOSYS) => Ok(Opened::default()),
                answer => answer,
            },
            _ => Err(Errno::ENXIO),
        }
    }

    pub(super) fn tmpfile(&mut self, name: HandleName, path: &OsStr, exclusive: Exclusive) -> Done {
        let (parent, attr) = self.find(path)?;
        match attr.mode & libc::S_IFMT {
            libc::S_IFDIR => {}
            libc::S_IFLNK => return Err(Errno::ENOENT),
            _ => return Err(Errno::ENOTDIR),
        }
        let mut raw = OpenFlags::RDWR;
        raw.set(OpenFlags::EXCL, exclusive == Exclusive::Yes);
        let (mode, umask) = self.umask_for(0o666);
        let made = self
            .fs
            .tmpfile(&self.ctx, parent.ino, libc::S_IFREG | mode, raw, umask)?;
        let held = self.hold(made.entry)?;
        self.keep_open(name, held, made.opened, raw);
        DONE
    }

    pub(super) fn keep_open(&mut self, name: HandleName, held: Held<'a>, opened: Opened, flags: OpenFlags) {
        let owner = LockOwner(self.next_owner);
        self.next_owner += 1;
        let before = self.handles.insert(
            name,
            OpenFile {
                held,
                handle: opened.handle,
                flags,
                owner,
            },
        );
        if let Some(before) = before {
            self.close(&before);
        }
    }

    /// Its errors are close(2)'s, which nobody looks at here either.
    pub(super) fn close(&self, file: &OpenFile<'_>) {
        let flushed = self.fs.flush(&self.ctx, file.held.ino, file.handle, file.owner);
        let released = self.fs.release(
            &self.ctx,
            file.held.ino,
            file.handle,
            file.flags,
            Some(file.owner),
        );
        tracing::trace!(?flushed, ?released, "closed");
    }

    pub(super) fn read(&self, name: HandleName, offset: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if !file.flags.reads() {
            return Err(Errno::EBADF);
        }
        self.refuse_directory(file)?;
        let size = u32::try_from(len).map_err(|_| Errno::EINVAL)?;
        let request = ReadRequest {
            offset,
            size,
            flags: file.flags,
        };
        let mut data = Buffer::with_room(size as usize);
        let count = self
            .fs
            .read(&self.ctx, file.held.ino, file.handle, &request, &mut data)?;
        let bytes = data.into_bytes();
        let consistent = if count == bytes.len() {
            ""
        } else {
            " but another count"
        };
        Ok(show_bytes(&bytes) + consistent)
    }

    pub(super) fn write(&self, name: HandleName, offset: u64, byte: u8, len: u64) -> Done {
        let file = self.writable(name)?;
        let bytes = vec![byte; usize::try_from(len).map_err(|_| Errno::EINVAL)?];
        let mut count = 0_u64;
        for chunk in bytes.chunks(1 << 20) {
            let request = WriteRequest {
                offset: offset + count,
                size: u32::try_from(chunk.len()).map_err(|_| Errno::EINVAL)?,
                flags: file.flags,
                delayed: false,
                kill_privileges: !rustix::process::geteuid().is_root(),
            };
            let mut data = chunk;
            match self
                .fs
                .write(&self.ctx, file.held.ino, file.handle, &request, &mut data)
            {
                Ok(written) => count += written as u64,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(format!("{count} written"))
    }

    /// A kernel does not ask for the content of a directory.
    pub(super) fn refuse_directory(&self, file: &OpenFile<'_>) -> FsResult<()> {
        let (attr, _) = self.fs.getattr(&self.ctx, file.held.ino, file.handle)?;
        if attr.mode & libc::S_IFMT == libc::S_IFDIR {
            Err(Errno::EISDIR)
        } else {
            Ok(())
        }
    }

    pub(super) fn writable(&self, name: HandleName) -> FsResult<&OpenFile<'a>> {
        let file = self.handles.get(name)?;
        if file.flags.writes() {
            Ok(file)
        } else {
            Err(Errno::EBADF)
        }
    }

    pub(super) fn set_size(&self, ino: Ino, handle: Option<Handle>, size: u64) -> FsResult<()> {
        let change = SetAttr {
            size: Some(size),
            handle,
            kill_privileges: !rustix::process::geteuid().is_root(),
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, ino, &change).map(drop)
    }

    pub(super) fn truncate(&self, path: &OsStr, len: u64) -> Done {
        let (held, attr) = self.find(path)?;
        match attr.mode & libc::S_IFMT {
            libc::S_IFDIR => return Err(Errno::EISDIR),
            libc::S_IFREG => self.set_size(held.ino, None, len)?,
            _ => return Err(Errno::EINVAL),
        }
        DONE
    }

    pub(super) fn truncate_handle(&self, name: HandleName, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if !file.flags.writes() {
            return Err(Errno::EINVAL);
        }
        self.set_size(file.held.ino, file.handle, len)?;
        DONE
    }

    pub(super) fn allocate(&self, name: HandleName, mode: Allocation, offset: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if mode == Allocation::PunchAlone {
            return Err(Errno::ENOTSUP);
        }
        if !file.flags.writes() {
            return Err(Errno::EBADF);
        }
        self.fs.fallocate(
            &self.ctx,
            file.held.ino,
            file.handle,
            allocation(mode),
            offset,
            len,
        )?;
        DONE
    }

    pub(super) fn seek(&self, name: HandleName, whence: Whence, offset: u64) -> Done {
        let file = self.handles.get(name)?;
        let from = match whence {
            Whence::Data => SeekFrom::Data(offset),
            Whence::Hole => SeekFrom::Hole(offset),
        };
        Ok(self
            .fs
            .lseek(&self.ctx, file.held.ino, file.handle, from)?
            .to_string())
    }

    pub(super) fn copy(&self, from: (HandleName, u64), to: (HandleName, u64), len: u64) -> Done {
        let (source, target) = (self.handles.get(from.0)?, self.handles.get(to.0)?);
        self.refuse_directory(source)?;
        self.refuse_directory(target)?;
        if !source.flags.reads() || !target.flags.writes() || target.flags.contains(OpenFlags::APPEND) {
            return Err(Errno::EBADF);
        }
        // Up to the end of the source, as the kernel has it before it asks.
        let (attr, _) = self.fs.getattr(&self.ctx, source.held.ino, source.handle)?;
        let len = len.min(attr.size.saturating_sub(from.1));
        if source.held.ino == target.held.ino && len > 0 && from.1.abs_diff(to.1) < len {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok("0 copied".to_owned());
        }
        let copied = self.fs.copy_file_range(
            &self.ctx,
            (source.held.ino, source.handle, from.1),
            (target.held.ino, target.handle, to.1),
            len,
        )?;
        Ok(format!("{copied} copied"))
    }

    pub(super) fn lock(&self, name: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        match kind {
            Locking::Shared if !file.flags.reads() => return Err(Errno::EBADF),
            Locking::Exclusive if !file.flags.writes() => return Err(Errno::EBADF),
            _ => {}
        }
        self.fs.setlk(
            &self.ctx,
            file.held.ino,
            file.handle,
            file.owner,
            range(kind, start, len)?,
        )?;
        DONE
    }

    pub(super) fn get_lock(&self, name: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        let asked = range(kind, start, len)?;
        let found = self
            .fs
            .getlk(&self.ctx, file.held.ino, file.handle, file.owner, asked)?;
        let len = if found.end >= END {
            0
        } else {
            found.end - found.start + 1
        };
        Ok(match found.kind {
            LockKind::Unlocked => "free".to_owned(),
            LockKind::Shared => format!("shared {}+{len}", found.start),
            LockKind::Exclusive => format!("exclusive {}+{len}", found.start),
        })
    }

    pub(super) fn flock(&self, name: HandleName, kind: Locking) -> Done {
        let file = self.handles.get(name)?;
        let operation = FlockOperation {
            kind: lock_kind(kind),
            wait: false,
        };
        self.fs
            .flock(&self.ctx, file.held.ino, file.handle, file.owner, operation)?;
        DONE
    }

    pub(super) fn on_handles(&mut self, step: &Op) -> Done {
        match step {
            Op::Open(name, path, flags, mode) => self.open(*name, path, *flags, *mode),
            Op::Tmpfile(name, path, exclusive) => self.tmpfile(*name, path, *exclusive),
            Op::LinkHandle(name, path) => self.link(self.handles.get(*name)?.held.ino, path),
            Op::Close(name) => {
                let file = self.handles.remove(*name)?;
                self.close(&file);
                DONE
            }
            Op::Read(name, offset, len) => self.read(*name, *offset, *len),
            Op::Write(name, offset, byte, len) => self.write(*name, *offset, *byte, *len),
            Op::TruncateHandle(name, len) => self.truncate_handle(*name, *len),
            Op::Allocate(name, mode, offset, len) => self.allocate(*name, *mode, *offset, *len),
            Op::Seek(name, whence, offset) => self.seek(*name, *whence, *offset),
            Op::Copy(from, to, len) => self.copy(*from, *to, *len),
            Op::StatHandle(name) => {
                let file = self.handles.get(*name)?;
                let (attr, _) = self.fs.getattr(&self.ctx, file.held.ino, file.handle)?;
                Ok(shown(&attr).stat())
            }
            Op::Lock(name, kind, start, len) => self.lock(*name, *kind, *start, *len),
            Op::GetLock(name, kind, start, len) => self.get_lock(*name, *kind, *start, *len),
            Op::Flock(name, kind) => self.flock(*name, *kind),
            _ => Err(Errno::ENOSYS),
        }
    }
}
