//! `sandbox run --branch`: the command works on a copy-on-write view, the base stays as it is.

use std::path::PathBuf;

use sandbox::branch::{Branch, BranchError, CreateOptions, Mode, Progress, Unsuitable, Use, Workspace};
use sandbox::{
    BranchName, BranchViews, Command, OnBranch, Policy, PolicyBuilder, PrepareError, Process, RunError,
    Sandbox, StartError,
};

use super::args::RunArgs;
use super::branch_args::BranchArgs;
use super::branch_report::{BranchReport, What};
use super::live::{self, Live};
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::note;
use crate::progress::Bar;

/// How often a mount is tried again. Somebody else may have mounted and left between making it ready and mounting it,
/// and what a volatile mount leaves refuses the next one.
const RETRIES: u32 = 2;

/// A branch that a command is about to run on.
#[derive(Debug)]
pub(crate) struct Session {
    branch: Branch,
    /// Made for this run, with nothing on it.
    is_fresh: bool,
    /// It is mounted in a sandbox already, which the command joins.
    is_joined: bool,
    /// Mounts that were tried again.
    retries: u32,
    /// Why it is not in mode `kernel`, where nobody has asked for another one.
    why_not_kernel: Option<Unsuitable>,
    /// Why it is not in mode `exact` then.
    why_not_exact: Option<Unsuitable>,
    /// There are no namespaces to show a copy at the workspace's place.
    is_in_place: bool,
}

impl Session {
    /// Opens the branch, or makes it.
    pub(crate) fn open(args: &BranchArgs) -> Result<Self, CliError> {
        let workspace = args.workspace.open()?;
        let name = args.branch.as_deref().unwrap_or_default();
        if name.is_empty() {
            let options = args.options();
            let branch = making(&workspace, |progress| {
                workspace.create_numbered_with("run", &options, progress)
            })?;
            return Ok(Self::made(branch, args));
        }
        Self::open_named(&workspace, name.parse().map_err(BranchError::from)?, args)
    }

    fn open_named(workspace: &Workspace, name: BranchName, args: &BranchArgs) -> Result<Self, CliError> {
        use BranchError::{Exists, NotFound};
        let is_new_wanted = args.from.is_some() || args.snapshot.is_some();
        match workspace.get(&name) {
            // It would be dropped with all that earlier runs have left on it.
            Ok(_) if args.dry_run => Err(CliError::DryRunOnBranch { name }),
            Ok(_) if is_new_wanted => Err(Exists {
                name,
                workspace: workspace.base().to_owned(),
            }
            .into()),
            Ok(branch) => Self::found(branch, args),
            Err(NotFound { .. }) => match create(workspace, &name, &args.options()) {
                // Somebody was faster.
                Err(CliError::Branch(Exists { .. })) if !is_new_wanted && !args.dry_run => {
                    Self::found(workspace.get(&name)?, args)
                }
                branch => Ok(Self::made(branch?, args)),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn found(mut branch: Branch, args: &BranchArgs) -> Result<Self, CliError> {
        if let Some(mode) = args.mode() {
            branch.change_mode(mode)?;
        }
        Ok(Self {
            is_joined: branch.in_use()? != Use::Free,
            ..Self::new(branch, false)
        })
    }

    fn made(branch: Branch, args: &BranchArgs) -> Self {
        let is_chosen = branch.mode() != Mode::Kernel && args.leaves_mode_open() && args.from.is_none();
        let workspace = branch.workspace();
        let why_not_kernel = is_chosen.then(|| workspace.why_no_kernel()).flatten();
        let is_copy = branch.mode() == Mode::Copy && is_chosen;
        let why_not_exact = is_copy.then(|| workspace.why_no_exact()).flatten();
        Self {
            why_not_kernel,
            why_not_exact,
            ..Self::new(branch, true)
        }
    }

    fn new(branch: Branch, is_fresh: bool) -> Self {
        Self {
            retries: 0,
            why_not_kernel: None,
            why_not_exact: None,
            branch,
            is_fresh,
            is_joined: false,
            is_in_place: sandbox::Host::known_without_namespaces(),
        }
    }

    /// The branch.
    pub(crate) fn branch(&self) -> &Branch {
        &self.branch
    }

    /// Puts it into the policy.
    pub(crate) fn apply(&self, args: &RunArgs, builder: PolicyBuilder) -> Result<PolicyBuilder, CliError> {
        if self.is_joined {
            let name = self.branch.name().clone();
            return match args.files.deny.as_slice() {
                [] => Ok(builder),
                _ => Err(CliError::DenialOnJoin { name }),
            };
        }
        if self.is_in_place && self.branch.mode() == Mode::Copy {
            return Ok(builder.on_working_copy(&self.branch));
        }
        Ok(builder.on_branch(&self.branch)?)
    }

    /// What this process has to serve for it, under the policy that it was put into.
    pub(crate) fn views(&self, policy: &Policy) -> Result<BranchViews, CliError> {
        if self.is_joined {
            return Ok(BranchViews::default());
        }
        Ok(BranchViews::of(&self.branch, policy)?)
    }

    /// The branch, where its sandbox runs already.
    pub(crate) fn joined(&self) -> Option<&BranchName> {
        self.is_joined.then(|| self.branch.name())
    }

    /// Starts a command on it: the first in a sandbox of its own, any other in the one that has it mounted.
    pub(crate) fn start(
        &self,
        sandbox: impl FnOnce() -> Result<Sandbox, CliError>,
        command: Command,
    ) -> Result<(Live, Process), CliError> {
        if self.is_joined {
            Live::join(&self.branch, command)
        } else {
            Live::start(sandbox()?, &self.branch.control_socket(), command)
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
            CliError::Start(StartError::Serve { source, .. })
            | CliError::Run(RunError::Start(StartError::Serve { source, .. })) => {
                Some(Unsuitable::Served(source.to_string()))
            }
            CliError::Branch(BranchError::View { source, .. }) => {
                Some(Unsuitable::Served(source.to_string()))
            }
            CliError::Start(StartError::Prepare(PrepareError::NeedsNamespaces { .. }))
            | CliError::Run(RunError::Start(StartError::Prepare(PrepareError::NeedsNamespaces { .. }))) => {
                Some(Unsuitable::NoNamespaces)
            }
            _ => None,
        };
        let is_open = args.leaves_mode_open();
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
            // It has ended in the meantime.
            _ if self.is_joined && matches!(error, CliError::NotRunning { .. }) => Ok(Self {
                is_joined: false,
                ..self
            }),
            (Some(Unsuitable::Refused(_)), Mode::Kernel) if self.retries < RETRIES => Ok(Self {
                retries: self.retries + 1,
                ..self
            }),
            (Some(reason), Mode::Kernel | Mode::Exact) if self.is_fresh && is_open => {
                self.instead(args, reason)
            }
            _ => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// The same branch in the next mode that may work.
    fn instead(self, args: &BranchArgs, reason: Unsuitable) -> Result<Self, CliError> {
        let workspace = self.branch.workspace().clone();
        let name = self.branch.name().clone();
        let is_in_place = reason == Unsuitable::NoNamespaces;
        let (no_kernel, no_exact) = match self.branch.mode() {
            Mode::Exact if !is_in_place => (self.why_not_kernel, Some(reason)),
            _ => (Some(reason), None),
        };
        let options = CreateOptions {
            no_kernel: no_kernel.clone(),
            no_exact: no_exact.clone(),
            ..args.options()
        };
        self.branch.discard()?;
        let branch = create(&workspace, &name, &options)?;
        let is_copy = branch.mode() == Mode::Copy && !is_in_place;
        let found = || is_copy.then(|| workspace.why_no_exact()).flatten();
        Ok(Self {
            why_not_kernel: no_kernel,
            why_not_exact: no_exact.or_else(found),
            is_in_place,
            ..Self::new(branch, true)
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
            Mode::Exact => note(format_args!(
                "branch {name} (an overlay that this process serves{}); {base} stays as it is",
                self.reasons()
            )),
            Mode::Copy => note(format_args!(
                "branch {name} (a whole copy, which takes time and space{}); {base} stays as it is",
                self.reasons()
            )),
            _ => {}
        }
    }

    /// Why the mode is not a better one.
    fn reasons(&self) -> String {
        match (&self.why_not_kernel, &self.why_not_exact) {
            (Some(kernel), Some(exact)) => format!(", because {kernel}, and {exact}"),
            (Some(kernel), None) => format!(", because {kernel}"),
            (None, _) => String::new(),
        }
    }

    /// What is known of it before it ends.
    pub(super) fn report(&self) -> BranchReport {
        BranchReport {
            name: self.branch.name().clone(),
            workspace: self.branch.workspace().base().to_owned(),
            mode: self.branch.mode().name(),
            is_new: self.is_fresh,
            is_joined: self.is_joined,
            end: What::Kept,
            commit: None,
            counts: None,
            ignored: 0,
            git: Vec::new(),
            held: Vec::new(),
            conflicts: Vec::new(),
            base_changed: None,
            changes: None,
            notes: Vec::new(),
            error: None,
        }
    }

    pub(super) fn into_branch(self) -> Branch {
        self.branch
    }

    /// A branch on which nothing has run is none worth keeping.
    pub(crate) fn abandon(self) {
        if self.is_fresh
            && let Err(error) = self.branch.discard()
        {
            note(format_args!("the branch is left behind: {error}"));
        }
    }
}

/// Somebody was faster, and has it mounted now.
fn is_in_use(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Branch(BranchError::InUse { .. })
            | CliError::Start(StartError::UpperInUse { .. } | StartError::Locked { .. })
    )
}

fn create(workspace: &Workspace, name: &BranchName, options: &CreateOptions) -> Result<Branch, CliError> {
    making(workspace, |progress| {
        workspace.create_with(name, options, progress)
    })
}

/// Makes a branch, with a bar. Where it takes long, because much is copied, a signal takes it back.
fn making(
    workspace: &Workspace,
    make: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<Branch, BranchError>,
) -> Result<Branch, CliError> {
    let (mut bar, mut guard) = (Bar::new(), None);
    let branch = make(&mut |progress| {
        guard.get_or_insert_with(|| Guard::making(workspace));
        bar.show(progress);
    });
    Ok(branch?)
}
