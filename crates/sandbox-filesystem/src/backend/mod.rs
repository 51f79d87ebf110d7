//! The filesystems that there are. Each implements [`DynFileSystem`](crate::fs::DynFileSystem).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod acl;
pub mod dual;
pub mod mem;
pub mod overlay;
pub mod passthrough;

pub mod quota;
#[cfg(test)]
mod testing;
mod union;
mod waits;

pub use dual::DualFs;
pub use mem::MemFs;
pub use overlay::OverlayFs;
pub use passthrough::PassthroughFs;

#[cfg(test)]
mod tests;
