//! Writing archives.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use sandbox_types::{VolumeKind, VolumeName};
use tar::{Builder, EntryType, Header};

use super::digest::HashingWriter;
use super::error::ArchiveError;
use super::{DATA, DIGEST, DISK, MANIFEST, xattr};
use crate::copy::{CopyProgress, Progress};
use crate::error::{VolumeError, blocking};
use crate::fs::beneath::{Links, Root, kind_of, look, names};
use crate::fs::path::Inner;
use crate::local::LocalBackend;
use crate::lock::Share;
use crate::manifest::Manifest;

/// How well it is compressed: fast, as zstd's own default.
const LEVEL: i32 = 3;
/// The largest piece of a disk in one entry.
const PIECE: u64 = 1 << 30;

impl LocalBackend {
    pub(crate) async fn export_volume(
        &self,
        name: &VolumeName,
        to: Box<dyn Write + Send>,
        progress: &Progress,
    ) -> Result<(), ArchiveError> {
        let (manifest, content, lock) = self.to_be_read(name, Share::Shared).await?;
        let progress = progress.clone();
        blocking(move || {
            // Held until it is done.
            let _lock = lock;
            write_archive(&manifest, &content, to, &progress)
        })
        .await
    }
}

fn write_archive(
    manifest: &Manifest,
    content: &Path,
    to: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<(), ArchiveError> {
    let mut zstd = zstd::stream::write::Encoder::new(to, LEVEL).map_err(ArchiveError::Write)?;
    zstd.include_checksum(true).map_err(ArchiveError::Write)?;
    let mut tar = Builder::new(HashingWriter::new(zstd));
    small(
        &mut tar,
        MANIFEST,
        &manifest.to_bytes().map_err(ArchiveError::Write)?,
    )?;
    match manifest.form.kind() {
        VolumeKind::Directory => Export::new(&mut tar, content, progress)?.all()?,
        VolumeKind::Disk => disk(&mut tar, content, progress)?,
    }
    let digest = tar.get_ref().digest();
    small(&mut tar, DIGEST, format!("{digest}\n").as_bytes())?;
    let hashed = tar.into_inner().map_err(ArchiveError::Write)?;
    let mut to = hashed.into_inner().finish().map_err(ArchiveError::Write)?;
    to.flush().map_err(ArchiveError::Write)
}

fn small<W: Write>(tar: &mut Builder<W>, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content)
        .map_err(ArchiveError::Write)
}

/// The files of a directory, on their way into an archive.
struct Export<'e, W: Write> {
    tar: &'e mut Builder<W>,
    root: Root,
    content: &'e Path,
    progress: &'e Progress,
    done: CopyProgress,
    /// Where files with more names than one are in the archive.
    seen: HashMap<(u64, u64), PathBuf>,
}

impl<'e, W: Write> Export<'e, W> {
    fn new(tar: &'e mut Builder<W>, content: &'e Path, progress: &'e Progress) -> Result<Self, ArchiveError> {
        let root = Root::open(content).map_err(VolumeError::io(content))?;
        Ok(Self {
            tar,
            root,
            content,
            progress,
            done: CopyProgress::default(),
            seen: HashMap::new(),
        })
    }

    fn all(mut self) -> Result<(), ArchiveError> {
        let top = self
            .root
            .directory(&Inner::root(), Links::Refuse)
            .map_err(self.at(&Inner::root()))?;
        let stat = rustix::fs::fstat(&top).map_err(|errno| self.at(&Inner::root())(errno.into()))?;
        self.open_entry(&top.into(), &stat, EntryType::Directory, Path::new(DATA))?;
        let mut waiting = vec![Inner::root()];
        while let Some(at) = waiting.pop() {
            let directory = self.root.directory(&at, Links::Refuse).map_err(self.at(&at))?;
            let mut names = names(directory.as_fd()).map_err(self.at(&at))?;
            names.sort();
            for name in names {
                let path = at.join(&name);
                let Some(stat) = look(directory.as_fd(), &name).map_err(self.at(&path))? else {
                    continue;
                };
                self.entry(directory.as_fd(), &name, &stat, &path)?;
                if kind_of(&stat) == FileType::Directory {
                    waiting.push(path);
                }
            }
        }
        Ok(())
    }

    /// What an error of the volume, not of the archive, is.
    fn at(&self, path: &Inner) -> impl Fn(io::Error) -> ArchiveError + use<W> {
        let path = self.content.join(path.as_path());
        move |source| VolumeError::io(&path)(source).into()
    }

    fn entry(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
        path: &Inner,
    ) -> Result<(), ArchiveError> {
        let inside = Path::new(DATA).join(path.as_path());
        let identity = (stat.st_dev, stat.st_ino);
        let is_directory = kind_of(stat) == FileType::Directory;
        if !is_directory && stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&identity).cloned() {
                return self.link(stat, EntryType::Link, &inside, &first);
            }
            self.seen.insert(identity, inside.clone());
        }
        match kind_of(stat) {
            FileType::Directory | FileType::RegularFile => self.opened(directory, name, path, &inside)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new());
                let target = target.map_err(|errno| self.at(path)(errno.into()))?;
                self.link(
                    stat,
                    EntryType::Symlink,
                    &inside,
                    Path::new(OsStr::from_bytes(target.to_bytes())),
                )?;
            }
            FileType::Fifo => {
                let mut header = header_of(stat, EntryType::Fifo);
                let appended = self.tar.append_data(&mut header, &inside, io::empty());
                appended.map_err(ArchiveError::Write)?;
            }
            // It is of no use without whoever listens there.
            FileType::Socket => return Ok(()),
            _ => {
                return Err(ArchiveError::Refused {
                    path: path.shown(),
                    why: "a device cannot be exported",
                });
            }
        }
        self.done.entries += 1;
        self.progress.tell(self.done);
        Ok(())
    }

    fn opened(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Inner,
        inside: &Path,
    ) -> Result<(), ArchiveError> {
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = || -> io::Result<(File, Stat)> {
            let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            Ok((file.into(), stat))
        };
        let (file, stat) = open().map_err(self.at(path))?;
        match kind_of(&stat) {
            FileType::Directory => self.open_entry(&file, &stat, EntryType::Directory, inside),
            FileType::RegularFile => self.open_entry(&file, &stat, EntryType::Regular, inside),
            _ => Err(ArchiveError::Changed { path: path.shown() }),
        }
    }

    fn open_entry(
        &mut self,
        file: &File,
        stat: &Stat,
        kind: EntryType,
        inside: &Path,
    ) -> Result<(), ArchiveError> {
        let attributes = xattr::of(file).map_err(VolumeError::io(inside))?;
        if !attributes.is_empty() {
            let pairs = attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()));
            self.tar
                .append_pax_extensions(pairs)
                .map_err(ArchiveError::Write)?;
        }
        let mut header = header_of(stat, kind);
        if kind == EntryType::Directory {
            let appended = self.tar.append_data(&mut header, inside, io::empty());
            return appended.map_err(ArchiveError::Write);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        header.set_size(size);
        let mut content = Told {
            inner: file.take(size),
            left: size,
            done: &mut self.done,
            progress: self.progress,
        };
        let appended = self.tar.append_data(&mut header, inside, &mut content);
        match content.left {
            0 => appended.map_err(ArchiveError::Write),
            _ if appended.is_err() => appended.map_err(ArchiveError::Write),
            // It has become shorter, and the archive says otherwise.
            _ => Err(ArchiveError::Changed {
                path: inside.to_owned(),
            }),
        }
    }

    fn link(
        &mut self,
        stat: &Stat,
        kind: EntryType,
        inside: &Path,
        target: &Path,
    ) -> Result<(), ArchiveError> {
        let mut header = header_of(stat, kind);
        let appended = self.tar.append_link(&mut header, inside, target);
        appended.map_err(ArchiveError::Write)
    }
}

/// A reader that tells how far it is.
struct Told<'t, R> {
    inner: R,
    left: u64,
    done: &'t mut CopyProgress,
    progress: &'t Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        self.done.bytes += read as u64;
        self.progress.tell(*self.done);
        Ok(read)
    }
}

fn header_of(stat: &Stat, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// What of a disk is no hole.
fn disk<W: Write>(tar: &mut Builder<W>, path: &Path, progress: &Progress) -> Result<(), ArchiveError> {
    let failed = VolumeError::io;
    let file = File::open(path).map_err(failed(path))?;
    let length = file.metadata().map_err(failed(path))?.len();
    let mut done = CopyProgress {
        bytes_total: Some(length),
        ..CopyProgress::default()
    };
    let mut offset = 0;
    while offset < length {
        let start = match rustix::fs::seek(&file, SeekFrom::Data(offset)) {
            Err(Errno::NXIO) => break,
            result => result.map_err(|errno| failed(path)(errno.into()))?,
        };
        let hole =
            rustix::fs::seek(&file, SeekFrom::Hole(start)).map_err(|errno| failed(path)(errno.into()))?;
        let end = hole.min(start.saturating_add(PIECE));
        rustix::fs::seek(&file, SeekFrom::Start(start)).map_err(|errno| failed(path)(errno.into()))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(end - start);
        let mut content = Told {
            inner: (&file).take(end - start),
            left: end - start,
            done: &mut done,
            progress,
        };
        tar.append_data(&mut header, format!("{DISK}/{start:016x}"), &mut content)
            .map_err(ArchiveError::Write)?;
        if content.left != 0 {
            return Err(ArchiveError::Changed {
                path: path.to_owned(),
            });
        }
        offset = end;
    }
    Ok(())
}
