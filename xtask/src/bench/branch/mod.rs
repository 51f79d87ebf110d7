//! `cargo xtask bench branch`: what work on a branch costs, against the same work on the directory itself.
//!
//! Three questions: how long known workloads take on a branch, on plain directories and on peers' mounts; what
//! an empty branch adds to `sandbox run`; how long it takes to review and commit many files. All trees are made
//! by this program, in a directory of its own, and nothing needs a network.

mod changes;
mod dirty;
mod empty;
mod measure;
mod report;
mod site;
mod ways;
mod workloads;

use std::path::PathBuf;

use serde_json::json;

use self::{changes::Changes, empty::Empty, report::Report, site::Site};
use super::{
    Common, json,
    machine::{Machine, Quiet},
};
use crate::error::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// A tenth of everything: to see that it works, not for figures
    #[arg(long)]
    quick: bool,
    /// Where the trees and the branches are made; a file system on a disk says most
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
}

/// How much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    Quick,
}

impl Scale {
    fn of(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let scale = if args.quick { Scale::Quick } else { Scale::Full };
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let site = Site::new(args.common.user.as_deref(), &args.dir)?;
    let machine = Machine::look(site.account(), quiet);

    let report = Report::of(measure::all(&site, scale)?);
    let empty = Empty::measure(&site, scale)?;
    let changes = Changes::measure(&site, scale)?;

    println!();
    machine.print();
    println!("trees and branches on {}{}", site.file_system(), scale.note());
    report.print();
    empty.print();
    changes.print();
    let figures = json!({ "machine": machine.json(), "file_system": site.file_system(),
                          "quick": scale == Scale::Quick, "workloads": report.json(),
                          "empty_branch": empty.json(), "changes": changes.json() });
    json::write(args.common.json.as_ref(), &figures)?;
    empty.nothing_is_left()
}

impl Scale {
    fn note(self) -> &'static str {
        match self {
            Self::Full => "",
            Self::Quick => "; a tenth of the sizes: no figures to quote",
        }
    }
}
