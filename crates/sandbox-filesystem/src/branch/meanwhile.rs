//! What others have changed in the base while a branch was mounted.
//!
//! Such changes are seen on the branch, or not, or half: overlayfs leaves it undefined. So they are told of at the end
//! of a run, also where the branch has not touched the path. It guarantees: whatever is reported was changed after the
//! mount was made ready. It does not guarantee to report everything: what happens within one tick of the kernel's
//! clock (at most 10 ms) after that is not seen, and of a large workspace only the first [`MOST_ENTRIES`] entries are
//! looked at, those nearest to its root first.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType};
use sandbox_types::RelPath;
use serde::Serialize;

use super::beneath::Root;
use super::error::BranchError;
use super::handle::Branch;
use super::manifest::Mode;
use super::node::{Meta, Timestamp};

/// As many as are looked at in about 50 ms.
const MOST_ENTRIES: usize = 50_000;
/// As many as are named.
const MOST_NAMED: usize = 20;

/// What was changed in the base while a branch was mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Meanwhile {
    /// The first few paths, those nearest to the root first. A directory is named where nothing in it is: something was
    /// removed from it, or its attributes were changed. All of git's own files are `.git`.
    pub paths: Vec<RelPath>,
    /// How many there are.
    pub count: u64,
    /// Whether the whole base was looked at.
    pub is_complete: bool,
}

impl Branch {
    /// What others have changed in the base since the branch was last made ready to be mounted. To be asked before the
    /// run is settled; none where the branch shows no base that could change: in mode `copy`, with a snapshot, or when
    /// it is not mounted.
    ///
    /// # Errors
    /// The base cannot be read.
    pub fn changed_meanwhile(&self) -> Result<Option<Meanwhile>, BranchError> {
        if self.mode() == Mode::Copy || self.manifest().snapshot.is_some() {
            return Ok(None);
        }
        let Ok(mounted) = Meta::of_path(&self.boot_file()) else {
            return Ok(None);
        };
        let base = self.workspace().base();
        let search = || Search::new(Root::open(base)?, mounted.ctime, self.workspace().left_out()).run();
        search().map(Some).map_err(BranchError::io("look into", base))
    }
}

struct Search {
    root: Root,
    since: Timestamp,
    excluded: BTreeSet<RelPath>,
    left: VecDeque<Directory>,
    found: Meanwhile,
    /// Of those that were found, each once.
    repositories: BTreeSet<RelPath>,
    budget: usize,
}

/// A directory that is still to be looked into.
struct Directory {
    path: RelPath,
    /// It was changed itself.
    is_newer: bool,
}

impl Search {
    fn new(root: Root, since: Timestamp, excluded: BTreeSet<RelPath>) -> Self {
        Self {
            root,
            since,
            excluded,
            left: VecDeque::new(),
            found: Meanwhile::default(),
            repositories: BTreeSet::new(),
            budget: MOST_ENTRIES,
        }
    }

    fn run(mut self) -> io::Result<Meanwhile> {
        let is_newer = Meta::of(&self.root)?.ctime > self.since;
        self.left.push_back(Directory {
            path: RelPath::root(),
            is_newer,
        });
        while let Some(directory) = self.left.pop_front() {
            if self.budget == 0 {
                return Ok(self.found);
            }
            // What is gone, or forbidden, is nothing that a branch could have seen.
            let is_explained = self.look_into(&directory.path).unwrap_or(false);
            if directory.is_newer && !is_explained {
                self.note(directory.path);
            }
        }
        self.found.is_complete = true;
        Ok(self.found)
    }

    /// Whether an entry of it is newer.
    fn look_into(&mut self, path: &RelPath) -> io::Result<bool> {
        let directory = self.root.list_dir(path)?;
        let mut is_explained = false;
        for entry in rustix::fs::Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.budget = self.budget.saturating_sub(1);
            let Ok(stat) = rustix::fs::statat(directory.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
            let is_newer = (stat.st_ctime, nanoseconds) > self.since;
            let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
            if !is_newer && !is_directory {
                continue;
            }
            let Ok(path) = path.join(OsStr::from_bytes(name.to_bytes())) else {
                continue;
            };
            if self.excluded.contains(&path) {
                continue;
            }
            is_explained |= is_newer;
            if is_directory {
                self.left.push_back(Directory { path, is_newer });
            } else {
                self.note(path);
            }
        }
        Ok(is_explained)
    }

    fn note(&mut self, path: RelPath) {
        let path = match repository_of(&path) {
            Some(repository) if !self.repositories.insert(repository.clone()) => return,
            repository => repository.unwrap_or(path),
        };
        self.found.count += 1;
        if self.found.paths.len() < MOST_NAMED {
            self.found.paths.push(path);
        }
    }
}

/// The `.git` that `path` is in.
fn repository_of(path: &RelPath) -> Option<RelPath> {
    let above = path
        .as_path()
        .ancestors()
        .filter(|above| above.file_name() == Some(".git".as_ref()));
    RelPath::new(above.last()?).ok()
}
