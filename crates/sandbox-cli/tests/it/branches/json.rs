//! What `--json` says of the branch, and that nothing else is said then.

use serde_json::{Value, json};

use super::project::{Project, modes, name_of_test};

const CHANGE: &str = "echo more >> file; echo new > new; rm second; echo x > hook; chmod +x hook";

/// Runs it with JSON on standard error, where nothing else may be.
fn run(project: &Project, flags: &[&str], script: &str) -> (i32, Value) {
    let ran = project
        .place
        .sh(&[&["--branch=x", "--json"], flags].concat(), script);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["exit"], ran.status, "{json}");
    (ran.status, json["branch"].clone())
}

#[test]
fn a_branch_that_is_kept_is_described_and_nothing_else_is_said() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let (status, branch) = run(&project, &["--branch-mode", mode], CHANGE);
        assert_eq!(status, 0);
        for (key, value) in [
            ("name", json!("x")),
            ("workspace", json!(project.base())),
            ("mode", json!(mode)),
            ("is_new", json!(true)),
            ("is_joined", json!(false)),
            ("end", json!("kept")),
            (
                "counts",
                json!({"added": 2, "modified": 1, "deleted": 1, "renamed": 0}),
            ),
            ("conflicts", json!([])),
        ] {
            assert_eq!(branch[key], value, "{key} in {branch}");
        }
        assert_eq!(branch["held"][0]["path"], "hook");
        assert_eq!(branch["held"][0]["rule"], "new-executable");
    }
}

#[test]
fn what_was_said_elsewhere_is_among_the_notes() {
    let project = Project::new();
    let ran = project
        .place
        .sh(&["--branch=x", "--json", "--env", "NOBODY_SETS_THIS"], "true");
    let json = ran.json();
    let notes = json["notes"].as_array().expect("a list");
    assert!(
        notes.iter().any(|note| note
            .as_str()
            .is_some_and(|note| note.contains("NOBODY_SETS_THIS"))),
        "{json}"
    );
}

#[test]
fn a_commit_is_named_and_counted() {
    let project = Project::new();
    let (status, branch) = run(&project, &["--on-success=commit"], "echo more >> file; rm second");
    assert_eq!((status, &branch["end"]), (0, &json!("committed")), "{branch}");
    assert_eq!(branch["commit"], "c1");
    assert_eq!(branch["counts"]["deleted"], 1);
    assert!(!project.base().join("second").exists());
}

#[test]
fn a_commit_that_is_refused_says_why_and_what_is_held() {
    let project = Project::new();
    let (status, branch) = run(&project, &["--on-success=commit"], CHANGE);
    assert_eq!((status, &branch["end"]), (3, &json!("kept")), "{branch}");
    assert_eq!(branch["held"][0]["path"], "hook");
    assert_eq!(branch["counts"]["added"], 2);
    assert!(
        branch["error"]
            .as_str()
            .is_some_and(|why| why.contains("held back")),
        "{branch}"
    );
}

#[test]
fn a_dry_run_lists_its_changes_and_a_discarded_branch_is_counted() {
    let project = Project::new();
    let ran = project.place.sh(&["--dry-run", "--json"], CHANGE);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let branch = &ran.json()["branch"];
    assert_eq!(
        (&branch["end"], &branch["name"]),
        (&json!("discarded"), &json!("run-1"))
    );
    let paths = branch["changes"].as_array().expect("a list").iter();
    let paths: Vec<_> = paths
        .map(|change| change["path"].as_str().expect("text"))
        .collect();
    assert_eq!(paths, ["file", "hook", "new", "second"]);
    let (status, branch) = run(&project, &["--on-failure=discard"], "rm second; exit 4");
    assert_eq!((status, &branch["end"]), (4, &json!("discarded")), "{branch}");
    assert_eq!(branch["counts"]["deleted"], 1);
    assert!(project.layers("x").is_none());
}

#[test]
fn a_question_cannot_be_asked_where_the_json_goes() {
    let project = Project::new();
    let ran = project
        .place
        .sh(&["--branch=x", "--json", "--on-success=ask"], "true");
    assert_eq!((ran.status, ran.stderr.lines().count()), (125, 1), "{ran:?}");
    let json = ran.json();
    assert!(
        json["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--json=FILE")),
        "{json}"
    );
    assert!(project.layers("x").is_none());
}

#[test]
fn json_in_a_file_describes_the_branch_too() {
    let project = Project::new();
    let file = project.place.root().join("result");
    let flag = format!("--json={}", file.display());
    let ran = project.place.sh(&["--branch=x", &flag], "rm second");
    ran.says(0, &["branch x: 1 deleted"]);
    let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(json["branch"]["counts"]["deleted"], 1);
    assert!(json.get("notes").is_none(), "{json}");
}
