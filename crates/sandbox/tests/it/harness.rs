//! What the scenarios share.
#![expect(clippy::print_stdout, reason = "a skip is announced on standard output")]

use std::time::{Duration, Instant};

/// The name of the test that the macro is used in.
macro_rules! name_of_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}
pub(crate) use name_of_test;

/// The skip protocol of docs/CONTRIBUTING.md.
pub(crate) fn skip(name: &str, reason: &str) {
    let is_set = |variable| std::env::var_os(variable).is_some_and(|value| value == "1");
    let allowed = std::env::var("SANDBOX_TEST_ALLOWED_SKIPS").unwrap_or_default();
    let is_allowed = allowed.split(',').any(|known| known.trim() == name);
    assert!(
        !is_set("SANDBOX_TEST_NO_SKIP") || is_allowed,
        "{name} would skip: {reason}"
    );
    println!("SKIP: {name}: {reason}");
}

/// Waits for a condition that must come true.
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "never came true: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Set in a process that runs one test alone.
const ALONE: &str = "SANDBOX_TEST_ALONE";

/// Runs the test of that name in a process of its own, where nobody else opens or closes anything.
pub(crate) fn in_own_process(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("it can be executed");
    let printed = String::from_utf8_lossy(&output.stdout);
    let has_passed = output.status.success() && printed.contains("1 passed");
    assert!(has_passed, "{output:?}");
}
