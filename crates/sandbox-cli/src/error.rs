//! What the command says when it cannot do what it was asked to.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use sandbox::backend::dual::InvalidDualFs;
use sandbox::backend::mem::InvalidMemFs;
use sandbox::backend::overlay::OverlayError;
use sandbox::backend::passthrough::PassthroughError;
use sandbox::branch::{
    AttachError, BranchError, CarryError, CombineError, CommitError, InvalidPattern, ReviewError, Workspace,
};
use sandbox::oci::{ExportError, LayerError, LayoutError};
use sandbox::own::OwnWallsError;
use sandbox::policy::DocumentError;
use sandbox::serve::fuse::MountError;
use sandbox::volume::{ArchiveError, FsError, VolumeError};
use sandbox::{
    AttachVolumesError, BranchName, ForkError, JoinError, PolicyError, PrepareError, ReduceError, RunError,
    StartError,
};

use crate::commands::mount;
use crate::output::tell;
use crate::run::flags;

/// The exit status of a sandbox that failed before the command did anything.
pub(crate) const SANDBOX_FAILED: u8 = 125;

/// Why the command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{flag} {path}: {source}", path = path.display())]
    Path {
        flag: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{flag} {}: not a name or value in UTF-8", value.display())]
    NotUtf8 { flag: &'static str, value: OsString },
    #[error("--profile {name}: there is no such profile")]
    NoSuchProfile {
        name: String,
        user_path: Option<PathBuf>,
    },
    #[error("{path}: {source}", path = path.display())]
    Profile { path: PathBuf, source: DocumentError },
    #[error("{}", flags::problems(.0))]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Fork(#[from] ForkError),
    #[error(transparent)]
    Reduce(ReduceError),
    #[error("branch {name} is in use, and clones have branches of one that nobody else writes to")]
    ForkOnLiveBranch { name: BranchName },
    #[error("--interactive: output on a terminal is not counted, so --output-limit cannot be kept")]
    UncountedTerminal,
    #[error("{what}: {source}")]
    Terminal { what: &'static str, source: io::Error },
    #[error("standard output: {0}")]
    Stdout(io::Error),
    #[error("JSON: {0}")]
    Json(serde_json::Error),
    #[error(transparent)]
    Leftovers(#[from] sandbox::gc::FindError),
    #[error(transparent)]
    Branch(#[from] BranchError),
    #[error(transparent)]
    Review(#[from] ReviewError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Combine(#[from] CombineError),
    #[error(transparent)]
    Carry(#[from] CarryError),
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    LayerExport(#[from] ExportError),
    #[error("{flag} is for {wanted}: {path}", path = path.display())]
    LayerFlag {
        flag: &'static str,
        path: PathBuf,
        wanted: &'static str,
    },
    #[error("an archive is nothing for a terminal")]
    ArchiveOnTerminal,
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("branch {name} is there already, and a dry run would drop it with all that is on it")]
    DryRunOnBranch { name: BranchName },
    #[error("branch {name} is in use, and nothing more can be denied to a sandbox that runs already")]
    DenialOnJoin { name: BranchName },
    #[error("a question and JSON cannot both go to standard error")]
    QuestionInJson,
    #[error("nothing runs on branch {name}")]
    NotRunning { name: BranchName },
    #[error("nothing has been committed to {workspace}", workspace = workspace.display())]
    NoCommit { workspace: PathBuf },
    #[error("{} is not there; its branches are kept", workspace.base().display())]
    WorkspaceGone { workspace: Box<Workspace> },
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("standard input: {0}")]
    Stdin(io::Error),
    #[error("{directory} holds more than a project, and would be on the branch as a whole", directory = directory.display())]
    WorkspaceTooWide { directory: PathBuf },
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    VolumeArchive(#[from] ArchiveError),
    #[error(transparent)]
    VolumeFile(#[from] FsError),
    #[error("{}", with_sources(.0))]
    AttachVolumes(#[from] AttachVolumesError),
    #[error("branch {name} is in use, and no volume can be added to a sandbox that runs already")]
    VolumeOnJoin { name: BranchName },
    #[error("a runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}", with_sources(.0))]
    Mount(#[from] MountError),
    #[error("{}", problems_of(.0))]
    Passthrough(#[from] PassthroughError),
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    #[error(transparent)]
    Dual(#[from] InvalidDualFs),
    #[error(transparent)]
    Mem(#[from] InvalidMemFs),
    #[error("{what}: {source}")]
    Serving { what: &'static str, source: io::Error },
    #[error("{}: the mount point is in {}, which is served: it would show itself", place.display(), shown.display())]
    MountInItself { place: PathBuf, shown: PathBuf },
    #[error("the server in the background has ended before it was ready")]
    NotReady,
    #[error("the server was killed ({status}); nothing is mounted any more")]
    ServerKilled { status: ExitStatus },
    #[error(transparent)]
    OwnWalls(#[from] OwnWallsError),
}

impl CliError {
    /// The status to exit with.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Start(error)
            | Self::Run(RunError::Start(error))
            | Self::Fork(ForkError::Start(error))
            | Self::Reduce(ReduceError::Start(error)) => error.exit_status(),
            _ => SANDBOX_FAILED,
        }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Path { flag: "--bind", .. } => Some("write --bind SRC:DST, or --bind SRC:DST:rw".into()),
            Self::MountInItself { .. } => Some("give a mount point elsewhere".into()),
            Self::NoSuchProfile { user_path, .. } => Some(match user_path {
                Some(path) => format!("see: sandbox profile list; or put one into {}", path.display()),
                None => "see: sandbox profile list".into(),
            }),
            Self::Start(error)
            | Self::Run(RunError::Start(error))
            | Self::Fork(ForkError::Start(error))
            | Self::Reduce(ReduceError::Start(error)) => hint_of(error),
            Self::Fork(error) => error.hint(),
            Self::DryRunOnBranch { name } => Some(format!(
                "try it on a branch of it: sandbox run --branch --from={name} --dry-run -- COMMAND"
            )),
            Self::ForkOnLiveBranch { .. } => {
                Some("wait until it has ended, or name another one: --branch-per-clone=NAME".into())
            }
            Self::DenialOnJoin { name } => Some(format!(
                "wait until it has ended, or join it as it is: sandbox exec {name} -- COMMAND"
            )),
            Self::QuestionInJson => Some("write the JSON to a file: --json=FILE".into()),
            Self::NotRunning { name } => {
                Some(format!("start it with: sandbox run --branch={name} -- COMMAND"))
            }
            Self::Review(error) => error.hint(),
            Self::Commit(error) => error.hint(),
            Self::Combine(error) => error.hint(),
            Self::Branch(error) | Self::Carry(CarryError::Branch(error)) => error.hint(),
            Self::Mount(error) => error.hint().map(str::to_owned),
            Self::OwnWalls(error @ OwnWallsError::NoWall { .. }) => error
                .hint()
                .map(|hint| format!("{hint}; or, if you trust it all the same: --unconfined")),
            Self::Passthrough(error) => mount::hint(error).map(str::to_owned),
            Self::Overlay(error) => error.hints().next().map(str::to_owned),
            Self::Layer(error) => error.hint().map(str::to_owned),
            Self::Layout(error) => error.hint().map(str::to_owned),
            Self::LayerExport(error) => error.hint().map(str::to_owned),
            Self::Volume(error) => error.hint(),
            Self::VolumeArchive(error) => error.hint(),
            Self::AttachVolumes(error) => error.hint(),
            Self::WorkspaceGone { workspace } => {
                let base = workspace.base().display();
                Some(format!(
                    "where it is now: sandbox branch attach {base}; to drop them: sandbox branch discard --all --workspace {base}"
                ))
            }
            Self::Attach(error) => error.hint(),
            Self::ArchiveOnTerminal => Some("write it to a file: --output FILE".into()),
            Self::WorkspaceTooWide { .. } => Some("go into the project, or name it: --workspace DIR".into()),
            _ => None,
        }
    }

    /// Says it on standard error.
    pub(crate) fn print(&self) {
        for line in self.to_string().lines() {
            // An indented line belongs to the one before it.
            let name = if line.starts_with(' ') { "" } else { "sandbox: " };
            tell(format_args!("{name}{line}"));
        }
        if let Some(hint) = self.hint() {
            tell(format_args!("  hint: {hint}"));
        }
    }
}

impl From<ReduceError> for CliError {
    fn from(error: ReduceError) -> Self {
        match error {
            ReduceError::Fork(error) => Self::Fork(*error),
            error => Self::Reduce(error),
        }
    }
}

impl From<PrepareError> for CliError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Policy(error) => Self::Policy(error),
            error => Self::Start(StartError::Prepare(error)),
        }
    }
}

/// An error and what has caused it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn problems_of(error: &PassthroughError) -> String {
    let problems = error.problems().iter();
    let lines: Vec<_> = problems.map(|problem| with_sources(problem)).collect();
    lines.join("\n")
}

/// The library's hint, or that of one of its parts.
fn hint_of(error: &StartError) -> Option<String> {
    match error {
        StartError::Prepare(PrepareError::Syscalls(error)) => error.hint().map(str::to_owned),
        error => error.hint(),
    }
}
