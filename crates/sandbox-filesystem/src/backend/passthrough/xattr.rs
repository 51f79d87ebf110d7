//! Extended attributes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::XattrFlags as HostFlags;
use rustix::io::Errno as HostErrno;

use super::inode::Inode;
use super::owner::{Kind, Override};
use super::{PassthroughFs, host};
use crate::backend::acl::{self, Acl};
use crate::fs::{Context, Errno, FsResult, Ino, ROOT_INO, XattrFlags, XattrReply};

/// XATTR_SIZE_MAX and XATTR_LIST_MAX.
const LARGEST: usize = 64 * 1024;

impl PassthroughFs {
    pub(in crate::backend) fn do_getxattr(&self, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        match self.xattr_of(ino, name, size) {
            // A kernel that checks permissions asks for lists, and takes this for a reason to refuse everything.
            Err(Errno::ENOTSUP) if name.as_bytes().starts_with(b"system.posix_acl_") => Err(Errno::ENODATA),
            other => other,
        }
    }

    fn xattr_of(&self, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        let inode = self.table.get(ino)?;
        let host_name = self.config.names().to_host(name)?.ok_or(Errno::ENODATA)?;
        let fd = self.descriptor(&inode)?;
        let path = host::proc_path(fd.as_fd());
        if size == 0 {
            let length = rustix::fs::getxattr_query(path.as_c_str(), &*host_name)?;
            return Ok(XattrReply::Size(u32::try_from(length).map_err(|_| Errno::E2BIG)?));
        }
        let room = usize::try_from(size).unwrap_or(LARGEST).min(LARGEST);
        let mut value = vec![0; room];
        let length = rustix::fs::getxattr(path.as_c_str(), &*host_name, value.as_mut_slice())?;
        value.truncate(length);
        Ok(XattrReply::Data(value))
    }

    /// The names that can be asked for, and no others, so that their length is always what the call gives.
    pub(in crate::backend) fn do_listxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        size: u32,
    ) -> FsResult<XattrReply> {
        let inode = self.table.get(ino)?;
        let fd = self.descriptor(&inode)?;
        let names = self.config.names();
        let mut list = Vec::new();
        for name in host_list(fd.as_fd())?
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let Some(name) = names.to_served(name) else {
                continue;
            };
            // As the kernel does for its own filesystems.
            if name.starts_with(b"trusted.") && ctx.uid != 0 {
                continue;
            }
            list.extend_from_slice(&name);
            list.push(0);
        }
        let length = u32::try_from(list.len()).map_err(|_| Errno::E2BIG)?;
        match size {
            0 => Ok(XattrReply::Size(length)),
            room if length > room => Err(Errno::ERANGE),
            _ => Ok(XattrReply::Data(list)),
        }
    }

    pub(in crate::backend) fn do_setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        self.check_writable()?;
        let inode = self.table.get(ino)?;
        self.check_root(ino)?;
        if value.len() > LARGEST {
            return Err(Errno::E2BIG);
        }
        if self.config.is_virtual() && !matches!(inode.type_bits(), libc::S_IFREG | libc::S_IFDIR) {
            // As the kernel has it: who may write to a link or device says nothing about its attributes.
            if name.as_bytes().starts_with(b"user.") {
                return Err(Errno::EPERM);
            }
            self.make_room_for_xattrs(&inode)?;
        }
        let fd = self.descriptor(&inode)?;
        inode.may_have_privileges();
        if self.config.is_virtual() && (name == acl::ACCESS || name == acl::DEFAULT) {
            return self.set_acl(ctx, fd.as_fd(), name, value);
        }
        self.set_xattr(fd.as_fd(), name, value, flags)?;
        self.settle(&inode, fd.as_fd());
        Ok(())
    }

    pub(in crate::backend) fn do_removexattr(&self, ino: Ino, name: &OsStr) -> FsResult<()> {
        self.check_writable()?;
        let inode = self.table.get(ino)?;
        self.check_root(ino)?;
        let fd = self.descriptor(&inode)?;
        self.remove_xattr(fd.as_fd(), name)?;
        self.settle(&inode, fd.as_fd());
        Ok(())
    }

    /// A real symbolic link carries nothing of ours: it becomes a file that stands for it.
    fn make_room_for_xattrs(&self, inode: &Arc<Inode>) -> FsResult<()> {
        let fd = self.descriptor(inode)?;
        let (stat, attr) = self.look(fd.as_fd())?;
        if Kind::of_mode(u32::from(stat.stx_mode)) != Some(Kind::Symlink) {
            return Ok(());
        }
        let kept = Override {
            uid: attr.uid,
            gid: attr.gid,
            mode: attr.mode & 0o7777,
            kind: Some(Kind::Symlink),
            rdev: 0,
        };
        self.store_link_as_file(inode, fd.as_fd(), &kept)
    }

    fn check_root(&self, ino: Ino) -> FsResult<()> {
        if ino == ROOT_INO && self.config.only.is_some() {
            Err(Errno::EPERM)
        } else {
            Ok(())
        }
    }

    fn set_xattr(&self, file: BorrowedFd<'_>, name: &OsStr, value: &[u8], flags: XattrFlags) -> FsResult<()> {
        let host_name = self.config.names().to_host(name)?.ok_or(Errno::EPERM)?;
        let flags = HostFlags::from_bits_retain(flags.bits());
        self.charge_xattr(file, &host_name, value.len(), || {
            Ok(host::setxattr(file, &host_name, value, flags)?)
        })
    }

    pub(in crate::backend) fn remove_xattr(&self, file: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        let host_name = self.config.names().to_host(name)?.ok_or(Errno::ENODATA)?;
        let path = host::proc_path(file);
        self.discharge_xattr(file, &host_name, || {
            Ok(rustix::fs::removexattr(path.as_c_str(), &*host_name)?)
        })
    }

    /// Sets an attribute whatever was there, by the name it is served by.
    pub(in crate::backend) fn store_xattr(
        &self,
        _ctx: &Context<'_>,
        file: BorrowedFd<'_>,
        name: &str,
        value: &[u8],
    ) -> FsResult<()> {
        self.set_xattr(file, name.as_ref(), value, XattrFlags::empty())
    }

    /// The value of an attribute by the name it is served by; none where there is none.
    pub(in crate::backend) fn xattr_value(
        &self,
        file: BorrowedFd<'_>,
        name: &str,
    ) -> FsResult<Option<Vec<u8>>> {
        let Some(host_name) = self.config.names().to_host(name.as_ref())? else {
            return Ok(None);
        };
        let mut room = 256;
        loop {
            let mut value = vec![0; room];
            match host::getxattr(file, &host_name, &mut value) {
                Ok(length) => {
                    value.truncate(length);
                    return Ok(Some(value));
                }
                Err(HostErrno::RANGE) if room < LARGEST => room = LARGEST,
                Err(HostErrno::NODATA | HostErrno::OPNOTSUPP | HostErrno::PERM | HostErrno::ACCESS) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// An ACL that is kept here. An access ACL sets the mode; one that says no more than a mode is not kept.
    fn set_acl(&self, ctx: &Context<'_>, file: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> FsResult<()> {
        let parsed = Acl::parse(value)?;
        let attr = self.look(file)?.1;
        if attr.mode & libc::S_IFMT == libc::S_IFLNK {
            return Err(Errno::ENOTSUP);
        }
        if name == acl::DEFAULT {
            if attr.mode & libc::S_IFMT != libc::S_IFDIR {
                return Err(Errno::EACCES);
            }
        } else if let Some(parsed) = &parsed {
            let kept = Override {
                uid: attr.uid,
                gid: attr.gid,
                mode: (attr.mode & 0o7000) | parsed.permissions(),
                kind: Kind::of_mode(attr.mode),
                rdev: attr.rdev,
            };
            self.keep(file, &kept)?;
        }
        let stored = parsed.filter(|acl| name == acl::DEFAULT || !acl.is_equivalent_to_bits());
        match stored {
            Some(acl) => self.store_xattr(ctx, file, &name.to_string_lossy(), &acl.to_bytes()),
            None => match self.remove_xattr(file, name) {
                Err(Errno::ENODATA) => Ok(()),
                other => other,
            },
        }
    }
}

/// The names that the host has, each followed by a zero byte.
pub(in crate::backend) fn host_list(file: BorrowedFd<'_>) -> FsResult<Vec<u8>> {
    let path = host::proc_path(file);
    let mut room = 1024;
    loop {
        let mut list = vec![0; room];
        match rustix::fs::listxattr(path.as_c_str(), list.as_mut_slice()) {
            Ok(length) => {
                list.truncate(length);
                return Ok(list);
            }
            Err(HostErrno::RANGE) if room < LARGEST => room = LARGEST,
            Err(HostErrno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    }
}
