//! Asking about each change, where there is no screen.

use sandbox::branch::{Branch, CommitOptions};
use sandbox::{Change, ChangeSet};

use super::super::{question, show_changes};
use super::{Decision, commit, page};
use crate::error::CliError;
use crate::output::{harmless, tell};

/// What is answered about one change.
enum Answer {
    Yes,
    No,
    /// Yes to this one and the rest, held ones apart.
    Rest,
    /// No to this one and the rest.
    Done,
    Quit,
    Show,
    Help,
}

const HELP: &str = "\
  y  commit it            n  leave it out
  a  commit it and the rest that is neither held back nor in conflict
  d  leave it and the rest out
  s  show it              q  quit, and commit nothing
";

/// Goes through the changes.
pub(super) fn ask(branch: &Branch, set: &ChangeSet, options: CommitOptions) -> Result<Decision, CliError> {
    let texts = branch.texts()?;
    let mut chosen = Vec::new();
    let mut changes = set.changes.iter().enumerate();
    let total = set.changes.len();
    'changes: while let Some((index, change)) = changes.next() {
        loop {
            let answer = prompt(&format!(
                "{}[{}/{total}] commit this? [y,n,a,d,s,q,?] ",
                show_changes::line(change, 0, None),
                index + 1
            ))?;
            match answer {
                Answer::Yes => chosen.push(change.path.clone()),
                Answer::No => {}
                Answer::Rest => {
                    chosen.push(change.path.clone());
                    let rest = changes.filter(|(_, change)| is_harmless(change));
                    chosen.extend(rest.map(|(_, change)| change.path.clone()));
                    break 'changes;
                }
                Answer::Done => break 'changes,
                Answer::Quit => return Ok(Decision::Keep),
                Answer::Show => {
                    let patch = texts.patch(change)?;
                    if patch.is_empty() {
                        tell(format_args!("  {}", page::kind(change)));
                        continue;
                    }
                    tell(harmless(&String::from_utf8_lossy(&patch)).trim_end());
                    continue;
                }
                Answer::Help => {
                    tell(HELP.trim_end());
                    continue;
                }
            }
            continue 'changes;
        }
    }
    Ok(commit(set, chosen, options))
}

fn is_harmless(change: &Change) -> bool {
    change.hold.is_none() && change.conflict.is_none()
}

fn prompt(text: &str) -> Result<Answer, CliError> {
    loop {
        return Ok(match question(text)?.as_deref() {
            Some("y" | "yes") => Answer::Yes,
            Some("n" | "no") => Answer::No,
            Some("a") => Answer::Rest,
            Some("d") => Answer::Done,
            // The end of the input is no yes.
            None | Some("q") => Answer::Quit,
            Some("s") => Answer::Show,
            Some("?" | "h" | "help") => Answer::Help,
            Some(_) => continue,
        });
    }
}
