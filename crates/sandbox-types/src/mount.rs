//! Mounts: what appears where inside a sandbox. Sources are names, never live objects.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, ServedName, VolumeName};

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
    /// An overlay file system: what is written goes to a directory of its own, the rest stays as it is.
    Overlay(Overlay),
    /// A volume, by its name. It has to be attached before anything starts: whoever starts a policy that still
    /// names one is refused.
    Volume(VolumeName),
    /// A filesystem that whoever starts the sandbox serves, by the name under which it is given to it. It is shown at
    /// one place.
    Served(ServedName),
}

/// A copy-on-write view, as the kernel's overlayfs makes it in the sandbox's own user namespace
/// (`userxattr`, see Documentation/filesystems/overlayfs.rst).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// The layers that are only read, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where everything goes that is written.
    pub upper: PathBuf,
    /// An empty directory on the upper's file system, for the kernel.
    pub work: PathBuf,
    /// A file on which the sandbox holds an exclusive flock(2) for as long as anything in it lives, so that no
    /// upper is ever mounted twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<PathBuf>,
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
