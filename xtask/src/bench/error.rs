//! What can go wrong while measuring.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("no such user: {name}")]
    NoUser { name: String },
    #[error("only root can measure as another user")]
    NotRoot,
    #[error("only root can run {what}")]
    NeedsRoot { what: &'static str },
    #[error("{program}: {source}")]
    Peer { program: String, source: io::Error },
    #[error("{program} ended before it answered")]
    Ended { program: String },
    #[error("{program} answered {answer:?}")]
    Answer { program: String, answer: String },
    #[error("{program}: {why}")]
    Run { program: String, why: String },
    #[error("{count} of the branches and layers that were to be dropped are left over: {}, …", first.display())]
    LeftOver { count: usize, first: PathBuf },
}
