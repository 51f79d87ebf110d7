//! What is in a directory with a quota, as whoever keeps the quota counts it: see [`sandbox_types::quota`].

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;
use sandbox_types::quota::{INODE_WEIGHT, QuotaRecord, is_host_xattr, name_weight, xattr_weight};

use super::is_gone;
use crate::fs::beneath::{Links, Root, kind_of, look, names};
use crate::fs::path::Inner;

/// What everything beneath `path` weighs, itself not counted. What goes meanwhile is not there.
pub(crate) fn weigh(path: &Path) -> io::Result<QuotaRecord> {
    weigh_in(&Root::open(path)?, Inner::root())
}

fn weigh_in(root: &Root, at: Inner) -> io::Result<QuotaRecord> {
    let mut scales = Scales {
        total: QuotaRecord {
            exact: true,
            bytes: 0,
            inodes: 0,
        },
        seen: HashSet::new(),
    };
    let mut waiting = vec![at];
    while let Some(at) = waiting.pop() {
        match scales.directory(root, &at, &mut waiting) {
            Err(error) if is_gone(&error) => {}
            result => result?,
        }
    }
    Ok(scales.total)
}

/// What is at `path` beneath `root` will weigh under a name of `name` bytes.
pub(crate) fn weigh_entry(root: &Root, path: &Inner, name: usize) -> io::Result<QuotaRecord> {
    let node = root.resolve(path, OFlags::PATH, Mode::empty(), Links::FollowParents)?;
    let stat = rustix::fs::fstat(&node)?;
    let mut total = if kind_of(&stat) == FileType::Directory {
        weigh_in(root, path.clone())?
    } else {
        QuotaRecord {
            exact: true,
            bytes: data_of(&stat),
            inodes: 0,
        }
    };
    let attributes = match path.split() {
        Some((_, name)) => xattrs_of(root.parent(path, Links::FollowParents)?.0.as_fd(), name)?,
        None => xattrs_of(root.as_fd(), OsStr::new("."))?,
    };
    let itself = INODE_WEIGHT + name_weight(name);
    total.bytes = total.bytes.saturating_add(itself).saturating_add(attributes);
    total.inodes += 1;
    Ok(total)
}

/// Where the figure of the tree at `root` is kept in `directory`.
pub(crate) fn record_path(root: &Path, directory: &Path) -> io::Result<PathBuf> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let stat = rustix::fs::statx(CWD, root, AtFlags::empty(), wanted)?;
    let born = (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec);
    Ok(directory.join(QuotaRecord::file_name(stat.stx_ino, born)))
}

/// The figure; none where there is none that can be read.
pub(crate) fn read_record(path: &Path) -> io::Result<Option<QuotaRecord>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(QuotaRecord::parse(&String::from_utf8_lossy(&bytes))
            .ok()
            .flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Scales {
    total: QuotaRecord,
    /// Files with more names than one that were counted.
    seen: HashSet<(u64, u64)>,
}

impl Scales {
    fn directory(&mut self, root: &Root, at: &Inner, waiting: &mut Vec<Inner>) -> io::Result<()> {
        let directory = root.directory(at, Links::Refuse)?;
        for name in names(directory.as_fd())? {
            let Some(stat) = look(directory.as_fd(), &name)? else {
                continue;
            };
            self.add_bytes(name_weight(name.len()));
            let is_directory = kind_of(&stat) == FileType::Directory;
            if is_directory || stat.st_nlink < 2 || self.seen.insert((stat.st_dev, stat.st_ino)) {
                self.add_bytes(INODE_WEIGHT);
                self.add_bytes(data_of(&stat));
                self.add_bytes(xattrs_of(directory.as_fd(), &name)?);
                self.total.inodes += 1;
            }
            if is_directory {
                waiting.push(at.join(&name));
            }
        }
        Ok(())
    }

    fn add_bytes(&mut self, bytes: u64) {
        self.total.bytes = self.total.bytes.saturating_add(bytes);
    }
}

/// The content of a file or link. What a directory needs is in the weight of its names.
fn data_of(stat: &Stat) -> u64 {
    match kind_of(stat) {
        // In units of 512 bytes, whatever the file system's blocks are: stat(2).
        FileType::RegularFile => u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
        FileType::Symlink => u64::try_from(stat.st_size).unwrap_or(0),
        _ => 0,
    }
}

fn xattrs_of(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<u64> {
    let place = format!("/proc/self/fd/{}/", directory.as_raw_fd());
    let path = CString::new([place.as_bytes(), name.as_bytes()].concat())?;
    let length = match rustix::fs::llistxattr(path.as_c_str(), &mut [0_u8; 0][..]) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(0),
        result => result?,
    };
    // More can have come since; a list that is too long by then is the next count's business.
    let mut list = vec![0; length + 1024];
    let length = rustix::fs::llistxattr(path.as_c_str(), list.as_mut_slice())?;
    let all = list.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    let counted = all.filter(|name| !name.is_empty() && !is_host_xattr(name));
    Ok(counted.fold(0, |sum: u64, name| {
        let value = rustix::fs::lgetxattr(path.as_c_str(), OsStr::from_bytes(name), &mut [0_u8; 0][..]);
        sum.saturating_add(xattr_weight(name, value.unwrap_or(0)))
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everything_but_the_root_has_its_weight() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        assert_eq!(weigh(root).unwrap().bytes, 0);
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), vec![1; 5000]).unwrap();
        fs::hard_link(root.join("dir/file"), root.join("again")).unwrap();
        std::os::unix::fs::symlink("target", root.join("link")).unwrap();
        let found = weigh(root).unwrap();
        let names = 4 * 32 + "dir".len() + "file".len() + "again".len() + "link".len();
        let expected = 3 * 1024 + 8192 + "target".len() + names;
        assert_eq!((found.bytes, found.inodes), (expected as u64, 3));
    }
}
