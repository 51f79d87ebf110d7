//! The facade: what the crates do together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod harness;
#[cfg(feature = "volumes")]
mod layers_on_disks;
mod served;
