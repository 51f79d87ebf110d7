//! What tests of several backends use.

pub(in crate::backend) mod crash;
pub(in crate::backend) mod picture;
