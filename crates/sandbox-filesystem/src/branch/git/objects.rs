//! The objects that a branch's layers hold, linked one by one into a directory of ours.
//!
//! It guarantees: only regular files arrive, with names that git gives to objects and packs, and nothing that the
//! base has already; no link is followed, no pipe is opened, and no list of alternates, no commit graph and no
//! index over several packs is taken over. What is in the files is for git to check.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::error::GitError;
use super::note::Note;
use super::object::{ObjectFormat, is_lower_hex};
use super::repository::{Repository, at};
use crate::branch::node::Meta;
use crate::branch::stack::{Dir, Found, Origin};

/// Files that are linked at most.
const MAX_FILES: u64 = 2_000_000;
/// Bytes that are copied at most, where linking is impossible.
const MAX_COPIED: u64 = 64 << 30;

/// Links what the layers of `repository` hold into `target`, an `objects` directory with `pack` in it.
pub(super) fn link(
    repository: &Repository<'_>,
    format: ObjectFormat,
    target: OwnedFd,
) -> Result<Vec<Note>, GitError> {
    let mut linker = Linker {
        repository,
        format,
        target,
        files: 0,
        copied: 0,
        notes: Vec::new(),
    };
    let path = linker.check(&repository.common, at(&repository.common, &["objects"]))?;
    if let Some(dir) = linker.open(&path)? {
        for name in linker.touched(&dir) {
            linker.entry(&dir, &name)?;
        }
    }
    Ok(linker.notes)
}

struct Linker<'a> {
    repository: &'a Repository<'a>,
    format: ObjectFormat,
    target: OwnedFd,
    files: u64,
    copied: u64,
    notes: Vec<Note>,
}

impl<'a> Linker<'a> {
    fn check<T>(&self, path: &RelPath, result: io::Result<T>) -> Result<T, GitError> {
        result.map_err(|source| GitError::Read {
            path: self.repository.stack.base_path().join(path.as_path()),
            source,
        })
    }

    fn unreadable(&mut self, path: RelPath) {
        self.notes.push(Note::Unreadable { path });
    }

    /// The directory at `path`; none, and a note, where there is something else.
    fn open(&mut self, path: &RelPath) -> Result<Option<Dir<'a>>, GitError> {
        let stack = self.repository.stack;
        let dir = self.check(path, stack.dir(path))?;
        if dir.is_none() && self.check(path, stack.find(path))?.is_some() {
            self.unreadable(path.clone());
        }
        Ok(dir)
    }

    /// What the layers have in `dir`. A directory that cannot be listed has nothing: git will miss the objects.
    fn touched(&mut self, dir: &Dir<'_>) -> Vec<OsString> {
        if let Ok(names) = dir.touched_names() {
            return names.into_iter().collect();
        }
        self.unreadable(dir.path().clone());
        Vec::new()
    }

    fn entry(&mut self, objects: &Dir<'_>, name: &OsStr) -> Result<(), GitError> {
        let bytes = name.as_bytes();
        let is_fan_out = bytes.len() == 2 && bytes.iter().copied().all(is_lower_hex);
        if bytes == b"info" {
            return self.alternates();
        }
        if bytes != b"pack" && !is_fan_out {
            return Ok(());
        }
        let Ok(Some(dir)) = objects.enter(name) else {
            if let Ok(path) = objects.path().join(name) {
                self.unreadable(path);
            }
            return Ok(());
        };
        let format = self.format;
        let is_ours = move |file: &[u8]| {
            if is_fan_out {
                file.len() == format.digits() - 2 && file.iter().copied().all(is_lower_hex)
            } else {
                is_pack(file)
            }
        };
        let names = self.touched(&dir);
        let wanted: Vec<OsString> = names
            .into_iter()
            .filter(|name| is_ours(name.as_bytes()))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let target = self.target_dir(name)?;
        for file in wanted {
            self.file(&dir, &file, &target)?;
        }
        Ok(())
    }

    fn alternates(&mut self) -> Result<(), GitError> {
        let path = at(&self.repository.common, &["objects", "info", "alternates"]);
        let path = self.check(&self.repository.common, path)?;
        // Where nothing can be found there is nothing to be noted.
        if let Ok(Some(found)) = self.repository.stack.find(&path)
            && found.origin != Origin::Base
        {
            self.notes.push(Note::Alternates { path });
        }
        Ok(())
    }

    fn target_dir(&self, name: &OsStr) -> Result<OwnedFd, GitError> {
        let made = match rustix::fs::mkdirat(&self.target, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        made.and_then(|()| rustix::fs::openat(&self.target, name, flags, Mode::empty()))
            .map_err(|errno| hand_over(name, errno.into()))
    }

    fn file(&mut self, dir: &Dir<'_>, name: &OsStr, target: &OwnedFd) -> Result<(), GitError> {
        let Ok(path) = dir.path().join(name) else {
            return Ok(());
        };
        let is_in_base = self.check(&path, dir.base(name))?;
        let Some(found) = self.check(&path, dir.view(name))? else {
            return Ok(());
        };
        // The same name is the same object, and the base's is the one to trust.
        if found.origin == Origin::Base || is_in_base.is_some() {
            return Ok(());
        }
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(self.too_many("new objects", MAX_FILES));
        }
        match self.link_or_copy(dir, name, found, target) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.unreadable(path);
                Ok(())
            }
            Err(Stop::Limit) => Err(self.too_many("bytes of new objects", MAX_COPIED)),
            Err(Stop::Io(source)) => Err(hand_over(name, source)),
        }
    }

    fn too_many(&self, what: &'static str, limit: u64) -> GitError {
        GitError::TooMany {
            repository: self.repository.base_dir(),
            what,
            limit,
        }
    }

    /// Whether the file could be taken over.
    fn link_or_copy(
        &mut self,
        dir: &Dir<'_>,
        name: &OsStr,
        found: Found,
        target: &OwnedFd,
    ) -> Result<bool, Stop> {
        if found.meta.kind != NodeKind::File {
            return Ok(false);
        }
        match rustix::fs::linkat(dir.holder(found.origin)?, name, target, name, AtFlags::empty()) {
            // What was looked at a moment ago may have been another entry than what was linked.
            Ok(()) => match Meta::at(target, name)? {
                Some(meta) if meta.kind == NodeKind::File => Ok(true),
                _ => {
                    rustix::fs::unlinkat(target, name, AtFlags::empty()).map_err(io::Error::from)?;
                    Ok(false)
                }
            },
            // Another file system, a file of somebody else, or one with too many links.
            Err(Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::MLINK | Errno::OPNOTSUPP) => {
                match dir.open_file(name, found.origin) {
                    Ok(source) => self.copy(source, name, target).map(|()| true),
                    Err(_) => Ok(false),
                }
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Stop::Io(errno.into())),
        }
    }

    fn copy(&mut self, source: File, name: &OsStr, target: &OwnedFd) -> Result<(), Stop> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(target.as_fd(), name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(file.map_err(io::Error::from)?);
        let room = MAX_COPIED.saturating_sub(self.copied);
        let copied = io::copy(&mut source.take(room + 1), &mut file)?;
        self.copied += copied;
        if copied > room { Err(Stop::Limit) } else { Ok(()) }
    }
}

enum Stop {
    Limit,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

fn hand_over(name: &OsStr, source: io::Error) -> GitError {
    GitError::HandOver {
        path: PathBuf::from(name),
        source,
    }
}

/// `pack-HEX.pack` and `pack-HEX.idx`: of what git keeps beside them nothing is needed, and less is believed.
fn is_pack(name: &[u8]) -> bool {
    let stem = name.strip_suffix(b".pack").or_else(|| name.strip_suffix(b".idx"));
    stem.and_then(|stem| stem.strip_prefix(b"pack-"))
        .is_some_and(|hash| matches!(hash.len(), 40 | 64) && hash.iter().copied().all(is_lower_hex))
}

#[cfg(test)]
mod tests {
    use super::is_pack;

    #[test]
    fn only_packs_and_their_indexes_are_packs() {
        let hash = "a".repeat(40);
        for (name, expected) in [
            (format!("pack-{hash}.pack"), true),
            (format!("pack-{hash}.idx"), true),
            (format!("pack-{hash}.promisor"), false),
            (format!("pack-{hash}.rev"), false),
            (format!("tmp_pack_{hash}"), false),
            ("pack-..pack".to_owned(), false),
            ("multi-pack-index".to_owned(), false),
        ] {
            assert_eq!(is_pack(name.as_bytes()), expected, "{name}");
        }
    }
}
