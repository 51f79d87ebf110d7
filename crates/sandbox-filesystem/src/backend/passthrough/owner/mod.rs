//! Owner, group, mode, device and type that are kept beside the host's own.

mod grammar;
mod store;

pub(super) use grammar::{Kind, Override};
pub(super) use store::{XATTR, read, write};
