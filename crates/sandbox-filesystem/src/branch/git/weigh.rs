//! What each candidate would bring, by git's own count.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use super::carry::Arrivals;
use super::error::GitError;
use super::note::Note;
use super::object::ObjectId;
use super::plan::{Candidate, Kind};
use super::repository::Repository;
use super::run::Git;

/// Looks at candidates' objects, and keeps those that bring something.
pub(super) struct Weigher<'a> {
    pub(super) git: &'a Git,
    pub(super) from: &'a Path,
    /// What the base's references stand for.
    pub(super) known: BTreeSet<ObjectId>,
}

impl Weigher<'_> {
    pub(super) fn weigh(
        &self,
        repository: &Repository<'_>,
        candidates: Vec<Candidate>,
        arrivals: &mut Arrivals,
    ) -> Result<(), GitError> {
        let kinds = self.kinds(&candidates)?;
        let mut heads = BTreeSet::new();
        for candidate in candidates {
            let kind = kinds.get(&candidate.id).map_or("", String::as_str);
            let reference = candidate.from.clone();
            if kind.is_empty() {
                arrivals.notes.push(Note::Incomplete { reference });
            } else if candidate.kind != Kind::Tag && kind != "commit" {
                let kind = kind.to_owned();
                arrivals.notes.push(Note::NotACommit { reference, kind });
            } else {
                match self.commits(&candidate, kind, &heads) {
                    Ok(Some(commits)) => {
                        heads.insert(candidate.id.clone());
                        arrivals.push(repository, candidate, commits);
                    }
                    Ok(None) => {}
                    // Of one reference something is missing: that is no reason to lose the others.
                    Err(GitError::Failed { .. }) => arrivals.notes.push(Note::Incomplete { reference }),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// What kind of object each is; none for what neither the branch nor the base has.
    fn kinds(&self, candidates: &[Candidate]) -> Result<BTreeMap<ObjectId, String>, GitError> {
        let ids: BTreeSet<&ObjectId> = candidates.iter().map(|candidate| &candidate.id).collect();
        let input: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let input = format!("{}\n", input.join("\n"));
        let format = OsStr::new("--batch-check=%(objecttype)");
        let answer = self.git.run(self.from, "cat-file", &[format], input.as_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        let kinds = ids.into_iter().zip(answer.lines());
        Ok(kinds
            .filter(|(_, kind)| matches!(*kind, "commit" | "tag" | "tree" | "blob"))
            .map(|(id, kind)| (id.clone(), kind.to_owned()))
            .collect())
    }

    /// How many commits the base does not have; none where `candidate` brings nothing.
    fn commits(
        &self,
        candidate: &Candidate,
        kind: &str,
        heads: &BTreeSet<ObjectId>,
    ) -> Result<Option<u64>, GitError> {
        if matches!(kind, "tree" | "blob") {
            return Ok(Some(0));
        }
        let count = self.count(&candidate.id, self.known.iter())?;
        let brings = match (candidate.kind, &candidate.base) {
            _ if count > 0 && candidate.kind != Kind::Detached => true,
            (Kind::Tag, _) | (Kind::Head, None) => true,
            // Where the base's own head has all of it, the base has moved on, or the branch was set back.
            (Kind::Head, Some(base)) => self.count(&candidate.id, [base])? > 0,
            (Kind::Detached, _) => self.count(&candidate.id, self.known.iter().chain(heads))? > 0,
        };
        Ok(brings.then_some(count))
    }

    fn count<'b>(
        &self,
        id: &ObjectId,
        without: impl IntoIterator<Item = &'b ObjectId>,
    ) -> Result<u64, GitError> {
        let mut input = format!("{id}\n");
        for known in without {
            input.push_str(&format!("^{known}\n"));
        }
        let arguments = ["--count", "--ignore-missing", "--stdin"].map(OsStr::new);
        let answer = self
            .git
            .run(self.from, "rev-list", &arguments, input.as_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        answer.trim().parse().map_err(|_| GitError::Answer {
            command: "rev-list",
            answer: answer.trim().to_owned(),
        })
    }
}
