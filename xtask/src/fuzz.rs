//! `cargo xtask fuzz`: the fuzz targets, for a few seconds each.
//!
//! They need a nightly compiler; cargo-fuzz is built where it is missing. Without a nightly, the tests of the conformance
//! suite do the same on random bytes, so nothing is left out.

use std::time::Duration;

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    installed,
    steps::Outcome,
    test::Tally,
    workspace,
};

/// A crate's fuzz directory, and its targets.
const TARGETS: [(&str, &[&str]); 2] = [
    (
        "crates/sandbox-filesystem/fuzz",
        &["dual_operations", "layer", "operations", "requests"],
    ),
    ("crates/sandbox-volumes/fuzz", &["ext4_check", "ext4_edit"]),
];

/// What takes longer than that, in seconds, hangs.
const TIMEOUT: u32 = 60;
/// What takes more memory than that, in MiB, has no bound.
const MEMORY: u32 = 2048;

const CARGO_FUZZ: &str = "0.13.2";

/// Building takes longer than running.
const BUILD_LIMIT: Duration = Duration::from_mins(15);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match check(args.seconds)? {
        Outcome::Tested(tally) if tally.failed > 0 => Err(Error::Fuzz { failed: tally.failed }),
        Outcome::Skipped { why } => {
            println!("skipped: {why}");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn skipped(why: &str) -> Outcome {
    Outcome::Skipped {
        why: format!("{why}; random bytes are tested by the unit tests"),
    }
}

/// Cargo finds its subcommands on PATH.
fn cargo_fuzz() -> Cmd {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(installed::bin()).chain(std::env::split_paths(&path));
    let fuzz = Cmd::new("cargo").args(["+nightly", "fuzz"]);
    match std::env::join_paths(path) {
        Ok(path) => fuzz.env("PATH", path),
        // A directory of PATH with a colon in it: then it is found without, or it says that it is not.
        Err(_) => fuzz,
    }
}

/// Runs every target for so many seconds.
pub(crate) fn check(seconds: u64) -> Result<Outcome> {
    if !Cmd::new("cargo").args(["+nightly", "--version"]).succeeds() {
        return Ok(skipped("there is no nightly compiler"));
    }
    if let Err(error) = installed::ensure("cargo-fuzz", CARGO_FUZZ) {
        return Ok(skipped(&format!("cargo-fuzz cannot be built: {error}")));
    }
    let mut tally = Tally { passed: 0, failed: 0 };
    for (directory, targets) in TARGETS {
        for target in targets {
            let fuzz = cargo_fuzz().args(["run", "--fuzz-dir", directory, target]);
            let fuzz = fuzz
                .arg("--")
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-timeout={TIMEOUT}"))
                .arg(format!("-rss_limit_mb={MEMORY}"))
                .dir(&workspace::root());
            let limit = BUILD_LIMIT + Duration::from_secs(seconds);
            // Every new coverage is a line, and there are thousands.
            let status = fuzz.follow(limit, &mut |line| {
                if !line.starts_with('#') && !line.trim_start().starts_with("NEW_FUNC") {
                    println!("{line}");
                }
            })?;
            if status.success() {
                tally.passed += 1;
            } else {
                tally.failed += 1;
            }
        }
    }
    println!("{}", tally.as_test_result());
    Ok(Outcome::Tested(tally))
}
