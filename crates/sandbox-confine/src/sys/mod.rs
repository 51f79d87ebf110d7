//! What neither rustix nor another library offers in a safe form. Every `unsafe` of the library is here.
#![allow(unsafe_code)]

mod launch;
mod probe;
mod reap;

pub(crate) use launch::{InitFds, LaunchFailure, launch};
pub(crate) use probe::landlock_abi;
pub(crate) use reap::{Reaped, reap};
