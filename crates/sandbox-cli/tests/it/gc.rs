//! What is left of a run whose supervisor is killed: nothing, once `gc` has run.

use std::process::Child;

use crate::harness::Harness;

/// Everything `gc` finds that belongs to `owner`.
fn found(place: &Harness, owner: &str) -> usize {
    let ran = place.sandbox(["gc", "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("valid");
    let entries = json.as_array().expect("a list");
    entries
        .iter()
        .filter(|entry| entry["paths"].to_string().contains(owner))
        .count()
}

fn kill(mut child: Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("reaped");
}

#[test]
fn a_run_killed_by_force_leaves_nothing_that_gc_does_not_remove() {
    let place = Harness::new();
    let flags = ["-q", "--memory", "256M", "--processes", "50"];
    let child = place.start(&flags, "echo ready; setsid sleep 1000 & sleep 1000");
    let owner = format!("-{}-", child.id());
    assert_eq!(found(&place, &owner), 0, "its owner lives");
    kill(child);
    // Others may be at work at the same time; only what is this run's counts here.
    let ran = place.sandbox(["gc"]);
    assert!(ran.stdout.ends_with("directories\n"), "{ran:?}");
    assert_eq!(found(&place, &owner), 0);
}

#[test]
fn an_orderly_run_leaves_nothing() {
    let place = Harness::new();
    let child = place.start(&["-q", "--memory", "256M"], "echo ready; exit 0");
    let owner = format!("-{}-", child.id());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(found(&place, &owner), 0);
}
