//! Files beneath a directory, descriptors, and waiting for them.

use super::super::wire::Text;
use super::{EINTR, Errno, Fd, Result, arch, fd, number};

const O_RDONLY: u64 = 0;
const O_WRONLY: u64 = 1;
const O_RDWR: u64 = 2;
const O_CREAT: u64 = 0o100;
const O_EXCL: u64 = 0o200;
const O_NOCTTY: u64 = 0o400;
const O_DIRECTORY: u64 = 0o200_000;
const O_NOFOLLOW: u64 = 0o400_000;
const O_CLOEXEC: u64 = 0o2_000_000;
const O_PATH: u64 = 0o10_000_000;
const RESOLVE_NO_MAGICLINKS: u64 = 2;
const RESOLVE_NO_SYMLINKS: u64 = 4;
const AT_FDCWD: usize = (-100_isize).cast_unsigned();
const AT_REMOVEDIR: usize = 0x200;
const EISDIR: Errno = Errno(21);

/// Where a relative path starts.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// The working directory; absolute paths do not care.
    Here,
    /// An open directory.
    Dir(&'a Fd),
}

impl At<'_> {
    pub(super) fn register(self) -> usize {
        match self {
            At::Here => AT_FDCWD,
            At::Dir(directory) => number(directory.number()),
        }
    }
}

/// Opens `path` as a place only, without following a symlink anywhere in it.
pub fn open_place(at: At<'_>, path: &Text) -> Result<Fd> {
    let how = [
        O_PATH | O_CLOEXEC | O_NOFOLLOW,
        0,
        RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    ];
    let args = [
        at.register(),
        path.as_ptr() as usize,
        how.as_ptr() as usize,
        24,
        0,
        0,
    ];
    loop {
        // EAGAIN: a rename raced with the walk (openat2(2)).
        match arch::call(arch::number::OPENAT2, args) {
            Err(super::EAGAIN | EINTR) => {}
            result => return fd(result),
        }
    }
}

/// Opens `path` as a place only; symlinks are followed.
pub fn open_place_following(path: &Text) -> Result<Fd> {
    open(At::Here, path, O_PATH, 0)
}

/// Opens a terminal for reading and writing without taking it as the controlling one.
pub fn open_terminal(path: &Text) -> Result<Fd> {
    open(At::Here, path, O_RDWR | O_NOCTTY, 0)
}

/// Opens a device for reading and writing.
pub fn open_device(path: &Text) -> Result<Fd> {
    open(At::Here, path, O_RDWR, 0)
}

/// Opens a file or directory for reading.
pub fn open_read(path: &Text) -> Result<Fd> {
    open(At::Here, path, O_RDONLY, 0)
}

/// Holds an exclusive flock(2) on an existing file for as long as this process lives; EAGAIN when it is held.
pub fn hold(path: &Text) -> Result<()> {
    // The first numbers that are free are those of the standard streams, which are given to others later.
    core::mem::forget(above_streams(&lock(path)?)?);
    Ok(())
}

/// The same until what is answered is closed.
pub fn lock(path: &Text) -> Result<Fd> {
    const LOCK_EX: usize = 2;
    const LOCK_NB: usize = 4;
    let file = open(At::Here, path, O_RDONLY | O_NOFOLLOW, 0)?;
    arch::call(
        arch::number::FLOCK,
        [number(file.number()), LOCK_EX | LOCK_NB, 0, 0, 0, 0],
    )?;
    Ok(file)
}

fn open(at: At<'_>, path: &Text, flags: u64, mode: u32) -> Result<Fd> {
    let flags = (flags | O_CLOEXEC) as usize;
    fd(arch::call(
        arch::number::OPENAT,
        [at.register(), path.as_ptr() as usize, flags, mode as usize, 0, 0],
    ))
}

/// Makes a file that did not exist and fills it.
pub fn create(at: At<'_>, path: &Text, mode: u32, mut content: &[u8]) -> Result<()> {
    let file = open(at, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)?;
    while !content.is_empty() {
        let args = [
            number(file.number()),
            content.as_ptr() as usize,
            content.len(),
            0,
            0,
            0,
        ];
        match arch::call(arch::number::WRITE, args) {
            Ok(written) => content = content.get(written..).unwrap_or_default(),
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// mkdirat(2).
pub fn make_dir(at: At<'_>, path: &Text, mode: u32) -> Result<()> {
    arch::call(
        arch::number::MKDIRAT,
        [at.register(), path.as_ptr() as usize, mode as usize, 0, 0, 0],
    )
    .map(drop)
}

/// symlinkat(2).
pub fn make_link(at: At<'_>, path: &Text, target: &Text) -> Result<()> {
    let args = [
        target.as_ptr() as usize,
        at.register(),
        path.as_ptr() as usize,
        0,
        0,
        0,
    ];
    arch::call(arch::number::SYMLINKAT, args).map(drop)
}

/// Removes a file or an empty directory.
pub fn remove(at: At<'_>, path: &Text) -> Result<()> {
    match arch::call(
        arch::number::UNLINKAT,
        [at.register(), path.as_ptr() as usize, 0, 0, 0, 0],
    ) {
        Err(EISDIR) => {
            let args = [at.register(), path.as_ptr() as usize, AT_REMOVEDIR, 0, 0, 0];
            arch::call(arch::number::UNLINKAT, args).map(drop)
        }
        result => result.map(drop),
    }
}

/// fchownat(2), not following a symlink.
pub fn change_owner(at: At<'_>, path: &Text, uid: u32, gid: u32) -> Result<()> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    let args = [
        at.register(),
        path.as_ptr() as usize,
        uid as usize,
        gid as usize,
        AT_SYMLINK_NOFOLLOW,
        0,
    ];
    arch::call(arch::number::FCHOWNAT, args).map(drop)
}

/// The size of an open file.
pub fn size(file: &Fd) -> Result<usize> {
    // struct stat: st_size is the seventh of its 18 words on x86_64.
    let mut stat = [0_u64; 18];
    arch::call(
        arch::number::FSTAT,
        [number(file.number()), stat.as_mut_ptr() as usize, 0, 0, 0, 0],
    )?;
    let [_, _, _, _, _, _, size, ..] = stat;
    usize::try_from(size).map_err(|_| super::EINVAL)
}

/// Whether an open file is a directory.
pub fn is_dir(file: &Fd) -> bool {
    let here = c".".as_ptr() as usize;
    let flags = (O_PATH | O_CLOEXEC | O_DIRECTORY) as usize;
    fd(arch::call(
        arch::number::OPENAT,
        [number(file.number()), here, flags, 0, 0, 0],
    ))
    .is_ok()
}

/// Whether a place is the root of a mount (statx(2), Linux 5.8).
pub fn is_mount_root(place: &Fd) -> Result<bool> {
    const AT_EMPTY_PATH: usize = 0x1000;
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    // struct statx: the attributes are its second word.
    let mut answer = [0_u64; 32];
    let args = [
        number(place.number()),
        c"".as_ptr() as usize,
        AT_EMPTY_PATH,
        0,
        answer.as_mut_ptr() as usize,
        0,
    ];
    arch::call(arch::number::STATX, args)?;
    let [_, attributes, ..] = answer;
    Ok(attributes & STATX_ATTR_MOUNT_ROOT != 0)
}

/// What an open file was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFor {
    Reading,
    Writing,
    Both,
}

/// What `file` was opened for.
pub fn open_for(file: &Fd) -> Result<OpenFor> {
    const F_GETFL: usize = 3;
    let flags = arch::call(arch::number::FCNTL, [number(file.number()), F_GETFL, 0, 0, 0, 0])?;
    Ok(match flags as u64 & (O_WRONLY | O_RDWR) {
        O_RDONLY => OpenFor::Reading,
        O_WRONLY => OpenFor::Writing,
        _ => OpenFor::Both,
    })
}

/// Reads what is there, up to the length of `buffer`.
pub fn read(file: &Fd, buffer: &mut [u8]) -> Result<usize> {
    arch::call(
        arch::number::READ,
        [
            number(file.number()),
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            0,
            0,
            0,
        ],
    )
}

/// dup2(2) to a number that the caller decides on.
pub fn duplicate_to(file: &Fd, target: i32) -> Result<()> {
    arch::call(
        arch::number::DUP2,
        [number(file.number()), number(target), 0, 0, 0, 0],
    )
    .map(drop)
}

/// Writes to standard error, as far as that goes at once.
pub fn write_error(text: &[u8]) {
    // Nobody can be told that nobody listens.
    let _ = arch::call(
        arch::number::WRITE,
        [2, text.as_ptr() as usize, text.len(), 0, 0, 0],
    );
}

/// A duplicate of `file` with a number above those of the standard streams, which become duplicates of it as well: what
/// is received later cannot have their numbers.
pub fn out_of_the_way(file: &Fd) -> Result<Fd> {
    let high = above_streams(file)?;
    occupy_streams(&high)?;
    Ok(high)
}

/// A duplicate of `file` with a number above those of the standard streams.
fn above_streams(file: &Fd) -> Result<Fd> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    fd(arch::call(
        arch::number::FCNTL,
        [number(file.number()), F_DUPFD_CLOEXEC, 3, 0, 0, 0],
    ))
}

/// Makes what has the numbers of the standard streams duplicates of `file`, which has another one; all close on exec.
pub fn occupy_streams(file: &Fd) -> Result<()> {
    (0..3).try_for_each(|target| {
        let args = [number(file.number()), target, O_CLOEXEC as usize, 0, 0, 0];
        arch::call(arch::number::DUP3, args).map(drop)
    })
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: i32) -> Result<()> {
    arch::call(
        arch::number::CLOSE_RANGE,
        [number(first), u32::MAX as usize, 0, 0, 0, 0],
    )
    .map(drop)
}

/// Makes a terminal the controlling one of this session, taking it from nobody.
pub fn take_terminal(terminal: &Fd) -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    arch::call(
        arch::number::IOCTL,
        [number(terminal.number()), TIOCSCTTY, 0, 0, 0, 0],
    )
    .map(drop)
}

/// The slave of a master, opened without a path, after unlocking it.
pub fn terminal_peer(master: &Fd) -> Result<Fd> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    const TIOCGPTPEER: usize = 0x5441;
    let unlock: i32 = 0;
    arch::call(
        arch::number::IOCTL,
        [
            number(master.number()),
            TIOCSPTLCK,
            (&raw const unlock) as usize,
            0,
            0,
            0,
        ],
    )?;
    let flags = (O_RDWR | O_NOCTTY | O_CLOEXEC) as usize;
    fd(arch::call(
        arch::number::IOCTL,
        [number(master.number()), TIOCGPTPEER, flags, 0, 0, 0],
    ))
}

/// Puts process group `group` into the foreground of the controlling terminal.
pub fn set_foreground(terminal: &Fd, group: i32) -> Result<()> {
    const TIOCSPGRP: usize = 0x5410;
    let args = [
        number(terminal.number()),
        TIOCSPGRP,
        (&raw const group) as usize,
        0,
        0,
        0,
    ];
    arch::call(arch::number::IOCTL, args).map(drop)
}

/// One entry for [`poll`]: a descriptor (negative: skip) and what happened to it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Poll {
    fd: i32,
    events: i16,
    happened: i16,
}

impl Poll {
    const IN: i16 = 1;
    const OUT: i16 = 4;

    /// Waits for input or the end.
    pub const fn input(fd: i32) -> Self {
        Self {
            fd,
            events: Self::IN,
            happened: 0,
        }
    }

    /// Waits for room to write as well.
    pub const fn input_and_output(fd: i32) -> Self {
        Self {
            fd,
            events: Self::IN | Self::OUT,
            happened: 0,
        }
    }

    /// Whether there is input, an end or an error.
    pub const fn is_ready(&self) -> bool {
        self.happened != 0
    }
}

/// The next entries of an open directory as getdents64(2) writes them; how many bytes, 0 at the end.
pub fn list(directory: &Fd, buffer: &mut [u8]) -> Result<usize> {
    arch::call(
        arch::number::GETDENTS64,
        [
            number(directory.number()),
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            0,
            0,
            0,
        ],
    )
}

/// Whether the other side of a socket is closed.
pub fn is_hung_up(socket: &Fd) -> bool {
    let mut entry = Poll {
        fd: socket.number(),
        events: 0,
        happened: 0,
    };
    let at_once = [0_u64; 2];
    let args = [(&raw mut entry) as usize, 1, at_once.as_ptr() as usize, 0, 0, 0];
    arch::call(arch::number::PPOLL, args).is_ok() && entry.is_ready()
}

/// Waits for nothing, this long.
pub fn pause(milliseconds: u64) {
    let time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
    // A signal ends it early.
    let _ = arch::call(arch::number::PPOLL, [0, 0, time.as_ptr() as usize, 0, 0, 0]);
}

/// Waits without limit until something happens.
pub fn poll(entries: &mut [Poll]) -> Result<()> {
    match arch::call(
        arch::number::PPOLL,
        [entries.as_mut_ptr() as usize, entries.len(), 0, 0, 0, 0],
    ) {
        Ok(_) | Err(EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
