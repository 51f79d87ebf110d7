//! Composable filesystem backends and copy-on-write branches.
//!
//! The crate holds its place in the layering (see `docs/architecture.md`): it depends on
//! [`sandbox_types`] alone and never on its siblings.
//!
//! # It is not
//! - a filesystem yet: no backend has landed, so nothing here can be mounted.
#![forbid(unsafe_code)]
