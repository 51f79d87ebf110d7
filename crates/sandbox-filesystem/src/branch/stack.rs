//! The merged view of a branch's layers and its base, read without mounting anything.
//!
//! It guarantees: resolution never leaves a layer's root and never follows a link, whatever a command has
//! left there, also while the branch is mounted and being written. It does not write.
//!
//! Format: overlayfs under `userxattr` (Documentation/filesystems/overlayfs.rst): a whiteout is the character
//! device 0/0, an opaque directory has `user.overlay.opaque` = `y`. A layer that is a whole copy hides
//! everything beneath it, and in it both mean nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::RelPath;

use super::node::Meta;

/// How a layer is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerFormat {
    /// What differs, as overlayfs writes it.
    Overlay,
    /// A whole copy.
    Complete,
}

/// One layer above the base.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) path: PathBuf,
    pub(crate) format: LayerFormat,
    root: OwnedFd,
}

/// Layers, the topmost first, over a base.
#[derive(Debug)]
pub(crate) struct Stack {
    layers: Vec<Layer>,
    base_path: PathBuf,
    base: OwnedFd,
    excluded: BTreeSet<RelPath>,
}

/// Where in the stack something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the layer of that index, 0 is the topmost.
    Layer(usize),
    /// In the base.
    Base,
}

/// An entry of the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) meta: Meta,
    pub(crate) origin: Origin,
}

/// A directory of the merged view, held open in each layer that contributes to it.
#[derive(Debug)]
pub(crate) struct Dir<'a> {
    stack: &'a Stack,
    path: RelPath,
    /// Layers that contribute, the topmost first.
    parts: Vec<(usize, OwnedFd)>,
    /// The base's directory of that path, whether it can be seen or not.
    base: Option<OwnedFd>,
    /// Whether it can.
    shows_base: bool,
}

impl Stack {
    /// Opens `layers`, the topmost first, over `base`.
    pub(crate) fn open(layers: &[(PathBuf, LayerFormat)], base: &Path) -> io::Result<Self> {
        let layers = layers.iter().map(|(path, format)| {
            Ok(Layer {
                root: open_root(path)?,
                path: path.clone(),
                format: *format,
            })
        });
        Ok(Self {
            layers: layers.collect::<io::Result<_>>()?,
            base_path: base.to_owned(),
            base: open_root(base)?,
            excluded: BTreeSet::new(),
        })
    }

    /// Leaves out what is at these paths, in the layers and in the base.
    pub(crate) fn exclude(mut self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        self.excluded.extend(paths);
        self
    }

    /// The layers, the topmost first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where the base is.
    pub(crate) fn base_path(&self) -> &Path {
        &self.base_path
    }

    /// The base's root.
    pub(crate) fn base(&self) -> BorrowedFd<'_> {
        self.base.as_fd()
    }

    /// The root of the merged view.
    pub(crate) fn root(&self) -> io::Result<Dir<'_>> {
        let mut parts = Vec::new();
        let mut shows_base = true;
        for (index, layer) in self.layers.iter().enumerate() {
            parts.push((index, layer.root.try_clone()?));
            if layer.format == LayerFormat::Complete || is_opaque(layer.root.as_fd())? {
                shows_base = false;
                break;
            }
        }
        Ok(Dir {
            stack: self,
            path: RelPath::root(),
            parts,
            base: Some(self.base.try_clone()?),
            shows_base,
        })
    }

    /// The merged directory at `path`; none where there is none.
    pub(crate) fn dir(&self, path: &RelPath) -> io::Result<Option<Dir<'_>>> {
        let mut dir = self.root()?;
        for name in path.as_path().iter() {
            match dir.enter(name)? {
                Some(next) if next.exists() => dir = next,
                _ => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    /// What is at `path`, other than the root; none where there is nothing.
    pub(crate) fn find(&self, path: &RelPath) -> io::Result<Option<Found>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(None);
        };
        match self.dir(&parent)? {
            Some(dir) => dir.view(name),
            None => Ok(None),
        }
    }

    /// Opens the regular file at `path` for reading.
    pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<File> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Errno::ISDIR.into());
        };
        let dir = self.dir(&parent)?.ok_or(Errno::NOENT)?;
        let found = dir.view(name)?.ok_or(Errno::NOENT)?;
        dir.open_file(name, found.origin)
    }
}

impl Dir<'_> {
    /// Where it is.
    pub(crate) fn path(&self) -> &RelPath {
        &self.path
    }

    /// Whether it is a directory of the merged view, not only of the base.
    pub(crate) fn exists(&self) -> bool {
        self.shows_base || !self.parts.is_empty()
    }

    /// Whether a layer above the base has anything to say about it.
    pub(crate) fn is_touched(&self) -> bool {
        !self.parts.is_empty() || !self.shows_base
    }

    /// Names that can differ from the base's: those in the layers, and the base's where it cannot be seen.
    pub(crate) fn touched_names(&self) -> io::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for (_, part) in &self.parts {
            names.extend(self.names_in(part)?);
        }
        if !self.shows_base
            && let Some(base) = &self.base
        {
            names.extend(self.names_in(base)?);
        }
        Ok(names)
    }

    /// Everything in the merged view of this directory.
    pub(crate) fn entries(&self) -> io::Result<BTreeMap<OsString, Found>> {
        let mut names = BTreeSet::new();
        for (_, part) in &self.parts {
            names.extend(self.names_in(part)?);
        }
        if let Some(base) = self.base.as_ref().filter(|_| self.shows_base) {
            names.extend(self.names_in(base)?);
        }
        let mut entries = BTreeMap::new();
        for name in names {
            if let Some(found) = self.view(&name)? {
                entries.insert(name, found);
            }
        }
        Ok(entries)
    }

    /// Names in the base's directory, seen or not.
    pub(crate) fn base_names(&self) -> io::Result<BTreeSet<OsString>> {
        self.base.as_ref().map_or_else(
            || Ok(BTreeSet::new()),
            |base| Ok(self.names_in(base)?.into_iter().collect()),
        )
    }

    /// What `name` is in the merged view.
    pub(crate) fn view(&self, name: &OsStr) -> io::Result<Option<Found>> {
        if self.is_excluded(name) {
            return Ok(None);
        }
        for (index, part) in &self.parts {
            if let Some(meta) = Meta::at(part, name)? {
                let is_hidden = meta.is_whiteout() && self.is_overlay(*index);
                return Ok((!is_hidden).then_some(Found {
                    meta,
                    origin: Origin::Layer(*index),
                }));
            }
        }
        if self.shows_base {
            self.base(name)
        } else {
            Ok(None)
        }
    }

    /// What `name` is in the base, seen or not.
    pub(crate) fn base(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match &self.base {
            Some(base) if !self.is_excluded(name) => Ok(Meta::at(base, name)?.map(|meta| Found {
                meta,
                origin: Origin::Base,
            })),
            _ => Ok(None),
        }
    }

    /// The directory that holds what `origin` says.
    pub(crate) fn holder(&self, origin: Origin) -> io::Result<BorrowedFd<'_>> {
        match origin {
            Origin::Base => self.base.as_ref(),
            Origin::Layer(index) => self
                .parts
                .iter()
                .find_map(|(known, part)| (*known == index).then_some(part)),
        }
        .map(AsFd::as_fd)
        .ok_or_else(|| Errno::NOENT.into())
    }

    /// Opens the regular file `name` for reading, as it is in `origin`.
    pub(crate) fn open_file(&self, name: &OsStr, origin: Origin) -> io::Result<File> {
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.holder(origin)?, name, flags, Mode::empty())?;
        match Meta::of(&fd)?.kind {
            sandbox_types::NodeKind::File => Ok(fd.into()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    /// The directory `name` in this one: of the merged view, of the base, or of both; none where it is in neither.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Option<Self>> {
        if self.is_excluded(name) {
            return Ok(None);
        }
        let mut parts = Vec::new();
        let mut shows_base = self.shows_base;
        for (index, part) in &self.parts {
            match Meta::at(part, name)? {
                None => {}
                Some(meta) if meta.is_dir() => {
                    let fd = open_dir(part.as_fd(), name)?;
                    let is_opaque = self.is_overlay(*index) && is_opaque(fd.as_fd())?;
                    parts.push((*index, fd));
                    if is_opaque {
                        shows_base = false;
                        break;
                    }
                }
                // Hidden, or another kind of entry: what is beneath does not show.
                Some(_) => {
                    shows_base = false;
                    break;
                }
            }
        }
        let base = match &self.base {
            Some(base) if Meta::at(base, name)?.is_some_and(|meta| meta.is_dir()) => {
                Some(open_dir(base.as_fd(), name)?)
            }
            _ => None,
        };
        if parts.is_empty() && base.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            stack: self.stack,
            path: self.path.join(name).map_err(io::Error::other)?,
            shows_base: shows_base && base.is_some(),
            parts,
            base,
        }))
    }

    fn is_overlay(&self, index: usize) -> bool {
        self.stack
            .layers
            .get(index)
            .is_some_and(|layer| layer.format == LayerFormat::Overlay)
    }

    fn is_excluded(&self, name: &OsStr) -> bool {
        !self.stack.excluded.is_empty()
            && self
                .path
                .join(name)
                .is_ok_and(|path| self.stack.excluded.contains(&path))
    }

    fn names_in(&self, dir: &OwnedFd) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(dir)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && !self.is_excluded(name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// The root of a layer or a base; its own path may lead through links, which are the caller's.
fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn open_dir(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Whether an overlayfs directory hides what is beneath it.
fn is_opaque(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value = [0_u8; 4];
    match rustix::fs::fgetxattr(dir, c"user.overlay.opaque", &mut value) {
        Ok(length) => Ok(value.get(..length) == Some(b"y")),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stack: &Stack, path: &str) -> Vec<String> {
        let dir = stack.dir(&RelPath::new(path).unwrap()).unwrap().unwrap();
        let names = dir.entries().unwrap().into_keys();
        names.map(|name| name.into_string().unwrap()).collect()
    }

    fn whiteout(path: &Path) {
        let mode = Mode::empty();
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide_what_is_beneath() {
        let place = tempfile::tempdir().unwrap();
        let [base, low, top] = ["base", "low", "top"].map(|name| place.path().join(name));
        for dir in ["a", "b", "c"] {
            std::fs::create_dir_all(base.join(dir)).unwrap();
            std::fs::write(base.join(dir).join("old"), "old").unwrap();
        }
        std::fs::create_dir_all(low.join("a")).unwrap();
        std::fs::create_dir_all(low.join("b")).unwrap();
        std::fs::create_dir_all(top.join("a")).unwrap();
        std::fs::create_dir_all(top.join("b")).unwrap();
        whiteout(&low.join("a/old"));
        std::fs::write(low.join("a/mid"), "mid").unwrap();
        std::fs::write(top.join("a/new"), "new").unwrap();
        rustix::fs::setxattr(
            low.join("b"),
            c"user.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        std::fs::write(top.join("b/new"), "new").unwrap();
        whiteout(&top.join("c"));
        let layers = [top, low].map(|path| (path, LayerFormat::Overlay));
        let stack = Stack::open(&layers, &base).unwrap();
        assert_eq!(names(&stack, ""), ["a", "b"]);
        assert_eq!(names(&stack, "a"), ["mid", "new"]);
        assert_eq!(names(&stack, "b"), ["new"]);
        assert!(stack.dir(&RelPath::new("c").unwrap()).unwrap().is_none());
        let gone = stack.root().unwrap().enter(OsStr::new("c")).unwrap().unwrap();
        assert!(!gone.exists());
        assert_eq!(gone.base_names().unwrap().len(), 1);
    }

    #[test]
    fn a_link_in_a_layer_is_never_followed() {
        let place = tempfile::tempdir().unwrap();
        let [base, top] = ["base", "top"].map(|name| place.path().join(name));
        std::fs::create_dir_all(base.join("etc")).unwrap();
        std::fs::create_dir(&top).unwrap();
        std::os::unix::fs::symlink("/etc", top.join("etc")).unwrap();
        let stack = Stack::open(&[(top, LayerFormat::Overlay)], &base).unwrap();
        assert!(
            stack
                .find(&RelPath::new("etc/passwd").unwrap())
                .unwrap()
                .is_none()
        );
        assert!(stack.open_file(&RelPath::new("etc").unwrap()).is_err());
    }

    #[test]
    fn a_whole_copy_hides_the_base() {
        let place = tempfile::tempdir().unwrap();
        let [base, tree] = ["base", "tree"].map(|name| place.path().join(name));
        std::fs::create_dir(&base).unwrap();
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(base.join("deleted"), "").unwrap();
        let stack = Stack::open(&[(tree, LayerFormat::Complete)], &base).unwrap();
        assert!(names(&stack, "").is_empty());
        assert_eq!(stack.root().unwrap().touched_names().unwrap().len(), 1);
    }
}
