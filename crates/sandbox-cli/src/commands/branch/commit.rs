//! `sandbox branch commit`.

use std::process::ExitCode;

use sandbox::branch::{Branch, Commit, CommitError, CommitOptions, Held, ReviewOptions, Selection};
use sandbox::{BranchName, ConflictPolicy, Unsettled};
use serde::Serialize;

use super::review::{self, Decision, Purpose};
use super::show_changes;
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::{note, print, print_json, tell};
use crate::progress::Bar;
use crate::workspace::{RuleArgs, WorkspaceArgs};

/// Something is in the way: nothing was written, and flags say how to go on.
pub(crate) const NEEDS_A_DECISION: u8 = 3;

/// Put changes into the workspace
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All that is selected is committed, or nothing. A commit can be taken back with `sandbox branch undo`.
Status 3: changes are held back, or the workspace has changed too; nothing was written.

Examples:
  $ sandbox branch commit fix-42 --skip-held
  $ sandbox branch commit fix-42 src '*.md'
  $ sandbox branch commit fix-42 --accept '.git/hooks/*'
  $ sandbox branch commit fix-42 --interactive")]
pub(crate) struct Args {
    /// The branch
    pub(crate) name: BranchName,
    #[command(flatten)]
    pub(crate) what: CommitArgs,
    /// Ask about each change
    #[arg(short, long, conflicts_with_all = ["accept", "accept_all", "skip_held", "paths"])]
    interactive: bool,
    /// Say what would be committed, and leave it
    #[arg(long)]
    dry_run: bool,
    /// Drop the branch afterwards
    #[arg(long)]
    discard: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What is committed.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CommitArgs {
    /// Only what matches: a name anywhere, a path, or a pattern with * and **; git commits stay on the branch then
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Commit held changes that match, or that a rule holds: rule:NAME
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["skip_held", "accept_all"])]
    accept: Vec<String>,
    /// Commit held changes
    #[arg(long, conflicts_with = "skip_held")]
    accept_all: bool,
    /// Leave held changes out
    #[arg(long)]
    skip_held: bool,
    /// What to do where the workspace has changed too [default: abort]
    #[arg(long, value_name = "abort|ours|theirs|both|text")]
    on_conflict: Option<ConflictPolicy>,
    #[command(flatten)]
    rules: RuleArgs,
}

impl CommitArgs {
    pub(crate) fn options(&self) -> Result<CommitOptions, CliError> {
        Ok(CommitOptions {
            review: self.rules.options()?,
            selection: Selection::of(&self.paths)?,
            held: if self.accept_all {
                Held::AcceptAll
            } else if self.skip_held {
                Held::Skip
            } else if self.accept.is_empty() {
                Held::Refuse
            } else {
                Held::Accept(self.accept.clone())
            },
            conflicts: self.on_conflict.unwrap_or_default(),
        })
    }
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let branch = workspace.branch(&args.name)?;
    let mut options = args.what.options()?;
    if args.dry_run {
        let mut set = show_changes::of(&branch, &options.review)?;
        let paths = options.selection.unmatched(&set)?;
        if !paths.is_empty() {
            return Err(CommitError::NoSuchChange { paths }.into());
        }
        set.changes.retain(|change| options.selection.takes(change));
        if args.json {
            return print_json(&set, ExitCode::SUCCESS);
        }
        return print(&show_changes::lines(&set), ExitCode::SUCCESS);
    }
    if args.interactive {
        let set = show_changes::of(&branch, &options.review)?;
        if set.changes.is_empty() {
            tell("nothing to commit");
            return Ok(ExitCode::SUCCESS);
        }
        match review::ask(&branch, &set, Purpose::Commit, options)? {
            Decision::Commit { options: chosen, .. } => options = chosen,
            Decision::Keep | Decision::Discard => {
                tell("nothing committed");
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    match commit(&branch, &options) {
        Ok(mut commit) if args.json => {
            commit.notes.extend(drop_after(args, branch)?);
            print_json(&Committed::of(&commit), ExitCode::SUCCESS)
        }
        Ok(commit) => {
            tell_of(&commit);
            drop_after(args, branch)?.into_iter().for_each(note);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refused(error),
    }
}

/// Commits, with a bar.
pub(crate) fn commit(branch: &Branch, options: &CommitOptions) -> Result<Commit, CommitError> {
    let _guard = Guard::writing(branch.workspace());
    let mut bar = Bar::new();
    branch.commit_with(options, &mut |progress| bar.show(progress))
}

/// Says what was committed.
pub(crate) fn tell_of(commit: &Commit) {
    let changes = show_changes::changes(commit.changes.len());
    for one in &commit.git {
        tell(show_changes::arrival(one));
    }
    for path in &commit.left_out {
        tell(format_args!("left out: {path}"));
    }
    commit.notes.iter().for_each(note);
    let id = commit.id;
    tell(format_args!(
        "committed {id} ({changes}); undo: sandbox branch undo {id}"
    ));
}

/// Says why nothing was committed.
pub(crate) fn refused(error: CommitError) -> Result<ExitCode, CliError> {
    let needs_a_decision = matches!(
        error,
        CommitError::Held { .. } | CommitError::Conflicts { .. } | CommitError::Interrupted(_)
    );
    match &error {
        CommitError::Nothing => {
            tell("nothing to commit");
            return Ok(ExitCode::SUCCESS);
        }
        CommitError::Held { held } => {
            for (path, hold) in held {
                tell(format_args!("HELD {path}  {}: {}", hold.rule, hold.why));
            }
        }
        CommitError::Conflicts { conflicts, unsettled } => {
            for (path, change) in conflicts {
                tell(format_args!("CONFLICT {path}  {}", show_changes::said(*change)));
            }
            for (path, why) in unsettled.iter().filter(|(_, why)| *why != Unsettled::Policy) {
                tell(format_args!("not settled: {path}  {why}"));
            }
        }
        _ => {}
    }
    if needs_a_decision {
        CliError::from(error).print();
        return Ok(ExitCode::from(NEEDS_A_DECISION));
    }
    Err(error.into())
}

/// Drops the branch where that was asked for; what went with it that is not in the workspace.
fn drop_after(args: &Args, branch: Branch) -> Result<Option<String>, CliError> {
    if !args.discard {
        return Ok(None);
    }
    let left = show_changes::of(&branch, &ReviewOptions::default())?;
    branch.discard()?;
    if !args.json {
        tell(format_args!("discarded {}", args.name));
    }
    let summary = show_changes::summary(&left);
    Ok((!left.changes.is_empty() || !left.git.is_empty())
        .then(|| format!("dropped without being committed: {summary}")))
}

#[derive(Serialize)]
struct Committed<'a> {
    id: String,
    changes: &'a [sandbox::Change],
    git: &'a [sandbox::GitRef],
    left_out: &'a [sandbox::RelPath],
    notes: &'a [String],
}

impl<'a> Committed<'a> {
    fn of(commit: &'a Commit) -> Self {
        Self {
            id: commit.id.to_string(),
            changes: &commit.changes,
            git: &commit.git,
            left_out: &commit.left_out,
            notes: &commit.notes,
        }
    }
}
