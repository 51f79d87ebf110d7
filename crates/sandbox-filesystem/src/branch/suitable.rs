//! Whether the kernel's overlayfs can be had for a directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::submounts;

/// Why overlayfs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsuitable {
    /// Its branches would be on a file system that cannot hold an upper layer.
    #[error("{path} is on {kind}, which cannot hold what overlayfs writes", path = path.display())]
    Upper {
        /// Where the branches are.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// Something is mounted inside the workspace.
    #[error("{path} is a mount of its own inside the workspace, which overlayfs does not show", path = path.display())]
    Submount {
        /// Where.
        path: PathBuf,
    },
    /// Namespaces are not to be had here.
    #[error("there are no user namespaces to mount it in")]
    NoNamespaces,
    /// What is to be served through FUSE cannot be.
    #[error("/dev/fuse cannot be opened: {0}")]
    NoFuse(String),
    /// The overlay that is to be served cannot be built.
    #[error("{0}")]
    Served(String),
    /// The kernel has said no.
    #[error("the kernel refuses to mount it: {0}")]
    Refused(String),
}

/// File systems that answer EINVAL, or worse, as an upper layer (statfs(2)).
const NO_UPPERS: &[(u64, &str)] = &[
    (0x794c_7630, "overlayfs"),
    (0x6969, "NFS"),
    (0x6573_5546, "FUSE"),
    (0x4d44, "FAT"),
    (0x2011_bab0, "exFAT"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0xf15f, "ecryptfs"),
    (0x9fa0, "proc"),
    (0x7366_746e, "NTFS"),
];

/// Looks at the file system that `storage` is on and at what is mounted beneath `base`.
pub(crate) fn check(base: &Path, storage: &Path) -> Result<(), Unsuitable> {
    if let Some(kind) = rustix::fs::statfs(storage)
        .ok()
        .and_then(|stat| refused(stat.f_type))
    {
        return Err(Unsuitable::Upper {
            path: storage.to_owned(),
            kind,
        });
    }
    match submounts::beneath(base).into_iter().next() {
        Some(path) => Err(Unsuitable::Submount { path }),
        None => Ok(()),
    }
}

/// Whether something can be served through FUSE.
pub(crate) fn check_device() -> Result<(), Unsuitable> {
    let opened = File::options().read(true).write(true).open("/dev/fuse");
    opened
        .map(drop)
        .map_err(|error| Unsuitable::NoFuse(error.to_string()))
}

#[expect(clippy::cast_sign_loss, reason = "magic numbers are 32 bits in a signed word")]
fn refused(magic: rustix::fs::FsWord) -> Option<&'static str> {
    let magic = magic as u64 & 0xffff_ffff;
    NO_UPPERS
        .iter()
        .find_map(|(known, kind)| (*known == magic).then_some(*kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_cannot_hold_an_upper() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(
            check(place.path(), Path::new("/proc")),
            Err(Unsuitable::Upper { kind: "proc", .. })
        ));
    }
}
