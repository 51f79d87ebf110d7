//! What layers show at a path, without mounting them.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use sandbox_types::RelPath;

use crate::branch::beneath::Root;
use crate::branch::node::Meta;
use crate::branch::xattr::raw;

/// Layers, the topmost first.
#[derive(Debug)]
pub(super) struct Lowers(Vec<Root>);

impl Lowers {
    /// Opens those at `paths`, the bottom one first.
    pub(super) fn open<P: AsRef<Path>>(paths: &[P]) -> io::Result<Self> {
        let paths = paths.iter().rev();
        Ok(Self(
            paths
                .map(|path| Root::open(path.as_ref()))
                .collect::<io::Result<_>>()?,
        ))
    }

    /// What they show at `path`, and the layer that has it; none where nothing is seen.
    pub(super) fn find(&self, path: &RelPath) -> io::Result<Option<(&Root, Meta)>> {
        for layer in &self.0 {
            match layer.meta(path)? {
                Some(meta) if is_whiteout(layer, path, &meta)? => return Ok(None),
                Some(meta) => return Ok(Some((layer, meta))),
                None if hides(layer, path)? => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }
}

/// A device 0/0, or an empty file with the attribute that says so.
fn is_whiteout(layer: &Root, path: &RelPath, meta: &Meta) -> io::Result<bool> {
    if meta.is_whiteout() {
        return Ok(true);
    }
    if meta.kind != sandbox_types::NodeKind::File || meta.size != 0 {
        return Ok(false);
    }
    let node = layer.place(path)?.node()?;
    Ok(raw(node.as_fd(), c"user.overlay.whiteout")?.is_some())
}

/// Whether something above `path` hides it: an opaque directory, or no directory at all.
fn hides(layer: &Root, path: &RelPath) -> io::Result<bool> {
    let mut at = path.parent();
    while let Some(parent) = at {
        match layer.meta(&parent)? {
            Some(meta) if !meta.is_dir() => return Ok(true),
            Some(_) if is_opaque(layer, &parent)? => return Ok(true),
            _ => {}
        }
        at = parent.parent();
    }
    Ok(false)
}

fn is_opaque(layer: &Root, path: &RelPath) -> io::Result<bool> {
    let directory = layer.place(path)?.node()?;
    let value = raw(directory.as_fd(), c"user.overlay.opaque")?;
    Ok(value.as_deref() == Some(b"y"))
}
