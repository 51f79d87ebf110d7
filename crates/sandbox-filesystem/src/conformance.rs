//! One suite for every filesystem: [`run`] carries cases out on a backend and on the host, and says where they differ.
//!
//! The cases are text (`conformance/cases/*.txt`, [`parse`]) and tables ([`rename_matrix`]). Each is carried out through
//! [`DynFileSystem`] and, by the same operations as system calls, in a directory of the host, whose answers are what is
//! expected. [`random_steps`] makes cases from bytes, for property tests and fuzzing; [`Model`] is a third one that
//! answers, simple enough to be read, for where there is no time for a kernel
//!
//! # It is not
//! - a test of permissions: the kernel checks those before it asks a filesystem, and mounted suites look at them;
//! - a test of what a mount does: see `cargo xtask conformance`.

mod backend;
mod fuzz;
mod host;
mod listing;
mod matrix;
mod model;
mod op;
mod random;
mod report;
mod script;
mod subject;

pub use backend::Backend;
#[cfg(test)]
pub(crate) use fuzz::request_bytes;
pub use fuzz::{BadAnswer, check_dual_operations, check_operations, check_requests, check_requests_of};
pub use host::Host;
pub use listing::check_listing;
pub use matrix::rename_matrix;
pub use model::Model;
pub use op::{
    Allocation, Exclusive, HandleName, Locking, NodeKind, Op, Opening, Path, Renaming, Time, Whence,
    XattrMode,
};
pub use random::random_steps;
pub use report::{Difference, Known, Report, RunError, cases, compare, process_umask, run, run_cases};
pub use script::{BadLine, Case, operation, parse};
pub use subject::Subject;

#[cfg(doc)]
use crate::fs::DynFileSystem;
