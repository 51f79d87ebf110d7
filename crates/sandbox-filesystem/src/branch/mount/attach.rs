//! Mounting the overlay, and putting it where it is to be reached.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags};

use super::super::lock::Held;
use super::check::Directories;
use super::config::OverlayPlace;
use super::error::OverlayError;
use crate::sys::guard::Guard;
use crate::sys::overlay::{Assembly, Failure, Step};

/// What keeps the view mounted.
#[derive(Debug)]
pub(super) enum View {
    /// The descriptor does.
    Private {
        /// The detached mount.
        _mount: OwnedFd,
    },
    /// It stands in the mount table.
    Merged(Guard),
}

/// Mounts it; where it is reached.
pub(super) fn mount(
    directories: &Directories,
    place: OverlayPlace,
    locks: &[Held],
) -> Result<(View, PathBuf), OverlayError> {
    show(detached(directories, place)?, place, &directories.merged, locks)
}

/// A view that shows nowhere yet, and whether its mounter may make it do so.
enum Detached {
    Movable(OwnedFd),
    InNamespace(OwnedFd),
}

/// Mounts it with the caller's own rights, else in a user namespace.
fn detached(directories: &Directories, place: OverlayPlace) -> Result<Detached, OverlayError> {
    let Directories {
        lowers, upper, work, ..
    } = directories;
    let mut assembly =
        Assembly::new(lowers, upper, work).map_err(OverlayError::io("prepare the mount of", upper))?;
    match assembly.here() {
        Err(Failure {
            step: Step::Context,
            errno: Errno::PERM,
        }) if place != OverlayPlace::Merged => assembly.in_namespaces().map(Detached::InNamespace),
        result => result.map(Detached::Movable),
    }
    .map_err(|Failure { step, errno }| {
        let source = errno.into();
        match (step, errno) {
            (Step::Context, Errno::PERM) if place == OverlayPlace::Merged => OverlayError::NotPrivileged {
                merged: directories.merged.clone(),
                source,
            },
            (Step::Namespaces | Step::Identities, _) | (Step::Context, Errno::PERM | Errno::ACCESS) => {
                OverlayError::NoNamespaces { source }
            }
            _ => OverlayError::Refused { source },
        }
    })
}

/// Puts the view where it is to be reached.
fn show(
    view: Detached,
    place: OverlayPlace,
    merged: &Path,
    locks: &[Held],
) -> Result<(View, PathBuf), OverlayError> {
    let view = match view {
        Detached::Movable(view) if place != OverlayPlace::Private => {
            attach(&view, merged)?;
            // It would be in use by us.
            drop(view);
            return Ok((View::Merged(guard(merged, locks)?), merged.to_owned()));
        }
        Detached::Movable(view) | Detached::InNamespace(view) => view,
    };
    let path = format!("/proc/{}/fd/{}", std::process::id(), view.as_raw_fd());
    Ok((View::Private { _mount: view }, path.into()))
}

/// Makes a detached mount show at `merged`, which keeps it from then on.
fn attach(view: &OwnedFd, merged: &Path) -> Result<(), OverlayError> {
    fs::create_dir_all(merged).map_err(OverlayError::io("make", merged))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(view, c"", CWD, merged, flags)
        .map_err(|errno| OverlayError::io("mount at", merged)(errno.into()))
}

fn guard(merged: &Path, locks: &[Held]) -> Result<Guard, OverlayError> {
    let locks: Vec<_> = locks.iter().map(AsFd::as_fd).collect();
    Guard::start(merged, &locks).map_err(|source| {
        if let Err(error) = rustix::mount::unmount(merged, UnmountFlags::DETACH) {
            tracing::warn!(path = %merged.display(), %error, "left mounted");
        }
        OverlayError::io("guard the mount at", merged)(source)
    })
}
