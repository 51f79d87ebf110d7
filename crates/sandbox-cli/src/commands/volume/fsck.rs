//! `sandbox volume fsck`.

use std::process::ExitCode;

use sandbox::volume::Repair;
use serde::Serialize;

use super::backend;
use super::shown::lines;
use crate::error::CliError;
use crate::output::{one_line, print, print_json};

/// Check that the catalog and the volumes agree, and mend it
///
/// Ends with status 0 when nothing is wrong, or nothing is any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume fsck
  $ sandbox volume fsck --repair")]
pub(super) struct Args {
    /// Mend what can be: a damaged catalog is set aside and made anew from the volumes
    #[arg(long)]
    repair: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    problems: Vec<String>,
    repaired: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode, CliError> {
    let backend = backend().await?;
    let repaired = if args.repair {
        said(&backend.repair().await?)
    } else {
        Vec::new()
    };
    let health = backend.check().await?;
    let problems: Vec<_> = health
        .problems
        .iter()
        .map(|problem| one_line(&problem.to_string()))
        .collect();
    let status = if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if args.json {
        return print_json(&Json { problems, repaired }, status);
    }
    let mut text = lines(repaired.iter().chain(&problems));
    text.push_str(&format!(
        "{} volumes, {} snapshots, {} problems\n",
        health.volumes,
        health.snapshots,
        problems.len()
    ));
    print(&text, status)
}

pub(super) fn said(repair: &Repair) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(path) = &repair.set_aside {
        lines.push(format!("the damaged catalog is {} now", path.display()));
    }
    lines.extend(
        repair
            .found
            .iter()
            .map(|name| format!("volume {name} is in the catalog again")),
    );
    lines.extend(
        repair
            .lost
            .iter()
            .map(|name| format!("volume {name} is gone, and struck out")),
    );
    for (count, what) in [
        (repair.found_snapshots, "snapshots are in the catalog again"),
        (repair.lost_snapshots, "snapshots are gone, and struck out"),
        (repair.manifests, "manifests are written anew"),
        (repair.dead_holders, "holders are gone, and struck out"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    lines
}
