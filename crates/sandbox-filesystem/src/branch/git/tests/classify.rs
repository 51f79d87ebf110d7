//! Which paths are git's.

use super::harness::{Scene, rel};
use crate::branch::git::GitPath::{self, Executable, Internal, NotGit};
use crate::branch::git::Repositories;
use crate::branch::stack::{LayerFormat, Stack};

fn check(repositories: &mut Repositories<'_>, cases: &[(&str, GitPath)]) {
    for (path, expected) in cases {
        assert_eq!(repositories.classify(&rel(path)).unwrap(), *expected, "{path}");
    }
}

#[test]
fn the_workspaces_own_git_directory_is_not_merged_as_files() {
    let test = "the_workspaces_own_git_directory_is_not_merged_as_files";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    check(
        &mut repositories,
        &[
            ("file", NotGit),
            ("src/hooks/useX.ts", NotGit),
            ("config", NotGit),
        ],
    );
    assert!(repositories.touched().is_empty());
    check(
        &mut repositories,
        &[
            (".git", Internal),
            (".git/HEAD", Internal),
            (".git/index.lock", Internal),
            (".git/objects/ab/cd", Internal),
            (".git/refs/heads/x/y", Internal),
            (".git/unheard-of", Internal),
            (".git/commondir", Internal),
            (".git/hooks/pre-commit", Executable),
            (".git/config", Executable),
            (".git/info/attributes", Executable),
            (".git/worktrees/new/config.worktree", Internal),
            (".gitignore", NotGit),
            (".git2/config", NotGit),
        ],
    );
    let touched = repositories.touched();
    assert_eq!(touched.len(), 1);
    assert_eq!(touched[0].base_dir(), scene.base().join(".git"));
}

#[test]
fn what_is_new_as_a_whole_is_files_but_for_what_can_run() {
    let test = "what_is_new_as_a_whole_is_files_but_for_what_can_run";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let upper = scene.upper();
    for directory in [
        "new/.git/hooks",
        "bare.git/objects",
        "bare.git/refs",
        "plain/config",
    ] {
        std::fs::create_dir_all(upper.join(directory)).unwrap();
    }
    for file in ["bare.git/HEAD", "bare.git/config", "plain/HEAD", "HEAD", "config"] {
        std::fs::write(upper.join(file), "").unwrap();
    }
    std::fs::create_dir_all(upper.join("linked")).unwrap();
    std::fs::write(upper.join("linked/.git"), "gitdir: ../evil").unwrap();
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    check(
        &mut repositories,
        &[
            ("new/.git", NotGit),
            ("new/.git/HEAD", NotGit),
            ("new/.git/objects/ab/cd", NotGit),
            ("new/.git/hooks/pre-commit", Executable),
            ("new/.git/config", Executable),
            ("bare.git/HEAD", NotGit),
            ("bare.git/config", Executable),
            ("plain/config", NotGit),
            ("linked/.git", Executable),
            ("config", NotGit),
            (".git/modules/sub/HEAD", NotGit),
            (".git/modules/sub/config", Executable),
            (".git/modules/a/b/hooks/x", Executable),
        ],
    );
    // The workspace itself turned into a bare repository.
    for directory in ["objects", "refs"] {
        std::fs::create_dir(upper.join(directory)).unwrap();
    }
    let stack = scene.stack();
    check(
        &mut Repositories::in_workspace(&stack, stack.base_path()).unwrap(),
        &[("config", Executable), ("file", NotGit)],
    );
}

#[test]
fn repositories_within_the_workspace_are_found_where_changes_are() {
    let test = "repositories_within_the_workspace_are_found_where_changes_are";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git clone -q . nested && git clone -q --bare . store/b.git && git clone -q . gone && cp -r nested turned");
    scene.base_git("mkdir sub && echo 'gitdir: ../.git/modules/sub' > sub/.git && mkdir .git/modules && git clone -q --bare . .git/modules/sub");
    let script = "rm -r gone && rm -rf turned/.git && echo x > turned/.git && echo y > nested/.git/config";
    if !scene.branch_git(test, script) {
        return;
    }
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    check(
        &mut repositories,
        &[
            ("nested", NotGit),
            ("nested/file", NotGit),
            ("nested/.git/index", Internal),
            ("nested/.git/config", Executable),
            ("store/b.git/packed-refs", Internal),
            ("store/b.git/config", Executable),
            ("store/b.git", Internal),
            ("gone", NotGit),
            ("gone/.git", NotGit),
            ("gone/.git/HEAD", NotGit),
            ("turned/.git", Internal),
            ("turned/.git/HEAD", Internal),
            ("sub/.git", Internal),
            ("sub/.git/config", Internal),
            (".git/modules/sub/refs/heads/main", Internal),
            (".git/modules/sub/hooks/post-checkout", Executable),
            (".git/modules", Internal),
        ],
    );
    let touched: Vec<_> = repositories
        .touched()
        .iter()
        .map(|one| one.shown.clone())
        .collect();
    let expected = [
        ".git",
        ".git/modules/sub",
        "nested/.git",
        "store/b.git",
        "turned/.git",
    ];
    assert_eq!(touched, expected.map(std::path::PathBuf::from));
    let notes: Vec<String> = repositories.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        ["the repository gone/.git is removed, its history with it"]
    );
}

#[test]
fn the_workspaces_own_repository_cannot_be_removed() {
    let test = "the_workspaces_own_repository_cannot_be_removed";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, "rm -rf .git file") {
        return;
    }
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    check(
        &mut repositories,
        &[(".git", Internal), (".git/HEAD", Internal), ("file", NotGit)],
    );
    assert!(scene.import(".git").unwrap().refs.is_empty());
}

#[test]
fn a_git_directory_with_a_view_of_its_own_is_all_gits() {
    let test = "a_git_directory_with_a_view_of_its_own_is_all_gits";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let layers = [(scene.upper(), LayerFormat::Overlay)];
    let stack = Stack::open(&layers, &scene.base().join(".git")).unwrap();
    let mut repositories = Repositories::in_git_dir(&stack, stack.base_path(), rel("worktrees/w")).unwrap();
    check(
        &mut repositories,
        &[
            ("HEAD", Internal),
            ("hooks/x", Executable),
            ("config", Executable),
            ("anything", Internal),
        ],
    );
    assert_eq!(repositories.touched()[0].shown, scene.base().join(".git"));
}

#[test]
fn large_files_kept_beside_the_objects_are_mentioned_once() {
    let test = "large_files_kept_beside_the_objects_are_mentioned_once";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    check(
        &mut repositories,
        &[
            (".git/lfs/objects/aa/bb/cc", Internal),
            (".git/lfs/objects/dd/ee/ff", Internal),
        ],
    );
    assert_eq!(repositories.notes().len(), 1);
}
