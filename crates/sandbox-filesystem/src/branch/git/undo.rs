//! Taking back what has arrived.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

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

/// Puts the references of the base's repository `git_dir` back to what they were before an import: all or none. One
/// that is back already is left alone; one that has been moved since is [`GitError::Moved`]. Objects stay until git
/// collects them.
pub(crate) fn undo(git_dir: &Path, moves: &[RefMove]) -> Result<(), GitError> {
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
            });
        }
        input.push_str(&match &one.before {
            Some(before) => format!("update {} {before} {}\n", one.name, one.after),
            None => format!("delete {} {}\n", one.name, one.after),
        });
    }
    update(git_dir, &input)
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
    update(git_dir, &input)?;
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

fn update(git_dir: &Path, input: &str) -> Result<(), GitError> {
    if input.is_empty() {
        return Ok(());
    }
    refuse_foreign(git_dir)?;
    let arguments = ["--no-deref", "--stdin"].map(OsStr::new);
    let git = Git::find()?;
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
