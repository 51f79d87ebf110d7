//! What can go wrong, in the words the user reads.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {status}")]
    Exit { command: String, status: ExitStatus },
    #[error("`{command}` was still running after {limit:?} and was killed")]
    TimeLimit { command: String, limit: Duration },
    #[error("`{command}` ended, but something it started still holds its output open")]
    LeftBehind { command: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("unexpected output of `{command}`: {source}")]
    Json {
        command: &'static str,
        source: serde_json::Error,
    },
    #[error("missing: {}", tools.join(", "))]
    Missing { tools: Vec<&'static str> },
    #[error("{violations} violations of the layering")]
    Layers { violations: usize },
    #[error("no test has these names:\n{}", missing.join("\n"))]
    NamedTests { missing: Vec<String> },
    #[error("{}:{line}: expected `name: reason`", path.display())]
    SkipList { path: PathBuf, line: usize },
    #[error("no such user after creating it: {name}")]
    NoUser { name: &'static str },
    #[error("the build made no executable named {name}")]
    NotBuilt { name: &'static str },
    #[error("`{command}`: {what}")]
    Demo { command: String, what: DemoFault },
    #[error("{} is not statically linked: {ldd}", path.display())]
    NotStatic { path: PathBuf, ldd: String },
    #[error("cargo-deny is not installed")]
    NoCargoDeny,
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
    #[error("{failed} tests that pass on the host fail on a backend, or exclusions are not needed")]
    Conformance { failed: u64 },
    #[error("{failed} fuzz targets found something")]
    Fuzz { failed: u64 },
    #[error("failed: {}", steps.join(", "))]
    Steps { steps: Vec<&'static str> },
}

/// How a step of the demonstration differed from what it promises.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoFault {
    #[error("{actual}, expected {expected}")]
    Status { expected: String, actual: String },
    #[error("the output lacks {text:?}")]
    Output { text: &'static str },
}

impl Error {
    /// An I/O error with the path it is about.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCargoDeny => Some(crate::deny::INSTALL),
            _ => None,
        }
    }
}
