//! A process that unmounts what its owner could not.
//!
//! A mount in the caller's own mount namespace outlives a caller that is killed. The guard waits for that, unmounts,
//! and ends. It is a child with a copy of the caller's memory, of which it uses nothing but what [`Guard::start`]
//! has made ready: it calls the kernel and allocates nothing. Of the caller's descriptors it keeps three kinds: the
//! one by which it is told that it is not needed any more, the caller's pidfd, and the locks, so that nobody takes
//! them before it is done.

#[cfg(feature = "fuse")]
use std::ffi::OsStr;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, PidfdFlags};

use super::mount_id::mount_id;
use super::signals::SignalsBlocked;

/// How often it is tried again to unmount what is in use, and after what time.
const PATIENCE: u32 = 100;
const MOMENT: Duration = Duration::from_millis(2);

/// The guard of one mount. Dropped, it goes, and the mount stays.
#[derive(Debug)]
pub(crate) struct Guard {
    target: Target,
    pid: libc::pid_t,
    word: OwnedFd,
    /// Which mount it is: a counter, because it is all that both share from then on.
    #[cfg_attr(
        not(feature = "fuse"),
        expect(dead_code, reason = "only mounts to come are told")
    )]
    told: OwnedFd,
}

/// A mount, found again: only what was mounted there is unmounted there.
#[derive(Debug)]
struct Target {
    path: CString,
    mount: Which,
}

/// Which mount at a path is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    This(u64),
    /// One that is still to come, over this one.
    #[cfg_attr(
        not(feature = "fuse"),
        expect(dead_code, reason = "only FUSE mounts are guarded before")
    )]
    Over(u64),
}

/// A program that unmounts for those who may not: executed by the guard in its own place.
struct Exec {
    program: CString,
    arguments: Vec<CString>,
}

#[cfg(feature = "fuse")]
impl Exec {
    fn new(command: &[&OsStr]) -> io::Result<Self> {
        let text = |part: &&OsStr| CString::new(part.as_bytes());
        let arguments = command.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let program = arguments.first().cloned().unwrap_or_default();
        Ok(Self { program, arguments })
    }
}

impl Guard {
    /// Guards the mount that is now at `path`, which is absolute. The caller's `locks` are held on to.
    #[cfg(any(feature = "branch", feature = "fuse"))]
    pub(crate) fn start(path: &Path, locks: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mount = Which::This(mount_id(CWD, &path)?);
        Self::begin(Target { path, mount }, locks, None)
    }

    /// Guards the mount that is about to be made at `path`, which is absolute: so there is no moment at which nobody
    /// would unmount it. [`mounted`](Self::mounted) says that it has been made.
    ///
    /// Where only a program may unmount it, `command` is its absolute path and its arguments.
    #[cfg(feature = "fuse")]
    pub(crate) fn ahead(path: &Path, command: Option<&[&OsStr]>) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mount = Which::Over(mount_id(CWD, &path)?);
        let exec = command.map(Exec::new).transpose()?;
        Self::begin(Target { path, mount }, &[], exec.as_ref())
    }

    /// What is at its path now is what it guards.
    #[cfg(feature = "fuse")]
    pub(crate) fn mounted(&mut self) -> io::Result<()> {
        let id = mount_id(CWD, &self.target.path)?;
        self.target.mount = Which::This(id);
        rustix::io::write(&self.told, &id.to_ne_bytes())?;
        Ok(())
    }

    fn begin(target: Target, locks: &[BorrowedFd<'_>], by: Option<&Exec>) -> io::Result<Self> {
        // Made before there is a child, which allocates nothing.
        let pointers: Option<Vec<_>> = by.map(|exec| {
            let arguments = exec.arguments.iter().map(|part| part.as_ptr());
            arguments.chain([std::ptr::null()]).collect()
        });
        let exec = by
            .zip(pointers.as_deref())
            .map(|(exec, pointers)| (&*exec.program, pointers));
        let word = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let told = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let ready = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let owner = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        // Out of the way of the numbers that the child is going to use.
        let count = 4 + i32::try_from(locks.len()).unwrap_or(0);
        let mut kept = Vec::new();
        let own = [word.as_fd(), owner.as_fd(), ready.as_fd(), told.as_fd()];
        for fd in own.iter().chain(locks) {
            kept.push(rustix::io::fcntl_dupfd_cloexec(fd, count)?);
        }
        let blocked = SignalsBlocked::new()?;
        match fork()? {
            0 => watch(target, &kept, exec),
            pid => {
                drop(blocked);
                let guard = Self {
                    target,
                    pid,
                    word,
                    told,
                };
                guard.has_begun(&ready).map(|()| guard)
            }
        }
    }

    /// Waits until the child holds nothing any more but what is its own: until then the mount is in use by it.
    fn has_begun(&self, ready: &OwnedFd) -> io::Result<()> {
        let pid = Pid::from_raw(self.pid).ok_or(Errno::SRCH)?;
        let child = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let mut fds = [ready, &child].map(|fd| PollFd::new(fd, PollFlags::IN));
        while rustix::event::poll(&mut fds, None) == Err(Errno::INTR) {}
        let [ready, _] = fds;
        if ready.revents().is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Whether the mount is still there.
    pub(crate) fn sees_mount(&self) -> bool {
        self.target.is_there()
    }

    /// Unmounts it unless somebody uses it, which is EBUSY.
    ///
    /// A process that has just been forked from this one, and has not executed another program yet, uses what this
    /// one does: that is waited for, a moment.
    pub(crate) fn unmount(&self) -> io::Result<()> {
        for _ in 0..PATIENCE {
            match self.target.unmount(UnmountFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(MOMENT),
                result => return result,
            }
        }
        self.target.unmount(UnmountFlags::empty())
    }

    /// Takes it out of the tree at once; whoever uses it, goes on.
    pub(crate) fn detach(&self) -> io::Result<()> {
        self.target.unmount(UnmountFlags::DETACH)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Fails for none but a full counter, and this is the first that is added to it.
        let _ = rustix::io::write(&self.word, &1_u64.to_ne_bytes());
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

impl Target {
    fn is_there(&self) -> bool {
        mount_id(CWD, &self.path).is_ok_and(|id| match self.mount {
            Which::This(known) => id == known,
            Which::Over(before) => id != before,
        })
    }

    fn unmount(&self, flags: UnmountFlags) -> io::Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        Ok(rustix::mount::unmount(
            self.path.as_c_str(),
            flags | UnmountFlags::NOFOLLOW,
        )?)
    }
}

/// A child without an exit signal, so that the host program's handler of SIGCHLD is not called for it.
fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: without a stack and without shared memory this is fork(2). The child runs [`watch`] alone, which
    // calls the kernel and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64) };
    match i32::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The guard's life. Signals stay blocked, so that what ends the caller, Ctrl-C say, leaves it to its work.
fn watch(mut target: Target, kept: &[OwnedFd], exec: Option<(&CStr, &[*const c_char])>) -> ! {
    keep_only(kept);
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir(c"/");
    begin();
    if wait() == Ended::Owner {
        target.mount = told().unwrap_or(target.mount);
        match exec {
            None => drop(target.unmount(UnmountFlags::DETACH)),
            Some((program, arguments)) if target.is_there() => execute(program, arguments),
            Some(_) => {}
        }
    }
    // SAFETY: ends this process; no destructor of the parent's runs.
    unsafe { libc::_exit(0) }
}

/// Becomes that program; returns where that is not possible.
fn execute(program: &CStr, arguments: &[*const c_char]) {
    // SAFETY: `arguments` are strings of an `Exec` that lives in this process's copy of its parent's memory, with a
    // null pointer behind them; there is no environment.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), [std::ptr::null()].as_ptr()) };
}

fn begin() {
    // SAFETY: descriptor 2 was put there by `keep_only`, and nobody else refers to it.
    let ready = unsafe { OwnedFd::from_raw_fd(2) };
    let _ = rustix::io::write(&ready, &1_u64.to_ne_bytes());
}

/// Which mount it is, where that was said.
fn told() -> Option<Which> {
    // SAFETY: descriptor 3 was put there by `keep_only`, and is never closed.
    let told = unsafe { BorrowedFd::borrow_raw(3) };
    let mut id = [0; 8];
    // EAGAIN: it was not.
    rustix::io::read(told, &mut id).ok()?;
    Some(Which::This(u64::from_ne_bytes(id)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Guarding,
    Owner,
}

/// Until it is told, or has nobody any more to be told by.
fn wait() -> Ended {
    // SAFETY: descriptors 0 and 1 were put there by `keep_only`, and are never closed.
    let word = unsafe { BorrowedFd::borrow_raw(0) };
    // SAFETY: as above.
    let owner = unsafe { BorrowedFd::borrow_raw(1) };
    let mut fds = [word, owner].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    while rustix::event::poll(&mut fds, None) == Err(Errno::INTR) {}
    let [word, _] = fds;
    if word.revents().is_empty() {
        Ended::Owner
    } else {
        Ended::Guarding
    }
}

/// Numbers the descriptors from 0 and closes all others.
fn keep_only(kept: &[OwnedFd]) {
    let mut next = 0;
    for fd in kept {
        // SAFETY: numbers only; what had this number is closed, and nothing of this process refers to it any more.
        unsafe { libc::dup2(fd.as_raw_fd(), next) };
        next += 1;
    }
    // SAFETY: numbers only, as above.
    unsafe { libc::syscall(libc::SYS_close_range, next, u32::MAX, 0) };
}
