//! Calls on a file of the host by its descriptor alone.

use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, XattrFlags};
use rustix::io::Errno as HostErrno;

/// "/proc/self/fd/N" on the stack: the way to a file of which only an `O_PATH` descriptor is held. The kernel follows
/// it to exactly that file, whatever is at its name by now.
pub(in crate::backend) struct ProcPath([u8; 32]);

impl ProcPath {
    pub(in crate::backend) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

pub(in crate::backend) fn proc_path(file: BorrowedFd<'_>) -> ProcPath {
    let mut path = [0; 32];
    // 14 bytes and at most 10 digits: there is room, and zeros after them.
    let mut room = std::io::Cursor::new(path.as_mut_slice());
    let written = write!(room, "/proc/self/fd/{}", file.as_raw_fd());
    debug_assert!(written.is_ok(), "32 bytes are enough for any descriptor");
    ProcPath(path)
}

/// Everything that stat says, and the time of creation.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// Of an open file, or of what an `O_PATH` descriptor stands for.
pub(in crate::backend) fn stat(file: BorrowedFd<'_>) -> Result<Statx, HostErrno> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, WANTED)
}

/// Of an entry of a directory, a link not followed.
pub(in crate::backend) fn stat_in(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Statx, HostErrno> {
    rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)
}

/// An extended attribute. Of a file that is open it is asked for directly; by the longer way of an `O_PATH` descriptor
/// otherwise.
pub(super) fn getxattr(file: BorrowedFd<'_>, name: &OsStr, into: &mut [u8]) -> Result<usize, HostErrno> {
    match rustix::fs::fgetxattr(file, name, &mut *into) {
        Err(HostErrno::BADF) => rustix::fs::getxattr(proc_path(file).as_c_str(), name, into),
        other => other,
    }
}

/// The same for a change of it.
pub(super) fn setxattr(
    file: BorrowedFd<'_>,
    name: &OsStr,
    value: &[u8],
    flags: XattrFlags,
) -> Result<(), HostErrno> {
    match rustix::fs::fsetxattr(file, name, value, flags) {
        Err(HostErrno::BADF) => rustix::fs::setxattr(proc_path(file).as_c_str(), name, value, flags),
        other => other,
    }
}

/// Whether the content of files is made when they are read: neither their size nor their times say what is in them
/// (proc(5), sysfs(5), cgroups(7) and their like, by the magic numbers of statfs(2)).
pub(in crate::backend) fn makes_content_when_read(file: BorrowedFd<'_>) -> bool {
    const MAGICS: [u64; 15] = [
        0x9fa0,      // proc
        SYSFS,       // sysfs
        CGROUP,      // cgroup
        0x6367_7270, // cgroup2
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
        0x6265_6570, // configfs
        0xde5e_81e4, // efivarfs
        0xf97c_ff8c, // selinuxfs
        0x4341_5d53, // smackfs
        0x4249_4e4d, // binfmt_misc
        0x6573_5543, // fusectl
        RESCTRL,     // resctrl
        0x1980_0202, // mqueue
    ];
    magic(file).is_some_and(|magic| MAGICS.contains(&magic))
}

/// Whether it answers as if it had extended attributes for users, and takes none: what kernfs serves.
pub(in crate::backend) fn only_seems_to_keep_xattrs(file: BorrowedFd<'_>) -> bool {
    magic(file).is_some_and(|magic| [SYSFS, CGROUP, RESCTRL].contains(&magic))
}

const SYSFS: u64 = 0x6265_6572;
const CGROUP: u64 = 0x0027_e0eb;
const RESCTRL: u64 = 0x0765_5821;

/// By which its kind is known; the lower half, which is all of it.
fn magic(file: BorrowedFd<'_>) -> Option<u64> {
    let found = rustix::fs::fstatfs(file).ok()?;
    Some(found.f_type.cast_unsigned() & 0xffff_ffff)
}

/// Opens what `file` stands for anew. Its type must be known: a FIFO would be waited for.
pub(in crate::backend) fn reopen(file: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, HostErrno> {
    let flags = (flags - OFlags::NOFOLLOW) | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(proc_path(file).as_c_str(), flags, Mode::empty())
}

/// Opens the directory that `dir` stands for, for listing and syncing.
pub(in crate::backend) fn reopen_dir(dir: BorrowedFd<'_>) -> Result<OwnedFd, HostErrno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(dir, c".", flags, Mode::empty())
}
