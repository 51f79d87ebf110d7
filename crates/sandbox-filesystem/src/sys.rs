//! System calls that no safe wrapper has. The one place of this crate with `unsafe` in it; every function is
//! safe to call.

pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod overlay;
pub(crate) mod pages;
mod signals;
