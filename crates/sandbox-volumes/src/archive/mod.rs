//! A volume as one file: a tar of zstd.
//!
//! ```text
//! volume.json      what the catalog says of it
//! data/…           a directory: its files, with several names, holes and `user.` attributes
//! disk/OFFSET      a disk: what is not a hole, each piece by its offset in 16 hexadecimal digits
//! sha256           of everything before
//! ```
//!
//! It guarantees: an archive writes nothing outside the volume that it makes, whatever is in it; one that is cut
//! off, damaged or not of this form makes no volume.

mod digest;
mod error;
mod export;
mod import;
mod manifest_entry;
mod meter;
#[cfg(test)]
mod tests;
mod unpack;
mod xattr;

use sandbox_types::{ByteSize, Label, VolumeName};

pub use error::ArchiveError;

/// What the first entry is called.
const MANIFEST: &str = "volume.json";
/// What the last entry is called.
const DIGEST: &str = "sha256";
/// What files are beneath.
const DATA: &str = "data";
/// What pieces of a disk are beneath.
const DISK: &str = "disk";

/// How a volume is made of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Another name than in the archive.
    pub name: Option<VolumeName>,
    /// Labels besides those in the archive, in the place of those of the same keys.
    pub labels: Vec<Label>,
    /// The most that may be in it, counted as a quota counts, but holes as if they were none; a quota in the archive holds
    /// as well.
    pub limit: Option<ByteSize>,
    /// Whether files get the owners they have in the archive, which takes root; they are the caller's otherwise,
    /// without set-id bits.
    pub owners: bool,
}

impl ImportOptions {
    /// As the archive says, without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name than in the archive.
    #[must_use]
    pub fn name(mut self, name: VolumeName) -> Self {
        self.name = Some(name);
        self
    }

    /// A label besides those in the archive.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// The most that may be in it: [`ImportOptions::limit`].
    #[must_use]
    pub fn limit(mut self, limit: impl Into<ByteSize>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Files get the owners they have in the archive.
    #[must_use]
    pub fn keep_owners(mut self) -> Self {
        self.owners = true;
        self
    }
}
