//! Directories that a layer does not have itself, though something in them is: they look like those beneath.
//!
//! An overlay shows the attributes of the topmost directory, so one that was made up would hide those that the image
//! has.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sandbox_types::RelPath;

use super::error::LayerError;
use super::lowers::Lowers;
use crate::branch::beneath::Root;
use crate::branch::copy::Attributes;
use crate::branch::node::Meta;
use crate::branch::raw::Bytes;
use crate::branch::stack::LayerFormat;
use crate::branch::xattr::{Reading, escape};

const OPAQUE: &[u8] = b"user.overlay.opaque";

/// Gives the directories at `paths` of the layer in `tree` the attributes of what `trees`, the bottom one first, show there;
/// how many there were.
pub(super) fn take(tree: &Path, paths: &[RelPath], trees: &[PathBuf]) -> Result<u64, LayerError> {
    let mut taken = 0;
    let lowers = Lowers::open(trees).map_err(LayerError::write(&RelPath::root()))?;
    let layer = Root::open(tree).map_err(LayerError::write(&RelPath::root()))?;
    // What is inside first: the mode of a directory can forbid to reach it.
    for path in paths.iter().rev() {
        let found = shown(&lowers, path).map_err(LayerError::write(path))?;
        if let Some(attributes) = found
            && put(&layer, path, attributes).map_err(LayerError::write(path))?
        {
            taken += 1;
        }
    }
    Ok(taken)
}

/// Of the directory that the layers show at `path`.
fn shown(lowers: &Lowers, path: &RelPath) -> io::Result<Option<Attributes>> {
    match lowers.find(path)? {
        Some((layer, meta)) if meta.is_dir() => {
            let directory = layer.dir(path)?;
            let reading = Reading::Layer(LayerFormat::Overlay);
            Attributes::read(directory.as_fd(), &meta, reading).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether they were taken: a directory that hides what is beneath keeps its own.
fn put(layer: &Root, path: &RelPath, attributes: Attributes) -> io::Result<bool> {
    let directory = layer.dir(path)?;
    let own = Attributes::read(directory.as_fd(), &Meta::of(&directory)?, Reading::Exact)?;
    let mark = own.xattrs.0.get(&Bytes(OPAQUE.to_vec()));
    if mark.is_some_and(|mark| mark.0 == b"y") {
        return Ok(false);
    }
    let mut xattrs = escape(attributes.xattrs, LayerFormat::Overlay);
    if let Some(mark) = mark {
        xattrs.0.insert(Bytes(OPAQUE.to_vec()), mark.clone());
    }
    let attributes = Attributes { xattrs, ..attributes };
    let refused = attributes.put(directory.as_fd())?;
    if !refused.is_empty() {
        return Err(rustix::io::Errno::NOTSUP.into());
    }
    Ok(true)
}
