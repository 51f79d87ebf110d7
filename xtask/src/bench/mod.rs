//! `cargo xtask bench`: this program and its peers, in turn, in one run.

use crate::{
    error::{Error, Result},
    setup::{self, Need},
};

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// How long a confined start takes, against peers and the floor
    Start,
    /// Sustained load for minutes: throughput, latency, what is left behind
    Sustain,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    setup::ensure(&[Need::Build, Need::Bench])?;
    match bench {
        Bench::Start => Err(Error::NoBenchmark { name: "start" }),
        Bench::Sustain => Err(Error::NoBenchmark { name: "sustain" }),
    }
}
