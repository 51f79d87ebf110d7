//! [`SessionBuilder`]: how a filesystem is to be mounted and served.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;

use super::backing::DeviceBacking;
use super::error::MountError;
use super::link::Link;
use super::mount::{self, Mounted};
use super::mounting::MountBuilder;
use super::near::{self, Surroundings};
use super::notify::Channel;
use super::pool::{Bounds, Pool};
use super::session::Session;
use crate::fs::{Capabilities, Context, DynFileSystem, ROOT_INO};
use crate::serve::{Server, ServerOptions};
use crate::sys::signals::SignalsBlocked;

/// How a filesystem is mounted and served. Ends with [`mount`](Self::mount), [`mount_detached`](Self::mount_detached)
/// or [`serve`](Self::serve).
#[must_use]
#[derive(Debug, Clone)]
pub struct SessionBuilder {
    pub(super) served: Served,
    mount: MountBuilder,
    server: ServerOptions,
    backing: bool,
    beside_callers: bool,
    most_workers: usize,
    /// Whether it is served in a sandbox.
    pub(super) inside: Arc<AtomicBool>,
}

/// Who has made a connection, in whose pid namespace its callers are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounter {
    Own,
    /// Perhaps a process in a namespace of its own.
    Other,
}

#[derive(Clone)]
pub(super) struct Served(pub(super) Arc<dyn DynFileSystem>);

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a filesystem")
    }
}

impl SessionBuilder {
    pub(super) fn new(fs: Arc<dyn DynFileSystem>) -> Self {
        Self {
            served: Served(fs),
            mount: MountBuilder::default(),
            server: ServerOptions::default(),
            backing: false,
            beside_callers: true,
            most_workers: 64,
            inside: Arc::default(),
        }
    }

    /// How it is to be mounted, all at once.
    pub fn mounted_as(mut self, mount: MountBuilder) -> Self {
        self.mount = mount;
        self
    }

    /// The source that the mount table shows. Default: `sandbox`. A name with a zero byte makes mounting fail.
    pub fn fs_name(mut self, name: impl Into<String>) -> Self {
        self.mount = self.mount.fs_name(name);
        self
    }

    /// What the mount table shows after `fuse.`. Default: `sandbox`. A zero byte makes mounting fail.
    pub fn subtype(mut self, subtype: impl Into<String>) -> Self {
        self.mount = self.mount.subtype(subtype);
        self
    }

    /// Other users may reach the mount too. Default: the mounting user only, not even root. For others than root it
    /// needs the line `user_allow_other` in /etc/fuse.conf.
    pub fn allow_other(mut self) -> Self {
        self.mount = self.mount.allow_other();
        self
    }

    /// The kernel checks permissions by owner, group, mode and ACLs. This is the default.
    pub fn default_permissions(mut self) -> Self {
        self.mount = self.mount.default_permissions();
        self
    }

    /// The kernel checks no permissions: the filesystem does, or nobody.
    pub fn without_default_permissions(mut self) -> Self {
        self.mount = self.mount.without_default_permissions();
        self
    }

    /// Nothing can be changed through the mount. Default: it can; `mount -i -o remount,ro` changes it later.
    pub fn read_only(mut self) -> Self {
        self.mount = self.mount.read_only();
        self
    }

    /// The directory may have something in it, which is hidden. Default: that is an error.
    pub fn over_what_is_there(mut self) -> Self {
        self.mount = self.mount.over_what_is_there();
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
        self.backing = true;
        self
    }

    /// Whether a worker that listens alone runs on the processor of whoever asks: faster where processors wake one another
    /// slowly, as in virtual machines. Only where this process may (`CAP_SYS_NICE`, or an `RLIMIT_NICE` of 20) and it is not
    /// the only worker. Default: true; else it runs wherever the kernel puts it.
    pub fn beside_callers(mut self, wanted: bool) -> Self {
        self.beside_callers = wanted;
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
        let options = &self.mount.options;
        let point = mount::Point::check(path.as_ref(), options)?;
        match mount::here(options, point.kind()) {
            Ok(detached) => {
                let pool = self.start_at(detached.device, &point)?;
                let mounted = mount::attach(&detached.mount, &point).inspect_err(|_| pool.end())?;
                Ok(Session::new(pool, mounted))
            }
            Err(mount::NotHere::NotPrivileged) => {
                let (device, mounted) = mount::Helper::mount(options, &point)?;
                // Dropped on an error, it unmounts.
                let pool = self.start_at(device, &point)?;
                Ok(Session::new(pool, mounted))
            }
            Err(mount::NotHere::Failed(error)) => Err(error),
        }
    }

    /// Mounts it where it is in nobody's way: it stands in no mount table, and is reached through
    /// [`Session::root`] alone. Needs a user namespace (or root), and neither a mount point nor a helper.
    pub fn mount_detached(self) -> Result<Session, MountError> {
        let detached = mount::anywhere(&self.mount.options)?;
        let pool = self.start(detached.device, Mounter::Own)?;
        Ok(Session::new(pool, Mounted::Detached(detached.mount)))
    }

    /// Serves what somebody else has mounted with this open /dev/fuse, or is about to. Ending the session ends the
    /// connection; unmounting is left to whoever mounted it.
    pub fn serve(self, device: OwnedFd) -> Result<Session, MountError> {
        let pool = self.start(device, Mounter::Other)?;
        Ok(Session::new(pool, Mounted::Elsewhere))
    }

    /// Starts it where its root is what the mount point is.
    fn start_at(&self, device: OwnedFd, point: &mount::Point) -> Result<Arc<Pool>, MountError> {
        let pool = self.start(device, Mounter::Own)?;
        // One that does not say what its root is says so to whoever asks.
        if let Ok((root, _)) = self.served.0.getattr(&Context::new(0, 0), ROOT_INO, None) {
            let is_directory = root.mode & libc::S_IFMT == libc::S_IFDIR;
            point.check_root(is_directory).inspect_err(|_| pool.end())?;
        }
        Ok(pool)
    }

    /// Where workers may run, if they are to run beside their callers.
    ///
    /// Whoever looks where a caller is may be the last to hold its memory (`mmput` of /proc/TID/stat), and then waits until
    /// what it has changed of mapped files is written: by another worker, which there has to be.
    fn near(&self, mounter: Mounter) -> Option<Surroundings> {
        let is_wanted = self.beside_callers && self.most_workers > 1;
        let processors = is_wanted.then(near::possible).flatten()?;
        Some(Surroundings {
            processors,
            knows_callers: mounter == Mounter::Own,
        })
    }

    fn start(&self, device: OwnedFd, mounter: Mounter) -> Result<Arc<Pool>, MountError> {
        let link = Link::new(device).map_err(|source| MountError::Resources { source })?;
        let link = Arc::new(link);
        let mut options = self.server.clone();
        if !self.mount.options.default_permissions {
            // A kernel that asks for ACLs checks permissions, whatever it was mounted with.
            options.withheld |= Capabilities::POSIX_ACL;
        }
        if self.backing {
            options.backing = Some(Arc::new(DeviceBacking(Arc::clone(&link))));
        }
        let channel = Channel(Arc::downgrade(&link));
        self.served.0.attach_invalidate(Arc::new(channel));
        let server = Server::new(Arc::clone(&self.served.0), options);
        let cpus = available_parallelism().map_or(2, usize::from);
        let bounds = Bounds {
            idle: (2 * cpus).min(self.most_workers),
            most: self.most_workers,
            processors: cpus,
            near: self.near(mounter),
        };
        let pool = Pool::new(server, link, self.server.max_io, bounds);
        let resources = |source| MountError::Resources { source };
        {
            // A signal is for the program's own threads: every worker descends from one that is started here.
            let _blocked = SignalsBlocked::new().map_err(resources)?;
            pool.start().map_err(resources)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemFs;
    use sandbox_types::SizeExt;

    #[test]
    fn a_worker_that_is_the_only_one_runs_wherever_the_kernel_puts_it() {
        let fs = MemFs::builder().capacity(1.mib()).build().unwrap();
        let fs = Arc::new(fs);
        let apart = SessionBuilder::new(fs.clone()).beside_callers(false);
        assert!(apart.near(Mounter::Own).is_none());
        let builder = SessionBuilder::new(fs);
        let (own, other) = (builder.near(Mounter::Own), builder.near(Mounter::Other));
        assert_eq!(own.map(|all| all.processors), near::possible());
        assert!(own.is_none_or(|all| all.knows_callers));
        assert!(other.is_none_or(|all| !all.knows_callers));
        assert!(builder.most_workers(1).near(Mounter::Own).is_none());
    }
}
