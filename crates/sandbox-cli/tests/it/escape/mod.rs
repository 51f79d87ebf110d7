//! Small programs that try to get out of the sandbox, each of which must be denied.
//!
//! `tests/escape` holds them, `expect.tsv` what must come of them. A test is one program in one mode; as root and
//! as a plain user alike. Which results count is decided by the report of the run itself: an attempt on a guarantee
//! that the run did not claim is only printed.

mod attempts;
mod groups;
mod lifetime;
mod outside;
mod programs;
mod table;

/// The groups of attempts.
const PROGRAMS: [&str; 12] = [
    "reads",
    "writes",
    "proc",
    "processes",
    "namespaces",
    "sockets",
    "kernel",
    "abi",
    "terminal",
    "privileges",
    "devices",
    "descriptors",
];

/// The number of the descriptor on `/` that the sandbox is started with.
const LEAKED: i32 = 9;
