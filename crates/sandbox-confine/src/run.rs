//! Running a command once, in a sandbox of its own: the interface of `std::process::Command`.

use std::ffi::OsStr;
use std::path::Path;
#[cfg(feature = "tokio")]
use std::sync::Arc;

use sandbox_types::{Outcome, Policy, RunResult};

use crate::command::{Command, Stdio};
use crate::error::{RunError, StartError};
use crate::pool::Pool;
use crate::prepared::Prepared;
use crate::process::Process;

/// A command and the policy it runs under.
#[derive(Debug)]
#[must_use = "a command does nothing until it is run"]
pub struct BoundCommand<'a> {
    source: Source<'a>,
    command: Command,
}

#[derive(Debug)]
enum Source<'a> {
    Policy(&'a Policy),
    Prepared(&'a Prepared),
    Pool(&'a Pool),
}

impl Command {
    /// This command, to be run in a sandbox of its own under `policy`.
    pub fn under(self, policy: &Policy) -> BoundCommand<'_> {
        BoundCommand::of_policy(policy, self)
    }
}

impl<'a> BoundCommand<'a> {
    pub(crate) fn of_policy(policy: &'a Policy, command: Command) -> Self {
        Self {
            source: Source::Policy(policy),
            command,
        }
    }

    pub(crate) fn of_prepared(prepared: &'a Prepared, command: Command) -> Self {
        Self {
            source: Source::Prepared(prepared),
            command,
        }
    }

    pub(crate) fn of_pool(pool: &'a Pool, command: Command) -> Self {
        Self {
            source: Source::Pool(pool),
            command,
        }
    }

    /// Adds an argument.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.map(|command| command.arg(arg))
    }

    /// Adds arguments.
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.map(|command| command.args(args))
    }

    /// Sets a variable.
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.map(|command| command.env(name, value))
    }

    /// The directory to start in, as it is called inside.
    pub fn cwd(self, path: impl AsRef<Path>) -> Self {
        self.map(|command| command.cwd(path))
    }

    /// Standard input.
    pub fn stdin(self, stdio: impl Into<Stdio>) -> Self {
        self.map(|command| command.stdin(stdio))
    }

    /// Standard output.
    pub fn stdout(self, stdio: impl Into<Stdio>) -> Self {
        self.map(|command| command.stdout(stdio))
    }

    /// Standard error.
    pub fn stderr(self, stdio: impl Into<Stdio>) -> Self {
        self.map(|command| command.stderr(stdio))
    }

    /// All three streams on a terminal of the sandbox's own.
    pub fn pty(self) -> Self {
        self.map(Command::pty)
    }

    /// Starts it. Streams that nothing was said about are the caller's own.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    pub fn spawn(self) -> Result<Process, StartError> {
        self.start(Stdio::Inherit, || Stdio::Inherit)
    }

    /// Runs it to the end and captures its output. Standard input is empty unless given.
    ///
    /// # Errors
    /// [`RunError`], when it did not start or its sandbox failed; how it ended is never an error.
    pub fn output(self) -> Result<RunResult, RunError> {
        self.start(Stdio::Null, Stdio::capture)?.wait()
    }

    /// Runs it to the end on the caller's own streams.
    ///
    /// # Errors
    /// As [`BoundCommand::output`].
    pub fn status(self) -> Result<Outcome, RunError> {
        Ok(self.spawn()?.wait()?.outcome)
    }

    pub(crate) fn start(self, stdin: Stdio, output: fn() -> Stdio) -> Result<Process, StartError> {
        let command = self.command.or_streams(stdin, output(), output());
        match self.source {
            Source::Prepared(prepared) => prepared.spawn(command),
            Source::Pool(pool) => pool.shared().spawn(command),
            Source::Policy(policy) => Prepared::spawn_once(policy, command),
        }
    }

    /// What the asynchronous layer needs to start it elsewhere.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_start(
        self,
        stdin: Stdio,
        output: fn() -> Stdio,
    ) -> (crate::asynchronous::Start, Command) {
        use crate::asynchronous::Start;
        let start = match self.source {
            Source::Policy(policy) => Start::Policy(Box::new(policy.clone())),
            Source::Prepared(prepared) => Start::Prepared(prepared.clone()),
            Source::Pool(pool) => Start::Pool(Arc::clone(pool.shared())),
        };
        (start, self.command.or_streams(stdin, output(), output()))
    }

    fn map(self, change: impl FnOnce(Command) -> Command) -> Self {
        Self {
            source: self.source,
            command: change(self.command),
        }
    }
}
