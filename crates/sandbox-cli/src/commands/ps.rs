//! `sandbox ps`.

use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::{Alive, BranchName, alive};
use serde::Serialize;

use super::branch::age::spent;
use crate::error::CliError;
use crate::output::{note, one_line, print, print_json};

/// List sandboxes that are alive, with the branches that are mounted in them
///
/// PID is who waits for the sandbox: when it ends, so does everything in there. A sandbox without namespaces is listed
/// only while it uses a branch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  $ sandbox ps")]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry {
    pid: u32,
    /// The sandbox's init.
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    branches: Vec<Mounted>,
    /// What runs in it, each with its arguments.
    commands: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Mounted {
    name: BranchName,
    workspace: PathBuf,
}

impl From<Alive> for Entry {
    fn from(alive: Alive) -> Self {
        let pid = alive.pid();
        let mounted = |(workspace, name)| Mounted { name, workspace };
        let held = alive.holder.map(|holder| vec![holder.command]);
        Self {
            pid,
            init: alive.sandbox.as_ref().map(|sandbox| sandbox.init),
            age_seconds: alive.sandbox.as_ref().map(|sandbox| sandbox.age.as_secs()),
            branches: alive.branches.into_iter().map(mounted).collect(),
            commands: alive
                .sandbox
                .map_or_else(|| Vec::from_iter(held), |sandbox| sandbox.commands),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let alive = alive().map_err(|source| CliError::File {
        path: "/proc".into(),
        source,
    })?;
    let entries: Vec<Entry> = alive.into_iter().map(Entry::from).collect();
    if args.json {
        return print_json(&entries, ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        note("nothing runs");
        return Ok(ExitCode::SUCCESS);
    }
    print(&table(&entries), ExitCode::SUCCESS)
}

fn table(entries: &[Entry]) -> String {
    let mut rows = vec![["PID", "AGE", "BRANCH", "COMMAND"].map(str::to_owned)];
    rows.extend(entries.iter().map(row));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let [pid, age, branch] = [0, 1, 2].map(width);
    let lines = rows.iter().map(|[a, b, c, d]| {
        let line = format!("{a:<pid$}  {b:<age$}  {c:<branch$}  {d}");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn row(entry: &Entry) -> [String; 4] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let names: Vec<_> = entry
        .branches
        .iter()
        .map(|mounted| mounted.name.as_str())
        .collect();
    let commands: Vec<_> = entry.commands.iter().map(|words| words.join(" ")).collect();
    [
        entry.pid.to_string(),
        or_none(entry.age_seconds.map(spent).unwrap_or_default()),
        or_none(names.join(", ")),
        short(&one_line(&commands.join("; "))),
    ]
}

fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
