//! Run a command confined: without root, without a daemon, in milliseconds.
//!
//! A [`Policy`] says what a run may do. [`Sandbox::prepare`] turns it into a plan
//! for this host, or says what the host cannot guarantee. A small init, process 1 inside, builds a root of
//! what was granted and starts commands behind every wall the host offers: namespaces, Landlock, seccomp,
//! cgroups or rlimits, no capabilities. Whatever happens to the caller, what it started ends with it.
//!
//! ```no_run
//! use sandbox_confine::{Policy, Sandbox};
//! let result = Sandbox::command(&Policy::default(), "id").output()?;
//! println!("{:?} {}", result.outcome, String::from_utf8_lossy(&result.stdout));
//! # Ok::<(), sandbox_confine::RunError>(())
//! ```
//!
//! # It is not
//! - a virtual machine: the kernel is shared, and a bug in it is a way out;
//! - a container engine: no images, no daemon, no networks of its own;
//! - a wall against what was granted: who may write a directory may fill it with anything.

#[cfg(feature = "tokio")]
mod asynchronous;
mod beneath;
mod builder;
pub mod cgroup;
mod command;
pub mod doctor;
mod error;
mod exec;
mod fork;
pub mod gc;
mod host;
mod init;
mod inside;
mod mark;
mod messages;
mod orphans;
pub mod own;
pub mod plan;
mod pool;
mod prepared;
mod process;
mod pty;
mod ready;
mod run;
mod running;
mod sandbox;
mod scratch;
pub mod seccomp;
mod served;
mod share;
mod start;
mod streams;
mod surroundings;
mod sys;
mod verdict;
pub mod view;
mod wire;

pub use builder::SandboxBuilder;
pub use command::{CAPTURE_LIMIT, Command, Stdio};
pub use error::{PrepareError, RunError, StartError, StartStage};
pub use fork::runtime as fork_runtime;
pub use fork::{
    Branches, CloneInput, CloneOutput, ForkError, ForkOptions, Gathered, Gatherer, INIT_TIMEOUT,
    MapReduceError, OnFailure, ReduceError, Reduction, TemplateBuilder, Zygote, ZygoteBuilder, zygote,
};
pub use host::{Host, NoNamespaces};
pub use pool::{ForkPool, Pool, PoolError};
pub use prepared::Prepared;
pub use process::{Event, Left, Process};
pub use pty::PtyMaster;
pub use run::BoundCommand;
pub use running::{Running, running};
pub use sandbox::Sandbox;
pub use sandbox_types::{Outcome, Policy, RunResult};
pub use share::{Gate, GateError, GateState, GateThread, JoinError, Refusal, ShareError};
pub use streams::OutputReader;
