//! Composable filesystem backends and copy-on-write branches.
//!
//! [`branch`] is the branch engine: copy-on-write views of a directory, the difference they make, and the
//! journalled way back into the base.
//!
//! # It is not
//! - a filesystem yet: no backend has landed, so nothing here can be served by FUSE.
#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails panics"
    )
)]

pub mod backend;
pub mod branch;
pub mod fs;
#[expect(unsafe_code, reason = "system calls without a safe wrapper, fenced here")]
mod sys;
