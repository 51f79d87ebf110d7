//! A branch as a tar archive, and back.
//!
//! The archive is in the POSIX (PAX) format, so that `tar tvf` shows it and other tools can read it:
//!
//! ```text
//! manifest.json    which branch of what this is
//! upper/           the branch's layers, flattened to one
//! upper/…          its entries, a directory before what is in it
//! extra-0/…        the same for directories outside the workspace that belong to it; after them, texts of the
//!                  workspace as they were, where the branch has changed them
//! end              nothing comes after it: without it the archive was cut off
//! ```
//!
//! A whiteout is the character device 0/0, which everybody may make who can use the layer at all; an opaque
//! directory has the record `SANDBOX.opaque`. Extended attributes are records `SCHILY.xattr.NAME`, times have
//! nanoseconds, further links of a file are links to its first. Holes are written as zeros. Sockets and devices
//! are left out and reported.
//!
//! What is imported is hostile: see [`import`] for what it guarantees.

mod error;
mod export;
mod import;
mod name;
mod part;
#[cfg(test)]
mod tests;
mod writer;

use sandbox_types::BranchName;
use serde::{Deserialize, Serialize};

use super::moved::DirectoryId;
use super::node::Timestamp;
use super::raw::Bytes;
use super::stack::LayerFormat;

pub use error::{ExportError, ImportError};
#[cfg(test)]
pub(crate) use export::ExportReport;
pub(crate) use export::{About, Part, export};
#[cfg(test)]
pub(crate) use import::Imported;
pub(crate) use import::{Limits, import};

/// The version of archives that this build writes. An older one is read, a newer one is refused.
pub(crate) const VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
const END: &str = "end";

/// The record of an opaque directory, and its name without the prefix.
const OPAQUE: &[u8] = b"SANDBOX.opaque";
const OPAQUE_NAME: &[u8] = b"opaque";

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchiveManifest {
    pub(crate) version: u32,
    /// What the branch was called.
    pub(crate) branch: BranchName,
    /// When the branch was created, in seconds since the epoch.
    pub(crate) created: u64,
    /// Which workspace it was of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) over: Option<Over>,
    /// The workspace, then the directories that belong to it.
    pub(crate) parts: Vec<PartManifest>,
}

/// The workspace that a branch was made over, and since when what others do to it is in the branch's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Over {
    pub(crate) workspace: DirectoryId,
    pub(crate) birth: Timestamp,
}

/// One directory that the branch is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartManifest {
    /// Where it was.
    pub(crate) base: Bytes,
    pub(crate) format: Format,
    #[serde(default, skip_serializing_if = "Role::is_layer")]
    pub(crate) role: Role,
}

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// It is a layer of the branch.
    #[default]
    Layer,
    /// It has texts of the base as they were before the branch changed them: the last part, if it is there.
    Texts,
}

impl Role {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_layer(&self) -> bool {
        *self == Self::Layer
    }
}

/// What the directory of a part is called in the archive.
fn part_name(part: usize) -> String {
    match part.checked_sub(1) {
        None => "upper".to_owned(),
        Some(extra) => format!("extra-{extra}"),
    }
}

/// How a part is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// What differs from the base, as overlayfs has it.
    Overlay,
    /// A whole copy.
    Complete,
}

impl From<LayerFormat> for Format {
    fn from(format: LayerFormat) -> Self {
        match format {
            LayerFormat::Overlay => Self::Overlay,
            LayerFormat::Complete => Self::Complete,
        }
    }
}

impl From<Format> for LayerFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Overlay => Self::Overlay,
            Format::Complete => Self::Complete,
        }
    }
}
