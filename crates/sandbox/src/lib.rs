//! Run anything you do not trust, as a plain user, behind every wall the host offers.
//!
//! The facade over the crates of this workspace: it re-exports what a program needs and holds the few lines
//! that wire them together. Start with [`Sandbox::command`] for one command, [`Sandbox::prepare`] for many
//! under one policy, [`Sandbox::new`] for several in one sandbox.
//!
//! ```no_run
//! use sandbox::{Policy, Sandbox, SizeExt};
//! let policy = Policy::builder().read("/srv/data").memory(512.mib()).build()?;
//! let result = Sandbox::command(&policy, "wc").args(["-l", "/srv/data/list"]).output()?;
//! println!("{:?} after {:?}", result.outcome, result.usage.wall());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # It is not
//! - a layer of its own: whoever needs one part can depend on that crate alone.
#![forbid(unsafe_code)]

mod alive;
mod branching;
mod views;
#[cfg(feature = "volumes")]
mod volumes;

pub use alive::{Alive, alive};
pub use branching::OnBranch;
pub use sandbox_confine::{
    BoundCommand, Branches, CAPTURE_LIMIT, CloneInput, CloneOutput, Command, Event, ForkError, ForkOptions,
    ForkPool, Gate, GateError, GateState, GateThread, Gathered, Gatherer, Host, JoinError, Left,
    MapReduceError, NoNamespaces, OnFailure, OutputReader, Pool, PoolError, PrepareError, Prepared, Process,
    PtyMaster, ReduceError, Reduction, RunError, Running, Sandbox, SandboxBuilder, ShareError, StartError,
    StartStage, Stdio, TemplateBuilder, Zygote, ZygoteBuilder, fork_runtime, running, zygote,
};
pub use sandbox_types::{
    Access, Attribute, BaseChange, BranchName, ByteSize, Change, ChangeCounts, ChangeKind, ChangeSet,
    ConflictKind, ConflictOutcome, ConflictPolicy, EnforcementReport, GitRef, Guarantee, GuaranteeReport,
    Hold, Ignored, InvalidName, InvalidSize, InvalidSpan, InvalidVolume, Label, MeasuredBy, Mebibytes,
    Mechanism, MergeConflict, MergeReport, Mount, MountSource, NodeKind, Note, Outcome, Overlay, Policy,
    PolicyBuilder, PolicyError, PolicyProblem, Quota, RelPath, Require, RiskRules, RuleSpec, RunResult,
    SandboxName, SandboxStatus, ServeFuse, ServedName, Serving, SizeExt, Span, Status, Stream, Unsettled,
    Usage, VolumeForm, VolumeKind, VolumeName, VolumeProblem, VolumeSpec,
};
pub use views::BranchViews;
#[cfg(feature = "volumes")]
pub use volumes::{AttachVolumesError, AttachedVolumes, attach_volumes, names_volumes};

pub use sandbox_confine::{cgroup, doctor, gc, own, plan, seccomp, view};
#[cfg(feature = "oci")]
pub use sandbox_filesystem::oci;
pub use sandbox_filesystem::{backend, branch, disk, fs, serve, state_directory, tree};
pub use sandbox_types::{CachePolicy, HostPermissions, StatVirtualization};
pub use sandbox_types::{guarantee, policy};
/// Named volumes; see [`volume::Volume`].
#[cfg(feature = "volumes")]
pub use sandbox_volumes as volume;

/// The README's Rust example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So do those of the page on forks, as far as they compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/fork.md")]
struct Fork;
