//! Why an archive cannot be read.

use std::io;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    /// Whoever gives its bytes has failed.
    #[error(transparent)]
    Read(io::Error),
    /// It ends before it says that it does.
    #[error("it is cut off")]
    Truncated,
    /// It is no tar archive, or one that no program would write.
    #[error("at byte {at}: {flaw}")]
    Malformed {
        /// Where the header is.
        at: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// It asks for more than is allowed.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("no header of a tar archive: its checksum is wrong")]
    Checksum,
    #[error("a number cannot be read")]
    Number,
    #[error("an extended header cannot be read")]
    Records,
    #[error("an extended header for all entries")]
    Global,
    #[error("two headers of one kind for one entry")]
    Twice,
    #[error("a header without its entry")]
    Dangling,
    #[error("content of an entry that can have none")]
    Content,
    #[error("a sparse file")]
    Sparse,
    #[cfg(any(test, feature = "oci"))]
    #[error("something after the end")]
    Trailing,
}
