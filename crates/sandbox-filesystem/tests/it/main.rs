//! The crate as its users meet it, on the real file system.

#[macro_use]
mod harness;

#[cfg(feature = "oci")]
mod oci;
mod overlay_mount;
mod rolled_back;
mod served;
