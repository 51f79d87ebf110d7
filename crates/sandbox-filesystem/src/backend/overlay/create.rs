//! New files, directories and nodes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, RwLockWriteGuard};

use super::content::Content;
use super::newcomer::{Making, Order};
use super::{OverlayFs, parts};
use crate::backend::passthrough::inode::{Inode, Life};
use crate::backend::passthrough::owner::Kind;
use crate::backend::union::plan::Upper;
use crate::backend::union::{Found, marks};
use crate::fs::{Context, Created, Entry, Errno, FsResult, Ino, OpenFlags};

/// A name that nothing has, in a directory whose names are locked.
pub(super) struct Vacancy<'a> {
    pub(super) fd: Arc<OwnedFd>,
    /// Whether the upper has a whiteout there.
    pub(super) whiteout: bool,
    _changing: RwLockWriteGuard<'a, Life>,
}

impl OverlayFs {
    /// Locks the names of a directory to give one of them to something new. `EEXIST` where something has it.
    pub(super) fn vacancy<'a>(&self, dir: &'a Arc<Inode>, name: &OsStr) -> FsResult<Vacancy<'a>> {
        self.host.check_change(dir, name)?;
        self.check_new_name(name)?;
        self.raise(dir, Content::All)?;
        let changing = parts(dir).changing();
        if *changing == Life::Removed {
            return Err(Errno::ENOENT);
        }
        let seen = self.look(dir, name)?;
        if !matches!(seen.found, Found::Nothing) {
            return Err(Errno::EEXIST);
        }
        Ok(Vacancy {
            fd: self.host.part_descriptor(dir, 0)?,
            whiteout: seen.upper == Upper::Whiteout,
            _changing: changing,
        })
    }

    pub(super) fn do_create(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let dir = self.directory(parent)?;
        self.host.check_name(&dir, name)?;
        // What is there already is opened, which needs no right to make anything.
        if !flags.contains(OpenFlags::EXCL)
            && let Some(created) = self.open_existing(ctx, &dir, name, flags)?
        {
            return Ok(created);
        }
        let vacancy = match self.vacancy(&dir, name) {
            Err(Errno::EEXIST) if !flags.contains(OpenFlags::EXCL) => {
                return self.open_existing(ctx, &dir, name, flags)?.ok_or(Errno::ESTALE);
            }
            other => other?,
        };
        if !vacancy.whiteout {
            return self
                .host
                .new_file(ctx, &dir, vacancy.fd.as_fd(), name, mode, flags, umask);
        }
        let order = Order {
            dir: vacancy.fd.as_fd(),
            name,
            mode,
            umask,
            making: Making::File { flags },
        };
        let made = self.make_over_whiteout(ctx, &order)?;
        let inode = self.known_new(&dir, name, &made);
        let entry = self.host.entry_for(&inode, made.attr);
        let opened = self.host.register(inode, made.file, flags);
        Ok(Created { entry, opened })
    }

    /// The file that has the name already; owner and mode stay.
    fn open_existing(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        name: &OsStr,
        flags: OpenFlags,
    ) -> FsResult<Option<Created>> {
        let entry = match self.find(dir, name) {
            Err(Errno::ENOENT) => return Ok(None),
            other => other?,
        };
        match self.do_open(ctx, entry.ino, flags) {
            Ok(opened) => Ok(Some(Created { entry, opened })),
            Err(error) => {
                self.host.do_forget(entry.ino, 1);
                Err(error)
            }
        }
    }

    pub(super) fn do_tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let dir = self.directory(parent)?;
        self.raise(&dir, Content::All)?;
        self.host.do_tmpfile(ctx, parent, mode, flags, umask)
    }

    pub(super) fn do_mkdir(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> FsResult<Entry> {
        let dir = self.directory(parent)?;
        let vacancy = self.vacancy(&dir, name)?;
        if !vacancy.whiteout {
            return self.host.do_mkdir(ctx, parent, name, mode, umask);
        }
        self.entry_over_whiteout(ctx, &dir, &vacancy, (name, mode, umask), Making::Directory)
    }

    pub(super) fn do_mknod(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Entry> {
        let dir = self.directory(parent)?;
        let is_whiteout = mode & libc::S_IFMT == libc::S_IFCHR && rdev == 0;
        if is_whiteout && !self.host.config.is_virtual() {
            // Where devices are recorded beside a file it is a device like others.
            return Err(Errno::EPERM);
        }
        let kind = match Kind::of_mode(mode) {
            Some(Kind::Dir | Kind::Symlink) => return Err(Errno::EPERM),
            Some(kind) => kind,
            None if mode & libc::S_IFMT == 0 => Kind::File,
            None => return Err(Errno::EINVAL),
        };
        let vacancy = self.vacancy(&dir, name)?;
        if !vacancy.whiteout {
            return self.host.do_mknod(ctx, parent, name, mode, rdev, umask);
        }
        let making = Making::Special { kind, rdev };
        self.entry_over_whiteout(ctx, &dir, &vacancy, (name, mode, umask), making)
    }

    pub(super) fn do_symlink(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        target: &OsStr,
    ) -> FsResult<Entry> {
        let dir = self.directory(parent)?;
        let vacancy = self.vacancy(&dir, name)?;
        if !vacancy.whiteout {
            return self.host.do_symlink(ctx, parent, name, target);
        }
        crate::backend::passthrough::link::check_target(target)?;
        self.entry_over_whiteout(ctx, &dir, &vacancy, (name, 0o777, 0), Making::Symlink { target })
    }

    fn entry_over_whiteout(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Inode>,
        vacancy: &Vacancy<'_>,
        (name, mode, umask): (&OsStr, u32, u32),
        making: Making<'_>,
    ) -> FsResult<Entry> {
        let order = Order {
            dir: vacancy.fd.as_fd(),
            name,
            mode,
            umask,
            making,
        };
        let made = self.make_over_whiteout(ctx, &order)?;
        let inode = self.known_new(dir, name, &made);
        Ok(self.host.entry_for(&inode, made.attr))
    }
}

impl OverlayFs {
    /// Refuses names that would mean something in an OCI layer, which this directory may become.
    pub(super) fn check_new_name(&self, name: &OsStr) -> FsResult<()> {
        if !self.any_name && marks::is_oci(name.as_bytes()) {
            Err(Errno::EINVAL)
        } else {
            Ok(())
        }
    }
}
