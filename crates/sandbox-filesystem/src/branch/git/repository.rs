//! A repository that the base has, as a branch sees it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sandbox_types::RelPath;

use super::config;
use super::error::GitError;
use super::object::ObjectFormat;
use crate::branch::stack::Stack;

/// The largest configuration that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// A repository that the base has, as a branch sees it.
#[derive(Debug, Clone)]
pub(crate) struct Repository<'a> {
    /// The view that shows the git directory. What it shows of the base may be a snapshot.
    pub(super) stack: &'a Stack,
    /// The directory that it is a view of, as it is now.
    pub(super) base: PathBuf,
    /// The (common) git directory in both.
    pub(super) common: RelPath,
    /// Where its own HEAD is: the same, or `worktrees/X` beneath it.
    pub(super) head: RelPath,
    /// What it is called in a change set.
    pub(super) shown: PathBuf,
}

impl<'a> Repository<'a> {
    /// The repository whose git directory is at `common` in the workspace `base`, which `stack` is a view of.
    pub(crate) fn in_workspace(stack: &'a Stack, base: &Path, common: RelPath) -> Self {
        Self {
            shown: common.as_path().to_owned(),
            head: common.clone(),
            base: base.to_owned(),
            stack,
            common,
        }
    }

    /// A repository outside the workspace, at `common` in the directory `base`, which has a view of its own; `head` is
    /// the directory there that holds the workspace's HEAD, of a linked working tree `worktrees/X`.
    pub(crate) fn outside(stack: &'a Stack, base: &Path, common: RelPath, head: RelPath) -> Self {
        Self {
            shown: base.join(common.as_path()),
            base: base.to_owned(),
            stack,
            common,
            head,
        }
    }

    /// Where the git directory is in its view.
    pub(crate) fn common(&self) -> &RelPath {
        &self.common
    }

    /// The git directory in the base.
    pub(crate) fn base_dir(&self) -> PathBuf {
        self.base.join(self.common.as_path())
    }
}

/// How the repository at `git_dir`, which is the base's, names its objects.
pub(super) fn base_format(git_dir: &Path) -> Result<ObjectFormat, GitError> {
    let path = git_dir.join("config");
    let text = read_text(&path).map_err(|source| GitError::Read { path, source })?;
    let refs = config::value(&text, "extensions", "refstorage").unwrap_or_default();
    if !refs.is_empty() && !refs.eq_ignore_ascii_case("files") {
        return Err(GitError::RefFormat {
            repository: git_dir.to_owned(),
            format: refs,
        });
    }
    match config::value(&text, "extensions", "objectformat") {
        None => Ok(ObjectFormat::Sha1),
        Some(name) => ObjectFormat::parse(&name).ok_or_else(|| GitError::ObjectFormat {
            repository: git_dir.to_owned(),
            format: name,
        }),
    }
}

/// A configuration of the base; empty where there is none.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    // O_NONBLOCK: a pipe is not waited for.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(nonblocking).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `path` with `names` beneath it.
pub(super) fn at(path: &RelPath, names: &[&str]) -> io::Result<RelPath> {
    let mut path = path.clone();
    for name in names {
        path = path.join(name).map_err(io::Error::other)?;
    }
    Ok(path)
}
