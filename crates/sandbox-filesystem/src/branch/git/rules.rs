//! What a file in a git directory is for, by its name alone: gitrepository-layout(5).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a path inside a git directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It can make git run something, or see other files than it should: hooks, configuration, attributes.
    Executable,
    /// git's own book-keeping, and whatever is not known.
    Internal,
    /// Beneath `modules`: git directories of submodules.
    Modules,
    /// Something of a linked working tree's that is [`Part::Executable`].
    WorktreeConfig,
}

/// What `path` is, relative to its git directory.
pub(super) fn part(path: &Path) -> Part {
    let names: Vec<&OsStr> = path.iter().collect();
    let is = |at: usize, name: &str| names.get(at).is_some_and(|found| *found == OsStr::new(name));
    if is(0, "hooks") {
        return Part::Executable;
    }
    match names.len() {
        _ if is(0, "modules") => Part::Modules,
        1 if is(0, "config") || is(0, "config.worktree") || is(0, "info") => Part::Executable,
        2 if is(0, "info") && (is(1, "attributes") || is(1, "exclude")) => Part::Executable,
        3 if is(0, "worktrees") && is(2, "config.worktree") => Part::WorktreeConfig,
        _ => Part::Internal,
    }
}

/// Whether `name` is in every path that is anything but a file outside a git directory.
pub(super) fn is_telling(name: &OsStr) -> bool {
    matches!(
        name.as_bytes(),
        b".git" | b"hooks" | b"config" | b"config.worktree" | b"info"
    )
}

/// Whether `path` is where git extensions keep large files: beneath `lfs/objects` or `annex/objects`.
pub(super) fn is_side_store(path: &Path) -> bool {
    path.starts_with("lfs/objects") || path.starts_with("annex/objects")
}

/// The names of what a bare repository is made of.
pub(super) const SIGNATURE: [&str; 3] = ["HEAD", "objects", "refs"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_run_is_told_from_what_is_gits_own() {
        for (path, expected) in [
            ("hooks", Part::Executable),
            ("hooks/pre-commit", Part::Executable),
            ("hooks/deep/er", Part::Executable),
            ("config", Part::Executable),
            ("config.worktree", Part::Executable),
            ("info/attributes", Part::Executable),
            ("info/exclude", Part::Executable),
            ("config.lock", Part::Internal),
            ("HEAD", Part::Internal),
            ("index", Part::Internal),
            ("index.lock", Part::Internal),
            ("packed-refs", Part::Internal),
            ("objects/aa/bb", Part::Internal),
            ("objects/info/alternates", Part::Internal),
            ("refs/heads/config", Part::Internal),
            ("logs/HEAD", Part::Internal),
            ("commondir", Part::Internal),
            ("info/grafts", Part::Internal),
            ("rebase-merge/git-rebase-todo", Part::Internal),
            ("worktrees/x/HEAD", Part::Internal),
            ("worktrees/x/config.worktree", Part::WorktreeConfig),
            ("something-new", Part::Internal),
            ("modules/a/config", Part::Modules),
        ] {
            assert_eq!(part(Path::new(path)), expected, "{path}");
        }
    }
}
