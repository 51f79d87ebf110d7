//! [`OverlayFs`]: read-only directories and a writable one on top of them, as one tree.
//!
//! The on-disk format is the one that the kernel's overlayfs has under `userxattr`: a tree written here mounts there, and
//! the reverse. Directories of lower layers can be renamed, and hard links stay together. A crash leaves every name as it
//! was before or as it was to be.
//!
//! It needs /proc, Linux 5.8 for whiteouts without privileges, and for the writable directory a filesystem with user
//! extended attributes, `RENAME_EXCHANGE` and `RENAME_WHITEOUT` (ext4, xfs, btrfs, tmpfs). Nobody else may change the layers
//! or the writable directory meanwhile; the latter is locked.
//!
//! # It is not
//! - a wall: permissions are checked by the kernel of whoever mounts it;
//! - a copy: a lower layer that is changed while it is served shows what the kernel has not looked at yet.

mod attr;
mod attributes;
mod builder;
mod check;
mod content;
mod copy_dir;
mod copy_file;
mod crash;
mod create;
mod dir;
mod error;
mod file_system;
mod held;
mod hidden;
mod index;
mod io;
mod kept;
mod lend;
mod link;
mod look;
mod lookup;
mod names;
mod newcomer;
mod number;
mod probe;
mod rename;
mod staging;
mod unlink;
mod xattr;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub use builder::{Durability, LayerFormat, OverlayBuilder};
pub use error::{OverlayError, OverlayProblem};
pub use held::HeldUpper;

use super::passthrough::PassthroughFs;
use super::passthrough::inode::{Inode, Parts};
use super::union::Once;
use crate::fs::{Errno, FsResult, Ino};
use held::Held;
use hidden::Hidden;
use index::Index;
use number::Numbers;
use staging::Staging;

/// Read-only layers and a writable directory on top. See the [module](self).
///
/// ```
/// use sandbox_filesystem::backend::OverlayFs;
/// use sandbox_filesystem::fs::{Context, DynFileSystem, ROOT_INO};
///
/// let place = tempfile::tempdir()?;
/// let [below, above] = ["below", "above"].map(|name| place.path().join(name));
/// for layer in [&below, &above] {
///     std::fs::create_dir(layer)?;
/// }
/// std::fs::write(below.join("hello"), "there")?;
/// let fs = OverlayFs::builder().layer(&below).layer(&above).read_only().build()?;
/// let entry = fs.lookup(&Context::new(0, 0), ROOT_INO, "hello".as_ref())?;
/// assert_eq!(entry.attr.size, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OverlayFs {
    /// Everything that concerns one file.
    host: PassthroughFs,
    numbers: Numbers,
    /// Of each layer, by its number; nothing for the upper.
    formats: Vec<LayerFormat>,
    /// None where it is read-only.
    upper: Option<Upper>,
    /// Whether clients are told that nothing is synced.
    without_fsync: bool,
    /// Whether names can be made that OCI layers keep for themselves.
    any_name: bool,
    /// What of the layers is not there.
    hidden: Hidden,
    /// Where its directories are on the host, the topmost first.
    shown: Vec<PathBuf>,
    /// Who is copied up now.
    copying: Once<Ino>,
    /// Held by renames that can change what is above what.
    renames: Mutex<()>,
}

/// What belongs to the writable directory.
#[derive(Debug)]
struct Upper {
    staging: Staging,
    index: Index,
    durability: Durability,
    /// Whether an attribute that cannot be copied up is an error.
    strict: bool,
    _locks: [Held; 2],
}

impl OverlayFs {
    /// Starts building one.
    pub fn builder() -> OverlayBuilder {
        OverlayBuilder::default()
    }

    /// How many inodes are known, the root among them.
    pub fn known_inodes(&self) -> usize {
        self.host.known_inodes()
    }

    /// `EROFS` where nothing can be changed.
    fn upper(&self) -> FsResult<&Upper> {
        self.upper.as_ref().ok_or(Errno::EROFS)
    }

    /// `ENOSYS` where nothing is synced: the kernel asks no more then, and tells its callers that all is well.
    fn check_syncs(&self) -> FsResult<()> {
        if self.without_fsync {
            return Err(Errno::ENOSYS);
        }
        Ok(())
    }

    /// `ENOTDIR` for what is none.
    fn directory(&self, number: Ino) -> FsResult<Arc<Inode>> {
        let inode = self.host.table.get(number)?;
        if inode.type_bits() == libc::S_IFDIR {
            Ok(inode)
        } else {
            Err(Errno::ENOTDIR)
        }
    }
}

/// Of a directory; one that was just made has nothing beneath.
fn parts(dir: &Inode) -> &Parts {
    dir.parts.get_or_init(|| Box::new(Parts::new(Vec::new())))
}
