//! Hard links and symbolic links.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::charge::rounded;
use super::inode::{Identity, Inode};
use super::owner::{self, Kind, Override};
use super::{PassthroughFs, host};
use crate::fs::{Context, Entry, Errno, FsResult, Ino};

/// PATH_MAX, with the zero byte that is not stored.
const LONGEST_TARGET: usize = 4095;

impl PassthroughFs {
    pub(in crate::backend) fn do_link(&self, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        let inode = self.table.get(ino)?;
        let (dir, fd) = self.directory(new_parent)?;
        self.check_change(&dir, new_name)?;
        if inode.type_bits() == libc::S_IFDIR {
            return Err(Errno::EPERM);
        }
        let charge = self.charge_link(new_name)?;
        let file = self.descriptor(&inode)?;
        let path = host::proc_path(file.as_fd());
        rustix::fs::linkat(CWD, path.as_c_str(), &*fd, new_name, AtFlags::SYMLINK_FOLLOW)?;
        charge.keep();
        self.becomes_named(&inode);
        let (stat, attr) = self.look(file.as_fd())?;
        Ok(self.entry(&dir, new_name, &stat, attr))
    }

    pub(in crate::backend) fn do_symlink(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        target: &OsStr,
    ) -> FsResult<Entry> {
        let (dir, fd) = self.directory(parent)?;
        self.check_change(&dir, name)?;
        check_target(target)?;
        let new = self.newcomer(ctx, fd.as_fd(), Kind::Symlink, 0o777, 0, 0)?;
        let is_file = new.kept().is_some_and(|kept| !self.is_default_owner(kept));
        let bytes = if is_file {
            rounded(target.len())
        } else {
            u64::try_from(target.len()).unwrap_or(u64::MAX)
        };
        let charge = self.charge_symlink(name, bytes)?;
        let entry = if is_file {
            self.write_link(fd.as_fd(), name, target)?;
            self.made(ctx, &dir, fd.as_fd(), name, &new, AtFlags::empty())?
        } else {
            let _name = self.in_name_of(ctx)?;
            rustix::fs::symlinkat(target, &*fd, name)?;
            self.find(&dir, fd.as_fd(), name)?
        };
        charge.keep_with(&host::stat_in(fd.as_fd(), name)?, bytes);
        Ok(entry)
    }

    pub(in crate::backend) fn do_readlink(&self, ino: Ino) -> FsResult<Vec<u8>> {
        let inode = self.table.get(ino)?;
        if inode.type_bits() != libc::S_IFLNK {
            return Err(Errno::EINVAL);
        }
        let fd = self.descriptor(&inode)?;
        let host_kind = Kind::of_mode(u32::from(host::stat(fd.as_fd())?.stx_mode));
        if host_kind == Some(Kind::File) {
            return self.read_link_file(fd.as_fd());
        }
        Ok(rustix::fs::readlinkat(&*fd, c"", Vec::new())?.into_bytes())
    }

    fn read_link_file(&self, fd: BorrowedFd<'_>) -> FsResult<Vec<u8>> {
        let file = self.with_descriptors(|| host::reopen(fd, OFlags::RDONLY | OFlags::NONBLOCK))?;
        let mut target = vec![0; LONGEST_TARGET + 1];
        let mut length = 0;
        while let Some(room) = target.get_mut(length..).filter(|room| !room.is_empty()) {
            match rustix::io::pread(&file, room, u64::try_from(length).unwrap_or(u64::MAX))? {
                0 => break,
                read => length += read,
            }
        }
        target.truncate(length);
        check_target(OsStr::from_bytes(&target)).map_err(|_| Errno::EIO)?;
        Ok(target)
    }

    /// A symbolic link as a regular file whose content is its target.
    pub(in crate::backend) fn write_link(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        target: &OsStr,
    ) -> FsResult<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = self.with_descriptors(|| rustix::fs::openat(dir, name, flags, mode))?;
        let written = rustix::io::write(&file, target.as_bytes());
        if written == Ok(target.len()) {
            return Ok(());
        }
        rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
        Err(written.err().map_or(Errno::ENOSPC, Errno::from))
    }

    /// A real symbolic link carries no attributes: one that gets another owner than the host's becomes a file that stands
    /// for it. It takes its place in one step; other hard links of it stay as they were.
    pub(in crate::backend) fn store_link_as_file(
        &self,
        inode: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        kept: &Override,
    ) -> FsResult<()> {
        let place = inode.place().ok_or(Errno::ESTALE)?;
        let dir = self.descriptor(&place.parent)?;
        let target = OsString::from_vec(rustix::fs::readlinkat(fd, c"", Vec::new())?.into_bytes());
        let scratch = OsString::from(format!(".sandbox-link-{}-{}", std::process::id(), inode.number));
        let link = host::stat(fd)?;
        let charge = self.charge_replacement(&target, &link)?;
        self.write_link(dir.as_fd(), &scratch, &target)?;
        match self.replace_link(inode, dir.as_fd(), &scratch, &place.name, kept) {
            Ok(file) => {
                self.keep_replacement(charge, inode, file.as_fd(), &link);
                Ok(())
            }
            Err(error) => {
                rustix::fs::unlinkat(&*dir, &scratch, AtFlags::empty())?;
                Err(error)
            }
        }
    }

    fn replace_link(
        &self,
        inode: &Arc<Inode>,
        dir: BorrowedFd<'_>,
        scratch: &OsStr,
        name: &OsStr,
        kept: &Override,
    ) -> FsResult<Arc<OwnedFd>> {
        let file = self
            .with_descriptors(|| rustix::fs::openat(dir, scratch, super::resolve::STAND_IN, Mode::empty()))?;
        owner::write(
            file.as_fd(),
            &Override {
                kind: Some(Kind::Symlink),
                mode: 0o777,
                ..*kept
            },
            self.config.owners,
        )?;
        if Identity::of(&host::stat_in(dir, name)?) != inode.identity() {
            return Err(Errno::ESTALE);
        }
        rustix::fs::renameat(dir, scratch, dir, name)?;
        let identity = Identity::of(&host::stat(file.as_fd())?);
        self.table.exchange(inode, identity);
        let file = Arc::new(file);
        let old = inode.state().path.replace(Arc::clone(&file));
        drop(old);
        Ok(file)
    }
}

pub(in crate::backend) fn check_target(target: &OsStr) -> FsResult<()> {
    let bytes = target.as_bytes();
    if bytes.is_empty() {
        return Err(Errno::ENOENT);
    }
    if bytes.contains(&0) {
        return Err(Errno::EINVAL);
    }
    if bytes.len() > LONGEST_TARGET {
        Err(Errno::ENAMETOOLONG)
    } else {
        Ok(())
    }
}
