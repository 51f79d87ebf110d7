//! The tables, one a file. Times are microseconds since the epoch.

pub(crate) mod attachment;
pub(crate) mod label;
pub(crate) mod sandbox;
pub(crate) mod snapshot;
pub(crate) mod volume;
