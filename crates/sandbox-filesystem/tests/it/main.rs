//! The crate as its users meet it, on the real file system.

#[macro_use]
mod harness;

#[cfg(feature = "oci")]
mod oci;
mod overlay_mount;
mod served;
