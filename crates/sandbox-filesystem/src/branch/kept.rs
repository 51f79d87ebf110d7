//! Texts of the base as they were when a branch changed them, kept at the end of a run: with them lines can be merged
//! when others change the base later.
//!
//! The kernel keeps no copy when a file is copied up, and none could be had once the base was written. What is kept was
//! the branch's base for certain: a file that nobody has touched since the branch was made, or that its own commit has
//! left there, before it was read and after. What was changed while a command ran is not kept. Nor is what no merge
//! would take (see [`text`]), and no more than [`MOST_FILES`] files with [`MOST_BYTES`] in all.
//!
//! They are in the branch's own directory, in a tree like the base's.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sandbox_types::RelPath;

use super::base::BaseKnowledge;
use super::beneath::Root;
use super::copy::{self, Attributes, TreeOptions};
use super::diff;
use super::error::BranchError;
use super::handle::Branch;
use super::manifest::Mode;
use super::merge::text;
use super::node::Meta;
use super::review::ReviewError;
use super::stack::{LayerFormat, Stack};
use super::xattr::Reading;

const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 64 << 20;

impl Branch {
    /// Keeps what the base has where the branch has changed it, and if asked to, where it has deleted it. It is on the
    /// disk when that is settled.
    pub(crate) fn keep_texts(&self, which: Which) -> Result<(), ReviewError> {
        let knowledge = self.knowledge()?;
        if knowledge.live.is_some() || knowledge.is_replaced {
            return Ok(());
        }
        let modified = diff::modified(&self.stack()?, &knowledge, which)?;
        if modified.is_empty() {
            return Ok(());
        }
        let (base, kept) = (self.workspace().base(), self.texts_directory());
        let keeping = || {
            let mut keeping = Keeping::new(base, &kept, &knowledge)?;
            modified.iter().try_for_each(|path| keeping.keep(path))?;
            // Nothing else of a copy is synced, and of half a text lines would be merged.
            if keeping.has_new && self.mode() == Mode::Copy {
                rustix::fs::syncfs(File::open(&kept)?)?;
            }
            Ok(())
        };
        Ok(keeping().map_err(BranchError::io("keep texts in", &kept))?)
    }

    /// What was kept, to be compared with.
    pub(crate) fn known_texts(&self) -> Result<Option<Root>, BranchError> {
        let kept = self.texts_directory();
        match Root::open(&kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some).map_err(BranchError::io("open", &kept)),
        }
    }

    /// What was kept, to be exported over `base`.
    pub(crate) fn texts_over(&self, base: &Path) -> Result<Option<Stack>, BranchError> {
        let kept = self.texts_directory();
        let layers = [(kept.clone(), LayerFormat::Overlay)];
        match Stack::open(&layers, base) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some).map_err(BranchError::io("open", &kept)),
        }
    }

    /// Takes over texts that came with an archive.
    pub(crate) fn take_texts(&self, from: &Path) -> Result<(), BranchError> {
        let to = self.texts_directory();
        fs::rename(from, &to).map_err(BranchError::io("make", &to))
    }

    /// What was kept, to be looked up; none where nothing was.
    pub(crate) fn kept_texts(&self) -> Result<Option<Stack>, BranchError> {
        let kept = self.texts_directory();
        match Stack::open(&[], &kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some).map_err(BranchError::io("open", &kept)),
        }
    }

    /// A branch that was made of `parent` has the same base.
    pub(crate) fn inherit_texts(&self, parent: &Self) -> Result<(), BranchError> {
        let (from, to) = (parent.texts_directory(), self.texts_directory());
        if !from.is_dir() {
            return Ok(());
        }
        let copied = copy::tree(&from, &to, &TreeOptions::default(), &mut |_| {});
        copied
            .map(drop)
            .map_err(|source| BranchError::Copy { from, source })
    }

    /// Something else is in the base at `path` now, which is what the branch's next change is made to.
    pub(crate) fn forget_text(&self, path: &RelPath) -> Result<(), BranchError> {
        let kept = self.texts_directory().join(path.as_path());
        match fs::remove_file(&kept) {
            // Of a directory nothing is kept but what is in it.
            Err(error) if is_nothing(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(()),
            result => result.map_err(BranchError::io("remove", &kept)),
        }
    }

    fn texts_directory(&self) -> PathBuf {
        self.directory().join("texts")
    }
}

/// Of which files texts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that the branch has changed: they may be merged.
    Modified,
    /// Those that it has deleted too: elsewhere it is not known what they were.
    OrDeleted,
}

struct Keeping<'a> {
    base: Root,
    kept: &'a Path,
    knowledge: &'a BaseKnowledge,
    files: usize,
    bytes: u64,
    has_new: bool,
}

impl<'a> Keeping<'a> {
    fn new(base: &Path, kept: &'a Path, knowledge: &'a BaseKnowledge) -> io::Result<Self> {
        let (mut files, mut bytes) = (0, 0);
        let mut left = vec![kept.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    left.push(entry.path());
                } else {
                    files += 1;
                    bytes += metadata.len();
                }
            }
        }
        Ok(Self {
            base: Root::open(base)?,
            kept,
            knowledge,
            files,
            bytes,
            has_new: false,
        })
    }

    fn keep(&mut self, path: &RelPath) -> io::Result<()> {
        let to = self.kept.join(path.as_path());
        if self.files >= MOST_FILES || to.symlink_metadata().is_ok() {
            return Ok(());
        }
        let Some((content, attributes)) = self.text(path)? else {
            return Ok(());
        };
        let parent = to.parent().unwrap_or(self.kept);
        fs::create_dir_all(parent)?;
        // It appears as a whole.
        let mut file = tempfile::NamedTempFile::new_in(self.kept)?;
        file.write_all(&content)?;
        attributes.put(file.as_file().as_fd())?;
        file.persist(&to)?;
        self.files += 1;
        self.bytes += content.len() as u64;
        self.has_new = true;
        Ok(())
    }

    /// What the base has at `path`, if that is a text and was the branch's base.
    fn text(&self, path: &RelPath) -> io::Result<Option<(Vec<u8>, Attributes)>> {
        let file = match self.base.file(path) {
            // It is gone, or may not be read: then it could not be merged either.
            Err(error) if is_nothing(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(None);
            }
            result => result?,
        };
        let before = Meta::of(&file)?;
        if before.size > text::LIMIT || self.bytes + before.size > MOST_BYTES {
            return Ok(None);
        }
        let mut content = Vec::new();
        (&file).take(text::LIMIT + 1).read_to_end(&mut content)?;
        let attributes = Attributes::read(file.as_fd(), &before, Reading::Exact)?;
        let after = Meta::of(&file)?;
        let is_known = !self.knowledge.is_newer(&after) || self.knowledge.is_ours(path, &after);
        let is_steady = after == before && content.len() as u64 == after.size;
        Ok((is_known && is_steady && !text::is_binary(&content)).then_some((content, attributes)))
    }
}

fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
}
