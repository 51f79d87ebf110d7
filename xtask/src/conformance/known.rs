//! A million inodes that are known: the crate's own test of that, at its full size, in a process of its own.
//!
//! Not through a mount: there the kernel forgets inodes when memory is short, and nobody would notice.

use std::time::Duration;

use super::suites::Results;
use crate::{cmd::cargo, error::Result};

const TEST: &str =
    "backend::passthrough::tests::descriptors::many_inodes_and_nine_hundred_open_files_with_a_limit_of_1024";
const INODES: &str = "1000000";

pub(super) fn run() -> Result<Results> {
    let mut results = Results::default();
    let test = cargo()
        .args(["test", "--release", "--package", "sandbox-filesystem", "--lib"])
        .args(["--", "--exact", TEST, "--nocapture"])
        .env("SANDBOX_TEST_KNOWN_INODES", INODES);
    let mut ran = false;
    let status = test.follow(Duration::from_mins(30), &mut |line| {
        ran |= line.contains("1 passed");
        if line.contains("known inodes") {
            results.remarks.push(line.to_owned());
        }
    })?;
    results.note(format!("{INODES} inodes"), ran && status.success());
    Ok(results)
}
