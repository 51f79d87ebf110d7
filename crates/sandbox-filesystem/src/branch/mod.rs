//! Copy-on-write views of a directory: run on one, see what it changed, keep what is wanted.
//!
//! See `docs/architecture.md`, "Branches", for the parts and how they fit.

mod apply;
mod archive;
mod base;
mod beneath;
mod carry;
mod combine;
mod commit;
mod copied;
mod copy;
mod create;
mod diff;
mod error;
mod git;
mod handle;
mod history;
mod ignored;
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
mod remove;
mod review;
mod risk;
mod selection;
mod settle;
mod stack;
mod suitable;
#[cfg(test)]
mod testing;
mod text;
mod walk;
mod workspace;
mod xattr;

pub use apply::{CommitStatus, Direction};
pub use archive::{ExportError, ImportError};
pub use carry::{CarryError, Exported};
pub use combine::CombineError;
pub use commit::{Commit, CommitError, CommitOptions, Held};
pub use copy::CopyError;
pub use create::{CreateOptions, ModeChoice, Snapshot};
pub use diff::{DiffError, Side};
pub use error::BranchError;
pub use git::GitError;
pub use handle::{Branch, Use};
pub use history::{CommitId, CommitInfo, InvalidCommitId};
pub use lock::Holder;
pub use manifest::{FileError, LastRun, Mode};
pub use merge::MergeError;
pub use mount::{LayerInfo, OverlayConfig, OverlayError, OverlayMount, OverlayPlace};
pub use place::{Storage, state_directory};
pub use progress::{Phase, Progress};
pub use review::{IgnoredFiles, ReviewError, ReviewOptions};
pub use selection::{InvalidPattern, Selection};
pub use suitable::Unsuitable;
pub use text::{LineCounts, Texts};
pub use workspace::Workspace;
