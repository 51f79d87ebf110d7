//! Which attribute the owners of a tree are kept in.
//!
//! fuse-overlayfs up to 1.10 has names of its own, and goes by the root of a tree which one it is; it fails on a file that
//! lacks it. So a tree that begins with one of those goes on with it, and stays what both can read.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use sandbox_types::OverrideStat;

use crate::backend::passthrough::host::getxattr;

/// Where the owners of one tree are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::backend) enum Dialect {
    /// As containers/storage, libkrun and later versions of fuse-overlayfs have it.
    #[default]
    Containers,
    /// `xattr_permissions=2` of fuse-overlayfs up to 1.10.
    FuseOverlayfs,
    /// Its `xattr_permissions=1`: nobody sets it without CAP_SYS_ADMIN.
    Privileged,
}

impl Dialect {
    /// Of the tree that begins with a directory, in the order in which fuse-overlayfs asks. Nothing is written.
    pub(in crate::backend) fn of(root: BorrowedFd<'_>) -> Self {
        [Self::Privileged, Self::Containers, Self::FuseOverlayfs]
            .into_iter()
            .find(|dialect| getxattr(root, OsStr::new(dialect.name()), &mut []).is_ok())
            .unwrap_or_default()
    }

    pub(in crate::backend) fn name(self) -> &'static str {
        match self {
            Self::Containers => OverrideStat::CONTAINERS,
            Self::FuseOverlayfs => OverrideStat::FUSE_OVERLAYFS,
            Self::Privileged => OverrideStat::FUSE_OVERLAYFS_PRIVILEGED,
        }
    }
}

/// Those of a filesystem, which may be made of several trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::backend) struct Dialects {
    /// Of the tree that is written.
    pub(super) written: Dialect,
    /// Those that are read where the one of containers is not there.
    pub(super) others: [Option<Dialect>; 2],
}

impl Dialects {
    /// Of a tree.
    pub(in crate::backend) fn one(dialect: Dialect) -> Self {
        Self::several(Some(dialect), [dialect])
    }

    /// Of the tree that is written, if one is, and all that are read.
    pub(in crate::backend) fn several(
        written: Option<Dialect>,
        read: impl IntoIterator<Item = Dialect>,
    ) -> Self {
        let mut others = [None; 2];
        for dialect in read {
            match dialect {
                Dialect::Containers => {}
                Dialect::FuseOverlayfs => others[0] = Some(dialect),
                Dialect::Privileged => others[1] = Some(dialect),
            }
        }
        Self {
            written: written.unwrap_or_default(),
            others,
        }
    }
}
