//! Clones with branches of their own. A template is made of a process with one thread, so this test binary has a main
//! of its own: each scenario runs on the main thread of a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails panics, and says what it does"
)]

mod refused;
mod scene;
mod views;
mod walls;

use std::process::{Command, ExitCode};

type Scenario = (&'static str, fn());

/// Every scenario, by the name of its test.
const ALL: &[&[Scenario]] = &[views::ALL, walls::ALL, refused::ALL];

/// Set in a process that runs one scenario.
const ALONE: &str = "SANDBOX_TEST_ALONE";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_flag = |flag: &str| words.iter().any(|word| word == flag);
    let all = || ALL.iter().copied().flatten();
    if is_flag("--list") {
        // As cargo test and cargo nextest want it; none is ignored.
        if !is_flag("--ignored") {
            all().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let wanted = words.iter().find(|word| !word.starts_with('-'));
    let is_wanted = |name: &str| match wanted {
        None => true,
        Some(wanted) if is_flag("--exact") => name == wanted,
        Some(wanted) => name.contains(wanted.as_str()),
    };
    let chosen: Vec<_> = all().filter(|(name, _)| is_wanted(name)).collect();
    if let ([(_, scenario)], true) = (&chosen[..], std::env::var_os(ALONE).is_some()) {
        scenario();
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = chosen.iter().filter(|(name, _)| !passes(name)).count();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in 0.00s\n",
        chosen.len() - failed,
        all().count() - chosen.len()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

/// Runs one in a process of its own.
fn passes(name: &str) -> bool {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own)
        .args(["--exact", name])
        .env(ALONE, "1")
        .output()
        .expect("it can be executed");
    let verdict = if output.status.success() { "ok" } else { "FAILED" };
    println!("test {name} ... {verdict}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let skips = printed.lines().filter(|line| line.starts_with("SKIP: "));
    skips.for_each(|line| println!("{line}"));
    if !output.status.success() {
        println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}
