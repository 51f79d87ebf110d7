//! What was decided → a layer.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::os::fd::AsFd;

use sandbox_types::{NodeKind, RelPath};

use super::MergeError;
use super::outcome::{Content, Node, Outcome};
use super::structure::Decisions;
use super::views::{View, Views};
use crate::branch::copy::Attributes;
use crate::branch::layer_writer::LayerWriter;
use crate::branch::progress::{Phase, Progress};
use crate::branch::stack::LayerFormat;

/// Writes `decisions` into a layer over the base.
pub(super) struct Writing<'v, 'a> {
    views: &'v Views<'a>,
    into: LayerWriter,
    /// Directories that the layer has.
    made: BTreeSet<RelPath>,
    /// Where the first link of a file with several was written.
    links: HashMap<(View, u64, u64), RelPath>,
}

impl<'v, 'a> Writing<'v, 'a> {
    pub(super) fn new(views: &'v Views<'a>, into: LayerWriter) -> Self {
        Self {
            views,
            into,
            made: BTreeSet::new(),
            links: HashMap::new(),
        }
    }

    pub(super) fn run(
        mut self,
        decisions: &Decisions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), MergeError> {
        let total = u64::try_from(decisions.len()).ok();
        let mut state = Progress::start(Phase::Merging, total, None);
        if self.into.format() == LayerFormat::Overlay {
            self.base_directory(&RelPath::root())?;
        }
        // The last path that is gone or no directory: nothing is beneath it.
        let mut cover: Option<&RelPath> = None;
        for (path, decision) in decisions {
            state.entries += 1;
            progress(state);
            if cover.is_some_and(|cover| path.is_beneath(cover)) {
                continue;
            }
            match &decision.outcome {
                Outcome::Gone => {
                    self.gone(path)?;
                    cover = Some(path);
                }
                Outcome::Node(node) if node.is_dir() => self.directory(path, node)?,
                Outcome::Node(node) => {
                    self.node(path, node)?;
                    cover = Some(path);
                }
            }
        }
        let refused = self.into.finish().map_err(MergeError::write(&RelPath::root()))?;
        for (path, what) in refused {
            tracing::debug!(%path, ?what, "could not be set");
        }
        Ok(())
    }

    fn gone(&mut self, path: &RelPath) -> Result<(), MergeError> {
        if self.views.find(View::Base, path)?.is_none() {
            return Ok(());
        }
        self.parents(path)?;
        self.into.whiteout(path).map_err(MergeError::write(path))
    }

    fn directory(&mut self, path: &RelPath, node: &Node) -> Result<(), MergeError> {
        self.parents(path)?;
        let attributes = self.attributes(node)?;
        self.make_directory(path, attributes)
    }

    fn node(&mut self, path: &RelPath, node: &Node) -> Result<(), MergeError> {
        self.parents(path)?;
        self.into.clear(path).map_err(MergeError::write(path))?;
        if self.link(path, node)? {
            return Ok(());
        }
        let attributes = self.attributes(node)?;
        let from = &node.from;
        let written = match (&node.content, from.meta.kind) {
            (Content::Text(text), _) => self.text(path, text, attributes),
            (Content::Same, NodeKind::File) => {
                let source = self.views.open(from)?;
                self.into.copy(path, &source, &from.meta, attributes)
            }
            (Content::Same, NodeKind::Symlink) => {
                let target = self.views.target(from)?;
                self.into.symlink(path, &target, attributes)
            }
            (Content::Same, kind) => self.into.special(path, kind, from.meta.rdev, attributes),
        };
        written.map_err(MergeError::write(path))
    }

    fn text(&mut self, path: &RelPath, text: &[u8], attributes: Attributes) -> io::Result<()> {
        let mut file = self.into.file(path)?;
        file.write_all(text)?;
        self.into.complete(path, file.as_fd(), attributes)
    }

    /// Links to what has been written already, where both are links of one file that is taken as it is.
    fn link(&mut self, path: &RelPath, node: &Node) -> Result<bool, MergeError> {
        let from = &node.from;
        let is_as_it_is = matches!(node.content, Content::Same)
            && [&node.mode, &node.owner, &node.xattrs]
                .iter()
                .all(|part| *part == from);
        if from.meta.nlink < 2 || !is_as_it_is {
            return Ok(false);
        }
        let key = (from.view, from.meta.dev, from.meta.ino);
        if let Some(first) = self.links.get(&key) {
            self.into.link(first, path).map_err(MergeError::write(path))?;
            return Ok(true);
        }
        self.links.insert(key, path.clone());
        Ok(false)
    }

    /// Makes the directories that `path` is in, with the attributes that the base's have.
    fn parents(&mut self, path: &RelPath) -> Result<(), MergeError> {
        let mut missing = Vec::new();
        let mut parent = path.parent();
        while let Some(directory) = parent {
            if self.made.contains(&directory) {
                break;
            }
            parent = directory.parent();
            missing.push(directory);
        }
        missing
            .iter()
            .rev()
            .try_for_each(|directory| self.base_directory(directory))
    }

    /// Makes the directory that the base has at `path`; where it has none, that of a side.
    fn base_directory(&mut self, path: &RelPath) -> Result<(), MergeError> {
        let base = self
            .views
            .find(View::Base, path)?
            .filter(|found| found.meta.is_dir());
        let is_there = base.is_some() && self.into.format() == LayerFormat::Complete;
        let found = match base {
            Some(found) => Some(found),
            None => self.views.directory(path)?,
        };
        let Some(found) = found.filter(|_| !is_there) else {
            self.made.insert(path.clone());
            return Ok(());
        };
        let attributes = self.views.attributes(&found)?;
        self.make_directory(path, attributes)
    }

    fn make_directory(&mut self, path: &RelPath, attributes: Attributes) -> Result<(), MergeError> {
        let is_in_the_way = self.into.meta(path).map_err(MergeError::write(path))?;
        if is_in_the_way.is_some_and(|meta| !meta.is_dir()) {
            self.into.clear(path).map_err(MergeError::write(path))?;
        }
        self.into.dir(path, attributes).map_err(MergeError::write(path))?;
        self.made.insert(path.clone());
        Ok(())
    }

    fn attributes(&self, node: &Node) -> Result<Attributes, MergeError> {
        let mut attributes = self.views.attributes(&node.mode)?;
        if node.owner != node.mode {
            (attributes.uid, attributes.gid) = (node.owner.meta.uid, node.owner.meta.gid);
        }
        if node.xattrs != node.mode {
            attributes.xattrs = self.views.attributes(&node.xattrs)?.xattrs;
        }
        attributes.mtime = node.mtime;
        Ok(attributes)
    }
}
