//! `cargo xtask deny`: licenses, bans and sources of the dependencies, by cargo-deny and deny.toml.

use crate::{
    cmd::cargo,
    error::{Error, Result},
};

/// How to get it; nothing is installed unasked.
pub(crate) const INSTALL: &str = "cargo install --locked cargo-deny";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also known vulnerabilities; needs the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !is_installed() {
        return Err(Error::NoCargoDeny);
    }
    check(if args.advisories {
        &["licenses", "bans", "sources", "advisories"]
    } else {
        OFFLINE
    })
}

/// What can be checked without the network.
pub(crate) const OFFLINE: &[&str] = &["licenses", "bans", "sources"];

pub(crate) fn is_installed() -> bool {
    cargo().args(["deny", "--version"]).succeeds()
}

pub(crate) fn check(what: &[&str]) -> Result<()> {
    cargo()
        .args([
            "deny",
            "--all-features",
            "--locked",
            "check",
            "--hide-inclusion-graph",
        ])
        .args(what)
        .run()
}
