//! New entries that take the place of a whiteout: made in staging, complete, then renamed over it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Statx, XattrFlags};

use super::OverlayFs;
use super::attributes::mark;
use super::crash::crash_point;
use super::lend::with_mode;
use super::staging::Staged;
use crate::backend::acl::{self, Acl};
use crate::backend::passthrough::attr::chmod;
use crate::backend::passthrough::create::Newcomer;
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::Inode;
use crate::backend::passthrough::owner::Kind;
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::marks;
use crate::fs::{Attr, Context, FsResult, OpenFlags};

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Making<'a> {
    File { flags: OpenFlags },
    Directory,
    Special { kind: Kind, rdev: u64 },
    Symlink { target: &'a OsStr },
}

/// What was made: its descriptor (open as asked for a file, else a stand-in) and what it has.
pub(super) struct Made {
    pub(super) file: OwnedFd,
    pub(super) stat: Statx,
    pub(super) attr: Attr,
}

/// Where it is made, and what it is.
pub(super) struct Order<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    pub(super) mode: u32,
    pub(super) umask: u32,
    pub(super) making: Making<'a>,
}

impl Making<'_> {
    fn kind(self) -> Kind {
        match self {
            Making::File { .. } => Kind::File,
            Making::Directory => Kind::Dir,
            Making::Special { kind, .. } => kind,
            Making::Symlink { .. } => Kind::Symlink,
        }
    }
}

impl OverlayFs {
    /// Makes something in the place of a whiteout. The directory's names are locked.
    pub(super) fn make_over_whiteout(&self, ctx: &Context<'_>, order: &Order<'_>) -> FsResult<Made> {
        let rdev = match order.making {
            Making::Special { rdev, .. } => rdev,
            _ => 0,
        };
        let kind = order.making.kind();
        let new = self
            .host
            .newcomer(ctx, order.dir, kind, order.mode, rdev, order.umask)?;
        let staged = self.upper()?.staging.name();
        let file = self.make_staged(ctx, order, &new, &staged)?;
        let stat = if self.host.config.is_virtual() {
            self.finish_virtual(ctx, order, &file, &new)?
        } else {
            self.inherit(order, file.as_fd(), &new)?
        };
        if kind == Kind::Dir {
            mark(file.as_fd(), marks::OPAQUE, b"y")?;
        }
        crash_point("create: staged");
        if kind == Kind::Dir {
            // The whiteout is in staging then, and removed with what is dropped here.
            with_mode(file.as_fd(), 0o200, || staged.exchange(order.dir, order.name))?;
        } else {
            staged.replace(order.dir, order.name)?;
        }
        crash_point("create: in place");
        let kept = self.host.kept(file.as_fd(), &stat)?;
        let attr = self.host.attr(&stat, kept);
        Ok(Made { file, stat, attr })
    }

    fn make_staged(
        &self,
        ctx: &Context<'_>,
        order: &Order<'_>,
        new: &Newcomer,
        staged: &Staged<'_>,
    ) -> FsResult<OwnedFd> {
        let staging = self.upper()?.staging.fd();
        let kind = order.making.kind();
        let mode = Mode::from_raw_mode(self.host.first_mode(kind, new));
        let stand_in = || {
            let open = || rustix::fs::openat(staging, &staged.name, STAND_IN, Mode::empty());
            self.host.with_descriptors(open)
        };
        match order.making {
            Making::File { flags } => {
                let flags = (self.host.host_flags(flags) - OFlags::TRUNC)
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::CLOEXEC;
                let _name = self.host.in_name_of(ctx)?;
                let open = || rustix::fs::openat(staging, &staged.name, flags, mode);
                return self.host.with_descriptors(open);
            }
            Making::Directory => {
                let _name = self.host.in_name_of(ctx)?;
                rustix::fs::mkdirat(staging, &staged.name, mode)?;
            }
            Making::Special { kind, rdev } => {
                let kind = if self.host.config.is_virtual() {
                    Kind::File
                } else {
                    kind
                };
                let _name = self.host.in_name_of(ctx)?;
                let kind = FileType::from_raw_mode(kind.type_bits());
                rustix::fs::mknodat(staging, &staged.name, kind, mode, rdev)?;
            }
            Making::Symlink { target } => match new.kept() {
                Some(kept) if !self.host.is_default_owner(kept) => {
                    self.host.write_link(staging, &staged.name, target)?;
                }
                _ => {
                    let _name = self.host.in_name_of(ctx)?;
                    rustix::fs::symlinkat(target, staging, &staged.name)?;
                }
            },
        }
        stand_in()
    }

    fn finish_virtual(
        &self,
        ctx: &Context<'_>,
        order: &Order<'_>,
        file: &OwnedFd,
        new: &Newcomer,
    ) -> FsResult<Statx> {
        let stat = host::stat(file.as_fd())?;
        let is_link = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFLNK;
        if is_link {
            return Ok(stat);
        }
        self.host.finish(ctx, order.dir, file.as_fd(), new)
    }

    /// What the host would have given it, had it been made in its directory.
    fn inherit(&self, order: &Order<'_>, file: BorrowedFd<'_>, new: &Newcomer) -> FsResult<Statx> {
        let kind = order.making.kind();
        let above = host::stat(order.dir)?;
        let mut mode = new.mode;
        let setgid = u32::from(above.stx_mode) & libc::S_ISGID != 0;
        if setgid {
            let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(file, c"", None, Some(Gid::from_raw(above.stx_gid)), flags)?;
            mode |= if kind == Kind::Dir { libc::S_ISGID } else { 0 };
        }
        if kind == Kind::Symlink {
            return Ok(host::stat(file)?);
        }
        if let Some(bytes) = self.host.xattr_value(order.dir, acl::DEFAULT)?
            && let Some(list) = Acl::parse(&bytes)?
        {
            mode = inherit_acl(file, kind, &list, mode)?;
        }
        chmod(file, mode)?;
        Ok(host::stat(file)?)
    }

    /// The inode of what was made, known under its name, with one reference.
    pub(super) fn known_new(&self, dir: &Arc<Inode>, name: &OsStr, made: &Made) -> Arc<Inode> {
        let identity = crate::backend::passthrough::inode::Identity::of(&made.stat);
        let (inode, gone) = self.host.table.found(identity, made.attr.mode, dir, name);
        self.host.forgotten(gone);
        inode
    }
}

/// Gives it the lists that a directory's default list means for it; its mode.
fn inherit_acl(file: BorrowedFd<'_>, kind: Kind, list: &Acl, mode: u32) -> FsResult<u32> {
    let path = host::proc_path(file);
    let set = |name: &str, list: &Acl| {
        let value = list.to_bytes();
        rustix::fs::setxattr(path.as_c_str(), name, &value, XattrFlags::empty())
    };
    let own = list.inherit(mode);
    if !own.is_equivalent_to_bits() {
        set(acl::ACCESS, &own)?;
    }
    if kind == Kind::Dir {
        set(acl::DEFAULT, list)?;
    }
    Ok((mode & !0o777) | own.permissions())
}
