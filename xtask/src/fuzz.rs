//! `cargo xtask fuzz`: the fuzz targets, for a few seconds each.
//!
//! They need cargo-fuzz and a nightly compiler. Where those are not, the tests of the conformance suite do the same on
//! random bytes, so nothing is left out.

use std::time::Duration;

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    steps::Outcome,
    test::Tally,
    workspace,
};

/// A crate's fuzz directory, and its targets.
const TARGETS: [(&str, &[&str]); 1] = [(
    "crates/sandbox-filesystem/fuzz",
    &["layer", "operations", "requests"],
)];

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

/// Runs every target for so many seconds.
pub(crate) fn check(seconds: u64) -> Result<Outcome> {
    if !Cmd::new("cargo")
        .args(["+nightly", "fuzz", "--version"])
        .succeeds()
    {
        return Ok(Outcome::Skipped {
            why: "there is no cargo-fuzz with a nightly compiler; random bytes are tested by the unit tests"
                .to_owned(),
        });
    }
    let mut tally = Tally { passed: 0, failed: 0 };
    for (directory, targets) in TARGETS {
        for target in targets {
            let fuzz = Cmd::new("cargo").args(["+nightly", "fuzz", "run", "--fuzz-dir", directory, target]);
            let fuzz = fuzz
                .arg("--")
                .arg(format!("-max_total_time={seconds}"))
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
