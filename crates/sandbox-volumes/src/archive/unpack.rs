//! What is in an archive, put into a volume's place.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use sandbox_types::ByteSize;
use tar::{Archive, Entry, EntryType};

use super::error::ArchiveError;
use super::import::Decompressed;
use super::meter::{BLOCK, Meter};
use super::{DATA, DIGEST, DISK, manifest_entry, xattr};
use crate::copy::{CopyProgress, Progress, set_mode_at};
use crate::error::VolumeError;
use crate::fs::beneath::{Links, Root};
use crate::fs::path::Inner;
use crate::local::make_data;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// What an archive may do.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) meter: Meter,
    pub(super) owners: Owners,
}

/// Whose files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    /// Those that the archive says, with set-id bits.
    OfArchive,
    /// The caller's.
    Caller,
}

type Read1<'a> = Entry<'a, Decompressed>;

/// Makes the directory at `content`, in `place`, of what is in the archive.
pub(super) fn unpack_data(
    archive: Decompressed,
    place: &Path,
    content: &Path,
    allowed: Allowed,
    progress: &Progress,
) -> Result<(), ArchiveError> {
    make_data(place)?;
    let root = Root::open(content).map_err(VolumeError::io(content))?;
    let mut unpack = Unpack {
        root,
        content,
        meter: allowed.meter,
        owners: allowed.owners,
        progress,
        done: CopyProgress::default(),
        directories: Vec::new(),
    };
    each(archive, |entry, path| unpack.entry(entry, &path))?;
    unpack.finish()
}

/// Makes the file at `content` of the pieces in the archive.
pub(super) fn unpack_disk(
    archive: Decompressed,
    content: &Path,
    size: ByteSize,
    mut meter: Meter,
    progress: &Progress,
) -> Result<(), ArchiveError> {
    let failed = VolumeError::io(content);
    let file = File::create_new(content).and_then(|file| file.set_len(size.bytes()).map(|()| file));
    let file = file.map_err(failed)?;
    let mut done = CopyProgress {
        bytes_total: Some(size.bytes()),
        ..CopyProgress::default()
    };
    each(archive, |entry, path| {
        let offset = piece_offset(&path).ok_or_else(|| refused(&path, "no piece of a disk"))?;
        let end = offset.checked_add(entry.size());
        if end.is_none_or(|end| end > size.bytes()) {
            return Err(refused(&path, "beyond the end of the disk"));
        }
        meter.said(entry.size())?;
        write_sparse(entry, &file, offset, &mut |piece| {
            done.bytes += piece.read as u64;
            progress.tell(done);
            meter.written(piece.written)
        })
        .map_err(|failed| failed.of(content))
    })
}

fn piece_offset(path: &Path) -> Option<u64> {
    let digits = path.strip_prefix(DISK).ok()?.to_str()?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Goes through all entries, and checks that the last is the checksum of the others.
fn each(
    archive: Decompressed,
    mut work: impl FnMut(&mut Read1<'_>, PathBuf) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let (before, allowance) = (archive.before_last_block(), archive.allowance());
    let mut tar = Archive::new(archive);
    let mut is_complete = false;
    let mut entries = tar.entries().map_err(ArchiveError::reading)?;
    loop {
        // Long names and attributes of the next entry are read into memory.
        allowance.begin();
        let Some(entry) = entries.next() else { break };
        allowance.end();
        let mut entry = entry.map_err(ArchiveError::reading)?;
        let path = entry.path().map_err(ArchiveError::reading)?.into_owned();
        if is_complete {
            return Err(refused(&path, "after the checksum"));
        }
        if path == Path::new(DIGEST) {
            // The header is the last block that was read.
            let expected = before.digest();
            if manifest_entry::read_digest(&mut entry)? != expected {
                return Err(ArchiveError::Damaged);
            }
            is_complete = true;
        } else {
            work(&mut entry, path)?;
        }
    }
    if is_complete {
        Ok(())
    } else {
        Err(ArchiveError::CutOff)
    }
}

fn refused(path: &Path, why: &'static str) -> ArchiveError {
    ArchiveError::Refused {
        path: path.to_owned(),
        why,
    }
}

struct Unpack<'u> {
    root: Root,
    content: &'u Path,
    meter: Meter,
    owners: Owners,
    progress: &'u Progress,
    done: CopyProgress,
    /// Those whose permissions and times are still to be set, those further down later.
    directories: Vec<(Inner, Attributes)>,
}

/// What an entry says of itself besides its content.
#[derive(Debug, Clone)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: u64,
    xattrs: Vec<(CString, Vec<u8>)>,
}

impl Unpack<'_> {
    fn entry(&mut self, entry: &mut Read1<'_>, path: &Path) -> Result<(), ArchiveError> {
        let inside = path
            .strip_prefix(DATA)
            .map_err(|_| refused(path, "not beneath data"))?;
        let inner = Inner::new(inside).map_err(|_| refused(path, "leads out of the volume"))?;
        let attributes = attributes(entry, path)?;
        let kind = entry.header().entry_type();
        self.done.entries += 1;
        if inner.is_root() {
            if kind != EntryType::Directory {
                return Err(refused(path, "not a directory"));
            }
            self.directories.push((inner, attributes));
            return Ok(());
        }
        self.weigh(kind, &inner, &attributes)?;
        let failed = |error: io::Error| self.failed(path, error);
        match kind {
            EntryType::Directory => {
                self.make_directory(&inner).map_err(failed)?;
                self.directories.push((inner, attributes));
            }
            EntryType::Regular => self.file(entry, path, &inner, &attributes)?,
            EntryType::Link => {
                let target = link_target(entry, path)?;
                let target = target
                    .strip_prefix(DATA)
                    .map_err(|_| refused(path, "leads out of the volume"))?;
                let target = Inner::new(target).map_err(|_| refused(path, "leads out of the volume"))?;
                self.hard_link(&target, &inner).map_err(failed)?;
            }
            EntryType::Symlink => {
                let target = link_target(entry, path)?;
                self.meter.target(target.as_os_str().len())?;
                self.symlink(&target, &inner, &attributes)
                    .map_err(|error| self.failed(path, error))?;
            }
            EntryType::Fifo => self.fifo(&inner, &attributes).map_err(failed)?,
            _ => return Err(refused(path, "neither file, directory, link nor pipe")),
        }
        self.progress.tell(self.done);
        Ok(())
    }

    /// Everything of an entry but its content. What has a name already is only one more.
    fn weigh(&mut self, kind: EntryType, path: &Inner, attributes: &Attributes) -> Result<(), ArchiveError> {
        self.meter.name(path.split().map_or(0, |(_, name)| name.len()))?;
        if kind == EntryType::Link {
            return Ok(());
        }
        self.meter.inode()?;
        if matches!(kind, EntryType::Regular | EntryType::Directory) {
            for (name, value) in &attributes.xattrs {
                self.meter.attribute(name.to_bytes(), value.len())?;
            }
        }
        Ok(())
    }

    /// What an error of the system means for an entry: its parent or its place is not as in an archive of ours.
    fn failed(&self, path: &Path, error: io::Error) -> ArchiveError {
        match Errno::from_io_error(&error) {
            Some(Errno::EXIST) => refused(path, "there is another of that name"),
            Some(Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::XDEV) => {
                refused(path, "beneath something that is no directory")
            }
            _ => VolumeError::io(&self.content.join(path.strip_prefix(DATA).unwrap_or(path)))(error).into(),
        }
    }

    fn make_directory(&self, path: &Inner) -> io::Result<()> {
        let (parent, name) = self.root.parent(path, Links::Refuse)?;
        Ok(rustix::fs::mkdirat(&parent, name, Mode::RWXU)?)
    }

    fn file(
        &mut self,
        entry: &mut Read1<'_>,
        path: &Path,
        inner: &Inner,
        attributes: &Attributes,
    ) -> Result<(), ArchiveError> {
        let create = || -> io::Result<File> {
            let (parent, name) = self.root.parent(inner, Links::Refuse)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?.into())
        };
        let file = create().map_err(|error| self.failed(path, error))?;
        let size = entry.size();
        self.meter.said(size)?;
        let (done, progress, meter) = (&mut self.done, self.progress, &mut self.meter);
        let written = write_sparse(entry, &file, 0, &mut |piece| {
            done.bytes += piece.read as u64;
            progress.tell(*done);
            meter.written(piece.written)
        });
        written.map_err(|failed| failed.of(&self.content.join(inner.as_path())))?;
        let finish = || -> io::Result<()> {
            file.set_len(size)?;
            self.set(&file, attributes)
        };
        finish().map_err(|error| self.failed(path, error))
    }

    fn hard_link(&self, target: &Inner, path: &Inner) -> io::Result<()> {
        let (from, old) = self.root.parent(target, Links::Refuse)?;
        let (to, new) = self.root.parent(path, Links::Refuse)?;
        Ok(rustix::fs::linkat(&from, old, &to, new, AtFlags::empty())?)
    }

    fn symlink(&self, target: &Path, path: &Inner, attributes: &Attributes) -> io::Result<()> {
        let (parent, name) = self.root.parent(path, Links::Refuse)?;
        rustix::fs::symlinkat(target, &parent, name)?;
        self.set_at(parent.as_fd(), name, attributes)
    }

    fn fifo(&self, path: &Inner, attributes: &Attributes) -> io::Result<()> {
        let (parent, name) = self.root.parent(path, Links::Refuse)?;
        let mode = Mode::from_raw_mode(attributes.mode & 0o777);
        rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0)?;
        set_mode_at(parent.as_fd(), name, mode)?;
        self.set_at(parent.as_fd(), name, attributes)
    }

    /// Owner and times of what cannot be opened.
    fn set_at(&self, directory: BorrowedFd<'_>, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
        let link = AtFlags::SYMLINK_NOFOLLOW;
        if self.owners == Owners::OfArchive {
            let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
            rustix::fs::chownat(directory, name, Some(uid), Some(gid), link)?;
        }
        Ok(rustix::fs::utimensat(
            directory,
            name,
            &times(attributes.modified),
            link,
        )?)
    }

    /// Owner, attributes, permissions and times, in this order: each takes away what the one before set.
    fn set(&self, file: &File, attributes: &Attributes) -> io::Result<()> {
        let mut kept = 0o1777;
        if self.owners == Owners::OfArchive {
            let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
            kept = 0o7777;
        }
        for (name, value) in &attributes.xattrs {
            xattr::set(file, name, value)?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode & kept))?;
        Ok(rustix::fs::futimens(file, &times(attributes.modified))?)
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        while let Some((path, attributes)) = self.directories.pop() {
            let set = || -> io::Result<()> {
                let directory = self.root.directory(&path, Links::Refuse)?;
                self.set(&directory.into(), &attributes)
            };
            set().map_err(|error| self.failed(&path.shown(), error))?;
        }
        Ok(())
    }
}

fn link_target(entry: &Read1<'_>, path: &Path) -> Result<PathBuf, ArchiveError> {
    let target = entry.link_name().map_err(ArchiveError::reading)?;
    target
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| refused(path, "a link to nothing"))
}

fn attributes(entry: &mut Read1<'_>, path: &Path) -> Result<Attributes, ArchiveError> {
    let mut xattrs = Vec::new();
    if let Some(extensions) = entry.pax_extensions().map_err(ArchiveError::reading)? {
        for extension in extensions {
            let extension = extension.map_err(ArchiveError::reading)?;
            let parsed = xattr::parse(extension.key_bytes(), extension.value_bytes());
            xattrs.extend(parsed.map_err(|_| refused(path, "an attribute that cannot be"))?);
        }
    }
    let header = entry.header();
    let number = |number: io::Result<u64>| -> Result<u32, ArchiveError> {
        let number = number.map_err(ArchiveError::reading)?;
        u32::try_from(number).map_err(|_| refused(path, "no such owner"))
    };
    Ok(Attributes {
        mode: header.mode().map_err(ArchiveError::reading)?,
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        modified: header.mtime().map_err(ArchiveError::reading)?,
        xattrs,
    })
}

fn times(modified: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(modified).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Who failed.
enum Failed {
    Reading(io::Error),
    Writing(io::Error),
    Refused(ArchiveError),
}

impl Failed {
    fn of(self, path: &Path) -> ArchiveError {
        match self {
            Self::Reading(error) => ArchiveError::reading(error),
            Self::Writing(error) => VolumeError::io(path)(error).into(),
            Self::Refused(error) => error,
        }
    }
}

/// What became of a piece: bytes of it, and those that are no hole.
struct Piece {
    read: usize,
    written: usize,
}

/// Writes all of `from` to `to` from `offset` on; blocks of nothing but zeros become holes. `told` is asked before anything of
/// a piece is written.
fn write_sparse(
    from: &mut impl Read,
    to: &File,
    offset: u64,
    told: &mut dyn FnMut(Piece) -> Result<(), ArchiveError>,
) -> Result<(), Failed> {
    let mut buffer = vec![0; PIECE];
    let mut at = offset;
    loop {
        let read = fill(from, &mut buffer).map_err(Failed::Reading)?;
        let piece = buffer.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return Ok(());
        }
        let runs = runs(piece);
        let written = runs.iter().map(Range::len).sum();
        told(Piece { read, written }).map_err(Failed::Refused)?;
        for run in runs {
            let part = piece.get(run.clone()).unwrap_or_default();
            to.write_all_at(part, at + run.start as u64)
                .map_err(Failed::Writing)?;
        }
        at += read as u64;
    }
}

/// The parts of a piece that are no hole: whole blocks, those that follow one another together.
fn runs(piece: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (number, block) in piece.chunks(BLOCK).enumerate() {
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        let start = number * BLOCK;
        let end = start + block.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
