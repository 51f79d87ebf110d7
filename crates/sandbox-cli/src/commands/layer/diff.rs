//! `sandbox layer diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::NodeKind;
use sandbox::oci::{LayerChange, LayerChangeKind, layer_changes};

use super::values::{OwnersValue, owners};
use crate::error::CliError;
use crate::output::{print, print_json};

/// List what the upper directory of an overlay changes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line is a letter and a path: A added, M modified, D deleted, R a directory that shows nothing of what is beneath it \
any more. Directories end in a slash. Without --layer everything in the directory counts as added.

Examples:
  $ sandbox layer diff upper --layer layers/sha256-….real/tree
  $ sandbox layer diff upper --json")]
pub(super) struct Args {
    /// The upper directory
    #[arg(value_name = "UPPER", value_hint = ValueHint::DirPath)]
    upper: PathBuf,
    /// A layer beneath, the bottom one first; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    layer: Vec<PathBuf>,
    /// Where owner, group and mode of files are kept [default: real for root, else virtual]
    #[arg(long, value_enum)]
    owners: Option<OwnersValue>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let changes = layer_changes(&args.upper, &args.layer, owners(args.owners))?;
    if args.json {
        return print_json(&changes, ExitCode::SUCCESS);
    }
    let lines: String = changes.iter().map(line).collect();
    print(&lines, ExitCode::SUCCESS)
}

fn line(change: &LayerChange) -> String {
    let letter = match change.change {
        LayerChangeKind::Added => 'A',
        LayerChangeKind::Modified => 'M',
        LayerChangeKind::Removed => 'D',
        LayerChangeKind::Replaced => 'R',
        _ => '?',
    };
    let slash = if change.kind == Some(NodeKind::Directory) {
        "/"
    } else {
        ""
    };
    format!("{letter} {}{slash}\n", change.path)
}
