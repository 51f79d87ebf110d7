//! What an entry is besides its content.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use sandbox_types::NodeKind;
use serde::{Deserialize, Serialize};

use super::super::node::{Meta, Timestamp};
use super::super::raw::Bytes;
use super::super::xattr::{self, Reading, Xattrs, by_descriptor};

/// Mode, owner, time of modification and extended attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// None to leave it as it comes: of directories whose content is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtime: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(crate) xattrs: Xattrs,
}

/// An attribute that the user may not set, or the file system does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refused {
    /// User or group; setuid and setgid are then not set either.
    Owner,
    /// The extended attribute of that name.
    Xattr(Bytes),
}

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

fn is_empty(xattrs: &Xattrs) -> bool {
    xattrs.0.is_empty()
}

impl Attributes {
    /// Of `node`, an open file or an O_PATH descriptor, of which `meta` is known.
    pub(crate) fn read(node: BorrowedFd<'_>, meta: &Meta, reading: Reading) -> io::Result<Self> {
        Ok(Self {
            xattrs: xattr::read(node, reading)?,
            ..Self::without_xattrs(meta)
        })
    }

    /// What is known without a further look.
    pub(crate) fn without_xattrs(meta: &Meta) -> Self {
        Self {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: Some(meta.mtime),
            xattrs: Xattrs::default(),
        }
    }

    /// The same, but for the time of modification, which is left as it comes.
    pub(crate) fn with_natural_time(self) -> Self {
        Self { mtime: None, ..self }
    }

    /// The same of a directory that is still to be filled.
    pub(crate) fn of_open_directory(&self) -> Self {
        Self {
            mode: self.mode | 0o700,
            ..self.clone().with_natural_time()
        }
    }

    /// Gives them to `node`, an open file or an O_PATH descriptor; what it has and is not among them is removed.
    ///
    /// Owner first, because a change of owner takes setuid, setgid and capabilities away; the mode after access
    /// control lists, which change it; the time last.
    pub(crate) fn put(&self, node: BorrowedFd<'_>) -> io::Result<Vec<Refused>> {
        let meta = Meta::of(node)?;
        let mut refused = Vec::new();
        let lost = self.put_owner(node, &meta)?;
        if lost != 0 {
            refused.push(Refused::Owner);
        }
        refused.extend(self.put_xattrs(node, &meta)?.into_iter().map(Refused::Xattr));
        if meta.kind != NodeKind::Symlink {
            set_mode(node, self.mode & !lost)?;
        }
        if let Some(mtime) = self.mtime {
            set_mtime(node, mtime)?;
        }
        Ok(refused)
    }

    /// Sets user and group as far as that is allowed; the bits of the mode that may then not be set. For lack of
    /// a better one, both stand for "some of it was refused" also where the mode does not have them.
    fn put_owner(&self, node: BorrowedFd<'_>, meta: &Meta) -> io::Result<u32> {
        if (meta.uid, meta.gid) == (self.uid, self.gid) {
            return Ok(0);
        }
        match set_owner(node, Some(self.uid), Some(self.gid)) {
            // EINVAL: an id that this user namespace does not have.
            Err(Errno::PERM | Errno::INVAL) => {}
            result => return Ok(result.map(|()| 0)?),
        }
        let mut lost = if meta.uid == self.uid { 0 } else { SETUID };
        if meta.gid != self.gid {
            match set_owner(node, None, Some(self.gid)) {
                Err(Errno::PERM | Errno::INVAL) => lost |= SETGID,
                result => result?,
            }
        }
        Ok(lost)
    }

    fn put_xattrs(&self, node: BorrowedFd<'_>, meta: &Meta) -> io::Result<Vec<Bytes>> {
        match xattr::replace(node, &self.xattrs) {
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && matches!(meta.kind, NodeKind::File | NodeKind::Directory)
                    && meta.mode & 0o600 != 0o600 =>
            {
                // `user.*` needs write permission, also of the owner, who gives it to himself until the mode is set.
                set_mode(node, meta.mode | 0o600)?;
                xattr::replace(node, &self.xattrs)
            }
            result => result,
        }
    }
}

/// Sets the permission bits; not for links, which have none.
pub(crate) fn set_mode(node: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    match rustix::fs::fchmod(node, mode) {
        Err(Errno::BADF) => rustix::fs::chmod(by_descriptor(node), mode)?,
        result => result?,
    }
    Ok(())
}

/// Sets the time of the last modification.
pub(crate) fn set_mtime(node: BorrowedFd<'_>, (seconds, nanoseconds): Timestamp) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        },
    };
    match rustix::fs::futimens(node, &times) {
        Err(Errno::BADF) => {
            let flags = rustix::fs::AtFlags::empty();
            rustix::fs::utimensat(rustix::fs::CWD, by_descriptor(node), &times, flags)?;
        }
        result => result?,
    }
    Ok(())
}

fn set_owner(node: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    match rustix::fs::fchown(node, uid, gid) {
        Err(Errno::BADF) => rustix::fs::chown(by_descriptor(node), uid, gid),
        result => result,
    }
}
