//! The threads that read one device.
//!
//! Somebody always listens, or will within a moment. As long as requests take long, whoever takes the last listener's
//! place away calls another one first. While they are brisk, a call for each would cost more than the request (a sleeping
//! thread on another processor has to be woken, to find that the one who called it has been quicker): then one listens
//! alone, and [`watch`](super::watch) looks every half millisecond whether it is stuck. Whoever is one too many rests, and
//! beyond a bound ends. Requests that wait by their nature do not count against the bound of all.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::buffer::{Answer, Buffers, Request};
use super::link::{Link, Waited, Waiter};
use super::near::{self, Near, Surroundings};
use super::pace::{Pace, Patience};
use super::standing::Standing;
use super::watch::Watch;
use crate::serve::{Handled, Opcode, Server, Unanswerable};

/// A waiting lock needs a thread; beyond this many they count like everything else.
const MOST_PARKED: usize = 1024;
const STACK: usize = 1 << 20;
/// After so long without a request its memory is for others.
const IDLE: Duration = Duration::from_secs(1);

/// How many threads there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// That listen, and that rest, beyond which one ends.
    pub(super) idle: usize,
    /// That work, beyond which no other is started.
    pub(super) most: usize,
    /// That can run at the same time.
    pub(super) processors: usize,
    /// Where workers may run, if each of them can run where its caller does.
    pub(super) near: Option<Surroundings>,
}

/// The workers of a session and what they share.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) server: Server,
    pub(super) link: Arc<Link>,
    max_io: usize,
    bounds: Bounds,
    pub(super) pace: Pace,
    pub(super) watch: Watch,
    pub(super) standing: Arc<Standing>,
    listening: AtomicUsize,
    all: AtomicUsize,
    parked: AtomicUsize,
    /// Workers cannot run beside their callers any more.
    is_apart: AtomicBool,
    /// A worker looks where its caller is, which may take long.
    looking: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    called: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The first request was answered; with an error where the filesystem refuses.
    greeted: Option<Result<(), crate::fs::Errno>>,
    /// Nobody reads any more.
    pub(super) over: bool,
    /// No thread is left.
    empty: bool,
    /// Told when it is over.
    listeners: Vec<std::os::fd::OwnedFd>,
    resting: usize,
    /// Of those, who have been called and have not noticed yet. They count as listening.
    calls: usize,
}

/// What a listener got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Request,
    /// There will be no other.
    End,
    /// Too many rest already.
    Dismissed,
}

impl Pool {
    pub(super) fn new(server: Server, link: Arc<Link>, max_io: u32, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            server,
            link,
            max_io: usize::try_from(max_io).unwrap_or(usize::MAX),
            bounds,
            pace: Pace::new(bounds.processors.min(bounds.most)),
            watch: Watch::default(),
            standing: Arc::default(),
            listening: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            is_apart: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
            called: Condvar::new(),
        })
    }

    /// Starts a worker.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let buffers = Buffers::new(
            &self.link,
            self.max_io,
            Near::new(self.bounds.near, &self.standing),
        )?;
        self.listening.fetch_add(1, SeqCst);
        let started = self.spawn(move |pool| pool.work(buffers));
        if started.is_err() {
            self.listening.fetch_sub(1, SeqCst);
        }
        started
    }

    /// Starts a thread that counts as one of all.
    pub(super) fn spawn(
        self: &Arc<Self>,
        run: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> std::io::Result<()> {
        self.all.fetch_add(1, SeqCst);
        let pool = Arc::clone(self);
        let name = "fuse".to_owned();
        let started = thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || {
                // Whoever starts it may have bound itself to one processor, which is inherited.
                if let Some(all) = &pool.bounds.near {
                    near::anywhere(&all.processors);
                }
                run(&pool);
                pool.leave();
            });
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
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

    /// Whether nobody listens.
    pub(super) fn is_unattended(&self) -> bool {
        self.listening.load(SeqCst) == 0
    }

    fn work(self: &Arc<Self>, mut buffers: Buffers) {
        let mut waiter = Waiter::default();
        let mut patience = Patience::new(self.bounds.processors);
        loop {
            patience.is_near(buffers.answer.near.is_here());
            match self.receive(&mut buffers, &mut waiter, &mut patience) {
                Heard::Request => {}
                Heard::End => return self.over(),
                Heard::Dismissed => return,
            }
            let Buffers { request, answer } = &mut buffers;
            answer.clear();
            if parks(request) {
                waiter.rest();
            }
            if self.is_apart.load(SeqCst) {
                answer.near.stay_away();
            }
            let alone = self.pace.listeners() == Some(1) && !parks(request);
            answer
                .near
                .asked(request.caller(), alone, patience.waited_times());
            let start = Instant::now();
            self.handle(request, answer);
            self.pace.took(start.elapsed());
            answer.near.look(&self.looking);
            if answer.near.is_behind() {
                self.is_apart.store(true, SeqCst);
                // Whoever watches calls another one: what this one starts would be as it is.
                Watch::attend(self);
                return;
            }
            self.listening.fetch_add(1, SeqCst);
        }
    }

    /// Waits for a request. Who calls it counts as listening, and not any more when it returns.
    fn receive(
        self: &Arc<Self>,
        buffers: &mut Buffers,
        waiter: &mut Waiter,
        patience: &mut Patience,
    ) -> Heard {
        let heard = self.listen(buffers, waiter, patience);
        let request = &buffers.request;
        if heard == Heard::Dismissed {
            return heard;
        }
        let others = self.listening.fetch_sub(1, SeqCst).saturating_sub(1);
        if heard == Heard::Request && others == 0 {
            let waits = self.pace.is_brisk() && !parks(request);
            if !(waits && Watch::attend(self)) {
                self.reinforce(parks(request));
            }
        }
        heard
    }

    fn listen(&self, buffers: &mut Buffers, waiter: &mut Waiter, patience: &mut Patience) -> Heard {
        let mut at_once = true;
        loop {
            let result = match self.try_read(&mut buffers.request) {
                None => return Heard::End,
                Some(Err(Errno::AGAIN)) => {
                    at_once = false;
                    patience.waits();
                    // Only now: who was woken for a request has to read it, since nobody else was.
                    if self.steps_back() {
                        buffers.give_back();
                        if self.rest() {
                            continue;
                        }
                        return Heard::Dismissed;
                    }
                    if self.spin(&mut buffers.request, patience) {
                        return self.heard(false);
                    }
                    let start = Instant::now();
                    let waited = self.wait_with(buffers, waiter);
                    patience.waited(start.elapsed());
                    waited
                }
                // Whoever works near the caller is not there before the next request is.
                Some(Ok(())) => return self.heard(at_once && !patience.near()),
                Some(Err(error)) => Err(error),
            };
            match result {
                // ENOENT: whoever asked has been killed meanwhile.
                Ok(()) | Err(Errno::INTR | Errno::NOENT) => {}
                Err(Errno::NODEV | Errno::CONNABORTED) => return Heard::End,
                Err(error) => {
                    tracing::error!(%error, "reading /dev/fuse");
                    return Heard::End;
                }
            }
        }
    }

    /// Who has waited for a while for nothing gives back what a large request has left.
    fn wait_with(&self, buffers: &mut Buffers, waiter: &mut Waiter) -> Result<(), Errno> {
        if buffers.are_large() {
            let waited = self.link.wait(waiter, Some(IDLE))?;
            if waited == Waited::InVain {
                buffers.give_back();
            }
            return Ok(());
        }
        self.link.wait(waiter, None).map(drop)
    }

    fn heard(&self, at_once: bool) -> Heard {
        self.pace.came(at_once);
        Heard::Request
    }

    /// Nothing where the device was given up.
    fn try_read(&self, request: &mut Request) -> Option<Result<(), Errno>> {
        let device = self.link.device()?;
        Some(request.receive(device.as_fd()))
    }

    /// Looks for a little while whether the next request comes, where the last ones did: falling asleep and being woken
    /// takes longer, and costs whoever asks. Only who listens alone may, so one processor at most is kept from others.
    fn spin(&self, request: &mut Request, patience: &mut Patience) -> bool {
        let Some(limit) = patience.limit() else {
            return false;
        };
        let start = Instant::now();
        while start.elapsed() < limit && self.listening.load(SeqCst) == 1 {
            match self.try_read(request) {
                Some(Err(Errno::AGAIN)) => std::hint::spin_loop(),
                Some(Ok(())) => {
                    patience.rewarded();
                    return true;
                }
                // Seen again by who asks next.
                None | Some(Err(_)) => return false,
            }
        }
        patience.disappointed();
        false
    }

    /// Who is one too many counts as listening no more.
    fn steps_back(&self) -> bool {
        let most = self.pace.listeners().unwrap_or(self.bounds.idle).max(1);
        if self.listening.load(SeqCst) <= most {
            return false;
        }
        let less = |listening: usize| (listening > most).then(|| listening - 1);
        self.listening.fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    /// Waits until it is called, or until it is over; then it counts as listening again. False where enough rest already.
    fn rest(&self) -> bool {
        let mut state = self.lock();
        if state.resting >= self.bounds.idle {
            return false;
        }
        state.resting += 1;
        let waits = |state: &mut State| state.calls == 0 && !state.over;
        let mut state = self
            .called
            .wait_while(state, waits)
            .unwrap_or_else(PoisonError::into_inner);
        state.resting -= 1;
        if state.calls > 0 {
            state.calls -= 1;
        } else {
            self.listening.fetch_add(1, SeqCst);
        }
        true
    }

    /// Sees to it that somebody else listens, as far as there may be another one.
    pub(super) fn reinforce(self: &Arc<Self>, parks: bool) {
        if self.call() {
            return;
        }
        let parked = self.parked.load(SeqCst).min(MOST_PARKED) + usize::from(parks) + self.watch.threads();
        if self.all.load(SeqCst).saturating_sub(parked) >= self.bounds.most {
            return;
        }
        if let Err(error) = self.start() {
            tracing::warn!(%error, "no further worker");
        }
    }

    /// Whether there was somebody who rests.
    fn call(&self) -> bool {
        let mut state = self.lock();
        if state.resting <= state.calls {
            return false;
        }
        state.calls += 1;
        self.listening.fetch_add(1, SeqCst);
        drop(state);
        self.called.notify_one();
        true
    }

    fn handle(&self, request: &mut Request, answer: &mut Answer) {
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

    fn over(&self) {
        // Nobody may be asked to come back to a mount that is gone.
        self.link.give_up();
        self.ended(self.lock());
        self.server.interrupt_all();
    }

    fn ended(&self, mut state: MutexGuard<'_, State>) {
        state.over = true;
        for fd in state.listeners.drain(..) {
            told(&fd);
        }
        drop(state);
        self.changed.notify_all();
        self.called.notify_all();
        self.watch.wake();
    }

    fn leave(&self) {
        if self.all.fetch_sub(1, SeqCst) == 1 {
            self.server.end();
            let mut state = self.lock();
            state.empty = true;
            self.ended(state);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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
