//! The commands other than `run`, one a file.

pub(crate) mod branch;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod gc;
pub(crate) mod layer;
pub(crate) mod man;
pub(crate) mod mount;
pub(crate) mod profile;
pub(crate) mod ps;
pub(crate) mod volume;
pub(crate) mod whole;
