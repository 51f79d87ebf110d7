//! Mounting an overlay: here, or in a user namespace that is made for it and gone at once.
//!
//! What is mounted stays *detached*: it is reached through its descriptor alone, stands in no mount table, and goes
//! with the last descriptor, however its owner ends. So the child that makes the namespaces has nothing to live
//! for once the mount exists.
//!
//! Layers are opened in that child, since overlayfs takes them only from the mount namespace it is mounted in, under
//! descriptors whose numbers were reserved before.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::apart::{Identities, apart};

/// What fsconfig(2) takes as one value.
const MAX_VALUE: usize = 255;

/// An overlay that is ready to be mounted.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// Directories, each with the descriptor by which overlayfs is told of it.
    layers: Vec<(CString, OwnedFd)>,
    /// Options and their values, which name the descriptors.
    options: Vec<(&'static CStr, CString)>,
    identities: Identities,
}

/// What did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

/// The part that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// clone(2) with new user and mount namespaces.
    Namespaces,
    /// Mapping the caller's user and group into the user namespace.
    Identities,
    /// Opening a layer.
    Layer,
    /// fsopen(2): the right to mount anything, and overlayfs itself.
    Context,
    /// fsconfig(2) and fsmount(2): what overlayfs thinks of its layers.
    Mount,
}

impl Step {
    fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

impl Assembly {
    /// Of `lowers`, the topmost first, beneath `upper`. All paths are absolute.
    pub(crate) fn new(lowers: &[PathBuf], upper: &Path, work: &Path) -> io::Result<Self> {
        let layers: Vec<_> = lowers
            .iter()
            .map(PathBuf::as_path)
            .chain([upper, work])
            .map(|path| Ok((CString::new(path.as_os_str().as_bytes())?, reserved()?)))
            .collect::<io::Result<_>>()?;
        let names: Vec<_> = layers
            .iter()
            .map(|(_, fd)| format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .collect();
        let (below, above) = names.split_at(lowers.len());
        let joined = below.join(":");
        let mut options = Vec::new();
        if joined.len() <= MAX_VALUE {
            options.push((c"lowerdir", CString::new(joined)?));
        } else {
            // Linux 6.7 takes them one by one.
            for name in below {
                options.push((c"lowerdir+", CString::new(name.as_str())?));
            }
        }
        for (key, name) in [c"upperdir", c"workdir"].into_iter().zip(above) {
            options.push((key, CString::new(name.as_str())?));
        }
        Ok(Self {
            layers,
            options,
            identities: Identities::new()?,
        })
    }

    /// Mounts it with the caller's own rights. Async-signal-safe.
    pub(crate) fn here(&mut self) -> Result<OwnedFd, Failure> {
        // The first to fail without privileges, and cheap.
        let context =
            rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Step::Context.failed())?;
        for (path, fd) in &mut self.layers {
            open_as(path, fd).map_err(Step::Layer.failed())?;
        }
        self.configure(&context).map_err(Step::Mount.failed())
    }

    /// Mounts it in a user namespace of its own, in which the caller's user and group are the only ones.
    pub(crate) fn in_namespaces(&mut self) -> Result<OwnedFd, Failure> {
        let failed = |error: io::Error| Failure {
            step: Step::Namespaces,
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        };
        let mut result = Err(Failure {
            step: Step::Namespaces,
            errno: Errno::INTR,
        });
        apart(&mut || {
            let mapped = self.identities.map().map_err(Step::Identities.failed());
            result = mapped.and_then(|()| self.here());
        })
        .map_err(failed)?;
        result
    }

    fn configure(&self, context: &OwnedFd) -> Result<OwnedFd, Errno> {
        for (key, value) in &self.options {
            rustix::mount::fsconfig_set_string(context, *key, value.as_c_str())?;
        }
        rustix::mount::fsconfig_set_flag(context, c"userxattr")?;
        // Nothing is synced when it is unmounted; whoever keeps the upper syncs it.
        rustix::mount::fsconfig_set_flag(context, c"volatile")?;
        rustix::mount::fsconfig_create(context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }
}

/// A descriptor whose number stays when something else is opened under it.
fn reserved() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        c"/",
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn open_as(path: &CStr, fd: &mut OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::io::dup3(&opened, fd, rustix::io::DupFlags::CLOEXEC)
}
