//! The public API against that of the last release, by cargo-semver-checks: part of lint where it is installed and where
//! there is a release.

use crate::{
    cmd::{Cmd, cargo},
    error::Result,
    steps::Outcome,
};

/// How to get it; nothing is installed unasked.
const INSTALL: &str = "cargo install --locked cargo-semver-checks";

/// The crates that others depend on by their API.
const CRATES: [&str; 5] = [
    "sandbox-types",
    "sandbox-filesystem",
    "sandbox-confine",
    "sandbox-volumes",
    "sandbox",
];

pub(crate) fn check() -> Result<Outcome> {
    if !cargo().args(["semver-checks", "--version"]).succeeds() {
        return Ok(Outcome::Skipped {
            why: format!("cargo-semver-checks is not installed: {INSTALL}"),
        });
    }
    let Some(release) = last_release() else {
        return Ok(Outcome::Skipped {
            why: "there is no release (a tag v*) to compare with".to_owned(),
        });
    };
    let packages = CRATES.iter().flat_map(|name| ["--package", name]);
    cargo()
        .args(["semver-checks", "--baseline-rev", &release])
        .args(packages)
        .run()
        .map(|()| Outcome::Done)
}

fn last_release() -> Option<String> {
    let described = Cmd::new("git").args(["describe", "--tags", "--abbrev=0", "--match", "v*"]);
    let tag = described.silent().read().ok()?.trim().to_owned();
    (!tag.is_empty()).then_some(tag)
}
