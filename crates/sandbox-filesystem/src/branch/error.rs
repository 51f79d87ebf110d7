//! What can go wrong with a workspace or a branch.

use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::{BranchName, InvalidName};

use super::beside::Distrust;
use super::copy::CopyError;
use super::lock::Holder;
use super::manifest::{FileError, Mode};
use super::suitable::Unsuitable;
use crate::backend::overlay::OverlayError;

/// Why a workspace or a branch cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The workspace is not there, or cannot be reached.
    #[error("{path}: {source}", path = path.display())]
    Workspace {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A workspace is a directory.
    #[error("{path} is not a directory", path = path.display())]
    NotADirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// The root of the file system is no workspace.
    #[error("/ cannot be a workspace: branches, programs and devices are in it")]
    Root,
    /// No variable says where the branches are.
    #[error("neither SANDBOX_HOME, XDG_STATE_HOME nor HOME says where to keep branches")]
    NoStateDirectory,
    /// The text is no name for a branch.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no such branch.
    #[error("{workspace} has no branch {name}", workspace = workspace.display())]
    NotFound {
        /// Which one.
        name: BranchName,
        /// Of what.
        workspace: PathBuf,
        /// Those there are.
        known: Vec<BranchName>,
    },
    /// There is one of that name already.
    #[error("{workspace} has a branch {name} already", workspace = workspace.display())]
    Exists {
        /// Which one.
        name: BranchName,
        /// Of what.
        workspace: PathBuf,
    },
    /// A sandbox, or another command, is using it.
    #[error("branch {name} is in use{}", by(holder.as_ref()))]
    InUse {
        /// Which one.
        name: BranchName,
        /// By whom, as far as it can be told.
        holder: Option<Holder>,
    },
    /// Somebody has discarded it since it was found, or discarded it and made another one of that name.
    #[error("branch {name} was discarded by another command just now")]
    Discarded {
        /// Which one.
        name: BranchName,
    },
    /// The way that was asked for does not work here.
    #[error("branches of {workspace} cannot be in mode {}: {reason}", mode.name(), workspace = workspace.display())]
    Mode {
        /// Of what.
        workspace: PathBuf,
        /// Which way.
        mode: Mode,
        /// Why not.
        reason: Unsuitable,
    },
    /// What was asked for is no mode that it can be in.
    #[error("branch {name} is in mode {}, and cannot be in mode {}", mode.name(), asked.name())]
    Inseparable {
        /// Which one.
        name: BranchName,
        /// Its mode.
        mode: Mode,
        /// What was asked for.
        asked: Mode,
    },
    /// It is in mode `exact`, and cannot be served.
    #[error("branch {name} cannot be served: {source}")]
    View {
        /// Which one.
        name: BranchName,
        /// Why.
        #[source]
        source: OverlayError,
    },
    /// Something was mounted inside the workspace after the branch was made, and overlayfs cannot show it.
    #[error("{path} is a mount of its own inside the workspace now, which branch {name}, in mode kernel, cannot show", path = path.display())]
    MountedInside {
        /// The branch.
        name: BranchName,
        /// Where.
        path: PathBuf,
    },
    /// A branch of a branch was to be of another mode, or of another state of the workspace.
    #[error("a branch of {parent} is in mode {}, and sees the workspace as {parent} does", mode.name())]
    Inherited {
        /// The branch that it was to start from.
        parent: BranchName,
        /// Its mode.
        mode: Mode,
    },
    /// Clones have branches of their own by the kernel's overlayfs only.
    #[error(
        "branch {name} is in mode {}, and clones of a template have branches only of one in mode kernel",
        mode.name()
    )]
    ModeForClones {
        /// Which one.
        name: BranchName,
        /// Its mode.
        mode: Mode,
    },
    /// Nobody has said yet that the template writes no more.
    #[error("branch {name} is being written still: no clone can have a branch of it")]
    NotFrozen {
        /// Which one.
        name: BranchName,
    },
    /// The machine went down while it was mounted.
    #[error("the machine went down while branch {name} was in use: what was last written to it may be lost")]
    NotSettled {
        /// Which one.
        name: BranchName,
    },
    /// The workspace cannot be frozen by sharing blocks.
    #[error("what is in {workspace} cannot be shared by reflink with {storage}", workspace = workspace.display(), storage = storage.display())]
    NoReflink {
        /// Which one.
        workspace: PathBuf,
        /// Where its branches are.
        storage: PathBuf,
    },
    /// A whole copy could not be made.
    #[error("{from}: {source}", from = from.display())]
    Copy {
        /// Of what.
        from: PathBuf,
        /// Where it stopped.
        #[source]
        source: CopyError,
    },
    /// A file of the branch engine's cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory of branches is of another workspace.
    #[error("{directory} holds the branches of {of}", directory = directory.display(), of = of.display())]
    Foreign {
        /// Where branches are kept.
        directory: PathBuf,
        /// Of which workspace.
        of: PathBuf,
    },
    /// A directory beside the workspace is not believed to hold its branches.
    #[error("{directory} is not used for branches: {reason}", directory = directory.display())]
    Distrusted {
        /// Which one.
        directory: PathBuf,
        /// Why.
        #[source]
        reason: Distrust,
    },
    /// Where branches are kept, something leads elsewhere.
    #[error("{path} is a link, or no directory: nothing that branches are kept in is", path = path.display())]
    Linked {
        /// What.
        path: PathBuf,
    },
    /// The git directory that a branch has a layer of is not the workspace's, or no longer.
    #[error("branch {name} has changes of {}, and the git directory of {} is {}", paths(recorded), workspace.display(), paths(found))]
    Repository {
        /// The branch.
        name: BranchName,
        /// Of which workspace.
        workspace: PathBuf,
        /// What the branch says.
        recorded: Vec<PathBuf>,
        /// What is there.
        found: Vec<PathBuf>,
    },
    /// The system refused something.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn paths(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    match paths.as_slice() {
        [] => "not elsewhere".to_owned(),
        paths => paths.join(", "),
    }
}

fn by(holder: Option<&Holder>) -> String {
    match holder {
        None => String::new(),
        Some(Holder { pid, command, .. }) if command.is_empty() => format!(" by process {pid}"),
        Some(Holder { pid, command, .. }) => format!(" by process {pid}: {command}"),
    }
}

impl BranchError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { known, .. } if known.is_empty() => {
                "there are no branches yet; make one with: sandbox run --branch -- COMMAND".into()
            }
            Self::NotFound { known, .. } => {
                let names: Vec<_> = known.iter().take(10).map(BranchName::as_str).collect();
                format!("there are: {}", names.join(", "))
            }
            Self::Exists { name, .. } => format!("use it with --branch={name}, or choose another name"),
            Self::InUse { name, .. } => {
                format!(
                    "wait until it has ended; or join it, unless it is a clone's, with: sandbox exec {name} -- COMMAND"
                )
            }
            Self::Discarded { name } => {
                format!("nothing was done; sandbox run --branch={name} makes a new one, or use another name")
            }
            Self::Mode {
                mode: Mode::Kernel, ..
            } => "leave it to --branch-mode auto, or use copy".into(),
            Self::Mode {
                reason: Unsuitable::NoFuse(_),
                ..
            } => "give this user access to /dev/fuse (a container needs --device /dev/fuse), or leave it to \
                  --branch-mode auto"
                .into(),
            Self::Mode {
                mode: Mode::Exact, ..
            } => "leave it to --branch-mode auto, or use copy".into(),
            Self::Inseparable { .. } => {
                "leave out --branch-mode, or choose another name; kernel and exact can be changed for one another"
                    .into()
            }
            Self::View { source, .. } => return source.hints().next().map(str::to_owned),
            Self::MountedInside { path, .. } => format!(
                "run it with --branch-mode exact, which goes around it; or unmount it (umount {}) and try again; diff and commit work as they are",
                path.display()
            ),
            Self::Workspace { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "name a directory that is there: --workspace DIR".into()
            }
            Self::NotADirectory { .. } => "name the directory that it is in: --workspace DIR".into(),
            Self::NoReflink { .. } => {
                "use --snapshot copy, or keep branches on the workspace's file system: --storage beside"
                    .into()
            }
            Self::ModeForClones { mode: Mode::Exact, .. } => "have it in mode kernel: --branch-mode kernel".into(),
            Self::ModeForClones { .. } => {
                "make it with: --branch-mode kernel, to see why that does not work here".into()
            }
            Self::Inherited { .. } => "leave out --branch-mode and --snapshot".into(),
            Self::NotSettled { name } => {
                format!("look at it with: sandbox branch diff {name}; then: sandbox branch recover {name}")
            }
            Self::Distrusted { directory, reason } => match reason {
                Distrust::Mode { .. } => format!(
                    "if it is yours: chmod 0700 {0}; else leave it alone with: --storage state",
                    directory.display()
                ),
                _ => format!(
                    "leave it alone with: --storage state; if you know what is in it, name it: --storage {}",
                    directory.display()
                ),
            },
            Self::Linked { path } => {
                format!("look at it, and remove it if it is not yours: {}", path.display())
            }
            Self::Repository { .. } => {
                "put the git directory back, or take the files to a new branch: sandbox branch export, \
                 sandbox branch import"
                    .into()
            }
            Self::Root => "name a directory: --workspace DIR".into(),
            Self::NoStateDirectory => "set HOME, or SANDBOX_HOME to a directory of yours".into(),
            Self::File(FileError::Damaged { path, .. }) => format!(
                "if nothing in it is wanted, remove {}",
                path.parent().unwrap_or(path).display()
            ),
            Self::File(FileError::Newer { .. }) => "use the newer program".into(),
            Self::Copy { source, .. } => return source.hint().map(str::to_owned),
            _ => return None,
        })
    }

    pub(crate) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
