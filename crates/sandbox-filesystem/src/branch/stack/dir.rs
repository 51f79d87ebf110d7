//! One directory of the merged view.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::super::node::{Meta, Timestamp};
use super::super::xattr::{Reading, by_descriptor};
use super::access::{self, Opened};
use super::{Found, LayerFormat, Origin, Stack};

/// A directory of the merged view, held open in each layer that contributes to it.
#[derive(Debug)]
pub(crate) struct Dir<'a> {
    stack: &'a Stack,
    path: RelPath,
    /// Layers that contribute, the topmost first.
    parts: Vec<(usize, Opened)>,
    /// The base's directory of that path, whether it can be seen or not.
    base: Option<OwnedFd>,
    /// Whether it can.
    shows_base: bool,
    /// Names in it that the stack leaves out.
    excluded: Vec<OsString>,
}

impl<'a> Dir<'a> {
    pub(super) fn root(stack: &'a Stack) -> io::Result<Self> {
        let mut parts = Vec::new();
        let mut shows_base = true;
        for (index, layer) in stack.layers.iter().enumerate() {
            parts.push((index, Opened::borrowed(layer.root.as_fd())?));
            if layer.format == LayerFormat::Complete || is_opaque(layer.root.as_fd())? {
                shows_base = false;
                break;
            }
        }
        let path = RelPath::root();
        Ok(Self {
            excluded: excluded_in(stack, &path),
            stack,
            path,
            parts,
            base: Some(stack.base.try_clone()?),
            shows_base,
        })
    }

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

    /// Whether entries of the base that no layer mentions are seen in it.
    pub(crate) fn shows_base(&self) -> bool {
        self.shows_base
    }

    /// Names that can differ from the base's: those in the layers, and the base's where it cannot be seen.
    pub(crate) fn touched_names(&self) -> io::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for (_, part) in &self.parts {
            names.extend(self.names_in(part.as_fd())?);
        }
        if !self.shows_base
            && let Some(base) = &self.base
        {
            names.extend(self.names_in(base.as_fd())?);
        }
        Ok(names)
    }

    /// Everything in the merged view of this directory.
    pub(crate) fn entries(&self) -> io::Result<BTreeMap<OsString, Found>> {
        let mut names = BTreeSet::new();
        for (_, part) in &self.parts {
            names.extend(self.names_in(part.as_fd())?);
        }
        if let Some(base) = self.base.as_ref().filter(|_| self.shows_base) {
            names.extend(self.names_in(base.as_fd())?);
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
    #[cfg(test)]
    pub(crate) fn base_names(&self) -> io::Result<BTreeSet<OsString>> {
        self.base.as_ref().map_or_else(
            || Ok(BTreeSet::new()),
            |base| Ok(self.names_in(base.as_fd())?.into_iter().collect()),
        )
    }

    /// What `name` is in the merged view.
    pub(crate) fn view(&self, name: &OsStr) -> io::Result<Option<Found>> {
        if self.is_excluded(name) {
            return Ok(None);
        }
        for (index, part) in &self.parts {
            if let Some(meta) = Meta::at(part, name)? {
                let is_hidden = self.is_whiteout(*index, part.as_fd(), name, &meta)?;
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

    /// What `name` is in each layer below the one that `origin` says, whiteouts left out.
    pub(crate) fn beneath(&self, name: &OsStr, origin: Option<Origin>) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for (index, part) in &self.parts {
            let is_below = origin.is_none_or(|origin| Origin::Layer(*index) > origin);
            let meta = if is_below { Meta::at(part, name)? } else { None };
            if let Some(meta) = meta
                && !self.is_whiteout(*index, part.as_fd(), name, &meta)?
            {
                let origin = Origin::Layer(*index);
                found.push(Found { meta, origin });
            }
        }
        Ok(found)
    }

    /// Whether a whole copy is what shows here that `name` is not there: no layer above it says so.
    pub(crate) fn lacks_in_copy(&self, name: &OsStr) -> io::Result<bool> {
        for (index, part) in &self.parts {
            if Meta::at(part, name)?.is_some() {
                return Ok(false);
            }
            if !self.is_overlay(*index) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a layer as overlayfs writes it has something of that name, be it a whiteout.
    pub(crate) fn is_mentioned(&self, name: &OsStr) -> io::Result<bool> {
        for (index, part) in &self.parts {
            if self.is_overlay(*index) && Meta::at(part, name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When something in the topmost layer's directory, or the directory itself, was changed; none where no
    /// layer has it.
    pub(crate) fn last_changed(&self) -> io::Result<Option<Timestamp>> {
        let part = self.parts.first();
        part.map(|(_, part)| Ok(Meta::of(part)?.ctime)).transpose()
    }

    /// How extended attributes are to be read there.
    pub(crate) fn reading(&self, origin: Origin) -> Reading {
        self.stack.reading(origin)
    }

    /// The directory that holds what `origin` says.
    pub(crate) fn holder(&self, origin: Origin) -> io::Result<BorrowedFd<'_>> {
        match origin {
            Origin::Base => self.base.as_ref().map(AsFd::as_fd),
            Origin::Layer(index) => self
                .parts
                .iter()
                .find_map(|(known, part)| (*known == index).then_some(part.as_fd())),
        }
        .ok_or_else(|| Errno::NOENT.into())
    }

    /// Opens the regular file `name` for reading, as it is in `origin`.
    pub(crate) fn open_file(&self, name: &OsStr, origin: Origin) -> io::Result<File> {
        let holder = self.holder(origin)?;
        match origin {
            Origin::Base => access::open_file(holder, name),
            Origin::Layer(_) => access::open_layer_file(holder, name),
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
                    let opened = access::open_layer_dir(part.as_fd(), name, &meta)?;
                    let is_opaque = self.is_overlay(*index) && is_opaque(opened.as_fd())?;
                    parts.push((*index, opened));
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
        let base = self.enter_base(name)?;
        if parts.is_empty() && base.is_none() {
            return Ok(None);
        }
        let path = self.path.join(name).map_err(io::Error::other)?;
        Ok(Some(Self {
            excluded: excluded_in(self.stack, &path),
            stack: self.stack,
            path,
            shows_base: shows_base && base.is_some(),
            parts,
            base,
        }))
    }

    /// The base's directory `name`, whether it can be seen or not; none where the base has none.
    pub(crate) fn enter_base(&self, name: &OsStr) -> io::Result<Option<OwnedFd>> {
        match &self.base {
            Some(base) if Meta::at(base, name)?.is_some_and(|meta| meta.is_dir()) => {
                access::open_dir(base.as_fd(), name).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A directory that is nowhere.
    pub(crate) fn nothing(&self, path: RelPath) -> Self {
        Self {
            stack: self.stack,
            excluded: excluded_in(self.stack, &path),
            path,
            parts: Vec::new(),
            base: None,
            shows_base: false,
        }
    }

    /// Whether what a layer has under a name says that there is nothing.
    fn is_whiteout(&self, index: usize, part: BorrowedFd<'_>, name: &OsStr, meta: &Meta) -> io::Result<bool> {
        Ok(self.is_overlay(index) && (meta.is_whiteout() || is_attribute_whiteout(part, name, meta)?))
    }

    fn is_overlay(&self, index: usize) -> bool {
        self.stack.format(index) == Some(LayerFormat::Overlay)
    }

    /// Whether the stack leaves `name` out.
    pub(crate) fn is_excluded(&self, name: &OsStr) -> bool {
        self.excluded.iter().any(|excluded| excluded == name)
    }

    fn names_in(&self, dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
        let mut names = names(dir)?;
        if !self.excluded.is_empty() {
            names.retain(|name| !self.is_excluded(name));
        }
        Ok(names)
    }
}

/// What is in a directory, but for `.` and `..`.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn excluded_in(stack: &Stack, dir: &RelPath) -> Vec<OsString> {
    let inside = |path: &&RelPath| path.parent().as_ref() == Some(dir);
    let excluded = stack.excluded.iter().filter(inside);
    excluded
        .filter_map(|path| path.name().map(OsStr::to_owned))
        .collect()
}

/// An empty file that says that it is one, as mode `exact` has it where there are no devices 0/0.
fn is_attribute_whiteout(dir: BorrowedFd<'_>, name: &OsStr, meta: &Meta) -> io::Result<bool> {
    if meta.kind != NodeKind::File || meta.size != 0 {
        return Ok(false);
    }
    let path = Path::new(&by_descriptor(dir)).join(name);
    match rustix::fs::lgetxattr(&path, c"user.overlay.whiteout", &mut [0_u8; 8]) {
        Ok(_) | Err(Errno::RANGE) => Ok(true),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS | Errno::PERM | Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
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
