//! The output of clones as the input of a command.
//!
//! Clone by clone, in their order: what the first has written goes to the reducer until it has ended, then the
//! second's. Meanwhile the others run until their pipes are full, and then wait: nothing is kept in memory, however
//! much they write. Standard error, limits and ends of all of them are looked after all the time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll;
use sandbox_types::{Outcome, RunResult, Stream};

use super::clone::CloneHandle;
use super::error::{MapReduceError, ReduceError};
use super::options::ForkOptions;
use crate::command::{Command, Stdio};
use crate::error::RunError;
use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::streams::{Drain, Drained};
use crate::sys;

/// What a clone that does not succeed means for the rest of a reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// What it has written counts; the reduction goes on, and its result says how the clone ended.
    #[default]
    GoOn,
    /// The other clones and the reducer are ended.
    Stop,
}

/// What came of a reduction.
#[derive(Debug)]
pub struct Reduction {
    /// How the reducer ended, and what it wrote.
    pub reducer: RunResult,
    /// How each clone ended; what went to the reducer is not kept.
    pub clones: Vec<RunResult>,
}

impl Reduction {
    /// Whether the reducer and every clone have succeeded.
    pub fn success(&self) -> bool {
        self.reducer.outcome.success() && self.clones.iter().all(|clone| clone.outcome.success())
    }
}

impl Sandbox {
    /// Runs a command in this sandbox whose standard input is the standard output of all these clones, one after the
    /// other in the order given, and waits for all of them. What has been captured of a clone before is its output,
    /// too; what has been taken as a pipe is not.
    ///
    /// A reducer that reads no further ends its input for good: the clones find their output closed, as in a shell's
    /// pipeline.
    ///
    /// # Errors
    /// [`ReduceError`]. How clones and reducer ended is never an error.
    pub fn reduce(
        &mut self,
        command: impl Into<Command>,
        clones: &mut [Self],
    ) -> Result<Reduction, ReduceError> {
        self.reduce_with(command, clones, OnFailure::GoOn)
    }

    /// [`Sandbox::reduce`] with a say in what a clone that fails means.
    ///
    /// # Errors
    /// As there.
    pub fn reduce_with(
        &mut self,
        command: impl Into<Command>,
        clones: &mut [Self],
        on_failure: OnFailure,
    ) -> Result<Reduction, ReduceError> {
        let mut handles = Vec::with_capacity(clones.len());
        for (index, clone) in clones.iter_mut().enumerate() {
            let handle = clone.clone_mut().map_err(|_| ReduceError::NoClone { index })?;
            if handle.is_taken() {
                return Err(ReduceError::Taken { index });
            }
            handles.push(handle);
        }
        let command = command.into().stdin(Stdio::Piped);
        let command = command.or_streams(Stdio::Piped, Stdio::capture(), Stdio::capture());
        let mut process = self.spawn(command)?;
        let input = process.stdin.take().map(OwnedFd::from);
        Reducing::new(process, input, handles, on_failure)?.run()
    }

    /// Forks the template and reduces what the clones write, see [`Sandbox::fork`] and [`Sandbox::reduce`].
    ///
    /// # Errors
    /// [`MapReduceError`]: either's.
    pub fn map_reduce(
        &mut self,
        count: u32,
        command: impl Into<Command>,
    ) -> Result<Reduction, MapReduceError> {
        let mut clones = self.fork_with(count, &ForkOptions::default())?;
        Ok(self.reduce(command, &mut clones)?)
    }
}

/// A reduction under way.
struct Reducing<'a> {
    epoll: OwnedFd,
    reducer: Option<Process>,
    result: Option<RunResult>,
    /// The reducer's standard input, until there is no more for it, or it takes no more.
    input: Option<OwnedFd>,
    clones: Vec<&'a mut CloneHandle>,
    /// The output of each clone that is not in memory already.
    outputs: Vec<Option<Drain>>,
    /// How much of each clone's output has been handed on.
    relayed: Vec<u64>,
    is_over: Vec<bool>,
    on_failure: OnFailure,
}

const REDUCER: u64 = u64::MAX;
const OUTPUT: u64 = u64::MAX - 1;
const INPUT: u64 = u64::MAX - 2;

impl<'a> Reducing<'a> {
    fn new(
        reducer: Process,
        input: Option<OwnedFd>,
        mut clones: Vec<&'a mut CloneHandle>,
        on_failure: OnFailure,
    ) -> Result<Self, ReduceError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create1"))?;
        add(&epoll, reducer.readiness(), REDUCER)?;
        let outputs = clones.iter_mut().map(|clone| clone.take_output()).collect();
        let mut reducing = Self {
            epoll,
            reducer: Some(reducer),
            result: None,
            input,
            relayed: vec![0; clones.len()],
            is_over: vec![false; clones.len()],
            clones,
            outputs,
            on_failure,
        };
        for (token, clone) in (0..).zip(&mut reducing.clones) {
            if let Some(process) = clone.process()? {
                add(&reducing.epoll, process.readiness(), token)?;
            }
        }
        Ok(reducing)
    }

    fn run(mut self) -> Result<Reduction, ReduceError> {
        for index in 0..self.clones.len() {
            self.look(index)?;
        }
        for index in 0..self.clones.len() {
            match self.outputs.get_mut(index).and_then(Option::take) {
                Some(output) => self.relay(index, output)?,
                None => self.relay_kept(index)?,
            }
        }
        // The end of the reducer's input.
        self.input = None;
        while self.result.is_none() || self.is_over.contains(&false) {
            self.wait()?;
        }
        let results = self.clones.iter_mut().zip(&self.relayed).map(|(clone, relayed)| {
            let mut result = clone.take_result()?;
            result.usage.stdout_bytes = result.usage.stdout_bytes.max(*relayed);
            Ok(result)
        });
        let clones = results.collect::<Result<_, RunError>>()?;
        match self.result {
            Some(reducer) => Ok(Reduction { reducer, clones }),
            None => Err(RunError::InitDied.into()),
        }
    }

    /// Hands on what a clone writes until it has ended, or nobody takes it any more.
    fn relay(&mut self, index: usize, mut output: Drain) -> Result<(), ReduceError> {
        let Some(input) = &self.input else { return Ok(()) };
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
        let Some(input) = &self.input else { return Ok(()) };
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
        while let (Some(input), false) = (&self.input, kept.is_empty()) {
            let some = kept.get(..kept.len().min(4096)).unwrap_or_default();
            if !is_writable(input.as_fd())? {
                self.wait_for_room()?;
                continue;
            }
            match sys::write(input.as_fd(), some) {
                Ok(count) => drop(kept.drain(..count)),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(rustix::io::Errno::PIPE) => self.input = None,
                Err(errno) => return Err(failed("write to the reducer")(errno)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), ReduceError> {
        let Some(input) = &self.input else { return Ok(()) };
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
                OUTPUT | INPUT => {}
                index => self.look(usize::try_from(index).unwrap_or(usize::MAX))?,
            }
        }
        Ok(())
    }

    fn look_at_reducer(&mut self) -> Result<(), ReduceError> {
        let Some(reducer) = &mut self.reducer else {
            return Ok(());
        };
        if let Some(result) = reducer.poll()? {
            self.result = Some(result);
            self.reducer = None;
            // Nobody reads on: clones that write are told as in a pipeline.
            self.input = None;
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
        let has_failed = clone.outcome().is_some_and(|outcome| !outcome.success());
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
        if let Some(reducer) = &mut self.reducer {
            reducer.kill();
        }
        self.input = None;
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
