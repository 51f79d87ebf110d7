//! `sandbox volume fsck`.

use std::process::ExitCode;

use sandbox::VolumeName;
use sandbox::volume::Repair;
use serde::Serialize;

use super::shown::lines;
use super::{backend, complete, volume};
use crate::error::CliError;
use crate::output::{note, one_line, print, print_json};

/// Check that the catalog and the volumes agree, and mend it
///
/// Ends with status 0 when nothing is wrong, or nothing is any more. Of the disks that are named the file systems are looked
/// at, too, which takes as long as there is in them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume fsck
  $ sandbox volume fsck --repair")]
pub(super) struct Args {
    /// Disks to look into
    #[arg(add = complete::name())]
    names: Vec<VolumeName>,
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
    let mut problems: Vec<_> = health
        .problems
        .iter()
        .map(|problem| one_line(&problem.to_string()))
        .collect();
    for name in &args.names {
        problems.extend(of_disk(name).await?);
    }
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

/// What is wrong with the file system of a disk. Mending it is for e2fsck.
async fn of_disk(name: &VolumeName) -> Result<Vec<String>, CliError> {
    let volume = volume(name).await?;
    let (fs, image) = (volume.fs()?, volume.disk_path()?);
    let Some(report) = fs.check()? else {
        note(format_args!(
            "{name} is a directory: its file system is the host's"
        ));
        return Ok(Vec::new());
    };
    if let Some(image) = image.filter(|_| !report.is_clean()) {
        note(format_args!(
            "{name} may be mended by: e2fsck -f {}",
            image.display()
        ));
    }
    let problems = report.problems.iter();
    Ok(problems
        .map(|problem| format!("volume {name}: {problem}"))
        .collect())
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
    lines.extend(
        repair
            .resized
            .iter()
            .map(|name| format!("volume {name} has the size that its disk has")),
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
