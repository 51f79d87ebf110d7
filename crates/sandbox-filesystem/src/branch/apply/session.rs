//! A commit while it is worked on: its journal, its base, its steps.

use std::collections::{BTreeMap, BTreeSet};

use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use sandbox_types::RelPath;

use super::super::base::Identity;
use super::super::beneath::Root;
use super::super::copy::set_mtime;
use super::super::node::{Meta, Timestamp};
use super::super::progress::{Phase, Progress};
use super::crash::crash_point;
use super::engine::{Engine, OnFailure, Side};
use super::error::{ApplyError, StepError};
use super::journal::{CommitStatus, Journal, Left, LeftHead, PlanHead, Staged, Undo, journal_error};
use super::known::Known;
use super::occupant::is_same_entry;
use super::plan::{After, LinkTo, Note, Step};
use super::slots::Slots;
use super::stage::stage_error;
use super::sync::sync_base;

/// What has become of a plan.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) status: CommitStatus,
    /// What is now at each path that was touched; none for what is gone. These are the branch's own doing, and no
    /// conflict for it later.
    pub(crate) left: BTreeMap<RelPath, Option<Identity>>,
    /// Directories in which a commit has made or removed entries: as they were, and as they are.
    pub(crate) directories: Vec<(RelPath, Meta, Meta)>,
    pub(crate) notes: Vec<Note>,
}

pub(super) struct Session {
    pub(super) journal: Journal,
    pub(super) head: PlanHead,
    pub(super) steps: Vec<Step>,
    pub(super) base: Root,
}

impl Session {
    /// Of a commit whose plan is complete.
    pub(super) fn resume(journal: Journal) -> Result<Self, ApplyError> {
        let (head, steps) = journal.read_plan()?;
        let base = open_base(&head.base)?;
        let root = Meta::of(&base).map_err(base_error(&head.base))?;
        if root.ino != head.root.ino {
            return Err(ApplyError::BaseReplaced { base: head.base });
        }
        Ok(Self {
            journal,
            head,
            steps,
            base,
        })
    }

    pub(super) fn make_slots(&self) -> Result<Slots, ApplyError> {
        let slots = self.head.staging.make(&self.base, self.journal.path());
        slots.map_err(stage_error(&RelPath::root()))
    }

    pub(super) fn slots(&self) -> Result<Slots, ApplyError> {
        let slots = self.head.staging.open(&self.base, self.journal.path());
        slots.map_err(journal_error(
            &self.head.staging.path(&self.head.base, self.journal.path()),
        ))
    }

    pub(super) fn known<'a>(&'a self, staged: &'a Staged, undo: &'a Undo) -> Known<'a> {
        Known {
            steps: &self.steps,
            staged,
            undo,
        }
    }

    pub(super) fn engine<'a>(
        &'a self,
        slots: &'a Slots,
        staged: &'a Staged,
        undo: &'a Undo,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Engine<'a> {
        Engine {
            base: &self.base,
            slots,
            known: self.known(staged, undo),
            progress,
            notes: Vec::new(),
        }
    }

    /// The directories that the plan touches, as they are.
    pub(super) fn directories(&self) -> Result<Vec<(RelPath, Meta)>, ApplyError> {
        let parents = self.steps.iter().filter(|step| !step.is_in_place());
        let parents = parents.filter_map(|step| step.path.parent());
        let named = self
            .steps
            .iter()
            .filter(|step| step.removes_directory() || step.makes_directory() || step.alters_directory());
        let mut paths: BTreeSet<_> = parents.chain(named.map(|step| step.path.clone())).collect();
        if self.head.staging.is_in_base() {
            paths.insert(RelPath::root());
        }
        let mut directories = Vec::new();
        for path in paths {
            let meta = self.base.meta(&path).map_err(stage_error(&path))?;
            directories.extend(meta.filter(Meta::is_dir).map(|meta| (path, meta)));
        }
        Ok(directories)
    }

    /// What is in the base now.
    pub(super) fn left(&self) -> Result<Left, ApplyError> {
        let metas = self.steps.iter().map(|step| {
            let path = &step.path;
            self.base.meta(path).map_err(stage_error(path))
        });
        Ok(Left {
            steps: metas.collect::<Result<_, _>>()?,
            head: LeftHead {
                directories: self.directories()?,
                linked: self.linked_now()?,
            },
        })
    }

    fn linked_now(&self) -> Result<Vec<(RelPath, Meta)>, ApplyError> {
        let mut linked = Vec::new();
        for (path, known) in self.linked() {
            let meta = self.base.meta(path).map_err(stage_error(path))?;
            let meta = meta.filter(|meta| is_same_entry(known, meta));
            linked.extend(meta.map(|meta| (path.clone(), meta)));
        }
        Ok(linked)
    }

    /// Puts the base on the disk, and writes down how it was left.
    pub(super) fn record(&self, progress: &mut dyn FnMut(Progress)) -> Result<Left, ApplyError> {
        progress(Progress::start(Phase::Syncing, None, None));
        sync_base(&self.base, &self.steps).map_err(base_error(&self.head.base))?;
        crash_point("synced");
        let left = self.left()?;
        self.journal.write_left(&left)?;
        crash_point("left written");
        Ok(left)
    }

    /// Takes the base to `side` as far as that goes, with directories and times.
    pub(super) fn settle(&self, engine: &mut Engine<'_>, side: Side) -> Result<(), Vec<StepError>> {
        let mut failures = Vec::new();
        failures.extend(engine.open_directories().err());
        failures.extend(engine.drive(side, OnFailure::GoOn));
        failures.extend(engine.settle(side).err());
        if side == Side::Before {
            failures.extend(
                sync_base(&self.base, &self.steps)
                    .map_err(StepError::io(&RelPath::root()))
                    .err(),
            );
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }

    /// Removes what a finished commit does not need: its slots, but for those that hold what undo needs.
    pub(super) fn tidy(&self, status: CommitStatus) -> Result<(), ApplyError> {
        if status == CommitStatus::Done && !self.head.staging.is_in_base() {
            return Ok(());
        }
        if self.journal.is_clean()? {
            return Ok(());
        }
        self.remove_slots()?;
        if self.head.staging.is_in_base()
            && let Some(mtime) = self.time_of_root(status)?
        {
            set_mtime(self.base.as_fd(), mtime)
                .or_else(not_ours)
                .map_err(base_error(&self.head.base))?;
        }
        if status != CommitStatus::Done {
            // Not before the slots are gone: removing a name changes the ctime of the others.
            self.tell_what_is_back(status)?;
            remove_saved(&self.journal)?;
        }
        self.journal.mark_clean()
    }

    fn remove_slots(&self) -> Result<(), ApplyError> {
        let path = self.head.staging.path(&self.head.base, self.journal.path());
        match self.head.staging.open(&self.base, self.journal.path()) {
            Ok(slots) => slots.remove().map_err(journal_error(&path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(journal_error(&path)(error)),
        }
    }

    /// What the base's root has as its time once slots in it are gone; none for what is natural.
    fn time_of_root(&self, status: CommitStatus) -> Result<Option<Timestamp>, ApplyError> {
        let root = RelPath::root();
        match status {
            CommitStatus::Done => {
                let left = self.journal.read_left()?;
                let known = left.head.directories.iter().find(|(path, _)| *path == root);
                Ok(known.map(|(_, meta)| meta.mtime))
            }
            CommitStatus::Undone if self.journal.read_undo()?.keep_times.contains(&root) => Ok(None),
            _ => Ok(Some(self.head.root.mtime)),
        }
    }

    /// Gives the base's root its time back where only the slots have changed it.
    pub(super) fn hide_slots(&self) -> Result<(), ApplyError> {
        let root = RelPath::root();
        let touches_root = self
            .steps
            .iter()
            .any(|step| !step.is_in_place() && step.path.parent().as_ref() == Some(&root));
        if !self.head.staging.is_in_base() || touches_root {
            return Ok(());
        }
        set_mtime(self.base.as_fd(), self.head.root.mtime)
            .or_else(not_ours)
            .map_err(base_error(&self.head.base))
    }

    /// What became of the plan: the base is at `side` of it.
    pub(super) fn applied(
        status: CommitStatus,
        side: Side,
        known: Known<'_>,
        left: &Left,
        notes: Vec<Note>,
    ) -> Applied {
        let mut paths: BTreeMap<_, _> = known.left(side, &left.steps).collect();
        let linked = left.head.linked.iter();
        paths.extend(linked.map(|(path, meta)| (path.clone(), Some(Identity::of(meta)))));
        Applied {
            status,
            left: paths,
            directories: Vec::new(),
            notes,
        }
    }

    /// Files of the base that steps give another name, as they were.
    pub(super) fn linked(&self) -> impl Iterator<Item = (&RelPath, &Meta)> {
        self.steps.iter().filter_map(|step| match &step.after {
            After::File {
                link_to: Some(LinkTo::Base { path, meta }),
                ..
            } => Some((path, meta)),
            _ => None,
        })
    }
}

/// The time of a directory is its owner's to set.
fn not_ours(error: std::io::Error) -> std::io::Result<()> {
    if Errno::from_io_error(&error) == Some(Errno::PERM) {
        return Ok(());
    }
    Err(error)
}

fn remove_saved(journal: &Journal) -> Result<(), ApplyError> {
    let path = super::save::directory(journal);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(journal_error(&path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn open_base(base: &Path) -> Result<Root, ApplyError> {
    Root::open(base).map_err(base_error(base))
}

pub(super) fn base_error(base: &Path) -> impl FnOnce(std::io::Error) -> ApplyError {
    let base = base.to_owned();
    move |source| ApplyError::Base { base, source }
}
