//! Branches that are kept beside the workspace, and what only looks like them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::project::{Project, fill, modes, name_of_test};
use crate::harness::{Harness, Ran};

/// A directory with the workspace `app` in it.
fn app() -> (Harness, PathBuf) {
    let place = Harness::new();
    let app = place.work().join("app");
    fs::create_dir(&app).unwrap();
    fill(&app);
    (place, app)
}

fn at(place: &Harness, directory: &Path, args: &[&str]) -> Ran {
    Ran::of(place.command(args).current_dir(directory))
}

/// Makes something that looks like branch `run-1` of `app`, which leads writes into `app/hooks`.
const FORGE: &str = r#"
    umask 077; D=.app.sandbox; L=18eba10d58eb14b9
    mkdir -p $D/branches/run-1 $D/layers/$L $D/commits
    ln -s ../../../app/hooks $D/layers/$L/tree
    echo "{\"version\":1,\"path\":\"$PWD/app\"}" > $D/workspace.json
    echo "{\"version\":1,\"mode\":\"copy\",\"layers\":[\"$L\"],\"birth\":[99999999999,0],\"created\":1}" \
        > $D/branches/run-1/branch.json
"#;

#[test]
fn a_branch_that_a_command_has_forged_beside_a_workspace_is_held_and_never_used() {
    let (place, app) = app();
    fs::create_dir(app.join("hooks")).unwrap();
    let above = place.work();
    let on_evil = [
        "run",
        "-q",
        "--branch=evil",
        "--workspace=.",
        "--",
        "sh",
        "-c",
        FORGE,
    ];
    at(&place, &above, &on_evil).says(0, &[]);
    let commit = at(&place, &above, &["branch", "commit", "evil", "--workspace=."]);
    assert_ne!(commit.status, 0, "{commit:?}");
    assert!(
        format!("{commit:?}").contains("branch-storage"),
        "what it is held for: {commit:?}"
    );
    assert!(!above.join(".app.sandbox").exists());

    let by_hand = std::process::Command::new("sh")
        .args(["-c", FORGE])
        .current_dir(&above)
        .status();
    assert!(by_hand.unwrap().success());
    let write = [
        "run",
        "-q",
        "--branch=run-1",
        "--",
        "sh",
        "-c",
        "echo x > pre-commit",
    ];
    at(&place, &app, &write).says(125, &[".app.sandbox is not used for branches", "--storage"]);
    let named = [&["run", "--storage=beside"], &write[1..]].concat();
    at(&place, &app, &named).says(125, &["nothing says that it was made for branches"]);
    // Also by its name, the link is not followed.
    let named = [&["run", "--storage=../.app.sandbox"], &write[1..]].concat();
    at(&place, &app, &named).says(125, &["tree is a link"]);
    assert_eq!(fs::read_dir(app.join("hooks")).unwrap().count(), 0);
    // It is in nobody's way.
    let kept = [&["run", "--storage=state"], &write[1..]].concat();
    at(&place, &app, &kept).says(0, &[]);
}

#[test]
fn what_was_made_beside_a_workspace_is_the_users_alone_and_used_without_being_named() {
    let (place, app) = app();
    at(
        &place,
        &app,
        &["run", "-q", "--branch=x", "--storage=beside", "--", "rm", "file"],
    )
    .says(0, &[]);
    let beside = place.work().join(".app.sandbox");
    assert_eq!(
        fs::metadata(&beside).unwrap().permissions().mode() & 0o7777,
        0o700
    );
    assert_eq!(at(&place, &app, &["branch", "diff", "x"]).stdout, "D file\n");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    at(&place, &app, &["branch", "diff", "x"]).says(1, &["its mode is 0755", "chmod 0700"]);
}

#[test]
fn a_link_in_the_place_of_what_a_branch_holds_is_not_followed() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        project.sh("x", mode, "echo new > new").says(0, &[]);
        let part = if mode == "copy" { "tree" } else { "upper" };
        let held = project.layers("x").unwrap()[0].join(part);
        let secret = project.place.root().join("secret");
        fs::rename(&held, &secret).unwrap();
        symlink(&secret, &held).unwrap();
        let before = fs::read(secret.join("new")).unwrap();
        project
            .sh("x", mode, "echo overwritten > new")
            .says(125, &["is a link"]);
        assert_eq!(fs::read(secret.join("new")).unwrap(), before);
        project
            .place
            .sandbox(["branch", "commit", "x"])
            .says(1, &["is a link"]);
        assert!(!project.base().join("new").exists());
    }
}

#[test]
fn directories_that_a_manifest_adds_are_not_shown() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        project.sh("x", mode, "true").says(0, &[]);
        let secret = project.place.root().join("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("id"), "key").unwrap();
        let file = project.branch("x").join("branch.json");
        let edit = |key: &str, value: Value| {
            let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            manifest[key] = value;
            fs::write(&file, manifest.to_string()).unwrap();
        };
        let look = format!("cat {}/id", secret.display());
        edit("visible", serde_json::json!([secret]));
        let ran = project.sh("x", mode, &look);
        assert!(ran.status != 0 && !ran.stdout.contains("key"), "{ran:?}");
        let extra = project.layers("x").unwrap()[0].join("extra-0");
        for part in ["upper", "work", "tree"] {
            fs::create_dir_all(extra.join(part)).unwrap();
        }
        edit("extras", serde_json::json!([secret]));
        project
            .sh("x", mode, &look)
            .says(125, &["branch x has changes of", "secret"]);
    }
}

#[test]
fn branches_in_the_state_directory_are_not_hidden_by_what_was_beside_the_workspace() {
    let (place, app) = app();
    at(&place, &app, &["run", "-q", "--branch=k", "--", "rm", "file"]).says(0, &[]);
    at(
        &place,
        &app,
        &["run", "-q", "--branch=z", "--storage=beside", "--", "true"],
    )
    .says(0, &[]);
    // Both have some: that is said, and each is found by its name.
    let listed = at(&place, &app, &["branch", "list"]);
    listed.says(0, &["there are others in", "--storage state"]);
    assert!(listed.stdout.starts_with("z "), "{listed:?}");
    assert!(
        at(&place, &app, &["branch", "list", "--storage=state"])
            .stdout
            .starts_with("k ")
    );
    let all = at(&place, &app, &["branch", "list", "--all"]).stdout;
    assert!(all.contains("k ") && all.contains("z "), "{all}");
    at(&place, &app, &["branch", "discard", "--all", "--storage=beside"]).says(0, &[]);
    let listed = at(&place, &app, &["branch", "list"]);
    assert!(
        listed.stdout.starts_with("k ") && listed.stderr.is_empty(),
        "{listed:?}"
    );
    assert_eq!(at(&place, &app, &["branch", "diff", "k"]).stdout, "D file\n");
}
