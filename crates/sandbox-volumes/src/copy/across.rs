//! Trees from one kind of file system to another: between the host and a disk, and within disks.
//!
//! What is kept is what [`Copy`](super::Copy) keeps; no link is followed below where it starts.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;

use sandbox_types::{TreeTime, TreeXattr};

use super::tree::Failed;
use super::{CopyProgress, Progress};
use crate::fs::path::Inner;

/// Bytes that are carried at once.
const STEP: usize = 256 * 1024;

/// What kind of thing it is, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link(Vec<u8>),
    /// A pipe or device: the type as in `st_mode`, the device's number.
    Special {
        file_type: u32,
        device: (u32, u32),
    },
    /// It is of no use without whoever listens there.
    Socket,
}

/// Everything about something but its content.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    /// Of a file, in bytes.
    pub(crate) size: u64,
    pub(crate) permissions: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) accessed: TreeTime,
    pub(crate) modified: TreeTime,
    pub(crate) xattrs: Vec<TreeXattr>,
    /// What it is told by, where it has more names than one.
    pub(crate) shared: Option<(u64, u64)>,
}

/// The content of a file, at any place.
pub(crate) trait Content {
    /// How much of the buffer is filled; nothing at the end.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Where a tree comes from.
pub(crate) trait From {
    fn item(&mut self, path: &Inner) -> io::Result<Item>;
    fn names(&mut self, path: &Inner) -> io::Result<Vec<OsString>>;
    fn content(&mut self, path: &Inner) -> io::Result<Box<dyn Content + '_>>;
}

/// Where it goes.
pub(crate) trait To {
    fn directory(&mut self, path: &Inner, item: &Item) -> io::Result<()>;
    /// Everything is in it now: its permissions and times can be what they are to be.
    fn finish_directory(&mut self, path: &Inner, item: &Item) -> io::Result<()>;
    /// A file, of what `next` fills buffers with until it fills none.
    fn file(
        &mut self,
        path: &Inner,
        item: &Item,
        next: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()>;
    fn link(&mut self, path: &Inner, target: &[u8], item: &Item) -> io::Result<()>;
    fn special(&mut self, path: &Inner, file_type: u32, device: (u32, u32), item: &Item) -> io::Result<()>;
    /// One more name for what was copied before.
    fn hard_link(&mut self, first: &Inner, path: &Inner) -> io::Result<()>;
}

/// Copies what is at the one path to the other, where there is nothing.
pub(crate) fn across(
    from: &mut dyn From,
    start: &Inner,
    to: &mut dyn To,
    end: &Inner,
    progress: &Progress,
) -> Result<CopyProgress, Failed> {
    let mut done = CopyProgress::default();
    let mut seen: HashMap<(u64, u64), Inner> = HashMap::new();
    let mut directories = Vec::new();
    let mut waiting = vec![(start.clone(), end.clone())];
    while let Some((source, target)) = waiting.pop() {
        let failed = |error| Failed {
            path: source.shown(),
            source: error,
        };
        let item = from.item(&source).map_err(failed)?;
        one(from, &source, to, &target, &item, &mut seen, &mut |bytes| {
            done.bytes += bytes;
            progress.tell(done);
        })
        .map_err(failed)?;
        done.entries += 1;
        progress.tell(done);
        if item.kind == Kind::Directory {
            let names = from.names(&source).map_err(failed)?;
            waiting.extend(names.iter().map(|name| (source.join(name), target.join(name))));
            directories.push((source.clone(), target, item));
        }
    }
    // Those further down first: a directory that may not be written is finished last.
    while let Some((source, target, item)) = directories.pop() {
        to.finish_directory(&target, &item).map_err(|error| Failed {
            path: source.shown(),
            source: error,
        })?;
    }
    Ok(done)
}

fn one(
    from: &mut dyn From,
    source: &Inner,
    to: &mut dyn To,
    target: &Inner,
    item: &Item,
    seen: &mut HashMap<(u64, u64), Inner>,
    tell: &mut dyn FnMut(u64),
) -> io::Result<()> {
    if let Some(first) = item.shared.and_then(|shared| seen.get(&shared)) {
        return to.hard_link(first, target);
    }
    match &item.kind {
        Kind::Directory => to.directory(target, item)?,
        Kind::File => {
            let mut content = from.content(source)?;
            let mut at = 0;
            to.file(target, item, &mut |buffer| {
                let read = content.read_at(at, buffer)?;
                at += read as u64;
                tell(read as u64);
                Ok(read)
            })?;
        }
        Kind::Link(link) => to.link(target, link, item)?,
        Kind::Special { file_type, device } => to.special(target, *file_type, *device, item)?,
        Kind::Socket => return Ok(()),
    }
    if let Some(shared) = item.shared {
        seen.insert(shared, target.clone());
    }
    Ok(())
}

/// A buffer to carry content with.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; STEP]
}
