//! Owner, group, mode, device and type that are kept beside the host's own.

mod grammar;
mod store;

pub(in crate::backend) use grammar::{Kind, Override};
pub(in crate::backend) use store::{XATTR, read, read_in, write};
