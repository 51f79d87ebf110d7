//! `cargo xtask test`: set-up, then every check and every test.
//!
//! The last line is `N passed, N failed`: all tests of all runs, and one for every other step that
//! failed. Everything is built once, in one profile with one set of features.

mod observe;
mod quiet;
mod skips;
mod tally;
mod unprivileged;

use std::{path::Path, time::Duration};

use crate::{
    artifact::{self, Artifact, Kind},
    cmd::{Cmd, cargo},
    conformance,
    error::Result,
    fuzz, lint, readme,
    setup::{self, Need},
    steps::{OnFailure, Outcome, Steps},
    workspace,
};

use observe::Observed;
use skips::SkipList;
pub(crate) use tally::Tally;

/// A run of all tests; the runner itself stops single tests much earlier.
const RUN_LIMIT: Duration = Duration::from_mins(20);
/// Many tests race real processes on machines that do other things as well: one that fails is tried once more, and is named
/// at the end when it passed then. A defect fails twice.
const ONE_MORE_TRY: &str = "--retries=1";
/// For each target.
const FUZZ_SECONDS: u64 = 5;
const EXAMPLE_LIMIT: Duration = Duration::from_mins(2);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on after a failed step
    #[arg(long)]
    keep_going: bool,
    /// Only this step, as the table at the end calls it, and what it needs; may be repeated
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let skip_list = SkipList::read(&workspace::root().join("xtask/skips.txt"))?;
    let mut steps = Steps::new(if args.keep_going {
        OnFailure::KeepGoing
    } else {
        OnFailure::Stop
    });
    if !args.only.is_empty() {
        steps.only(
            ["setup", "build"]
                .into_iter()
                .chain(args.only.iter().map(String::as_str)),
        );
    }
    let mut built = Vec::new();
    let mut seen = Observed::default();

    steps.step("setup", || setup::ensure(&[Need::Build]).map(|()| Outcome::Done));
    lint::sources(&mut steps);
    steps.step("build", || {
        built = artifact::build(cargo().args(["test", "--workspace", "--no-run"]))?;
        Ok(Outcome::Done)
    });
    if built.is_empty() {
        println!("nothing was built: the tests cannot run");
    } else {
        steps.step("tests", || unit_and_integration(&built, &skip_list, &mut seen));
        steps.step("doc tests", || {
            let doc_tests = cargo().args(["test", "--workspace", "--doc"]);
            watch(skip_list.tell(doc_tests), RUN_LIMIT, &mut seen).map(Outcome::Tested)
        });
        steps.step("examples", || examples(&built).map(Outcome::Tested));
        steps.step("conformance", || conformance::check(conformance::Scale::Short));
        steps.step("fuzz", || fuzz::check(FUZZ_SECONDS));
        steps.step("README", || {
            let program = artifact::program(&built, "sandbox")?;
            let dir = program.executable.parent().unwrap_or(Path::new("/"));
            readme::check(dir).map(Outcome::Tested)
        });
        steps.step("tests, unprivileged", || {
            unprivileged::run(&built, &skip_list, &mut seen)
        });
    }
    lint::documents(&mut steps);
    lint::dependencies(&mut steps);

    seen.print_flaky();
    seen.print_skips();
    steps.print_table();
    println!("\n{}", steps.total());
    steps.result()
}

fn unit_and_integration(built: &[Artifact], skip_list: &SkipList, seen: &mut Observed) -> Result<Outcome> {
    let nextest = cargo().args(["nextest", "--version"]).succeeds();
    let mut tests = if nextest {
        // The output of passed tests is wanted for its SKIP lines; `quiet` leaves out the rest.
        cargo().args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--success-output=immediate",
            ONE_MORE_TRY,
        ])
    } else {
        cargo().args([
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
            "--",
            "--show-output",
        ])
    };
    if let Ok(sandbox) = artifact::program(built, "sandbox") {
        tests = tests.env("SANDBOX_TEST_BIN", &sandbox.executable);
    }
    watch(skip_list.tell(tests), RUN_LIMIT, seen).map(Outcome::Tested)
}

/// Runs every example; one is a test that passes with status 0.
fn examples(built: &[Artifact]) -> Result<Tally> {
    let mut tally = Tally::default();
    let program = built.iter().find(|artifact| artifact.kind == Kind::Program);
    let program_dir = program.and_then(|program| program.executable.parent());
    for example in built.iter().filter(|artifact| artifact.kind == Kind::Example) {
        let mut command = Cmd::new(&example.executable);
        if let Some(dir) = program_dir {
            command = command.env("PATH", prepend_path(dir));
        }
        let passed = command
            .follow(EXAMPLE_LIMIT, &mut |line| println!("{line}"))?
            .success();
        println!(
            "example {} ... {}",
            example.name,
            if passed { "ok" } else { "FAILED" }
        );
        tally = tally
            + if passed {
                Tally { passed: 1, failed: 0 }
            } else {
                Tally { passed: 0, failed: 1 }
            };
    }
    println!("{}", tally.as_test_result());
    Ok(tally)
}

fn prepend_path(dir: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let joined = std::env::join_paths(std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path)));
    joined.unwrap_or(path)
}

/// What random tests try depends on the change alone, not on chance. For something new: `PROPTEST_RNG_SEED=…` in the environment.
fn reproducible(tests: Cmd) -> Cmd {
    const SEED: &str = "PROPTEST_RNG_SEED";
    if std::env::var_os(SEED).is_some() {
        tests
    } else {
        tests.env(SEED, "1")
    }
}

/// Runs tests, shows what they print, and counts.
fn watch(tests: Cmd, limit: Duration, seen: &mut Observed) -> Result<Tally> {
    let tests = reproducible(tests);
    let before = seen.tally();
    let mut quiet = quiet::Filter::default();
    let status = tests.follow(limit, &mut |line| {
        if let Some(line) = quiet.shown(line) {
            println!("{line}");
        }
        if let Some(summary) = seen.line(line) {
            println!("{}", summary.as_test_result());
        }
    })?;
    let mut tally = seen.tally() - before;
    if !status.success() && tally.failed == 0 {
        // It failed before, or beside, its tests.
        println!("error: {status}");
        tally.failed = 1;
    }
    Ok(tally)
}
