//! Taking back what has arrived.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

#[cfg(test)]
use sandbox_types::BranchName;
use sandbox_types::RelPath;
use serde::{Deserialize, Serialize};

use super::carry::refuse_foreign;
use super::error::GitError;
use super::object::{ObjectFormat, ObjectId};
use super::refname;
use super::refs::Refs;
use super::repository::base_format;
use super::run::Git;

/// A reference of the base that an import has made or moved. It is what a journal keeps of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefMove {
    /// Its name, beneath `refs/sandbox/`.
    pub(crate) name: String,
    /// What it was; none where it was not there.
    pub(crate) before: Option<String>,
    /// What it is now.
    pub(crate) after: String,
}

/// Puts the references of the base's repository `git_dir` back to what they were before an import: [`undoing`] and
/// [`Undoing::carry_out`] at once.
pub(crate) fn undo(git_dir: &Path, moves: &[RefMove]) -> Result<(), GitError> {
    undoing(git_dir, moves)?.carry_out()
}

/// References that can be put back.
#[derive(Debug)]
pub(crate) struct Undoing {
    git_dir: PathBuf,
    /// What git is to be told, and that git; none where all is back already.
    work: Option<(Git, String)>,
}

/// Looks whether the references of the base's repository `git_dir` can be put back to what they were before an import;
/// nothing is written.
///
/// One that is back already is left alone, as is a repository that is gone; one that has been moved since is
/// [`GitError::Moved`].
pub(crate) fn undoing(git_dir: &Path, moves: &[RefMove]) -> Result<Undoing, GitError> {
    let nothing = Undoing {
        git_dir: git_dir.to_owned(),
        work: None,
    };
    if !git_dir.is_dir() {
        return Ok(nothing);
    }
    let format = base_format(git_dir)?;
    let present = beneath(git_dir, format, "refs/sandbox/")?;
    let mut input = String::new();
    for one in moves {
        if !one.is_sound(format) {
            return Err(GitError::NotOurs(one.name.clone()));
        }
        let now = present.get(&one.name).map(ObjectId::as_str);
        if now == one.before.as_deref() {
            continue;
        }
        if now != Some(&one.after) {
            return Err(GitError::Moved {
                repository: git_dir.to_owned(),
                reference: one.name.clone(),
                was: one.after.clone(),
            });
        }
        input.push_str(&match &one.before {
            Some(before) => format!("update {} {before} {}\n", one.name, one.after),
            None => format!("delete {} {}\n", one.name, one.after),
        });
    }
    if input.is_empty() {
        return Ok(nothing);
    }
    refuse_foreign(git_dir)?;
    let work = Some((Git::find()?, input));
    Ok(Undoing { work, ..nothing })
}

impl Undoing {
    /// All of the references or none. Objects stay until git collects them.
    pub(crate) fn carry_out(self) -> Result<(), GitError> {
        match &self.work {
            Some((git, input)) => update(git, &self.git_dir, input),
            None => Ok(()),
        }
    }
}

/// Removes everything of the branch `name` from the base's repository `git_dir`, and says what it was: names and
/// commits.
#[cfg(test)]
pub(crate) fn forget(git_dir: &Path, name: &BranchName) -> Result<Vec<(String, String)>, GitError> {
    let gone = beneath(git_dir, base_format(git_dir)?, &refname::namespace(name))?;
    let mut input = String::new();
    for (name, id) in &gone {
        input.push_str(&format!(
            "delete {name} {id}
"
        ));
    }
    if !input.is_empty() {
        refuse_foreign(git_dir)?;
        update(&Git::find()?, git_dir, &input)?;
    }
    let gone = gone.into_iter();
    Ok(gone.map(|(name, id)| (name, id.as_str().to_owned())).collect())
}

fn beneath(
    git_dir: &Path,
    format: ObjectFormat,
    prefix: &str,
) -> Result<BTreeMap<String, ObjectId>, GitError> {
    Ok(Refs::of_base(git_dir, &RelPath::root(), format, &[prefix])?.values)
}

fn update(git: &Git, git_dir: &Path, input: &str) -> Result<(), GitError> {
    let arguments = ["--no-deref", "--stdin"].map(OsStr::new);
    git.run(git_dir, "update-ref", &arguments, input.as_bytes())
        .map(|_| ())
}

impl RefMove {
    /// Whether it can be given to git: a journal is a file, too.
    fn is_sound(&self, format: ObjectFormat) -> bool {
        let is_id = |id: &String| ObjectId::parse(id.as_bytes(), format).is_some();
        self.name.starts_with("refs/sandbox/")
            && refname::is_allowed(&self.name)
            && is_id(&self.after)
            && self.before.as_ref().is_none_or(is_id)
    }
}
