//! `.git` files: linked working trees, submodules, and git directories that are kept apart.
//!
//! What one names is used only where it names the working tree in turn: of a linked working tree the file `gitdir`
//! (gitrepository-layout(5)), of the others `core.worktree`.

use std::path::{Path, PathBuf};

use super::config;
use super::error::LocateError;
use super::locate::{is_git_dir, resolved};
use super::repository::read_text;
use super::trust::User;

/// The git directory and the common one that the `.git` file `link` of the working tree `top` leads to.
pub(super) fn follow(
    workspace: &Path,
    top: &Path,
    link: &Path,
    user: &User,
) -> Result<(PathBuf, PathBuf), LocateError> {
    let bad_link = || LocateError::BadLink {
        path: link.to_owned(),
    };
    let text = text(link)?;
    let target = text
        .strip_prefix("gitdir:")
        .map(str::trim)
        .filter(|path| !path.is_empty());
    let git_dir = top.join(target.ok_or_else(bad_link)?);
    let git_dir = git_dir.canonicalize().map_err(|_| bad_link())?;
    let no_back_link = || LocateError::NoBackLink {
        link: link.to_owned(),
        git_dir: git_dir.clone(),
    };
    if git_dir.join("commondir").is_file() {
        let common_dir = linked(&git_dir, link, user)?.ok_or_else(no_back_link)?;
        return Ok((git_dir, common_dir));
    }
    is_git_dir(&git_dir, user)?;
    // What is in the workspace shows nothing that would not be shown anyway.
    if git_dir.starts_with(workspace) || names_worktree(&git_dir, top)? {
        Ok((git_dir.clone(), git_dir))
    } else {
        Err(no_back_link())
    }
}

/// The common git directory of the linked working tree that `git_dir` describes; none where it is not one of `link`.
fn linked(git_dir: &Path, link: &Path, user: &User) -> Result<Option<PathBuf>, LocateError> {
    let common = text(&git_dir.join("commondir"))?;
    let back = text(&git_dir.join("gitdir"))?;
    let Ok(common) = git_dir.join(common.trim_end_matches('\n')).canonicalize() else {
        return Ok(None);
    };
    is_git_dir(&common, user)?;
    let is_registered = git_dir.parent() == Some(&common.join("worktrees"));
    let back = git_dir.join(back.trim_end_matches('\n')).canonicalize();
    let leads_back = back.is_ok_and(|back| back == link);
    Ok((is_registered && leads_back).then_some(common))
}

/// Whether the settings of `git_dir` say that `top` is its working tree.
fn names_worktree(git_dir: &Path, top: &Path) -> Result<bool, LocateError> {
    // With `extensions.worktreeConfig` git keeps it in the second file.
    for name in ["config.worktree", "config"] {
        if let Some(worktree) = config::value(&text(&git_dir.join(name))?, "core", "worktree") {
            return Ok(resolved(&git_dir.join(worktree)).is_ok_and(|named| named == top));
        }
    }
    Ok(false)
}

fn text(path: &Path) -> Result<String, LocateError> {
    read_text(path).map_err(|source| LocateError::Read {
        path: path.to_owned(),
        source,
    })
}
