//! Toolchains that are found through `PATH` outside the system directories, mostly under `$HOME`.
//!
//! A directory on `PATH` is granted read-only with what its programs need: the store of the manager that it
//! belongs to ([`managers`] is data), the installation it is the `bin` of, and what its links lead to, with
//! each link on the way, so that paths inside resolve as they do outside.
//!
//! Never granted: `$HOME` itself, a place that holds credentials, a directory that others may write to, a
//! relative element of `PATH`, and `/run`, `/var`, `/mnt` and the like. Those are in [`Toolchains::skipped`]
//! with the reason; elements that do not exist are not mentioned.
//!
//! Cargo works with this as it is: a read-only `CARGO_HOME` needs no lock for `build --offline`, and only a
//! package that was downloaded but never unpacked fails, by name, since `registry/src` cannot be written.

mod detect;
mod managers;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What `PATH` needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchains {
    /// To be shown read-only, ordered by path; none lies beneath another one.
    pub grants: Vec<Grant>,
    /// What `PATH` names and is not shown.
    pub skipped: Vec<Skipped>,
    /// Variables that the toolchains need in a clean environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A path to show read-only, at the same place as on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The path; no component of its parent is a link.
    pub path: PathBuf,
    /// What is there.
    pub kind: GrantKind,
    /// What for.
    pub why: Why,
}

/// What a [`Grant`] shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantKind {
    /// Bind the directory and everything beneath it.
    Dir,
    /// Bind the file.
    File,
    /// Create this link.
    Link {
        /// The target as written on the host.
        target: PathBuf,
    },
}

/// Why something is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is a link on the way to the home directory.
    Home,
    /// It is an element of `PATH`.
    OnPath,
    /// This manager, which is on `PATH`, keeps its files there.
    Manager(&'static str),
    /// This, on `PATH`, is part of it or leads to it.
    NeededBy(PathBuf),
}

/// A path that `PATH` leads to and that is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path, as `PATH` or a link spells it.
    pub path: PathBuf,
    /// Why not.
    pub reason: SkipReason,
}

/// Why a path is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// An empty or relative element means the current directory.
    #[error("not an absolute path, so it would mean the current directory")]
    Relative,
    /// The home directory or a parent of it.
    #[error("contains the home directory")]
    Home,
    /// A place of the host that is never shown by default.
    #[error("in a part of the host that is never shown")]
    Hidden,
    /// Anybody may put programs there.
    #[error("writable by other users")]
    WorldWritable,
    /// It is, or contains, a place of credentials.
    #[error("holds {0}")]
    Credentials(&'static str),
    /// A configuration file with something in it that looks like a secret.
    #[error("seems to hold a secret")]
    Secret,
    /// It cannot be looked at.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// There is more than anybody looks through: a directory with too many entries, or too many of them.
    #[error("too large to look through")]
    TooLarge,
}

impl Toolchains {
    /// Looks at what `path_env` (the value of `PATH`) names, for the user whose home is `home`.
    ///
    /// Paths beneath a home that is reached through links (`/home` to `var/home`) are resolved, and the links
    /// are among the grants: a private home belongs at the resolved path.
    pub fn detect(path_env: &OsStr, home: &Path, env: &[(OsString, OsString)]) -> Self {
        detect::Detector::new(home, env).detect(path_env)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => f.write_str("leads to the home directory"),
            Self::OnPath => f.write_str("on PATH"),
            Self::Manager(name) => write!(f, "files of {name}, which is on PATH"),
            Self::NeededBy(path) => write!(f, "needed by {} on PATH", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
