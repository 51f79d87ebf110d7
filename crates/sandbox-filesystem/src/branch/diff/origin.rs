//! Which file of the base an entry of a layer was copied up from.
//!
//! overlayfs notes the handle of the original in `user.overlay.origin` (fs/overlayfs/overlayfs.h, struct
//! ovl_fb), on regular files with one link and on directories; the note is empty where the mount was made
//! without CAP_DAC_READ_SEARCH on the host, so that a plain user's branch has no handles. The original may be
//! in a lower layer of the branch, which notes in turn where it came from.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::io;

use sandbox_types::NodeKind;

use super::super::stack::{Dir, Found, Origin};
use super::entry::{Entry, Side};
use crate::sys::handle::{Handle, handle_of};

const NOTE: &CStr = c"user.overlay.origin";
const NUMBER: &CStr = c"user.overlay.sandbox.ino";
const OPAQUE: &CStr = c"user.overlay.opaque";
const MAGIC: u8 = 0xfb;

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It was made in the branch, or nothing is known.
    None,
    /// It was copied up, it is not known from what.
    Unknown,
    /// It was copied up from the file of that handle.
    File(Handle),
}

/// What the walk has learned of handles.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Files of the base at paths that the branch touches.
    known: HashSet<Handle>,
    /// Files of lower layers: where each comes from.
    links: HashMap<Handle, Source>,
}

impl Trail {
    /// Notes what is known of `name` in layers below the one in which it was found.
    pub(super) fn follow(&mut self, dir: &Dir<'_>, name: &OsStr, found: Option<&Found>) -> io::Result<()> {
        for lower in dir.beneath(name, found.map(|found| found.origin))? {
            let entry = entry_at(dir, name, &lower)?;
            if let Some(handle) = handle_of(entry.dir, name)? {
                self.links.insert(handle, source_of(&entry)?);
            }
        }
        Ok(())
    }

    /// The handle of an entry of the base that the branch touches.
    pub(super) fn meet(&mut self, base: &Entry<'_>) -> io::Result<Option<Handle>> {
        if !has_origin(base.meta.kind) {
            return Ok(None);
        }
        let handle = handle_of(base.dir, base.name)?;
        if let Some(handle) = &handle {
            self.known.insert(handle.clone());
        }
        Ok(handle)
    }

    /// Where something comes from in the base, through any number of layers.
    pub(super) fn resolve(&self, source: &Source) -> Source {
        let mut source = source;
        // Each link leads to a layer further down; the bound is for notes that were forged.
        for _ in 0..=self.links.len() {
            match source {
                Source::File(handle) => match self.links.get(handle) {
                    Some(next) => source = next,
                    None => break,
                },
                Source::None | Source::Unknown => break,
            }
        }
        source.clone()
    }

    /// Whether it is a file of the base that the branch touches.
    pub(super) fn knows(&self, handle: &Handle) -> bool {
        self.known.contains(handle)
    }
}

/// Where an entry of `dir` comes from, as far as the notes say; a file of the layers themselves comes from nowhere.
pub(super) fn source_in(dir: &Dir<'_>, entry: &Entry<'_>, origin: Origin) -> io::Result<Source> {
    if origin == Origin::Base {
        return Ok(Source::None);
    }
    let name = entry.name;
    let source = source_of(entry)?;
    if source != Source::Unknown {
        return Ok(source);
    }
    // Without a handle, it must be what has the same name further down.
    for lower in dir.beneath(name, Some(origin))? {
        let source = source_of(&entry_at(dir, name, &lower)?)?;
        if source != Source::Unknown {
            return Ok(source);
        }
    }
    Ok(Source::Unknown)
}

/// Whether a layer notes that what it has of that name was copied up from `base`, which is in `dir`.
pub(super) fn is_noted(dir: &Dir<'_>, base: &Entry<'_>) -> io::Result<bool> {
    let Some(handle) = handle_of(base.dir, base.name)? else {
        return Ok(false);
    };
    let source = Source::File(handle);
    for found in dir.beneath(base.name, None)? {
        if source_of(&entry_at(dir, base.name, &found)?)? == source {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where an entry of a layer comes from.
fn source_of(entry: &Entry<'_>) -> io::Result<Source> {
    if !has_origin(entry.meta.kind) || entry.is_in_copy() {
        return Ok(Source::None);
    }
    Ok(match entry.raw_xattr(NOTE)? {
        // What mode `exact` notes is a number, which another file may have by now.
        None if entry.raw_xattr(NUMBER)?.is_some() && !was_moved(entry)? => Source::Unknown,
        None => Source::None,
        Some(note) => parse(&note).map_or(Source::Unknown, Source::File),
    })
}

/// Whether it is a directory that mode `exact` has moved: one that was copied up is merged with the original as long as it is
/// where that is.
fn was_moved(entry: &Entry<'_>) -> io::Result<bool> {
    Ok(entry.meta.kind == NodeKind::Directory && entry.raw_xattr(OPAQUE)?.as_deref() == Some(b"y"))
}

fn entry_at<'a>(dir: &'a Dir<'_>, name: &'a OsStr, found: &Found) -> io::Result<Entry<'a>> {
    let reading = dir.reading(found.origin);
    Ok(Entry::new(
        dir.holder(found.origin)?,
        name,
        found.meta,
        Side::Branch,
        reading,
    ))
}

fn has_origin(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::File | NodeKind::Directory)
}

/// `version, magic, length, flags, type, uuid[16], id[]`
fn parse(note: &[u8]) -> Option<Handle> {
    let [0, MAGIC, length, _flags, kind, rest @ ..] = note else {
        return None;
    };
    let id = rest.get(16..)?;
    (usize::from(*length) == note.len() && !id.is_empty()).then(|| Handle::new(*kind, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_the_kernel_is_read_and_a_broken_one_is_not() {
        let mut note = vec![0, 0xfb, 29, 0, 1];
        note.extend([0; 16]);
        note.extend([0xa7, 0xa1, 0x9b, 0, 0xc6, 0x9c, 0xe6, 0x9d]);
        let id = [0xa7, 0xa1, 0x9b, 0, 0xc6, 0x9c, 0xe6, 0x9d];
        assert_eq!(parse(&note), Some(Handle::new(1, &id)));
        for broken in [&note[..28], &note[..21], &note[..4], b""] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
