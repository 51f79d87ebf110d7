//! The bare repository of our own making, from which the base fetches a branch's commits.
//!
//! Its configuration is ours, its references are those that were read as text, its objects are the linked ones
//! and, as an alternate, the base's. Nothing in it was written by a command except the objects' content.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::error::GitError;
use super::note::Note;
use super::object::ObjectFormat;
use super::objects;
use super::plan::Candidate;
use super::repository::Repository;

/// What the directories' names start with, so that one left behind by a crash can be told.
pub(crate) const HAND_OVER_PREFIX: &str = "git-hand-over-";

/// A bare repository that is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// Builds one in `parent`, best on the file system of the layers, so that objects are linked and not copied.
    pub(super) fn build(
        repository: &Repository<'_>,
        format: ObjectFormat,
        candidates: &[Candidate],
        parent: &Path,
    ) -> Result<(Self, Vec<Note>), GitError> {
        let failed = |source| GitError::HandOver {
            path: parent.to_owned(),
            source,
        };
        let directory = tempfile::Builder::new()
            .prefix(HAND_OVER_PREFIX)
            .tempdir_in(parent)
            .map_err(failed)?;
        let scratch = Self { directory };
        scratch.write(repository, format, candidates).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let objects = rustix::fs::open(scratch.path().join("objects"), flags, Mode::empty());
        let notes = objects::link(repository, format, objects.map_err(|errno| failed(errno.into()))?)?;
        Ok((scratch, notes))
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(
        &self,
        repository: &Repository<'_>,
        format: ObjectFormat,
        candidates: &[Candidate],
    ) -> io::Result<()> {
        let base = repository.base_dir();
        // A snapshot of the base may have what the base has dropped since.
        let frozen = repository.stack.base_path().join(repository.common.as_path());
        for directory in ["objects/info", "objects/pack", "refs"] {
            std::fs::create_dir_all(self.path().join(directory))?;
        }
        self.put("HEAD", "ref: refs/heads/none\n")?;
        self.put("config", &config(format))?;
        self.put("packed-refs", &packed_refs(candidates))?;
        // Links of known names: paths may have characters in them that a list of alternates cannot have.
        std::os::unix::fs::symlink(base.join("objects"), self.path().join("base-objects"))?;
        std::os::unix::fs::symlink(frozen.join("objects"), self.path().join("frozen-objects"))?;
        self.put("objects/info/alternates", "../base-objects\n../frozen-objects\n")?;
        match std::fs::copy(base.join("shallow"), self.path().join("shallow")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn put(&self, name: impl AsRef<OsStr>, content: &str) -> io::Result<()> {
        let path: PathBuf = self.path().join(name.as_ref());
        std::fs::write(path, content)
    }
}

fn config(format: ObjectFormat) -> String {
    let version = match format {
        ObjectFormat::Sha1 => 0,
        ObjectFormat::Sha256 => 1,
    };
    let mut text = format!("[core]\n\trepositoryformatversion = {version}\n\tbare = true\n");
    if version > 0 {
        text.push_str(&format!("[extensions]\n\tobjectFormat = {}\n", format.name()));
    }
    // The user's own configuration may hide references from those who fetch.
    text.push_str(
        "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[transfer]\n\thideRefs = !refs/sandbox\n",
    );
    text
}

/// `packed-refs`: no name of the branch's becomes the name of a file.
fn packed_refs(candidates: &[Candidate]) -> String {
    let mut lines: Vec<_> = candidates.iter().map(|one| (&one.to, &one.id)).collect();
    lines.sort();
    let mut text = String::new();
    for (name, id) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id} {name}");
    }
    text
}
