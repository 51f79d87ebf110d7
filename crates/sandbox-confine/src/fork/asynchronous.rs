//! Forking, waiting and reducing without blocking tokio's runtime (feature `tokio`).
//!
//! As everywhere, a future that is dropped ends what it has started.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::EventfdFlags;
use sandbox_types::RunResult;

use super::clone::CloneHandle;
use super::error::{ForkError, MapReduceError, ReduceError};
use super::options::ForkOptions;
use super::reduce::Reduction;
use crate::asynchronous::{Watched, on_blocking_pool};
use crate::command::Command;
use crate::error::{RunError, StartError};
use crate::sandbox::Sandbox;

impl Sandbox {
    /// [`Sandbox::fork`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn fork_async(&mut self, count: u32) -> Result<Vec<Self>, ForkError> {
        self.fork_with_async(count, &ForkOptions::default()).await
    }

    /// [`Sandbox::fork_with`] without blocking the runtime. Clones that were made when nobody waits for them any more
    /// are ended.
    ///
    /// # Errors
    /// As there.
    pub async fn fork_with_async(
        &mut self,
        count: u32,
        options: &ForkOptions,
    ) -> Result<Vec<Self>, ForkError> {
        let (link, options) = (Arc::clone(self.forkable()?), *options);
        let clones = on_blocking_pool(move || link.fork(count, &options)).await??;
        Ok(clones.into_iter().map(Self::of_clone).collect())
    }

    /// [`Sandbox::wait`] of a clone without blocking the runtime.
    ///
    /// ```no_run
    /// use sandbox_confine::{Command, Policy, Sandbox};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut template = Sandbox::template(&Policy::default()).command(Command::new("./warm.py"))?;
    /// for mut clone in template.fork_async(10).await? {
    ///     println!("{}", clone.wait_async().await?.outcome);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O driver enabled.
    pub async fn wait_async(&mut self) -> Result<RunResult, RunError> {
        self.clone_mut()?.wait_async().await
    }

    /// [`Sandbox::reduce`] without blocking the runtime. The clones are given away; when nobody waits for this any more,
    /// they and the reducer are ended.
    ///
    /// # Errors
    /// As there.
    pub async fn reduce_async(
        &mut self,
        command: impl Into<Command>,
        mut clones: Vec<Self>,
    ) -> Result<Reduction, ReduceError> {
        let (reading, dropped) = dropped()?;
        let reducer = self.reducer(command)?.cancelled_by(reading);
        let reduced = on_blocking_pool(move || reducer.reduce(&mut clones)).await?;
        drop(dropped);
        reduced
    }

    /// [`Sandbox::map_reduce`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn map_reduce_async(
        &mut self,
        count: u32,
        command: impl Into<Command>,
    ) -> Result<Reduction, MapReduceError> {
        let clones = self.fork_async(count).await?;
        Ok(self.reduce_async(command, clones).await?)
    }
}

impl CloneHandle {
    async fn wait_async(&mut self) -> Result<RunResult, RunError> {
        let watched = self.process()?.map(|process| Watched::new(process));
        let watched = watched.transpose()?;
        while let (false, Some(watched)) = (self.look()?, &watched) {
            watched.has_news().await?;
        }
        self.take_result()
    }
}

/// Says when it is dropped.
struct Dropped(OwnedFd);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "cannot end a reduction that nobody waits for");
        }
    }
}

/// A descriptor that is readable when the other one has been dropped.
fn dropped() -> Result<(OwnedFd, Dropped), StartError> {
    let event =
        rustix::event::eventfd(0, EventfdFlags::CLOEXEC).map_err(StartError::supervisor("eventfd"))?;
    let other = event.try_clone().map_err(|source| StartError::Supervisor {
        what: "fcntl",
        source,
    })?;
    Ok((event, Dropped(other)))
}
