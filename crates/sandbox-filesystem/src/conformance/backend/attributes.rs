//! Attributes of all kinds.

use std::ffi::OsStr;

use super::convert::{set_time, xattr_flags};
use super::{Backend, DONE, Done, Held};
use crate::conformance::host::wait_for_tick;
use crate::conformance::op::{Op, Time};
use crate::conformance::subject::{show_bytes, show_times, show_xattrs};
use crate::fs::{Errno, FsResult, SetAttr, XattrReply};

impl<'a> Backend<'a> {
    pub(super) fn change(&self, path: &OsStr, change: &SetAttr) -> Done {
        let (held, _) = self.find(path)?;
        self.fs.setattr(&self.ctx, held.ino, change)?;
        DONE
    }

    pub(super) fn get_xattr(&self, path: &OsStr, name: &OsStr, size: u32) -> Done {
        let (held, _) = self.find(path)?;
        Ok(match self.fs.getxattr(&self.ctx, held.ino, name, size)? {
            XattrReply::Size(size) => format!("size {size}"),
            XattrReply::Data(value) => show_bytes(&value),
        })
    }

    pub(super) fn list_xattr(&self, path: &OsStr, size: u32) -> Done {
        let (held, _) = self.find(path)?;
        match self.fs.listxattr(&self.ctx, held.ino, size)? {
            XattrReply::Data(list) => Ok(show_xattrs(&list)),
            XattrReply::Size(0) => Ok("as long as the list".to_owned()),
            XattrReply::Size(needed) => match self.fs.listxattr(&self.ctx, held.ino, needed)? {
                XattrReply::Data(list) if list.len() == needed as usize => {
                    Ok("as long as the list".to_owned())
                }
                other => Ok(format!("{needed} for {other:?}")),
            },
        }
    }

    /// user.* is for regular files and directories (xattr(7)), and links have no ACL.
    pub(super) fn check_xattr(&self, path: &OsStr, name: &OsStr, otherwise: Errno) -> FsResult<Held<'a>> {
        use std::os::unix::ffi::OsStrExt;
        let (held, attr) = self.find(path)?;
        let kind = attr.mode & libc::S_IFMT;
        let plain = matches!(kind, libc::S_IFREG | libc::S_IFDIR);
        match name.as_bytes() {
            name if name.starts_with(b"user.") && !plain => Err(otherwise),
            name if name.starts_with(b"system.posix_acl") && kind == libc::S_IFLNK => Err(Errno::ENOTSUP),
            _ => Ok(held),
        }
    }

    pub(super) fn chown(&self, path: &OsStr, uid: Option<u32>, gid: Option<u32>) -> Done {
        let (held, attr) = self.find(path)?;
        let change = SetAttr {
            uid,
            gid,
            kill_privileges: attr.mode & libc::S_IFMT != libc::S_IFDIR,
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, held.ino, &change)?;
        DONE
    }

    pub(super) fn utimes(&self, path: &OsStr, atime: Time, mtime: Time) -> Done {
        if (atime, mtime) == (Time::Omit, Time::Omit) {
            return DONE;
        }
        let change = SetAttr {
            atime: set_time(atime),
            mtime: set_time(mtime),
            ..SetAttr::default()
        };
        self.change(path, &change)
    }

    pub(super) fn chmod(&self, path: &OsStr, mode: u32) -> Done {
        let (held, attr) = self.find(path)?;
        if attr.mode & libc::S_IFMT == libc::S_IFLNK {
            return Err(Errno::ENOTSUP);
        }
        let change = SetAttr {
            mode: Some(mode & 0o7777),
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, held.ino, &change)?;
        DONE
    }

    pub(super) fn on_attributes(&mut self, step: &Op) -> Option<Done> {
        Some(match step {
            Op::Chmod(path, mode) => self.chmod(path, *mode),
            Op::Chown(path, uid, gid) => self.chown(path, *uid, *gid),
            Op::Utimes(path, atime, mtime) => self.utimes(path, *atime, *mtime),
            Op::ShowTimes(path) => self.times(path).map(|times| show_times(&times)),
            Op::Mark(path) => self.times(path).and_then(|times| {
                self.marks.set(path, times);
                wait_for_tick();
                DONE
            }),
            Op::Changed(path) => self.times(path).map(|now| self.marks.changed(path, &now)),
            Op::SetXattr(path, name, value, mode) => {
                let flags = xattr_flags(*mode);
                self.check_xattr(path, name, Errno::EPERM)
                    .and_then(|held| self.fs.setxattr(&self.ctx, held.ino, name, value, flags))
                    .and(DONE)
            }
            Op::GetXattr(path, name, size) => self
                .check_xattr(path, name, Errno::ENODATA)
                .and_then(|_| self.get_xattr(path, name, *size)),
            Op::ListXattr(path, size) => self.list_xattr(path, *size),
            Op::RemoveXattr(path, name) => self
                .check_xattr(path, name, Errno::EPERM)
                .and_then(|held| self.fs.removexattr(&self.ctx, held.ino, name))
                .and(DONE),
            _ => return None,
        })
    }
}
