//! The outputs of clones on their way to one place.
//!
//! Clone by clone, in their order: what the first has written is handed on until it has ended, then the second's.
//! Meanwhile the others run until their pipes are full, and then wait: nothing is kept in memory, however much they
//! write. Standard error, limits and ends of all of them are looked after all the time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll;
use sandbox_types::{Outcome, RunResult, Stream};

use super::clone::CloneHandle;
use super::error::ReduceError;
use super::reduce::OnFailure;
use crate::process::Process;
use crate::streams::{Drain, Drained};
use crate::sys;

/// Outputs on their way.
pub(super) struct Relaying<'a> {
    epoll: OwnedFd,
    /// The reducer, if there is one and it runs.
    reducer: &'a mut Option<Process>,
    result: &'a mut Option<RunResult>,
    /// Where the outputs go, until that takes no more.
    input: &'a mut Option<OwnedFd>,
    clones: Vec<&'a mut CloneHandle>,
    /// The output of each clone that is not in memory already.
    outputs: Vec<Option<Drain>>,
    /// How much of each clone's output has been handed on.
    relayed: Vec<u64>,
    is_over: Vec<bool>,
    on_failure: OnFailure,
    on_end: &'a mut dyn FnMut(usize, Outcome),
    /// Kept open while it is waited for.
    _cancel: Option<Arc<OwnedFd>>,
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
        mut clones: Vec<&'a mut CloneHandle>,
        on_failure: OnFailure,
        on_end: &'a mut dyn FnMut(usize, Outcome),
    ) -> Result<Self, ReduceError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create1"))?;
        if let Some(reducer) = &sink.reducer {
            add(&epoll, reducer.readiness(), REDUCER)?;
        }
        let cancel = clones.first().and_then(|clone| clone.link().cancel());
        if let Some(cancel) = &cancel {
            add(&epoll, cancel.as_fd(), CANCEL)?;
        }
        let outputs = clones.iter_mut().map(|clone| clone.take_output()).collect();
        let mut relaying = Self {
            epoll,
            reducer: &mut sink.reducer,
            result: &mut sink.result,
            input: &mut sink.input,
            relayed: vec![0; clones.len()],
            is_over: vec![false; clones.len()],
            clones,
            outputs,
            on_failure,
            on_end,
            _cancel: cancel,
        };
        for (token, clone) in (0..).zip(&mut relaying.clones) {
            if let Some(process) = clone.process()? {
                add(&relaying.epoll, process.readiness(), token)?;
            }
        }
        Ok(relaying)
    }

    /// Hands on all that the clones write, and waits for their ends.
    pub(super) fn run(mut self) -> Result<Vec<RunResult>, ReduceError> {
        for index in 0..self.clones.len() {
            self.look(index)?;
        }
        for index in 0..self.clones.len() {
            match self.outputs.get_mut(index).and_then(Option::take) {
                Some(output) => self.relay(index, output)?,
                None => self.relay_kept(index)?,
            }
        }
        while self.is_over.contains(&false) {
            self.wait()?;
        }
        let results = self.clones.iter_mut().zip(&self.relayed).map(|(clone, relayed)| {
            let mut result = clone.take_result()?;
            result.usage.stdout_bytes = result.usage.stdout_bytes.max(*relayed);
            Ok(result)
        });
        results.collect()
    }

    /// Hands on what a clone writes until it has ended, or nobody takes it any more.
    fn relay(&mut self, index: usize, mut output: Drain) -> Result<(), ReduceError> {
        let Some(input) = &*self.input else { return Ok(()) };
        let input = input.try_clone().map_err(|source| ReduceError::Io {
            what: "fcntl",
            source,
        })?;
        output.relay_to(input);
        add(&self.epoll, output.pipe.as_fd(), OUTPUT)?;
        while self.input.is_some() {
            let drained = output.pull().map_err(|source| ReduceError::Io {
                what: "hand on the output of a clone",
                source,
            })?;
            match drained {
                Drained::More => self.wait()?,
                Drained::Blocked => self.wait_for_input(output.pipe.as_fd())?,
                Drained::End => break,
                Drained::OverLimit => {
                    if let Some(process) = self
                        .clones
                        .get_mut(index)
                        .map(|clone| clone.process())
                        .transpose()?
                        .flatten()
                    {
                        process.kill_for(Outcome::Output {
                            stream: Stream::Stdout,
                        });
                    }
                    break;
                }
            }
        }
        if let Some(relayed) = self.relayed.get_mut(index) {
            *relayed = output.bytes();
        }
        delete(&self.epoll, output.pipe.as_fd())
    }

    /// The reducer takes nothing now: what the clone has written is not looked at until it does.
    fn wait_for_input(&mut self, output: BorrowedFd<'_>) -> Result<(), ReduceError> {
        let Some(input) = &*self.input else { return Ok(()) };
        let input = input.try_clone().map_err(|source| ReduceError::Io {
            what: "fcntl",
            source,
        })?;
        delete(&self.epoll, output)?;
        let token = epoll::EventData::new_u64(INPUT);
        epoll::add(&self.epoll, &input, token, epoll::EventFlags::OUT).map_err(failed("epoll_ctl"))?;
        let waited = self.wait();
        delete(&self.epoll, input.as_fd())?;
        waited?;
        add(&self.epoll, output, OUTPUT)
    }

    /// Hands on what is kept of a clone that has been waited for already.
    fn relay_kept(&mut self, index: usize) -> Result<(), ReduceError> {
        while self.is_over.get(index) == Some(&false) {
            self.wait()?;
        }
        let mut kept = self
            .clones
            .get_mut(index)
            .and_then(|clone| clone.kept())
            .unwrap_or_default();
        while let (Some(input), false) = (&*self.input, kept.is_empty()) {
            let some = kept.get(..kept.len().min(4096)).unwrap_or_default();
            if !is_writable(input.as_fd())? {
                self.wait_for_room()?;
                continue;
            }
            match sys::write(input.as_fd(), some) {
                Ok(count) => drop(kept.drain(..count)),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(rustix::io::Errno::PIPE) => *self.input = None,
                Err(errno) => return Err(failed("hand on the output of a clone")(errno)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), ReduceError> {
        let Some(input) = &*self.input else { return Ok(()) };
        let input = input.try_clone().map_err(|source| ReduceError::Io {
            what: "fcntl",
            source,
        })?;
        let token = epoll::EventData::new_u64(INPUT);
        epoll::add(&self.epoll, &input, token, epoll::EventFlags::OUT).map_err(failed("epoll_ctl"))?;
        let waited = self.wait();
        delete(&self.epoll, input.as_fd())?;
        waited
    }

    /// Waits until something happens, and does what is to be done about it.
    fn wait(&mut self) -> Result<(), ReduceError> {
        let mut events = Vec::with_capacity(64);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("epoll_wait")(errno)),
        }
        for event in events {
            match event.data.u64() {
                REDUCER => self.look_at_reducer()?,
                CANCEL => return Err(ReduceError::Cancelled),
                OUTPUT | INPUT => {}
                index => self.look(usize::try_from(index).unwrap_or(usize::MAX))?,
            }
        }
        Ok(())
    }

    fn look_at_reducer(&mut self) -> Result<(), ReduceError> {
        let Some(reducer) = &mut *self.reducer else {
            return Ok(());
        };
        if let Some(result) = reducer.poll()? {
            *self.result = Some(result);
            *self.reducer = None;
            // Nobody reads on: clones that write are told as in a pipeline.
            *self.input = None;
            self.outputs.fill_with(|| None);
        }
        Ok(())
    }

    fn look(&mut self, index: usize) -> Result<(), ReduceError> {
        let (Some(clone), Some(is_over)) = (self.clones.get_mut(index), self.is_over.get_mut(index)) else {
            return Ok(());
        };
        if *is_over || !clone.look()? {
            return Ok(());
        }
        *is_over = true;
        let outcome = clone.outcome();
        if let Some(outcome) = outcome {
            (self.on_end)(index, outcome);
        }
        let has_failed = outcome.is_some_and(|outcome| !outcome.success());
        if has_failed && self.on_failure == OnFailure::Stop {
            self.stop()?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), ReduceError> {
        for clone in &mut self.clones {
            if let Some(process) = clone.process()? {
                process.kill();
            }
        }
        if let Some(reducer) = &mut *self.reducer {
            reducer.kill();
        }
        *self.input = None;
        Ok(())
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
    let now = rustix::event::Timespec {
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
    move |errno| ReduceError::Io {
        what,
        source: io::Error::from(errno),
    }
}
