//! A commit on the disk: its directory, what is written there, and how far it has come.
//!
//! ```text
//! plan.jsonl     what is to be done: a head, then a line for each step
//! staged.jsonl   where what is staged is and how to know it: a head, then a line for each step
//! left.jsonl     what the commit has left in the base: a head, then a line for each step
//! undo.jsonl     what undo restores
//! state          a word for each state it has been in, the last one counts
//! slots/ saved/  see `slots` and `save`
//! ```
//!
//! A file is complete when the state says what comes after it. Every state is on the disk before anything is
//! done that it stands for.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use sandbox_types::RelPath;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::copy::Attributes;
use super::super::node::{Meta, Timestamp};
use super::super::raw::Bytes;
use super::crash::crash_point;
use super::error::ApplyError;
use super::plan::{ApplyPlan, Note, Step};
use super::slots::{Renames, Staging};

/// The version of what this build writes.
const VERSION: u32 = 1;

const CLEAN: &str = "clean";
const UNCLEAN: &str = "unclean";

/// How far a commit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommitStatus {
    /// Nothing has happened.
    Empty,
    /// New content was being staged. The base is untouched.
    Prepared,
    /// The base was being changed: recover decides which way it goes.
    Applying,
    /// The base has what was committed.
    Done,
    /// The base was being changed back: recover decides which way it goes.
    Undoing,
    /// The base is as it was before.
    Undone,
    /// It did not come about, and the base is as it was before.
    RolledBack,
    /// The base has what was committed, and what undo needs was given up.
    Final,
}

impl CommitStatus {
    const ALL: [Self; 7] = [
        Self::Prepared,
        Self::Applying,
        Self::Done,
        Self::Undoing,
        Self::Undone,
        Self::RolledBack,
        Self::Final,
    ];

    /// As it is written down.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Prepared => "prepared",
            Self::Applying => "applying",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::RolledBack => "rolled-back",
            Self::Final => "final",
        }
    }
}

impl fmt::Display for CommitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "not begun",
            Self::Prepared => "not complete: the base is untouched",
            Self::Applying => "half done",
            Self::Done => "done",
            Self::Undoing => "half undone",
            Self::Undone => "undone already",
            Self::RolledBack => "rolled back",
            Self::Final => "done for good: what undo needs was given up",
        })
    }
}

/// The head of `plan.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlanHead {
    pub(super) version: u32,
    pub(super) base: PathBuf,
    /// The base's root, before anything was done.
    pub(super) root: Meta,
    pub(super) staging: Staging,
    pub(super) notes: Vec<Note>,
}

/// `staged.jsonl`.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) head: StagedHead,
    pub(super) steps: Vec<StagedStep>,
}

/// Its head.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StagedHead {
    pub(super) renames: Renames,
    /// Directories of the base that are changed or lose or get entries, as they were before.
    pub(super) directories: Vec<(RelPath, Meta)>,
    pub(super) notes: Vec<Note>,
}

/// How what belongs to a step is known again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct StagedStep {
    /// What will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<Print>,
    /// What is needed to make again what was there: of directories, and of what is saved by copying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) saved: Option<Saved>,
}

/// What was there before, besides the content of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Bytes>,
    /// The step whose saved entry this is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link_to: Option<usize>,
}

/// Which inode something is, and in which state its content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mtime: Timestamp,
}

/// `left.jsonl`.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) head: LeftHead,
    /// For each step, what is at its path.
    pub(super) steps: Vec<Option<Meta>>,
}

/// Its head.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LeftHead {
    /// The directories that the plan touches, those it makes included.
    pub(super) directories: Vec<(RelPath, Meta)>,
    /// Files of the base that were given another name.
    pub(super) linked: Vec<(RelPath, Meta)>,
}

/// `undo.jsonl`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Undo {
    /// For each step, what was made again of what was there before.
    pub(super) restored: Vec<Option<Print>>,
    /// Directories that others have changed since the commit: they keep their times.
    pub(super) keep_times: Vec<RelPath>,
}

/// The directory of a commit, locked.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    dir: File,
}

impl Journal {
    /// Opens and locks the directory of a commit, which is there.
    pub(super) fn open(path: &Path) -> Result<Self, ApplyError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?);
        let dir = open().map_err(journal_error(path))?;
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(ApplyError::Busy {
                    commit: path.to_owned(),
                });
            }
            Err(errno) => return Err(journal_error(path)(errno.into())),
        }
        Ok(Self {
            path: path.to_owned(),
            dir: dir.into(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn status(&self) -> Result<CommitStatus, ApplyError> {
        status(&self.path)
    }

    /// Says how far it has come, on the disk when this returns.
    pub(super) fn enter(&self, status: CommitStatus) -> Result<(), ApplyError> {
        self.record(status)?;
        crash_point(status.word());
        Ok(())
    }

    /// The same outside of a commit and its undo.
    pub(super) fn record(&self, status: CommitStatus) -> Result<(), ApplyError> {
        let file = self.append(status.word())?;
        let sync = || {
            file.sync_data()?;
            if status == CommitStatus::Prepared {
                self.dir.sync_all()?;
            }
            Ok(())
        };
        sync().map_err(journal_error(&self.path))
    }

    /// Says that there is a directory in the base, or elsewhere, that is to be removed.
    pub(super) fn mark_unclean(&self) -> Result<(), ApplyError> {
        self.append(UNCLEAN).map(drop)
    }

    /// Says that it has been removed. Until the next state.
    pub(super) fn mark_clean(&self) -> Result<(), ApplyError> {
        self.append(CLEAN).map(drop)
    }

    /// Whether that was said last.
    pub(super) fn is_clean(&self) -> Result<bool, ApplyError> {
        let path = self.path.join("state");
        let text = std::fs::read(&path).map_err(journal_error(&path))?;
        Ok(text.ends_with(format!("\n{CLEAN}\n").as_bytes()))
    }

    fn append(&self, word: &str) -> Result<File, ApplyError> {
        let path = self.path.join("state");
        let append = || {
            let mut file = File::options().append(true).create(true).open(&path)?;
            // What a crash has left of a line is ended first.
            let is_torn = std::fs::read(&path)?.last().is_some_and(|last| *last != b'\n');
            let line = format!("{}{word}\n", if is_torn { "\n" } else { "" });
            file.write_all(line.as_bytes())?;
            Ok(file)
        };
        append().map_err(journal_error(&path))
    }

    pub(super) fn write_plan(&self, head: &PlanHead, steps: &[Step]) -> Result<(), ApplyError> {
        self.write("plan.jsonl", head, steps)
    }

    pub(super) fn read_plan(&self) -> Result<(PlanHead, Vec<Step>), ApplyError> {
        let (head, steps): (PlanHead, _) = self.read("plan.jsonl")?;
        if head.version > VERSION {
            let path = self.path.join("plan.jsonl");
            let version = head.version;
            return Err(ApplyError::Newer { path, version });
        }
        Ok((head, steps))
    }

    pub(super) fn write_staged(&self, staged: &Staged) -> Result<(), ApplyError> {
        self.write("staged.jsonl", &staged.head, &staged.steps)
    }

    pub(super) fn read_staged(&self) -> Result<Staged, ApplyError> {
        let (head, steps) = self.read("staged.jsonl")?;
        Ok(Staged { head, steps })
    }

    pub(super) fn write_left(&self, left: &Left) -> Result<(), ApplyError> {
        self.write("left.jsonl", &left.head, &left.steps)
    }

    pub(super) fn read_left(&self) -> Result<Left, ApplyError> {
        let (head, steps) = self.read("left.jsonl")?;
        Ok(Left { head, steps })
    }

    pub(super) fn write_undo(&self, undo: &Undo) -> Result<(), ApplyError> {
        self.write("undo.jsonl", undo, &[] as &[()])
    }

    pub(super) fn read_undo(&self) -> Result<Undo, ApplyError> {
        self.read::<_, ()>("undo.jsonl").map(|(undo, _)| undo)
    }

    fn write<H: Serialize, T: Serialize>(&self, name: &str, head: &H, lines: &[T]) -> Result<(), ApplyError> {
        let (path, temporary) = (self.path.join(name), self.path.join("writing"));
        let write = || {
            let mut file = BufWriter::new(File::create(&temporary)?);
            serde_json::to_writer(&mut file, head)?;
            for line in lines {
                file.write_all(b"\n")?;
                serde_json::to_writer(&mut file, line)?;
            }
            file.write_all(b"\n")?;
            file.into_inner()?.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            // The name has to be there as well when the state says so.
            self.dir.sync_all()
        };
        write().map_err(journal_error(&path))
    }

    fn read<H: DeserializeOwned, T: DeserializeOwned>(&self, name: &str) -> Result<(H, Vec<T>), ApplyError> {
        let path = self.path.join(name);
        let file = File::open(&path).map_err(journal_error(&path))?;
        let mut lines = BufReader::new(file).lines();
        let damaged = |source| ApplyError::Damaged {
            path: path.clone(),
            source,
        };
        let head = lines.next().transpose().map_err(journal_error(&path))?;
        let head = serde_json::from_str(&head.unwrap_or_default()).map_err(damaged)?;
        let lines = lines.map(|line| {
            let line = line.map_err(journal_error(&path))?;
            serde_json::from_str(&line).map_err(damaged)
        });
        Ok((head, lines.collect::<Result<_, _>>()?))
    }
}

impl Drop for Journal {
    /// Closing is not enough: a child that another thread has just forked has the descriptor too, until it executes.
    fn drop(&mut self) {
        if let Err(errno) = rustix::fs::flock(&self.dir, FlockOperation::Unlock) {
            tracing::debug!(%errno, "unlock");
        }
    }
}

impl PlanHead {
    pub(super) fn new(plan: &ApplyPlan, root: Meta, staging: Staging) -> Self {
        Self {
            version: VERSION,
            base: plan.base.clone(),
            root,
            staging,
            notes: plan.notes.clone(),
        }
    }
}

impl StagedStep {
    /// Of a step that needs nothing.
    pub(super) const NONE: Self = Self {
        new: None,
        saved: None,
    };
}

impl Print {
    pub(super) fn of(meta: &Meta) -> Self {
        Self {
            ino: meta.ino,
            size: meta.size,
            mtime: meta.mtime,
        }
    }

    /// Whether it is that entry; of a directory, what is in it does not count.
    pub(super) fn is(&self, meta: &Meta) -> bool {
        let content = (self.size, self.mtime) == (meta.size, meta.mtime);
        self.ino == meta.ino && (meta.is_dir() || content)
    }
}

/// How far the commit in `commit` has come.
pub(crate) fn status(commit: &Path) -> Result<CommitStatus, ApplyError> {
    let path = commit.join("state");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(CommitStatus::Empty),
        Err(error) => return Err(journal_error(&path)(error)),
    };
    // A line that has no end was being written: what it stands for has not begun.
    let lines = text.split_inclusive(|byte| *byte == b'\n').rev();
    let known = lines
        .filter_map(|line| line.strip_suffix(b"\n"))
        .find_map(|line| {
            let mut all = CommitStatus::ALL.into_iter();
            all.find(|status| status.word().as_bytes() == line)
        });
    Ok(known.unwrap_or(CommitStatus::Empty))
}

pub(super) fn journal_error(path: &Path) -> impl Fn(io::Error) -> ApplyError {
    let path = path.to_owned();
    move |source| ApplyError::Journal {
        path: path.clone(),
        source,
    }
}
