//! Bringing everything that will be needed to where it can be put in place by rename alone.
//!
//! What can fail for want of space or permission fails here, before the base is touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use sandbox_types::RelPath;

use super::super::beneath::{Root, node_at};
use super::super::copy::{Attributes, Copier, Reflink, special, symlink};
use super::super::node::Meta;
use super::super::progress::{Phase, Progress};
use super::super::stack::{LayerFormat, Stack};
use super::super::xattr::Reading;
use super::crash::crash_point;
use super::error::ApplyError;
use super::journal::{Print, Saved, Staged, StagedHead, StagedStep};
use super::moves;
use super::plan::{After, LinkTo, Note, Noted, Source, Step, find};
use super::slots::{Renames, Slots, new_slot};
use super::sync::Durable;

/// Fills slots.
pub(super) struct Stager<'a> {
    pub(super) base: &'a Root,
    pub(super) slots: &'a Slots,
    pub(super) renames: Renames,
    pub(super) durable: Durable,
    copier: Copier,
    sources: BTreeMap<PathBuf, Root>,
    state: Progress,
    progress: &'a mut dyn FnMut(Progress),
    pub(super) notes: Vec<Note>,
}

impl<'a> Stager<'a> {
    pub(super) fn new(
        base: &'a Root,
        slots: &'a Slots,
        renames: Renames,
        steps: &[Step],
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let bytes = steps.iter().map(Step::bytes).sum();
        Self {
            base,
            slots,
            renames,
            durable: Durable::for_entries(steps.len()),
            copier: Copier::new(Reflink::Try),
            sources: BTreeMap::new(),
            state: Progress::start(Phase::Staging, Some(steps.len() as u64), Some(bytes)),
            progress,
            notes: Vec::new(),
        }
    }

    /// Makes the new version of each step.
    pub(super) fn run(&mut self, steps: &[Step], mut head: StagedHead) -> Result<Staged, ApplyError> {
        let mut staged = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            staged.push(self.step(index, step, steps)?);
            self.state.entries += 1;
            (self.progress)(self.state);
            crash_point("entry staged");
        }
        head.notes.append(&mut self.notes);
        Ok(Staged { head, steps: staged })
    }

    fn step(&mut self, index: usize, step: &Step, steps: &[Step]) -> Result<StagedStep, ApplyError> {
        let link = match &step.after {
            After::File {
                link_to: Some(LinkTo::Step { path }),
                ..
            } => find(steps, path).map(new_slot),
            _ => None,
        };
        let mut staged = StagedStep {
            new: self.entry(&new_slot(index), &step.path, &step.after, link)?,
            ..StagedStep::default()
        };
        if step.removes_directory() {
            staged.saved = Some(self.directory(&step.path)?);
        }
        Ok(staged)
    }

    /// Makes `after` in `slot`, as another name of `link` where that is given; none where it needs no slot.
    pub(super) fn entry(
        &mut self,
        slot: &str,
        path: &RelPath,
        after: &After,
        link: Option<String>,
    ) -> Result<Option<Print>, ApplyError> {
        let node = match (after, link) {
            (After::Absent | After::Attributes { .. }, _) => return Ok(None),
            (_, Some(link)) => self.link(&link, slot),
            (After::File { source, link_to, .. }, None) => match link_to {
                Some(LinkTo::Base { path: known, meta }) => self.link_to_base(known, meta, slot),
                _ => return self.file(slot, path, source, after).map(Some),
            },
            (After::Directory { .. }, None) => moves::make_dir(self.slots, slot),
            (After::Symlink { target, .. }, None) => symlink(self.slots.as_fd(), Path::new(slot), target),
            (After::Special { kind, rdev, .. }, None) => {
                special(self.slots.as_fd(), Path::new(slot), *kind, *rdev)
            }
        };
        let node = node.map_err(stage_error(path))?;
        let is_link_of_other = matches!(after, After::File { link_to: Some(_), .. });
        if !is_link_of_other && let Some(attributes) = after.attributes() {
            self.put(attributes, &node, path)?;
        }
        let meta = Meta::of(&node).map_err(stage_error(path))?;
        Ok(Some(Print::of(&meta)))
    }

    fn file(
        &mut self,
        slot: &str,
        path: &RelPath,
        source: &Source,
        after: &After,
    ) -> Result<Print, ApplyError> {
        let from = self.open(source).map_err(stage_error(path))?;
        let meta = Meta::of(&from).map_err(stage_error(path))?;
        if !source.is(&meta) {
            return Err(ApplyError::SourceMoved { path: path.clone() });
        }
        let to = new_file(self.slots, slot).map_err(stage_error(path))?;
        self.copy(&from, &to, &meta).map_err(stage_error(path))?;
        if !source.is(&Meta::of(&from).map_err(stage_error(path))?) {
            return Err(ApplyError::SourceMoved { path: path.clone() });
        }
        if let Some(attributes) = after.attributes() {
            self.put(attributes, &to, path)?;
        }
        self.durable.file(&to).map_err(stage_error(path))?;
        let meta = Meta::of(&to).map_err(stage_error(path))?;
        Ok(Print::of(&meta))
    }

    /// Copies content, and says so.
    pub(super) fn copy(&mut self, from: &File, to: &File, meta: &Meta) -> io::Result<()> {
        let (state, progress) = (&mut self.state, &mut self.progress);
        self.copier.copy(from, to, &meta.shape(), &mut |copied| {
            state.bytes += copied;
            progress(*state);
        })
    }

    fn open(&mut self, source: &Source) -> io::Result<File> {
        let root = match self.sources.entry(source.root.clone()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Root::open(&source.root)?),
        };
        match root.file(&source.path) {
            // A layer's own mode does not keep us from reading it: the view of layers has a way.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let layer = [(source.root.clone(), LayerFormat::Complete)];
                Stack::open(&layer, &source.root)?.open_file(&source.path)
            }
            result => result,
        }
    }

    fn link(&self, from: &str, slot: &str) -> io::Result<OwnedFd> {
        rustix::fs::linkat(self.slots, from, self.slots, slot, AtFlags::empty())?;
        node_at(self.slots.as_fd(), slot)
    }

    fn link_to_base(&self, path: &RelPath, known: &Meta, slot: &str) -> io::Result<OwnedFd> {
        let place = self.base.place(path)?;
        rustix::fs::linkat(&place.parent, place.name(), self.slots, slot, AtFlags::empty())?;
        let node = node_at(self.slots.as_fd(), slot)?;
        if Print::of(known).is(&Meta::of(&node)?) {
            Ok(node)
        } else {
            Err(rustix::io::Errno::STALE.into())
        }
    }

    /// What is needed to make the directory at `path` again, should it not be possible to move it. That will not
    /// be possible for a plain user where it is another user's, who could then not get it back.
    fn directory(&self, path: &RelPath) -> Result<Saved, ApplyError> {
        let failed = || stage_error(path);
        let place = self.base.place(path).map_err(failed())?;
        let node = place.node().map_err(failed())?;
        let meta = Meta::of(&node).map_err(failed())?;
        let me = rustix::process::geteuid();
        if !me.is_root() && meta.uid != me.as_raw() {
            let flags = AtFlags::EACCESS;
            rustix::fs::accessat(&place.parent, place.name(), Access::WRITE_OK, flags)
                .map_err(|_| ApplyError::NotRestorable { path: path.clone() })?;
        }
        let attributes = Attributes::read(node.as_fd(), &meta, Reading::Exact).map_err(failed())?;
        Ok(Saved {
            attributes,
            target: None,
            link_to: None,
        })
    }

    /// Sets attributes; those of a directory so that entries can be put into it.
    fn put(&mut self, attributes: &Attributes, node: impl AsFd, path: &RelPath) -> Result<(), ApplyError> {
        let node = node.as_fd();
        let is_dir = Meta::of(node).map_err(stage_error(path))?.is_dir();
        let refused = if is_dir {
            attributes.of_open_directory().put(node)
        } else {
            attributes.put(node)
        };
        let refused = refused.map_err(stage_error(path))?;
        let noted = refused.into_iter().map(|refused| Note {
            path: path.clone(),
            what: Noted::Refused(refused),
        });
        self.notes.extend(noted);
        Ok(())
    }
}

impl Source {
    /// Whether it is what it was when the plan was made.
    fn is(&self, meta: &Meta) -> bool {
        let known = |meta: &Meta| (meta.dev, meta.ino, meta.size, meta.mtime);
        known(&self.meta) == known(meta)
    }
}

/// An empty file in a slot.
pub(super) fn new_file(slots: &Slots, slot: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(slots, slot, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// All attributes of what the base has at `path`.
pub(super) fn old_attributes(base: &Root, path: &RelPath) -> io::Result<Attributes> {
    let node = base.place(path)?.node()?;
    Attributes::read(node.as_fd(), &Meta::of(&node)?, Reading::Exact)
}

pub(super) fn stage_error(path: &RelPath) -> impl FnOnce(io::Error) -> ApplyError {
    let path = path.clone();
    move |source| ApplyError::Stage { path, source }
}
