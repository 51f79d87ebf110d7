//! What a caller may say about a template and about its clones.

use std::time::Duration;

use crate::command::{CAPTURE_LIMIT, Stdio};

/// How long a template may take to be ready, unless the caller says otherwise.
pub const INIT_TIMEOUT: Duration = Duration::from_mins(5);

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
    pub(crate) branches: Branches,
    pub(crate) stdin: CloneInput,
    pub(crate) stdout: CloneOutput,
    pub(crate) stderr: CloneOutput,
}

impl Default for ForkOptions {
    fn default() -> Self {
        let output = CloneOutput::Capture { limit: CAPTURE_LIMIT };
        Self {
            branches: Branches::Shared,
            stdin: CloneInput::Null,
            stdout: output,
            stderr: output,
        }
    }
}

impl ForkOptions {
    /// What clones see of the template's branch; shared by default.
    pub const fn branches(mut self, branches: Branches) -> Self {
        self.branches = branches;
        self
    }

    /// Standard input of each clone; /dev/null by default.
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

    /// Descriptors that a clone takes in this process: its channel and its streams, and one while it waits to be handed
    /// out or is waited for.
    pub(crate) fn descriptors(&self) -> u64 {
        let streams = [self.stdout, self.stderr];
        let held = |output: &&CloneOutput| matches!(output, CloneOutput::Piped | CloneOutput::Capture { .. });
        let input = u64::from(self.stdin == CloneInput::Piped);
        2 + input + u64::try_from(streams.iter().filter(held).count()).unwrap_or(0)
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
