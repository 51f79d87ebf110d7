//! What is kept ready, and the thread that sees to it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Things that are ready, made by a thread of their own.
pub(super) struct Stock<T, E> {
    size: usize,
    state: Mutex<State<T, E>>,
    /// Something in `state` is not as it was.
    changed: Condvar,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct State<T, E> {
    ready: VecDeque<T>,
    /// To be let go of, which takes a while.
    used: Vec<T>,
    /// Why the last one was not made; nothing is tried again before somebody has been told.
    failure: Option<E>,
    is_closed: bool,
    /// When something was handed out or put away the last time.
    last_used: Instant,
}

/// How long nothing is made or let go of after the last use, as long as half of what there is to be is ready: making is
/// work for the kernel that slows down whoever runs meanwhile.
const REST: Duration = Duration::from_millis(3);

/// Why nothing is handed out.
#[derive(Debug)]
pub(super) enum Refused<E> {
    /// It has been closed.
    Closed,
    /// None could be made.
    Failed(E),
}

impl<T, E> fmt::Debug for Stock<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let mut text = f.debug_struct("Stock");
        text.field("size", &self.size).field("ready", &state.ready.len());
        text.field("is_closed", &state.is_closed).finish_non_exhaustive()
    }
}

impl<T, E> Stock<T, E> {
    pub(super) fn new(size: usize, ready: impl IntoIterator<Item = T>) -> Self {
        Self {
            size,
            state: Mutex::new(State {
                ready: ready.into_iter().collect(),
                used: Vec::new(),
                failure: None,
                is_closed: false,
                last_used: Instant::now(),
            }),
            changed: Condvar::new(),
            keeper: Mutex::new(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> usize {
        self.state().ready.len()
    }

    /// Waits until as many are ready as there are to be, or the next one cannot be made, or it is closed.
    pub(super) fn await_full(&self) {
        let is_short = |state: &mut State<T, E>| {
            state.ready.len() < self.size && state.failure.is_none() && !state.is_closed
        };
        drop(self.changed.wait_while(self.state(), is_short));
    }

    /// One that is ready and alive, if there is one now.
    #[cfg(feature = "tokio")]
    pub(super) fn try_take(&self, is_alive: impl Fn(&T) -> bool) -> Result<Option<T>, Refused<E>> {
        self.next(&mut self.state(), is_alive)
    }

    /// One that is ready and alive; waits for it where there is none.
    pub(super) fn take(&self, is_alive: impl Fn(&T) -> bool) -> Result<T, Refused<E>> {
        let mut state = self.state();
        loop {
            if let Some(item) = self.next(&mut state, &is_alive)? {
                return Ok(item);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn next(&self, state: &mut State<T, E>, is_alive: impl Fn(&T) -> bool) -> Result<Option<T>, Refused<E>> {
        if state.is_closed {
            return Err(Refused::Closed);
        }
        while let Some(item) = state.ready.pop_front() {
            state.last_used = Instant::now();
            self.changed.notify_all();
            if is_alive(&item) {
                return Ok(Some(item));
            }
            state.used.push(item);
        }
        match state.failure.take() {
            None => Ok(None),
            Some(failure) => {
                self.changed.notify_all();
                Err(Refused::Failed(failure))
            }
        }
    }

    /// Lets go of something later. Where it is closed, at once.
    pub(super) fn put_away(&self, item: T) {
        let mut state = self.state();
        if !state.is_closed {
            state.last_used = Instant::now();
            state.used.push(item);
            self.changed.notify_all();
            return;
        }
        drop(state);
        drop(item);
    }

    /// Hands nothing out any more, and lets go of everything. When this returns, nothing that was not handed out is left.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let left = (std::mem::take(&mut state.ready), std::mem::take(&mut state.used));
        self.changed.notify_all();
        drop(state);
        drop(left);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if keeper.is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the thread of a pool has panicked");
        }
    }

    /// Makes what is missing and lets go of what is used, until it is closed. `make` answers some of as many as it is
    /// asked for.
    fn keep(&self, mut make: impl FnMut(usize) -> Result<Vec<T>, E>) {
        loop {
            let mut state = self.await_work();
            if state.is_closed {
                return;
            }
            let used = std::mem::take(&mut state.used);
            let missing = match &state.failure {
                None => self.size.saturating_sub(state.ready.len()),
                Some(_) => 0,
            };
            drop(state);
            // What is missing comes first: somebody may wait for it.
            if missing > 0 {
                self.put(make(missing));
            }
            drop(used);
        }
    }

    /// Waits until there is something to do, and whoever uses it rests.
    fn await_work(&self) -> MutexGuard<'_, State<T, E>> {
        let mut state = self.state();
        loop {
            let is_idle =
                state.used.is_empty() && (state.failure.is_some() || state.ready.len() >= self.size);
            let is_plenty = state.ready.len() * 2 >= self.size;
            let rested = state.last_used.elapsed();
            if state.is_closed || !is_idle && (!is_plenty || rested >= REST) {
                return state;
            }
            state = if is_idle {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let left = REST.saturating_sub(rested);
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn put(&self, made: Result<Vec<T>, E>) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            return;
        }
        match made {
            Ok(items) => state.ready.extend(items),
            Err(failure) => state.failure = Some(failure),
        }
        self.changed.notify_all();
    }
}

impl<T: Send + 'static, E: Send + 'static> Stock<T, E> {
    /// Starts the thread that keeps `stock_of(owner)` as it is to be.
    pub(super) fn in_thread<O: Send + Sync + 'static>(
        owner: &Arc<O>,
        stock_of: fn(&O) -> &Self,
        make: impl Fn(&O, usize) -> Result<Vec<T>, E> + Send + 'static,
    ) -> std::io::Result<()> {
        let own = Arc::clone(owner);
        let thread = std::thread::Builder::new().name("sandbox-pool".to_owned());
        let thread = thread.spawn(move || {
            // The host program's handlers run on its own threads.
            if let Err(errno) = nix::sys::signal::SigSet::all().thread_block() {
                tracing::debug!(%errno, "signals may be handled on the pool's thread");
            }
            stock_of(&own).keep(|missing| make(&own, missing));
        })?;
        let keeper = &stock_of(owner).keeper;
        *keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }
}
