//! The flags of `sandbox run` that have to do with branches.

use clap::ValueEnum;
use sandbox::BranchName;
use sandbox::branch::{CreateOptions, Mode, ModeChoice, Snapshot};

use crate::workspace::WorkspaceArgs;

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Branch")]
pub(crate) struct BranchArgs {
    /// Work on a branch: a copy-on-write view of the workspace. Made where there is none of that name, and named
    /// by a number where no name is given
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub(crate) branch: Option<String>,
    #[command(flatten)]
    pub(crate) workspace: WorkspaceArgs,
    /// Start the branch from another branch instead of the workspace as it is
    #[arg(long, value_name = "NAME", requires = "branch")]
    pub(crate) from: Option<BranchName>,
    /// How the branch keeps what differs [default: auto, or as it was made]
    #[arg(long, value_name = "MODE", requires = "branch")]
    pub(crate) branch_mode: Option<ModeArg>,
    /// Freeze the workspace as it is now, so that later changes to it do not show on the branch [default: off]
    #[arg(long, value_name = "HOW", requires = "branch")]
    pub(crate) snapshot: Option<SnapshotArg>,
    /// What becomes of the branch when the command succeeds [default: keep]
    #[arg(long, value_name = "WHAT", requires = "branch")]
    pub(crate) on_success: Option<EndArg>,
    /// What becomes of the branch when the command fails [default: keep]
    #[arg(long, value_name = "WHAT", requires = "branch")]
    pub(crate) on_failure: Option<EndArg>,
    /// Run on a branch, show what changed, and drop it
    #[arg(long, conflicts_with_all = ["on_success", "on_failure"])]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ModeArg {
    /// The kernel's overlayfs where it works, else exact where that does, else a copy
    Auto,
    /// The kernel's overlayfs: native speed, needs user namespaces
    Kernel,
    /// An overlay that `sandbox` itself serves: renames directories, keeps hard links, slower; needs /dev/fuse
    Exact,
    /// A whole copy of the workspace: works everywhere, slower
    Copy,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SnapshotArg {
    /// By reflink where the file system can, else not
    Auto,
    /// By reflink, or not at all
    Reflink,
    /// By reflink or by copying
    Copy,
    /// Do not
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndArg {
    /// Commit what changed
    Commit,
    /// Keep the branch
    Keep,
    /// Drop the branch
    Discard,
    /// Show what changed, and ask
    Ask,
}

impl BranchArgs {
    /// Whether the command is to run on a branch.
    pub(crate) fn is_asked(&self) -> bool {
        self.branch.is_some() || self.dry_run
    }

    /// Whether the mode is for the branch engine to choose.
    pub(super) fn leaves_mode_open(&self) -> bool {
        self.mode().is_none()
    }

    /// The mode that was asked for; none where any is welcome.
    pub(super) fn mode(&self) -> Option<Mode> {
        match self.branch_mode {
            None | Some(ModeArg::Auto) => None,
            Some(ModeArg::Kernel) => Some(Mode::Kernel),
            Some(ModeArg::Exact) => Some(Mode::Exact),
            Some(ModeArg::Copy) => Some(Mode::Copy),
        }
    }

    /// Whether a question may be asked at the end.
    pub(super) fn may_ask(&self) -> bool {
        [self.on_success, self.on_failure].contains(&Some(EndArg::Ask))
    }

    /// How it is made where there is none of that name.
    pub(super) fn options(&self) -> CreateOptions {
        CreateOptions {
            mode: self.mode().map_or(ModeChoice::Auto, ModeChoice::Only),
            snapshot: match self.snapshot {
                None | Some(SnapshotArg::Off) => Snapshot::Off,
                Some(SnapshotArg::Auto) => Snapshot::Auto,
                Some(SnapshotArg::Reflink) => Snapshot::Reflink,
                Some(SnapshotArg::Copy) => Snapshot::Copy,
            },
            from: self.from.clone(),
            ..CreateOptions::default()
        }
    }
}
