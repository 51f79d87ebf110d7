//! How far long work has come.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// A tree is copied.
    Copying,
    /// New content is brought to the base's file system; the base is untouched.
    Staging,
    /// What is staged is put on the disk; the base is untouched.
    Syncing,
    /// The base is changed.
    Applying,
    /// A branch is written to an archive.
    Exporting,
    /// A branch is read from an archive.
    Importing,
    /// What branches have changed is looked at.
    Comparing,
    /// What was merged is written to the new branch.
    Merging,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// With what.
    pub phase: Phase,
    /// Entries that are done.
    pub entries: u64,
    /// All of them, where that is known.
    pub entries_total: Option<u64>,
    /// Bytes that are done.
    pub bytes: u64,
    /// All of them, where that is known.
    pub bytes_total: Option<u64>,
}

impl Progress {
    /// Nothing yet.
    pub(crate) const fn start(phase: Phase, entries_total: Option<u64>, bytes_total: Option<u64>) -> Self {
        Self {
            phase,
            entries: 0,
            entries_total,
            bytes: 0,
            bytes_total,
        }
    }
}
