//! Named volumes: directories with a quota or ext4 disks, in a catalog that survives crashes.
//!
//! Start with [`Volume`] for volumes by name on the caller's own machine, [`LocalBackend`] for a place of your own,
//! [`VolumeFs`] for what is in a volume.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use sandbox_types::SizeExt;
//! use sandbox_volumes::{LocalBackend, Volume};
//! use std::sync::Arc;
//!
//! # let home = tempfile::tempdir()?;
//! let backend = Arc::new(LocalBackend::builder().home(home.path()).build().await?);
//! let volume = Volume::builder("data").quota(64.mib()).label("team", "storage").create_on(backend).await?;
//! volume.fs()?.write("greeting", "hello")?;
//! assert_eq!(volume.fs()?.read_to_string("greeting")?, "hello");
//! volume.remove().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It guarantees: creation, removal, renaming and restoring are all or nothing, also when the process is killed or
//! the machine loses power; a volume that a live sandbox uses is not removed; nothing outside a volume's root is
//! reached through it.
//!
//! [`ext4`] is usable alone: disks made, filled, grown and checked without mkfs, without root and without a database or
//! a runtime.
//!
//! # It is not
//! - a mounter: a volume is a directory or a file; who mounts it is the caller;
//! - a network file system: the catalog refuses to live on one, because locks and shared memory do not work there.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails panics"
    )
)]

#[cfg(feature = "catalog")]
mod archive;
#[cfg(feature = "catalog")]
mod backend;
#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "catalog")]
mod copy;
#[cfg(feature = "catalog")]
mod crash;
#[cfg(feature = "catalog")]
mod error;
#[cfg(feature = "ext4")]
pub mod ext4;
#[cfg(feature = "catalog")]
mod fs;
#[cfg(feature = "catalog")]
mod home;
#[cfg(feature = "catalog")]
mod lease;
#[cfg(feature = "catalog")]
mod local;
#[cfg(feature = "catalog")]
mod lock;
#[cfg(feature = "catalog")]
mod manifest;
#[cfg(feature = "catalog")]
mod mounted;
#[cfg(feature = "catalog")]
mod pending;
#[cfg(feature = "catalog")]
mod record;
#[cfg(feature = "catalog")]
mod remove;
#[cfg(feature = "catalog")]
mod sync;
#[cfg(feature = "catalog")]
mod usage;
#[cfg(feature = "catalog")]
mod volume;
#[cfg(feature = "catalog")]
mod xattr;

#[cfg(feature = "catalog")]
pub use crate::{
    archive::{ArchiveError, ImportOptions},
    backend::{
        Backend, BackendKind, CloneSource, Health, Problem, Repair, Resize, Snapshots, default_backend,
    },
    catalog::CatalogError,
    copy::{CopyProgress, Progress},
    error::VolumeError,
    fs::{DirEntry, EntryKind, FileStat, FileWriter, FsError, VolumeFs},
    home::{HomeError, default_home},
    lease::{Attach, Attached, Holder, Lease},
    local::{LocalBackend, LocalBackendBuilder},
    record::{HolderRecord, SnapshotRecord, Usage, VolumeFilter, VolumeRecord},
    volume::{Volume, VolumeBuilder, VolumeHandle},
};
