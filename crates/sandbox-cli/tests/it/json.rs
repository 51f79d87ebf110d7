//! The shape of `--json`.

use std::fs;

use crate::harness::Harness;

#[test]
fn a_run_gives_outcome_usage_and_report_on_one_line() {
    let ran = Harness::new().sh(&["--json"], "exit 3");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["outcome"], serde_json::json!({"kind": "exited", "code": 3}));
    assert_eq!(json["exit"], 3);
    assert!(json["usage"]["wall_us"].as_u64().expect("measured") > 0);
    assert!(
        ["rusage", "cgroup1", "cgroup2"]
            .map(Some)
            .contains(&json["usage"]["cpu_measured_by"].as_str())
    );
    assert!(json["report"]["full"].is_boolean());
    let guarantees = json["report"]["guarantees"].as_array().expect("a list");
    let files = guarantees
        .iter()
        .find(|entry| entry["guarantee"] == "files_write")
        .expect("always asked for");
    assert!(files["status"].is_string() && files["by"].is_array());
}

#[test]
fn a_file_takes_it_and_leaves_standard_error_to_the_command() {
    let place = Harness::new();
    let ran = place.sh(&["-q", "--json=result.json"], "echo mine >&2");
    assert_eq!(ran.stderr, "mine\n");
    let text = fs::read_to_string(place.work().join("result.json")).expect("written");
    let json: serde_json::Value = serde_json::from_str(&text).expect("valid");
    assert_eq!(json["outcome"]["kind"], "exited");
}

#[test]
fn a_command_that_writes_where_the_result_goes_cannot_forge_it() {
    let forgeries = [
        "head -c 9999 /dev/zero >> result.json",
        "rm -f result.json; echo forged > result.json",
        "rm -f result.json; ln -s ../home/victim result.json",
        "mv result.json elsewhere.json",
        "rm -f result.json; mkfifo result.json",
    ];
    for forgery in forgeries {
        let place = Harness::new();
        place.write("home/victim", "kept");
        let ran = place.sh(
            &["-q", "-w", ".", "--json=result.json"],
            &format!("{forgery}; exit 7"),
        );
        assert_eq!(ran.status, 7, "{forgery}: {ran:?}");
        let path = place.work().join("result.json");
        assert!(path.symlink_metadata().expect("there").is_file(), "{forgery}");
        let text = fs::read_to_string(path).expect("written");
        let json: serde_json::Value = serde_json::from_str(&text).expect("all of it is the result");
        assert_eq!(json["exit"], 7, "{forgery}");
        assert_eq!(
            fs::read_to_string(place.home().join("victim")).expect("there"),
            "kept"
        );
        let left = fs::read_dir(place.work()).expect("readable").count();
        assert!(left <= 2, "{forgery}: something is left behind");
    }
}

#[test]
fn a_directory_of_the_result_that_is_replaced_by_a_link_leads_nowhere() {
    let place = Harness::new();
    place.write("work/out/keep", "");
    place.write("home/keep", "");
    let script = "mv out moved; ln -s ../home out; rm moved/result.json";
    let ran = place.sh(&["-q", "-w", ".", "--json=out/result.json"], script);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(place.work().join("moved/result.json").is_file());
    assert!(!place.home().join("result.json").exists());
}

#[test]
fn a_command_that_does_not_start_has_an_error_a_hint_and_a_status() {
    let ran = Harness::new().sandbox(["run", "--json", "--", "no-such-command"]);
    let json = ran.json();
    assert_eq!((ran.status, json["exit"].as_u64()), (127, Some(127)), "{ran:?}");
    assert!(json["error"].is_string() && json["hint"].is_string(), "{json}");
}

#[test]
fn doctor_says_for_every_protection_how_far_it_holds() {
    let ran = Harness::new().sandbox(["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("valid");
    let full = json["full"].as_bool().expect("a verdict");
    assert_eq!(ran.status, i32::from(!full), "{ran:?}");
    let findings = json["findings"].as_array().expect("a list");
    assert!(findings.len() >= 6, "{json}");
    for finding in findings {
        let known = ["enforced", "degraded", "disabled"]
            .map(Some)
            .contains(&finding["status"].as_str());
        assert!(known && finding["title"].is_string(), "{finding}");
    }
    let all = findings.iter().all(|finding| finding["status"] == "enforced");
    assert_eq!(all, full, "{json}");
}

#[test]
fn doctor_s_verdict_is_what_require_full_does() {
    let place = Harness::new();
    let doctor = place.sandbox(["doctor"]);
    let limits = ["--memory", "1G", "--processes", "100", "--cpu-time", "60s"];
    let run = place.sandbox([&["run", "--require", "full"], &limits[..], &["--", "true"]].concat());
    assert_eq!(doctor.status == 0, run.status == 0, "{doctor:?} {run:?}");
    assert_eq!(
        doctor.stdout.contains("`full` possible: yes"),
        run.status == 0,
        "{doctor:?}"
    );
}
