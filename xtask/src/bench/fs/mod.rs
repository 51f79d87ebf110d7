//! `cargo xtask bench fs`: filesystems served by FUSE, against public ones and against what is beneath them.
//!
//! Every contestant of `contestants` is mounted in turn, in each round another one first, and does every step of `steps`:
//! names and attributes, listings, data, programs, by one client and by several at once. What is reported are ratios to
//! the file system itself, in the same round, and what is promised of ours against the best peer. It needs root: it
//! makes an ext4 in memory, mounts, and makes mounts forget what they know.

mod apart;
mod contestants;
mod ground;
mod layers;
mod measure;
mod mounted;
mod peers;
mod report;
mod scaling;
mod steps;

use std::path::PathBuf;

use serde_json::json;

use self::{contestants::Contestant, ground::Ground, layers::Layers, report::Report, scaling::Scaling};
use super::{
    Common,
    account::Account,
    json,
    machine::{Machine, Quiet},
};
use crate::{error::Result, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How often each contestant does everything
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A tenth of everything: to see that it works, not for figures
    #[arg(long)]
    quick: bool,
    /// Only contestants whose name contains one of these; the file systems themselves always
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    only: Vec<String>,
    /// Only steps whose name contains one of these
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    steps: Vec<String>,
    /// A built `serve` (an example of sandbox-filesystem) to measure, instead of building it
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Without depth, a million inodes, layers, and memory
    #[arg(long)]
    no_scaling: bool,
}

/// How much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    Quick,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if !workspace::is_root() {
        return Err(super::BenchError::NeedsRoot {
            what: "bench fs, which mounts",
        }
        .into());
    }
    let Some(server) = args.server.as_ref().filter(|_| apart::is_apart()) else {
        peers::ensure();
        return match &args.server {
            Some(_) => apart::again(&[]),
            None => apart::again(&["--server".as_ref(), peers::build_server()?.as_os_str()]),
        };
    };
    let scale = if args.quick { Scale::Quick } else { Scale::Full };
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let ground = Ground::new(scale, server)?;
    let machine = Machine::look(&Account::find(None)?, quiet);
    let contestants: Vec<&Contestant> = contestants::ALL
        .iter()
        .filter(|contestant| wanted(contestant, &args.only))
        .collect();
    let report = Report::of(measure::all(&ground, &contestants, &args.steps, args.rounds)?);
    let scaling = if args.no_scaling {
        None
    } else {
        Some((
            Scaling::measure(&ground, scale)?,
            Layers::measure(&ground, scale)?,
        ))
    };

    println!();
    machine.print();
    if scale == Scale::Quick {
        println!("a tenth of the sizes: no figures to quote");
    }
    report.print();
    if let Some((scaling, layers)) = &scaling {
        scaling.print();
        layers.print();
    }
    let figures = json!({ "machine": machine.json(), "quick": scale == Scale::Quick, "rounds": args.rounds,
                          "steps": report.json(), "scaling": scaling.as_ref().map(|(scaling, _)| scaling.json()),
                          "layers": scaling.as_ref().map(|(_, layers)| layers.json()) });
    json::write(args.common.json.as_ref(), &figures)
}

fn wanted(contestant: &Contestant, only: &[String]) -> bool {
    contestant.role == contestants::Role::Native
        || only.is_empty()
        || only.iter().any(|text| contestant.name.contains(text.as_str()))
}
