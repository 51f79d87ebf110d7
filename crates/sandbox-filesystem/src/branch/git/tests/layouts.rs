//! Repositories that are not just a `.git` in the workspace.

use super::harness::{Scene, assert_same, contents, name, rel, shown};
use crate::branch::git::{Repositories, Repository, import, locate};
use crate::branch::stack::{LayerFormat, Stack};

const COMMIT: &str = "echo two > file && git add . && git commit -qm two";
const MAIN: &str = "refs/heads/main → refs/sandbox/fix-1/main (1)";

#[test]
fn a_linked_working_tree_commits_into_the_common_directory() {
    let test = "a_linked_working_tree_commits_into_the_common_directory";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git worktree add -q --detach ../tree && git worktree add -qb side ../other");
    let layout = locate(&scene.path("tree")).unwrap().unwrap();
    let common = scene.base().join(".git");
    assert_eq!(layout.extra, std::slice::from_ref(&common));
    assert_eq!(layout.git_dir, common.join("worktrees/tree"));
    assert!(layout.read_only.is_empty());

    let before = contents(&scene.base());
    let overlays = [("tree", "upper", "work"), ("base/.git", "upper-git", "work-git")];
    if !scene.mounted(test, &overlays, "tree", &format!("{COMMIT} && git branch topic")) {
        return;
    }
    let layers = [(scene.path("upper-git"), LayerFormat::Overlay)];
    let stack = Stack::open(&layers, &layout.common_dir).unwrap();
    let head = rel("worktrees/tree");
    let mut repositories = Repositories::in_git_dir(&stack, stack.base_path(), head.clone()).unwrap();
    repositories.classify(&rel("refs/heads/topic")).unwrap();
    let touched = repositories.touched();
    assert_eq!(touched.len(), 1);
    let arrivals = import(&touched[0], &name(), &scene.path("scratch")).unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/topic → refs/sandbox/fix-1/topic (1)"]
    );
    assert_eq!(arrivals.refs[0].repository, common);
    assert_same(&before, &contents(&scene.base()));

    assert!(scene.mounted(test, &overlays, "tree", "git commit -q --allow-empty -m three"));
    let repository = Repository::outside(&stack, stack.base_path(), rel(""), head);
    let arrivals = import(&repository, &name(), &scene.path("scratch")).unwrap();
    assert_eq!(shown(&arrivals), ["HEAD → refs/sandbox/fix-1/HEAD (1)"]);
}

#[test]
fn a_working_tree_that_was_made_on_the_branch_does_not_lose_its_commits() {
    let test = "a_working_tree_that_was_made_on_the_branch_does_not_lose_its_commits";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let script = format!("git worktree add -q --detach wt && cd wt && {COMMIT}");
    if !scene.branch_git(test, &script) {
        return;
    }
    let expected = ["worktrees/wt/HEAD → refs/sandbox/fix-1/worktrees/wt/HEAD (1)"];
    assert_eq!(shown(&scene.import(".git").unwrap()), expected);
}

#[test]
fn a_subdirectory_commits_into_the_repository_above() {
    let test = "a_subdirectory_commits_into_the_repository_above";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("mkdir -p sub/deep && echo s > sub/deep/s && git add . && git commit -qm sub");
    let layout = locate(&scene.base().join("sub/deep")).unwrap().unwrap();
    assert_eq!(layout.worktree_top, scene.base());
    assert_eq!(layout.extra, [scene.base().join(".git")]);
    assert_eq!(layout.read_only, [scene.base()]);
    let before = contents(&scene.base());
    let overlays = [
        ("base/sub/deep", "upper", "work"),
        ("base/.git", "upper-git", "work-git"),
    ];
    let (variable, value) = layout.environment().unwrap();
    let script = "echo t > s && git add . && git commit -qm two && test -z \"$(git status --porcelain)\"";
    let script = format!("export {variable}={value}; {script}");
    if !scene.mounted(test, &overlays, "base/sub/deep", &script) {
        return;
    }
    let layers = [(scene.path("upper-git"), LayerFormat::Overlay)];
    let stack = Stack::open(&layers, &layout.common_dir).unwrap();
    let repository = Repository::outside(&stack, stack.base_path(), rel(""), rel(""));
    let arrivals = import(&repository, &name(), &scene.path("scratch")).unwrap();
    assert_eq!(shown(&arrivals), [MAIN]);
    assert_same(&before, &contents(&scene.base()));
    assert_eq!(
        scene.base_git("git show refs/sandbox/fix-1/main:sub/deep/s"),
        "t\n"
    );
}

#[test]
fn commits_in_a_submodule_arrive_in_the_submodule() {
    let test = "commits_in_a_submodule_arrive_in_the_submodule";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git clone -q --bare . ../lib.git");
    scene.base_git(
        "git -c protocol.file.allow=always submodule --quiet add ../lib.git vendor/lib && git commit -qm sub",
    );
    let script = format!("cd vendor/lib && {COMMIT} && cd ../.. && git add . && git commit -qm bump");
    if !scene.branch_git(test, &script) {
        return;
    }
    let stack = scene.stack();
    let mut repositories = Repositories::in_workspace(&stack, stack.base_path()).unwrap();
    for path in [
        ".git/index",
        ".git/modules/vendor/lib/HEAD",
        "vendor/lib/file",
        "vendor/lib/.git",
    ] {
        repositories.classify(&rel(path)).unwrap();
    }
    let touched = repositories.touched();
    let git_dirs: Vec<_> = touched.iter().map(Repository::base_dir).collect();
    assert_eq!(
        git_dirs,
        [".git", ".git/modules/vendor/lib"].map(|path| scene.base().join(path))
    );
    for git_dir in [".git", ".git/modules/vendor/lib"] {
        let arrivals = scene.import(git_dir).unwrap();
        assert_eq!(shown(&arrivals), [MAIN]);
        assert_eq!(arrivals.refs[0].repository, std::path::Path::new(git_dir));
    }
    assert_eq!(
        scene.sandbox_refs("base/vendor/lib"),
        "refs/sandbox/fix-1/main two\n"
    );
    let layout = locate(&scene.base().join("vendor/lib")).unwrap().unwrap();
    assert_eq!(layout.extra, [scene.base().join(".git/modules/vendor/lib")]);
    assert!(layout.read_only.is_empty());
}

#[test]
fn nested_and_bare_repositories_are_repositories_of_their_own() {
    let test = "nested_and_bare_repositories_are_repositories_of_their_own";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("mkdir nested && git clone -q . nested/a && git clone -q --bare . b.git");
    let script = format!("(cd nested/a && {COMMIT}) && git -C nested/a push -q ../../b.git main");
    if !scene.branch_git(test, &script) {
        return;
    }
    for git_dir in ["nested/a/.git", "b.git"] {
        assert_eq!(shown(&scene.import(git_dir).unwrap()), [MAIN], "{git_dir}");
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), [""; 0]);
    assert_eq!(scene.sandbox_refs("base/b.git"), "refs/sandbox/fix-1/main two\n");
}
