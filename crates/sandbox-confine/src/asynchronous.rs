//! The same, for tokio: a thin layer over the synchronous core (feature `tokio`).
//!
//! Starting a sandbox is a few system calls that block for a millisecond or two; they run on tokio's blocking
//! pool. Waiting is one descriptor in tokio's reactor, on the current-thread and the multi-thread runtime. A
//! future that is dropped, even in the middle of a start, ends what it has started.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use sandbox_types::{Outcome, Policy, RunResult};
use tokio::io::unix::AsyncFd;

use crate::command::{Command, Stdio};
use crate::error::{RunError, StartError};
use crate::pool::PoolShared;
use crate::prepared::Prepared;
use crate::process::Process;
use crate::run::BoundCommand;
use crate::sandbox::Sandbox;
use crate::sys;

impl Sandbox {
    /// Runs one command in a sandbox of its own and captures its output.
    ///
    /// ```no_run
    /// use sandbox_confine::{Policy, Sandbox};
    /// # async fn example() -> Result<(), sandbox_confine::RunError> {
    /// let result = Sandbox::run(&Policy::default(), &["python3", "-c", "print(6 * 7)"]).await?;
    /// assert_eq!(result.stdout, b"42\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError`], when it did not start or its sandbox failed; how it ended is never an error.
    pub async fn run(policy: &Policy, command: impl Into<Command>) -> Result<RunResult, RunError> {
        BoundCommand::of_policy(policy, command.into())
            .output_async()
            .await
    }

    /// Runs one command in a sandbox of its own on the caller's own streams.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub async fn run_interactive(
        policy: &Policy,
        command: impl Into<Command>,
    ) -> Result<RunResult, RunError> {
        let process = BoundCommand::of_policy(policy, command.into())
            .spawn_async()
            .await?;
        process.wait_async().await
    }
}

impl BoundCommand<'_> {
    /// [`BoundCommand::spawn`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn spawn_async(self) -> Result<Process, StartError> {
        start(self, Stdio::Inherit, || Stdio::Inherit).await
    }

    /// [`BoundCommand::output`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn output_async(self) -> Result<RunResult, RunError> {
        start(self, Stdio::Null, Stdio::capture).await?.wait_async().await
    }

    /// [`BoundCommand::status`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn status_async(self) -> Result<Outcome, RunError> {
        Ok(self.spawn_async().await?.wait_async().await?.outcome)
    }
}

impl Process {
    /// [`Process::wait`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O driver enabled.
    pub async fn wait_async(mut self) -> Result<RunResult, RunError> {
        let watched = Watched::new(&self)?;
        loop {
            if let Some(result) = self.poll()? {
                return Ok(result);
            }
            watched.has_news().await?;
        }
    }
}

/// What a process waits for, in the runtime's reactor.
pub(crate) struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    pub(crate) fn new(process: &Process) -> Result<Self, RunError> {
        let epoll = process.readiness().try_clone_to_owned().map_err(in_runtime)?;
        sys::watch(epoll).map(Self).map_err(in_runtime)
    }

    /// Waits until the process is to be polled again.
    pub(crate) async fn has_news(&self) -> Result<(), RunError> {
        // The reactor reports changes only: what is still ready must be taken first.
        if !is_ready(&self.0).map_err(in_runtime)? {
            self.0.readable().await.map_err(in_runtime)?.clear_ready();
        }
        Ok(())
    }
}

fn in_runtime(source: io::Error) -> RunError {
    RunError::Io {
        what: "wait in the runtime",
        source,
    }
}

fn is_ready(fd: &impl AsFd) -> io::Result<bool> {
    let mut fds = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut fds, Some(&now)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Starts on the blocking pool. A result that nobody waits for any more is dropped there, which ends it.
async fn start(bound: BoundCommand<'_>, stdin: Stdio, output: fn() -> Stdio) -> Result<Process, StartError> {
    let (start, command) = bound.into_start(stdin, output);
    match start {
        Start::Policy(policy) => on_blocking_pool(move || Prepared::spawn_once(&policy, command)).await?,
        Start::Prepared(prepared) => on_blocking_pool(move || prepared.spawn(command)).await?,
        Start::Pool(pool) => on_blocking_pool(move || pool.spawn(command)).await?,
    }
}

/// Runs on tokio's blocking pool what may block.
pub(crate) async fn on_blocking_pool<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StartError::Supervisor {
            what: "start on tokio's blocking pool",
            source: io::Error::other(error),
        })
}

/// What a start needs, owned.
#[derive(Debug)]
pub(crate) enum Start {
    /// A policy to plan first.
    Policy(Box<Policy>),
    /// A plan.
    Prepared(Prepared),
    /// Sandboxes that are ready.
    Pool(Arc<PoolShared>),
}
