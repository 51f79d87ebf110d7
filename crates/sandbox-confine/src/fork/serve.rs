//! What the template does once it is confined: it runs the caller's first function, then is forked as it is told, and
//! each copy runs the second.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::memory;
use super::order::Order;
use crate::inside::sys::sockets::{Received, Wait, receive, send};
use crate::inside::sys::{self as kernel, EINVAL, Errno, Fd, files, landlock};
use crate::inside::walls;
use crate::sys::{self, Beside, Forked};
use crate::wire::{
    BATCH, BATCH_END, CLONE, CLONE_VIEW, CLONE_WAITS, Cursor, FAILED, FORKED, PANICKED, READY,
};

/// What a clone does with its number; it ends with the answer.
pub(crate) type Work<'a> = Box<dyn Fn(u32) -> i32 + 'a>;

/// What a Rust program that panics ends with.
pub(crate) const PANIC_STATUS: i32 = 101;
/// What a clone ends with that could not be confined; nothing of the caller's has run in it then.
const NOT_CONFINED: i32 = 125;

/// Runs `init`, then serves the keeper until it is gone, and in each clone what `init` has answered. The exit status of
/// this process, whichever it has become.
pub(crate) fn serve<'a>(socket: Fd, order: &Order, init: impl FnOnce() -> Work<'a>) -> i32 {
    // What panics is the caller's function, and nothing of ours is left half done by it.
    let Ok(work) = catch_unwind(AssertUnwindSafe(init)) else {
        let _ = send(&socket, &[FAILED, PANICKED, 0, 0, 0, 0, 0, 0], &[]);
        flush();
        return PANIC_STATUS;
    };
    if order.huge_pages {
        memory::collapse();
    }
    // Else each clone would write once more what is left in the buffers.
    flush();
    let pid = u64::from(kernel::getpid().unsigned_abs());
    if send(&socket, &[READY, pid, 0, 0, 0, 0, 0, 0], &[]).is_err() {
        return 1;
    }
    // Nothing of the caller's runs here any more, so it stays what it is.
    let cwd = std::env::current_dir().ok();
    let cwd = cwd.and_then(|cwd| CString::new(cwd.into_os_string().into_vec()).ok());
    let cwd = cwd.as_deref().unwrap_or(&order.cwd);
    match forked_off(socket, cwd) {
        None => 0,
        Some(mut clone) => match clone.prepare(order, cwd) {
            Ok(()) => run(&work, clone.id),
            Err((what, Errno(errno))) => {
                let text = format!(
                    "sandbox: cannot confine a clone: {what}: {}\n",
                    std::io::Error::from_raw_os_error(errno)
                );
                let _ = std::io::stderr().write_all(text.as_bytes());
                NOT_CONFINED
            }
        },
    }
}

fn run(work: &Work<'_>, id: u32) -> i32 {
    let status = catch_unwind(AssertUnwindSafe(|| work(id))).unwrap_or(PANIC_STATUS);
    flush();
    status
}

/// Writes out what is buffered; what cannot be written is as lost as at any other end of a program.
pub(crate) fn flush() {
    let _ = std::io::stdout().flush();
    sys::flush_stdio();
}

/// Forks as often as the keeper says. `None` in the template, when the keeper is gone; what it is to be in a clone.
fn forked_off(socket: Fd, cwd: &CStr) -> Option<Clone> {
    let mut batch = Batch { socket, clone: None };
    loop {
        match receive(&batch.socket, Wait::Block) {
            // Something else may be mounted there now; what it was is not to be held on to.
            Ok(Received::Message([BATCH, 1, ..], _)) => drop(kernel::chdir(cwd)),
            Ok(Received::Message([BATCH, ..], _)) => {}
            Ok(Received::Message(..) | Received::Malformed | Received::Nothing) => continue,
            Ok(Received::End) | Err(_) => return None,
        }
        match sys::beside(&mut batch, Batch::make) {
            Ok(Forked::Child) => return batch.clone,
            Ok(Forked::Parent(pid)) => {
                let _ = sys::wait_for(pid);
            }
            Err(error) => batch.refuse(error.raw_os_error().unwrap_or(EINVAL.0)),
        }
    }
}

/// The clones that are to be made at once.
struct Batch {
    socket: Fd,
    clone: Option<Clone>,
}

/// What a copy of the template is to be.
struct Clone {
    id: u32,
    stdio: [Fd; 3],
    /// A mount namespace of its own, if it has views of its own.
    mounts: Option<Fd>,
    /// Where it is told to go on, if it is to wait.
    gate: Option<Fd>,
}

impl Batch {
    /// Makes them, beside the template. Each is forked in a pid namespace of its own.
    fn make(&mut self) -> Beside {
        while let Some((place, namespace, clone)) = self.next() {
            let joined =
                kernel::join_namespaces(&namespace, CLONE_NEWPID).and_then(|()| match &clone.mounts {
                    Some(mounts) => kernel::join_namespaces(mounts, CLONE_NEWNS),
                    None => Ok(()),
                });
            let forked = match joined {
                Ok(()) => sys::fork().map_err(|error| error.raw_os_error().unwrap_or(EINVAL.0)),
                Err(Errno(errno)) => Err(errno),
            };
            match forked {
                Ok(Forked::Child) => {
                    self.clone = Some(clone);
                    return Beside::InCopy;
                }
                Ok(Forked::Parent(pid)) => self.tell(place, pid, 0),
                Err(errno) => self.tell(place, 0, errno),
            }
        }
        Beside::Over
    }

    /// The next clone to make.
    fn next(&mut self) -> Option<(u64, Fd, Clone)> {
        loop {
            match receive(&self.socket, Wait::Block) {
                Ok(Received::Message([CLONE, place, id, flags, ..], fds)) => match fds {
                    [
                        Some(namespace),
                        Some(stdin),
                        Some(stdout),
                        Some(stderr),
                        next,
                        last,
                    ] => {
                        let (mounts, gate) = match flags & CLONE_VIEW {
                            0 => (None, next),
                            _ => (next, last),
                        };
                        if (mounts.is_some(), gate.is_some())
                            != (flags & CLONE_VIEW != 0, flags & CLONE_WAITS != 0)
                        {
                            self.tell(place, 0, libc::EMFILE);
                            continue;
                        }
                        let clone = Clone {
                            id: u32::try_from(id).unwrap_or(u32::MAX),
                            stdio: [stdin, stdout, stderr],
                            mounts,
                            gate,
                        };
                        return Some((place, namespace, clone));
                    }
                    // No numbers are left here for what belongs to it.
                    _ => self.tell(place, 0, libc::EMFILE),
                },
                Ok(Received::Message([BATCH_END, ..], _) | Received::End) | Err(_) => return None,
                Ok(Received::Message(..) | Received::Malformed | Received::Nothing) => {}
            }
        }
    }

    /// There cannot be any.
    fn refuse(&mut self, errno: i32) {
        while let Some((place, ..)) = self.next() {
            self.tell(place, 0, errno);
        }
    }

    fn tell(&self, place: u64, pid: i32, errno: i32) {
        let [pid, errno] = [pid, errno].map(|number| u64::from(number.unsigned_abs()));
        let _ = send(&self.socket, &[FORKED, place, pid, errno, 0, 0, 0, 0], &[]);
    }
}

const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWNS: u64 = 0x2_0000;
/// LANDLOCK_ACCESS_FS_MAKE_CHAR and _MAKE_BLOCK, which nobody inside has anyway.
const MAKE_DEVICES: u64 = 1 << 6 | 1 << 11;

impl Clone {
    /// Connects the streams, and lets go of what only the template needs.
    fn prepare(&mut self, order: &Order, cwd: &CStr) -> Result<(), (&'static str, Errno)> {
        kernel::setsid().map_err(|errno| ("setsid", errno))?;
        for (target, stream) in (0..).zip(&self.stdio) {
            files::duplicate_to(stream, target).map_err(|errno| ("standard streams", errno))?;
        }
        let restricted = if self.mounts.take().is_some() {
            kernel::chdir(cwd).map_err(|errno| ("the working directory", errno))?;
            self.restrict_to_views(order)
        } else {
            restrict(order)
        };
        restricted.map_err(|errno| ("Landlock", errno))?;
        let [stdin, stdout, stderr] = std::mem::replace(&mut self.stdio, [-1, -1, -1].map(Fd::own));
        drop((stdin, stdout, stderr));
        kernel::capabilities(0).map_err(|errno| ("capabilities", errno))?;
        let number = CString::new(self.id.to_string()).map_err(|_| ("CLONE_ID", EINVAL))?;
        sys::set_variable(c"CLONE_ID", &number).map_err(|_| ("CLONE_ID", kernel::ENOMEM))?;
        kernel::set_seccomp(&order.narrowing).map_err(|errno| ("seccomp", errno))?;
        match self.gate.take() {
            None => Ok(()),
            Some(gate) => wait_at(&gate).map_err(|errno| ("wait to be handed out", errno)),
        }
    }
}

/// Puts up a domain of its own, which refuses nothing that the template's allows: clones of one template do not trace one
/// another (landlock(7)), nor look into each other's /proc entries.
fn restrict(order: &Order) -> kernel::Result<()> {
    let own = landlock::ruleset(&[MAKE_DEVICES | order.refer, 0, 0])?;
    if order.refer != 0 {
        // What is not handled is allowed, but for moving from one directory to another.
        landlock::allow_beneath(&own, &files::open_place(files::At::Here, c"/")?, order.refer)?;
    }
    landlock::restrict(&own)
}

impl Clone {
    /// Puts up a domain by the rules of the policy, which name what is mounted here.
    fn restrict_to_views(&self, order: &Order) -> kernel::Result<()> {
        let setup = order.clone_setup.as_ref().ok_or(EINVAL)?;
        let mut cursor = Cursor(setup);
        while let Some(Some(_)) = cursor.op() {}
        let confinement = cursor.confinement().ok_or(EINVAL)?;
        match walls::landlock_rules(&confinement, &self.stdio.each_ref())? {
            Some(rules) => landlock::restrict(&rules),
            None => Ok(()),
        }
    }
}

/// Waits until there is something to read. One who was to say so and is gone ends this process by its keeper.
fn wait_at(gate: &Fd) -> kernel::Result<()> {
    loop {
        match files::read(gate, &mut [0; 8]) {
            Ok(_) => return Ok(()),
            Err(kernel::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
