//! Composable filesystem backends and copy-on-write branches.
//!
//! [`branch`] is the branch engine: copy-on-write views of a directory, the difference they make, and the
//! journalled way back into the base.
//!
//! [`fs`] is what a filesystem is: the trait [`DynFileSystem`](fs::DynFileSystem) and its plain types. [`serve`] answers
//! requests of the FUSE protocol with one, and [`backend`] holds those that there are. `disk` mounts images of ext4, `oci` makes
//! layers for overlays of those of container images.
//!
//! # Features
//! - `branch` (default): the branch engine;
//! - `fuse` (default): serving through /dev/fuse;
//! - `oci`: layers of container images as directories, and back;
//! - `conformance`: the suite that every filesystem has to pass, for tests.
//!
//! Without them it is the trait, the backends and a server that knows no transport.
//!
//! # It is not
//! - asynchronous: there is no runtime in it, requests are answered on the thread that brings them;
//! - a network filesystem.
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
#[cfg(feature = "branch")]
pub mod branch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod content;
#[cfg(feature = "fuse")]
pub mod disk;
pub mod fs;
mod holder;
mod mount_table;
#[cfg(feature = "oci")]
pub mod oci;
pub mod serve;
mod state_directory;
#[expect(unsafe_code, reason = "system calls without a safe wrapper, fenced here")]
mod sys;
#[cfg(feature = "branch")]
mod tarball;
pub mod tree;

pub use state_directory::state_directory;
