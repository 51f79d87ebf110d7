//! `sandbox gc`.

use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::gc::{Kind, leftovers};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{print, print_json, tell};

/// Remove what a killed run left behind; normally nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  $ sandbox gc --dry-run\n  0 cgroups, 0 directories")]
pub(crate) struct Args {
    /// Say what would be removed, and leave it
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found {
    kind: &'static str,
    paths: Vec<PathBuf>,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

const CGROUP: &str = "cgroup";
const DIRECTORY: &str = "directory";

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cgroup => CGROUP,
        _ => DIRECTORY,
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut found = Vec::new();
    for leftover in leftovers()? {
        let (kind, paths) = (name(leftover.kind()), leftover.paths().to_vec());
        let error = if args.dry_run {
            None
        } else {
            leftover.remove().err().map(|error| error.to_string())
        };
        found.push(Found {
            kind,
            paths,
            removed: !args.dry_run && error.is_none(),
            error,
        });
    }
    let is_clean = found.iter().all(|found| found.error.is_none());
    let status = if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if args.json {
        print_json(&found, status)
    } else {
        print(&text(&found), status)
    }
}

fn text(found: &[Found]) -> String {
    let mut text = String::new();
    for entry in found {
        let paths: Vec<_> = entry
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        text.push_str(&format!("{}\n", paths.join(" ")));
        if let Some(error) = &entry.error {
            let paths = paths.join(" ");
            // What says where it is need not be told again.
            if error.starts_with(&paths) {
                tell(format_args!("sandbox: {error}"));
            } else {
                tell(format_args!("sandbox: {paths}: {error}"));
            }
        }
    }
    let count = |kind| found.iter().filter(|found| found.kind == kind).count();
    text.push_str(&format!(
        "{} cgroups, {} directories\n",
        count(CGROUP),
        count(DIRECTORY)
    ));
    text
}
