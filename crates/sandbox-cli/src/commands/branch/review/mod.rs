//! Choosing among changes: `sandbox branch commit --interactive`, and `ask` at the end of a run.
//!
//! On a terminal it is a screen: a list to choose from, each change with its difference. Elsewhere, and on a terminal
//! that cannot move its cursor, it is a question for each change.

mod keys;
mod model;
mod page;
mod prompt;
mod screen;
mod terminal;

use std::io::{IsTerminal, stderr, stdin};

use sandbox::branch::{Branch, CommitOptions, Held, Selection};
use sandbox::{ChangeSet, ConflictPolicy, RelPath};

pub(crate) use self::model::Purpose;
use self::model::{Model, Step};
use self::screen::Screen;
use crate::error::CliError;

/// What was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Commit these.
    Commit {
        /// With these chosen.
        options: CommitOptions,
        /// Nothing was left out.
        is_all: bool,
    },
    /// Leave everything as it is.
    Keep,
    /// Drop the branch.
    Discard,
}

/// Whether there is a terminal to show a screen on.
pub(crate) fn has_screen() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb");
    stdin().is_terminal() && stderr().is_terminal() && !is_dumb
}

/// Lets the user choose what of `set` is committed.
pub(crate) fn ask(
    branch: &Branch,
    set: &ChangeSet,
    purpose: Purpose,
    options: CommitOptions,
) -> Result<Decision, CliError> {
    if !has_screen() {
        return prompt::ask(branch, set, options);
    }
    let mut model = Model::new(set, purpose);
    let texts = branch.texts()?;
    let mut screen = Screen::open(branch, set, &texts)?;
    loop {
        let key = screen.show(&mut model)?;
        match model.press(key) {
            Step::Again => {}
            Step::Commit => break,
            Step::Keep => return Ok(Decision::Keep),
            Step::Discard => return Ok(Decision::Discard),
        }
    }
    drop(screen);
    let chosen = set.changes.iter().zip(model.chosen());
    let chosen = chosen.filter(|(_, is_chosen)| **is_chosen);
    Ok(commit(
        set,
        chosen.map(|(change, _)| change.path.clone()).collect(),
        options,
    ))
}

/// Each of `paths` was shown as what it is, and chosen. All that there is includes what arrives by git.
fn commit(set: &ChangeSet, paths: Vec<RelPath>, options: CommitOptions) -> Decision {
    let is_all = paths.len() == set.changes.len();
    Decision::Commit {
        options: CommitOptions {
            selection: if is_all {
                Selection::default()
            } else {
                Selection::exactly(paths)
            },
            held: Held::AcceptAll,
            conflicts: ConflictPolicy::Ours,
            ..options
        },
        is_all,
    }
}
