//! System calls that no safe wrapper has. The one place of this crate with `unsafe` in it; every function is
//! safe to call.

#[cfg(any(feature = "branch", feature = "fuse"))]
mod apart;
pub(crate) mod figures;
#[cfg(feature = "fuse")]
pub(crate) mod fuse;
#[cfg(any(feature = "branch", feature = "fuse"))]
pub(crate) mod guard;
#[cfg(feature = "branch")]
pub(crate) mod handle;
pub(crate) mod heap;
pub(crate) mod ids;
#[cfg(feature = "fuse")]
pub(crate) mod loop_device;
#[cfg(feature = "fuse")]
pub(crate) mod mapping;
#[cfg(any(feature = "branch", feature = "fuse"))]
mod mount_id;
#[cfg(feature = "branch")]
pub(crate) mod overlay;
pub(crate) mod pages;
pub(crate) mod record_lock;
#[cfg(feature = "fuse")]
pub(crate) mod scheduler;
pub(crate) mod signals;
#[cfg(any(test, feature = "conformance"))]
pub(crate) mod truncate;
