//! The filesystems that there are. Each implements [`DynFileSystem`](crate::fs::DynFileSystem).

pub mod passthrough;
pub mod quota;

pub use passthrough::PassthroughFs;
