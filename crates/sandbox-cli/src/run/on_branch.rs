//! `sandbox run --branch`: the command works on a copy-on-write view, the base stays as it is.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;
use sandbox::branch::{
    Branch, BranchError, CommitError, CommitOptions, CreateOptions, LastRun, Mode, ModeChoice, ReviewOptions,
    Snapshot, Unsuitable, Use, Workspace,
};
use sandbox::{
    BranchName, Command, OnBranch, Policy, PolicyBuilder, PrepareError, Process, RunError, StartError,
};

use super::Ended;
use super::args::RunArgs;
use super::live::{self, Live};
use crate::commands::branch::{self as commands, question, show_changes};
use crate::error::CliError;
use crate::output::{note, tell};
use crate::progress::Bar;
use crate::workspace::{self, WorkspaceArgs};

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
    /// It is mounted in a sandbox already, which the command joins.
    is_joined: bool,
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
        Self::open_named(&workspace, name.parse().map_err(BranchError::from)?, args)
    }

    fn open_named(workspace: &Workspace, name: BranchName, args: &BranchArgs) -> Result<Self, CliError> {
        use BranchError::{Exists, NotFound};
        let is_new_wanted = args.from.is_some() || args.branch_mode.is_some() || args.snapshot.is_some();
        match workspace.get(&name) {
            // It would be dropped with all that earlier runs have left on it.
            Ok(_) if args.dry_run => Err(CliError::DryRunOnBranch { name }),
            Ok(_) if is_new_wanted => Err(Exists {
                name,
                workspace: workspace.base().to_owned(),
            }
            .into()),
            Ok(branch) => Ok(Self {
                is_joined: branch.in_use()? != Use::Free,
                ..Self::new(branch, false)
            }),
            Err(NotFound { .. }) => Ok(Self::new(create(workspace, &name, &args.options())?, true)),
            Err(error) => Err(error.into()),
        }
    }

    fn new(branch: Branch, is_fresh: bool) -> Self {
        Self {
            branch,
            is_fresh,
            is_joined: false,
            is_in_place: sandbox::Host::known_without_namespaces(),
        }
    }

    /// Puts it into the policy.
    pub(crate) fn apply(&self, builder: PolicyBuilder) -> Result<PolicyBuilder, CliError> {
        if self.is_joined {
            return Ok(builder);
        }
        if self.is_in_place && self.branch.mode() == Mode::Copy {
            return Ok(builder.on_working_copy(&self.branch));
        }
        Ok(builder.on_branch(&self.branch)?)
    }

    /// Starts a command on it: the first in a sandbox of its own, any other in the one that has it mounted.
    pub(crate) fn start(&self, policy: &Policy, command: Command) -> Result<(Live, Process), CliError> {
        if self.is_joined {
            Live::join(&self.branch, command)
        } else {
            Live::start(policy, &self.branch.control_socket(), command)
        }
    }

    /// Where a command starts that joins; none where the policy says.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        self.is_joined
            .then(|| live::directory(&self.branch, None))
            .flatten()
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
            _ if is_in_use(&error) && !self.is_joined => Ok(Self {
                is_joined: true,
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
            is_joined: false,
            is_in_place,
        })
    }

    /// What the user should know before the command runs.
    pub(crate) fn announce(&self) {
        let name = self.branch.name();
        if self.is_joined {
            note(format_args!(
                "branch {name} is in use: joined its sandbox, under that one's policy"
            ));
            return;
        }
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

    /// After the run: what the flags say for how it ended. A status, where it is another than the command's own.
    pub(crate) fn end(self, args: &RunArgs, ended: &Ended) -> Result<Option<u8>, CliError> {
        if ended.goes_on {
            let name = self.branch.name();
            note(format_args!(
                "branch {name} is still in use by others, and is kept"
            ));
            return Ok(None);
        }
        let branch = &args.branch;
        let wanted = if ended.result.outcome.success() {
            branch.on_success.unwrap_or(EndArg::Keep)
        } else {
            branch.on_failure.unwrap_or(EndArg::Keep)
        };
        let review = ReviewOptions {
            rules: workspace::rules(args.policy.profile.as_deref())?,
            ..ReviewOptions::default()
        };
        if branch.dry_run {
            let set = self.branch.diff_with(&review, &mut |_| {})?;
            tell(show_changes::lines(&set).trim_end());
            self.branch.discard()?;
            return Ok(None);
        }
        match wanted {
            EndArg::Discard => self.branch.discard().map(|()| None).map_err(Into::into),
            EndArg::Keep => self.keep(args, ended, &review).map(|()| None),
            EndArg::Commit => {
                settle(self.branch, &args.command, ended).and_then(|branch| commit(&branch, review))
            }
            EndArg::Ask => settle(self.branch, &args.command, ended).and_then(|branch| ask(branch, review)),
        }
    }

    /// Keeps it, and says what is on it.
    fn keep(self, args: &RunArgs, ended: &Ended, review: &ReviewOptions) -> Result<(), CliError> {
        let branch = settle(self.branch, &args.command, ended)?;
        if args.output.quiet {
            return Ok(());
        }
        let name = branch.name();
        let summary = show_changes::summary(&branch.diff_with(review, &mut |_| {})?);
        note(format_args!(
            "branch {name}: {summary}; see: sandbox branch diff {name}"
        ));
        Ok(())
    }
}

/// Puts on the disk what commands have written, and remembers the last of them.
pub(crate) fn settle(mut branch: Branch, command: &[OsString], ended: &Ended) -> Result<Branch, CliError> {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let run = LastRun {
        ended: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        command: words.join(" ").chars().take(400).collect(),
        outcome: ended.result.outcome.to_string(),
    };
    match branch.settle(Some(run)) {
        // What the command has done is not less done for it.
        Err(BranchError::File(error)) => note(format_args!("this run will not be remembered: {error}")),
        result => result?,
    }
    Ok(branch)
}

/// Commits it; what stands in the way is said, and the branch stays.
fn commit(branch: &Branch, review: ReviewOptions) -> Result<Option<u8>, CliError> {
    let options = CommitOptions {
        review,
        ..CommitOptions::default()
    };
    match commands::commit::commit(branch, &options) {
        Ok(commit) => {
            commands::commit::tell_of(&commit);
            branch.clone().discard()?;
            Ok(None)
        }
        Err(CommitError::Nothing) => Ok(branch.clone().discard().map(|()| None)?),
        Err(error) => {
            commands::commit::refused(error)?;
            note(format_args!("branch {} is kept", branch.name()));
            Ok(Some(commands::commit::NEEDS_A_DECISION))
        }
    }
}

/// Shows what changed, and asks what becomes of it.
fn ask(branch: Branch, review: ReviewOptions) -> Result<Option<u8>, CliError> {
    let set = branch.diff_with(&review, &mut |_| {})?;
    let name = branch.name().clone();
    tell(show_changes::lines(&set).trim_end());
    if set.is_empty() {
        return Ok(branch.discard().map(|()| None)?);
    }
    loop {
        match question(&format!("branch {name}: [c]ommit, [k]eep or [d]iscard? "))?.as_deref() {
            Some("c" | "commit") => return commit(&branch, review),
            Some("d" | "discard") => return Ok(branch.discard().map(|()| None)?),
            // The end of the input decides nothing.
            None | Some("k" | "keep") => {
                note(format_args!("branch {name} is kept"));
                return Ok(None);
            }
            Some(_) => {}
        }
    }
}

/// Somebody was faster, and has it mounted now.
fn is_in_use(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Branch(BranchError::InUse { .. }) | CliError::Start(StartError::UpperInUse { .. })
    )
}

fn create(workspace: &Workspace, name: &BranchName, options: &CreateOptions) -> Result<Branch, CliError> {
    let mut bar = Bar::new();
    Ok(workspace.create_with(name, options, &mut |progress| bar.show(progress))?)
}
