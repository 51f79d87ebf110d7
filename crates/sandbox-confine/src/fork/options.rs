//! What a caller may say about a template and about its clones.

use std::time::Duration;

use rustix::process::Resource;

use crate::command::{CAPTURE_LIMIT, Stdio};
use crate::wire::MAX_CLONES;

/// How long a template may take to be ready, unless the caller says otherwise.
pub const INIT_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a template may be silent while it is forked, unless the caller says otherwise: it copies page tables, which
/// takes seconds where there are many GiB in small pages.
const FORK_TIMEOUT: Duration = Duration::from_mins(1);

/// Where an output stream of each clone goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloneOutput {
    /// /dev/null.
    Null,
    /// The caller's own stream, which all clones share.
    Inherit,
    /// A pipe, whose other end [`Sandbox::take_stdout`](crate::Sandbox::take_stdout) hands out.
    Piped,
    /// Kept in memory while the clone is waited for, and given back with its result.
    Capture {
        /// The most that is kept of each clone's stream, in bytes.
        limit: u64,
    },
}

/// Where the standard input of each clone comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CloneInput {
    /// /dev/null.
    #[default]
    Null,
    /// A pipe, whose other end [`Sandbox::take_stdin`](crate::Sandbox::take_stdin) hands out.
    Piped,
}

/// What clones of a template see of the branch that it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Branches {
    /// All see the template's, and what one of them writes there the others see.
    #[default]
    Shared,
    /// All see the template's, to which nobody can write until clones share it again. No file may be open for writing
    /// there then.
    ReadOnly,
    /// Each has a branch of its own, over what the template's has when it is forked: see [`TemplateBuilder::branches`].
    /// Nobody can write to the template's from then on, and no file may be open for writing there.
    ///
    /// [`TemplateBuilder::branches`]: crate::TemplateBuilder::branches
    PerClone,
}

/// How clones are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "options do nothing by themselves"]
pub struct ForkOptions {
    pub(crate) first: u32,
    pub(crate) branches: Branches,
    pub(crate) stdin: CloneInput,
    pub(crate) stdout: CloneOutput,
    pub(crate) stderr: CloneOutput,
    pub(crate) timeout: Duration,
}

impl Default for ForkOptions {
    fn default() -> Self {
        let output = CloneOutput::Capture { limit: CAPTURE_LIMIT };
        Self {
            first: 0,
            branches: Branches::Shared,
            stdin: CloneInput::Null,
            stdout: output,
            stderr: output,
            timeout: FORK_TIMEOUT,
        }
    }
}

impl ForkOptions {
    /// The number of the first clone; 0 by default. For forks that continue one another.
    pub const fn first(mut self, number: u32) -> Self {
        self.first = number;
        self
    }

    /// What clones see of the template's branch; shared by default.
    pub const fn branches(mut self, branches: Branches) -> Self {
        self.branches = branches;
        self
    }

    /// Standard input of each clone; /dev/null by default. One that is piped takes one file descriptor of this process
    /// a clone.
    pub const fn stdin(mut self, input: CloneInput) -> Self {
        self.stdin = input;
        self
    }

    /// Standard output of each clone; captured by default. A stream that is captured or piped takes one file
    /// descriptor of this process a clone.
    pub const fn stdout(mut self, output: CloneOutput) -> Self {
        self.stdout = output;
        self
    }

    /// Standard error of each clone; captured by default.
    pub const fn stderr(mut self, output: CloneOutput) -> Self {
        self.stderr = output;
        self
    }

    /// How long the template may be silent while it is forked, in whole milliseconds; a minute by default. It says
    /// something after a few clones at the most; one that does not is ended ([`ForkError::Stalled`](crate::ForkError::Stalled)):
    /// what runs at a fork (pthread_atfork(3)) may wait for something that never comes.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Descriptors that a clone takes in this process: its channel and its streams, and one while it waits to be handed
    /// out or is waited for.
    pub(crate) fn descriptors(&self) -> u64 {
        let streams = [self.stdout, self.stderr];
        let held = |output: &&CloneOutput| matches!(output, CloneOutput::Piped | CloneOutput::Capture { .. });
        let outputs = u64::try_from(streams.iter().filter(held).count()).unwrap_or(0);
        2 + outputs + u64::from(self.stdin == CloneInput::Piped)
    }

    /// As many clones as can live at once in this process as it is: there is a most of one template, and each takes
    /// file descriptors.
    pub fn most_at_once(&self) -> u32 {
        let most =
            free_descriptors().map_or(u64::MAX, |free| free.saturating_sub(SPARE) / self.descriptors());
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_CLONES);
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

impl From<CloneOutput> for Stdio {
    fn from(output: CloneOutput) -> Self {
        match output {
            CloneOutput::Null => Self::Null,
            CloneOutput::Inherit => Self::Inherit,
            CloneOutput::Piped => Self::Piped,
            CloneOutput::Capture { limit } => Self::Capture { limit },
        }
    }
}

impl From<CloneInput> for Stdio {
    fn from(input: CloneInput) -> Self {
        match input {
            CloneInput::Null => Self::Null,
            CloneInput::Piped => Self::Piped,
        }
    }
}

/// What making clones takes for a moment, and what a host program opens meanwhile.
pub(super) const SPARE: u64 = 24;

/// As many descriptors as this process may still open; `None` for any number.
pub(super) fn free_descriptors() -> Option<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile).current?;
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Some(limit.saturating_sub(u64::try_from(open).unwrap_or(0)))
}
