//! What all backends have in common that put trees on top of each other.
//!
//! No I/O, no descriptors, no paths: what a layer holds is asked by whoever uses this, in whatever way his layers have. See
//! `docs/architecture.md`, "OverlayFs", for the parts.

pub(super) mod found;
pub(super) mod listing;
pub(super) mod marks;
pub(super) mod once;
pub(super) mod plan;

pub(super) use found::{Found, More, Sight};
pub(super) use listing::{Listed, Merge, Snapshot};
pub(super) use marks::Marks;
pub(super) use once::{Once, Turn};
