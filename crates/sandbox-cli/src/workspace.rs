//! Which directory is meant when branches are.
//!
//! `--workspace DIR`, else the top of the git repository around the current directory, else the current
//! directory itself. The home and what holds it are workspaces only by name: with them everything that a user
//! has would be on the branch.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use sandbox::branch::{Branch, BranchError, IgnoredFiles, ReviewOptions, Storage, Workspace};
use sandbox::{BranchName, RiskRules};

use crate::error::CliError;
use crate::output::note;
use crate::profiles;

/// Shared by everybody: no workspace unless it is named.
const SHARED: &[&str] = &[
    "/tmp", "/var", "/var/tmp", "/mnt", "/media", "/opt", "/srv", "/usr", "/etc",
];

/// Flags of every command that has to do with branches.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Workspace")]
pub(crate) struct WorkspaceArgs {
    /// The directory that has branches [default: the git repository around the current directory, else that]
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) workspace: Option<PathBuf>,
    /// Where branches are kept: `state`, `beside` the workspace, or a directory [default: beside if branches are there, else state]
    #[arg(long, global = true, value_name = "WHERE", value_parser = storage)]
    pub(crate) storage: Option<Storage>,
}

fn storage(text: &str) -> Result<Storage, &'static str> {
    match text {
        "" => Err("write state, beside or a directory"),
        "state" => Ok(Storage::State),
        "beside" => Ok(Storage::Beside),
        path => Ok(Storage::At(path.into())),
    }
}

impl WorkspaceArgs {
    /// The workspace that is meant. The branches of one that was moved here follow it.
    pub(crate) fn open(&self) -> Result<Workspace, CliError> {
        let (directory, storage) = (self.directory()?, self.storage());
        let here = Workspace::open_in(&directory, &storage).map_err(|error| gone(error, &directory))?;
        if self.storage.is_none()
            && let Some(state) = here.also_in()
        {
            note(format_args!(
                "these are the branches in {}; there are others in {}: --storage state",
                here.storage().display(),
                state.display()
            ));
        }
        let Some(moved) = here.moved_here(&storage) else {
            return Ok(here);
        };
        let from = moved.from().to_owned();
        let workspace = moved.attach()?;
        note(format_args!(
            "{} was {}; its branches have followed it",
            workspace.base().display(),
            from.display()
        ));
        Ok(workspace)
    }

    /// The same; its directory may be gone, where nothing is done but with its branches.
    pub(crate) fn open_kept(&self) -> Result<Workspace, CliError> {
        match self.open() {
            Err(CliError::WorkspaceGone { workspace }) => Ok(*workspace),
            result => result,
        }
    }

    /// Gives it the branches of the workspace that was at `from`.
    pub(crate) fn attach(&self, from: &Path) -> Result<Workspace, CliError> {
        Ok(Workspace::attach(self.directory()?, &self.storage(), from)?)
    }

    fn directory(&self) -> Result<PathBuf, CliError> {
        match &self.workspace {
            Some(directory) => Ok(directory.clone()),
            None => around_here(),
        }
    }

    fn storage(&self) -> Storage {
        self.storage.clone().unwrap_or_default()
    }

    /// The branch of that name, of the workspace that is meant.
    pub(crate) fn branch(&self, name: &BranchName) -> Result<Branch, CliError> {
        let workspace = self.open()?;
        match workspace.get(name) {
            // The name may be of a workspace further up: a subdirectory was named when it was made.
            Err(error @ BranchError::NotFound { .. }) if self.workspace.is_none() => {
                above(name).ok_or_else(|| error.into())
            }
            result => Ok(result?),
        }
    }
}

/// Why a workspace cannot be had, unless it is gone and its branches are there.
fn gone(error: BranchError, directory: &Path) -> CliError {
    let is_gone = |workspace: &Workspace| {
        !workspace.is_there() && std::path::absolute(directory).is_ok_and(|path| path == workspace.base())
    };
    let known = match &error {
        BranchError::Workspace { .. } => Workspace::all().unwrap_or_default(),
        _ => Vec::new(),
    };
    match known.into_iter().find(is_gone) {
        Some(workspace) => CliError::WorkspaceGone {
            workspace: Box::new(workspace),
        },
        None => error.into(),
    }
}

fn above(name: &BranchName) -> Option<Branch> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .filter_map(|directory| Workspace::open(directory).ok())
        .find_map(|workspace| workspace.get(name).ok())
}

fn around_here() -> Result<PathBuf, CliError> {
    let here = std::env::current_dir().map_err(|source| CliError::File {
        path: ".".into(),
        source,
    })?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.and_then(|home| home.canonicalize().ok());
    let too_wide = |directory: &Path| {
        home.as_ref().is_some_and(|home| home.starts_with(directory))
            || SHARED.iter().any(|shared| directory == Path::new(shared))
            || directory == Path::new("/")
    };
    let top = here
        .ancestors()
        .take_while(|directory| !too_wide(directory))
        .find(|directory| directory.join(".git").symlink_metadata().is_ok());
    match top {
        Some(top) => Ok(top.to_owned()),
        None if too_wide(&here) => Err(CliError::WorkspaceTooWide { directory: here }),
        None => Ok(here),
    }
}

/// Flags of every command that looks at changes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RuleArgs {
    /// Hold back what this profile says, too (its section [branch.risk]): a name, or a file
    #[arg(long, value_name = "FILE|NAME")]
    profile: Option<OsString>,
    /// List or commit what git ignores like everything else
    #[arg(long)]
    ignored: bool,
}

impl RuleArgs {
    /// How changes are to be looked at.
    pub(crate) fn options(&self) -> Result<ReviewOptions, CliError> {
        Ok(ReviewOptions {
            rules: rules(self.profile.as_deref())?,
            ignored: if self.ignored {
                IgnoredFiles::Include
            } else {
                IgnoredFiles::Fold
            },
        })
    }
}

/// What a profile says about what is held back.
pub(crate) fn rules(profile: Option<&OsStr>) -> Result<RiskRules, CliError> {
    match profile {
        Some(name) => Ok(profiles::load(name)?.branch.risk),
        None => Ok(RiskRules::default()),
    }
}
