//! What a [`PassthroughFs`](super::PassthroughFs) was built with.

use std::ffi::OsString;
use std::time::Duration;

use sandbox_types::{CachePolicy, HostPermissions, StatVirtualization};

use super::identity::IdentityMap;
use super::names::Names;

#[derive(Debug)]
pub(super) struct Config {
    pub(super) stat: StatVirtualization,
    pub(super) permissions: HostPermissions,
    pub(super) identity: IdentityMap,
    pub(super) access: Access,
    pub(super) cache: CachePolicy,
    pub(super) writeback: bool,
    pub(super) entry_timeout: Duration,
    pub(super) attr_timeout: Duration,
    /// The one name that the root has.
    pub(super) only: Option<OsString>,
    /// Whether the server may give files to others.
    pub(super) privileged: bool,
    /// Of every entry: another one for each time that the filesystem is built.
    pub(super) generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

impl Config {
    /// Whether stat data is kept beside the host's own.
    pub(super) fn is_virtual(&self) -> bool {
        self.stat != StatVirtualization::Off
    }

    pub(super) fn names(&self) -> Names {
        if self.is_virtual() {
            Names::Virtual
        } else {
            Names::Host
        }
    }
}
