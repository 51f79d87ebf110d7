//! [`MountBuilder`] and [`Mount`]: a mount that another process serves.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::error::{MountError, UnmountError};
use super::mount::{self, Mounted, Options};

/// How long the kernel may take to write back what it still has of a mount that is in use.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a mount is like. Ends with [`mount`](Self::mount), for a server in another process, or goes into a
/// [`SessionBuilder`](super::SessionBuilder).
#[must_use]
#[derive(Debug, Clone, Default)]
pub struct MountBuilder {
    pub(super) options: Options,
}

/// Something that is mounted, and that whoever has its device serves. Dropped, it is unmounted; should this process be
/// killed, a guard does that.
#[derive(Debug)]
#[must_use = "dropped, it is unmounted"]
pub struct Mount {
    mounted: Mounted,
}

impl MountBuilder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
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

    /// What will be served is a directory, as most filesystems are: then a file is no mount point for it. Default: that is
    /// not known here, and a mount on the other kind answers everything with `EIO`.
    pub fn of_a_directory(mut self) -> Self {
        self.options.is_directory = true;
        self
    }

    /// Mounts it at `path`: the mount, and the device, which is for [`SessionBuilder::serve`] of the process that
    /// serves it. Whoever asks something of the mount waits until that answers.
    ///
    /// Root mounts by itself, everybody else by fusermount3.
    ///
    /// [`SessionBuilder::serve`]: super::SessionBuilder::serve
    pub fn mount(&self, path: impl AsRef<Path>) -> Result<(Mount, OwnedFd), MountError> {
        let (mounted, device) = mount::unserved(&self.options, path.as_ref())?;
        Ok((Mount { mounted }, device))
    }
}

impl Mount {
    /// Where it is.
    pub fn path(&self) -> Option<&Path> {
        self.mounted.path()
    }

    /// Unmounts it unless somebody uses it. Where that is so, it is given back.
    pub fn unmount(mut self) -> Result<(), (Self, UnmountError)> {
        match self.mounted.unmount() {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error)),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted.unmount().is_err() {
            self.mounted.sync(PATIENCE);
            self.mounted.detach();
        }
        self.mounted.close();
    }
}
