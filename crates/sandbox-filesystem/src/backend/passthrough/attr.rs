//! Attributes: the host's, or those that are kept beside them.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Gid, OFlags, Statx, Timespec, Timestamps, Uid};
use sandbox_types::{HostPermissions, StatVirtualization};

use super::inode::{Identity, Inode};
use super::owner::{self, Kind, Override};
use super::{PassthroughFs, host};
use crate::backend::acl::{self, Acl};
use crate::fs::{Attr, Context, Errno, FsResult, Handle, Ino, ROOT_INO, SetAttr, SetTime, Timestamp};

/// Numbers of files on other devices than the root's get this bit, and their device mixed in.
const FOREIGN: u64 = 1 << 63;

impl PassthroughFs {
    pub(in crate::backend) fn do_getattr(
        &self,
        ino: Ino,
        handle: Option<Handle>,
    ) -> FsResult<(Attr, Duration)> {
        let timeout = self.config.attr_timeout;
        if let Some(open) = handle.and_then(|handle| self.handles.file(Some(handle)).ok()) {
            return Ok((open.inode.dress(self.look(open.fd())?.1), timeout));
        }
        let inode = self.table.get(ino)?;
        if let Some(attr) = self.attr_by_name(&inode)? {
            return Ok((inode.dress(attr), timeout));
        }
        let fd = self.descriptor(&inode)?;
        let mut attr = self.look(fd.as_fd())?.1;
        if ino == ROOT_INO && self.config.only.is_some() {
            attr.mode &= !0o222;
        }
        Ok((inode.dress(attr), timeout))
    }

    /// Where the host's attributes are served, a file is asked for by its name in a directory that has a descriptor,
    /// which saves one for the file. Only if it is the one: otherwise none.
    fn attr_by_name(&self, inode: &Arc<Inode>) -> FsResult<Option<Attr>> {
        if self.config.is_virtual() || inode.descriptor().is_some() {
            return Ok(None);
        }
        let Some(place) = inode.place() else {
            return Ok(None);
        };
        let identity = inode.identity();
        let dir = self.part_descriptor(&place.parent, identity.layer())?;
        let found = host::stat_in(dir.as_fd(), &place.name).ok();
        let same = found.filter(|stat| Identity::of(stat).in_layer(identity.layer()) == identity);
        Ok(same.map(|stat| self.attr(&stat, None)))
    }

    /// What the host says of a file, and what is served.
    pub(in crate::backend) fn look(&self, file: BorrowedFd<'_>) -> FsResult<(Statx, Attr)> {
        let stat = host::stat(file)?;
        let kept = self.kept(file, &stat)?;
        let attr = self.attr(&stat, kept);
        Ok((stat, attr))
    }

    /// What is kept beside the host's stat data. A value that makes no sense is an error (`EIO`) with `Strict`, and
    /// nothing with `Relaxed`.
    pub(in crate::backend) fn kept(&self, file: BorrowedFd<'_>, stat: &Statx) -> FsResult<Option<Override>> {
        let carries = matches!(
            Kind::of_mode(u32::from(stat.stx_mode)),
            Some(Kind::File | Kind::Dir)
        );
        if !self.config.is_virtual() || !carries {
            return Ok(None);
        }
        match owner::read(file, self.config.owners) {
            Err(_) if self.config.stat == StatVirtualization::Relaxed => Ok(None),
            other => other,
        }
    }

    pub(in crate::backend) fn attr(&self, stat: &Statx, kept: Option<Override>) -> Attr {
        let host_mode = u32::from(stat.stx_mode);
        let mut attr = Attr {
            ino: self.served_number(stat),
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            atime: time(stat.stx_atime.tv_sec, stat.stx_atime.tv_nsec),
            mtime: time(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            ctime: time(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            btime: (stat.stx_mask & libc::STATX_BTIME != 0)
                .then(|| time(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
            mode: host_mode,
            nlink: stat.stx_nlink,
            uid: self.config.identity.served_user(stat.stx_uid),
            gid: self.config.identity.served_group(stat.stx_gid),
            rdev: rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            blksize: stat.stx_blksize,
        };
        if let Some(kept) = kept {
            attr.uid = kept.uid;
            attr.gid = kept.gid;
            attr.mode = kept.mode | type_shown(host_mode, kept.kind);
            attr.rdev = kept.rdev;
        }
        attr
    }

    /// `st_ino`: the host's on the root's device.
    fn served_number(&self, stat: &Statx) -> u64 {
        let device = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        self.served_number_on(device, stat.stx_ino)
    }

    /// The same for what a directory on `device` lists.
    pub(in crate::backend) fn served_number_on(&self, device: u64, ino: u64) -> u64 {
        if device == self.root_device {
            ino
        } else {
            FOREIGN | (ino ^ device.rotate_left(40))
        }
    }

    pub(in crate::backend) fn do_setattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        change: &SetAttr,
    ) -> FsResult<(Attr, Duration)> {
        self.check_writable()?;
        let inode = self.table.get(ino)?;
        if ino == ROOT_INO && self.config.only.is_some() {
            return Err(Errno::EPERM);
        }
        if let Some(size) = change.size {
            self.set_size(&inode, change, size)?;
        }
        if change.mode.is_some() || change.uid.is_some() || change.gid.is_some() {
            inode.may_have_privileges();
            if self.config.is_virtual() {
                self.set_kept(ctx, &inode, change)?;
            } else {
                self.set_on_host(&inode, change)?;
            }
            self.settle_path(&inode);
        }
        if change.atime.is_some() || change.mtime.is_some() {
            let fd = self.descriptor(&inode)?;
            rustix::fs::utimensat(
                &*fd,
                c"",
                &times(change),
                AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        self.do_getattr(ino, change.handle)
    }

    fn set_size(&self, inode: &Arc<Inode>, change: &SetAttr, size: u64) -> FsResult<()> {
        if inode.type_bits() != libc::S_IFREG {
            return Err(if inode.type_bits() == libc::S_IFDIR {
                Errno::EISDIR
            } else {
                Errno::EINVAL
            });
        }
        self.drop_privileges(inode, change.kill_privileges)?;
        let set = |file: BorrowedFd<'_>| {
            self.charged_for(inode, file, 0, || Ok(rustix::fs::ftruncate(file, size)?))
        };
        if let Some(open) = change
            .handle
            .and_then(|handle| self.handles.file(Some(handle)).ok())
        {
            match set(open.fd()) {
                Err(Errno::EINVAL | Errno::EBADF) => {}
                other => return other,
            }
        }
        let fd = self.descriptor(inode)?;
        let file = self.with_descriptors(|| host::reopen(fd.as_fd(), OFlags::WRONLY | OFlags::NONBLOCK))?;
        set(file.as_fd())
    }

    /// The host clears setuid, setgid and capabilities when the owner changes, as it should.
    fn set_on_host(&self, inode: &Arc<Inode>, change: &SetAttr) -> FsResult<()> {
        let fd = self.descriptor(inode)?;
        let user = change
            .uid
            .map(|uid| self.config.identity.host_user(uid))
            .transpose()?;
        let group = change
            .gid
            .map(|gid| self.config.identity.host_group(gid))
            .transpose()?;
        if user.is_some() || group.is_some() {
            let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(
                &*fd,
                c"",
                user.map(Uid::from_raw),
                group.map(Gid::from_raw),
                flags,
            )?;
        }
        if let Some(mode) = change.mode {
            if inode.type_bits() == libc::S_IFLNK {
                return Err(Errno::ENOTSUP);
            }
            chmod(fd.as_fd(), mode)?;
        }
        Ok(())
    }

    fn set_kept(&self, ctx: &Context<'_>, inode: &Arc<Inode>, change: &SetAttr) -> FsResult<()> {
        let fd = self.descriptor(inode)?;
        let (stat, before) = self.look(fd.as_fd())?;
        let after = changed(&before, change);
        let host_kind = Kind::of_mode(u32::from(stat.stx_mode));
        if host_kind == Some(Kind::Symlink) {
            if change.mode.is_some() {
                return Err(Errno::ENOTSUP);
            }
            if (after.uid, after.gid) == (before.uid, before.gid) {
                return Ok(());
            }
            return self.store_link_as_file(inode, fd.as_fd(), &after);
        }
        if !matches!(host_kind, Some(Kind::File | Kind::Dir)) {
            return self.set_on_host(inode, change);
        }
        self.keep(fd.as_fd(), &after)?;
        if change.uid.is_some() || change.gid.is_some() {
            self.remove_capability(fd.as_fd())?;
        }
        if let Some(mode) = change.mode {
            self.mode_to_acl(ctx, fd.as_fd(), mode)?;
            if self.config.permissions == HostPermissions::Mirror {
                chmod(fd.as_fd(), self.host_mode(after.kind.unwrap_or(Kind::File), mode))?;
            }
        }
        Ok(())
    }

    /// Records it; with `Relaxed` where that is possible.
    pub(in crate::backend) fn keep(&self, file: BorrowedFd<'_>, kept: &Override) -> FsResult<()> {
        match owner::write(file, kept, self.config.owners) {
            Err(error @ (Errno::ENOTSUP | Errno::EPERM | Errno::EACCES))
                if self.config.stat == StatVirtualization::Relaxed =>
            {
                tracing::debug!(%error, "owner and mode of a file are not recorded");
                Ok(())
            }
            other => other,
        }
    }

    /// The permission bits that a file of this kind and mode has on the host.
    pub(in crate::backend) fn host_mode(&self, kind: Kind, mode: u32) -> u32 {
        let owner = if kind == Kind::Dir { 0o700 } else { 0o600 };
        match self.config.permissions {
            HostPermissions::Private => owner,
            HostPermissions::Mirror => (mode & 0o777) | owner,
        }
    }

    fn mode_to_acl(&self, ctx: &Context<'_>, file: BorrowedFd<'_>, mode: u32) -> FsResult<()> {
        let Some(bytes) = self.xattr_value(file, acl::ACCESS)? else {
            return Ok(());
        };
        let Some(mut acl) = Acl::parse(&bytes)? else {
            return Ok(());
        };
        acl.set_permissions(mode);
        self.store_xattr(ctx, file, acl::ACCESS, &acl.to_bytes())
    }
}

/// A regular file on the host may stand for anything but a directory, a directory for nothing else.
pub(in crate::backend) fn type_shown(host_mode: u32, kept: Option<Kind>) -> u32 {
    match kept {
        Some(kind) if host_mode & libc::S_IFMT == libc::S_IFREG && kind != Kind::Dir => kind.type_bits(),
        _ => host_mode & libc::S_IFMT,
    }
}

pub(in crate::backend) fn chmod(file: BorrowedFd<'_>, mode: u32) -> FsResult<()> {
    let mode = rustix::fs::Mode::from_raw_mode(mode & 0o7777);
    Ok(rustix::fs::chmod(host::proc_path(file).as_c_str(), mode)?)
}

/// What is to be kept after a change. As chown(2) has it, a change of owner takes setuid and, where the group may
/// execute, setgid away, from everything but directories.
fn changed(before: &Attr, change: &SetAttr) -> Override {
    let kind = Kind::of_mode(before.mode);
    let mut mode = change.mode.unwrap_or(before.mode) & 0o7777;
    let chowned = change.uid.is_some() || change.gid.is_some();
    if chowned && change.mode.is_none() && kind != Some(Kind::Dir) {
        mode = without_privileges(mode);
    }
    Override {
        uid: change.uid.unwrap_or(before.uid),
        gid: change.gid.unwrap_or(before.gid),
        mode,
        kind,
        rdev: before.rdev,
    }
}

/// Without setuid, and without setgid where the group may execute.
pub(in crate::backend) fn without_privileges(mode: u32) -> u32 {
    let group = if mode & 0o010 == 0 { 0 } else { 0o2000 };
    mode & !(0o4000 | group)
}

fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp { seconds, nanoseconds }
}

fn times(change: &SetAttr) -> Timestamps {
    let one = |time: Option<SetTime>| match time {
        None => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        Some(SetTime::Now) => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        Some(SetTime::At(at)) => Timespec {
            tv_sec: at.seconds,
            tv_nsec: i64::from(at.nanoseconds),
        },
    };
    Timestamps {
        last_access: one(change.atime),
        last_modification: one(change.mtime),
    }
}
