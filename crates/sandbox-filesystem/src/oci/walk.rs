//! The entries of an overlay's layer, as an image's layer has them: what is there, and what is not there any more.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use sandbox_types::{NodeKind, OverrideStat, RelPath};

use super::export_error::ExportError;
use super::name::is_reserved;
use super::options::Owners;
use super::owners::{self, Kind};
use crate::branch::beneath::{names, node_at};
use crate::branch::copy::Attributes;
use crate::branch::node::Meta;
use crate::branch::stack::LayerFormat;
use crate::branch::stack::access::{Lent, Opened, open_layer_dir, open_layer_file, open_layer_root};
use crate::branch::xattr::{Reading, Xattrs, raw};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A directory, and whether it hides what is beneath it.
    Directory { is_opaque: bool },
    /// Nothing is there, whatever is beneath.
    Whiteout,
    /// Something else.
    Other(Kind),
}

/// An entry. Its content can be read while its directory is open.
pub(super) struct Item<'w> {
    pub(super) path: &'w RelPath,
    pub(super) what: What,
    /// On the host.
    pub(super) meta: Meta,
    /// Of the file that it stands for.
    pub(super) attributes: Attributes,
    holder: BorrowedFd<'w>,
    name: &'w OsStr,
}

impl Item<'_> {
    /// Its content; it is a regular file on the host.
    pub(super) fn open(&self) -> io::Result<File> {
        open_layer_file(self.holder, self.name)
    }

    /// Where it points to; it is a symbolic link, or a file that stands for one.
    pub(super) fn target(&self) -> io::Result<OsString> {
        if self.meta.kind == NodeKind::Symlink {
            let target = rustix::fs::readlinkat(self.holder, self.name, Vec::new())?;
            return Ok(OsString::from_vec(target.into_bytes()));
        }
        let mut target = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(self.open()?, 4096), &mut target)?;
        Ok(OsString::from_vec(target))
    }
}

/// Calls `with` for every entry of the layer at `root`, directories before what is in them, in the same order for equal
/// layers.
///
/// `owners` says where they are kept. Where that is the attribute, what has none and belongs to the caller is root's: on
/// the host nothing else could be made of a link.
pub(super) fn walk(
    root: &Path,
    owners: Owners,
    with: &mut dyn FnMut(&Item<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let top = RelPath::root();
    let opened = open_layer_root(root).map_err(|source| ExportError::Open {
        path: root.to_owned(),
        source,
    })?;
    let walk = Walk { root: opened, owners };
    let item = walk.item(&top, walk.root.as_fd(), OsStr::new("."), Whiteouts::Devices)?;
    with(&item)?;
    let mut left = vec![top];
    while let Some(path) = left.pop() {
        walk.inside(&path, &mut left, with)?;
    }
    Ok(())
}

/// Which entries of a directory are whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whiteouts {
    Devices,
    /// Files with the attribute as well.
    Attributes,
}

struct Walk {
    root: Opened,
    owners: Owners,
}

impl Walk {
    /// What is in a directory; its directories are added to `left`.
    fn inside(
        &self,
        path: &RelPath,
        left: &mut Vec<RelPath>,
        with: &mut dyn FnMut(&Item<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        // Reached anew from the root, so that depth costs no descriptors.
        let directory = self.enter(path).map_err(ExportError::read(path))?;
        let mut found = names(directory.as_fd()).map_err(ExportError::read(path))?;
        found.sort_unstable();
        let mark = raw(directory.as_fd(), c"user.overlay.opaque").map_err(ExportError::read(path))?;
        let whiteouts = match mark.as_deref() {
            Some(b"x") => Whiteouts::Attributes,
            _ => Whiteouts::Devices,
        };
        let before = left.len();
        for name in found {
            let inner = path.join(&name).map_err(io::Error::other);
            let inner = inner.map_err(ExportError::read(path))?;
            if is_reserved(&name) {
                return Err(ExportError::Reserved { path: inner });
            }
            let item = self.item(&inner, directory.as_fd(), &name, whiteouts)?;
            with(&item)?;
            if matches!(item.what, What::Directory { .. }) {
                left.push(inner);
            }
        }
        // The last one is taken first.
        left.get_mut(before..).unwrap_or_default().reverse();
        Ok(())
    }

    fn enter(&self, path: &RelPath) -> io::Result<Opened> {
        let mut at = Opened::borrowed(self.root.as_fd())?;
        for name in path.as_path() {
            let meta = Meta::at(&at, name)?.ok_or(Errno::NOENT)?;
            at = open_layer_dir(at.as_fd(), name, &meta)?;
        }
        Ok(at)
    }

    fn item<'w>(
        &self,
        path: &'w RelPath,
        holder: BorrowedFd<'w>,
        name: &'w OsStr,
        whiteouts: Whiteouts,
    ) -> Result<Item<'w>, ExportError> {
        let failed = || ExportError::read(path);
        let meta = Meta::at(holder, name).map_err(failed())?;
        let meta = meta.ok_or_else(|| ExportError::Changed { path: path.clone() })?;
        let _lent = Lent::grant(holder, name, Mode::RUSR).map_err(failed())?;
        let node = node_at(holder, name).map_err(failed())?;
        let what = what(path, node.as_fd(), &meta, whiteouts)?;
        let reading = Reading::Layer(LayerFormat::Overlay);
        let attributes = match what {
            What::Whiteout => none(),
            _ => Attributes::read(node.as_fd(), &meta, reading).map_err(failed())?,
        };
        let (attributes, kind) = seen(self.owners, path, attributes)?;
        let what = match (what, kind) {
            (What::Other(_), Some(kind)) if meta.kind == NodeKind::File => What::Other(kind),
            (what, _) => what,
        };
        Ok(Item {
            path,
            what,
            meta,
            attributes,
            holder,
            name,
        })
    }
}

/// Attributes of the file that is stood for, and what it is where the attribute says so.
pub(super) fn seen(
    owners: Owners,
    path: &RelPath,
    mut attributes: Attributes,
) -> Result<(Attributes, Option<Kind>), ExportError> {
    if owners == Owners::Real {
        return Ok((attributes, None));
    }
    let Some(value) = owners::take(&mut attributes) else {
        let own = |id: u32, me: u32| if id == me { 0 } else { id };
        attributes.uid = own(attributes.uid, rustix::process::geteuid().as_raw());
        attributes.gid = own(attributes.gid, rustix::process::getegid().as_raw());
        return Ok((attributes, None));
    };
    let kept = OverrideStat::parse(&value.0).ok_or_else(|| ExportError::Override { path: path.clone() })?;
    (attributes.uid, attributes.gid, attributes.mode) = (kept.uid, kept.gid, kept.mode);
    Ok((attributes, kept.kind.map(Kind::from)))
}

fn what(
    path: &RelPath,
    node: BorrowedFd<'_>,
    meta: &Meta,
    whiteouts: Whiteouts,
) -> Result<What, ExportError> {
    let has = |name| raw(node, name).map_err(ExportError::read(path));
    if meta.is_whiteout() {
        return Ok(What::Whiteout);
    }
    match meta.kind {
        NodeKind::Directory if has(c"user.overlay.redirect")?.is_some() => {
            Err(ExportError::Redirect { path: path.clone() })
        }
        NodeKind::Directory => Ok(What::Directory {
            is_opaque: has(c"user.overlay.opaque")?.as_deref() == Some(b"y"),
        }),
        NodeKind::File if has(c"user.overlay.metacopy")?.is_some() => {
            Err(ExportError::Redirect { path: path.clone() })
        }
        NodeKind::File
            if whiteouts == Whiteouts::Attributes
                && meta.size == 0
                && has(c"user.overlay.whiteout")?.is_some() =>
        {
            Ok(What::Whiteout)
        }
        NodeKind::CharDevice | NodeKind::BlockDevice => Ok(What::Other(Kind {
            node: meta.kind,
            major: rustix::fs::major(meta.rdev),
            minor: rustix::fs::minor(meta.rdev),
        })),
        kind => Ok(What::Other(Kind::of(kind))),
    }
}

/// Of what is not there.
fn none() -> Attributes {
    Attributes {
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Some((0, 0)),
        xattrs: Xattrs::default(),
    }
}
