//! What the repositories within a workspace name that are not its own: those that something has changed in, and
//! submodules.
//!
//! They are looked for where changes are, never by a walk of the base. Nothing here is trusted: what a `.git` names that
//! git itself would refuse makes more be held, not less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandbox_types::RelPath;

use super::config;
use super::named::{Named, Repository, named_by, plain};
use super::repository::read_text;

/// Git directories of submodules that are looked into; more than anybody has.
const MOST: usize = 1000;

/// What is named by the repositories of the workspace `base` around the paths that have changed.
pub(crate) fn nested<'a>(base: &Path, changed: impl Iterator<Item = &'a RelPath>) -> Vec<Named> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for top in tops(base, changed) {
        let Some(git_dir) = git_dir_of(&top) else { continue };
        let common_dir = common_dir_of(&git_dir);
        seen.insert(git_dir.clone());
        found.push(named_by(Repository {
            top: &top,
            git_dir: &git_dir,
            common_dir: &common_dir,
        }));
    }
    for git_dir in submodules(&base.join(".git/modules")) {
        if seen.contains(&git_dir) {
            continue;
        }
        let text = read_text(&git_dir.join("config")).unwrap_or_default();
        let worktree = config::value(&text, "core", "worktree").unwrap_or_default();
        found.push(named_by(Repository {
            top: &plain(&git_dir.join(worktree)),
            git_dir: &git_dir,
            common_dir: &git_dir,
        }));
    }
    found
}

/// Directories around `changed` that have a `.git`, but for the workspace itself.
fn tops<'a>(base: &Path, changed: impl Iterator<Item = &'a RelPath>) -> BTreeSet<PathBuf> {
    let mut known: BTreeMap<RelPath, bool> = BTreeMap::new();
    let mut tops = BTreeSet::new();
    for path in changed {
        let mut above = path.parent();
        while let Some(directory) = above.filter(|directory| !directory.is_root()) {
            if known.contains_key(&directory) {
                break;
            }
            let place = base.join(directory.as_path());
            let has_git = place.join(".git").symlink_metadata().is_ok();
            if has_git {
                tops.insert(place);
            }
            above = directory.parent();
            known.insert(directory, has_git);
        }
    }
    tops
}

/// The `.git` of a working tree, or what it names.
fn git_dir_of(top: &Path) -> Option<PathBuf> {
    let entry = top.join(".git");
    if entry.is_dir() {
        return Some(entry);
    }
    let text = read_text(&entry).ok()?;
    let target = text.strip_prefix("gitdir:")?.trim();
    Some(plain(&top.join(target)))
}

fn common_dir_of(git_dir: &Path) -> PathBuf {
    match read_text(&git_dir.join("commondir")) {
        Ok(text) if !text.is_empty() => plain(&git_dir.join(text.trim())),
        _ => git_dir.to_owned(),
    }
}

/// Git directories beneath `modules`, also those of submodules of submodules.
fn submodules(modules: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![modules.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if found.len() + left.len() > MOST || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            // The name of a submodule may have slashes in it.
            if path.join("HEAD").is_file() {
                left.push(path.join("modules"));
                found.push(path);
            } else {
                left.push(path);
            }
        }
    }
    found
}
