//! Which deleted file an added one is.
//!
//! First by where overlayfs says that it was copied up from, then by content, and at last, of those that were
//! copied up from something that is not known, by how much of their lines they share. Pairs are found in
//! the order of paths, those of one name first, so that the same changes always give the same pairs. Empty
//! files are not paired, nor are directories: of a directory that has moved, the files are renamed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::hash::RandomState;

use sandbox_types::{ChangeKind, NodeKind};

use super::super::stack::Stack;
use super::DiffError;
use super::compare::{Comparer, Content};
use super::draft::Draft;
use super::finder::{Finder, Tree};
use super::origin::{Source, Trail};
use super::similar;

/// Makes renames of additions and deletions.
pub(super) struct Renames<'s> {
    comparer: Comparer,
    now: Finder<'s>,
    before: Finder<'s>,
    drafts: Vec<Draft>,
    /// Deletions that have become part of a rename.
    is_used: Vec<bool>,
    /// Another key for each run, so that nobody can make files that collide.
    keys: RandomState,
}

/// Indices of drafts that may be of one file, in the order of paths.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) added: Vec<usize>,
    pub(super) deleted: Vec<usize>,
}

impl Candidates {
    pub(super) fn has_pairs(&self) -> bool {
        !self.added.is_empty() && !self.deleted.is_empty()
    }

    pub(super) fn is_one_pair(&self) -> bool {
        self.added.len() == 1 && self.deleted.len() == 1
    }
}

/// Pairs what can be paired. Deletions that have become part of a rename are left out of the result.
pub(super) fn pair(
    stack: &Stack,
    trail: &Trail,
    comparer: Comparer,
    drafts: Vec<Draft>,
) -> Result<Vec<Draft>, DiffError> {
    let mut renames = Renames {
        comparer,
        now: Finder::new(stack, Tree::View),
        before: Finder::new(stack, Tree::Base),
        is_used: vec![false; drafts.len()],
        drafts,
        keys: RandomState::new(),
    };
    renames.by_origin(trail)?;
    renames.by_content()?;
    similar::pair(&mut renames, trail)?;
    let used = renames.is_used;
    let kept = renames.drafts.into_iter().zip(used);
    Ok(kept
        .filter_map(|(draft, is_used)| (!is_used).then_some(draft))
        .collect())
}

impl Renames<'_> {
    /// Drafts of regular files that were added, with their indices.
    pub(super) fn added(&self) -> impl Iterator<Item = (usize, &Draft)> {
        let files = self.drafts.iter().enumerate();
        files.filter(|(_, draft)| draft.is_added() && draft.change.node == NodeKind::File)
    }

    /// Drafts of regular files that were deleted and are not paired yet.
    pub(super) fn deleted(&self) -> impl Iterator<Item = (usize, &Draft)> {
        let files = self.drafts.iter().enumerate();
        files.filter(|(index, draft)| {
            let is_used = self.is_used.get(*index).copied().unwrap_or(false);
            draft.is_deleted() && draft.change.node == NodeKind::File && !is_used
        })
    }

    fn by_origin(&mut self, trail: &Trail) -> Result<(), DiffError> {
        let mut groups: BTreeMap<usize, Candidates> = BTreeMap::new();
        let mut origins = HashMap::new();
        for (index, draft) in self.deleted() {
            if let Some(handle) = &draft.handle {
                origins.insert(handle.clone(), index);
            }
        }
        for (index, draft) in self.added() {
            if let Source::File(handle) = trail.resolve(&draft.source)
                && let Some(original) = origins.get(&handle)
            {
                let group = groups.entry(*original).or_default();
                group.deleted = vec![*original];
                group.added.push(index);
            }
        }
        for (added, deleted) in groups
            .values()
            .flat_map(|group| self.match_names(group))
            .collect::<Vec<_>>()
        {
            let content = self.compare(added, deleted)?;
            self.rename(added, deleted, content);
        }
        Ok(())
    }

    fn by_content(&mut self) -> Result<(), DiffError> {
        let mut sizes: BTreeMap<u64, Candidates> = BTreeMap::new();
        for (index, draft) in self.added().filter(|(_, draft)| draft.change.size > 0) {
            sizes.entry(draft.change.size).or_default().added.push(index);
        }
        for (index, draft) in self.deleted() {
            if let Some(group) = sizes.get_mut(&draft.change.size) {
                group.deleted.push(index);
            }
        }
        for (size, group) in sizes.into_iter().filter(|(_, group)| group.has_pairs()) {
            let group = self.by_name(group)?;
            for group in self.of_equal_content(size, group)? {
                for (added, deleted) in self.match_names(&group) {
                    if self.compare(added, deleted)? == Content::Same {
                        self.rename(added, deleted, Content::Same);
                    }
                }
            }
        }
        Ok(())
    }

    /// Pairs files of one size whose name nobody else has: what was moved elsewhere as a whole need not be read
    /// twice. Returns the others.
    fn by_name(&mut self, group: Candidates) -> Result<Candidates, DiffError> {
        let mut names: HashMap<&OsStr, Candidates> = HashMap::new();
        for (index, name) in self.with_names(&group.deleted) {
            names.entry(name).or_default().deleted.push(index);
        }
        for (index, name) in self.with_names(&group.added) {
            if let Some(same) = names.get_mut(name) {
                same.added.push(index);
            }
        }
        let pairs = names.into_values().filter(Candidates::is_one_pair);
        let mut pairs: Vec<_> = pairs
            .flat_map(|pair| pair.added.into_iter().zip(pair.deleted))
            .collect();
        pairs.sort_unstable();
        let mut paired = HashSet::new();
        for (added, deleted) in pairs {
            if self.compare(added, deleted)? == Content::Same {
                self.rename(added, deleted, Content::Same);
                paired.extend([added, deleted]);
            }
        }
        let is_left = |index: &usize| !paired.contains(index);
        Ok(Candidates {
            added: group.added.into_iter().filter(is_left).collect(),
            deleted: group.deleted.into_iter().filter(is_left).collect(),
        })
    }

    fn with_names(&self, indices: &[usize]) -> impl Iterator<Item = (usize, &OsStr)> {
        indices
            .iter()
            .filter_map(|index| Some((*index, self.name(*index)?)))
    }

    fn name(&self, index: usize) -> Option<&OsStr> {
        self.drafts.get(index).and_then(|draft| draft.change.path.name())
    }

    /// Reads the beginning of a file; whether it could be read.
    pub(super) fn read(
        &mut self,
        tree: Tree,
        index: usize,
        length: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, DiffError> {
        let Some(draft) = self.drafts.get(index) else {
            return Ok(false);
        };
        let path = &draft.change.path;
        let comparer = &mut self.comparer;
        let finder = match tree {
            Tree::View => &self.now,
            Tree::Base => &self.before,
        };
        let is_read = finder.with(path, |entry| {
            let file = entry.file().ok().flatten();
            Ok(file.is_some_and(|file| comparer.read(file, length, take).is_ok()))
        });
        Ok(is_read.map_err(|failure| failure.at(path.clone()))? == Some(true))
    }

    /// Pairs within a group: those of one name first, then one after the other.
    fn match_names(&self, group: &Candidates) -> Vec<(usize, usize)> {
        let mut named: HashMap<Option<&OsStr>, VecDeque<usize>> = HashMap::new();
        for index in &group.deleted {
            named.entry(self.name(*index)).or_default().push_back(*index);
        }
        let mut pairs = Vec::new();
        let mut others = VecDeque::new();
        for index in &group.added {
            match named.get_mut(&self.name(*index)).and_then(VecDeque::pop_front) {
                Some(deleted) => pairs.push((*index, deleted)),
                None => others.push_back(*index),
            }
        }
        let mut left: Vec<usize> = named.into_values().flatten().collect();
        left.sort_unstable();
        pairs.extend(others.into_iter().zip(left));
        pairs
    }

    fn compare(&mut self, added: usize, deleted: usize) -> Result<Content, DiffError> {
        let (Some(added), Some(deleted)) = (self.drafts.get(added), self.drafts.get(deleted)) else {
            return Ok(Content::Different);
        };
        let (to, from) = (&added.change.path, &deleted.change.path);
        let (comparer, before) = (&mut self.comparer, &self.before);
        let content = self.now.with(to, |new| {
            before.with(from, |old| {
                if (new.meta.kind, old.meta.kind) == (NodeKind::File, NodeKind::File) {
                    comparer.content(new, old)
                } else {
                    Ok(Content::Different)
                }
            })
        });
        let content = content.map_err(|failure| failure.at(to.clone()))?;
        Ok(content.flatten().unwrap_or(Content::Different))
    }

    pub(super) fn have_same_name(&self, one: usize, other: usize) -> bool {
        self.name(one) == self.name(other)
    }

    /// What hashes are made with.
    pub(super) fn keys(&self) -> &RandomState {
        &self.keys
    }

    /// Makes a rename of two drafts.
    pub(super) fn rename(&mut self, added: usize, deleted: usize, content: Content) {
        let Some(original) = self.drafts.get(deleted).map(|draft| draft.change.clone()) else {
            return;
        };
        if let (Some(draft), Some(is_used)) = (self.drafts.get_mut(added), self.is_used.get_mut(deleted)) {
            *is_used = true;
            draft.change.conflict = draft.change.conflict.or(original.conflict);
            draft.change.change = ChangeKind::Renamed {
                from: original.path,
                content: content != Content::Same,
            };
        }
    }
}
