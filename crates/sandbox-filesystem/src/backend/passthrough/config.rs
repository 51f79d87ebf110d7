//! What a [`PassthroughFs`](super::PassthroughFs) was built with.

use std::ffi::OsString;
use std::time::Duration;

use sandbox_types::{CachePolicy, HostPermissions, StatVirtualization};

use super::identity::IdentityMap;
use super::names::{Mapping, Names};
use super::owner::Dialects;

#[derive(Debug)]
pub(in crate::backend) struct Config {
    pub(in crate::backend) stat: StatVirtualization,
    pub(in crate::backend) permissions: HostPermissions,
    /// Where what is kept beside the host's stat data is kept.
    pub(in crate::backend) owners: Dialects,
    pub(in crate::backend) identity: IdentityMap,
    pub(in crate::backend) access: Access,
    pub(in crate::backend) cache: CachePolicy,
    pub(in crate::backend) writeback: bool,
    pub(in crate::backend) entry_timeout: Duration,
    pub(in crate::backend) attr_timeout: Duration,
    /// The one name that the root has.
    pub(in crate::backend) only: Option<OsString>,
    /// Whether what is served is made of layers.
    pub(in crate::backend) layered: bool,
    /// Whether the server may give files to others.
    pub(in crate::backend) privileged: bool,
    /// Of every entry: another one for each time that the filesystem is built.
    pub(in crate::backend) generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Access {
    ReadOnly,
    ReadWrite,
}

impl Config {
    /// Whether stat data is kept beside the host's own.
    pub(in crate::backend) fn is_virtual(&self) -> bool {
        self.stat != StatVirtualization::Off
    }

    pub(in crate::backend) fn names(&self) -> Mapping {
        let names = if self.is_virtual() {
            Names::Virtual
        } else {
            Names::Host
        };
        Mapping {
            names,
            layered: self.layered,
        }
    }
}
