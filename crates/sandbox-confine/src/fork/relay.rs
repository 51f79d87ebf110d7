//! The outputs of clones on their way to one place.
//!
//! Clone by clone, in their order: what the first has written is handed on until it has ended, then the second's.
//! Meanwhile the others run until their pipes are full, and then wait: nothing is kept in memory, however much they
//! write. Standard error, limits and ends of all of them are looked after all the time, and where there are more to be
//! forked, that is done as soon as there is room.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{Timespec, epoll};
use sandbox_types::{BranchName, Outcome, RunResult, Stream};

use super::clone::CloneHandle;
use super::error::ReduceError;
use super::reduce::OnFailure;
use super::supply::Supply;
use crate::process::Process;
use crate::streams::{Drain, Drained};
use crate::sys;

/// Outputs on their way.
pub(super) struct Relaying<'a> {
    epoll: OwnedFd,
    sink: &'a mut Sink,
    /// Clones of which something is still to come, in their order.
    line: VecDeque<Place<'a>>,
    /// How many have left the line: the place of its first among all of them.
    gone: usize,
    /// The place of the one whose output is handed on.
    turn: usize,
    /// How many of the line have not ended.
    live: u32,
    supply: Option<Supply<'a>>,
    /// Whether there may be room for more than when it was looked at last.
    has_changed: bool,
    on_failure: OnFailure,
    /// Whether one has failed, and all are to end for it.
    is_stopped: bool,
    tell: &'a mut dyn FnMut(News),
    /// Any of them ends all of this. Kept open while they are waited for.
    cancels: Vec<Arc<OwnedFd>>,
}

/// What is told of a clone, by its place among all of them.
pub(super) enum News {
    /// It has ended.
    Ended(usize, Outcome),
    /// Nothing more comes of it. Told in their order.
    Done(usize, Option<BranchName>, Box<RunResult>),
}

/// One in the line.
struct Place<'a> {
    clone: Held<'a>,
    /// Its output, where that is not in memory already.
    output: Option<Drain>,
    /// How much of it has been handed on.
    relayed: u64,
    is_over: bool,
}

/// A clone of somebody else's, or one that was made here.
enum Held<'a> {
    Lent(&'a mut CloneHandle),
    Own(Box<CloneHandle>),
}

/// What outputs go to.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// The command that reads them, until it has ended.
    pub(super) reducer: Option<Process>,
    /// How it has ended.
    pub(super) result: Option<RunResult>,
    /// Where they are written to, until nobody takes them any more.
    pub(super) input: Option<OwnedFd>,
}

const REDUCER: u64 = u64::MAX;
const OUTPUT: u64 = u64::MAX - 1;
const INPUT: u64 = u64::MAX - 2;
const CANCEL: u64 = u64::MAX - 3;

impl<'a> Relaying<'a> {
    pub(super) fn new(
        sink: &'a mut Sink,
        on_failure: OnFailure,
        tell: &'a mut dyn FnMut(News),
    ) -> Result<Self, ReduceError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create1"))?;
        if let Some(reducer) = &sink.reducer {
            add(&epoll, reducer.readiness(), REDUCER)?;
        }
        Ok(Self {
            epoll,
            sink,
            line: VecDeque::new(),
            gone: 0,
            turn: 0,
            live: 0,
            supply: None,
            has_changed: true,
            on_failure,
            is_stopped: false,
            tell,
            cancels: Vec::new(),
        })
    }

    /// From now on it ends when any of these is readable.
    pub(super) fn heed(&mut self, cancels: &[Arc<OwnedFd>]) -> Result<(), ReduceError> {
        for cancel in cancels {
            if !self.cancels.iter().any(|known| Arc::ptr_eq(known, cancel)) {
                add(&self.epoll, cancel.as_fd(), CANCEL)?;
                self.cancels.push(Arc::clone(cancel));
            }
        }
        Ok(())
    }

    /// Hands on all that these clones write, and waits for their ends.
    pub(super) fn run(mut self, clones: Vec<&'a mut CloneHandle>) -> Result<(), ReduceError> {
        for clone in clones {
            self.line_up(Held::Lent(clone))?;
        }
        self.finish()
    }

    /// The same of clones that are made meanwhile.
    pub(super) fn run_from(mut self, supply: Supply<'a>) -> Result<(), ReduceError> {
        self.supply = Some(supply);
        self.finish()
    }

    fn finish(mut self) -> Result<(), ReduceError> {
        loop {
            self.move_up()?;
            match self.place(self.turn).map(|place| place.output.take()) {
                Some(Some(output)) => self.relay(output)?,
                Some(None) => self.relay_kept()?,
                None if self.line.is_empty() => return Ok(()),
                None => {
                    self.wait()?;
                    continue;
                }
            }
            self.turn += 1;
        }
    }

    fn place(&mut self, place: usize) -> Option<&mut Place<'a>> {
        self.line.get_mut(place.checked_sub(self.gone)?)
    }

    fn line_up(&mut self, mut clone: Held<'a>) -> Result<(), ReduceError> {
        self.heed(clone.link().cancel().as_slice())?;
        // Where nobody takes it any more, it is closed at once.
        let output = clone.take_output().filter(|_| self.sink.input.is_some());
        let number = self.gone + self.line.len();
        let is_stopped = self.is_stopped;
        if let Some(process) = clone.process()? {
            add(&self.epoll, process.readiness(), number as u64)?;
            if is_stopped {
                process.kill();
            }
        }
        self.line.push_back(Place {
            clone,
            output,
            relayed: 0,
            is_over: false,
        });
        self.live += 1;
        self.look(number)
    }

    /// Lets those go of which nothing more comes, and forks as many as there is room for.
    fn move_up(&mut self) -> Result<(), ReduceError> {
        while self.gone < self.turn && self.line.front().is_some_and(|place| place.is_over) {
            let Some(mut place) = self.line.pop_front() else {
                break;
            };
            let mut result = place.clone.take_result()?;
            result.usage.stdout_bytes = result.usage.stdout_bytes.max(place.relayed);
            let branch = place.clone.branch().cloned();
            (self.tell)(News::Done(self.gone, branch, Box::new(result)));
            self.gone += 1;
            self.has_changed = true;
        }
        let Some(supply) = &mut self.supply else {
            return Ok(());
        };
        if std::mem::take(&mut self.has_changed) {
            for clone in supply.more(self.live, !self.line.is_empty())? {
                self.line_up(Held::Own(Box::new(clone)))?;
            }
        }
        Ok(())
    }

    /// Hands on what the clone writes whose turn it is until it has ended, or nobody takes it any more.
    fn relay(&mut self, mut output: Drain) -> Result<(), ReduceError> {
        let Some(input) = &self.sink.input else {
            return Ok(());
        };
        output.relay_to(input.try_clone().map_err(io_failed("fcntl"))?);
        add(&self.epoll, output.pipe.as_fd(), OUTPUT)?;
        while self.sink.input.is_some() {
            let drained = output
                .pull()
                .map_err(io_failed("hand on the output of a clone"))?;
            match drained {
                Drained::More => self.wait()?,
                Drained::Blocked => self.wait_for_input(output.pipe.as_fd())?,
                Drained::End => break,
                Drained::OverLimit => {
                    delete(&self.epoll, output.pipe.as_fd())?;
                    self.end_for_output()?;
                    break;
                }
            }
        }
        let relayed = output.bytes();
        if let Some(place) = self.place(self.turn) {
            place.relayed = relayed;
        }
        delete(&self.epoll, output.pipe.as_fd())
    }

    /// The clone whose turn it is has written more than it may: that is how it ends, whatever it has made of it. Until then
    /// its output stays open, so that it does not fail of that.
    fn end_for_output(&mut self) -> Result<(), ReduceError> {
        let outcome = Outcome::Output {
            stream: Stream::Stdout,
        };
        let process = self.place(self.turn).map(|place| place.clone.process());
        if let Some(process) = process.transpose()?.flatten() {
            process.kill_for(outcome);
        }
        self.await_end_of_turn()?;
        if let Some(place) = self.place(self.turn) {
            place.clone.overrule(outcome);
        }
        self.stop_for(outcome)
    }

    /// Waits until the clone whose turn it is has ended.
    fn await_end_of_turn(&mut self) -> Result<(), ReduceError> {
        while self.place(self.turn).is_some_and(|place| !place.is_over) {
            self.wait()?;
        }
        Ok(())
    }

    /// The reducer takes nothing now: what the clone has written is not looked at until it does.
    fn wait_for_input(&mut self, output: BorrowedFd<'_>) -> Result<(), ReduceError> {
        delete(&self.epoll, output)?;
        self.wait_for_room()?;
        add(&self.epoll, output, OUTPUT)
    }

    /// Hands on what is kept of a clone that has been waited for already.
    fn relay_kept(&mut self) -> Result<(), ReduceError> {
        self.await_end_of_turn()?;
        let kept = self.place(self.turn).and_then(|place| place.clone.kept());
        let mut kept = kept.unwrap_or_default();
        while let (Some(input), false) = (&self.sink.input, kept.is_empty()) {
            let some = kept.get(..kept.len().min(4096)).unwrap_or_default();
            if !is_writable(input.as_fd())? {
                self.wait_for_room()?;
                continue;
            }
            match sys::write(input.as_fd(), some) {
                Ok(count) => drop(kept.drain(..count)),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(rustix::io::Errno::PIPE) => self.sink.input = None,
                Err(errno) => return Err(failed("hand on the output of a clone")(errno)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), ReduceError> {
        let Some(input) = &self.sink.input else {
            return Ok(());
        };
        let input = input.try_clone().map_err(io_failed("fcntl"))?;
        let token = epoll::EventData::new_u64(INPUT);
        epoll::add(&self.epoll, &input, token, epoll::EventFlags::OUT).map_err(failed("epoll_ctl"))?;
        let waited = self.wait();
        delete(&self.epoll, input.as_fd())?;
        waited
    }

    /// Waits until something happens, and does what is to be done about it.
    fn wait(&mut self) -> Result<(), ReduceError> {
        const NOW: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut events = Vec::with_capacity(64);
        // One that had ended when it was lined up has made room, of which no event tells.
        let limit = (self.has_changed && self.supply.is_some()).then_some(&NOW);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), limit) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("epoll_wait")(errno)),
        }
        for event in events {
            match event.data.u64() {
                REDUCER => self.look_at_reducer()?,
                CANCEL => return Err(ReduceError::Cancelled),
                OUTPUT | INPUT => {}
                number => self.look(usize::try_from(number).unwrap_or(usize::MAX))?,
            }
        }
        self.move_up()
    }

    fn look_at_reducer(&mut self) -> Result<(), ReduceError> {
        let Some(reducer) = &mut self.sink.reducer else {
            return Ok(());
        };
        if let Some(result) = reducer.poll()? {
            self.sink.result = Some(result);
            self.sink.reducer = None;
            // Nobody reads on: clones that write are told as in a pipeline.
            self.sink.input = None;
            self.line.iter_mut().for_each(|place| place.output = None);
        }
        Ok(())
    }

    fn look(&mut self, number: usize) -> Result<(), ReduceError> {
        let Some(place) = self.place(number) else {
            return Ok(());
        };
        if place.is_over || !place.clone.look()? {
            return Ok(());
        }
        place.is_over = true;
        let outcome = place.clone.outcome();
        self.live = self.live.saturating_sub(1);
        self.has_changed = true;
        if let Some(outcome) = outcome {
            (self.tell)(News::Ended(number, outcome));
        }
        outcome.map_or(Ok(()), |outcome| self.stop_for(outcome))
    }

    /// Ends everything, where this end of one clone means that.
    fn stop_for(&mut self, outcome: Outcome) -> Result<(), ReduceError> {
        if outcome.success() || self.on_failure != OnFailure::Stop {
            return Ok(());
        }
        self.stop()
    }

    fn stop(&mut self) -> Result<(), ReduceError> {
        self.is_stopped = true;
        self.supply = None;
        for place in &mut self.line {
            if let Some(process) = place.clone.process()? {
                process.kill();
            }
        }
        if let Some(reducer) = &mut self.sink.reducer {
            reducer.kill();
        }
        self.sink.input = None;
        Ok(())
    }
}

impl Deref for Held<'_> {
    type Target = CloneHandle;

    fn deref(&self) -> &CloneHandle {
        match self {
            Self::Lent(clone) => clone,
            Self::Own(clone) => clone,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut CloneHandle {
        match self {
            Self::Lent(clone) => clone,
            Self::Own(clone) => clone,
        }
    }
}

fn add(epoll: &OwnedFd, fd: BorrowedFd<'_>, token: u64) -> Result<(), ReduceError> {
    let data = epoll::EventData::new_u64(token);
    epoll::add(epoll, fd, data, epoll::EventFlags::IN).map_err(failed("epoll_ctl"))
}

fn delete(epoll: &OwnedFd, fd: BorrowedFd<'_>) -> Result<(), ReduceError> {
    match epoll::delete(epoll, fd) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed("epoll_ctl")(errno)),
    }
}

fn is_writable(fd: BorrowedFd<'_>) -> Result<bool, ReduceError> {
    let mut poll = [rustix::event::PollFd::from_borrowed_fd(
        fd,
        rustix::event::PollFlags::OUT,
    )];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut poll, Some(&now)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(failed("poll")(errno)),
    }
}

fn failed(what: &'static str) -> impl Fn(rustix::io::Errno) -> ReduceError {
    move |errno| io_failed(what)(io::Error::from(errno))
}

fn io_failed(what: &'static str) -> impl Fn(io::Error) -> ReduceError {
    move |source| ReduceError::Io { what, source }
}
