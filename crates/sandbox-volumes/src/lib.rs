//! Named volumes: directories with a quota or ext4 disks, in a catalog that survives crashes.
//!
//! The crate holds its place in the layering (see `docs/architecture.md`): it depends on
//! [`sandbox_types`] alone and never on its siblings.
//!
//! What has landed is [`ext4`]: disks made, grown and checked without mkfs, without root and without a
//! database or a runtime.
//!
//! # It is not
//! - a volume manager yet: no catalog has landed, so nothing here can be named or attached.
#![forbid(unsafe_code)]

#[cfg(feature = "ext4")]
pub mod ext4;
