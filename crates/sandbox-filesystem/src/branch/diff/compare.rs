//! Whether two entries of one kind are the same: what they hold, and their attributes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sandbox_types::{Attribute, NodeKind};

use super::super::node::{Meta, Timestamp};
use super::super::raw::Bytes;
use super::super::xattr::{self, Readable};
use super::entry::{Entry, Failure, Side};

const BUFFER: usize = 128 * 1024;

/// Compares entries, with buffers that are used again.
pub(super) struct Comparer {
    left: Box<[u8]>,
    right: Box<[u8]>,
    /// Groups that a plain user can give a file to; none for root, who can give it to any.
    groups: Option<Vec<u32>>,
}

/// Whether two entries hold the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// They do.
    Same,
    /// They do not.
    Different,
    /// The older one is a file that we may not read, of the same size.
    Unreadable,
}

impl Comparer {
    pub(super) fn new() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        Self {
            left: vec![0; BUFFER].into(),
            right: vec![0; BUFFER].into(),
            groups: (!is_root).then(own_groups),
        }
    }

    /// Whether the bytes of two files, the targets of two links, the numbers of two devices are the same.
    pub(super) fn content(&mut self, new: &Entry<'_>, old: &Entry<'_>) -> Result<Content, Failure> {
        let is_same = match new.meta.kind {
            NodeKind::File => return self.files(new, old),
            NodeKind::Symlink => {
                new.meta.size == old.meta.size
                    && new.target().map_err(|error| new.failure(error))?
                        == old.target().map_err(|error| old.failure(error))?
            }
            NodeKind::CharDevice | NodeKind::BlockDevice => new.meta.rdev == old.meta.rdev,
            NodeKind::Directory | NodeKind::Fifo | NodeKind::Socket => true,
        };
        Ok(if is_same {
            Content::Same
        } else {
            Content::Different
        })
    }

    /// Gives the first `length` bytes of a file to `take`.
    pub(super) fn read(&mut self, file: &File, length: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut at = 0;
        while at < length {
            let wanted = buffer_for(length - at);
            let bytes = fill(file, &mut self.left, at, wanted)?;
            take(bytes);
            at += bytes.len() as u64;
            if bytes.len() < wanted {
                break;
            }
        }
        Ok(())
    }

    /// What else differs.
    pub(super) fn attributes(&self, new: &Entry<'_>, old: &Entry<'_>) -> Result<Vec<Attribute>, Failure> {
        let mut differing = Vec::new();
        let kind = new.meta.kind;
        if kind != NodeKind::Symlink && new.meta.mode != old.meta.mode {
            differing.push(Attribute::Mode);
        }
        if self.has_other_owner(new, &old.meta) {
            differing.push(Attribute::Owner);
        }
        if kind != NodeKind::Directory && !is_same_time(&new.meta, &old.meta) {
            differing.push(Attribute::Time);
        }
        if !has_same_xattrs(new, old)? {
            differing.push(Attribute::Xattrs);
        }
        Ok(differing)
    }

    /// A plain user's copy of somebody else's file is the user's: that is no change.
    fn has_other_owner(&self, new: &Entry<'_>, old: &Meta) -> bool {
        match &self.groups {
            Some(groups) if new.is_in_copy() => new.meta.gid != old.gid && groups.contains(&old.gid),
            _ => (new.meta.uid, new.meta.gid) != (old.uid, old.gid),
        }
    }

    fn files(&mut self, new: &Entry<'_>, old: &Entry<'_>) -> Result<Content, Failure> {
        if new.meta.size != old.meta.size {
            return Ok(Content::Different);
        }
        if new.meta.size == 0 || (new.meta.dev, new.meta.ino) == (old.meta.dev, old.meta.ino) {
            return Ok(Content::Same);
        }
        let Some(before) = old.file().map_err(|error| old.failure(error))? else {
            return Ok(Content::Unreadable);
        };
        let now = match new.file() {
            Ok(Some(file)) => file,
            Ok(None) => return Err(new.failure(Errno::ACCESS)),
            // A branch that is in use: what was there a moment ago is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Different),
            Err(error) => return Err(new.failure(error)),
        };
        let is_sparse = |entry: &Entry<'_>| entry.meta.allocated < entry.meta.size;
        let mut at = 0;
        while at < new.meta.size {
            if is_sparse(new) && is_sparse(old) {
                let now = next_data(now, at).map_err(|error| new.failure(error))?;
                let before = next_data(before, at).map_err(|error| old.failure(error))?;
                match now.into_iter().chain(before).min() {
                    Some(next) => at = next,
                    None => return Ok(Content::Same),
                }
            }
            let wanted = buffer_for(new.meta.size - at);
            let left = fill(now, &mut self.left, at, wanted).map_err(|error| new.failure(error))?;
            let right = fill(before, &mut self.right, at, wanted).map_err(|error| old.failure(error))?;
            if left != right || left.len() < wanted {
                return Ok(Content::Different);
            }
            at += left.len() as u64;
        }
        Ok(Content::Same)
    }
}

fn buffer_for(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(BUFFER).min(BUFFER)
}

/// Reads `wanted` bytes from `at`, or as far as the file goes.
fn fill<'a>(file: &File, buffer: &'a mut [u8], at: u64, wanted: usize) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// Where the first byte from `at` on is that is not in a hole; none where there is none.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(next) => Ok(Some(next)),
        Err(Errno::NXIO) => Ok(None),
        // A file system that does not know holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(errno) => Err(errno.into()),
    }
}

/// A file system that keeps whole seconds only must not make every file of the other one a change.
fn is_same_time(new: &Meta, old: &Meta) -> bool {
    let is_cut = |time: Timestamp, other: Timestamp| time.0 == other.0 && time.1 == 0;
    new.mtime == old.mtime
        || (new.dev != old.dev && (is_cut(new.mtime, old.mtime) || is_cut(old.mtime, new.mtime)))
}

fn has_same_xattrs(new: &Entry<'_>, old: &Entry<'_>) -> Result<bool, Failure> {
    let now = new.xattrs().map_err(|error| new.failure(error))?;
    let mut before = old.xattrs().map_err(|error| old.failure(error))?;
    if new.side == Side::Branch && old.side != Side::Branch {
        // A layer cannot have what overlayfs hides of the base, unless a command has put it there.
        let is_seen = |name: &Bytes| !xattr::is_overlayfs(name) || now.xattrs.0.contains_key(name);
        before.xattrs.0.retain(|name, _| is_seen(name));
        before.hidden.retain(is_seen);
    }
    Ok(agrees(&now, &before) && agrees(&before, &now))
}

/// Whether the other has what the one has. What may not be read is the same as anything.
fn agrees(one: &Readable, other: &Readable) -> bool {
    let is_there = |(name, value): (&Bytes, &Bytes)| {
        other.xattrs.0.get(name) == Some(value) || other.hidden.contains(name)
    };
    let is_known = |name: &Bytes| other.xattrs.0.contains_key(name) || other.hidden.contains(name);
    one.xattrs.0.iter().all(is_there) && one.hidden.iter().all(is_known)
}

fn own_groups() -> Vec<u32> {
    let mut groups: Vec<u32> = rustix::process::getgroups()
        .map(|groups| groups.iter().map(|group| group.as_raw()).collect())
        .unwrap_or_default();
    groups.push(rustix::process::getegid().as_raw());
    groups
}
