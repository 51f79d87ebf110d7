//! After a run on a branch: what the flags say for how it ended.

use std::ffi::OsString;

use sandbox::branch::{Branch, BranchError, CommitError, CommitOptions, LastRun, Meanwhile, ReviewOptions};
use sandbox::{ChangeSet, RelPath};

use super::Ended;
use super::args::RunArgs;
use super::branch_args::EndArg;
use super::branch_report::{BranchReport, What};
use super::on_branch::Session;
use super::signals;
use crate::commands::branch::review::{self, Decision, Purpose};
use crate::commands::branch::{self as commands, question, show_changes};
use crate::error::{CliError, SANDBOX_FAILED};
use crate::output::{note, tell};
use crate::workspace;

impl Session {
    /// Ends it; what has become of it, and a status where it is another than the command's own. An error is told
    /// there too: what the command has done is not less done for it.
    pub(crate) fn end(self, args: &RunArgs, ended: &Ended) -> (BranchReport, Option<u8>) {
        let mut report = self.report();
        let status = match self.end_with(args, ended, &mut report) {
            Ok(status) => status,
            // Somebody has come after this one had left: now it is for them.
            Err(CliError::Branch(BranchError::InUse { .. })) => others_go_on(&mut report),
            Err(error) => {
                error.print();
                report.error = Some(error.to_string());
                Some(SANDBOX_FAILED)
            }
        };
        (report, status)
    }

    fn end_with(
        self,
        args: &RunArgs,
        ended: &Ended,
        report: &mut BranchReport,
    ) -> Result<Option<u8>, CliError> {
        signals::release()?;
        if ended.goes_on {
            report.end = What::InUse;
            let name = &report.name;
            note(format_args!(
                "branch {name} is still in use by others, and is kept"
            ));
            return Ok(None);
        }
        let review = ReviewOptions {
            rules: workspace::rules(args.policy.profile.as_deref())?,
            ..ReviewOptions::default()
        };
        let mut end = End {
            report,
            review,
            is_described: args.output.json.is_some(),
            is_quiet: args.output.quiet,
        };
        let branch = self.into_branch();
        if args.branch.dry_run {
            return end.show_and_drop(branch);
        }
        match wanted(args, ended) {
            EndArg::Discard => end.discard(branch),
            wanted => {
                let branch = end.settle(branch, args, ended)?;
                match wanted {
                    EndArg::Commit => end.commit(branch),
                    EndArg::Ask => end.ask(branch),
                    _ => end.keep(&branch, args),
                }
            }
        }
    }
}

fn others_go_on(report: &mut BranchReport) -> Option<u8> {
    report.end = What::InUse;
    note(format_args!(
        "branch {} is still in use by others, and is kept",
        report.name
    ));
    None
}

/// What is done at the end, and what is told of it.
struct End<'a> {
    report: &'a mut BranchReport,
    review: ReviewOptions,
    /// All there is to know was asked for.
    is_described: bool,
    is_quiet: bool,
}

impl End<'_> {
    fn settle(&mut self, branch: Branch, args: &RunArgs, ended: &Ended) -> Result<Branch, CliError> {
        let is_told = !args.output.quiet || self.is_described;
        let settled = settle(branch, &args.command, ended, is_told)?;
        if !args.output.quiet {
            settled.tell();
        }
        self.report.base_changed = settled.meanwhile;
        Ok(settled.branch)
    }

    fn diff(&mut self, branch: &Branch) -> Result<ChangeSet, CliError> {
        let set = show_changes::of(branch, &self.review)?;
        self.report.describe(&set);
        Ok(set)
    }

    fn show_and_drop(mut self, branch: Branch) -> Result<Option<u8>, CliError> {
        self.report.base_changed = branch.changed_meanwhile()?;
        let set = self.diff(&branch)?;
        tell(if set.is_empty() {
            "nothing changed".to_owned()
        } else {
            show_changes::lines(&set).trim_end().to_owned()
        });
        if let Some(meanwhile) = &self.report.base_changed {
            tell_meanwhile(meanwhile);
        }
        self.report.changes = Some(set.changes);
        self.drop(branch)
    }

    /// Nobody has asked what is on it, unless they have asked for all there is to know.
    fn discard(mut self, branch: Branch) -> Result<Option<u8>, CliError> {
        if self.is_described {
            self.diff(&branch)?;
        }
        let name = branch.name().clone();
        let status = self.drop(branch)?;
        if !self.is_quiet {
            note(format_args!("branch {name} is discarded"));
        }
        Ok(status)
    }

    fn drop(&mut self, branch: Branch) -> Result<Option<u8>, CliError> {
        branch.discard()?;
        self.report.end = What::Discarded;
        Ok(None)
    }

    /// Keeps it, and says what is on it.
    fn keep(mut self, branch: &Branch, args: &RunArgs) -> Result<Option<u8>, CliError> {
        if args.output.quiet && !self.is_described {
            return Ok(None);
        }
        let set = self.diff(branch)?;
        if !args.output.quiet {
            let (name, summary) = (branch.name(), show_changes::summary(&set));
            note(format_args!(
                "branch {name}: {summary}; see: sandbox branch diff {name}"
            ));
        }
        Ok(None)
    }

    /// Commits it; what stands in the way is said, and the branch stays.
    fn commit(self, branch: Branch) -> Result<Option<u8>, CliError> {
        let options = CommitOptions {
            review: self.review.clone(),
            ..CommitOptions::default()
        };
        self.commit_with(branch, &options, true)
    }

    fn commit_with(
        mut self,
        branch: Branch,
        options: &CommitOptions,
        is_all: bool,
    ) -> Result<Option<u8>, CliError> {
        match commands::commit::commit(&branch, options) {
            Ok(commit) => {
                commands::commit::tell_of(&commit);
                self.report.committed(&commit);
                if is_all && commit.left_out.is_empty() {
                    branch.discard()?;
                    Ok(None)
                } else {
                    note(format_args!(
                        "branch {} is kept, with what was left out",
                        branch.name()
                    ));
                    Ok(None)
                }
            }
            Err(CommitError::Nothing) => {
                tell("nothing to commit");
                self.drop(branch)
            }
            Err(error) => {
                if self.is_described {
                    self.diff(&branch)?;
                }
                self.report.refused(&error);
                commands::commit::refused(error)?;
                note(format_args!("branch {} is kept", branch.name()));
                Ok(Some(commands::commit::NEEDS_A_DECISION))
            }
        }
    }

    /// Shows what changed, and asks what becomes of it.
    fn ask(mut self, branch: Branch) -> Result<Option<u8>, CliError> {
        let set = self.diff(&branch)?;
        let name = branch.name().clone();
        if set.is_empty() {
            tell(format_args!("branch {name}: nothing changed"));
            return self.drop(branch);
        }
        if review::has_screen() {
            let options = CommitOptions {
                review: self.review.clone(),
                ..CommitOptions::default()
            };
            return match review::ask(&branch, &set, Purpose::End, options)? {
                Decision::Commit { options, is_all } => self.commit_with(branch, &options, is_all),
                Decision::Discard => {
                    tell(format_args!("discarded {name}"));
                    self.drop(branch)
                }
                Decision::Keep => {
                    note(format_args!(
                        "branch {name} is kept; see: sandbox branch diff {name}"
                    ));
                    Ok(None)
                }
            };
        }
        tell(show_changes::lines(&set).trim_end());
        loop {
            match question(&format!("branch {name}: [c]ommit, [k]eep or [d]iscard? "))?.as_deref() {
                Some("c" | "commit") => return self.commit(branch),
                Some("d" | "discard") => return self.drop(branch),
                // The end of the input decides nothing.
                None | Some("k" | "keep") => {
                    note(format_args!("branch {name} is kept"));
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
    }
}

fn wanted(args: &RunArgs, ended: &Ended) -> EndArg {
    let asked = if ended.result.outcome.success() {
        args.branch.on_success
    } else {
        args.branch.on_failure
    };
    asked.unwrap_or(EndArg::Keep)
}

/// A branch with all that commands have written on the disk.
pub(crate) struct Settled {
    pub(crate) branch: Branch,
    /// What others have changed in the workspace while it was mounted.
    meanwhile: Option<Meanwhile>,
}

impl Settled {
    /// Says what others have changed, if anything.
    pub(crate) fn tell(&self) {
        if let Some(meanwhile) = &self.meanwhile {
            tell_meanwhile(meanwhile);
        }
    }
}

/// Puts on the disk what commands have written, and remembers the last of them. Looks for what others have changed in
/// the workspace meanwhile only where that is told: it takes a walk.
pub(crate) fn settle(
    mut branch: Branch,
    command: &[OsString],
    ended: &Ended,
    is_told: bool,
) -> Result<Settled, CliError> {
    let meanwhile = if is_told {
        branch.changed_meanwhile()?
    } else {
        None
    };
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let run = LastRun {
        ended: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        command: words.join(" ").chars().take(400).collect(),
        outcome: ended.result.outcome.to_string(),
    };
    match branch.settle(Some(run)) {
        // What the command has done is not less done for it.
        Err(BranchError::File(error)) => note(format_args!("this run will not be remembered: {error}")),
        result => result?,
    }
    Ok(Settled { branch, meanwhile })
}

fn tell_meanwhile(meanwhile: &Meanwhile) {
    const SHOWN: usize = 3;
    if meanwhile.count == 0 {
        return;
    }
    let named = |path: &RelPath| {
        if path.is_root() {
            ".".to_owned()
        } else {
            path.to_string()
        }
    };
    let mut texts: Vec<_> = meanwhile.paths.iter().take(SHOWN).map(named).collect();
    let more = meanwhile.count.saturating_sub(texts.len() as u64);
    if more > 0 {
        texts.push(format!("{} more", show_changes::thousands(more)));
    }
    note(format_args!(
        "the workspace was changed during the run: {}; what the command saw of that is not defined \
         (--snapshot copy freezes the workspace)",
        texts.join(", ")
    ));
}
