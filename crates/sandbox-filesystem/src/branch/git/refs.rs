//! References, read as text.
//!
//! Format: gitrepository-layout(5): a file beneath `refs/` holds an object's name or `ref: NAME`; `packed-refs` has
//! a line for each that has no file. Everything may be hostile: what is not a reference is left out and noted.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use sandbox_types::{NodeKind, RelPath};

use super::error::GitError;
use super::note::{Flaw, Note};
use super::object::{ObjectFormat, ObjectId};
use super::refname;
use super::refvalue::{Value, is_lock, is_wanted, packed_line, parse, resolve};
use super::repository::at;
use crate::branch::stack::{Dir, Found, Stack};

/// The largest file of a single reference.
const MAX_FILE: u64 = 4096;
/// The largest `packed-refs`: about a million references.
const MAX_PACKED: u64 = 128 << 20;
/// References that are looked at.
const MAX_REFS: usize = 1_000_000;
/// Directories on the way to a reference.
const MAX_DEPTH: usize = 64;

/// The references of a repository.
#[derive(Debug)]
pub(super) struct Refs {
    /// What each reference beneath the prefixes that were asked for stands for.
    pub(super) values: BTreeMap<String, ObjectId>,
    /// HEADs that name a commit instead of a reference: `HEAD`, `worktrees/X/HEAD`, `main-worktree/HEAD`.
    pub(super) detached: BTreeMap<String, ObjectId>,
    /// What is wrong.
    pub(super) notes: Vec<Note>,
}

/// Where to look.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) stack: &'a Stack,
    /// The (common) git directory.
    pub(super) common: &'a RelPath,
    /// The directory of its own HEAD.
    pub(super) head: &'a RelPath,
    pub(super) format: ObjectFormat,
}

impl Refs {
    /// Reads what is beneath `prefixes`, each `refs/NAME` or a directory `refs/NAME/`, and HEADs.
    pub(super) fn read(place: &Place<'_>, prefixes: &[&str]) -> Result<Self, GitError> {
        let mut reader = Reader {
            place,
            values: BTreeMap::new(),
            notes: Vec::new(),
        };
        reader.packed(prefixes)?;
        for prefix in prefixes {
            reader.loose(prefix)?;
        }
        let detached = reader.detached()?;
        Ok(reader.resolved(detached))
    }

    /// Of the base's git directory `git_dir`, whose own HEAD is at `head` in it.
    pub(super) fn of_base(
        git_dir: &Path,
        head: &RelPath,
        format: ObjectFormat,
        prefixes: &[&str],
    ) -> Result<Self, GitError> {
        let stack = Stack::open(&[], git_dir).map_err(|source| GitError::Read {
            path: git_dir.to_owned(),
            source,
        })?;
        let place = Place {
            stack: &stack,
            common: &RelPath::root(),
            head,
            format,
        };
        Self::read(&place, prefixes)
    }
}

struct Reader<'a> {
    place: &'a Place<'a>,
    values: BTreeMap<String, Value>,
    notes: Vec<Note>,
}

impl Reader<'_> {
    fn error(&self, path: &RelPath, source: io::Error) -> GitError {
        GitError::Read {
            path: self.place.stack.base_path().join(path.as_path()),
            source,
        }
    }

    fn at(&self, names: &[&str]) -> Result<RelPath, GitError> {
        at(self.place.common, names).map_err(|source| self.error(self.place.common, source))
    }

    fn flaw(&mut self, path: RelPath, why: Flaw) {
        self.notes.push(Note::NotAReference { path, why });
    }

    fn packed(&mut self, prefixes: &[&str]) -> Result<(), GitError> {
        let path = self.at(&["packed-refs"])?;
        let Some(text) = self.text(&path, MAX_PACKED)? else {
            return Ok(());
        };
        let mut has_flaw = false;
        for line in text.split(|byte| *byte == b'\n') {
            // `#` starts a comment, `^` what the tag of the line before stands for.
            if line.is_empty() || matches!(line.first(), Some(b'#' | b'^')) {
                continue;
            }
            match packed_line(line, self.place.format) {
                Some((name, id)) => {
                    if is_wanted(name, prefixes) {
                        self.insert(name.to_owned(), Value::Id(id))?;
                    }
                }
                None => has_flaw = true,
            }
        }
        if has_flaw {
            self.flaw(path, Flaw::Content);
        }
        Ok(())
    }

    fn loose(&mut self, prefix: &str) -> Result<(), GitError> {
        let names: Vec<&str> = prefix.split('/').filter(|name| !name.is_empty()).collect();
        let path = self.at(&names)?;
        if prefix.ends_with('/') {
            let dir = self.place.stack.dir(&path);
            return match dir.map_err(|source| self.error(&path, source))? {
                Some(dir) => self.directory(&dir, prefix.trim_end_matches('/'), 0),
                None => Ok(()),
            };
        }
        match self.text(&path, MAX_FILE)? {
            Some(text) => self.one(path, prefix, &text),
            None => Ok(()),
        }
    }

    fn directory(&mut self, dir: &Dir<'_>, name: &str, depth: usize) -> Result<(), GitError> {
        let entries = dir.entries().map_err(|source| self.error(dir.path(), source))?;
        for (entry, found) in entries {
            let path = dir.path().join(&entry);
            let path = path.map_err(|source| self.error(dir.path(), io::Error::other(source)))?;
            let Some(full) = entry.to_str().map(|entry| format!("{name}/{entry}")) else {
                self.flaw(path, Flaw::Name);
                continue;
            };
            if is_lock(&full) {
                continue;
            }
            if !refname::is_allowed(&full) || depth > MAX_DEPTH {
                self.flaw(path, Flaw::Name);
            } else if found.meta.is_dir() {
                match dir.enter(&entry).map_err(|source| self.error(&path, source))? {
                    Some(next) => self.directory(&next, &full, depth + 1)?,
                    None => self.flaw(path, Flaw::Kind),
                }
            } else {
                self.file(dir, path, &full, found)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir<'_>, path: RelPath, full: &str, found: Found) -> Result<(), GitError> {
        // A file overrides what is packed, also where it is no good.
        self.values.remove(full);
        let Some(name) = path.name().filter(|_| found.meta.kind == NodeKind::File) else {
            self.flaw(path, Flaw::Kind);
            return Ok(());
        };
        let text = dir
            .open_file(name, found.origin)
            .and_then(|file| bounded(file, MAX_FILE));
        match text {
            Ok(Some(text)) => self.one(path, full, &text),
            Ok(None) => {
                self.flaw(path, Flaw::Content);
                Ok(())
            }
            Err(source) => Err(self.error(&path, source)),
        }
    }

    fn one(&mut self, path: RelPath, full: &str, text: &[u8]) -> Result<(), GitError> {
        if let Some(value) = parse(text, self.place.format) {
            return self.insert(full.to_owned(), value);
        }
        self.flaw(path, Flaw::Content);
        Ok(())
    }

    /// HEADs that name a commit: its own, the main working tree's and the linked ones'.
    fn detached(&mut self) -> Result<BTreeMap<String, ObjectId>, GitError> {
        let mut heads = vec![(self.place.head.clone(), "HEAD".to_owned())];
        if self.place.head != self.place.common {
            heads.push((self.place.common.clone(), "main-worktree/HEAD".to_owned()));
        }
        let worktrees = self.at(&["worktrees"])?;
        let dir = self.place.stack.dir(&worktrees);
        if let Some(dir) = dir.map_err(|source| self.error(&worktrees, source))? {
            for (name, found) in dir.entries().map_err(|source| self.error(&worktrees, source))? {
                let path = dir.path().join(&name).ok();
                let label = name
                    .to_str()
                    .filter(|name| refname::is_part(name) && !name.contains(".."));
                if let (Some(path), Some(label)) = (path, label)
                    && found.meta.is_dir()
                    && path != *self.place.head
                {
                    heads.push((path, format!("worktrees/{label}/HEAD")));
                }
            }
        }
        let mut detached = BTreeMap::new();
        for (directory, label) in heads {
            if let Some(id) = self.head(&directory)? {
                detached.insert(label, id);
            }
        }
        Ok(detached)
    }

    fn head(&mut self, directory: &RelPath) -> Result<Option<ObjectId>, GitError> {
        let path = at(directory, &["HEAD"]).map_err(|source| self.error(directory, source))?;
        let Some(text) = self.text(&path, MAX_FILE)? else {
            return Ok(None);
        };
        match parse(&text, self.place.format) {
            Some(Value::Id(id)) => Ok(Some(id)),
            Some(Value::Symbolic(_)) => Ok(None),
            None => {
                self.flaw(path, Flaw::Content);
                Ok(None)
            }
        }
    }

    fn insert(&mut self, name: String, value: Value) -> Result<(), GitError> {
        self.values.insert(name, value);
        if self.values.len() > MAX_REFS {
            return Err(GitError::TooMany {
                repository: self.place.stack.base_path().join(self.place.common.as_path()),
                what: "references",
                limit: MAX_REFS as u64,
            });
        }
        Ok(())
    }

    /// What the file at `path` holds; none where there is no file, or one that is larger than `limit`.
    fn text(&mut self, path: &RelPath, limit: u64) -> Result<Option<Vec<u8>>, GitError> {
        let found = self.place.stack.find(path);
        match found.map_err(|source| self.error(path, source))? {
            None => return Ok(None),
            Some(found) if found.meta.kind == NodeKind::File => {}
            Some(_) => {
                self.flaw(path.clone(), Flaw::Kind);
                return Ok(None);
            }
        }
        let file = self.place.stack.open_file(path);
        let text = file.and_then(|file| bounded(file, limit));
        let text = text.map_err(|source| self.error(path, source))?;
        if text.is_none() {
            self.flaw(path.clone(), Flaw::Content);
        }
        Ok(text)
    }

    fn resolved(mut self, detached: BTreeMap<String, ObjectId>) -> Refs {
        let mut values = BTreeMap::new();
        for name in self.values.keys().cloned().collect::<Vec<_>>() {
            match resolve(&self.values, &name) {
                Some(id) => {
                    values.insert(name, id);
                }
                None => {
                    if let Ok(path) = RelPath::new(self.place.common.as_path().join(&name)) {
                        self.flaw(path, Flaw::Dangling);
                    }
                }
            }
        }
        Refs {
            values,
            detached,
            notes: self.notes,
        }
    }
}

/// The whole of `file`; none where it is larger than `limit`, which is seen before it is read.
fn bounded(file: std::fs::File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    if file.metadata()?.len() > limit {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}
