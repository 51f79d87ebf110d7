//! Layers of container images as directories, and back.
//!
//! [`import_layer`] unpacks one layer, [`Layout`] those of a whole image (`image-spec`, an OCI image layout), into a
//! [`Store`]: directories that are lower layers of an overlay, the kernel's (`userxattr`) as well as
//! [`OverlayFs`](crate::backend::OverlayFs). Whiteouts become what overlays know.
//!
//! [`export_layer`] writes the writable directory of an overlay as a layer, [`layer_changes`] lists what it changes.
//!
//! It guarantees: whatever is in an image, nothing is written outside of the store; digests are checked, of the
//! compressed layer and of the archive in it; a layer appears whole and on the disk, or not at all; limits hold before
//! something is written. It needs a filesystem with user extended attributes, and Linux 5.8 for whiteouts without
//! privileges.
//!
//! # It is not
//! - a client of registries: images come from a directory;
//! - a wall: who may use what an image brings (setuid files with [`Owners::Real`]) is decided where it is mounted.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod diff;
mod digest;
mod distrust;
mod error;
mod export;
mod export_error;
#[cfg(any(test, feature = "conformance"))]
mod fuzz;
mod layout;
mod limits;
mod lowers;
mod name;
mod options;
mod owners;
mod parents;
mod receive;
mod sink;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;

pub use diff::{LayerChange, LayerChangeKind, layer_changes};
pub use digest::{Digest, InvalidDigest};
pub use distrust::Distrust;
pub use error::LayerError;
pub use export::{ExportOptions, ExportProgress, ExportedLayer, export_layer};
pub use export_error::ExportError;
#[cfg(any(test, feature = "conformance"))]
pub use fuzz::check_layer;
pub use layout::{Image, InvalidPlatform, Layout, LayoutError, Platform, Selection};
pub use limits::Limits;
pub use name::NameProblem;
pub use options::{Devices, Owners, UnpackOptions, Whiteouts};
pub use store::Store;
pub use stream::Compression;
pub use unpack::{Expected, ImportProgress, Layer, import_layer};
