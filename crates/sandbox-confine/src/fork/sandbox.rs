//! What a [`Sandbox`] can do that is a template or a clone.

use std::io::PipeWriter;
use std::sync::Arc;

use sandbox_types::{BranchName, Outcome, Policy, RunResult, SandboxStatus};

use super::clone::CloneHandle;
use super::error::ForkError;
use super::link::Link;
use super::options::ForkOptions;
use crate::error::{RunError, StartError};
use crate::sandbox::{Live, Sandbox};
use crate::streams::OutputReader;

impl Sandbox {
    /// A sandbox around a copy of this process, which runs `init` there, once, and then waits to be forked: each clone
    /// runs `work` with its number. What `init` has loaded is shared by all clones until they write to it.
    ///
    /// The copy is made now, and this waits until `init` has returned. This process must have one thread: call it first
    /// in main. Descriptors of this process are closed in the copy, but for its output streams; the environment and the
    /// working directory are those of the policy. What `work` leaves behind at its end is not dropped: a clone ends when
    /// it returns, with status 0, and with 101 when it panics.
    ///
    /// ```no_run
    /// use std::sync::OnceLock;
    /// use sandbox_confine::{Policy, Sandbox};
    /// static MODEL: OnceLock<Vec<f64>> = OnceLock::new();
    /// let load = || MODEL.set(vec![1.5; 1 << 20]).unwrap();
    /// let work = |id: u32| println!("{id}: {}", MODEL.get().unwrap()[0] * f64::from(id));
    /// let mut template = Sandbox::new_with_fns(&Policy::default(), load, work)?;
    /// for mut clone in template.fork(100)? {
    ///     print!("{}", String::from_utf8_lossy(&clone.wait()?.stdout));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ForkError`]: there is more than one thread, or no namespaces here; `init` panicked, ended the process or took
    /// longer than five minutes. Nothing is left behind then.
    pub fn new_with_fns(
        policy: &Policy,
        init: impl FnOnce() + Send,
        work: impl Fn(u32) + Send + Sync,
    ) -> Result<Self, ForkError> {
        Self::template(policy).functions(init, work)
    }

    /// Forks the template `count` times. Clones are numbered from 0 in each call; the number is also in the variable
    /// `CLONE_ID`. This returns when all of them run, not when they end; all run, or none.
    ///
    /// Wall time and output are limited for each clone, memory, processes and CPU time for all of them together.
    /// Clones go on when the template is dropped.
    ///
    /// # Errors
    /// [`ForkError`]; then no clone is left.
    pub fn fork(&mut self, count: u32) -> Result<Vec<Self>, ForkError> {
        self.fork_with(count, &ForkOptions::default())
    }

    /// [`Sandbox::fork`] with a say in how.
    ///
    /// # Errors
    /// As there.
    pub fn fork_with(&mut self, count: u32, options: &ForkOptions) -> Result<Vec<Self>, ForkError> {
        let clones = self.fork_handles(count, options)?;
        Ok(clones.into_iter().map(Self::of_clone).collect())
    }

    pub(super) fn fork_handles(
        &mut self,
        count: u32,
        options: &ForkOptions,
    ) -> Result<Vec<CloneHandle>, ForkError> {
        self.forkable()?.fork(count, options)
    }

    /// What forks it, if it can be forked now.
    pub(super) fn forkable(&self) -> Result<&Arc<Link>, ForkError> {
        match &self.live {
            Live::Template(_) if self.status == SandboxStatus::Paused => Err(ForkError::Paused),
            Live::Template(link) => Ok(link),
            Live::None if self.status == SandboxStatus::Stopped => Err(StartError::Ended.into()),
            _ => Err(ForkError::NoTemplate),
        }
    }

    /// Waits for the end of a clone, and of all that it has started. The result is given once; its captured output is
    /// in it.
    ///
    /// # Errors
    /// [`RunError::Start`] for a sandbox that is no clone ([`StartError::NoClone`]), or whose result has been given;
    /// else as [`Process::wait`](crate::Process::wait).
    pub fn wait(&mut self) -> Result<RunResult, RunError> {
        self.clone_mut()?.wait()
    }

    /// The number of a clone; `None` for any other sandbox.
    pub fn clone_id(&self) -> Option<u32> {
        match &self.live {
            Live::Clone(clone) => Some(clone.id()),
            _ => None,
        }
    }

    /// The branch of a clone that has one of its own ([`Branches::PerClone`](crate::Branches::PerClone)). It is in use
    /// until the clone has ended, and stays until it is discarded.
    pub fn branch(&self) -> Option<&BranchName> {
        match &self.live {
            Live::Clone(clone) => clone.branch(),
            _ => None,
        }
    }

    /// The writing end of a clone's standard input, where that is piped. Given once; drop it to close it.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        self.clone_mut().ok()?.take_stdin()
    }

    /// The reading end of a clone's standard output, where that is piped. Given once.
    pub fn take_stdout(&mut self) -> Option<OutputReader> {
        self.clone_mut().ok()?.take_stdout()
    }

    /// The reading end of a clone's standard error, where that is piped. Given once.
    pub fn take_stderr(&mut self) -> Option<OutputReader> {
        self.clone_mut().ok()?.take_stderr()
    }

    /// How the template has ended, if it has: clones go on, and there will be no more. `None` for any other sandbox.
    pub fn template_outcome(&self) -> Option<Outcome> {
        match &self.live {
            Live::Template(link) => link.template_ended(),
            _ => None,
        }
    }

    pub(crate) fn clone_mut(&mut self) -> Result<&mut CloneHandle, RunError> {
        match &mut self.live {
            Live::Clone(clone) => Ok(clone),
            _ => Err(StartError::NoClone.into()),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Live::Template(link) = &self.live {
            link.end_template();
        }
    }
}
