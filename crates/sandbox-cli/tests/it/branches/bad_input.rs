//! Workspaces, places and files that no branch can be made of.

use std::fs;

use super::mounts::nothing_goes_wrong;
use super::project::{Project, name_of_test};

#[test]
fn a_workspace_that_is_none_is_named_and_the_command_does_not_start() {
    let project = Project::new();
    let file = project.base().join("file");
    for (workspace, says) in [
        (
            "/no/such",
            &["/no/such: No such file or directory", "--workspace DIR"][..],
        ),
        (
            file.to_str().unwrap(),
            &["file is not a directory", "--workspace DIR"],
        ),
        ("/", &["/ cannot be a workspace", "--workspace DIR"]),
    ] {
        let flags = ["--branch=x", "--workspace", workspace];
        let ran = project.place.sh(&flags, "echo started");
        ran.says(125, says);
        assert_eq!(ran.stdout, "", "{workspace}");
    }
}

#[test]
fn a_name_that_could_lead_elsewhere_is_none() {
    let project = Project::new();
    for name in [
        "a/b",
        "..",
        ".",
        ".hidden",
        "-x",
        "a b",
        "a\n",
        "ä",
        &"x".repeat(129),
    ] {
        let flag = format!("--branch={name}");
        let ran = project.place.sh(&[&flag], "echo started");
        ran.says(125, &["is not a name", "start with a letter or digit"]);
        assert_eq!(ran.stdout, "", "{name}");
        let renamed = project.place.sandbox(["branch", "rename", "x", name]);
        assert_ne!(renamed.status, 0, "{name}");
    }
}

#[test]
fn a_manifest_that_is_damaged_is_named_by_everything_that_needs_it_and_by_nothing_else() {
    let damages = [
        "{",
        "",
        "[]",
        r#"{"version": 1}"#,
        r#"{"version": 99}"#,
        r#"{"version": 1, "mode": "kernel", "layers": ["../../../etc"], "birth": [0, 0], "created": 0}"#,
        r#"{"version": 1, "mode": "kernel", "layers": [], "birth": [0, 0], "created": 0}"#,
    ];
    let project = Project::new();
    for name in ["x", "y"] {
        project
            .place
            .sh(&["-q", &format!("--branch={name}")], "echo more >> file")
            .says(0, &[]);
    }
    let before = project.fingerprint();
    for damage in damages {
        fs::write(project.branch("x").join("branch.json"), damage).unwrap();
        let ran = project.place.sh(&["--branch=x"], "echo started");
        ran.says(125, &["branch.json", "hint: "]);
        assert_eq!(ran.stdout, "", "{damage}");
        for command in ["diff", "show", "commit", "discard"] {
            project
                .place
                .sandbox(["branch", command, "x"])
                .says(1, &["branch.json", "hint: "]);
        }
        assert_eq!(project.place.sandbox(["branch", "diff", "y"]).stdout, "M file\n");
        let list = project.place.sandbox(["branch", "list"]);
        list.says(1, &["branch.json"]);
        assert!(list.stdout.starts_with("y "), "{list:?}");
        project.place.sandbox(["branch", "gc"]).says(1, &["branch.json"]);
        before.still_holds();
    }
    assert_eq!(project.place.sandbox(["branch", "diff", "y"]).stdout, "M file\n");
}

#[test]
fn a_place_that_cannot_hold_an_upper_of_the_kernels_is_said_and_another_mode_is_taken() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; echo one > f
        mkdir "$DISK/u" "$DISK/w" "$DISK/l" "$DISK/m"
        mount -t overlay -o "userxattr,lowerdir=$DISK/l,upperdir=$DISK/u,workdir=$DISK/w" o "$DISK/m" || exit 77
        ST=$DISK/m/state
        run x -- cat f > out 2> said || wrong "$(cat said)"
        grep -q "$(instead), because .*is on overlayfs, which cannot hold" said || wrong "$(cat said)"
        [ "$(cat out)" = one ] || wrong "$(cat out)"
        run y --branch-mode kernel -- echo started > out 2> said && wrong "it started"
        [ ! -s out ] || wrong "it started"
        grep -q "is on overlayfs" said && grep -q -- "--branch-mode auto, or use copy" said || wrong "$(cat said)""#,
    );
}

#[test]
fn something_mounted_in_the_workspace_is_said_and_another_mode_is_taken() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; mkdir inside; mount -t tmpfs t inside || exit 77
        run x -- true 2> "$DISK/said" || wrong "$(cat "$DISK/said")"
        grep -q "$(instead), because .*inside is a mount of its own" "$DISK/said" || wrong "$(cat "$DISK/said")"
        run y --branch-mode kernel -- true 2> "$DISK/said" && wrong started
        grep -q "mount of its own" "$DISK/said" || wrong "$(cat "$DISK/said")""#,
    );
}

#[test]
fn a_workspace_that_may_not_be_written_to_has_branches_and_gets_no_commit() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        ST=$DISK/state; W=$PWD/app; mkdir "$W"; echo one > "$W/f"
        mount --bind "$W" "$W" && mount -o remount,bind,ro "$W" || exit 77
        on x 'echo two > f; echo new > g; cat f' > out 2> said || wrong "$(cat said)"
        [ "$(cat out)" = two ] || wrong "$(cat out)"
        branch commit x 2> said && wrong committed
        grep -qi "read-only" said || wrong "$(cat said)"
        [ "$(cat "$W/f")" = one ] && [ ! -e "$W/g" ] || wrong half
        [ "$(branch diff x --name-only | tr '\n' ' ')" = "f g " ] || wrong "$(branch diff x)"
        umount "$W"; branch commit x 2> said || wrong "$(cat said)"
        [ "$(cat "$W/f")" = two ] || wrong afterwards"#,
    );
}

#[test]
fn a_snapshot_that_cannot_share_blocks_is_refused_with_what_to_do() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; echo one > f
        run x --snapshot reflink -- true 2> said && wrong "blocks are shared with a tmpfs"
        grep -q "cannot be shared by reflink" said && grep -q -- "--snapshot copy" said || wrong "$(cat said)"
        [ -z "$(branch list 2> /dev/null)" ] || wrong left"#,
    );
}
