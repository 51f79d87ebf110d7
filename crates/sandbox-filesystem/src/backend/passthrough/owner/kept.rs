//! What is kept of a file, as this server works with it: kinds by their bits in `st_mode`, devices by number.

use rustix::fs::{major, makedev, minor};
use sandbox_types::{OverrideKind, OverrideStat, TreeDevice};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::backend) enum Kind {
    File,
    Dir,
    Symlink,
    Pipe,
    Socket,
    Block,
    Char,
}

impl Kind {
    /// By the type in an `st_mode`; none where there is none.
    pub(in crate::backend) fn of_mode(mode: u32) -> Option<Self> {
        Some(match mode & libc::S_IFMT {
            libc::S_IFREG => Self::File,
            libc::S_IFDIR => Self::Dir,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Pipe,
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFBLK => Self::Block,
            libc::S_IFCHR => Self::Char,
            _ => return None,
        })
    }

    /// As in `st_mode`.
    pub(in crate::backend) fn type_bits(self) -> u32 {
        match self {
            Self::File => libc::S_IFREG,
            Self::Dir => libc::S_IFDIR,
            Self::Symlink => libc::S_IFLNK,
            Self::Pipe => libc::S_IFIFO,
            Self::Socket => libc::S_IFSOCK,
            Self::Block => libc::S_IFBLK,
            Self::Char => libc::S_IFCHR,
        }
    }

    fn of_override(kind: OverrideKind) -> Self {
        match kind {
            OverrideKind::File => Self::File,
            OverrideKind::Directory => Self::Dir,
            OverrideKind::Symlink => Self::Symlink,
            OverrideKind::Fifo => Self::Pipe,
            OverrideKind::Socket => Self::Socket,
            OverrideKind::BlockDevice(_) => Self::Block,
            OverrideKind::CharDevice(_) => Self::Char,
        }
    }

    fn with_device(self, rdev: u64) -> OverrideKind {
        let device = TreeDevice {
            major: major(rdev),
            minor: minor(rdev),
        };
        match self {
            Self::File => OverrideKind::File,
            Self::Dir => OverrideKind::Directory,
            Self::Symlink => OverrideKind::Symlink,
            Self::Pipe => OverrideKind::Fifo,
            Self::Socket => OverrideKind::Socket,
            Self::Block => OverrideKind::BlockDevice(device),
            Self::Char => OverrideKind::CharDevice(device),
        }
    }
}

/// What the attribute says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct Override {
    pub(in crate::backend) uid: u32,
    pub(in crate::backend) gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub(in crate::backend) mode: u32,
    /// Where the attribute says so; otherwise what the host says.
    pub(in crate::backend) kind: Option<Kind>,
    /// Of a device.
    pub(in crate::backend) rdev: u64,
}

impl Override {
    /// None where the value does not follow the grammar.
    pub(in crate::backend) fn parse(value: &[u8]) -> Option<Self> {
        OverrideStat::parse(value).map(Self::from)
    }

    /// The value.
    pub(in crate::backend) fn format(&self) -> String {
        let Self {
            uid, gid, mode, rdev, ..
        } = *self;
        let kind = self.kind.map(|kind| kind.with_device(rdev));
        OverrideStat { uid, gid, mode, kind }.to_string()
    }
}

impl From<OverrideStat> for Override {
    fn from(stat: OverrideStat) -> Self {
        let OverrideStat { uid, gid, mode, .. } = stat;
        let rdev = match stat.kind {
            Some(OverrideKind::BlockDevice(device) | OverrideKind::CharDevice(device)) => {
                makedev(device.major, device.minor)
            }
            _ => 0,
        };
        Self {
            uid,
            gid,
            mode,
            kind: stat.kind.map(Kind::of_override),
            rdev,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for mode in [
            libc::S_IFREG | 0o4711,
            libc::S_IFDIR | 0o1777,
            libc::S_IFLNK | 0o777,
            libc::S_IFIFO | 0o600,
            libc::S_IFSOCK | 0o600,
            libc::S_IFBLK | 0o660,
            libc::S_IFCHR | 0o600,
        ] {
            let kind = Kind::of_mode(mode);
            assert_eq!(kind.map(Kind::type_bits), Some(mode & libc::S_IFMT));
            let is_device = matches!(kind, Some(Kind::Block | Kind::Char));
            let written = Override {
                uid: 7,
                gid: 8,
                mode: mode & 0o7777,
                kind,
                rdev: if is_device { makedev(259, 70_000) } else { 0 },
            };
            assert_eq!(Override::parse(written.format().as_bytes()), Some(written));
        }
        assert_eq!(Override::parse(b"0:0"), None);
    }
}
