//! What a commit does where the base has changed too.
//!
//! What is to be written instead of the branch's own entries goes to a layer on top of the branch's, in the commit's
//! own directory: so the plan takes it from a stack like everything else, and the branch stays as it is.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use sandbox_types::{Change, ChangeKind, ConflictPolicy, NodeKind, RelPath};

use super::beneath::Root;
use super::commit::CommitError;
use super::copy::Attributes;
use super::error::BranchError;
use super::handle::Branch;
use super::layer_writer::LayerWriter;
use super::merge::{Ancestry, Conflicting, Resolution, resolve};
use super::review::Review;
use super::stack::{LayerFormat, Origin, Stack};
use super::xattr::Reading;

/// What has become of conflicts.
#[derive(Default)]
pub(crate) struct SettledConflicts {
    /// To be applied, with `stack`.
    pub(crate) changes: Vec<Change>,
    /// The base stays as it is there.
    pub(crate) left_out: Vec<RelPath>,
    /// Paths at which texts were merged: neither the branch's nor the base's.
    pub(crate) texts: BTreeSet<RelPath>,
    /// The branch with what is written instead; none where that is nothing.
    pub(crate) stack: Option<Stack>,
}

impl Branch {
    /// Settles `conflicts` as `policy` says, or not at all.
    pub(crate) fn settle_conflicts(
        &self,
        review: &Review,
        conflicts: &[Change],
        policy: ConflictPolicy,
        place: &Path,
    ) -> Result<SettledConflicts, CommitError> {
        let mut settled = SettledConflicts::default();
        if conflicts.is_empty() {
            return Ok(settled);
        }
        let base = self.workspace().base();
        let live = Root::open(base).map_err(BranchError::io("open", base))?;
        let kept = self.kept_texts()?;
        let ancestry = match (&self.manifest().snapshot, &kept) {
            (Some(_), _) => Ancestry::Snapshot,
            (None, Some(kept)) => Ancestry::Kept(kept),
            (None, None) => Ancestry::Unknown,
        };
        let mut unsettled = Vec::new();
        let mut written = Vec::new();
        for change in conflicts {
            let conflicting = Conflicting {
                change,
                branch: self.name(),
                stack: &review.stack,
                ancestry,
                live: &live,
            };
            let place = base.join(change.path.as_path());
            match resolve(&conflicting, policy).map_err(BranchError::io("settle", &place))? {
                Resolution::Skip => settled.left_out.push(change.path.clone()),
                Resolution::Take => settled.changes.push(change.clone()),
                Resolution::Unsettled(why) => unsettled.push((change.path.clone(), why)),
                other => written.push((change, other)),
            }
        }
        if !unsettled.is_empty() {
            let of = |change: &Change| change.conflict.map(|conflict| (change.path.clone(), conflict));
            return Err(CommitError::Conflicts {
                conflicts: conflicts.iter().filter_map(of).collect(),
                unsettled,
            });
        }
        if !written.is_empty() {
            let layer = place.join("settled");
            std::fs::create_dir(&layer).map_err(BranchError::io("make", &layer))?;
            let write = || write(&layer, &review.stack, written, &mut settled);
            write().map_err(BranchError::io("write", &layer))?;
            settled.stack = Some(self.stack_beneath(&layer)?);
        }
        Ok(settled)
    }

    /// Gives the branch a text that was merged, which `merged` shows and the base has by now: its own lacks what others
    /// have written. Whether it has it, on the disk: where its topmost layer has no file of its own there, it has not.
    pub(crate) fn adopt(&self, path: &RelPath, merged: &Stack) -> io::Result<bool> {
        let mut writer = self.writer().map_err(io::Error::other)?;
        if !writer
            .meta(path)?
            .is_some_and(|meta| meta.kind == NodeKind::File && meta.nlink == 1)
        {
            return Ok(false);
        }
        let found = merged.find(path)?.ok_or(io::ErrorKind::NotFound)?;
        let source = merged.open_file(path)?;
        let attributes = Attributes::read(source.as_fd(), &found.meta, merged.reading(found.origin))?;
        writer.clear(path)?;
        writer.copy(path, &source, &found.meta, attributes)?;
        writer.sync(path)?;
        writer.finish()?;
        Ok(true)
    }
}

/// Writes what stands for the branch's own entries, and says as which changes it is to be applied.
fn write(
    layer: &Path,
    stack: &Stack,
    written: Vec<(&Change, Resolution)>,
    settled: &mut SettledConflicts,
) -> io::Result<()> {
    let mut writer = LayerWriter::open(layer, LayerFormat::Overlay)?;
    for (change, resolution) in written {
        match resolution {
            Resolution::Text { text, attributes, .. } => {
                make_way(&mut writer, stack, &change.path)?;
                let mut file = writer.file(&change.path)?;
                io::Write::write_all(&mut file, &text)?;
                writer.complete(&change.path, file.as_fd(), attributes)?;
                settled.texts.insert(change.path.clone());
                settled.changes.push(Change {
                    size: text.len() as u64,
                    ..change.clone()
                });
            }
            Resolution::TakeAs(path) => {
                make_way(&mut writer, stack, &path)?;
                copy_as(&mut writer, stack, &change.path, &path)?;
                settled.changes.push(Change {
                    path,
                    change: ChangeKind::Added,
                    conflict: None,
                    ..change.clone()
                });
            }
            _ => {}
        }
    }
    writer.finish().map(drop)
}

/// Makes the directories above `path` in the layer, as the branch has them.
fn make_way(writer: &mut LayerWriter, stack: &Stack, path: &RelPath) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else {
        return Ok(());
    };
    make_way(writer, stack, &parent)?;
    let found = stack.find(&parent)?.ok_or(io::ErrorKind::NotFound)?;
    writer.dir(&parent, Attributes::without_xattrs(&found.meta))
}

/// Copies the branch's entry at `from` to `to` in the layer.
fn copy_as(writer: &mut LayerWriter, stack: &Stack, from: &RelPath, to: &RelPath) -> io::Result<()> {
    let found = stack.find(from)?.ok_or(io::ErrorKind::NotFound)?;
    match found.meta.kind {
        NodeKind::File => {
            let file = stack.open_file(from)?;
            let format = match found.origin {
                Origin::Layer(index) => stack
                    .layers()
                    .get(index)
                    .map_or(LayerFormat::Overlay, |layer| layer.format),
                Origin::Base => LayerFormat::Complete,
            };
            let attributes = Attributes::read(file.as_fd(), &found.meta, Reading::Layer(format))?;
            writer.copy(to, &file, &found.meta, attributes)
        }
        NodeKind::Symlink => {
            let (parent, name) = (from.parent().unwrap_or_default(), from.name().unwrap_or_default());
            let dir = stack.dir(&parent)?.ok_or(io::ErrorKind::NotFound)?;
            let target = super::copy::symlink_target(dir.holder(found.origin)?, Path::new(name))?;
            writer.symlink(to, &target, Attributes::without_xattrs(&found.meta))
        }
        kind => writer.special(to, kind, found.meta.rdev, Attributes::without_xattrs(&found.meta)),
    }
}
