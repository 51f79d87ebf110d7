//! `cargo xtask bench`: this program and its peers, in turn, in one run.
//!
//! The programs measured are those that users get. Everything is timed by one small driver process
//! (`crates/sandbox-confine/examples/bench_driver.rs`), started as the user who is asked for; this program
//! only tells it what to do next and adds up. A target that is missed is said and changes no status: how fast
//! a machine is that others share, is not a test.

mod account;
mod branch;
mod catalog;
mod error;
mod figures;
mod fork;
mod fs;
mod json;
mod left;
mod load;
mod machine;
mod memory;
mod output;
mod peer;
mod peers;
mod programs;
mod runc;
mod start;
mod sustain;
mod tools;
mod volumes;

use crate::{
    error::Result,
    setup::{self, Need},
};

pub(crate) use error::BenchError;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// How long a confined start takes, against peers and the floor
    Start(start::Args),
    /// Sustained load for minutes: throughput, latency, what is left behind
    Sustain(sustain::Args),
    /// What work on a branch costs, against the same work on the directory itself, and peers
    Branch(branch::Args),
    /// How fast clones are forked, against a bare loop of fork(2) of a process with as much memory
    Fork(fork::Args),
    /// What the catalog of volumes costs, against SQLite, mkdir and fsync alone
    Catalog(catalog::Args),
    /// Filesystems served by FUSE: this project's, public ones, and what is beneath them, in turn
    Fs(fs::Args),
    /// ext4 disks, made by this project and by mke2fs in turn
    Volumes(volumes::Args),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    setup::ensure(&[Need::Build, Need::Dist, Need::Bench])?;
    match bench {
        Bench::Fs(args) => fs::run(args),
        Bench::Start(args) => start::run(args),
        Bench::Sustain(args) => sustain::run(args),
        Bench::Branch(args) => branch::run(args),
        Bench::Fork(args) => fork::run(args),
        Bench::Catalog(args) => catalog::run(args),
        Bench::Volumes(args) => volumes::run(args),
    }
}

/// As whom, when, and where the figures go: the same for every benchmark.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Measure as this user (root only); the current user otherwise
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Do not wait for the machine to become idle
    #[arg(long)]
    busy: bool,
    /// Also as JSON: to this file, or as the last line
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "how clap says: not given, given, given with a value"
    )]
    json: Option<Option<std::path::PathBuf>>,
}
