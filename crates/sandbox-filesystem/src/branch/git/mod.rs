//! What a branch has done to git repositories: commits arrive in the base as `refs/sandbox/NAME/*`.
//!
//! A command that ran `git commit` on a branch has left objects, references, an index and perhaps hooks in the
//! branch's layers. Merging those file by file would ruin the base's repository, so they are not files to us:
//! [`Repositories::classify`] says which changed paths are git's own, [`pending`] and [`import`] carry the commits
//! over with git's own fetch, and the base's index, HEAD, working references and hooks stay what they are.
//!
//! **Nothing of a branch is believed.** Its references are read as text, its objects are linked one by one into a
//! bare repository of our own making, and what git then fetches from that is checked by git's fsck. No
//! configuration and no hook of a branch is ever seen by a git that we run. The base's own configuration is its
//! owner's; hooks are off all the same.
//!
//! **What arrives**, where it differs from the base's:
//!
//! | on the branch | in the base |
//! |---|---|
//! | `refs/heads/X` | `refs/sandbox/NAME/X` |
//! | `refs/tags/X` | `refs/sandbox/NAME/tags/X` |
//! | a detached `HEAD` with commits that no reference has | `refs/sandbox/NAME/HEAD` |
//! | the same, of another working tree | `refs/sandbox/NAME/worktrees/X/HEAD`, `…/main-worktree/HEAD` |
//!
//! A head whose name would collide with the lower rows (`tags/x`, `HEAD`) arrives beneath `refs/sandbox/NAME/heads/`.
//! A head that the base's own head of that name already contains has nothing to bring. Stashes, notes and remote
//! references stay on the branch; a stash is mentioned. References that were deleted on the branch stay in the base.
//!
//! Needs git 2.31 or later, found in PATH; without it [`GitError::NotInstalled`].

mod carry;
mod classify;
mod config;
mod error;
mod link;
mod locate;
mod named;
mod nested;
mod note;
mod object;
mod objects;
mod plan;
mod refname;
mod refs;
mod refvalue;
mod repository;
mod rules;
mod run;
mod scratch;
mod tracked;
mod trust;
mod undo;
mod weigh;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use carry::import;
pub(crate) use carry::{Arrivals, Prepared, pending, prepare};
pub(crate) use classify::{GitPath, Repositories};
pub use error::GitError;
#[cfg(test)]
pub(crate) use error::LocateError;
pub(crate) use locate::{Layout, locate};
pub(crate) use named::{Named, named, ways};
pub(crate) use nested::nested;
#[cfg(test)]
pub(crate) use note::Note;
pub(crate) use repository::Repository;
pub(crate) use run::is_installed;
#[cfg(test)]
pub(crate) use scratch::HAND_OVER_PREFIX;
pub(crate) use tracked::tracked;
#[cfg(test)]
pub(crate) use undo::forget;
pub(crate) use undo::{RefMove, Undoing, undo, undoing};
