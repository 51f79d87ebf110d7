//! What a rule can ask of a change besides its path. Nothing is read before it is asked for.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Component, Path};

use rustix::io::Errno;
use sandbox_types::{Attribute, Change, ChangeKind, NodeKind, RelPath};

use super::link;
use crate::branch::stack::Found;
use crate::branch::walk::Walk;

/// Longer files are not looked through: a rule that would have to is taken to apply.
const TEXT_LIMIT: u64 = 4 << 20;

/// A change and where to look it up.
pub(super) struct Facts<'f, 'a> {
    walk: &'f Walk<'a>,
    change: &'f Change,
    now: OnceCell<Option<Found>>,
}

impl<'f, 'a> Facts<'f, 'a> {
    pub(super) fn new(walk: &'f Walk<'a>, change: &'f Change) -> Self {
        let now = OnceCell::new();
        Self { walk, change, now }
    }

    pub(super) fn change(&self) -> &Change {
        self.change
    }

    /// Whether nothing of that kind was at this path.
    pub(super) fn is_new(&self) -> bool {
        matches!(
            self.change.change,
            ChangeKind::Added | ChangeKind::Renamed { .. } | ChangeKind::TypeChanged { .. }
        )
    }

    /// Whether what it holds is new or differs.
    pub(super) fn content_changed(&self) -> bool {
        match self.change.change {
            ChangeKind::Modified { content, .. } | ChangeKind::Renamed { content, .. } => content,
            _ => true,
        }
    }

    /// Whether it is a regular file with one of the permission bits `bits`.
    pub(super) fn has_mode(&self, bits: u32) -> io::Result<bool> {
        Ok(self.file()?.is_some_and(|found| found.meta.mode & bits != 0))
    }

    /// Whether it is, and was not before.
    pub(super) fn gains_mode(&self, bits: u32) -> io::Result<bool> {
        if let ChangeKind::Modified { attributes, .. } = &self.change.change
            && !attributes.contains(&Attribute::Mode)
        {
            return Ok(false);
        }
        let had = self
            .file_before()?
            .is_some_and(|found| found.meta.mode & bits != 0);
        Ok(!had && self.has_mode(bits)?)
    }

    /// Whether it is a regular file with file capabilities.
    pub(super) fn has_capabilities(&self) -> io::Result<bool> {
        let Some(found) = self.file()? else {
            return Ok(false);
        };
        self.walk
            .holding(&self.change.path, found.origin, |holder, name| {
                // Through the directory: a descriptor of the file would need the permission to read it.
                let path = Path::new("/proc/self/fd").join(holder.as_raw_fd().to_string());
                let mut nothing = [0_u8; 0];
                match rustix::fs::lgetxattr(path.join(name), c"security.capability", &mut nothing[..]) {
                    Ok(_) => Ok(true),
                    Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
                    Err(errno) => Err(errno.into()),
                }
            })
    }

    /// Whether it is a symbolic link that leads out of the workspace, or could.
    pub(super) fn leaves_workspace(&self) -> io::Result<bool> {
        let Some(target) = self.target_of(&self.change.path)? else {
            return Ok(false);
        };
        let root = self.walk.stack().base_path();
        link::leaves_workspace(&self.change.path, &target, root, &mut |path| self.target_of(path))
    }

    /// Whether it is a regular file that starts with `magic`.
    pub(super) fn starts_with(&self, magic: &[u8]) -> io::Result<bool> {
        let Some(found) = self.file()? else {
            return Ok(false);
        };
        let mut start = Vec::with_capacity(magic.len());
        let length = u64::try_from(magic.len()).unwrap_or(u64::MAX);
        let file = self.walk.open(&self.change.path, found.origin)?;
        file.take(length).read_to_end(&mut start)?;
        Ok(start == magic)
    }

    /// What the file holds; none where it is no regular file, or a long one.
    pub(super) fn text(&self) -> io::Result<Option<Vec<u8>>> {
        match self.file()? {
            Some(found) => self.read(&self.change.path, found),
            None => Ok(None),
        }
    }

    /// What the base's file holds; nothing where there is none.
    pub(super) fn text_before(&self) -> io::Result<Vec<u8>> {
        let text = match (self.path_before(), self.file_before()?) {
            (Some(path), Some(found)) => self.read(path, found)?,
            _ => None,
        };
        Ok(text.unwrap_or_default())
    }

    /// Whether something is at `relative`, seen from the change's directory.
    pub(super) fn is_beside(&self, relative: &str) -> io::Result<bool> {
        match self.beside(relative) {
            Some(path) => Ok(self.walk.find(&path)?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether the base has something there.
    pub(super) fn was_beside(&self, relative: &str) -> io::Result<bool> {
        match self.beside(relative) {
            Some(path) => Ok(self.walk.base(&path)?.is_some()),
            None => Ok(false),
        }
    }

    /// `relative`, seen from the change's directory; none where that is outside.
    fn beside(&self, relative: &str) -> Option<RelPath> {
        let mut path = self.change.path.parent().unwrap_or_default();
        for component in Path::new(relative).components() {
            path = match component {
                Component::Normal(name) => path.join(name).ok()?,
                Component::ParentDir => path.parent()?,
                _ => path,
            };
        }
        Some(path)
    }

    /// The regular file that it is now.
    fn file(&self) -> io::Result<Option<Found>> {
        if self.change.node != NodeKind::File {
            return Ok(None);
        }
        let found = if let Some(known) = self.now.get() {
            *known
        } else {
            let found = self.walk.find(&self.change.path)?;
            *self.now.get_or_init(|| found)
        };
        Ok(found.filter(|found| found.meta.kind == NodeKind::File))
    }

    /// The regular file that it was.
    fn file_before(&self) -> io::Result<Option<Found>> {
        let found = match self.path_before() {
            Some(path) => self.walk.base(path)?,
            None => None,
        };
        Ok(found.filter(|found| found.meta.kind == NodeKind::File))
    }

    fn path_before(&self) -> Option<&RelPath> {
        match &self.change.change {
            ChangeKind::Added => None,
            ChangeKind::Renamed { from, .. } => Some(from),
            _ => Some(&self.change.path),
        }
    }

    fn read(&self, path: &RelPath, found: Found) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let file = self.walk.open(path, found.origin)?;
        let length = file.take(TEXT_LIMIT + 1).read_to_end(&mut text)?;
        let is_whole = u64::try_from(length).is_ok_and(|length| length <= TEXT_LIMIT);
        Ok(is_whole.then_some(text))
    }

    fn target_of(&self, path: &RelPath) -> io::Result<Option<OsString>> {
        match self.walk.find(path)? {
            Some(found) if found.meta.kind == NodeKind::Symlink => {
                self.walk.target(path, found.origin).map(Some)
            }
            _ => Ok(None),
        }
    }
}
