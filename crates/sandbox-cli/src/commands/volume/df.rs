//! `sandbox volume df`.

use std::process::ExitCode;
use std::time::Duration;

use sandbox::volume::{Usage, VolumeFilter, VolumeRecord};
use sandbox::{Span, VolumeName};
use serde::Serialize;

use super::backend;
use super::complete;
use super::shown::{ShownUsage, capacity, seconds, table};
use crate::commands::branch::age::ago;
use crate::error::CliError;
use crate::output::{print, print_json};

/// Say how much is in volumes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume df --age 10m")]
pub(super) struct Args {
    /// The volumes [default: all]
    #[arg(add = complete::name())]
    names: Vec<VolumeName>,
    /// What was counted so long ago will do [default: 0s, count now]
    #[arg(long, value_name = "SPAN")]
    age: Option<Span>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a VolumeName,
    #[serde(flatten)]
    usage: ShownUsage,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode, CliError> {
    let backend = backend().await?;
    let age = args.age.map_or(Duration::ZERO, Span::duration);
    let mut volumes = Vec::new();
    if args.names.is_empty() {
        volumes = backend.list(&VolumeFilter::all()).await?;
    }
    for name in &args.names {
        volumes.push(backend.get(name).await?);
    }
    let (mut measured, mut status) = (Vec::new(), ExitCode::SUCCESS);
    for volume in &volumes {
        match backend.usage(&volume.name, age).await {
            Ok(usage) => measured.push((volume, usage)),
            Err(error) => {
                CliError::from(error).print();
                status = ExitCode::FAILURE;
            }
        }
    }
    if args.json {
        let lines: Vec<_> = measured.iter().map(line).collect();
        return print_json(&lines, status);
    }
    let mut rows = vec![
        ["NAME", "USED", "INODES", "LIMIT", "COUNTED"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(measured.iter().map(row));
    print(&table(&rows), status)
}

fn line<'a>((volume, usage): &(&'a VolumeRecord, Usage)) -> Line<'a> {
    Line {
        name: &volume.name,
        usage: ShownUsage::of(*usage),
    }
}

fn row((volume, usage): &(&VolumeRecord, Usage)) -> Vec<String> {
    vec![
        volume.name.to_string(),
        usage.bytes.to_string(),
        usage.inodes.to_string(),
        capacity(volume.form),
        ago(seconds(usage.measured_at)),
    ]
}
