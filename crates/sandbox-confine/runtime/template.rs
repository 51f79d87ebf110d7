//! What a template does once it is ready: it is forked as its keeper says, and each copy lets go of what only the
//! template needs.
//!
//! Compiled twice: into the library, for templates of functions, and into the shared object that programs load
//! (`runtime/lib.rs`).

use core::sync::atomic::{AtomicU8, Ordering};

use super::beside::{Beside, Forked, beside};
use super::sys::sockets::{Received, Wait, receive, send};
use super::sys::{self as kernel, EINVAL, EMFILE, Errno, Fd, files, landlock};
use super::walls;
use super::wire::{BATCH, BATCH_END, CLONE, Cursor, Entry, FORKED, MESSAGE_FDS, Message, Shape, Text};

/// What the C library has to do, since it has state of its own.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// fork(3), which runs what was registered with pthread_atfork(3).
    pub fork: fn() -> kernel::Result<Forked>,
    /// putenv(3): from then on the text is part of the environment itself.
    pub put_variable: fn(&'static Variable) -> kernel::Result<()>,
}

/// `NAME=VALUE` and NUL, with room for a number.
pub type Variable = [AtomicU8; NAME.len() + 11];

/// Where a clone finds its number. It is part of the environment before the template is forked, so that a clone has
/// nothing to do but to write to it: setenv(3) would be a tenth of what making a clone costs.
static NUMBER: Variable = [const { AtomicU8::new(0) }; NAME.len() + 11];
const NAME: &[u8; 9] = b"CLONE_ID=";

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
    /// Whether there is a variable for that.
    named: kernel::Result<()>,
    stdio: [Fd; 3],
    /// A mount namespace of its own, if it has views of its own.
    mounts: Option<Fd>,
    /// The rules of its own domain, if it has none.
    rules: Option<Fd>,
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
    write_number(b"");
    let mut batch = Batch {
        socket,
        library,
        named: (library.put_variable)(&NUMBER),
        refer: terms.refer,
        shape: Shape::default(),
        common: [const { None }; 3],
        clone: None,
    };
    loop {
        match receive(&batch.socket, Wait::Block) {
            Ok(Received::Message([BATCH, views, _, shape, ..], common)) => {
                // Something else may be mounted there now; what it was is not to be held on to.
                if views == 1 {
                    let _ = kernel::chdir(terms.cwd);
                }
                batch.begin(Shape(shape), common);
            }
            Ok(Received::Message(..) | Received::Malformed | Received::Nothing) => continue,
            Ok(Received::End) | Err(_) => return None,
        }
        match beside(&mut batch, Batch::make) {
            Ok(Forked::Child) => return batch.clone,
            Ok(Forked::Parent(pid)) => kernel::wait_for(pid),
            Err(Errno(errno)) => batch.refuse(errno),
        }
        // A keeper that is gone is noticed with the next message.
        let _ = send(&batch.socket, &[BATCH_END, 0, 0, 0, 0, 0, 0, 0], &[]);
    }
}

/// The clones that are to be made at once.
struct Batch {
    socket: Fd,
    library: Library,
    /// Whether the environment has the variable.
    named: kernel::Result<()>,
    refer: u64,
    shape: Shape,
    /// Standard streams that all of them have.
    common: [Option<Fd>; 3],
    clone: Option<Clone>,
}

/// Clones that one message asks for, and what is theirs.
struct Asked {
    entries: [Option<Entry>; 7],
    fds: [Option<Fd>; MESSAGE_FDS],
}

/// What one clone has of its own.
struct Own {
    namespace: Fd,
    streams: [Option<Fd>; 3],
    mounts: Option<Fd>,
    gate: Option<Fd>,
}

impl Batch {
    fn begin(&mut self, shape: Shape, common: [Option<Fd>; MESSAGE_FDS]) {
        self.shape = shape;
        let mut received = common.into_iter().flatten();
        for (number, slot) in self.common.iter_mut().enumerate() {
            *slot = if shape.has_stream(number) {
                None
            } else {
                received.next()
            };
        }
    }

    /// Makes them, beside the template. Each is forked in a pid namespace of its own.
    fn make(&mut self) -> Beside {
        // Of this process: what it opens is not open in the template.
        let mut rules = if self.shape.has_views() {
            Ok(None)
        } else {
            own_domain(self.refer).map(Some)
        };
        let held = (0..3).filter(|number| !self.shape.has_stream(*number));
        if held.count() != self.common.iter().flatten().count() {
            // No numbers were left for them.
            rules = Err(EMFILE);
        }
        while let Some(mut asked) = self.next() {
            let mut told: Message = [FORKED, 0, 0, 0, 0, 0, 0, 0];
            let mut words = told.iter_mut().skip(1);
            for entry in asked.entries.into_iter().flatten() {
                let own = asked.take(self.shape);
                let forked = match &rules {
                    Ok(_) => own.ok_or(EMFILE).and_then(|own| self.fork(own)),
                    Err(errno) => Err(*errno),
                };
                let answer = match forked {
                    Ok((Forked::Child, own)) => {
                        self.clone = self.become_clone(entry.number, own, rules.unwrap_or_default());
                        return Beside::InCopy;
                    }
                    Ok((Forked::Parent(pid), _)) => entry.forked_as(pid),
                    Err(Errno(errno)) => entry.failed(errno),
                };
                if let Some(word) = words.next() {
                    *word = answer;
                }
            }
            let _ = send(&self.socket, &told, &[]);
        }
        Beside::Over
    }

    fn fork(&self, own: Own) -> kernel::Result<(Forked, Own)> {
        kernel::join_namespaces(&own.namespace, CLONE_NEWPID)?;
        if let Some(mounts) = &own.mounts {
            kernel::join_namespaces(mounts, CLONE_NEWNS)?;
        }
        let forked = (self.library.fork)()?;
        Ok((forked, own))
    }

    /// What this copy is to be. All descriptors of others that it has are closed with what holds them.
    fn become_clone(&mut self, id: u32, own: Own, rules: Option<Fd>) -> Option<Clone> {
        let mut streams = own.streams;
        for (stream, common) in streams.iter_mut().zip(&mut self.common) {
            *stream = stream.take().or(common.take());
        }
        let [Some(stdin), Some(stdout), Some(stderr)] = streams else {
            return None;
        };
        Some(Clone {
            id,
            named: self.named,
            stdio: [stdin, stdout, stderr],
            mounts: own.mounts,
            rules,
            gate: own.gate,
        })
    }

    /// The next clones to make.
    fn next(&mut self) -> Option<Asked> {
        loop {
            match receive(&self.socket, Wait::Block) {
                Ok(Received::Message([CLONE, words @ ..], fds)) => {
                    let entries = words.map(Entry::from_word);
                    return Some(Asked { entries, fds });
                }
                Ok(Received::Message([BATCH_END, ..], _) | Received::End) | Err(_) => return None,
                Ok(Received::Message(..) | Received::Malformed | Received::Nothing) => {}
            }
        }
    }

    /// There cannot be any.
    fn refuse(&mut self, errno: i32) {
        while let Some(asked) = self.next() {
            let mut told: Message = [FORKED, 0, 0, 0, 0, 0, 0, 0];
            for (word, entry) in told.iter_mut().skip(1).zip(asked.entries.iter().flatten()) {
                *word = entry.failed(errno);
            }
            let _ = send(&self.socket, &told, &[]);
        }
    }
}

impl Asked {
    /// What the next clone has of its own; none where something of it is missing.
    fn take(&mut self, shape: Shape) -> Option<Own> {
        let mut fds = self.fds.iter_mut().filter_map(Option::take);
        let namespace = fds.next();
        let mut streams = [const { None }; 3];
        for (number, slot) in streams.iter_mut().enumerate() {
            if shape.has_stream(number) {
                *slot = Some(fds.next()?);
            }
        }
        let mounts = if shape.has_views() {
            Some(fds.next()?)
        } else {
            None
        };
        let gate = if shape.waits() { Some(fds.next()?) } else { None };
        Some(Own {
            namespace: namespace?,
            streams,
            mounts,
            gate,
        })
    }
}

impl Clone {
    /// Connects the streams, and lets go of what only the template needs.
    pub fn prepare(&mut self, terms: &Terms<'_>) -> Result<(), Failure> {
        kernel::setsid().map_err(|errno| ("setsid", errno))?;
        for (target, stream) in (0..).zip(&self.stdio) {
            files::duplicate_to(stream, target).map_err(|errno| ("standard streams", errno))?;
        }
        let restricted = if self.mounts.take().is_some() {
            kernel::chdir(terms.cwd).map_err(|errno| ("the working directory", errno))?;
            self.restrict_to_views(terms)
        } else {
            self.rules
                .take()
                .ok_or(EINVAL)
                .and_then(|rules| landlock::restrict(&rules))
        };
        restricted.map_err(|errno| ("Landlock", errno))?;
        let [stdin, stdout, stderr] = core::mem::replace(&mut self.stdio, [-1, -1, -1].map(Fd::own));
        drop((stdin, stdout, stderr));
        kernel::capabilities(0, 0).map_err(|errno| ("capabilities", errno))?;
        let mut digits = [0; 11];
        let number = decimal(self.id, &mut digits).ok_or(("CLONE_ID", EINVAL))?;
        self.named.map_err(|errno| ("CLONE_ID", errno))?;
        write_number(number.to_bytes());
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

/// The rules of a domain that refuses nothing that the template's allows. Each clone puts up one of its own by them:
/// clones of one template do not trace one another (landlock(7)), nor look into each other's /proc entries.
fn own_domain(refer: u64) -> kernel::Result<Fd> {
    let own = landlock::ruleset(&[MAKE_DEVICES | refer, 0, 0])?;
    if refer != 0 {
        // What is not handled is allowed, but for moving from one directory to another.
        landlock::allow_beneath(&own, &files::open_place(files::At::Here, c"/")?, refer)?;
    }
    Ok(own)
}

/// Writes the variable, whose value is this from now on.
fn write_number(digits: &[u8]) {
    let text = NAME.iter().chain(digits).chain(b"\0");
    for (byte, place) in text.zip(&NUMBER) {
        place.store(*byte, Ordering::Relaxed);
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
