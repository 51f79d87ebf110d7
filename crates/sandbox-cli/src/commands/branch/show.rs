//! `sandbox branch show`.

use std::process::ExitCode;

use sandbox::branch::{Branch, CommitInfo, LastRun, Use};
use sandbox::{BranchName, ByteSize};
use serde::Serialize;

use super::age::ago;
use super::show_changes;
use crate::error::CliError;
use crate::output::{one_line, print, print_json};
use crate::workspace::WorkspaceArgs;

/// Say what a branch is: where, how, since when, what was run on it and committed from it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The branch
    name: BranchName,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Facts<'a> {
    name: &'a BranchName,
    workspace: &'a std::path::Path,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a BranchName>,
    created: u64,
    disk_usage: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<&'a LastRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<u32>,
    changes: String,
    commits: Vec<CommitInfo>,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let branch = workspace.branch(&args.name)?;
    let facts = facts(&branch)?;
    if args.json {
        return print_json(&facts, ExitCode::SUCCESS);
    }
    print(&text(&facts), ExitCode::SUCCESS)
}

fn facts(branch: &Branch) -> Result<Facts<'_>, CliError> {
    Ok(Facts {
        name: branch.name(),
        workspace: branch.workspace().base(),
        mode: branch.mode().name(),
        parent: branch.parent(),
        created: branch.created(),
        disk_usage: branch.disk_usage(),
        last_run: branch.last_run(),
        used_by: match branch.in_use()? {
            Use::Free => None,
            Use::By(holder) => Some(holder.map_or(0, |holder| holder.pid)),
        },
        changes: show_changes::summary(&branch.diff()?),
        commits: branch.commits()?,
    })
}

fn text(facts: &Facts<'_>) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: String| text.push_str(&format!("{title:<10} {value}\n"));
    line("branch", facts.name.to_string());
    line("workspace", facts.workspace.display().to_string());
    line("mode", facts.mode.to_owned());
    if let Some(parent) = facts.parent {
        line("from", parent.to_string());
    }
    line("made", ago(facts.created));
    line("size", ByteSize::from_bytes(facts.disk_usage).to_string());
    if let Some(run) = facts.last_run {
        line(
            "last run",
            format!("{} ({}, {})", one_line(&run.command), run.outcome, ago(run.ended)),
        );
    }
    if let Some(pid) = facts.used_by {
        line("in use", format!("by process {pid}"));
    }
    line("changes", facts.changes.clone());
    for commit in &facts.commits {
        line(
            &commit.id.to_string(),
            format!(
                "{}, {}, {}",
                show_changes::changes(commit.changes),
                ago(commit.created),
                commit.status
            ),
        );
    }
    text
}
