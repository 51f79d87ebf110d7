//! From a copy of the caller to a template inside, in four processes.
//!
//! ```text
//! entrant    a fork of the caller (or of its zygote): joins the namespaces of the sandbox's init
//! └ middle   process inside: makes a user namespace of its own, whose maps the entrant writes; ends
//!   └ keeper subreaper; executes init's program, which keeps the clones
//!     └ template  puts up every wall around itself, then runs the caller's functions
//! ```
//!
//! The middle process is there so that the keeper becomes a child of the sandbox's init, who reaps it: an orphan of the
//! entrant would be the host's, and a sandbox is not over before all of its processes have been reaped.
//!
//! None of this returns: each of these processes ends here, by `exit_group`, so that nothing of the caller's runs at
//! its end. For a template that is a program nothing here allocates, nor takes a lock: its caller may have threads.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags};

use super::order::{Body, Files, Order, SOCKET};
use crate::inside::sys::{self as kernel, Errno, Fd};
use crate::inside::walls::{self, Own};
use crate::sys::{self, Forked};
use crate::wire::{self, Cursor, FAILED, MADE};

/// What the keeper needs in its user namespace: to end everybody (CAP_KILL), to open the namespaces that it makes
/// (CAP_SYS_PTRACE), to make them (CAP_SYS_ADMIN).
const KEEPER: u64 = 1 << 5 | 1 << 19 | 1 << 21;
/// What the template keeps in that user namespace, which owns nothing but the pid namespaces of clones: to join them.
/// A clone drops it.
const TEMPLATE: u64 = 1 << 21;
/// Besides, where clones have views of their own. The keeper mounts overlays, which act as whoever has mounted them:
/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP. The template joins
/// the mount namespaces of clones: CAP_SYS_CHROOT (setns(2)). That user namespace owns nothing of the host's either.
const KEEPER_OF_VIEWS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31;
const TEMPLATE_OF_VIEWS: u64 = 1 << 18;
const CLONE_NEWUSER: u64 = 0x1000_0000;

/// Where making a template can fail, besides the walls; value 1 of the report, above every [`wire::Stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Step {
    Proc = 100,
    Join = 101,
    Fork = 102,
    User = 103,
    Maps = 104,
    Keeper = 105,
    Environment = 106,
}

impl Step {
    pub(crate) fn name(number: u64) -> Option<&'static str> {
        Some(match number {
            100 => "open /proc",
            101 => "join the namespaces of the sandbox",
            102 => "fork",
            103 => "make a user namespace for clones",
            104 => "write the identity maps of that user namespace",
            105 => "execute the keeper of clones",
            106 => "set the environment",
            _ => return None,
        })
    }
}

type Failure = (u64, Errno);

impl Order {
    fn keeper_capabilities(&self) -> u64 {
        KEEPER
            | if self.clone_setup.is_some() {
                KEEPER_OF_VIEWS
            } else {
                0
            }
    }

    fn template_capabilities(&self) -> u64 {
        TEMPLATE
            | if self.clone_setup.is_some() {
                TEMPLATE_OF_VIEWS
            } else {
                0
            }
    }
}

/// Becomes the entrant, and in a descendant the template, which ends with what `body` answers.
pub(crate) fn enter(order: &Order, files: &Files, body: impl FnOnce(Fd) -> i32) -> ! {
    // A copy of the caller: what it has registered to be run at its end is not ours to run, nor is a panic's way up.
    let result = entrant(order, files, body);
    if let Err((step, Errno(errno))) = result {
        report(&files.report, step, errno);
    }
    kernel::exit(i32::from(result.is_err()))
}

fn entrant(order: &Order, files: &Files, body: impl FnOnce(Fd) -> i32) -> Result<(), Failure> {
    // Leave to begin: the supervisor has put this process where its limits are.
    let mut leave = [0; 8];
    match rustix::net::recv(&files.report, &mut leave, RecvFlags::empty()) {
        Ok((1.., _)) => {}
        Ok(_) | Err(_) => kernel::exit(1),
    }
    sys::reset_signals();
    let proc = rustix::fs::open(
        "/proc",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(at(Step::Proc))?;
    let init = Fd::own(files.init.as_raw_fd());
    let joined = kernel::join_namespaces(&init, order.namespaces);
    // It is `files` that closes it.
    std::mem::forget(init);
    joined.map_err(|errno| (Step::Join as u64, errno))?;
    kernel::set_dumpable_on().map_err(|errno| (Step::Join as u64, errno))?;
    let (ours, theirs) = pair()?;
    match fork()? {
        Forked::Child => {
            drop(ours);
            middle(order, files, &theirs, body)
        }
        Forked::Parent(pid) => {
            drop(theirs);
            // Nothing comes where it has failed, which it has reported.
            if heard(&ours) {
                write_maps(&proc, pid, &order.maps)?;
                let _ = rustix::net::send(&ours, &[1], SendFlags::NOSIGNAL);
            }
            let _ = sys::wait_for(pid);
            Ok(())
        }
    }
}

fn middle(order: &Order, files: &Files, entrant: &OwnedFd, body: impl FnOnce(Fd) -> i32) -> ! {
    let made = || -> Result<Forked, Failure> {
        kernel::leave_namespaces(CLONE_NEWUSER).map_err(|errno| (Step::User as u64, errno))?;
        kernel::set_dumpable_on().map_err(|errno| (Step::User as u64, errno))?;
        let _ = rustix::net::send(entrant, &[1], SendFlags::NOSIGNAL);
        if !heard(entrant) {
            kernel::exit(1);
        }
        fork()
    };
    match made() {
        Ok(Forked::Parent(_)) => kernel::exit(0),
        Ok(Forked::Child) => keeper(order, files, body),
        Err((step, Errno(errno))) => {
            report(&files.report, step, errno);
            kernel::exit(1)
        }
    }
}

fn keeper(order: &Order, files: &Files, body: impl FnOnce(Fd) -> i32) -> ! {
    let (step, errno) = match sys::become_subreaper().map(|()| sys::fork()) {
        Ok(Ok(Forked::Child)) => template(order, files, body),
        Ok(Ok(Forked::Parent(pid))) => {
            let own = kernel::getpid();
            let [pid, own] = [pid, own].map(|pid| u64::from(pid.unsigned_abs()));
            let message = [MADE, pid, own, 0, 0, 0, 0, 0];
            let _ = rustix::net::send(&files.report, &wire::to_bytes(&message), SendFlags::NOSIGNAL);
            let errno = sys::become_keeper(
                files.image.as_fd(),
                files.control.as_fd(),
                order.keeper_capabilities(),
            );
            (Step::Keeper, errno)
        }
        Ok(Err(error)) => (Step::Fork, error.raw_os_error().unwrap_or(libc::EIO)),
        Err(errno) => (Step::Keeper, errno),
    };
    report(&files.report, step as u64, errno);
    kernel::exit(1)
}

/// Puts up the walls and runs `body` behind them.
fn template(order: &Order, files: &Files, body: impl FnOnce(Fd) -> i32) -> ! {
    match confine(order, files) {
        Ok(socket) => kernel::exit(body(socket)),
        Err((step, Errno(errno))) => {
            report(&files.report, step, errno);
            kernel::exit(1)
        }
    }
}

fn confine(order: &Order, files: &Files) -> Result<Fd, Failure> {
    let stdio = files.stdio.each_ref().map(|stream| Fd::own(stream.as_raw_fd()));
    let result = confine_with(order, files, &stdio);
    // They have been closed with everything else, or end with this process.
    std::mem::forget(stdio);
    result
}

fn confine_with(order: &Order, files: &Files, stdio: &[Fd; 3]) -> Result<Fd, Failure> {
    let stage = |(stage, errno): walls::Failure| (stage as u64, errno);
    let in_stdio = |errno| (wire::Stage::Stdio as u64, errno);
    let mut cursor = Cursor(&order.setup);
    while let Some(Some(_)) = cursor.op() {}
    let request = (wire::Stage::Request as u64, kernel::EINVAL);
    let confinement = cursor.confinement().ok_or(request)?;
    kernel::setsid().map_err(in_stdio)?;
    for (target, stream) in (0..).zip(stdio) {
        kernel::files::duplicate_to(stream, target).map_err(in_stdio)?;
    }
    let socket = Fd::own(files.socket.as_raw_fd());
    let placed = kernel::files::duplicate_to(&socket, SOCKET);
    std::mem::forget(socket);
    placed.map_err(in_stdio)?;
    let passed_on = match &order.body {
        Body::Functions { env } => {
            let variables = env
                .iter()
                .map(|(name, value)| (name.as_c_str(), value.as_c_str()));
            sys::set_environment(variables).map_err(|error| failed(Step::Environment, &error))?;
            0
        }
        Body::Program => {
            sys::die_of_broken_pipes();
            order.template_capabilities()
        }
    };
    let own = Own {
        stdio: &stdio.each_ref(),
        cwd: &order.cwd,
        close_from: Some(SOCKET + 1),
        capabilities: order.template_capabilities(),
        passed_on,
        filter: &order.filter,
    };
    walls::put_up(&confinement, &own).map_err(stage)?;
    kernel::set_dumpable_on().map_err(|errno| (wire::Stage::Privileges as u64, errno))?;
    Ok(Fd::own(SOCKET))
}

fn write_maps(proc: &OwnedFd, pid: i32, (uid, gid): &(String, String)) -> Result<(), Failure> {
    for (name, map) in [("uid_map", uid), ("gid_map", gid)] {
        let mut path = [0; 32];
        write!(path.as_mut_slice(), "{pid}/{name}\0").map_err(|error| failed(Step::Maps, &error))?;
        let path = CStr::from_bytes_until_nul(&path).unwrap_or(c"");
        let file = rustix::fs::openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(at(Step::Maps))?;
        File::from(file)
            .write_all(map.as_bytes())
            .map_err(|error| failed(Step::Maps, &error))?;
    }
    Ok(())
}

fn fork() -> Result<Forked, Failure> {
    sys::fork().map_err(|error| failed(Step::Fork, &error))
}

fn pair() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(at(Step::Fork))
}

/// Whether the other side has said something before it ended.
fn heard(socket: &OwnedFd) -> bool {
    let mut word = [0; 8];
    matches!(
        rustix::net::recv(socket, &mut word, RecvFlags::empty()),
        Ok((1.., _))
    )
}

fn at(step: Step) -> impl Fn(rustix::io::Errno) -> Failure {
    move |errno| (step as u64, Errno(errno.raw_os_error()))
}

fn failed(step: Step, error: &std::io::Error) -> Failure {
    (step as u64, Errno(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn report(to: &OwnedFd, step: u64, errno: i32) {
    let message = [FAILED, step, u64::from(errno.unsigned_abs()), 0, 0, 0, 0, 0];
    // A supervisor that is gone does not miss it.
    let _ = rustix::net::send(to, &wire::to_bytes(&message), SendFlags::NOSIGNAL);
}
