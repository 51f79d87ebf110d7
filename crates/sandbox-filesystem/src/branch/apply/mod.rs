//! The one way in which a base is written: commit, undo, and recovery from a crash in either.
//!
//! An [`ApplyPlan`] says for each path what must be there before and what will be there after. [`apply`] stages all
//! new content on the base's file system, keeps the old, puts both on the disk, looks once more whether the base is
//! what the plan expects, and then only renames, makes and removes directories, and sets attributes. A journal
//! says how far it has come, so that [`recover`] goes forward or back from wherever it was killed; [`undo`] takes
//! the base to the other side of the same plan.
//!
//! It guarantees:
//! - all or nothing; nothing that somebody else has put there is overwritten or lost, also when it is put there
//!   while the plan is applied: what leaves the base is looked at again, and goes back if it is something else;
//! - no link in the base is followed (`beneath`), and no inode is shared between a base and a layer;
//! - undo restores content, attributes, links and times; it cannot restore ctimes, and inode numbers of directories.
//!
//! It does not look for conflicts with what a branch was made from: that is the business of who selects changes.

mod changes;
mod check;
mod commit;
mod crash;
mod engine;
mod error;
mod give_up;
mod journal;
mod known;
mod links;
mod moves;
mod occupant;
mod older;
mod plan;
mod recover;
mod save;
mod session;
mod settle;
mod slots;
mod stage;
mod sync;
#[cfg(test)]
mod tests;
mod undo;

pub(crate) use commit::apply;
pub(crate) use error::{ApplyError, PlanError};
pub(crate) use give_up::give_up_undo;
pub use journal::CommitStatus;
pub(crate) use journal::status;
#[cfg(test)]
pub(crate) use plan::Note;
pub(crate) use plan::{ApplyPlan, Noted};
pub use recover::Direction;
pub(crate) use recover::{create, recover};
pub(crate) use session::Applied;
#[cfg(test)]
pub(crate) use slots::STAGING_PREFIX;
pub(crate) use undo::undo;
