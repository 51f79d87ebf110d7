//! [`PassthroughFs`]: a directory of the host, served.
//!
//! Nothing outside of the directory is reachable: entries are opened one name at a time from a directory that is open,
//! or by `openat2(2)` beneath one, links and mounts of procfs not followed, and what is found is compared with what is
//! looked for. Owner, group, mode, device and type can be kept in an extended attribute (`user.containers.override_stat`,
//! as containers/storage, fuse-overlayfs and libkrun know it), so that a plain user serves a tree of many owners.
//!
//! It needs /proc, and Linux 5.6 for `openat2(2)`. Permissions are checked by the kernel of whoever mounts it
//! (`default_permissions`), not here.
//!
//! # It is not
//! - a copy: what the host changes is seen, as soon as the cache policy lets it;
//! - a wall against the server's own user, who can change the directory as he likes.

pub(in crate::backend) mod attr;
mod builder;
mod charge;
pub(in crate::backend) mod config;
pub(in crate::backend) mod create;
pub(in crate::backend) mod dir;
mod error;
mod file_system;
pub(in crate::backend) mod handle;
pub(in crate::backend) mod host;
mod identity;
pub(in crate::backend) mod inode;
pub(in crate::backend) mod io;
pub(in crate::backend) mod link;
pub(in crate::backend) mod lock;
pub(in crate::backend) mod lookup;
pub(in crate::backend) mod names;
pub(in crate::backend) mod open;
pub(in crate::backend) mod owner;
pub(in crate::backend) mod privileges;
mod rename;
pub(in crate::backend) mod resolve;
mod statfs;
mod unlink;
mod watch;
pub(in crate::backend) mod xattr;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use builder::PassthroughBuilder;
pub use error::{PassthroughError, PassthroughProblem};
pub use identity::{IdRange, IdentityMap};
pub use watch::HostWatch;

use super::quota::QuotaKeeper;
use crate::fs::Capabilities;
use config::Config;
use handle::Handles;
use inode::{DescriptorCache, Identity, Table};
use lock::RecordLocks;
use watch::{Channel, Watches};

/// A directory of the host. See the [module](self).
///
/// ```
/// use sandbox_filesystem::backend::PassthroughFs;
/// use sandbox_filesystem::fs::{Context, DynFileSystem, ROOT_INO};
/// use sandbox_types::StatVirtualization;
///
/// let place = tempfile::tempdir()?;
/// std::fs::write(place.path().join("hello"), "there")?;
/// let fs = PassthroughFs::builder()
///     .root_dir(place.path())
///     .stat_virtualization(StatVirtualization::Off)
///     .build()?;
/// let entry = fs.lookup(&Context::new(0, 0), ROOT_INO, "hello".as_ref())?;
/// assert_eq!(entry.attr.size, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PassthroughFs {
    pub(in crate::backend) config: Config,
    /// For listing and syncing; its lock says that a quota is kept.
    pub(in crate::backend) root: OwnedFd,
    pub(in crate::backend) root_device: u64,
    /// Whether the content of files on the root's device is made when they are read.
    makes_content: bool,
    pub(in crate::backend) table: Table,
    pub(in crate::backend) cache: DescriptorCache,
    pub(in crate::backend) handles: Handles,
    pub(in crate::backend) locks: RecordLocks,
    /// What was agreed on with the kernel.
    agreed: AtomicU64,
    quota: Option<QuotaKeeper>,
    channel: Channel,
    watches: OnceLock<Watches>,
}

impl PassthroughFs {
    /// Starts building one.
    pub fn builder() -> PassthroughBuilder {
        PassthroughBuilder::default()
    }

    /// How many inodes are known, the root among them.
    pub fn known_inodes(&self) -> usize {
        self.table.len() + 1
    }

    /// Whether owner, group and mode are kept beside the host's own: what was asked for, where the host's filesystem can
    /// ([`StatVirtualization::Relaxed`](sandbox_types::StatVirtualization::Relaxed) goes on where it cannot).
    pub fn keeps_owners(&self) -> bool {
        self.config.is_virtual() && owner::supported(std::os::fd::AsFd::as_fd(&self.root))
    }

    pub(in crate::backend) fn new(
        config: Config,
        path: Arc<OwnedFd>,
        root: OwnedFd,
        quota: Option<QuotaKeeper>,
    ) -> std::io::Result<Self> {
        let stat = host::stat(std::os::fd::AsFd::as_fd(&*path))?;
        let identity = Identity::of(&stat);
        let table = Table::new(identity, u32::from(stat.stx_mode));
        table.root().state().path = Some(path);
        Ok(Self {
            makes_content: host::makes_content_when_read(std::os::fd::AsFd::as_fd(&root)),
            config,
            root,
            root_device: identity.device(),
            table,
            cache: DescriptorCache::new(),
            handles: Handles::default(),
            locks: RecordLocks::default(),
            agreed: AtomicU64::new(0),
            quota,
            channel: Channel::default(),
            watches: OnceLock::new(),
        })
    }

    /// The quota, to look at and to change; none where there is none.
    pub fn quota(&self) -> Option<&QuotaKeeper> {
        self.quota.as_ref()
    }

    pub(in crate::backend) fn agreed(&self, capability: Capabilities) -> bool {
        Capabilities::from_bits_truncate(self.agreed.load(Ordering::Relaxed)).contains(capability)
    }
}
