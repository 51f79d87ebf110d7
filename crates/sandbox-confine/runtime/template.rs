//! What a template does once it is ready: it is forked as its keeper says, and each copy lets go of what only the
//! template needs.
//!
//! Compiled twice: into the library, for templates of functions, and into the shared object that programs load
//! (`runtime/lib.rs`).

use super::beside::{Beside, Forked, beside};
use super::sys::sockets::{Received, Wait, receive, send};
use super::sys::{self as kernel, EINVAL, EMFILE, Errno, Fd, files, landlock};
use super::walls;
use super::wire::{BATCH, BATCH_END, CLONE, CLONE_VIEW, CLONE_WAITS, Cursor, FORKED, Text};

/// What the C library has to do, since it has state of its own.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// fork(3), which runs what was registered with pthread_atfork(3).
    pub fork: fn() -> kernel::Result<Forked>,
    /// setenv(3).
    pub set_variable: fn(&Text, &Text) -> kernel::Result<()>,
}

/// What a template has to know of its clones.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The filter that they put before the template's own: what only the template needs is refused from then on.
    pub narrowing: &'a [u8],
    /// LANDLOCK_ACCESS_FS_REFER where this kernel has it, else 0.
    pub refer: u64,
    /// What they are confined by once more, where they have views of their own.
    pub setup: Option<&'a [u8]>,
    /// The template's working directory.
    pub cwd: &'a Text,
}

/// What a copy of the template is to be.
#[derive(Debug)]
pub struct Clone {
    /// Its number.
    pub id: u32,
    stdio: [Fd; 3],
    /// A mount namespace of its own, if it has views of its own.
    mounts: Option<Fd>,
    /// Where it is told to go on, if it is to wait.
    gate: Option<Fd>,
}

/// Where making a clone has failed.
pub type Failure = (&'static str, Errno);

const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWNS: u64 = 0x2_0000;
/// LANDLOCK_ACCESS_FS_MAKE_CHAR and _MAKE_BLOCK, which nobody inside has anyway.
const MAKE_DEVICES: u64 = 1 << 6 | 1 << 11;

/// Forks as often as the keeper says. `None` in the template, when the keeper is gone; what it is to be in a clone.
pub fn forked_off(socket: Fd, terms: &Terms<'_>, library: Library) -> Option<Clone> {
    let mut batch = Batch {
        socket,
        library,
        clone: None,
    };
    loop {
        match receive(&batch.socket, Wait::Block) {
            // Something else may be mounted there now; what it was is not to be held on to.
            Ok(Received::Message([BATCH, 1, ..], _)) => drop(kernel::chdir(terms.cwd)),
            Ok(Received::Message([BATCH, ..], _)) => {}
            Ok(Received::Message(..) | Received::Malformed | Received::Nothing) => continue,
            Ok(Received::End) | Err(_) => return None,
        }
        match beside(&mut batch, Batch::make) {
            Ok(Forked::Child) => return batch.clone,
            Ok(Forked::Parent(pid)) => kernel::wait_for(pid),
            Err(Errno(errno)) => batch.refuse(errno),
        }
    }
}

/// The clones that are to be made at once.
struct Batch {
    socket: Fd,
    library: Library,
    clone: Option<Clone>,
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
            match joined.and_then(|()| (self.library.fork)()) {
                Ok(Forked::Child) => {
                    self.clone = Some(clone);
                    return Beside::InCopy;
                }
                Ok(Forked::Parent(pid)) => self.tell(place, pid, 0),
                Err(Errno(errno)) => self.tell(place, 0, errno),
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
                        let asked = (flags & CLONE_VIEW != 0, flags & CLONE_WAITS != 0);
                        if (mounts.is_some(), gate.is_some()) != asked {
                            self.tell(place, 0, EMFILE.0);
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
                    _ => self.tell(place, 0, EMFILE.0),
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

impl Clone {
    /// Connects the streams, and lets go of what only the template needs.
    pub fn prepare(&mut self, terms: &Terms<'_>, library: Library) -> Result<(), Failure> {
        kernel::setsid().map_err(|errno| ("setsid", errno))?;
        for (target, stream) in (0..).zip(&self.stdio) {
            files::duplicate_to(stream, target).map_err(|errno| ("standard streams", errno))?;
        }
        let restricted = if self.mounts.take().is_some() {
            kernel::chdir(terms.cwd).map_err(|errno| ("the working directory", errno))?;
            self.restrict_to_views(terms)
        } else {
            restrict(terms)
        };
        restricted.map_err(|errno| ("Landlock", errno))?;
        let [stdin, stdout, stderr] = core::mem::replace(&mut self.stdio, [-1, -1, -1].map(Fd::own));
        drop((stdin, stdout, stderr));
        kernel::capabilities(0, 0).map_err(|errno| ("capabilities", errno))?;
        let mut digits = [0; 11];
        let number = decimal(self.id, &mut digits).ok_or(("CLONE_ID", EINVAL))?;
        (library.set_variable)(c"CLONE_ID", number).map_err(|errno| ("CLONE_ID", errno))?;
        kernel::set_seccomp(terms.narrowing).map_err(|errno| ("seccomp", errno))?;
        match self.gate.take() {
            None => Ok(()),
            Some(gate) => wait_at(&gate).map_err(|errno| ("wait to be handed out", errno)),
        }
    }
}

impl Clone {
    /// Puts up a domain by the rules of the policy, which name what is mounted here.
    fn restrict_to_views(&self, terms: &Terms<'_>) -> kernel::Result<()> {
        let mut cursor = Cursor(terms.setup.ok_or(EINVAL)?);
        while let Some(Some(_)) = cursor.op() {}
        let confinement = cursor.confinement().ok_or(EINVAL)?;
        match walls::landlock_rules(&confinement, &self.stdio.each_ref())? {
            Some(rules) => landlock::restrict(&rules),
            None => Ok(()),
        }
    }
}

/// Puts up a domain of its own, which refuses nothing that the template's allows: clones of one template do not trace one
/// another (landlock(7)), nor look into each other's /proc entries.
fn restrict(terms: &Terms<'_>) -> kernel::Result<()> {
    let own = landlock::ruleset(&[MAKE_DEVICES | terms.refer, 0, 0])?;
    if terms.refer != 0 {
        // What is not handled is allowed, but for moving from one directory to another.
        landlock::allow_beneath(&own, &files::open_place(files::At::Here, c"/")?, terms.refer)?;
    }
    landlock::restrict(&own)
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

/// A number as text: ten digits at most, and NUL.
fn decimal(mut number: u32, into: &mut [u8; 11]) -> Option<&Text> {
    let mut first = into.len() - 1;
    loop {
        first = first.checked_sub(1)?;
        *into.get_mut(first)? = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return Text::from_bytes_with_nul(into.get(first..)?).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_text() {
        for number in [0, 7, 10, 8191, u32::MAX] {
            let mut digits = [0; 11];
            let text = decimal(number, &mut digits).expect("room for it");
            assert_eq!(text.to_str().expect("digits"), number.to_string());
        }
    }
}
