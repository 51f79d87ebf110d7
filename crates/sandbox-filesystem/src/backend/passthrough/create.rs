//! New files, directories and nodes.
//!
//! A server that is root makes them in the caller's name, so they have the right owner from the first moment on, and
//! nothing is looked up by name again to be given away. Where stat data is virtualized they start with the owner's
//! permissions alone.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx};
use sandbox_types::StatVirtualization;

use super::attr::chmod;
use super::inode::{Identity, Inode};
use super::owner::{self, Kind, Override};
use super::resolve::STAND_IN;
use super::{PassthroughFs, host};
use crate::backend::acl::{self, Acl};
use crate::backend::quota::{INODE, data_of};
use crate::fs::{Capabilities, Context, Created, Entry, Errno, FsResult, Ino, OpenFlags, ROOT_INO};
use crate::sys::ids::InName;

const NEW: OFlags = OFlags::CREATE
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// What a new file is to be.
pub(in crate::backend) struct Newcomer {
    /// Permission bits, as they are served.
    pub(in crate::backend) mode: u32,
    /// What is recorded, where stat data is virtualized.
    pub(in crate::backend) kept: Option<Override>,
    /// Attributes that it inherits, where this server keeps them.
    acls: Vec<(&'static str, Vec<u8>)>,
}

impl PassthroughFs {
    pub(in crate::backend) fn do_create(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let (dir, fd) = self.directory(parent)?;
        self.check_name(&dir, name)?;
        let made = self
            .check_change(&dir, name)
            .and_then(|()| self.new_file(ctx, &dir, fd.as_fd(), name, mode, flags, umask));
        match made {
            Err(error @ (Errno::EEXIST | Errno::EROFS | Errno::EPERM))
                if !flags.contains(OpenFlags::EXCL) =>
            {
                self.open_existing(ctx, &dir, fd.as_fd(), name, flags, error)
            }
            other => other,
        }
    }

    /// The file that has the name already; owner and mode stay. `error` is the answer where there is none.
    fn open_existing(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        name: &OsStr,
        flags: OpenFlags,
        error: Errno,
    ) -> FsResult<Created> {
        let entry = self
            .find(dir, fd, name)
            .map_err(|found| if found == Errno::ENOENT { error } else { found })?;
        match self.do_open(ctx, entry.ino, flags) {
            Ok(opened) => Ok(Created { entry, opened }),
            Err(error) => {
                self.do_forget(entry.ino, 1);
                Err(error)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are those of FUSE_CREATE")]
    pub(in crate::backend) fn new_file(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let charge = self.charge_name(fd, name, Kind::File)?;
        let new = self.newcomer(ctx, fd, Kind::File, mode, 0, umask)?;
        let open_flags = (self.host_flags(flags) - OFlags::TRUNC) | NEW;
        let file = self.make_file(ctx, fd, name, open_flags, &new)?;
        let stat = match self.finish(ctx, fd, file.as_fd(), &new) {
            Ok(stat) => stat,
            Err(error) => return Err(undo(fd, name, AtFlags::empty(), error)),
        };
        charge.keep_file(fd, name, &stat);
        let (inode, entry) = self.entry_and_inode(dir, name, &stat, self.attr(&stat, new.kept));
        let opened = self.register(inode, file, flags);
        Ok(Created { entry, opened })
    }

    pub(in crate::backend) fn do_tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.check_writable()?;
        let (_, fd) = self.directory(parent)?;
        if self.config.only.is_some() && parent == ROOT_INO {
            return Err(Errno::EPERM);
        }
        let charge = self.charge_nameless(fd.as_fd())?;
        let new = self.newcomer(ctx, fd.as_fd(), Kind::File, mode, 0, umask)?;
        let excl = OFlags::from_bits_retain(flags.bits()) & OFlags::EXCL;
        let open_flags = (self.host_flags(flags) - OFlags::TRUNC - OFlags::NOFOLLOW)
            | OFlags::TMPFILE
            | OFlags::CLOEXEC
            | excl;
        let file = self.make_file(ctx, fd.as_fd(), OsStr::new("."), open_flags, &new)?;
        let stat = self.finish(ctx, fd.as_fd(), file.as_fd(), &new)?;
        let handed = charge.handed();
        charge.keep_with(&stat, 0);
        let attr = self.attr(&stat, new.kept);
        let inode = self.table.nameless(Identity::of(&stat), attr.mode);
        self.charge_known(&inode, &stat);
        self.becomes_nameless(&inode, INODE + handed + data_of(&stat));
        let entry = self.entry_for(&inode, attr);
        let opened = self.register(inode, file, flags);
        Ok(Created { entry, opened })
    }

    pub(in crate::backend) fn make_file(
        &self,
        ctx: &Context<'_>,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        flags: OFlags,
        new: &Newcomer,
    ) -> FsResult<OwnedFd> {
        let mode = Mode::from_raw_mode(self.first_mode(Kind::File, new));
        let _name = self.in_name_of(ctx)?;
        self.with_descriptors(|| rustix::fs::openat(dir, name, flags, mode))
    }

    pub(in crate::backend) fn do_mkdir(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> FsResult<Entry> {
        let (dir, fd) = self.directory(parent)?;
        self.check_change(&dir, name)?;
        let charge = self.charge_name(fd.as_fd(), name, Kind::Dir)?;
        let new = self.newcomer(ctx, fd.as_fd(), Kind::Dir, mode, 0, umask)?;
        let host_mode = Mode::from_raw_mode(self.first_mode(Kind::Dir, &new));
        {
            let _name = self.in_name_of(ctx)?;
            rustix::fs::mkdirat(&*fd, name, host_mode)?;
        }
        let entry = self.made(ctx, &dir, fd.as_fd(), name, &new, AtFlags::REMOVEDIR)?;
        charge.keep_made(fd.as_fd(), name);
        Ok(entry)
    }

    pub(in crate::backend) fn do_mknod(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Entry> {
        let kind = match Kind::of_mode(mode) {
            Some(Kind::Dir | Kind::Symlink) => return Err(Errno::EPERM),
            Some(kind) => kind,
            None if mode & libc::S_IFMT == 0 => Kind::File,
            None => return Err(Errno::EINVAL),
        };
        let (dir, fd) = self.directory(parent)?;
        self.check_change(&dir, name)?;
        let charge = self.charge_name(fd.as_fd(), name, kind)?;
        let new = self.newcomer(ctx, fd.as_fd(), kind, mode, rdev, umask)?;
        let host_mode = Mode::from_raw_mode(self.first_mode(kind, &new));
        let host_kind = if self.config.is_virtual() {
            Kind::File
        } else {
            kind
        };
        {
            let _name = self.in_name_of(ctx)?;
            let kind = FileType::from_raw_mode(host_kind.type_bits());
            rustix::fs::mknodat(&*fd, name, kind, host_mode, rdev)?;
        }
        let entry = self.made(ctx, &dir, fd.as_fd(), name, &new, AtFlags::empty())?;
        charge.keep_made(fd.as_fd(), name);
        Ok(entry)
    }

    /// What was just made under this name gets what it is to have; where that fails, it goes again.
    pub(in crate::backend) fn made(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        name: &OsStr,
        new: &Newcomer,
        removal: AtFlags,
    ) -> FsResult<Entry> {
        if !self.config.is_virtual() {
            return self.made_on_host(ctx, dir, fd, name, new);
        }
        let finished = self
            .with_descriptors(|| rustix::fs::openat(fd, name, STAND_IN, Mode::empty()))
            .and_then(|file| Ok((self.finish(ctx, fd, file.as_fd(), new)?, file)));
        match finished {
            Ok((stat, file)) => {
                let (inode, entry) = self.entry_and_inode(dir, name, &stat, self.attr(&stat, new.kept));
                self.cache.keep(&inode, Identity::of(&stat), Arc::new(file));
                Ok(entry)
            }
            Err(error) => Err(undo(fd, name, removal, error)),
        }
    }

    fn made_on_host(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        name: &OsStr,
        new: &Newcomer,
    ) -> FsResult<Entry> {
        let mut stat = host::stat_in(fd, name)?;
        if lacks(&stat, new.mode) && self.xattr_value(fd, acl::DEFAULT)?.is_none() {
            let file = self.with_descriptors(|| rustix::fs::openat(fd, name, STAND_IN, Mode::empty()))?;
            self.mend_mode(ctx, file.as_fd(), &stat, new.mode)?;
            stat = host::stat(file.as_fd())?;
        }
        Ok(self.entry(dir, name, &stat, self.attr(&stat, None)))
    }

    /// Gives a new file what it is to have, and says what the host then has.
    pub(in crate::backend) fn finish(
        &self,
        ctx: &Context<'_>,
        dir: BorrowedFd<'_>,
        file: BorrowedFd<'_>,
        new: &Newcomer,
    ) -> FsResult<Statx> {
        let Some(kept) = &new.kept else {
            let stat = host::stat(file)?;
            if lacks(&stat, new.mode) && self.xattr_value(dir, acl::DEFAULT)?.is_none() {
                self.mend_mode(ctx, file, &stat, new.mode)?;
                return Ok(host::stat(file)?);
            }
            return Ok(stat);
        };
        match kept.kind {
            Some(Kind::File | Kind::Dir) => self.keep(file, kept)?,
            // Nothing but the record says what it is.
            _ => owner::write(file, kept, self.config.owners)?,
        }
        for (name, value) in &new.acls {
            self.store_xattr(ctx, file, name, value)?;
        }
        let stat = host::stat(file)?;
        let host_mode = self.host_mode(kept.kind.unwrap_or(Kind::File), kept.mode);
        if u32::from(stat.stx_mode) & 0o777 != host_mode {
            chmod(file, host_mode | (u32::from(stat.stx_mode) & 0o7000))?;
            return Ok(host::stat(file)?);
        }
        Ok(stat)
    }

    /// The process's own umask, which is nobody's business here, has taken bits away. In the maker's name, so that only
    /// what is his can be changed.
    fn mend_mode(&self, ctx: &Context<'_>, file: BorrowedFd<'_>, stat: &Statx, mode: u32) -> FsResult<()> {
        let _name = self.in_name_of(ctx)?;
        chmod(file, mode & 0o777 | u32::from(stat.stx_mode) & 0o7000)
    }

    pub(in crate::backend) fn newcomer(
        &self,
        ctx: &Context<'_>,
        dir: BorrowedFd<'_>,
        kind: Kind,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Newcomer> {
        let default = self.default_acl(dir)?;
        let mut mode = mode & 0o7777;
        let mut acls = Vec::new();
        if let Some(acl) = default.filter(|_| kind != Kind::Symlink) {
            if self.config.is_virtual() {
                let access = acl.inherit(mode);
                mode = (mode & !0o777) | access.permissions();
                acls.extend((!access.is_equivalent_to_bits()).then(|| (acl::ACCESS, access.to_bytes())));
                acls.extend((kind == Kind::Dir).then(|| (acl::DEFAULT, acl.to_bytes())));
            }
        } else if self.agreed(Capabilities::DONT_MASK) && kind != Kind::Symlink {
            mode &= !(umask & 0o777);
        }
        if !self.config.is_virtual() {
            return Ok(Newcomer {
                mode,
                kept: None,
                acls,
            });
        }
        let above = self.look(dir)?.1;
        let inherits = above.mode & libc::S_ISGID != 0;
        if inherits && kind == Kind::Dir {
            mode |= libc::S_ISGID;
        }
        let kept = Override {
            uid: ctx.uid,
            gid: if inherits { above.gid } else { ctx.gid },
            mode,
            kind: Some(kind),
            rdev: if matches!(kind, Kind::Block | Kind::Char) {
                rdev
            } else {
                0
            },
        };
        Ok(Newcomer {
            mode,
            kept: Some(kept),
            acls,
        })
    }

    /// What new files in a directory start with, where the kernel leaves the umask to this server.
    fn default_acl(&self, dir: BorrowedFd<'_>) -> FsResult<Option<Acl>> {
        if !self.agreed(Capabilities::POSIX_ACL) && !self.agreed(Capabilities::DONT_MASK) {
            return Ok(None);
        }
        match self.xattr_value(dir, acl::DEFAULT)? {
            Some(bytes) => Acl::parse(&bytes),
            None => Ok(None),
        }
    }

    pub(in crate::backend) fn first_mode(&self, kind: Kind, new: &Newcomer) -> u32 {
        if new.kept.is_some() {
            self.host_mode(kind, new.mode)
        } else {
            new.mode
        }
    }

    /// While it lives, what this thread makes on the host is the caller's. None where the server cannot give files
    /// away, where the owner is recorded elsewhere, and where the caller is the server.
    pub(in crate::backend) fn in_name_of(&self, ctx: &Context<'_>) -> FsResult<Option<InName>> {
        if !self.config.privileged || self.config.is_virtual() {
            return Ok(None);
        }
        let user = self.config.identity.host_user(ctx.uid)?;
        let group = self.config.identity.host_group(ctx.gid)?;
        if (user, group) == (0, 0) {
            return Ok(None);
        }
        Ok(Some(InName::of(user, group)?))
    }

    /// Whether a symbolic link of this owner can be one on the host.
    pub(in crate::backend) fn is_default_owner(&self, kept: &Override) -> bool {
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let shown = (
            self.config.identity.served_user(user),
            self.config.identity.served_group(group),
        );
        shown == (kept.uid, kept.gid)
            || self.config.stat == StatVirtualization::Relaxed && !self.keeps_xattrs()
    }

    fn keeps_xattrs(&self) -> bool {
        owner::supported(self.root.as_fd())
    }
}

impl Newcomer {
    pub(in crate::backend) fn kept(&self) -> Option<&Override> {
        self.kept.as_ref()
    }
}

fn lacks(stat: &Statx, mode: u32) -> bool {
    mode & 0o777 & !u32::from(stat.stx_mode) != 0
}

/// Removes what could not be finished, and says why.
fn undo(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags, error: Errno) -> Errno {
    if let Err(left) = rustix::fs::unlinkat(dir, name, flags) {
        tracing::warn!(%left, name = %name.display(), "an unfinished file could not be removed");
    }
    error
}
