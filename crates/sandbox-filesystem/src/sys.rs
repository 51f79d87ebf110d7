//! System calls that no safe wrapper has. The one place of this crate with `unsafe` in it; every function is
//! safe to call.

mod apart;
#[cfg(feature = "fuse")]
pub(crate) mod fuse;
pub(crate) mod guard;
#[cfg(feature = "branch")]
pub(crate) mod handle;
mod mount_id;
#[cfg(feature = "branch")]
pub(crate) mod overlay;
mod signals;
