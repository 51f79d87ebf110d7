//! The status tells how it ended, and the JSON tells apart what a status cannot.

use crate::harness::Harness;

#[test]
fn a_command_s_own_status_is_passed_on() {
    let place = Harness::new();
    for status in [0, 1, 3, 124, 125, 126, 127, 255] {
        let ran = place.sh(&["--json"], &format!("exit {status}"));
        assert_eq!(ran.status, status, "{ran:?}");
        assert_eq!(
            ran.json()["outcome"],
            serde_json::json!({"kind": "exited", "code": status})
        );
    }
}

#[test]
fn a_signal_is_128_and_its_number() {
    let place = Harness::new();
    for (signal, status) in [("TERM", 143), ("KILL", 137), ("ABRT", 134)] {
        let ran = place.sh(&["--json"], &format!("kill -{signal} $$"));
        assert_eq!(ran.status, status, "{ran:?}");
        assert_eq!(ran.json()["outcome"]["kind"], "signaled");
    }
}

#[test]
fn a_time_limit_is_124_and_its_flag_is_named() {
    let place = Harness::new();
    let ran = place.sh(&["--wall-time", "100ms"], "sleep 60");
    ran.says(
        124,
        &["[sandbox] wall time limit of 100ms reached; to allow more: --wall-time"],
    );
    let ran = place.sh(&["--cpu-time", "1s", "--json"], "while :; do :; done");
    assert_eq!(
        (ran.status, ran.json()["outcome"]["kind"].as_str()),
        (124, Some("cpu_time")),
        "{ran:?}"
    );
}

#[test]
fn a_limit_on_output_is_153_and_truncation_is_no_failure() {
    let place = Harness::new();
    let ran = place.sh(&["--output-limit", "10"], "while echo 123456789; do :; done");
    ran.says(153, &["limit on standard output of 10B reached"]);
    assert_eq!(ran.stdout, "123456789\n");
    let ran = place.sh(
        &["--output-limit", "4", "--on-output", "truncate", "--json"],
        "echo 123456789",
    );
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "1234"), "{ran:?}");
    assert_eq!(ran.json()["truncated"], true);
}

#[test]
fn a_limit_on_file_size_is_153() {
    let ran = Harness::new().sandbox([
        "run",
        "--file-size",
        "1M",
        "--json",
        "--",
        "dd",
        "if=/dev/zero",
        "of=/tmp/x",
        "bs=2M",
        "count=1",
    ]);
    assert_eq!(
        (ran.status, ran.json()["outcome"]["kind"].as_str()),
        (153, Some("file_size")),
        "{ran:?}"
    );
}

#[test]
fn quiet_says_nothing_about_limits() {
    let ran = Harness::new().sh(&["-q", "--wall-time", "50ms"], "sleep 60");
    assert_eq!((ran.status, ran.stderr.as_str()), (124, ""));
}

#[test]
fn a_failure_of_ours_is_125_and_no_outcome() {
    let ran = Harness::new().sandbox(["run", "--json", "--memory", "0", "--", "true"]);
    assert_eq!(ran.status, 125, "{ran:?}");
    let json = ran.json();
    assert_eq!((json["exit"].as_u64(), json.get("outcome")), (Some(125), None));
    assert!(
        json["error"].as_str().expect("text").contains("--memory: 0"),
        "{json}"
    );
}
