//! How a filesystem shows what is stored: choices that backends and mounts share.

use serde::{Deserialize, Serialize};

/// Whether owner, group, mode, device and type of a file are kept beside the host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatVirtualization {
    /// They are kept in an extended attribute; a filesystem that cannot keep them is refused.
    #[default]
    Strict,
    /// They are kept where that is possible; elsewhere the host's own are shown, and it is reported.
    Relaxed,
    /// The host's own are shown and changed.
    Off,
}

/// Which permission bits a file whose mode is virtualized has on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPermissions {
    /// The owner's alone: 0600, and 0700 for directories.
    #[default]
    Private,
    /// Those of the virtual mode, and always read and write for the owner; never setuid or setgid.
    Mirror,
}

/// What a client may remember of a filesystem that others may change too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePolicy {
    /// Nothing: every look asks anew.
    Never,
    /// Names and attributes for a second, data from open to close.
    #[default]
    Auto,
    /// Everything: nobody else changes it.
    Always,
}
