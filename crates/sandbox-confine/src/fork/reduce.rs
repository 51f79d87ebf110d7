//! The output of clones as the input of a command, or of whoever reads a descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use sandbox_types::{BranchName, Outcome, RunResult};

use super::error::{MapReduceError, ReduceError};
use super::options::ForkOptions;
use super::relay::{News, Relaying, Sink};
use super::supply::Supply;
use crate::command::{Command, Stdio};
use crate::error::RunError;
use crate::process::Process;
use crate::ready::{await_any, is_readable};
use crate::sandbox::{Live, Sandbox};

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
        self.reducer(command)?.on_failure(on_failure).reduce(clones)
    }

    /// Starts a command in this sandbox that is to be given the output of clones, of several forks one after another.
    /// Its output streams are captured unless the command says otherwise. The limit of the policy on wall time is not
    /// for it: it waits for clones.
    ///
    /// # Errors
    /// [`ReduceError::Start`].
    pub fn reducer(&mut self, command: impl Into<Command>) -> Result<Gatherer, ReduceError> {
        let command = command.into().stdin(Stdio::Piped);
        let command = command.or_streams(Stdio::Piped, Stdio::capture(), Stdio::capture());
        let mut process = self.spawn(command)?;
        process.unlimit_wall_time();
        Ok(Gatherer {
            sink: Sink {
                input: process.stdin.take().map(OwnedFd::from),
                reducer: Some(process),
                result: None,
            },
            on_failure: OnFailure::GoOn,
            cancels: self.cancel().into_iter().collect(),
        })
    }

    /// Readable when nothing in this sandbox is to be waited for any more.
    fn cancel(&self) -> Option<Arc<OwnedFd>> {
        match &self.live {
            Live::Template(link) => link.cancel(),
            _ => None,
        }
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

/// What [`Gatherer::feed_from`] tells of a clone.
#[derive(Debug)]
#[non_exhaustive]
pub enum Gathered {
    /// It has ended. Told as it happens.
    Ended {
        /// Its number.
        id: u32,
        /// How.
        outcome: Outcome,
    },
    /// All that it wrote has been handed on. Told in the order of their numbers.
    Result {
        /// Its number.
        id: u32,
        /// Its own branch, where it has one.
        branch: Option<BranchName>,
        /// How it ended and what it used; what was handed on is not kept.
        result: Box<RunResult>,
    },
}

/// Where the output of clones goes, of several forks one after another: a command ([`Sandbox::reducer`]), or any
/// descriptor. Dropping it ends the command.
///
/// ```no_run
/// use sandbox_confine::{Command, ForkOptions, Gatherer, Policy, Sandbox};
/// let mut template = Sandbox::template(&Policy::default()).command(Command::new("./warm.py"))?;
/// let mut gatherer = Gatherer::into(std::fs::File::create("results")?);
/// for first in (0..100_000).step_by(100) {
///     let mut clones = template.fork_with(100, &ForkOptions::default().first(first))?;
///     gatherer.feed(&mut clones, |_, outcome| assert!(outcome.success()))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a command waits for its input until it is finished"]
pub struct Gatherer {
    sink: Sink,
    on_failure: OnFailure,
    /// Any of them is readable when nothing more is to be waited for.
    cancels: Vec<Arc<OwnedFd>>,
}

impl Gatherer {
    /// Output goes to this descriptor. When nobody reads there any more, clones find their output closed.
    pub fn into(descriptor: impl Into<OwnedFd>) -> Self {
        let sink = Sink {
            input: Some(descriptor.into()),
            ..Sink::default()
        };
        Self {
            sink,
            on_failure: OnFailure::GoOn,
            cancels: Vec::new(),
        }
    }

    /// What a clone that does not succeed means for the others; to go on, unless this is called.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// When this is readable, nothing more is waited for: [`ReduceError::Cancelled`].
    #[cfg(feature = "tokio")]
    pub(super) fn cancelled_by(mut self, readable: OwnedFd) -> Self {
        self.cancels.push(Arc::new(readable));
        self
    }

    /// All that a reducer is given, and what comes of it.
    pub(super) fn reduce(mut self, clones: &mut [Sandbox]) -> Result<Reduction, ReduceError> {
        let clones = self.feed(clones, |_, _| {})?;
        match self.finish()? {
            Some(reducer) => Ok(Reduction { reducer, clones }),
            None => Err(RunError::InitDied.into()),
        }
    }

    /// Hands on what these clones write to standard output, clone after clone in the order given, and waits for all of
    /// them. `on_end` is told of each, by its place among them, when it has ended. What comes after this goes to the
    /// same place.
    ///
    /// # Errors
    /// [`ReduceError`]. How clones end is never an error.
    pub fn feed(
        &mut self,
        clones: &mut [Sandbox],
        mut on_end: impl FnMut(usize, Outcome),
    ) -> Result<Vec<RunResult>, ReduceError> {
        let mut handles = Vec::with_capacity(clones.len());
        for (index, clone) in clones.iter_mut().enumerate() {
            let handle = clone.clone_mut().map_err(|_| ReduceError::NoClone { index })?;
            if handle.is_taken() {
                return Err(ReduceError::Taken { index });
            }
            handles.push(handle);
        }
        let mut results = Vec::with_capacity(handles.len());
        let mut tell = |news| match news {
            News::Ended(index, outcome) => on_end(index, outcome),
            News::Done(_, _, result) => results.push(*result),
        };
        let mut relaying = Relaying::new(&mut self.sink, self.on_failure, &mut tell)?;
        relaying.heed(&self.cancels)?;
        relaying.run(handles)?;
        Ok(results)
    }

    /// Forks `count` clones of a template, at most `at_once` of which live at a time, and hands on what they write to
    /// standard output in the order of their numbers: as soon as one has ended the next is forked, whichever it was.
    /// Fewer live at once where this process may not have enough open files for more; what one that has ended wrote is
    /// in its pipe until its turn comes, and counts for that.
    ///
    /// `tell` hears of each when it has ended, and of its result when that of those before it is there. After a failure
    /// with [`OnFailure::Stop`] no more are forked.
    ///
    /// ```no_run
    /// use sandbox_confine::{Command, ForkOptions, Gathered, Gatherer, Policy, Sandbox};
    /// let mut template = Sandbox::template(&Policy::default()).command(Command::new("./warm.py"))?;
    /// let mut gatherer = Gatherer::into(std::fs::File::create("results")?);
    /// gatherer.feed_from(&mut template, 100_000, 50, &ForkOptions::default(), |gathered| {
    ///     if let Gathered::Ended { id, outcome } = gathered {
    ///         println!("{id} {outcome}");
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReduceError::Fork`] where one cannot be forked, none is asked for, or none is to live at once; else as
    /// [`Gatherer::feed`]. No clone is left then.
    pub fn feed_from(
        &mut self,
        template: &mut Sandbox,
        count: u32,
        at_once: u32,
        options: &ForkOptions,
        mut tell: impl FnMut(Gathered),
    ) -> Result<(), ReduceError> {
        let first = options.first;
        let id = |index| u32::try_from(index).map_or(u32::MAX, |index| first.saturating_add(index));
        let mut tell = |news| {
            tell(match news {
                News::Ended(index, outcome) => Gathered::Ended {
                    id: id(index),
                    outcome,
                },
                News::Done(index, branch, result) => Gathered::Result {
                    id: id(index),
                    branch,
                    result,
                },
            });
        };
        let supply = Supply::new(template, count, at_once, options)?;
        let mut relaying = Relaying::new(&mut self.sink, self.on_failure, &mut tell)?;
        relaying.heed(&self.cancels)?;
        relaying.run_from(supply)
    }

    /// That was all: a command finds the end of its input, and is waited for. How it ended; none without a command.
    ///
    /// # Errors
    /// [`ReduceError::Run`]; [`ReduceError::Cancelled`] by what its template is cancelled by.
    pub fn finish(self) -> Result<Option<RunResult>, ReduceError> {
        let Sink {
            reducer,
            result,
            input,
        } = self.sink;
        drop(input);
        match (result, reducer) {
            (None, Some(reducer)) => await_end(reducer, &self.cancels).map(Some),
            (result, _) => Ok(result),
        }
    }
}

/// Waits until it has ended, or nothing more is to be waited for.
fn await_end(mut reducer: Process, cancels: &[Arc<OwnedFd>]) -> Result<RunResult, ReduceError> {
    loop {
        if let Some(result) = reducer.poll()? {
            return Ok(result);
        }
        if cancels.iter().any(|cancel| is_readable(cancel.as_fd())) {
            return Err(ReduceError::Cancelled);
        }
        let reducer = PollFd::from_borrowed_fd(reducer.readiness(), PollFlags::IN);
        let cancels = cancels.iter().map(|cancel| PollFd::new(cancel, PollFlags::IN));
        let mut fds: Vec<_> = std::iter::once(reducer).chain(cancels).collect();
        await_any(&mut fds, None).map_err(|errno| ReduceError::Io {
            what: "poll",
            source: errno.into(),
        })?;
    }
}
