//! The escape programs inside clones of a template: a clone has no more rights than the policy.
//!
//! What runs them in place of `sandbox run` is this binary itself, which therefore has a main of its own: a template is
//! made of a process with one thread. Each program is executed by a clone, once by one that shares the template's files
//! and once by one with a branch of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    unused_macros,
    unused_imports,
    reason = "a test that fails panics; the harness has more than this needs"
)]

#[macro_use]
#[path = "../it/harness.rs"]
mod harness;

/// What the tests of single commands use, too.
#[path = "../it/escape"]
mod escape {
    pub(crate) mod attempts;
    pub(crate) mod outside;
    pub(crate) mod programs;
    pub(crate) mod table;

    /// The number of the descriptor on `/` that the sandbox is started with.
    const LEAKED: i32 = 9;
}

mod runner;

use std::process::{Command, ExitCode};

use escape::attempts::{Run, Stdin};
use escape::table::Mode;

/// The groups of attempts that need no terminal.
const GROUPS: [&str; 11] = [
    "reads",
    "writes",
    "proc",
    "processes",
    "namespaces",
    "sockets",
    "kernel",
    "abi",
    "privileges",
    "devices",
    "descriptors",
];

/// What clones see of the files of the template.
const FILES: [(&str, &str); 2] = [("sharing", "--clone=shared"), ("with_a_branch", "--clone=branch")];

/// Set in a process that runs one test.
const ALONE: &str = "SANDBOX_TEST_ALONE";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "run") {
        return runner::run(&words[1..]);
    }
    let is_flag = |flag: &str| words.iter().any(|word| word == flag);
    let tests = FILES
        .iter()
        .flat_map(|(files, flag)| GROUPS.map(|group| (format!("clones_{files}::{group}"), group, *flag)));
    let tests: Vec<_> = tests.collect();
    if is_flag("--list") {
        // As cargo test and cargo nextest want it; none is ignored.
        if !is_flag("--ignored") {
            for (name, ..) in &tests {
                println!("{name}: test");
            }
        }
        return ExitCode::SUCCESS;
    }
    let wanted = words.iter().find(|word| !word.starts_with('-'));
    let is_wanted = |name: &str| match wanted {
        None => true,
        Some(wanted) if is_flag("--exact") => name == wanted,
        Some(wanted) => name.contains(wanted.as_str()),
    };
    let chosen: Vec<_> = tests.iter().filter(|(name, ..)| is_wanted(name)).collect();
    if let ([(name, group, flag)], true) = (&chosen[..], std::env::var_os(ALONE).is_some()) {
        denied(name, group, flag);
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = chosen.iter().filter(|(name, ..)| !passes(name)).count();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in 0.00s\n",
        chosen.len() - failed,
        tests.len() - chosen.len()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

/// Makes all attempts of a group in a clone.
fn denied(name: &str, group: &str, flag: &str) {
    if let Err(reason) = runner::can_fork() {
        skip!(name, "{reason}");
    }
    let run = Run {
        name: group,
        mode: Mode::Namespaces,
        stdin: Stdin::Null,
        flags: &[flag.to_owned()],
        open: &[],
        runner: Some(std::env::current_exe().expect("this program")),
    };
    run.must_be_denied();
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
    let printed = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat();
    let skips = printed.lines().filter(|line| line.starts_with("SKIP: "));
    skips.for_each(|line| println!("{line}"));
    if !output.status.success() {
        println!("{printed}");
    }
    output.status.success()
}
