//! Named volumes: directories with a quota or ext4 disks, in a catalog that survives crashes.
//!
//! The crate holds its place in the layering (see `docs/architecture.md`): it depends on
//! [`sandbox_types`] alone and never on its siblings.
//!
//! # It is not
//! - a volume manager yet: no catalog has landed, so nothing here can be created or attached.
#![forbid(unsafe_code)]
