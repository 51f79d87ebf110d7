//! The threads that read one device.
//!
//! Whoever takes the last waiting worker's place away starts another, so that there is always one that waits, up to a
//! bound; whoever finds that too many wait, ends. Requests that wait by their nature do not count against the bound.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::buffer::{Answer, Request};
use super::link::{Link, Waiter};
use crate::serve::{Handled, Opcode, Server, Unanswerable};

/// A waiting lock needs a thread; beyond this many they count like everything else.
const MOST_PARKED: usize = 1024;
const STACK: usize = 1 << 20;

/// How many threads there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// That wait for requests, beyond which one ends.
    pub(super) idle: usize,
    /// That work, beyond which no other is started.
    pub(super) most: usize,
}

/// The workers of a session and what they share.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) server: Server,
    pub(super) link: Arc<Link>,
    max_io: usize,
    bounds: Bounds,
    waiting: AtomicUsize,
    all: AtomicUsize,
    parked: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The first request was answered; with an error where the filesystem refuses.
    greeted: Option<Result<(), crate::fs::Errno>>,
    /// Nobody reads any more.
    over: bool,
    /// No thread is left.
    empty: bool,
    /// Told when it is over.
    listeners: Vec<std::os::fd::OwnedFd>,
}

impl Pool {
    pub(super) fn new(server: Server, link: Arc<Link>, max_io: u32, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            server,
            link,
            max_io: usize::try_from(max_io).unwrap_or(usize::MAX),
            bounds,
            waiting: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Starts a worker.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        self.all.fetch_add(1, SeqCst);
        self.waiting.fetch_add(1, SeqCst);
        let pool = Arc::clone(self);
        let name = "fuse".to_owned();
        let started = thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || {
                pool.work();
                pool.leave();
            });
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                self.waiting.fetch_sub(1, SeqCst);
                self.leave();
                Err(error)
            }
        }
    }

    /// Waits until the first request is answered: what the filesystem said, or nothing where it never came.
    pub(super) fn greeted(&self) -> Option<Result<(), crate::fs::Errno>> {
        let state = self.lock();
        let waits = |state: &mut State| state.greeted.is_none() && !state.over && !state.empty;
        let state = self.changed.wait_while(state, waits);
        state.unwrap_or_else(PoisonError::into_inner).greeted
    }

    /// Waits until nobody reads any more.
    pub(super) fn wait(&self) {
        let waits = |state: &mut State| !state.over;
        drop(self.changed.wait_while(self.lock(), waits));
    }

    /// Waits until the last thread is gone, for this long at most; whether it is.
    pub(super) fn wait_empty(&self, at_most: Duration) -> bool {
        let waits = |state: &mut State| !state.empty;
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// `fd` (an eventfd) is written to when nobody reads any more.
    pub(super) fn tell(&self, fd: std::os::fd::OwnedFd) {
        let mut state = self.lock();
        if state.over {
            told(&fd);
        } else {
            state.listeners.push(fd);
        }
    }

    /// Ends the connection, whoever uses the mount: everybody who waits for an answer gets an error.
    pub(super) fn end(&self) {
        self.link.give_up();
        self.server.interrupt_all();
    }

    fn work(self: &Arc<Self>) {
        let mut request = Request::new(self.max_io);
        let mut answer = Answer::new(&self.link, self.max_io);
        let mut waiter = Waiter::default();
        while self.receive(&mut request, &mut waiter) {
            answer.clear();
            if parks(&request) {
                waiter.rest();
            }
            self.handle(&mut request, &mut answer);
            if self.waiting.fetch_add(1, SeqCst) >= self.bounds.idle && self.may_retire() {
                return;
            }
        }
    }

    /// Waits for a request; false at the end. Who calls it counts as waiting, and not any more when it returns.
    fn receive(self: &Arc<Self>, request: &mut Request, waiter: &mut Waiter) -> bool {
        let received = self.next(request, waiter);
        let others = self.waiting.fetch_sub(1, SeqCst).saturating_sub(1);
        if !received {
            self.over();
        } else if others == 0 {
            self.reinforce(request);
        }
        received
    }

    fn next(&self, request: &mut Request, waiter: &mut Waiter) -> bool {
        loop {
            let Some(device) = self.link.device() else {
                return false;
            };
            let received = request.receive(device.as_fd());
            drop(device);
            let result = match received {
                Ok(()) => return true,
                Err(Errno::AGAIN) => self.link.wait(waiter),
                Err(error) => Err(error),
            };
            match result {
                // ENOENT: whoever asked has been killed meanwhile.
                Ok(()) | Err(Errno::INTR | Errno::NOENT) => {}
                Err(Errno::NODEV | Errno::CONNABORTED) => return false,
                Err(error) => {
                    tracing::error!(%error, "reading /dev/fuse");
                    return false;
                }
            }
        }
    }

    fn reinforce(self: &Arc<Self>, request: &Request) {
        let parks = parks(request);
        let parked = self.parked.load(SeqCst).min(MOST_PARKED) + usize::from(parks);
        if self.all.load(SeqCst).saturating_sub(parked) >= self.bounds.most {
            return;
        }
        if let Err(error) = self.start() {
            tracing::warn!(%error, "no further worker");
        }
    }

    fn handle(&self, request: &mut Request, answer: &mut Answer<'_>) {
        let opcode = request.opcode();
        let parks = parks(request);
        if parks {
            self.parked.fetch_add(1, SeqCst);
        }
        let handled = self.server.handle(request, answer);
        if parks {
            self.parked.fetch_sub(1, SeqCst);
        }
        if let Err(Unanswerable::Transport(error)) = handled {
            // ENOENT: whoever asked does not wait any more.
            tracing::debug!(%error, opcode, "an answer that nobody took");
        }
        if opcode == Opcode::Init.number() {
            self.greet(handled);
        }
    }

    fn greet(&self, handled: Result<Handled, Unanswerable>) {
        let result = match handled {
            Ok(Handled::Answered(Some(error))) | Err(Unanswerable::Transport(error)) => Err(error),
            Ok(_) if self.server.negotiated().is_some() => Ok(()),
            // The kernel asks again in an older version.
            _ => return,
        };
        self.lock().greeted = Some(result);
        self.changed.notify_all();
    }

    /// Gives the place among those who wait back, unless that would leave too few.
    fn may_retire(&self) -> bool {
        let retires = |waiting: usize| (waiting > self.bounds.idle).then(|| waiting - 1);
        self.waiting.fetch_update(SeqCst, SeqCst, retires).is_ok()
    }

    fn over(&self) {
        // Nobody may be asked to come back to a mount that is gone.
        self.link.give_up();
        let mut state = self.lock();
        state.over = true;
        for fd in state.listeners.drain(..) {
            told(&fd);
        }
        drop(state);
        self.changed.notify_all();
        self.server.interrupt_all();
    }

    fn leave(&self) {
        if self.all.fetch_sub(1, SeqCst) == 1 {
            self.server.end();
            let mut state = self.lock();
            state.over = true;
            state.empty = true;
            for fd in state.listeners.drain(..) {
                told(&fd);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may wait for ever, by its nature.
fn parks(request: &Request) -> bool {
    request.opcode() == Opcode::Setlkw.number()
}

fn told(fd: &std::os::fd::OwnedFd) {
    if let Err(error) = rustix::io::write(fd, &1_u64.to_ne_bytes()) {
        tracing::debug!(%error, "an eventfd");
    }
}
