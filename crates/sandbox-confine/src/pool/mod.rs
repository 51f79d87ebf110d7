//! Pools: what takes long to make is made beforehand, and handed out when it is wanted.
//!
//! A [`Pool`] keeps sandboxes ready, each built and with a process in it that is behind every wall and waits to execute:
//! a command then costs what it costs anyway. A [`ForkPool`] keeps clones of a template ready, each of which waits just
//! before its function. Both are refilled by a thread of their own, hand each of what they keep out once, and end what
//! they have not handed out when they are closed or dropped.
//!
//! What two sandboxes of a [`Pool`] share is the policy, and nothing that runs. What two clones share is in
//! docs/fork.md.

mod clones;
mod error;
mod sandboxes;
mod stock;

pub use clones::ForkPool;
pub use error::PoolError;
pub use sandboxes::Pool;
#[cfg(feature = "tokio")]
pub(crate) use sandboxes::Shared as PoolShared;

/// The most that one pool keeps ready: each takes memory of the kernel's, and descriptors here.
const MOST: usize = 4096;

fn check_size(size: usize) -> Result<(), PoolError> {
    match size {
        0 => Err(PoolError::Empty),
        1..=MOST => Ok(()),
        asked => Err(PoolError::TooMany { asked, most: MOST }),
    }
}
