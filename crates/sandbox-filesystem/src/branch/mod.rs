//! Copy-on-write views of a directory: run on one, see what it changed, keep what is wanted.
//!
//! See `docs/architecture.md`, "Branches", for the parts and how they fit.

mod apply;
mod base;
mod beneath;
mod copied;
mod copy;
mod create;
mod diff;
mod error;
mod git;
mod handle;
mod layer;
mod layer_writer;
mod lock;
mod manifest;
mod merge;
mod mount;
mod node;
mod patterns;
mod place;
mod progress;
mod raw;
mod risk;
mod stack;
mod suitable;
#[cfg(test)]
mod testing;
mod walk;
mod workspace;
mod xattr;

pub use apply::{CommitStatus, Direction};
pub use copy::CopyError;
pub use create::{CreateOptions, ModeChoice, Snapshot};
pub use diff::{DiffError, Side};
pub use error::BranchError;
pub use handle::{Branch, Use};
pub use lock::Holder;
pub use manifest::{FileError, LastRun, Mode};
pub use merge::MergeError;
pub use mount::{LayerInfo, OverlayConfig, OverlayError, OverlayMount, OverlayPlace};
pub use place::{Storage, state_directory};
pub use progress::{Phase, Progress};
pub use suitable::Unsuitable;
pub use workspace::Workspace;
