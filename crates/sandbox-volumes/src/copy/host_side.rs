//! The host's side of a copy to or from a disk.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, makedev};
use rustix::io::Errno;
use sandbox_types::{TreeTime, TreeXattr};

use super::across::{Content, From, Item, Kind, To, buffer};
use super::set_mode_at;
use crate::fs::beneath::{Links, Root, kind_of, names};
use crate::fs::path::Inner;
use crate::xattr;

/// A directory of the host.
#[derive(Debug)]
pub(crate) struct HostSide<'r>(pub(crate) &'r Root);

impl Content for File {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl From for HostSide<'_> {
    fn item(&mut self, path: &Inner) -> io::Result<Item> {
        let node = self
            .0
            .resolve(path, OFlags::PATH, Mode::empty(), Links::FollowParents)?;
        let stat = rustix::fs::fstat(&node)?;
        let kind = match kind_of(&stat) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link(rustix::fs::readlinkat(&node, "", Vec::new())?.into_bytes()),
            FileType::Socket => Kind::Socket,
            kind => Kind::Special {
                file_type: kind.as_raw_mode(),
                device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            },
        };
        let xattrs = match kind {
            Kind::Directory | Kind::File => attributes(&self.open(path)?)?,
            _ => Vec::new(),
        };
        let moment = |seconds, nanoseconds: u64| TreeTime {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        Ok(Item {
            shared: (stat.st_nlink > 1 && kind != Kind::Directory).then_some((stat.st_dev, stat.st_ino)),
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            permissions: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            accessed: moment(stat.st_atime, stat.st_atime_nsec),
            modified: moment(stat.st_mtime, stat.st_mtime_nsec),
            xattrs,
        })
    }

    fn names(&mut self, path: &Inner) -> io::Result<Vec<OsString>> {
        names(self.0.directory(path, Links::FollowParents)?.as_fd())
    }

    fn content(&mut self, path: &Inner) -> io::Result<Box<dyn Content + '_>> {
        let file = self.0.file(path, Links::FollowParents)?;
        let file =
            file.ok_or_else(|| io::Error::other("was swapped for something else while it was copied"))?;
        Ok(Box::new(file))
    }
}

impl HostSide<'_> {
    fn open(&self, path: &Inner) -> io::Result<OwnedFd> {
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.0.resolve(path, flags, Mode::empty(), Links::FollowParents)
    }

    fn parent<'p>(&self, path: &'p Inner) -> io::Result<(OwnedFd, &'p OsStr)> {
        self.0.parent(path, Links::FollowParents)
    }

    /// Owner and times of what cannot be opened.
    fn apply_at(&self, path: &Inner, item: &Item) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        if rustix::process::geteuid().is_root() {
            let owner = (Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)));
            rustix::fs::chownat(&parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(rustix::fs::utimensat(
            &parent,
            name,
            &times(item),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}

impl To for HostSide<'_> {
    fn directory(&mut self, path: &Inner, _: &Item) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(&parent, name, Mode::RWXU)?)
    }

    fn finish_directory(&mut self, path: &Inner, item: &Item) -> io::Result<()> {
        apply(&self.0.directory(path, Links::FollowParents)?, item)
    }

    fn file(
        &mut self,
        path: &Inner,
        item: &Item,
        next: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(fd);
        let mut buffer = buffer();
        let mut length = 0;
        loop {
            let read = next(&mut buffer)?;
            let piece = buffer.get(..read).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            if piece.iter().all(|byte| *byte == 0) {
                // A hole: nothing is written, and the length is set in the end.
                io::Seek::seek(&mut file, io::SeekFrom::Current(i64::try_from(read).unwrap_or(0)))?;
            } else {
                file.write_all(piece)?;
            }
            length += read as u64;
        }
        file.set_len(length)?;
        apply(&file.into(), item)
    }

    fn link(&mut self, path: &Inner, target: &[u8], item: &Item) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(OsStr::from_bytes(target), &parent, name)?;
        self.apply_at(path, item)
    }

    fn special(&mut self, path: &Inner, file_type: u32, device: (u32, u32), item: &Item) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let device: Dev = makedev(device.0, device.1);
        let mode = Mode::from_raw_mode(kept(item));
        rustix::fs::mknodat(&parent, name, FileType::from_raw_mode(file_type), mode, device)?;
        set_mode_at(parent.as_fd(), name, mode)?;
        self.apply_at(path, item)
    }

    fn hard_link(&mut self, first: &Inner, path: &Inner) -> io::Result<()> {
        let (old, old_name) = self.parent(first)?;
        let (new, new_name) = self.parent(path)?;
        Ok(rustix::fs::linkat(
            &old,
            old_name,
            &new,
            new_name,
            AtFlags::empty(),
        )?)
    }
}

/// Owner, attributes, permissions and times, in this order: each takes away what the one before set.
fn apply(file: &OwnedFd, item: &Item) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        rustix::fs::fchown(file, Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)))?;
    }
    for one in &item.xattrs {
        let name = CString::new(one.name.clone())?;
        match rustix::fs::fsetxattr(file, name.as_c_str(), &one.value, XattrFlags::empty()) {
            Ok(()) => {}
            // What only root may set, or the host does not have.
            Err(Errno::PERM | Errno::OPNOTSUPP) if !one.name.starts_with(b"user.") => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(kept(item)))?;
    Ok(rustix::fs::futimens(file, &times(item))?)
}

/// Set-id bits are kept only with the owner whose they are.
fn kept(item: &Item) -> u32 {
    let me = rustix::process::geteuid();
    let keeps_owner = me.is_root() || item.uid == me.as_raw();
    item.permissions & if keeps_owner { 0o7777 } else { 0o1777 }
}

fn times(item: &Item) -> Timestamps {
    let timespec = |time: TreeTime| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: timespec(item.accessed),
        last_modification: timespec(item.modified),
    }
}

fn attributes(file: &OwnedFd) -> io::Result<Vec<TreeXattr>> {
    let mut all = Vec::new();
    for name in xattr::names(file)? {
        if let Some(value) = xattr::value(file, &name)? {
            all.push(TreeXattr {
                name: name.into_bytes(),
                value,
            });
        }
    }
    Ok(all)
}
