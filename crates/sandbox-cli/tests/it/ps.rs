//! `sandbox ps`.

use std::process::Child;

use crate::harness::{Harness, Ran, skipped};

fn ps(place: &Harness) -> serde_json::Value {
    let ran = place.sandbox(["ps", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("JSON")
}

/// What is said of the sandbox that `child` has started.
fn entry_of(place: &Harness, child: &Child) -> Option<serde_json::Value> {
    let all = ps(place);
    let mut all = all.as_array().expect("a list").iter();
    all.find(|entry| entry["pid"] == child.id()).cloned()
}

fn end(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    child.wait().expect("reaped");
}

fn has_namespaces(test: &str, place: &Harness) -> bool {
    let ran: Ran = place.sh(&["-q", "--branch=probe", "--branch-mode", "kernel"], "true");
    if ran.status != 0 {
        skipped(test, ran.stderr.trim());
    }
    ran.status == 0
}

#[test]
fn what_runs_is_listed_with_its_branch_and_its_commands_and_nothing_else() {
    let place = Harness::new();
    if !has_namespaces(
        "ps::what_runs_is_listed_with_its_branch_and_its_commands_and_nothing_else",
        &place,
    ) {
        return;
    }
    let on_branch = place.start(&["-q", "--branch=x"], "echo ready; exec sleep 1000");
    let plain = place.start(&["-q"], "echo ready; exec sleep 2000");

    let entry = entry_of(&place, &on_branch).expect("it is listed");
    let work = place.work().canonicalize().expect("there");
    assert_eq!(entry["branches"][0]["name"], "x", "{entry}");
    assert_eq!(
        entry["branches"][0]["workspace"],
        work.to_str().expect("text"),
        "{entry}"
    );
    assert_eq!(
        entry["commands"],
        serde_json::json!([["sleep", "1000"]]),
        "{entry}"
    );
    let entry = entry_of(&place, &plain).expect("it is listed");
    assert_eq!(entry["branches"], serde_json::json!([]), "{entry}");

    let table = place.sandbox(["ps"]).stdout;
    let line = table
        .lines()
        .find(|line| line.contains("sleep 1000"))
        .expect("a line");
    assert!(
        line.starts_with(&on_branch.id().to_string()) && line.contains(" x "),
        "{table}"
    );

    let joined = place
        .command(["exec", "x", "--", "sleep", "3000"])
        .spawn()
        .expect("sandbox starts");
    let commands = serde_json::json!([["sleep", "1000"], ["sleep", "3000"]]);
    while entry_of(&place, &on_branch).expect("it is listed")["commands"] != commands {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for child in [joined, plain, on_branch] {
        let pid = child.id();
        end(child);
        let left = ps(&place);
        assert!(
            left.as_array()
                .expect("a list")
                .iter()
                .all(|entry| entry["pid"] != pid),
            "{left}"
        );
    }
}
