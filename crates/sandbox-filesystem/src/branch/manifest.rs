//! What a branch is made of, as a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sandbox_types::BranchName;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::moved::DirectoryId;
use super::node::Timestamp;

/// The version of the files this build writes. An older one is read, a newer one is refused.
pub(crate) const VERSION: u32 = 1;

/// How a branch keeps what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// The kernel's overlayfs, at native speed. Needs namespaces.
    Kernel,
    /// An overlay of this program's own, served through FUSE: renames directories and keeps hard links, slower than the
    /// kernel's. Needs namespaces and /dev/fuse.
    Exact,
    /// A whole copy of the workspace: slower to make, and works everywhere.
    Copy,
}

impl Mode {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Exact => "exact",
            Self::Copy => "copy",
        }
    }

    /// Whether a branch is what differs, in layers over the base, in the format of overlayfs.
    pub(crate) const fn has_layers(self) -> bool {
        matches!(self, Self::Kernel | Self::Exact)
    }
}

/// The last run on a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended, in seconds since the epoch.
    pub ended: u64,
    /// The command.
    pub command: String,
    /// How it ended, as the command line would say it.
    pub outcome: String,
}

/// `branch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) mode: Mode,
    /// Directories in `layers/`, the topmost first. Only the topmost is ever written.
    #[serde(deserialize_with = "layers")]
    pub(crate) layers: Vec<String>,
    /// The branch it is a branch of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<BranchName>,
    /// The layer that holds the base as it was, where that was asked for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "snapshot"
    )]
    pub(crate) snapshot: Option<String>,
    /// Which directory the workspace was when the branch was made, where the file system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workspace: Option<DirectoryId>,
    /// ctime of a file made on the base's file system when the branch was.
    pub(crate) birth: Timestamp,
    /// The same when a whole copy was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) copied_at: Option<Timestamp>,
    /// In seconds since the epoch.
    pub(crate) created: u64,
    /// Directories outside the workspace that belong to it: the git directory of a linked worktree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) extras: Vec<PathBuf>,
    /// Directories outside the workspace that git reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) visible: Vec<PathBuf>,
    /// Variables that git needs to find its repository.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "environment"
    )]
    pub(crate) environment: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_run: Option<LastRun>,
    /// What whoever looks at it should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// Names that [`LayerDir`](super::layer::LayerDir) gives, and at least one: others would lead elsewhere.
fn layers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let layers = Vec::<String>::deserialize(deserializer)?;
    match layers.iter().find(|id| !is_layer(id)) {
        Some(id) => Err(D::Error::custom(format_args!("{id:?} names no layer"))),
        None if layers.is_empty() => Err(D::Error::custom("no layers")),
        None => Ok(layers),
    }
}

/// Those that [`Layout::environment`](super::git::Layout::environment) gives; what others would do to a command is not
/// the branch's to say.
fn environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let mut variables = Vec::<(String, String)>::deserialize(deserializer)?;
    variables.retain(|(name, _)| name == "GIT_DISCOVERY_ACROSS_FILESYSTEM");
    Ok(variables)
}

fn snapshot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(id) if !is_layer(&id) => Err(D::Error::custom(format_args!("{id:?} names no layer"))),
        id => Ok(id),
    }
}

fn is_layer(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file of ours that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {source}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// A later version has written it.
    #[error("{path} is of version {version}, and this program knows {VERSION} at most", path = path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Reads a JSON file with a `version` in it.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let bytes = std::fs::read(path).map_err(FileError::io(path))?;
    let damaged = |source| FileError::Damaged {
        path: path.to_owned(),
        source,
    };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(FileError::Newer {
            path: path.to_owned(),
            version,
        });
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// Whether a file has to be on the disk before anything goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is lost with the machine, and whole with the process.
    Process,
    /// It survives the machine.
    Machine,
}

/// Replaces a JSON file in one step.
pub(crate) fn store<T: Serialize>(path: &Path, value: &T, durability: Durability) -> Result<(), FileError> {
    // Two processes, or threads of one, may be at it at once.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let write = || {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        if durability == Durability::Machine {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)?;
        match (durability, path.parent()) {
            (Durability::Machine, Some(parent)) => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(FileError::io(path)).inspect_err(|_| {
        if let Err(error) = std::fs::remove_file(&temporary) {
            tracing::debug!(path = %temporary.display(), %error, "left behind");
        }
    })
}
