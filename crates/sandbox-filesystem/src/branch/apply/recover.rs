//! After a crash: finishing what was begun, or taking it back.

use std::path::Path;

use super::super::progress::Progress;
use super::engine::OnFailure;
use super::engine::Side;
use super::error::ApplyError;
use super::journal::{CommitStatus, Journal, Undo};
use super::session::{Applied, Session};

/// Which way a commit or an undo goes that was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What was begun is finished: a commit is committed, an undo undone.
    Finish,
    /// What was begun is taken back: of a commit nothing is left, of an undo the commit.
    RollBack,
}

/// Brings the commit recorded in `commit` to an end. Can be killed and be repeated, also in the other direction.
///
/// It does nothing where nothing was interrupted, but for removing what was left behind. Paths that somebody has
/// changed in between are left alone and are the error; everything else is done then.
pub(crate) fn recover(
    commit: &Path,
    direction: Direction,
    progress: &mut dyn FnMut(Progress),
) -> Result<Applied, ApplyError> {
    let journal = Journal::open(commit)?;
    let status = journal.status()?;
    if status == CommitStatus::Empty {
        return match direction {
            Direction::Finish => Err(ApplyError::Status {
                commit: commit.to_owned(),
                status,
            }),
            Direction::RollBack => give_up_nothing(&journal),
        };
    }
    if status == CommitStatus::Final {
        return Ok(nothing(status));
    }
    let session = Session::resume(journal)?;
    match (status, direction) {
        (CommitStatus::Prepared, Direction::Finish) => session.stage_and_apply(progress),
        (CommitStatus::Prepared, Direction::RollBack) => session.ended(CommitStatus::RolledBack),
        (CommitStatus::Applying, Direction::Finish) => {
            let staged = session.journal.read_staged()?;
            session.forward(&session.slots()?, &staged, OnFailure::GoOn, progress)
        }
        (CommitStatus::Applying, Direction::RollBack) => session.roll_back(progress),
        (CommitStatus::Undoing, Direction::Finish) => {
            let (staged, undo) = (session.journal.read_staged()?, session.journal.read_undo()?);
            session.backward(&session.slots()?, &staged, &undo, OnFailure::GoOn, progress)
        }
        (CommitStatus::Undoing, Direction::RollBack) => session.recommit(progress),
        (status, _) => {
            session.tidy(status)?;
            session.has_become(status)
        }
    }
}

fn give_up_nothing(journal: &Journal) -> Result<Applied, ApplyError> {
    let status = CommitStatus::RolledBack;
    journal.enter(status)?;
    // Slots in a base are made later.
    let slots = journal.path().join("slots");
    if let Err(error) = std::fs::remove_dir_all(&slots) {
        tracing::debug!(path = %slots.display(), %error, "not removed");
    }
    journal.mark_clean()?;
    Ok(nothing(status))
}

fn nothing(status: CommitStatus) -> Applied {
    Applied {
        status,
        left: std::collections::BTreeMap::new(),
        directories: Vec::new(),
        notes: Vec::new(),
    }
}

impl Session {
    fn roll_back(&self, progress: &mut dyn FnMut(Progress)) -> Result<Applied, ApplyError> {
        let (staged, undo) = (self.journal.read_staged()?, Undo::default());
        let slots = self.slots()?;
        let mut engine = self.engine(&slots, &staged, &undo, progress);
        self.restore(&mut engine)
    }

    fn recommit(&self, progress: &mut dyn FnMut(Progress)) -> Result<Applied, ApplyError> {
        let (staged, undo) = (self.journal.read_staged()?, self.journal.read_undo()?);
        let slots = self.slots()?;
        let mut engine = self.engine(&slots, &staged, &undo, progress);
        self.redo_steps(&mut engine)
    }

    /// Of a commit that has ended, what is in the base of it: the process may have been killed before it could say.
    fn has_become(&self, status: CommitStatus) -> Result<Applied, ApplyError> {
        let side = match status {
            CommitStatus::Done => Side::After,
            _ => Side::Before,
        };
        let Ok(staged) = self.journal.read_staged() else {
            return Ok(nothing(status)); // rolled back before the base was touched
        };
        let undo = match status {
            CommitStatus::Undone => self.journal.read_undo()?,
            _ => Undo::default(),
        };
        let known = self.known(&staged, &undo);
        Ok(Self::applied(status, side, known, &self.left()?, Vec::new()))
    }

    fn ended(&self, status: CommitStatus) -> Result<Applied, ApplyError> {
        self.journal.enter(status)?;
        self.tidy(status)?;
        Ok(nothing(status))
    }
}

/// Makes the directory of the next commit in `commits`: `c1`, `c2` and so on.
pub(crate) fn create(commits: &Path) -> Result<std::path::PathBuf, ApplyError> {
    use super::journal::journal_error;
    let failed = journal_error(commits);
    let mut last = 0;
    for entry in std::fs::read_dir(commits).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix('c')?.parse::<u64>().ok());
        last = last.max(number.unwrap_or(0));
    }
    loop {
        last += 1;
        let path = commits.join(format!("c{last}"));
        match rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU) {
            Ok(()) => return Ok(path),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
}
