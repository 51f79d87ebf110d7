//! Starting one command: everything between clone and execve.
//!
//! The child shares init's memory until it executes (CLONE_VM), so it allocates nothing,
//! and tells init by a field of [`Start`] where it failed.

use core::cell::Cell;

pub use crate::execute::Words;
use crate::sys::files;
use crate::sys::{self, EINVAL, Fd, Mapping, Stack};
pub use crate::walls::Failure;
use crate::walls::{self, Own};
use crate::wire::{Confinement, Stage, Text};

/// The terminal of a command: master and slave, and whether it is that of init's own session.
#[derive(Debug)]
pub struct Terminal {
    pub master: Fd,
    slave: Fd,
    in_session: bool,
}

impl Terminal {
    /// Whether it is the terminal of init's session, of which there is one.
    pub const fn in_session(&self) -> bool {
        self.in_session
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    pub pid: i32,
    pub time_us: u64,
}

/// What the child needs, and where it leaves what went wrong.
struct Start<'a> {
    confinement: &'a Confinement<'a>,
    cwd: &'a Text,
    stdio: [&'a Fd; 3],
    terminal: Option<&'a Terminal>,
    words: Cell<Option<Words<'a>>>,
    failure: Cell<Option<Failure>>,
}

/// Opens a terminal in the sandbox's own devpts. The first one becomes that of init's session, so that
/// the command's process group is not orphaned and Ctrl-Z stops it (setpgid(2), credentials(7)).
pub fn open_terminal(session_is_free: bool) -> sys::Result<Terminal> {
    let master = files::open_terminal(c"/dev/ptmx")?;
    let slave = files::terminal_peer(&master)?;
    let in_session = session_is_free && files::take_terminal(&slave).is_ok();
    Ok(Terminal {
        master,
        slave,
        in_session,
    })
}

/// Starts a command and waits until it has executed; `meanwhile` as in [`sys::clone_sharing`].
pub fn start(
    blob: &Mapping,
    stdio: [&Fd; 3],
    terminal: Option<&Terminal>,
    confinement: &Confinement<'_>,
    stack: &Stack,
    meanwhile: impl Fn(i32),
) -> Result<Started, Failure> {
    let words = Words::of(blob.bytes())?;
    let start = Start {
        confinement,
        cwd: words.cwd(),
        stdio: terminal.map_or(stdio, |terminal| [&terminal.slave; 3]),
        terminal,
        words: Cell::new(Some(words)),
        failure: Cell::new(None),
    };
    let pid =
        sys::clone_sharing(stack, Start::run, &start, meanwhile).map_err(|errno| (Stage::Clone, errno))?;
    match start.failure.take() {
        Some(failure) => Err(failure),
        None => Ok(Started {
            pid,
            time_us: sys::monotonic_us(),
        }),
    }
}

/// A command blob, which is sealed.
pub fn read_blob(blob: &Fd) -> Result<Mapping, Failure> {
    let request = |errno| (Stage::Request, errno);
    let length = files::size(blob).map_err(request)?;
    Mapping::of_file(blob, length).map_err(request)
}

impl Start<'_> {
    /// Puts up every wall and executes. Returns only when something failed.
    fn run(&self) {
        let failure = match self.prepare() {
            Err(failure) => failure,
            Ok(()) => match self.words.take() {
                Some(mut words) => (Stage::Exec, words.execute()),
                None => (Stage::Request, EINVAL),
            },
        };
        self.failure.set(Some(failure));
    }

    fn prepare(&self) -> Result<(), Failure> {
        let confinement = self.confinement;
        self.connect_stdio().map_err(|errno| (Stage::Stdio, errno))?;
        let own = Own {
            stdio: &self.stdio,
            cwd: self.cwd,
            close_from: Some(3),
            capabilities: 0,
            passed_on: 0,
            filter: confinement.filter,
        };
        walls::put_up(confinement, &own)
    }

    fn connect_stdio(&self) -> sys::Result<()> {
        match self.terminal {
            // The foreground process group of init's session.
            Some(terminal) if terminal.in_session => {
                sys::set_own_group()?;
                files::set_foreground(&terminal.slave, sys::getpid())?;
            }
            Some(terminal) => {
                sys::setsid()?;
                files::take_terminal(&terminal.slave)?;
            }
            None => sys::setsid()?,
        }
        for (target, file) in (0..).zip(self.stdio) {
            files::duplicate_to(file, target)?;
        }
        Ok(())
    }
}
