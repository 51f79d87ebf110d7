//! What was found by trying to break branches: each was wrong once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Harness, Ran, has};

/// A harness with a file `f` in its workspace.
fn with_file(content: &str) -> Harness {
    let harness = Harness::new();
    harness.write("work/f", content);
    harness
}

fn on_branch(harness: &Harness, name: &str, script: &str) {
    let flag = format!("--branch={name}");
    harness.sh(&["-q", &flag], script).says(0, &[]);
}

fn branch(harness: &Harness, words: &[&str]) -> Ran {
    harness.sandbox([&["branch"], words].concat())
}

/// The workspace's place in the state directory.
fn place(harness: &Harness) -> PathBuf {
    let workspaces = harness.home().join(".local/state/sandbox/workspaces");
    let mut entries = fs::read_dir(workspaces).unwrap();
    entries.next().unwrap().unwrap().path()
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_dry_run_does_not_drop_what_is_on_a_branch_already() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo kept > new");
    harness
        .sh(&["--branch=x", "--dry-run"], "true")
        .says(125, &["branch x is there already", "--branch --from=x --dry-run"]);
    let tried = harness.sh(
        &["--branch", "--from=x", "--dry-run"],
        "cat new; echo more > newer",
    );
    assert_eq!(tried.stdout, "kept\n", "{tried:?}");
    tried.says(0, &["A newer"]);
    assert_eq!(branch(&harness, &["diff", "x", "--name-only"]).stdout, "new\n");
    assert!(!harness.work().join("new").exists());
}

#[test]
fn names_of_files_command_no_terminal_and_do_not_add_lines() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", r#"touch "$(printf 'a\033]0;owned\007\nA fake')""#);
    for words in [&["diff", "x"][..], &["diff", "x", "--name-only"]] {
        let shown = branch(&harness, words);
        assert!(
            shown.stdout.contains(r#""a\033]0;owned\007\nA fake""#),
            "{shown:?}"
        );
        assert_eq!(shown.stdout.lines().count(), 1, "{shown:?}");
    }
    let committed = branch(&harness, &["commit", "x", "--dry-run"]);
    assert!(!(committed.stdout + &committed.stderr).contains('\u{1b}'));
}

#[test]
fn what_is_suggested_to_accept_one_file_accepts_that_file_alone() {
    let harness = with_file("one\n");
    on_branch(
        &harness,
        "x",
        r#"touch '*' "it's; touch \$HOME/owned; '"; chmod +x *"#,
    );
    let refused = branch(&harness, &["commit", "x"]);
    refused.says(3, &[r"--accept '/\*',"]);
    let again = branch(&harness, &["commit", "x", "--accept", r"/\*"]);
    again.says(3, &["1 change held back"]);
    // The suggestion as a shell reads it.
    let hint = again.stderr.split("--accept ").nth(1).unwrap();
    let hint = hint.split(", or all").next().unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("printf %s {hint}")])
        .env("HOME", harness.home())
        .output()
        .unwrap();
    assert!(!harness.home().join("owned").exists());
    let pattern = String::from_utf8(output.stdout).unwrap();
    branch(
        &harness,
        &["commit", "x", "--accept", &pattern, "--accept", r"/\*"],
    )
    .says(0, &["2 changes"]);
}

#[test]
fn a_branch_that_the_machine_went_down_under_is_not_committed_unseen() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    on_branch(&harness, "y", "echo other > g");
    fs::write(place(&harness).join("branches/x/mounted"), "another boot").unwrap();
    let why = "the machine went down while branch x was in use";
    branch(&harness, &["commit", "x"]).says(1, &[why, "sandbox branch recover x"]);
    branch(&harness, &["merge", "x", "y", "--into", "z"]).says(1, &[why]);
    harness.sh(&["--branch=z", "--from=x"], "true").says(125, &[why]);
    assert_eq!(branch(&harness, &["diff", "x", "--name-only"]).stdout, "f\n");
    branch(&harness, &["recover", "x"]).says(0, &[]);
    branch(&harness, &["commit", "x"]).says(0, &["1 change"]);
}

#[test]
fn undoing_a_commit_of_a_branch_that_was_renamed_is_no_conflict_for_it() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    branch(&harness, &["commit", "x"]).says(0, &[]);
    branch(&harness, &["rename", "x", "y"]).says(0, &[]);
    branch(&harness, &["undo"]).says(0, &[]);
    assert_eq!(branch(&harness, &["diff", "y"]).stdout, "M f\n");
}

#[test]
fn undoing_a_commit_is_a_conflict_for_another_branch_of_the_same_name() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    branch(&harness, &["commit", "x", "--discard"]).says(0, &[]);
    on_branch(&harness, "x", "echo three >> f");
    branch(&harness, &["undo"]).says(0, &[]);
    let shown = branch(&harness, &["diff", "x"]);
    assert!(shown.stdout.starts_with("M f  CONFLICT"), "{shown:?}");
}

#[test]
fn what_the_parent_has_committed_is_no_conflict_for_a_branch_of_it() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    branch(&harness, &["commit", "x"]).says(0, &[]);
    harness
        .sh(&["--branch=y", "--from=x"], "echo three >> f")
        .says(0, &[]);
    assert_eq!(branch(&harness, &["diff", "y"]).stdout, "M f\n");
    branch(&harness, &["undo"]).says(0, &[]);
    assert_eq!(branch(&harness, &["diff", "y"]).stdout, "M f\n");
    fs::write(harness.work().join("f"), "somebody's\n").unwrap();
    let shown = branch(&harness, &["diff", "y"]);
    assert!(shown.stdout.starts_with("M f  CONFLICT"), "{shown:?}");
}

#[test]
fn a_mode_that_a_branch_of_a_branch_cannot_have_is_refused() {
    let harness = with_file("one\n");
    harness
        .sh(&["-q", "--branch=x", "--branch-mode=copy"], "true")
        .says(0, &[]);
    for flags in [&["--branch-mode=kernel"][..], &["--snapshot=copy"]] {
        let flags = [&["--branch=y", "--from=x"], flags].concat();
        harness
            .sh(&flags, "true")
            .says(125, &["a branch of x is in mode copy", "leave out --branch-mode"]);
    }
    assert_eq!(branch(&harness, &["list"]).stdout.lines().count(), 1);
}

#[test]
fn commits_that_are_refused_leave_nothing_behind() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    fs::write(harness.work().join("f"), "else\n").unwrap();
    for _ in 0..3 {
        branch(&harness, &["commit", "x"]).says(3, &["1 conflict"]);
    }
    assert_eq!(count(&place(&harness).join("commits")), 0);
    branch(&harness, &["commit", "x", "--on-conflict=ours"]).says(0, &["committed c1"]);
}

#[test]
fn a_branch_is_dropped_though_its_neighbor_is_damaged() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "true");
    on_branch(&harness, "y", "true");
    fs::write(place(&harness).join("branches/y/branch.json"), "{").unwrap();
    branch(&harness, &["discard", "x"]).says(0, &["discarded x"]);
    branch(&harness, &["discard", "y"]).says(1, &["is damaged", "remove "]);
    fs::remove_dir_all(place(&harness).join("branches/y")).unwrap();
    branch(&harness, &["gc"]).says(0, &[]);
    assert_eq!(count(&place(&harness).join("layers")), 0);
}

#[test]
fn a_directory_that_its_owner_may_not_enter_is_refused_before_anything_is_written() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "mkdir d; echo x > d/f; chmod 000 d; echo two > f");
    let committed = branch(&harness, &["commit", "x"]);
    if fs::read_dir("/proc/1/fd").is_ok() {
        // Root may enter everything.
        committed.says(0, &["3 changes"]);
        branch(&harness, &["undo"]).says(0, &[]);
    } else {
        committed.says(
            1,
            &["d: would be a directory that you may not enter", "chmod u+rwx"],
        );
    }
    assert_eq!(fs::read_to_string(harness.work().join("f")).unwrap(), "one\n");
    assert!(!harness.work().join("d").exists());
    branch(&harness, &["commit", "x", "/f"]).says(0, &["1 change"]);
}

#[test]
fn a_branch_that_replaces_the_repository_takes_nothing_of_it_from_the_workspace() {
    if !has("git") {
        skip!("branch-git", "git is not installed");
    }
    let harness = with_file("one\n");
    let git = |words: &[&str]| {
        let mut command = harness.at_home(Path::new("git"));
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "-q"]);
    harness.write("work/.git/hooks/pre-commit", "#!/bin/sh\n");
    for (name, replace) in [
        ("gone", "rm -rf .git"),
        ("link", "rm -rf .git; ln -s /tmp/elsewhere .git"),
        ("file", "rm -rf .git; echo 'gitdir: /tmp/elsewhere' > .git"),
        ("empty", "rm -rf .git; mkdir .git"),
    ] {
        on_branch(&harness, name, &format!("{replace}; echo two > new-{name}"));
        let shown = branch(&harness, &["diff", name]);
        let (first, rest) = shown.stdout.split_once('\n').unwrap();
        assert_eq!(first, format!("A new-{name}"), "{shown:?}");
        assert!(rest.contains("the workspace keeps it"), "{shown:?}");
        branch(&harness, &["commit", name]).says(0, &["1 change"]);
    }
    for path in [
        ".git/config",
        ".git/HEAD",
        ".git/hooks/pre-commit",
        ".git/info/exclude",
    ] {
        assert!(harness.work().join(path).is_file(), "{path}");
    }
}

#[test]
fn a_conflict_that_was_settled_is_one_again_when_the_commit_is_undone() {
    for mode in ["--branch-mode=auto", "--branch-mode=copy"] {
        let harness = with_file("one\n");
        harness.write("work/gone", "one\n");
        harness.write("work/quiet", "one\n");
        let script = "echo mine > f; rm gone; echo mine > quiet";
        harness.sh(&["-q", mode, "--branch=x"], script).says(0, &[]);
        harness.write("work/f", "yours\n");
        harness.write("work/gone", "yours\n");
        branch(&harness, &["commit", "x"]).says(3, &["2 conflicts"]);
        branch(&harness, &["commit", "x", "--on-conflict=ours"]).says(0, &["3 changes"]);
        branch(&harness, &["undo"]).says(0, &[]);
        branch(&harness, &["commit", "x"]).says(3, &["2 conflicts in the way: f, gone"]);
        for name in ["f", "gone"] {
            let text = fs::read_to_string(harness.work().join(name)).unwrap();
            assert_eq!(text, "yours\n", "{mode}: {name}");
        }
    }
}

#[test]
fn what_has_changed_since_a_branch_was_exported_is_in_its_way_when_it_is_imported() {
    for mode in ["--branch-mode=auto", "--branch-mode=copy"] {
        let harness = with_file("one\n");
        for name in ["work/gone", "work/quiet"] {
            harness.write(name, "one\n");
        }
        let script = "echo two > f; rm gone; echo two > quiet";
        harness.sh(&["-q", mode, "--branch=x"], script).says(0, &[]);
        branch(&harness, &["export", "x", "--output", "../x.tar"]).says(0, &[]);
        branch(&harness, &["discard", "x"]).says(0, &[]);
        for name in ["f", "gone"] {
            harness.write(&format!("work/{name}"), "precious\n");
        }
        branch(&harness, &["import", "../x.tar"]).says(0, &[]);
        branch(&harness, &["commit", "x"]).says(3, &["2 conflicts in the way: f, gone"]);
        branch(&harness, &["commit", "x", "/quiet"]).says(0, &["1 change"]);
        // Over another workspace nothing is known of what is there.
        let other = harness.root().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("gone"), "precious\n").unwrap();
        fs::write(other.join("quiet"), "two\n").unwrap();
        let mut command = harness.command(["branch", "import", "../x.tar"]);
        Ran::of(command.current_dir(&other)).says(0, &[]);
        let mut command = harness.command(["branch", "commit", "x"]);
        Ran::of(command.current_dir(&other)).says(3, &["1 conflict in the way: gone"]);
        assert_eq!(fs::read_to_string(other.join("gone")).unwrap(), "precious\n");
    }
}

#[test]
fn a_directory_that_was_put_in_the_place_of_another_is_in_the_way() {
    for mode in ["--branch-mode=auto", "--branch-mode=copy"] {
        let harness = with_file("one\n");
        for name in ["d/x", "d/y", "e/x", "e/y", "quiet/x"] {
            harness.write(&format!("work/{name}"), name);
        }
        // Files made within the same tick of the clock as the branch count as newer.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let script = "echo two >> d/x; rm d/y; echo two >> quiet/x";
        harness.sh(&["-q", mode, "--branch=x"], script).says(0, &[]);
        let work = harness.work();
        for (from, to) in [("d", "t"), ("e", "d"), ("t", "e")] {
            fs::rename(work.join(from), work.join(to)).unwrap();
        }
        branch(&harness, &["commit", "x"]).says(3, &["2 conflicts in the way: d/x, d/y"]);
        assert_eq!(fs::read_to_string(work.join("d/x")).unwrap(), "e/x");
        branch(&harness, &["commit", "x", "/quiet"]).says(0, &["1 change"]);
    }
}

#[test]
fn a_path_that_has_no_change_is_named_and_nothing_is_committed() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f; echo new > g");
    for nowhere in ["nothere", "../x", "/etc/passwd"] {
        for more in [&[][..], &["f"], &["--dry-run"]] {
            let words = [&["commit", "x", nowhere], more].concat();
            branch(&harness, &words).says(1, &[&format!("no change at {nowhere}"), "sandbox branch diff"]);
        }
    }
    assert_eq!(fs::read_to_string(harness.work().join("f")).unwrap(), "one\n");
    branch(&harness, &["commit", "x", "f", "g"]).says(0, &["2 changes"]);
}

#[test]
fn a_rule_that_is_none_is_named_where_it_is_accepted() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo > .envrc");
    branch(&harness, &["commit", "x", "--accept", "rule:nosuch"])
        .says(1, &["no rule is called \"nosuch\"", "directory-environment"]);
    branch(
        &harness,
        &["commit", "x", "--accept", "rule:directory-environment"],
    )
    .says(0, &["committed c1"]);
}

#[test]
fn what_would_be_committed_is_json_where_that_is_asked_for() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f; echo new > g");
    let tried = branch(&harness, &["commit", "x", "g", "--dry-run", "--json"]);
    let set: serde_json::Value = serde_json::from_str(&tried.stdout).unwrap();
    assert_eq!(set["changes"].as_array().unwrap().len(), 1);
    assert_eq!(set["changes"][0]["path"], "g");
}

#[test]
fn an_undo_that_cannot_be_done_says_what_can() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    branch(&harness, &["undo", "c99"]).says(1, &["there is no commit c99", "nothing was committed"]);
    branch(&harness, &["commit", "x"]).says(0, &["committed c1"]);
    branch(&harness, &["undo", "c99"]).says(1, &["there is no commit c99", "the latest: c1"]);
    fs::write(harness.work().join("f"), "else\n").unwrap();
    let refused = branch(&harness, &["undo"]);
    assert!(!refused.stderr.contains("--on-conflict"), "{refused:?}");
    assert!(!refused.stderr.contains("win"), "{refused:?}");
    refused.says(1, &["f was changed in the base meanwhile", "take back by hand"]);
}

#[test]
fn a_commit_that_is_undone_is_named_by_its_number() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    branch(&harness, &["commit", "x"]).says(0, &["committed c1"]);
    branch(&harness, &["undo"]).says(0, &[]);
    let again = branch(&harness, &["undo", "c1"]);
    assert!(!again.stderr.contains("commits/"), "{again:?}");
    again.says(1, &["commit c1 is undone already"]);
}

#[test]
fn what_a_branch_has_committed_itself_puts_the_rest_of_the_directory_in_no_doubt() {
    for mode in ["--branch-mode=auto", "--branch-mode=copy"] {
        let harness = with_file("one\n");
        harness.write("work/d/x", "one\n");
        harness.write("work/d/y", "one\n");
        std::thread::sleep(std::time::Duration::from_millis(50));
        let script = "echo two > d/x; rm d/y; echo new > new; echo new > d/new";
        harness.sh(&["-q", mode, "--branch=x"], script).says(0, &[]);
        branch(&harness, &["commit", "x", "/new", "/d/new"]).says(0, &["2 changes"]);
        branch(&harness, &["commit", "x"]).says(0, &["2 changes"]);
    }
}

#[test]
fn an_undo_that_cannot_put_a_reference_back_puts_nothing_back() {
    if !has("git") {
        skip!("undo-git", "git is not installed");
    }
    let harness = with_file("one\n");
    let init = "git init -q -b main . && git add . && git -c user.name=a -c user.email=a@b commit -qm 1";
    let mut shell = harness.at_home(Path::new("sh"));
    assert_eq!(Ran::of(shell.args(["-ec", init])).status, 0);
    let commit = "git add . && git -c user.name=a -c user.email=a@b commit -qm more";
    for (id, file) in [("c1", "first"), ("c2", "second")] {
        on_branch(&harness, "x", &format!("echo {file} > {file}; {commit}"));
        branch(&harness, &["commit", "x"]).says(0, &[&format!("committed {id}")]);
    }
    // The second commit has moved what the first has made.
    branch(&harness, &["undo", "c1"]).says(
        1,
        &["refs/sandbox/x/main", "hint: undo what was committed after it"],
    );
    assert!(harness.work().join("first").exists());
    branch(&harness, &["undo", "c2"]).says(0, &["undone c2"]);
    branch(&harness, &["undo", "c1"]).says(0, &["undone c1"]);
    assert!(!harness.work().join("first").exists());

    // A repository that is gone has nothing to be put back.
    branch(&harness, &["commit", "x"]).says(0, &["committed c3"]);
    fs::remove_dir_all(harness.work().join(".git")).unwrap();
    branch(&harness, &["undo"]).says(0, &["undone c3"]);
    assert!(!harness.work().join("first").exists());
}

#[test]
fn what_undo_needs_is_kept_until_it_is_dropped() {
    let harness = with_file("one\n");
    let large = vec![b'x'; 1 << 20];
    fs::write(harness.work().join("large"), &large).unwrap();
    on_branch(&harness, "x", "rm large; echo two > f");
    branch(&harness, &["commit", "x"]).says(0, &["committed c1"]);
    let kept = branch(&harness, &["gc"]);
    kept.says(0, &["are kept to undo commits; to drop that: --commits"]);
    assert_eq!(kept.stdout, "0B freed\n");
    // Undone and committed again: the second is what counts.
    branch(&harness, &["undo"]).says(0, &[]);
    assert_eq!(fs::read(harness.work().join("large")).unwrap(), large);
    branch(&harness, &["commit", "x"]).says(0, &["committed c2"]);
    let dropped = branch(&harness, &["gc", "--commits", "--all"]);
    assert!(
        dropped.stdout.starts_with("1MiB") || dropped.stdout.starts_with("1.0"),
        "{dropped:?}"
    );
    assert_eq!((dropped.status, dropped.stderr.as_str()), (0, ""));
    assert_eq!(count(&place(&harness).join("commits/c2")), 2);
    branch(&harness, &["undo", "c2"]).says(1, &["commit c2 is done for good"]);
    assert_eq!(branch(&harness, &["diff", "x"]).stdout, "");
    assert!(
        branch(&harness, &["show", "x"])
            .stdout
            .contains("c2         2 changes, just now, done for good")
    );
    on_branch(&harness, "x", "echo three > f");
    branch(&harness, &["commit", "x"]).says(0, &["committed c3"]);
    branch(&harness, &["undo"]).says(0, &["undone c3"]);
    assert_eq!(fs::read_to_string(harness.work().join("f")).unwrap(), "two\n");
}

#[test]
fn a_damaged_branch_is_not_taken_for_none_and_keeps_no_other_workspace_from_being_cleaned_up() {
    let harness = with_file("one\n");
    on_branch(&harness, "x", "echo two > f");
    fs::write(place(&harness).join("branches/x/branch.json"), "{").unwrap();
    let list = branch(&harness, &["list"]);
    assert!(!list.stderr.contains("has no branches"), "{list:?}");
    list.says(1, &["is damaged"]);
    harness.write("work/other/f", "one\n");
    let other = ["--workspace", "other"];
    harness
        .sh(&["-q", "--branch=y", "--workspace=other"], "cd other; rm f")
        .says(0, &[]);
    branch(&harness, &[&["commit", "y", "--discard"][..], &other].concat()).says(0, &["committed c1"]);
    let collected = branch(&harness, &["gc", "--all", "--commits"]);
    collected.says(1, &["is damaged"]);
    assert!(
        collected.stdout.ends_with("freed\n") && collected.stdout != "0B freed\n",
        "{collected:?}"
    );
}
