//! `sandbox branch list`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sandbox::BranchName;
use sandbox::branch::{Branch, BranchError, LastRun, Use, Workspace};
use serde::Serialize;

use super::age::ago;
use crate::error::CliError;
use crate::output::{note, one_line, print, print_json};
use crate::workspace::WorkspaceArgs;

/// List the branches of the workspace
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of every workspace in the state directory, also of those that are gone
    #[arg(short, long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a BranchName,
    workspace: &'a Path,
    /// The workspace's directory is where it was.
    is_there: bool,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a BranchName>,
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<&'a LastRun>,
    /// The process that uses it; 0 where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<u32>,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let workspaces = if args.all {
        Workspace::all()?
    } else {
        vec![workspace.open_kept()?]
    };
    let mut branches = Vec::new();
    let mut damaged = Vec::new();
    for workspace in &workspaces {
        for branch in workspace.list()? {
            match branch {
                Ok(branch) => branches.push(branch),
                Err(error) => damaged.push(error),
            }
        }
    }
    let is_damaged = !damaged.is_empty();
    let status = if is_damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    for error in damaged {
        CliError::from(error).print();
    }
    let entries = branches.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    if args.json {
        return print_json(&entries, status);
    }
    if entries.is_empty() && !is_damaged {
        let of: Vec<PathBuf> = workspaces
            .iter()
            .map(|workspace| workspace.base().to_owned())
            .collect();
        match of.as_slice() {
            [base] => note(format_args!("{} has no branches", base.display())),
            _ => note("there are no branches"),
        }
    }
    if let Some(gone) = entries.iter().find(|entry| !entry.is_there) {
        let base = gone.workspace.display();
        note(format_args!(
            "{base} is not there; where it is now: sandbox branch attach {base}"
        ));
    }
    print(&table(&entries, args.all), status)
}

fn entry(branch: &Branch) -> Result<Entry<'_>, BranchError> {
    Ok(Entry {
        name: branch.name(),
        workspace: branch.workspace().base(),
        is_there: branch.workspace().is_there(),
        mode: branch.mode().name(),
        parent: branch.parent(),
        created: branch.created(),
        last_run: branch.last_run(),
        used_by: match branch.in_use()? {
            Use::Free => None,
            Use::By(holder) => Some(holder.map_or(0, |holder| holder.pid)),
        },
    })
}

fn table(entries: &[Entry<'_>], with_workspace: bool) -> String {
    let width = entries
        .iter()
        .map(|entry| entry.name.as_str().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for entry in entries {
        let mut line = format!(
            "{:<width$}  {:<6}  {:<12}",
            entry.name.as_str(),
            entry.mode,
            ago(entry.created)
        );
        if let Some(parent) = entry.parent {
            line.push_str(&format!("  from {parent}"));
        }
        match (entry.used_by, entry.last_run) {
            (Some(0), _) => line.push_str("  in use"),
            (Some(pid), _) => line.push_str(&format!("  in use by process {pid}")),
            (None, Some(run)) => {
                line.push_str(&format!("  {}: {}", run.outcome, one_line(&short(&run.command))));
            }
            (None, None) => {}
        }
        if with_workspace {
            line.push_str(&format!("  {}", entry.workspace.display()));
            if !entry.is_there {
                line.push_str("  (gone)");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The beginning of the first line of a command.
fn short(command: &str) -> String {
    const MOST: usize = 60;
    let line = command.lines().next().unwrap_or_default();
    if line.chars().count() <= MOST && line == command {
        return line.to_owned();
    }
    let beginning: String = line.chars().take(MOST).collect();
    format!("{beginning}…")
}
