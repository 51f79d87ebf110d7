//! `sandbox volume list` and `show`.

use std::process::ExitCode;

use sandbox::volume::{Volume, VolumeFilter, VolumeRecord};
use sandbox::{Label, VolumeName};

use super::complete;
use super::shown::{Shown, access, capacity, lines, seconds, table};
use super::{backend, volume};
use crate::commands::branch::age::ago;
use crate::error::CliError;
use crate::output::{note, one_line, print, print_json};

/// List volumes, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume list
  $ sandbox volume list --label team=storage --json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Names only, one a line
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Which volumes are meant.
#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only those with this label; KEY alone means any value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Result<VolumeFilter, CliError> {
        let mut filter = VolumeFilter::all();
        for text in &self.label {
            filter = if text.contains('=') {
                let label: Label = text.parse().map_err(sandbox::volume::VolumeError::from)?;
                filter.label(label)
            } else {
                filter.key(text)
            };
        }
        Ok(filter)
    }
}

/// Show a volume, its snapshots and who uses it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume show data")]
pub(super) struct ShowArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(args: &ListArgs) -> Result<ExitCode, CliError> {
    let volumes = Volume::list_on(backend().await?, &args.filter.filter()?).await?;
    if args.json {
        let shown: Vec<_> = volumes
            .iter()
            .map(|volume| Shown::of(volume.record(), volume.path().ok()))
            .collect();
        return print_json(&shown, ExitCode::SUCCESS);
    }
    if args.quiet {
        let names = lines(volumes.iter().map(Volume::name));
        return print(&names, ExitCode::SUCCESS);
    }
    if volumes.is_empty() {
        note("there are no such volumes");
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        ["NAME", "KIND", "LIMIT", "CREATED", "LABELS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(volumes.iter().map(|volume| row(volume.record())));
    print(&table(&rows), ExitCode::SUCCESS)
}

fn row(volume: &VolumeRecord) -> Vec<String> {
    vec![
        volume.name.to_string(),
        volume.form.kind().name().to_owned(),
        capacity(volume.form),
        ago(seconds(volume.created_at)),
        labels(volume),
    ]
}

fn labels(volume: &VolumeRecord) -> String {
    let labels: Vec<_> = volume
        .labels
        .iter()
        .map(|label| one_line(&label.to_string()))
        .collect();
    labels.join(" ")
}

pub(super) async fn show(args: &ShowArgs) -> Result<ExitCode, CliError> {
    let volume = volume(&args.name).await?;
    let (snapshots, holders) = (volume.snapshots().await?, volume.holders().await?);
    let path = volume.path()?;
    if args.json {
        let shown = Shown::of(volume.record(), Some(path)).with(&snapshots, &holders);
        return print_json(&shown, ExitCode::SUCCESS);
    }
    let record = volume.record();
    let mut rows = vec![
        pair("name", record.name.to_string()),
        pair("kind", record.form.kind().name()),
        pair("limit", capacity(record.form)),
        pair("path", path.display().to_string()),
        pair("created", ago(seconds(record.created_at))),
        pair("labels", labels(record)),
    ];
    if let Some(usage) = record.usage {
        let counted = ago(seconds(usage.measured_at));
        rows.push(pair(
            "used",
            format!("{} in {} inodes, counted {counted}", usage.bytes, usage.inodes),
        ));
    }
    for snapshot in &snapshots {
        rows.push(pair(
            "snapshot",
            format!("{} ({})", snapshot.name, ago(seconds(snapshot.created_at))),
        ));
    }
    for holder in &holders {
        let at = holder.at.display();
        let what = access(holder.access);
        rows.push(pair(
            "used by",
            format!("{}, at {at} to {what}", one_line(&holder.to_string())),
        ));
    }
    print(&table(&rows), ExitCode::SUCCESS)
}

fn pair(title: &str, value: impl Into<String>) -> Vec<String> {
    vec![format!("{title}:"), value.into()]
}
