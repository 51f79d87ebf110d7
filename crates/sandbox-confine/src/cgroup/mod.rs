//! Limits and measurements of one sandbox through control groups.
//!
//! [`Hierarchy::probe`] says what this process may use: cgroup v2 in a subtree that is ours, cgroup v1 where
//! its directories are writable (in practice: root), or nothing, with the reason and a hint.
//! [`Cgroup::create`] makes one group in every hierarchy that is needed, sets the limits and refuses when
//! one of them cannot hold; [`Cgroup::add`] moves a process in, [`Cgroup::usage`] reads the counters,
//! [`Cgroup::kill_all`] ends whatever is inside and [`Cgroup::remove`] takes the group away. What the owner
//! could not remove because it was killed is found by [`Hierarchy::leftovers`].
//!
//! Guaranteed: a group is made beneath the caller's own one, or beside it where that leaves no limit behind,
//! so a sandbox never has more than its owner; a limit that was asked for is set, or there is no group; a
//! group whose owner may live is never touched by anyone else.
//!
//! It does not move the caller's own process anywhere unless asked to ([`Adopt::OwnLeaf`]), does not talk
//! to systemd, and does not limit CPU time or I/O.
//!
//! Kernel features: cgroups(7); `cgroup.kill` (5.14), `memory.peak` (5.19) and `pids.peak` (6.1) are used
//! where present.

mod adopt;
mod create;
mod files;
mod freeze;
mod hierarchy;
mod join;
mod kill;
mod leftovers;
mod limits;
mod membership;
mod mounts;
mod owner;
mod probe;
mod remove;
mod support;
#[cfg(test)]
mod tests;
mod usage;
mod v2;

pub use adopt::{Adopt, AdoptError};
pub use create::{AddError, Cgroup, CreateError};
pub use freeze::FreezeError;
pub use hierarchy::Hierarchy;
pub(crate) use join::Place;
pub use kill::KillError;
pub use leftovers::{Leftover, LeftoverError, RemoveLeftoverError};
pub use limits::{CgroupLimits, Measure, Swap};
pub use remove::RemoveError;
pub use support::{Availability, CgroupSupport, Controller, Unavailable, Version};
pub use usage::CgroupUsage;
