//! [`SessionBuilder`]: how a filesystem is to be mounted and served.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use super::backing::DeviceBacking;
use super::error::MountError;
use super::link::Link;
use super::mount::{self, Mounted, Options};
use super::notify::Channel;
use super::pool::{Bounds, Pool};
use super::session::Session;
use crate::fs::{Capabilities, DynFileSystem};
use crate::serve::{Backing, Server, ServerOptions};

/// How a filesystem is mounted and served. Ends with [`mount`](Self::mount), [`mount_detached`](Self::mount_detached)
/// or [`serve`](Self::serve).
#[must_use]
#[derive(Debug)]
pub struct SessionBuilder {
    served: Served,
    options: Options,
    server: ServerOptions,
    backing: Option<Arc<DeviceBacking>>,
    most_workers: usize,
}

struct Served(Arc<dyn DynFileSystem>);

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a filesystem")
    }
}

impl SessionBuilder {
    pub(super) fn new(fs: Arc<dyn DynFileSystem>) -> Self {
        Self {
            served: Served(fs),
            options: Options::default(),
            server: ServerOptions::default(),
            backing: None,
            most_workers: 64,
        }
    }

    /// The source that the mount table shows. Default: `sandbox`. A name with a zero byte makes mounting fail.
    pub fn fs_name(mut self, name: impl Into<String>) -> Self {
        self.options.fs_name = name.into();
        self
    }

    /// What the mount table shows after `fuse.`. Default: `sandbox`. A zero byte makes mounting fail.
    pub fn subtype(mut self, subtype: impl Into<String>) -> Self {
        self.options.subtype = subtype.into();
        self
    }

    /// Other users may reach the mount too. Default: the mounting user only, not even root. For others than root it
    /// needs the line `user_allow_other` in /etc/fuse.conf.
    pub fn allow_other(mut self) -> Self {
        self.options.allow_other = true;
        self
    }

    /// The kernel checks permissions by owner, group, mode and ACLs. This is the default.
    pub fn default_permissions(mut self) -> Self {
        self.options.default_permissions = true;
        self
    }

    /// The kernel checks no permissions: the filesystem does, or nobody.
    pub fn without_default_permissions(mut self) -> Self {
        self.options.default_permissions = false;
        self
    }

    /// Nothing can be changed through the mount. Default: it can; `mount -i -o remount,ro` changes it later.
    pub fn read_only(mut self) -> Self {
        self.options.read_only = true;
        self
    }

    /// The directory may have something in it, which is hidden. Default: that is an error.
    pub fn over_what_is_there(mut self) -> Self {
        self.options.non_empty = true;
        self
    }

    /// Without these capabilities, though kernel and filesystem have them. Default: with all.
    pub fn withhold(mut self, capabilities: Capabilities) -> Self {
        self.server.withheld |= capabilities;
        self
    }

    /// The kernel reads and writes the host's files behind the filesystem itself, where it has such
    /// ([`backing_file`](DynFileSystem::backing_file)). Default: every read and write that is not cached is a request.
    ///
    /// Needs Linux 6.9 and root; elsewhere it changes nothing. Excludes the write-back cache.
    pub fn backing_files(mut self) -> Self {
        let backing = Arc::new(DeviceBacking::default());
        self.server.backing = Some(Arc::clone(&backing) as Arc<dyn Backing>);
        self.backing = Some(backing);
        self
    }

    /// How many requests may be worked on at once; more wait in the kernel. Requests that wait for a lock do not
    /// count. Default: 64. At least 1.
    pub fn most_workers(mut self, most: usize) -> Self {
        self.most_workers = most.max(1);
        self
    }

    /// Mounts it at `path` and serves it. It is ready when this returns.
    ///
    /// Root mounts by itself, everybody else by fusermount3.
    pub fn mount(self, path: impl AsRef<Path>) -> Result<Session, MountError> {
        let point = mount::Point::check(path.as_ref(), &self.options)?;
        match mount::here(&self.options, point.kind()) {
            Ok(detached) => {
                let pool = self.start(detached.device)?;
                let mounted = mount::attach(&detached.mount, &point).inspect_err(|_| pool.end())?;
                Ok(Session::new(pool, mounted))
            }
            Err(mount::NotHere::NotPrivileged) => {
                let (device, mounted) = mount::Helper::mount(&self.options, &point)?;
                // Dropped on an error, it unmounts.
                let pool = self.start(device)?;
                Ok(Session::new(pool, mounted))
            }
            Err(mount::NotHere::Failed(error)) => Err(error),
        }
    }

    /// Mounts it where it is in nobody's way: it stands in no mount table, and is reached through
    /// [`Session::root`] alone. Needs a user namespace (or root), and neither a mount point nor a helper.
    pub fn mount_detached(self) -> Result<Session, MountError> {
        let detached = mount::anywhere(&self.options)?;
        let pool = self.start(detached.device)?;
        Ok(Session::new(pool, Mounted::Detached(detached.mount)))
    }

    /// Serves what somebody else has mounted with this open /dev/fuse, or is about to. Ending the session ends the
    /// connection; unmounting is left to whoever mounted it.
    pub fn serve(self, device: OwnedFd) -> Result<Session, MountError> {
        let pool = self.start(device)?;
        Ok(Session::new(pool, Mounted::Elsewhere))
    }

    fn start(&self, device: OwnedFd) -> Result<Arc<Pool>, MountError> {
        let link = Link::new(device).map_err(|source| MountError::Resources { source })?;
        let link = Arc::new(link);
        if let Some(backing) = &self.backing {
            let _ = backing.link.set(Arc::clone(&link));
        }
        let channel = Channel(Arc::downgrade(&link));
        self.served.0.attach_invalidate(Arc::new(channel));
        let server = Server::new(Arc::clone(&self.served.0), self.server.clone());
        let cpus = available_parallelism().map_or(2, usize::from);
        let bounds = Bounds {
            idle: (2 * cpus).min(self.most_workers),
            most: self.most_workers,
            processors: cpus,
        };
        let pool = Pool::new(server, link, self.server.max_io, bounds);
        pool.start().map_err(|source| MountError::Resources { source })?;
        match pool.greeted() {
            Some(Ok(())) => Ok(pool),
            Some(Err(source)) => {
                pool.end();
                Err(MountError::Refused { source })
            }
            None => Err(MountError::Refused {
                source: crate::fs::Errno::ENODEV,
            }),
        }
    }
}
