//! Confinement.

pub mod cgroup;
pub mod seccomp;
pub mod view;
