//! The workspace changes while a branch of it is mounted.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::project::{Project, modes, name_of_test};
use crate::harness::Ran;

/// Starts a command on branch `x` that ends when it is told to, lets `change` happen, and gives what the run has said.
fn while_mounted(project: &Project, flags: &[&str], change: impl FnOnce()) -> Ran {
    let args = [
        &["run", "--branch=x"],
        flags,
        &["--", "sh", "-c", "echo ready; read line; echo more >> second"],
    ];
    let mut command = project.place.command(args.concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    // The kernel's clock goes by ticks.
    let before = fs::metadata("/proc/self").unwrap().modified().unwrap();
    while before.elapsed().unwrap() < std::time::Duration::from_millis(30) {}
    change();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Those in which the workspace shows on the branch.
fn live_modes(test: &str) -> impl Iterator<Item = [&'static str; 2]> + use<> {
    let live = modes(test).into_iter().filter(|mode| *mode != "copy");
    live.map(|mode| ["--branch-mode", mode])
}

fn with_json(mode: [&'static str; 2]) -> Vec<&'static str> {
    [&mode[..], &["--json"]].concat()
}

#[test]
fn a_change_of_the_workspace_that_the_branch_has_not_touched_is_told_at_the_end() {
    for mode in live_modes(name_of_test!()) {
        let project = Project::new();
        let base = project.base();
        let ran = while_mounted(&project, &mode, || {
            fs::write(base.join("dir/inner"), "an editor\n").unwrap();
        });
        ran.says(
            0,
            &[
                "the workspace was changed during the run: dir/inner",
                "--snapshot copy",
            ],
        );
    }
}

#[test]
fn a_deletion_is_told_as_a_change_of_the_directory() {
    for mode in live_modes(name_of_test!()) {
        let project = Project::new();
        let base = project.base();
        let ran = while_mounted(&project, &with_json(mode), || {
            fs::remove_file(base.join("dir/sub/deep")).unwrap();
        });
        let json = ran.json();
        let changed = &json["branch"]["base_changed"];
        assert_eq!(changed["paths"], serde_json::json!(["dir/sub"]), "{json}");
        assert_eq!(
            (&changed["count"], &changed["is_complete"]),
            (&1.into(), &true.into())
        );
    }
}

#[test]
fn git_s_own_files_are_told_as_one() {
    for mode in live_modes(name_of_test!()) {
        let project = Project::new();
        let base = project.base();
        fs::create_dir_all(base.join(".git/objects/aa")).unwrap();
        let ran = while_mounted(&project, &with_json(mode), || {
            for name in ["index", "HEAD", "objects/aa/b"] {
                fs::write(base.join(".git").join(name), "x").unwrap();
            }
        });
        let json = ran.json();
        assert_eq!(
            json["branch"]["base_changed"]["paths"],
            serde_json::json!([".git"]),
            "{json}"
        );
    }
}

#[test]
fn what_was_changed_before_the_run_or_is_read_during_it_is_no_change() {
    for mode in live_modes(name_of_test!()) {
        for _ in 0..5 {
            let project = Project::new();
            fs::write(project.base().join("file"), "just written\n").unwrap();
            let ran = while_mounted(&project, &with_json(mode), || {
                fs::read(project.base().join("file")).unwrap();
            });
            let json = ran.json();
            assert_eq!(json["branch"]["base_changed"]["count"], 0, "{json}");
        }
    }
}

#[test]
fn a_frozen_workspace_and_a_copy_cannot_be_changed_under_the_branch() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let frozen: &[&str] = match mode {
            "kernel" => &["--json", "--snapshot=copy", "--branch-mode=kernel"],
            "exact" => &["--json", "--snapshot=copy", "--branch-mode=exact"],
            _ => &["--json", "--branch-mode=copy"],
        };
        let ran = while_mounted(&project, frozen, || {
            fs::write(project.base().join("file"), "an editor\n").unwrap();
        });
        assert!(ran.json()["branch"]["base_changed"].is_null(), "{mode}: {ran:?}");
    }
}
