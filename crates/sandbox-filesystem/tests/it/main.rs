//! The crate as its users meet it, on the real file system.

#[macro_use]
mod harness;

mod overlay_mount;
mod rolled_back;
mod served;
