//! `OverlayMount`: a directory with a writable layer over it, for programs that want the view for themselves.
//!
//! The kernel's overlayfs does it, in the on-disk format of branches (`userxattr`, whiteouts that are 0/0
//! devices) and `volatile`, so that nothing waits for the disk when it is unmounted. It needs the right to mount,
//! or a user namespace; what is given neither is told so ([`OverlayError::NoNamespaces`]) and nothing is mounted.
//!
//! It knows nothing of branches, and a sandbox does not need it: init mounts the view that its command sees.

mod attach;
mod check;
mod config;
mod error;
mod info;
mod manager;
mod work;

pub use config::{OverlayConfig, OverlayPlace};
pub use error::OverlayError;
pub use info::LayerInfo;
pub use manager::OverlayMount;
