//! The skip protocol of docs/CONTRIBUTING.md.
#![expect(clippy::print_stdout, reason = "a skip is announced on standard output")]

/// Says that the test `name` does not run, and why; where skips are counted as failures, fails.
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
