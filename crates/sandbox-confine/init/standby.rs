//! A command before it is known which: a child behind every wall that waits to execute.
//!
//! It shares init's memory and descriptors, and calls nothing while it waits but futex(2): what it is to execute is laid
//! out by init, which also puts the streams in their places before it lets the child go. Only on execve(2) does the
//! kernel give it a table of its own, in which nothing is left but the streams. A command's starting directory is
//! entered beforehand, and there is no rule of Landlock's for its streams: what needs another directory, or has a file
//! for a stream, is started in the ordinary way.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::command::{Started, Words, read_blob};
use crate::sys::{self, EAGAIN, EINTR, EINVAL, Fd, Mapping, Sharer, files, wait_while, wake};
use crate::walls::{self, Failure, Own};
use crate::wire::{Confinement, Cursor, Stage, Text};

/// A child that stands by.
pub struct StandBy(Sharer<Waiter>);

/// What init and the child have in common. Who may touch it is whose turn it is, by `state`.
struct Waiter {
    confinement: Confinement<'static>,
    cwd: &'static Text,
    state: AtomicU32,
    words: Cell<Option<Words<'static>>>,
    failure: Cell<Option<Failure>>,
}

/// The child puts up its walls.
const PREPARES: u32 = 0;
/// The child waits.
const STANDS: u32 = 1;
/// The child executes what it was given.
const GOES: u32 = 2;

impl StandBy {
    /// Starts one and waits until it stands by. `blob` is a command's, of which the starting directory counts;
    /// `meanwhile` as in [`sys::clone_sharing`].
    pub fn start(
        confinement: Confinement<'static>,
        blob: &Fd,
        meanwhile: impl Fn(i32),
    ) -> Result<Self, Failure> {
        let words = Words::of(read_blob(blob)?.leak())?;
        let waiter = Waiter {
            confinement,
            cwd: words.cwd(),
            state: AtomicU32::new(PREPARES),
            words: Cell::new(None),
            failure: Cell::new(None),
        };
        let child = Sharer::start(Waiter::run, waiter).map_err(|errno| (Stage::Clone, errno))?;
        let waiter = child.argument();
        child.await_change(&waiter.state, PREPARES, meanwhile);
        if waiter.state.load(Ordering::Acquire) == STANDS {
            return Ok(Self(child));
        }
        child.await_letting_go(|_| {});
        Err(waiter.failure.take().unwrap_or((Stage::Clone, EINVAL)))
    }

    /// Its number.
    pub const fn pid(&self) -> i32 {
        self.0.pid()
    }

    /// Whether it can become the command of that blob: it lives, and starts where that starts.
    pub fn suits(&self, blob: &[u8]) -> bool {
        let exec = Cursor(blob).exec();
        !self.0.has_let_go() && exec.is_some_and(|exec| exec.cwd == self.0.argument().cwd)
    }

    /// Has it execute what is in `blob`, on those streams, and waits until it has. `control` takes the places of the
    /// streams again, where whatever comes in later must not be.
    pub fn go(
        self,
        blob: Mapping,
        stdio: [&Fd; 3],
        control: &Fd,
        meanwhile: impl Fn(i32),
    ) -> Result<Started, Failure> {
        let waiter = self.0.argument();
        waiter.words.set(Some(Words::of(blob.leak())?));
        for (target, stream) in (0..).zip(stdio) {
            files::duplicate_to(stream, target).map_err(|errno| (Stage::Stdio, errno))?;
        }
        waiter.turn(GOES);
        self.0.await_letting_go(meanwhile);
        files::occupy_streams(control).map_err(|errno| (Stage::Stdio, errno))?;
        match waiter.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(Started {
                pid: self.pid(),
                time_us: sys::monotonic_us(),
            }),
        }
    }
}

impl Waiter {
    fn run(&self) {
        if let Err(failure) = self.prepare() {
            self.failure.set(Some(failure));
            return;
        }
        self.turn(STANDS);
        while self.state.load(Ordering::Acquire) == STANDS {
            match wait_while(&self.state, STANDS, None) {
                Ok(()) | Err(EAGAIN | EINTR) => {}
                // A policy that refuses futex(2): it cannot wait, and ends.
                Err(_) => return,
            }
        }
        if let Some(mut words) = self.words.take() {
            self.failure.set(Some((Stage::Exec, words.execute())));
        }
    }

    fn prepare(&self) -> Result<(), Failure> {
        sys::setsid().map_err(|errno| (Stage::Stdio, errno))?;
        let own = Own {
            stdio: &[],
            cwd: self.cwd,
            close_from: None,
            capabilities: 0,
            passed_on: 0,
            filter: self.confinement.filter,
        };
        walls::put_up(&self.confinement, &own)
    }

    fn turn(&self, state: u32) {
        self.state.store(state, Ordering::Release);
        wake(&self.state);
    }
}
