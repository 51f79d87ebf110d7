//! What a template does once it is ready: it is forked as its keeper says, and each copy lets go of what only the
//! template needs.
//!
//! Compiled twice: into the library, for templates of functions, and into the shared object that programs load
//! (`runtime/lib.rs`).

use super::beside::{Beside, Forked, beside};
use super::sys::sockets::{Received, Wait, receive, send};
use super::sys::{self as kernel, EINVAL, EMFILE, Errno, Fd, files, landlock};
use super::wire::{BATCH, BATCH_END, CLONE, FORKED, Text};

/// What the C library has to do, since it has state of its own.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// fork(3), which runs what was registered with pthread_atfork(3).
    pub fork: fn() -> kernel::Result<Forked>,
    /// setenv(3).
    pub set_variable: fn(&Text, &Text) -> kernel::Result<()>,
}

/// What a copy of the template is to be.
#[derive(Debug)]
pub struct Clone {
    /// Its number.
    pub id: u32,
    stdio: [Fd; 3],
    /// Where it is told to go on, if it is to wait.
    gate: Option<Fd>,
}

/// Where making a clone has failed.
pub type Failure = (&'static str, Errno);

const CLONE_NEWPID: u64 = 0x2000_0000;
/// LANDLOCK_ACCESS_FS_MAKE_CHAR and _MAKE_BLOCK, which nobody inside has anyway.
const MAKE_DEVICES: u64 = 1 << 6 | 1 << 11;

/// Forks as often as the keeper says. `None` in the template, when the keeper is gone; what it is to be in a clone.
pub fn forked_off(socket: Fd, library: Library) -> Option<Clone> {
    let mut batch = Batch {
        socket,
        library,
        clone: None,
    };
    loop {
        match receive(&batch.socket, Wait::Block) {
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
            match kernel::join_namespaces(&namespace, CLONE_NEWPID).and_then(|()| (self.library.fork)()) {
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
                Ok(Received::Message([CLONE, place, id, ..], fds)) => match fds {
                    [Some(namespace), Some(stdin), Some(stdout), Some(stderr), gate, ..] => {
                        let clone = Clone {
                            id: u32::try_from(id).unwrap_or(u32::MAX),
                            stdio: [stdin, stdout, stderr],
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
    /// Connects the streams, and lets go of what only the template needs; `narrowing` is the filter that refuses it
    /// from now on.
    pub fn prepare(&mut self, narrowing: &[u8], library: Library) -> Result<(), Failure> {
        kernel::setsid().map_err(|errno| ("setsid", errno))?;
        for (target, stream) in (0..).zip(&self.stdio) {
            files::duplicate_to(stream, target).map_err(|errno| ("standard streams", errno))?;
        }
        let [stdin, stdout, stderr] = core::mem::replace(&mut self.stdio, [-1, -1, -1].map(Fd::own));
        drop((stdin, stdout, stderr));
        // A domain of its own: clones of one template do not trace one another (landlock(7)), nor look into each
        // other's /proc entries.
        let own = landlock::ruleset(&[MAKE_DEVICES, 0, 0]).map_err(|errno| ("Landlock", errno))?;
        landlock::restrict(&own).map_err(|errno| ("Landlock", errno))?;
        drop(own);
        kernel::capabilities(0, 0).map_err(|errno| ("capabilities", errno))?;
        let mut digits = [0; 11];
        let number = decimal(self.id, &mut digits).ok_or(("CLONE_ID", EINVAL))?;
        (library.set_variable)(c"CLONE_ID", number).map_err(|errno| ("CLONE_ID", errno))?;
        kernel::set_seccomp(narrowing).map_err(|errno| ("seccomp", errno))?;
        match self.gate.take() {
            None => Ok(()),
            Some(gate) => wait_at(&gate).map_err(|errno| ("wait to be handed out", errno)),
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
