//! A command to run inside, as data.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The most that [`Stdio::capture`] keeps of a stream: 64 MiB.
pub const CAPTURE_LIMIT: u64 = 64 << 20;

/// What a standard stream of a command is connected to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// /dev/null.
    Null,
    /// The caller's own stream.
    #[default]
    Inherit,
    /// A pipe, whose other end [`Process`](crate::Process) hands out.
    Piped,
    /// Kept in memory and given back with the result; output streams only. Reading goes on past the limit,
    /// and what is over is thrown away and reported, unless the policy's own output limit ends the run.
    Capture {
        /// The most that is kept, in bytes.
        limit: u64,
    },
    /// Written on to the caller's own stream by the supervisor, which counts; output streams only.
    Relay,
    /// These bytes, then the end; standard input only.
    Bytes(Vec<u8>),
    /// An open file.
    File(OwnedFd),
    /// All three streams are a terminal of the sandbox's own. One such stream makes all of them so.
    Pty,
}

impl Stdio {
    /// Kept in memory, up to [`CAPTURE_LIMIT`].
    pub const fn capture() -> Self {
        Self::Capture { limit: CAPTURE_LIMIT }
    }
}

impl From<Vec<u8>> for Stdio {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<OwnedFd> for Stdio {
    fn from(file: OwnedFd) -> Self {
        Self::File(file)
    }
}

impl From<std::fs::File> for Stdio {
    fn from(file: std::fs::File) -> Self {
        Self::File(file.into())
    }
}

/// A command to run inside: program, arguments, and where its streams go.
///
/// The environment is that of the policy; what is set here is added to it.
#[derive(Debug)]
#[must_use = "a command does nothing until it is run"]
pub struct Command {
    pub(crate) argv: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) stdin: Option<Stdio>,
    pub(crate) stdout: Option<Stdio>,
    pub(crate) stderr: Option<Stdio>,
}

impl Command {
    /// A command without arguments. A program without a slash is looked up on the PATH inside.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            argv: vec![program.as_ref().to_owned()],
            cwd: None,
            env: Vec::new(),
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.argv
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable for this command.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The directory to start in, as it is called inside; that of the policy otherwise.
    pub fn cwd(mut self, path: impl AsRef<Path>) -> Self {
        self.cwd = Some(path.as_ref().to_owned());
        self
    }

    /// Standard input.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdio.into());
        self
    }

    /// Standard output.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdio.into());
        self
    }

    /// Standard error.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stderr = Some(stdio.into());
        self
    }

    /// All three streams on a terminal of the sandbox's own.
    pub fn pty(self) -> Self {
        self.stdin(Stdio::Pty).stdout(Stdio::Pty).stderr(Stdio::Pty)
    }

    /// Uses these where the caller has not said anything.
    pub(crate) fn or_streams(mut self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Self {
        self.stdin.get_or_insert(stdin);
        self.stdout.get_or_insert(stdout);
        self.stderr.get_or_insert(stderr);
        self
    }

    /// The program, as it was named.
    pub(crate) fn program(&self) -> &OsStr {
        self.argv.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    pub(crate) fn is_pty(&self) -> bool {
        [&self.stdin, &self.stdout, &self.stderr]
            .into_iter()
            .any(|stdio| matches!(stdio, Some(Stdio::Pty)))
    }
}

/// A program and its arguments: `["ls", "-l"]`.
impl<T: AsRef<OsStr>> From<&[T]> for Command {
    fn from(argv: &[T]) -> Self {
        match argv {
            [program, rest @ ..] => Self::new(program).args(rest),
            [] => Self::new(""),
        }
    }
}

impl<T: AsRef<OsStr>, const N: usize> From<&[T; N]> for Command {
    fn from(argv: &[T; N]) -> Self {
        Self::from(argv.as_slice())
    }
}
