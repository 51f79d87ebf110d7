//! Plain data shared by every sandbox crate: what is asked for, what was enforced, how it ended.
//!
//! Requests go down as data ([`Policy`], [`Mount`]), results come up as data ([`EnforcementReport`],
//! [`RunResult`]). Values are parsed once, at the edge; a value of one of these types is valid.
//!
//! The guarantees a policy asks for and the mechanisms that provide them are one table
//! ([`guarantee::TABLE`]); the plan, `sandbox doctor`, the report, the expected results of the escape
//! tests and `docs/threat-model.md` are all derived from it.
//!
//! # It is not
//! - a place for I/O: nothing here opens a file, asks the kernel or reads the environment;
//! - a place for live objects: a mount names its source, it never holds it.
//!
//! Three traits stand here because those on both sides of them must not know one another: [`TreeSource`], [`ServeFuse`]
//! and [`CloneBranches`].
#![forbid(unsafe_code)]

mod change;
mod clones;
pub mod guarantee;
mod mount;
mod name;
mod outcome;
mod override_stat;
pub mod policy;
pub mod quota;
mod report;
mod served;
mod serving;
mod size;
mod span;
mod tree;
mod volume;

pub use change::{
    Attribute, BaseChange, Change, ChangeCounts, ChangeKind, ChangeSet, Condition, ConflictKind,
    ConflictOutcome, ConflictPolicy, GitRef, Hold, Ignored, InvalidPolicy, InvalidRelPath, MergeConflict,
    MergeReport, NodeKind, RelPath, RiskRules, RuleSpec, Unsettled,
};
pub use clones::{CloneBranch, CloneBranches, CloneLayer, FrozenView};
pub use guarantee::{Guarantee, Mechanism};
pub use mount::{Access, Mount, MountSource, Overlay};
pub use name::{BranchName, InvalidName, SandboxName, ServedName, VolumeName};
pub use outcome::{MeasuredBy, Outcome, RunResult, SandboxStatus, Stream, Usage};
pub use override_stat::{OverrideKind, OverrideStat};
pub use policy::{Policy, PolicyBuilder, PolicyError, PolicyProblem, Require};
pub use report::{EnforcementReport, GuaranteeReport, Note, Status};
pub use served::{ServeFuse, Serving};
pub use serving::{CachePolicy, HostPermissions, StatVirtualization};
pub use size::{ByteSize, InvalidSize, Mebibytes, SizeExt};
pub use span::{InvalidSpan, Span};
pub use tree::{
    TreeDevice, TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
};
pub use volume::{
    InvalidVolume, LARGEST_DISK, Label, Quota, SMALLEST_DISK, VolumeForm, VolumeKind, VolumeProblem,
    VolumeSpec, VolumeSpecBuilder, check_quota,
};
