//! What is left out of layers: named when the overlay is built, or mounted inside one.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, Statx, StatxAttributes};

use super::check::Opened;
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::{Identity, Layer};
use crate::backend::passthrough::resolve::{BENEATH, STAND_IN};

/// Names that are left out, by the directory of a layer that they are in.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    names: HashMap<Identity, HashSet<OsString>>,
    mounts: bool,
}

impl Hidden {
    /// Those of the host's `paths` that are in one of the `layers`, the bottom one first.
    pub(super) fn beneath(layers: &[Opened], paths: &[PathBuf], mounts: bool) -> Self {
        let mut names: HashMap<_, HashSet<_>> = HashMap::new();
        for (number, layer) in (1..).zip(layers) {
            let Ok(root) = layer.path.canonicalize() else {
                continue;
            };
            let inside = paths.iter().filter_map(|path| path.strip_prefix(&root).ok());
            for path in inside {
                if let (Some(name), Some(parent)) = (path.file_name(), parent_of(layer, number, path)) {
                    names.entry(parent).or_default().insert(name.to_owned());
                }
            }
        }
        Self { names, mounts }
    }

    /// Whether any name is.
    pub(super) fn has_any(&self) -> bool {
        !self.names.is_empty()
    }

    /// The names that are in a directory.
    pub(super) fn of(&self, directory: Identity) -> Option<&HashSet<OsString>> {
        self.names.get(&directory)
    }

    /// Whether a name is in a directory.
    pub(super) fn hides(&self, directory: Identity, name: &OsStr) -> bool {
        self.of(directory).is_some_and(|names| names.contains(name))
    }

    /// Whether it is the root of a mount, and mounts are left out.
    pub(super) fn is_mount(&self, stat: &Statx) -> bool {
        let root = StatxAttributes::MOUNT_ROOT;
        self.mounts && stat.stx_attributes_mask.contains(root) && stat.stx_attributes.contains(root)
    }
}

/// The directory that `path`, from the root of a layer, is in; none where there is none.
fn parent_of(layer: &Opened, number: Layer, path: &Path) -> Option<Identity> {
    let parent = path.parent()?;
    let stat = if parent.as_os_str().is_empty() {
        host::stat(layer.fd.as_fd())
    } else {
        rustix::fs::openat2(&layer.fd, parent, STAND_IN, Mode::empty(), BENEATH)
            .and_then(|parent| host::stat(parent.as_fd()))
    };
    Some(Identity::of(&stat.ok()?).in_layer(number))
}
