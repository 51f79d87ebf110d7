//! The oracle: the same operations by system calls, in a directory of the host.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path as FsPath, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec,
    Timestamps, XattrFlags,
};
use rustix::io::Errno as Raw;

use super::op::{
    Allocation, Exclusive, HandleName, Locking, NodeKind, Op, Opening, Renaming, Time, Whence, XattrMode,
};
use super::subject::{
    Handles, Marks, Shown, Subject, Times, show_bytes, show_names, show_times, show_xattrs,
};
use crate::fs::{Errno, Timestamp};
use crate::sys::record_lock::{self, RecordLock};

type Done = Result<String, Errno>;

/// A directory of the host.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    handles: Handles<OwnedFd>,
    marks: Marks,
}

impl Host {
    /// Works in `root`, which exists.
    pub fn new(root: &FsPath) -> Self {
        Self {
            root: root.to_owned(),
            handles: Handles::default(),
            marks: Marks::default(),
        }
    }

    fn at(&self, path: &OsStr) -> PathBuf {
        if path == "." {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }

    fn open(&mut self, name: HandleName, path: &OsStr, flags: Opening, mode: u32) -> Done {
        let file = rustix::fs::open(self.at(path), open_flags(flags), Mode::from_raw_mode(mode))?;
        // FIFOs and devices are the kernel's alone.
        let kind = rustix::fs::fstat(&file)?.st_mode & libc::S_IFMT;
        if kind != libc::S_IFREG && kind != libc::S_IFDIR {
            return Err(Errno::ENXIO);
        }
        self.handles.insert(name, file);
        done()
    }

    fn tmpfile(&mut self, name: HandleName, path: &OsStr, exclusive: Exclusive) -> Done {
        let mut flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        flags.set(OFlags::EXCL, exclusive == Exclusive::Yes);
        let file = rustix::fs::open(self.at(path), flags, Mode::from_raw_mode(0o666))?;
        self.handles.insert(name, file);
        done()
    }

    fn read(&self, handle: HandleName, offset: u64, len: u64) -> Done {
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Errno::EINVAL)?];
        let count = rustix::io::pread(self.handles.get(handle)?, &mut bytes, offset)?;
        Ok(show_bytes(bytes.get(..count).unwrap_or_default()))
    }

    fn write(&self, handle: HandleName, offset: u64, byte: u8, len: u64) -> Done {
        let bytes = vec![byte; usize::try_from(len).map_err(|_| Errno::EINVAL)?];
        let file = self.handles.get(handle)?;
        let mut count = 0;
        // A signal, or a limit of one call, may end it early. Nothing is written, too, where nothing was asked for.
        loop {
            let rest = bytes.get(count..).unwrap_or_default();
            match rustix::io::pwrite(file, rest, offset + count as u64) {
                Ok(written) => count += written,
                Err(error) if count == 0 => return Err(error.into()),
                Err(_) => break,
            }
            if count == bytes.len() {
                break;
            }
        }
        Ok(format!("{count} written"))
    }

    fn copy(&self, from: (HandleName, u64), to: (HandleName, u64), len: u64) -> Done {
        let (source, target) = (self.handles.get(from.0)?, self.handles.get(to.0)?);
        let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
        let (mut start, mut end) = (from.1, to.1);
        let count = rustix::fs::copy_file_range(source, Some(&mut start), target, Some(&mut end), len)?;
        Ok(format!("{count} copied"))
    }

    fn chown(&self, path: &OsStr, uid: Option<u32>, gid: Option<u32>) -> Done {
        let (uid, gid) = (
            uid.map(rustix::fs::Uid::from_raw),
            gid.map(rustix::fs::Gid::from_raw),
        );
        rustix::fs::chownat(CWD, self.at(path), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        done()
    }

    fn utimes(&self, path: &OsStr, atime: Time, mtime: Time) -> Done {
        let times = Timestamps {
            last_access: timespec(atime),
            last_modification: timespec(mtime),
        };
        rustix::fs::utimensat(CWD, self.at(path), &times, AtFlags::SYMLINK_NOFOLLOW)?;
        done()
    }

    fn times(&self, path: &OsStr) -> Result<Times, Errno> {
        let stat = rustix::fs::statat(CWD, self.at(path), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok([
            timestamp(stat.st_atime, stat.st_atime_nsec),
            timestamp(stat.st_mtime, stat.st_mtime_nsec),
            timestamp(stat.st_ctime, stat.st_ctime_nsec),
        ])
    }

    fn stat(&self, path: &OsStr) -> Result<Shown, Errno> {
        Ok(shown(&rustix::fs::statat(
            CWD,
            self.at(path),
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    fn set_xattr(&self, path: &OsStr, name: &OsStr, value: &[u8], mode: XattrMode) -> Done {
        let flags = match mode {
            XattrMode::Set => XattrFlags::empty(),
            XattrMode::Create => XattrFlags::CREATE,
            XattrMode::Replace => XattrFlags::REPLACE,
        };
        rustix::fs::lsetxattr(self.at(path), name, value, flags)?;
        done()
    }

    fn get_xattr(&self, path: &OsStr, name: &OsStr, size: u32) -> Done {
        if size == 0 {
            return Ok(format!(
                "size {}",
                rustix::fs::lgetxattr_query(self.at(path), name)?
            ));
        }
        let mut value = vec![0; size as usize];
        let len = rustix::fs::lgetxattr(self.at(path), name, &mut value)?;
        Ok(show_bytes(value.get(..len).unwrap_or_default()))
    }

    fn list_xattr(&self, path: &OsStr, size: u32) -> Done {
        let needed = rustix::fs::llistxattr_query(self.at(path))?;
        if size == 0 {
            let mut all = vec![0; needed.max(1)];
            let len = rustix::fs::llistxattr(self.at(path), &mut all)?;
            return Ok(if len == needed {
                "as long as the list".to_owned()
            } else {
                format!("{needed} for {len}")
            });
        }
        let mut list = vec![0; size as usize];
        let len = rustix::fs::llistxattr(self.at(path), &mut list)?;
        Ok(show_xattrs(list.get(..len).unwrap_or_default()))
    }

    fn list(&self, path: &OsStr) -> Done {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::open(self.at(path), flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::new(entry.file_name().to_str().unwrap_or_default());
            let name = if name.is_empty() {
                bytes_name(entry.file_name().to_bytes())
            } else {
                name
            };
            if name == "." || name == ".." {
                continue;
            }
            let kind = rustix::fs::statat(CWD, self.at(path).join(name), AtFlags::SYMLINK_NOFOLLOW)?;
            names.push((name.to_owned(), super::subject::kind_name(kind.st_mode)));
        }
        Ok(show_names(names))
    }

    fn lock(&self, handle: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        record_lock::set(self.handles.get(handle)?.as_fd(), record(kind, start, len)?)?;
        done()
    }

    fn get_lock(&self, handle: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let found = record_lock::get(self.handles.get(handle)?.as_fd(), record(kind, start, len)?)?;
        Ok(match found.kind {
            libc::F_UNLCK => "free".to_owned(),
            libc::F_RDLCK => format!("shared {}+{}", found.start, found.len),
            _ => format!("exclusive {}+{}", found.start, found.len),
        })
    }

    fn flock(&self, handle: HandleName, kind: Locking) -> Done {
        let operation = match kind {
            Locking::Shared => FlockOperation::NonBlockingLockShared,
            Locking::Exclusive => FlockOperation::NonBlockingLockExclusive,
            Locking::Unlocked => FlockOperation::NonBlockingUnlock,
        };
        rustix::fs::flock(self.handles.get(handle)?, operation)?;
        done()
    }

    /// For calls that follow links, which backends are not asked to.
    fn refuse_link(&self, path: &OsStr, otherwise: Errno) -> Result<(), Errno> {
        let stat = rustix::fs::statat(CWD, self.at(path), AtFlags::SYMLINK_NOFOLLOW)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFLNK {
            Err(otherwise)
        } else {
            Ok(())
        }
    }

    fn link_handle(&self, handle: HandleName, path: &OsStr) -> Done {
        use std::os::fd::AsRawFd;
        let file = format!("/proc/self/fd/{}", self.handles.get(handle)?.as_raw_fd());
        rustix::fs::linkat(CWD, file, CWD, self.at(path), AtFlags::SYMLINK_FOLLOW)?;
        done()
    }
}

impl Subject for Host {
    fn apply(&mut self, step: &Op) -> Done {
        match step {
            Op::Mkdir(path, mode) => rustix::fs::mkdir(self.at(path), Mode::from_raw_mode(*mode))?,
            Op::Mknod(path, kind, mode) => {
                rustix::fs::mknodat(
                    CWD,
                    self.at(path),
                    file_type(*kind),
                    Mode::from_raw_mode(*mode),
                    0,
                )?;
            }
            Op::Symlink(path, target) => rustix::fs::symlink(target.as_os_str(), self.at(path))?,
            Op::Link(old, new) => {
                rustix::fs::linkat(CWD, self.at(old), CWD, self.at(new), AtFlags::empty())?;
            }
            Op::Unlink(path) => rustix::fs::unlink(self.at(path))?,
            Op::Rmdir(path) => rustix::fs::rmdir(self.at(path))?,
            Op::Rename(old, new, flags) => {
                rustix::fs::renameat_with(CWD, self.at(old), CWD, self.at(new), rename_flags(*flags))?;
            }
            Op::Open(name, path, flags, mode) => return self.open(*name, path, *flags, *mode),
            Op::Tmpfile(name, path, exclusive) => return self.tmpfile(*name, path, *exclusive),
            Op::LinkHandle(name, path) => return self.link_handle(*name, path),
            Op::Close(name) => drop(self.handles.remove(*name)?),
            Op::Read(name, offset, len) => return self.read(*name, *offset, *len),
            Op::Write(name, offset, byte, len) => return self.write(*name, *offset, *byte, *len),
            Op::Truncate(path, len) => {
                self.refuse_link(path, Errno::EINVAL)?;
                truncate(&self.at(path), *len)?;
            }
            Op::TruncateHandle(name, len) => rustix::fs::ftruncate(self.handles.get(*name)?, *len)?,
            Op::Allocate(name, mode, offset, len) => {
                rustix::fs::fallocate(self.handles.get(*name)?, allocation(*mode), *offset, *len)?;
            }
            Op::Seek(name, whence, offset) => {
                let from = match whence {
                    Whence::Data => rustix::fs::SeekFrom::Data(*offset),
                    Whence::Hole => rustix::fs::SeekFrom::Hole(*offset),
                };
                return Ok(rustix::fs::seek(self.handles.get(*name)?, from)?.to_string());
            }
            Op::Copy(from, to, len) => return self.copy(*from, *to, *len),
            Op::Stat(path) => return Ok(self.stat(path)?.stat()),
            Op::StatHandle(name) => return Ok(shown(&rustix::fs::fstat(self.handles.get(*name)?)?).stat()),
            Op::Blocks(path) => return Ok(self.stat(path)?.blocks()),
            Op::Chmod(path, mode) => {
                self.refuse_link(path, Errno::ENOTSUP)?;
                rustix::fs::chmodat(CWD, self.at(path), Mode::from_raw_mode(*mode), AtFlags::empty())?;
            }
            Op::Chown(path, uid, gid) => return self.chown(path, *uid, *gid),
            Op::Utimes(path, atime, mtime) => return self.utimes(path, *atime, *mtime),
            Op::ShowTimes(path) => return Ok(show_times(&self.times(path)?)),
            Op::Mark(path) => {
                let times = self.times(path)?;
                self.marks.set(path, times);
                wait_for_tick();
            }
            Op::Changed(path) => return Ok(self.marks.changed(path, &self.times(path)?)),
            Op::SetXattr(path, name, value, mode) => return self.set_xattr(path, name, value, *mode),
            Op::GetXattr(path, name, size) => return self.get_xattr(path, name, *size),
            Op::ListXattr(path, size) => return self.list_xattr(path, *size),
            Op::RemoveXattr(path, name) => rustix::fs::lremovexattr(self.at(path), name.as_os_str())?,
            Op::Readlink(path) => {
                let target = rustix::fs::readlink(self.at(path), Vec::new())?;
                return Ok(show_bytes(target.as_bytes()));
            }
            Op::List(path) => return self.list(path),
            Op::Lock(name, kind, start, len) => return self.lock(*name, *kind, *start, *len),
            Op::GetLock(name, kind, start, len) => return self.get_lock(*name, *kind, *start, *len),
            Op::Flock(name, kind) => return self.flock(*name, *kind),
        }
        done()
    }
}

fn done() -> Done {
    Ok(String::new())
}

/// Until the clock that filesystems of the host take times from has gone on.
pub(super) fn wait_for_tick() {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        (time.tv_sec, time.tv_nsec)
    };
    let before = now();
    while now() == before {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn bytes_name(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

fn truncate(path: &FsPath, len: u64) -> Result<(), Errno> {
    let path = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
        .map_err(|_| Errno::EINVAL)?;
    Ok(crate::sys::truncate::truncate(&path, len)?)
}

fn shown(stat: &rustix::fs::Stat) -> Shown {
    Shown {
        mode: stat.st_mode,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size.cast_unsigned(),
        blocks: stat.st_blocks.cast_unsigned(),
        rdev: stat.st_rdev,
    }
}

fn timestamp(seconds: i64, nanoseconds: u64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
    }
}

fn timespec(time: Time) -> Timespec {
    match time {
        Time::Omit => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        Time::Now => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        Time::At(seconds, nanoseconds) => Timespec {
            tv_sec: seconds,
            tv_nsec: i64::from(nanoseconds),
        },
    }
}

fn open_flags(flags: Opening) -> OFlags {
    let mut raw = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    raw |= match (flags.read, flags.write) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    raw.set(OFlags::CREATE, flags.create);
    raw.set(OFlags::EXCL, flags.exclusive);
    raw.set(OFlags::TRUNC, flags.truncate);
    raw.set(OFlags::APPEND, flags.append);
    raw.set(OFlags::NOATIME, flags.noatime);
    raw
}

fn rename_flags(flags: Renaming) -> RenameFlags {
    let mut raw = RenameFlags::empty();
    raw.set(RenameFlags::NOREPLACE, flags.noreplace);
    raw.set(RenameFlags::EXCHANGE, flags.exchange);
    raw.set(RenameFlags::WHITEOUT, flags.whiteout);
    raw
}

fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::File => FileType::RegularFile,
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Socket => FileType::Socket,
        NodeKind::Whiteout => FileType::CharacterDevice,
    }
}

fn allocation(mode: Allocation) -> FallocateFlags {
    match mode {
        Allocation::Plain => FallocateFlags::empty(),
        Allocation::Keep => FallocateFlags::KEEP_SIZE,
        Allocation::Punch => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        Allocation::PunchAlone => FallocateFlags::PUNCH_HOLE,
        Allocation::Zero => FallocateFlags::ZERO_RANGE,
        Allocation::ZeroKeep => FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
        Allocation::Collapse => FallocateFlags::COLLAPSE_RANGE,
        Allocation::Insert => FallocateFlags::INSERT_RANGE,
    }
}

fn record(kind: Locking, start: u64, len: u64) -> Result<RecordLock, Errno> {
    let kind = match kind {
        Locking::Shared => libc::F_RDLCK,
        Locking::Exclusive => libc::F_WRLCK,
        Locking::Unlocked => libc::F_UNLCK,
    };
    let signed = |number: u64| i64::try_from(number).map_err(|_| Errno::from(Raw::OVERFLOW));
    Ok(RecordLock {
        kind,
        start: signed(start)?,
        len: signed(len)?,
    })
}
