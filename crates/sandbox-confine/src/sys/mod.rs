//! What neither rustix nor another library offers in a safe form. Every `unsafe` of the library is here.
#![allow(unsafe_code)]

mod fork;
mod launch;
mod own;
mod peer;
mod probe;
#[cfg(feature = "tokio")]
mod reactor;
mod reap;
mod write;

pub(crate) use fork::{
    Forked, become_keeper, become_subreaper, die_of_broken_pipes, flush_stdio, fork, ignore_children,
    put_variable, reset_signals, set_environment, take_over, wait_for,
};
pub(crate) use launch::{InitFds, LaunchFailure, launch};
pub(crate) use own::{close_all_on_exec, load_filter, set_mount_attributes, set_this_mount_s_attributes};
pub(crate) use peer::{Peer, ask_for_senders, peer, peer_pidfd, receive};
pub(crate) use probe::landlock_abi;
#[cfg(feature = "tokio")]
pub(crate) use reactor::watch;
pub(crate) use reap::{Reaped, reap};
pub(crate) use write::write;
