//! Build and test automation, reached as `cargo xtask`.
//!
//! One file a subcommand. It depends on none of the project's crates, because `setup` has to run
//! before the system libraries they link against are there.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command line tool: what it prints is its result"
)]

mod artifact;
mod bench;
mod cmd;
mod conformance;
mod demo;
mod deny;
mod dist;
mod error;
mod fuzz;
mod installed;
mod layers;
mod lint;
mod named_tests;
mod quote;
mod readme;
mod scratch;
mod semver;
mod setup;
mod steps;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, Result};

/// Build and test automation.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
enum Xtask {
    /// Install what the build and the tests need from the system
    Setup(setup::Args),
    /// Set up, build, and show the main job on a real directory
    Demo,
    /// Set up, then every check and every test
    Test(test::Args),
    /// Formatting, clippy, docs, layers and licenses
    Lint(lint::Args),
    /// Check the direction of the crates' imports and their dependency budgets
    Layers,
    /// Check licenses, bans and sources of the dependencies
    Deny(deny::Args),
    /// Build the static binary, completions, man pages and checksums into dist/
    Dist,
    /// Run public filesystem suites and real programs on mounted backends
    Conformance(conformance::Args),
    /// Run the fuzz targets, where a nightly compiler is
    Fuzz(fuzz::Args),
    /// Measure this program and its peers
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    match dispatch(&Xtask::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The table has said it, and the tests' total is to stay the last line.
        Err(Error::Steps { .. }) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(task: &Xtask) -> Result<()> {
    match task {
        Xtask::Setup(args) => setup::run(args),
        Xtask::Demo => demo::run(),
        Xtask::Test(args) => test::run(args),
        Xtask::Lint(args) => lint::run(args),
        Xtask::Layers => layers::run(),
        Xtask::Deny(args) => deny::run(args),
        Xtask::Dist => dist::run(),
        Xtask::Conformance(args) => conformance::run(args),
        Xtask::Fuzz(args) => fuzz::run(args),
        Xtask::Bench(bench) => bench::run(bench),
    }
}
