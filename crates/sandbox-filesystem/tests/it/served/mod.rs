//! Filesystems served through /dev/fuse.

mod coherency;
mod ends;
mod interop;
mod invalidates;
mod memory;
mod mounts;
mod stays_alive;
mod tiny;
mod writeback;

use std::sync::Arc;

use sandbox_filesystem::serve::fuse::{MountError, Session};

use tiny::Tiny;

/// A mount of a tiny filesystem, or why this machine cannot have one.
pub(crate) fn session(fs: &Arc<Tiny>, path: &std::path::Path) -> Result<Session, String> {
    usable(builder(fs).mount(path))
}

pub(crate) fn builder(fs: &Arc<Tiny>) -> sandbox_filesystem::serve::fuse::SessionBuilder {
    Session::builder(Arc::clone(fs) as Arc<dyn sandbox_filesystem::fs::DynFileSystem>)
}

/// Panics where it is not the machine's fault.
pub(crate) fn usable(mounted: Result<Session, MountError>) -> Result<Session, String> {
    match mounted {
        Ok(session) => Ok(session),
        Err(error) if crate::harness::is_root() && std::path::Path::new("/dev/fuse").exists() => {
            panic!("{error:?}")
        }
        Err(
            error @ (MountError::NoDevice
            | MountError::DevicePermission { .. }
            | MountError::NoHelper
            | MountError::Namespaces { .. }),
        ) => Err(error.to_string()),
        Err(MountError::Helper { said, .. }) if said.contains("/dev/fuse") => Err(said),
        Err(error) => panic!("{error:?}"),
    }
}

/// A mount, or the end of the test.
macro_rules! mounted {
    ($fs:expr, $path:expr) => {
        match $crate::served::session($fs, $path) {
            Ok(session) => session,
            Err(reason) => skip!("{reason}"),
        }
    };
}
pub(crate) use mounted;
