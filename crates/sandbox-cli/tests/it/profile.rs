//! `sandbox profile`, and profiles of one's own.

use crate::harness::Harness;

#[test]
fn built_in_profiles_are_listed_and_shown_and_what_is_shown_is_valid() {
    let place = Harness::new();
    let list = place.sandbox(["profile", "list"]);
    for name in ["default", "agent", "build", "judge"] {
        assert!(list.stdout.lines().any(|line| line.starts_with(name)), "{list:?}");
        let shown = place.sandbox(["profile", "show", name]);
        assert_eq!(shown.status, 0, "{shown:?}");
        place.write("work/shown.toml", &shown.stdout);
        place
            .sandbox(["profile", "check", "shown.toml"])
            .prints("shown.toml: valid\n");
        let json = place.sandbox(["profile", "show", name, "--json"]);
        place.write("work/shown.json", &json.stdout);
        place
            .sandbox(["profile", "check", "shown.json"])
            .prints("shown.json: valid\n");
    }
    let json = place.sandbox(["profile", "list", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("valid");
    assert_eq!(json[0]["name"], "default");
}

#[test]
fn check_names_every_problem_and_ends_with_1() {
    let place = Harness::new();
    place.write("work/p.toml", "[limits]\nmemory = 0\nwall_time = \"0\"\n");
    let ran = place.sandbox(["profile", "check", "p.toml"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    place.write("work/p.toml", "[limits]\nmemory = \"0\"\nwall_time = \"0\"\n");
    let ran = place.sandbox(["profile", "check", "p.toml"]);
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    let ran = place.sandbox(["profile", "check", "p.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("valid");
    assert_eq!((ran.status, json["valid"].as_bool()), (1, Some(false)));
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(2));
    place
        .sandbox(["profile", "check", "missing.toml"])
        .says(1, &["missing.toml"]);
    place
        .sandbox(["profile", "show", "missing"])
        .says(1, &["missing", "hint:"]);
}

#[test]
fn a_profile_of_one_s_own_extends_another_and_flags_override_it() {
    let place = Harness::new();
    place.write(
        "home/.config/sandbox/profiles/mine.toml",
        "extends = \"agent\"\n[process.env]\nGREETING = \"hello\"\n[process]\nhostname = \"box\"\n",
    );
    assert!(place.sandbox(["profile", "list"]).stdout.contains("mine"));
    place
        .sh(&["--profile", "mine"], "echo $GREETING; uname -n")
        .prints("hello\nbox\n");
    place
        .sh(
            &[
                "--profile",
                "mine",
                "--env",
                "GREETING=bye",
                "--hostname",
                "other",
            ],
            "echo $GREETING; uname -n",
        )
        .prints("bye\nother\n");
}
