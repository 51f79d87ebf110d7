//! What the host says of a file.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    fs::{
        AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, lgetxattr, llistxattr,
        makedev, statx,
    },
    io::Errno,
};
use sandbox_types::{TreeDevice, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeTime, TreeXattr};

use super::{itself, overrides};

/// What is kept of a file's attributes.
#[derive(Debug)]
pub(super) struct Host {
    device: u64,
    inode: u64,
    several_names: bool,
    holes: bool,
    symlink: bool,
    /// Only until the node is handed out.
    node: TreeNode,
}

impl Host {
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    pub(super) fn has_several_names(&self) -> bool {
        self.several_names
    }

    pub(super) fn has_holes(&self) -> bool {
        self.holes
    }

    pub(super) fn is_symlink(&self) -> bool {
        self.symlink
    }

    pub(super) fn node(&self, id: TreeNodeId) -> TreeNode {
        TreeNode {
            id,
            ..self.node.clone()
        }
    }
}

/// Looks at `name` in `directory` without following it; at the directory itself where the name is empty.
pub(super) fn stat(directory: &OwnedFd, name: &[u8]) -> io::Result<Host> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | itself(name);
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = statx(directory, OsStr::from_bytes(name), flags, mask)?;
    let mode = u32::from(stat.stx_mode);
    let kind = kind(&stat, mode)?;
    let is_file = matches!(kind, TreeNodeKind::File { .. });
    Ok(Host {
        device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        several_names: stat.stx_nlink > 1 && kind != TreeNodeKind::Directory,
        holes: is_file && stat.stx_blocks.saturating_mul(512) < stat.stx_size,
        symlink: kind == TreeNodeKind::Symlink,
        node: TreeNode {
            id: TreeNodeId(0),
            kind,
            permissions: (mode & 0o7777) as u16,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            accessed: time(stat.stx_atime),
            modified: time(stat.stx_mtime),
            changed: time(stat.stx_ctime),
            created: (stat.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(stat.stx_btime)),
            flags: flags_of(&stat),
        },
    })
}

fn kind(stat: &Statx, mode: u32) -> io::Result<TreeNodeKind> {
    let device = TreeDevice {
        major: stat.stx_rdev_major,
        minor: stat.stx_rdev_minor,
    };
    Ok(match FileType::from_raw_mode(mode) {
        FileType::RegularFile => TreeNodeKind::File { len: stat.stx_size },
        FileType::Directory => TreeNodeKind::Directory,
        FileType::Symlink => TreeNodeKind::Symlink,
        FileType::CharacterDevice => TreeNodeKind::CharDevice(device),
        FileType::BlockDevice => TreeNodeKind::BlockDevice(device),
        FileType::Fifo => TreeNodeKind::Fifo,
        FileType::Socket => TreeNodeKind::Socket,
        FileType::Unknown => return Err(io::ErrorKind::Unsupported.into()),
    })
}

fn time(time: StatxTimestamp) -> TreeTime {
    TreeTime {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec,
    }
}

fn flags_of(stat: &Statx) -> TreeFlags {
    let has = |attribute: StatxAttributes| stat.stx_attributes.contains(attribute);
    TreeFlags {
        immutable: has(StatxAttributes::IMMUTABLE),
        append_only: has(StatxAttributes::APPEND),
        no_dump: has(StatxAttributes::NODUMP),
        // statx(2) does not tell it.
        no_atime: false,
    }
}

/// The way to a name that xattr calls take: they have no variant relative to a descriptor before Linux 6.13. The
/// last part is not followed, and there is only one.
fn way(directory: RawFd, name: &[u8]) -> Vec<u8> {
    let mut way = format!("/proc/self/fd/{directory}/").into_bytes();
    way.extend_from_slice(if name.is_empty() { b"." } else { name });
    way
}

/// All attributes that can be seen, but for `hidden`.
pub(super) fn xattrs(directory: RawFd, name: &[u8], hidden: Option<&[u8]>) -> io::Result<Vec<TreeXattr>> {
    let way = way(directory, name);
    let way = OsStr::from_bytes(&way);
    let mut names = [0_u8; 1024];
    let names = match llistxattr(way, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(len) => names.get(..len).unwrap_or_default().to_vec(),
        // The kernel never lists more.
        Err(Errno::RANGE) => {
            let mut names = vec![0; 65536];
            let len = llistxattr(way, &mut names)?;
            names.truncate(len);
            names
        }
        Err(error) => return Err(error.into()),
    };
    names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && Some(*name) != hidden)
        .map(|name| {
            Ok(TreeXattr {
                name: name.to_vec(),
                value: value(way, name)?,
            })
        })
        .collect()
}

fn value(way: &OsStr, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 65536];
    let len = lgetxattr(way, OsStr::from_bytes(name), &mut value)?;
    value.truncate(len);
    Ok(value)
}

/// `user.containers.override_stat`, where it is there.
pub(super) fn override_of(directory: &OwnedFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let way = way(directory.as_raw_fd(), name);
    let mut bytes = [0; 256];
    match lgetxattr(
        OsStr::from_bytes(&way),
        OsStr::from_bytes(overrides::XATTR),
        &mut bytes,
    ) {
        Ok(len) => Ok(bytes.get(..len).map(<[u8]>::to_vec)),
        // A symbolic link has no user attributes.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
