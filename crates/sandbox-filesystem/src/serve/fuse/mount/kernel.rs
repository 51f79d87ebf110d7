//! Mounting by the kernel's calls: with the caller's own rights, or in a user namespace.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags};

use super::super::error::MountError;
use super::point::{Kind, Point};
use super::{Mounted, Options};
use crate::sys::fuse::{Assembly, Detached, Failure, Step};
use crate::sys::guard::Guard;

/// Why nothing was mounted with the caller's own rights.
#[derive(Debug)]
pub(in super::super) enum NotHere {
    /// It has none to mount.
    NotPrivileged,
    /// They would do.
    Failed(MountError),
}

/// Mounts it with the caller's own rights, where nobody sees it yet.
pub(in super::super) fn here(options: &Options, kind: Kind) -> Result<Detached, NotHere> {
    let assembly = assembly(options, kind).map_err(NotHere::Failed)?;
    assembly.here().map_err(|failure| match failure.step {
        // The helper finds out for itself whether it may open the device.
        Step::Context => NotHere::NotPrivileged,
        Step::Device if !rustix::process::geteuid().is_root() && failure.errno != Errno::NOENT => {
            NotHere::NotPrivileged
        }
        _ => NotHere::Failed(explained(failure)),
    })
}

/// Mounts it where it will stay detached: with the caller's own rights, or in a user namespace.
pub(in super::super) fn anywhere(options: &Options) -> Result<Detached, MountError> {
    let assembly = assembly(options, Kind::Directory)?;
    match assembly.here() {
        Ok(detached) => Ok(detached),
        Err(failure) if failure.step == Step::Context => assembly.in_namespaces().map_err(explained),
        Err(failure) => Err(explained(failure)),
    }
}

/// Shows it at its mount point, and has it guarded.
pub(in super::super) fn attach(mount: &OwnedFd, point: &Point) -> Result<Mounted, MountError> {
    let path = point.path();
    let mut guard = Guard::ahead(path, None).map_err(|source| MountError::Resources { source })?;
    rustix::mount::move_mount(mount, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| MountError::Kernel { source: error.into() })?;
    match guard.mounted() {
        Ok(()) => Ok(Mounted::Here {
            path: path.to_owned(),
            guard,
        }),
        Err(source) => {
            // Nothing may be mounted that would stay when this process is killed.
            if let Err(error) = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH) {
                tracing::warn!(%error, path = %path.display(), "a mount stays in the tree");
            }
            Err(MountError::Resources { source })
        }
    }
}

fn assembly(options: &Options, kind: Kind) -> Result<Assembly, MountError> {
    let resources = |source| MountError::Resources { source };
    let text = |value: &str| {
        CString::new(value).map_err(|error| MountError::Kernel {
            source: io::Error::from(error),
        })
    };
    let root_mode = match kind {
        Kind::Directory => "40000",
        Kind::File => "100000",
    };
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let settings: Vec<(&'static CStr, CString)> = vec![
        (c"source", text(&options.fs_name)?),
        (c"subtype", text(&options.subtype)?),
        (c"rootmode", text(root_mode)?),
        (c"user_id", text(&uid.to_string())?),
        (c"group_id", text(&gid.to_string())?),
    ];
    let flags = [
        (options.allow_other, c"allow_other"),
        (options.default_permissions, c"default_permissions"),
        (options.read_only, c"ro"),
    ];
    let flags = flags.into_iter().filter(|flag| flag.0).map(|flag| flag.1);
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if options.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    Assembly::new(settings, flags.collect(), attributes).map_err(resources)
}

fn explained(failure: Failure) -> MountError {
    let source = io::Error::from(failure.errno);
    match (failure.step, failure.errno) {
        (Step::Device, Errno::NOENT | Errno::NODEV | Errno::NXIO) | (Step::Context, Errno::NODEV) => {
            MountError::NoDevice
        }
        (Step::Device, _) => MountError::DevicePermission { source },
        (Step::Namespaces, _) => MountError::Namespaces { source },
        (Step::Context | Step::Mount, _) => MountError::Kernel { source },
    }
}
