//! Mounts: what appears where inside a sandbox. Sources are names, never live objects.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ByteSize;

/// One entry of the composed root: `source` appears at `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute path inside the sandbox.
    pub at: PathBuf,
    /// What appears there.
    pub source: MountSource,
    /// Whether the command may write to it.
    #[serde(default)]
    pub access: Access,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MountSource {
    /// A file or directory of the host, with the mounts beneath it.
    Bind(PathBuf),
    /// An empty file system in memory, gone with the sandbox.
    Tmpfs {
        /// The most it may hold.
        size: ByteSize,
    },
}

/// What may be done with a granted path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read, list and execute.
    #[default]
    Read,
    /// Everything `Read` allows, and write, create, rename, remove.
    Write,
}
