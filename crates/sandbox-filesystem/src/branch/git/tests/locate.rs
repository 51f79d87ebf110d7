//! Finding the repository of a workspace, and not being fooled.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::harness::Scene;
use crate::branch::git::locate::locate_for;
use crate::branch::git::trust::User;
use crate::branch::git::{Layout, LocateError, locate};

fn located(workspace: &Path, home: &Path) -> Result<Option<Layout>, LocateError> {
    locate_for(workspace, &User::with_home(home))
}

#[test]
fn a_plain_repository_needs_nothing_besides() {
    let test = "a_plain_repository_needs_nothing_besides";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let git_dir = scene.base().join(".git");
    let expected = Layout {
        worktree_top: scene.base(),
        git_dir: git_dir.clone(),
        common_dir: git_dir,
        extra: Vec::new(),
        read_only: Vec::new(),
        alternates: Vec::new(),
    };
    assert_eq!(locate(&scene.base()).unwrap(), Some(expected));
}

#[test]
fn a_directory_in_no_repository_has_none() {
    let test = "a_directory_in_no_repository_has_none";
    let Some(scene) = Scene::new(test) else { return };
    assert_eq!(locate(&scene.base()).unwrap(), None);
}

#[test]
fn a_repository_of_the_whole_home_is_not_shown_for_a_part_of_it() {
    let test = "a_repository_of_the_whole_home_is_not_shown_for_a_part_of_it";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let home = scene.base();
    let work = home.join("src/app");
    std::fs::create_dir_all(&work).unwrap();
    assert_eq!(located(&work, &home).unwrap(), None);
    assert!(located(&home, &home).unwrap().is_some());
    assert!(located(&work, Path::new("/nonexistent")).unwrap().is_some());
}

#[test]
fn a_git_file_cannot_name_what_does_not_lead_back() {
    let test = "a_git_file_cannot_name_what_does_not_lead_back";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let victim = scene.base();
    scene.base_git("git worktree add -q ../tree");
    std::fs::create_dir(scene.path("evil")).unwrap();
    let evil = scene.path("evil");
    let link = evil.join(".git");
    let home = scene.path("home");
    let worktree = victim.join(".git/worktrees/tree");
    for (target, is_expected) in [
        (
            victim.join(".git"),
            LocateError::is_no_back_link as fn(&LocateError) -> bool,
        ),
        (worktree, LocateError::is_no_back_link),
        (Path::new("/").into(), LocateError::is_not_git),
        (home.clone(), LocateError::is_not_git),
        (scene.path("missing"), LocateError::is_bad_link),
    ] {
        std::fs::write(&link, format!("gitdir: {}\n", target.display())).unwrap();
        let error = located(&evil, &home).unwrap_err();
        assert!(is_expected(&error), "{}: {error}", target.display());
        assert!(error.hint().is_some() || !error.is_no_back_link());
    }
    for text in ["", "gitdir:", "gitdir: \n", "/etc"] {
        std::fs::write(&link, text).unwrap();
        assert!(located(&evil, &home).unwrap_err().is_bad_link(), "{text:?}");
    }
    std::fs::remove_file(&link).unwrap();
    symlink(victim.join(".git"), &link).unwrap();
    assert!(matches!(located(&evil, &home), Err(LocateError::Strange { .. })));
}

#[test]
fn a_description_of_a_working_tree_must_be_in_the_common_directory() {
    let test = "a_description_of_a_working_tree_must_be_in_the_common_directory";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    // All of it made up by whoever made the directory: only the victim's repository is real.
    let script = "\
        mkdir -p evil/fake && cd evil && echo \"gitdir: $PWD/fake\" > .git && \
        echo ref: refs/heads/main > fake/HEAD && echo \"$PWD/.git\" > fake/gitdir && \
        echo \"$PWD/../base/.git\" > fake/commondir";
    scene.script_in(".", script);
    let error = located(&scene.path("evil"), &scene.path("home")).unwrap_err();
    assert!(error.is_no_back_link(), "{error}");
}

#[test]
fn a_git_directory_that_holds_the_workspace_or_the_home_is_too_wide() {
    let test = "a_git_directory_that_holds_the_workspace_or_the_home_is_too_wide";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git(
        "git clone -q --bare . ../wide && git -C ../wide worktree add -q inside && mkdir ../wide/home",
    );
    scene.base_git("git -C ../wide worktree add -q ../outside -b other");
    let nowhere = scene.path("home");
    let error = located(&scene.path("wide/inside"), &nowhere).unwrap_err();
    assert!(matches!(error, LocateError::TooWide { .. }), "{error}");
    let error = located(&scene.path("outside"), &scene.path("wide/home")).unwrap_err();
    assert!(matches!(error, LocateError::TooWide { .. }), "{error}");
    let layout = located(&scene.path("outside"), &nowhere).unwrap().unwrap();
    assert_eq!(layout.extra, [scene.path("wide")]);
}

#[test]
fn a_git_directory_kept_apart_counts_where_it_names_the_working_tree() {
    let test = "a_git_directory_kept_apart_counts_where_it_names_the_working_tree";
    let Some(scene) = Scene::new(test) else { return };
    scene.base_git("git init -q --separate-git-dir=../apart . && git --git-dir=../apart config --unset core.worktree || true");
    assert!(
        located(&scene.base(), &scene.path("home"))
            .unwrap_err()
            .is_no_back_link()
    );
    scene.base_git("git --git-dir=../apart config core.worktree ../base");
    let layout = located(&scene.base(), &scene.path("home")).unwrap().unwrap();
    assert_eq!(layout.extra, [scene.path("apart")]);
    assert_eq!(layout.git_dir, scene.path("apart"));
}

#[test]
fn a_git_directory_inside_the_workspace_is_part_of_it() {
    let test = "a_git_directory_inside_the_workspace_is_part_of_it";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("mv .git .bare && echo 'gitdir: ./.bare' > .git");
    let layout = locate(&scene.base()).unwrap().unwrap();
    assert_eq!(layout.common_dir, scene.base().join(".bare"));
    assert!(layout.extra.is_empty());
}

#[test]
fn a_subdirectory_of_a_linked_working_tree_needs_both() {
    let test = "a_subdirectory_of_a_linked_working_tree_needs_both";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git(
        "git config worktree.useRelativePaths true && git worktree add -q ../tree && mkdir ../tree/sub",
    );
    let layout = locate(&scene.path("tree/sub")).unwrap().unwrap();
    assert_eq!(layout.extra, [scene.base().join(".git")]);
    assert_eq!(layout.read_only, [scene.path("tree")]);
}

#[test]
fn what_is_borrowed_is_shown_only_where_it_is_a_repository() {
    let test = "what_is_borrowed_is_shown_only_where_it_is_a_repository";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    std::fs::create_dir_all(scene.path("secrets/objects")).unwrap();
    let list = format!("/\n/etc\n{}\n../..\n", scene.path("secrets/objects").display());
    std::fs::write(scene.base().join(".git/objects/info/alternates"), list).unwrap();
    assert!(locate(&scene.base()).unwrap().unwrap().alternates.is_empty());
}

impl LocateError {
    fn is_no_back_link(&self) -> bool {
        matches!(self, Self::NoBackLink { .. })
    }

    fn is_not_git(&self) -> bool {
        matches!(self, Self::NotGit { .. } | Self::ForeignOwner { .. })
    }

    fn is_bad_link(&self) -> bool {
        matches!(self, Self::BadLink { .. })
    }
}
