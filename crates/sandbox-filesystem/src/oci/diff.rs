//! What an overlay's upper directory changes, as a list.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sandbox_types::{NodeKind, RelPath};
use serde::Serialize;

use super::export_error::ExportError;
use super::lowers::Lowers;
use super::options::Owners;
use super::walk::{Item, What, seen, walk};
use crate::branch::beneath::Root;
use crate::branch::copy::Attributes;
use crate::branch::stack::LayerFormat;
use crate::branch::xattr::Reading;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerChangeKind {
    /// Nothing was there, as far as the layers beneath are known.
    Added,
    /// It is another one.
    Modified,
    /// It is gone.
    Removed,
    /// A directory that shows nothing of what is beneath it any more.
    Replaced,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    /// Where.
    pub path: RelPath,
    /// What happened.
    pub change: LayerChangeKind,
    /// What is there now; none where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What `upper` changes of `lowers`, layers with the bottom one first, in the order of an export.
///
/// Directories of which neither mode nor owner nor extended attributes differ are left out: they are there for what is in
/// them. So are deletions of what no layer has. Without layers everything there is was added, and everything that is hidden
/// was removed.
///
/// # Errors
/// [`ExportError`].
pub fn layer_changes(
    upper: &Path,
    lowers: &[PathBuf],
    owners: Owners,
) -> Result<Vec<LayerChange>, ExportError> {
    for path in lowers {
        Root::open(path).map_err(|source| ExportError::Lower {
            path: path.clone(),
            source,
        })?;
    }
    let comparison = Comparison {
        lowers: Lowers::open(lowers).map_err(ExportError::read(&RelPath::root()))?,
        owners,
        is_alone: lowers.is_empty(),
    };
    let mut changes = Vec::new();
    walk(upper, owners, &mut |item| {
        let change = comparison.change(item)?;
        changes.extend(change.map(|change| {
            LayerChange {
                path: item.path.clone(),
                change,
                kind: kind(item.what),
                size: matches!(item.what, What::Other(kind) if kind.node == NodeKind::File)
                    .then_some(item.meta.size),
            }
        }));
        Ok(())
    })?;
    Ok(changes)
}

struct Comparison {
    lowers: Lowers,
    owners: Owners,
    is_alone: bool,
}

impl Comparison {
    fn change(&self, item: &Item<'_>) -> Result<Option<LayerChangeKind>, ExportError> {
        use LayerChangeKind::{Added, Modified, Removed, Replaced};
        let found = self
            .lowers
            .find(item.path)
            .map_err(ExportError::read(item.path))?;
        let is_dir_beneath = found.is_some_and(|(_, meta)| meta.is_dir());
        Ok(match item.what {
            What::Whiteout => (self.is_alone || found.is_some()).then_some(Removed),
            What::Directory { is_opaque: true } if self.is_alone || is_dir_beneath => Some(Replaced),
            What::Directory { .. } if item.path.is_root() && found.is_none() => None,
            What::Directory { .. } if is_dir_beneath => self.is_other(item)?.then_some(Modified),
            _ if found.is_some() => Some(Modified),
            _ => Some(Added),
        })
    }

    /// Whether a directory that is merged with one beneath looks different.
    fn is_other(&self, item: &Item<'_>) -> Result<bool, ExportError> {
        let Some((layer, meta)) = self
            .lowers
            .find(item.path)
            .map_err(ExportError::read(item.path))?
        else {
            return Ok(true);
        };
        let directory = layer.dir(item.path).map_err(ExportError::read(item.path))?;
        let reading = Reading::Layer(LayerFormat::Overlay);
        let beneath = Attributes::read(directory.as_fd(), &meta, reading);
        let beneath = beneath.map_err(ExportError::read(item.path))?;
        let (beneath, _) = seen(self.owners, item.path, beneath)?;
        Ok(beneath.with_natural_time() != item.attributes.clone().with_natural_time())
    }
}

fn kind(what: What) -> Option<NodeKind> {
    match what {
        What::Directory { .. } => Some(NodeKind::Directory),
        What::Whiteout => None,
        What::Other(kind) => Some(kind.node),
    }
}
