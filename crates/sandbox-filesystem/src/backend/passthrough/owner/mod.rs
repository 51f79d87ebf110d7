//! Owner, group, mode, device and type that are kept beside the host's own.

mod dialect;
mod kept;
mod store;

pub(in crate::backend) use dialect::{Dialect, Dialects};
pub(in crate::backend) use kept::{Kind, Override};
pub(in crate::backend) use store::{is_own, read, read_in, supported, write};
