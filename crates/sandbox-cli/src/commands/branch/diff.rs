//! `sandbox branch diff`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use sandbox::branch::Branch;
use sandbox::{BranchName, Change, ChangeSet};

use super::show_changes;
use crate::error::CliError;
use crate::output::{harmless, print, print_bytes, print_json};
use crate::workspace::{RuleArgs, WorkspaceArgs};

/// Show what was changed on a branch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Letters: A added, M modified, D deleted, R renamed, T of another type. HELD: not committed unless accepted.
CONFLICT: changed in the workspace too since the branch was made.

Examples:
  $ sandbox branch diff fix-42 --stat
  $ sandbox branch diff fix-42 --patch > fix.patch && git apply --check fix.patch
  $ sandbox branch diff fix-42 --json | jq '.changes[].path'")]
pub(super) struct Args {
    /// The branch
    name: BranchName,
    /// Only what matches: a name anywhere, a path, or a pattern with * and **
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// One line a path, with counted lines
    #[arg(long, group = "form")]
    stat: bool,
    /// One path a line, and nothing else
    #[arg(long, group = "form")]
    name_only: bool,
    /// As a patch that `git apply` takes
    #[arg(short, long, group = "form")]
    patch: bool,
    /// As JSON
    #[arg(long, group = "form")]
    json: bool,
    #[command(flatten)]
    rules: RuleArgs,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let branch = workspace.branch(&args.name)?;
    let options = args.rules.options()?;
    let mut set = show_changes::of(&branch, &options)?;
    narrow(&mut set, &args.paths)?;
    if args.json {
        return print_json(&set, ExitCode::SUCCESS);
    }
    if args.name_only {
        return print(&names(&set), ExitCode::SUCCESS);
    }
    if args.patch {
        return patch(&branch, &set);
    }
    let texts = branch.texts()?;
    let counted = |change: &Change| show_changes::counted(&texts, change);
    let text = if args.stat {
        show_changes::with_counts(&set, &counted)
    } else {
        show_changes::lines(&set)
    };
    print(&text, ExitCode::SUCCESS)
}

/// To a terminal without what could steer it, elsewhere byte by byte.
fn patch(branch: &Branch, set: &ChangeSet) -> Result<ExitCode, CliError> {
    let mut bytes = Vec::new();
    branch.texts()?.write_patches(set, &mut bytes)?;
    if io::stdout().is_terminal() {
        return print(&harmless(&String::from_utf8_lossy(&bytes)), ExitCode::SUCCESS);
    }
    print_bytes(&bytes, ExitCode::SUCCESS)
}

/// Leaves what the caller has named.
fn narrow(set: &mut ChangeSet, paths: &[String]) -> Result<(), CliError> {
    if paths.is_empty() {
        return Ok(());
    }
    let selection = sandbox::branch::Selection::of(paths)?;
    set.changes.retain(|change| selection.has(&change.path));
    set.ignored.retain(|ignored| selection.has(&ignored.path));
    Ok(())
}

fn names(set: &ChangeSet) -> String {
    let mut text = String::new();
    for change in &set.changes {
        text.push_str(&format!("{}\n", change.path));
    }
    text
}
