//! `sandbox run --branch`: the command works on a copy-on-write view, the base stays as it is.

use clap::ValueEnum;
use sandbox::branch::{Branch, CreateOptions, LastRun, Mode, ModeChoice, Snapshot, Unsuitable, Workspace};
use sandbox::{BranchName, OnBranch, PolicyBuilder, PrepareError, RunError, StartError};

use super::Ended;
use super::args::RunArgs;
use crate::error::CliError;
use crate::output::note;
use crate::progress::Bar;
use crate::workspace::WorkspaceArgs;

#[derive(Debug, clap::Args)]
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
    /// How the branch keeps what differs [default: auto]
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
    /// The kernel's overlayfs where it works, else a copy
    Auto,
    /// The kernel's overlayfs: native speed, needs user namespaces
    Kernel,
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

/// A branch that a command is about to run on.
#[derive(Debug)]
pub(crate) struct Session {
    branch: Branch,
    /// Made for this run, with nothing on it.
    is_fresh: bool,
    /// There are no namespaces to show a copy at the workspace's place.
    is_in_place: bool,
}

impl BranchArgs {
    /// Whether the command is to run on a branch.
    pub(crate) fn is_asked(&self) -> bool {
        self.branch.is_some() || self.dry_run
    }

    fn options(&self) -> CreateOptions {
        CreateOptions {
            mode: match self.branch_mode {
                None | Some(ModeArg::Auto) => ModeChoice::Auto,
                Some(ModeArg::Kernel) => ModeChoice::Only(Mode::Kernel),
                Some(ModeArg::Copy) => ModeChoice::Only(Mode::Copy),
            },
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

impl Session {
    /// Opens the branch, or makes it.
    pub(crate) fn open(args: &BranchArgs) -> Result<Self, CliError> {
        let workspace = args.workspace.open()?;
        let name = args.branch.as_deref().unwrap_or_default();
        if name.is_empty() {
            let branch = workspace.create_numbered("run", &args.options())?;
            return Ok(Self::new(branch, true));
        }
        Self::open_named(
            &workspace,
            name.parse().map_err(sandbox::branch::BranchError::from)?,
            args,
        )
    }

    fn open_named(workspace: &Workspace, name: BranchName, args: &BranchArgs) -> Result<Self, CliError> {
        use sandbox::branch::BranchError::{Exists, NotFound};
        let is_new_wanted = args.from.is_some() || args.branch_mode.is_some() || args.snapshot.is_some();
        match workspace.get(&name) {
            Ok(_) if is_new_wanted => Err(Exists {
                name,
                workspace: workspace.base().to_owned(),
            }
            .into()),
            Ok(branch) => Ok(Self::new(branch, false)),
            Err(NotFound { .. }) => Ok(Self::new(create(workspace, &name, &args.options())?, true)),
            Err(error) => Err(error.into()),
        }
    }

    fn new(branch: Branch, is_fresh: bool) -> Self {
        Self {
            branch,
            is_fresh,
            is_in_place: sandbox::Host::known_without_namespaces(),
        }
    }

    /// Puts it into the policy.
    pub(crate) fn apply(&self, builder: PolicyBuilder) -> Result<PolicyBuilder, CliError> {
        if self.is_in_place && self.branch.mode() == Mode::Copy {
            return Ok(builder.on_working_copy(&self.branch));
        }
        Ok(builder.on_branch(&self.branch)?)
    }

    /// What to try next when the command could not be started: where nothing can be mounted, a copy does, unless
    /// the caller has said otherwise.
    pub(crate) fn after_failure(self, args: &BranchArgs, error: CliError) -> Result<Self, CliError> {
        let reason = match &error {
            CliError::Start(StartError::Overlay { source, .. })
            | CliError::Run(RunError::Start(StartError::Overlay { source, .. })) => {
                Some(Unsuitable::Refused(source.to_string()))
            }
            CliError::Start(StartError::Prepare(PrepareError::NeedsNamespaces { .. }))
            | CliError::Run(RunError::Start(StartError::Prepare(PrepareError::NeedsNamespaces { .. }))) => {
                Some(Unsuitable::NoNamespaces)
            }
            _ => None,
        };
        let is_open = matches!(args.branch_mode, None | Some(ModeArg::Auto));
        match (reason, self.branch.mode()) {
            // The copy cannot be shown at the workspace's place: the next attempt works on it where it is.
            (Some(Unsuitable::NoNamespaces), Mode::Copy) if !self.is_in_place => Ok(Self {
                is_in_place: true,
                ..self
            }),
            (Some(reason), Mode::Kernel) if self.is_fresh && is_open => self.copied(args, reason),
            _ => {
                self.abandon();
                Err(error)
            }
        }
    }

    fn copied(self, args: &BranchArgs, reason: Unsuitable) -> Result<Self, CliError> {
        let is_in_place = reason == Unsuitable::NoNamespaces;
        let options = CreateOptions {
            no_kernel: Some(reason),
            ..args.options()
        };
        let workspace = self.branch.workspace().clone();
        let name = self.branch.name().clone();
        self.branch.discard()?;
        Ok(Self {
            branch: create(&workspace, &name, &options)?,
            is_fresh: true,
            is_in_place,
        })
    }

    /// What the user should know before the command runs.
    pub(crate) fn announce(&self) {
        let name = self.branch.name();
        let base = self.branch.workspace().base().display();
        match self.branch.mode() {
            Mode::Kernel => note(format_args!(
                "branch {name} (kernel overlay); {base} stays as it is"
            )),
            Mode::Copy => note(format_args!(
                "branch {name} (a whole copy, which takes time and space); {base} stays as it is"
            )),
            _ => {}
        }
    }

    /// A branch on which nothing has run is none worth keeping.
    pub(crate) fn abandon(self) {
        if self.is_fresh
            && let Err(error) = self.branch.discard()
        {
            note(format_args!("the branch is left behind: {error}"));
        }
    }

    /// After the run: what the flags say for how it ended.
    pub(crate) fn end(self, args: &RunArgs, ended: &Ended) -> Result<(), CliError> {
        let wanted = if args.branch.dry_run {
            EndArg::Discard
        } else if ended.result.outcome.success() {
            args.branch.on_success.unwrap_or(EndArg::Keep)
        } else {
            args.branch.on_failure.unwrap_or(EndArg::Keep)
        };
        match wanted {
            EndArg::Discard => Ok(self.branch.discard()?),
            EndArg::Keep | EndArg::Commit | EndArg::Ask => self.keep(args, ended).map(drop),
        }
    }

    /// Puts on the disk what the command has written.
    fn keep(mut self, args: &RunArgs, ended: &Ended) -> Result<Branch, CliError> {
        let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
        let run = LastRun {
            ended: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            command: words.join(" ").chars().take(400).collect(),
            outcome: ended.result.outcome.to_string(),
        };
        self.branch.settle(Some(run))?;
        Ok(self.branch)
    }
}

fn create(workspace: &Workspace, name: &BranchName, options: &CreateOptions) -> Result<Branch, CliError> {
    let mut bar = Bar::new();
    Ok(workspace.create_with(name, options, &mut |progress| bar.show(progress))?)
}
