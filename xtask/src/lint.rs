//! `cargo xtask lint`: everything that needs no test to run.

use crate::{
    cmd::cargo,
    deny,
    error::Result,
    layers, named_tests, semver,
    setup::{self, Need},
    steps::{OnFailure, Outcome, Steps},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on after a failed check
    #[arg(long)]
    keep_going: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut steps = Steps::new(if args.keep_going {
        OnFailure::KeepGoing
    } else {
        OnFailure::Stop
    });
    steps.step("setup", || setup::ensure(&[Need::Build]).map(|()| Outcome::Done));
    sources(&mut steps);
    documents(&mut steps);
    dependencies(&mut steps);
    steps.print_table();
    steps.result()
}

/// Formatting, clippy and layers: what is known before anything is built.
pub(crate) fn sources(steps: &mut Steps) {
    steps.step("fmt", || {
        cargo()
            .args(["fmt", "--all", "--", "--check"])
            .run()
            .map(|()| Outcome::Done)
    });
    steps.step("clippy", || {
        let clippy = cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]);
        clippy.run().map(|()| Outcome::Done)
    });
    steps.step("layers", || layers::run().map(|()| Outcome::Done));
    steps.step("named tests", || named_tests::check().map(|()| Outcome::Done));
}

/// The documentation builds and its links lead somewhere.
pub(crate) fn documents(steps: &mut Steps) {
    steps.step("docs", || {
        let doc = cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings");
        doc.run().map(|()| Outcome::Done)
    });
}

/// Licenses, bans and sources, where cargo-deny is installed; the public API, where cargo-semver-checks is.
pub(crate) fn dependencies(steps: &mut Steps) {
    steps.step("deny", || {
        if !deny::is_installed() {
            return Ok(Outcome::Skipped {
                why: format!("cargo-deny is not installed: {}", deny::INSTALL),
            });
        }
        deny::check(deny::OFFLINE).map(|()| Outcome::Done)
    });
    steps.step("semver", semver::check);
}
