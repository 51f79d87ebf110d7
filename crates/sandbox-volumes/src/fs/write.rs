//! Making, writing, renaming and removing files.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::disk::DiskWriter;
use super::error::FsError;
use super::gauge::Charged;
use super::host::HostWriter;
use super::path::Inner;
use super::{Files, VolumeFs};

const WRITE: &str = "write";

/// A file that is being written. It takes its place with [`FileWriter::finish`]; dropped before, it is gone.
#[derive(Debug)]
#[must_use = "what is written is gone unless it is finished"]
pub struct FileWriter(Writer);

#[derive(Debug)]
enum Writer {
    Host {
        writer: HostWriter,
        charged: Option<Charged>,
    },
    Disk(Box<DiskWriter>),
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Writer::Host { writer, charged } => {
                if let Some(charged) = charged {
                    charged.more(bytes.len() as u64)?;
                }
                writer.write(bytes)
            }
            Writer::Disk(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileWriter {
    /// Puts it in its place, in one step. It survives the machine when this returns.
    ///
    /// # Errors
    /// Where it cannot be put there; what was there before is there still.
    pub fn finish(self) -> Result<(), FsError> {
        match self.0 {
            Writer::Host { writer, charged } => {
                let finished = writer.finish();
                drop(charged);
                finished
            }
            Writer::Disk(writer) => writer.finish(),
        }
    }
}

impl VolumeFs {
    /// Makes or replaces the file at `path`, in one step; it survives the machine when this returns. Permissions of
    /// a file that is replaced are kept; a link at `path` is replaced itself.
    ///
    /// # Errors
    /// Where its directory is not there, or cannot be reached beneath the root. Nothing has changed then.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<(), FsError> {
        let path = path.as_ref();
        let mut writer = self.write_stream(path)?;
        writer
            .write_all(content.as_ref())
            .map_err(FsError::at(WRITE, Inner::new(path)?.shown()))?;
        writer.finish()
    }

    /// The same piece by piece: what is written takes its place with [`FileWriter::finish`].
    ///
    /// # Errors
    /// As [`VolumeFs::write`].
    pub fn write_stream(&self, path: impl AsRef<Path>) -> Result<FileWriter, FsError> {
        self.stream_to(path.as_ref(), None)
    }

    /// The same, of a file that is to have `permissions` where it replaces none: as far as the umask lets it have them, in
    /// a disk without those for others to write, and never set-id bits.
    ///
    /// # Errors
    /// As [`VolumeFs::write`].
    pub fn write_stream_as(&self, path: impl AsRef<Path>, permissions: u32) -> Result<FileWriter, FsError> {
        self.stream_to(path.as_ref(), Some(permissions))
    }

    fn stream_to(&self, path: &Path, permissions: Option<u32>) -> Result<FileWriter, FsError> {
        let path = Inner::new(path)?;
        Ok(FileWriter(match &self.files {
            Files::Host { fs, gauge } => {
                let mut charged = gauge
                    .as_ref()
                    .map(|gauge| gauge.entry(WRITE, &path))
                    .transpose()?;
                let writer = fs.write_stream(&path, permissions)?;
                if let Some(charged) = charged.as_mut().filter(|_| writer.is_nameless()) {
                    charged.for_nameless();
                }
                Writer::Host { writer, charged }
            }
            Files::Disk(fs) => Writer::Disk(Box::new(fs.write_stream(&path, permissions)?)),
        }))
    }

    /// Overwrites the file at `path` from `offset` on, in place, and makes it where there is none. A crash in the
    /// middle leaves a part of it.
    ///
    /// # Errors
    /// Where it is no regular file, or cannot be reached beneath the root.
    pub fn write_range(&self, path: impl AsRef<Path>, offset: u64, content: &[u8]) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_content(WRITE, &path, content.len())?;
                fs.write_range(&path, offset, content)
            }
            Files::Disk(fs) => fs.write_range(&path, offset, content),
        }
    }

    /// Adds to the end of the file at `path`, and makes it where there is none.
    ///
    /// # Errors
    /// As [`VolumeFs::write_range`].
    pub fn append(&self, path: impl AsRef<Path>, content: &[u8]) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_content(WRITE, &path, content.len())?;
                fs.append(&path, content)
            }
            Files::Disk(fs) => fs.append(&path, content),
        }
    }

    /// Cuts the file at `path`, or makes it longer by a hole.
    ///
    /// # Errors
    /// As [`VolumeFs::write_range`]; where there is none, too.
    pub fn set_len(&self, path: impl AsRef<Path>, length: u64) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_nothing(WRITE, &path)?;
                fs.set_len(&path, length)
            }
            Files::Disk(fs) => fs.set_len(&path, length),
        }
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Where something is there already, or its parent is not there.
    pub fn mkdir(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_entry("mkdir", &path, 0)?;
                fs.mkdir(&path)
            }
            Files::Disk(fs) => fs.mkdir(&path),
        }
    }

    /// Makes a directory and those above it; one that is there already is fine.
    ///
    /// # Errors
    /// Where something else than a directory is on the way.
    pub fn mkdir_all(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, gauge } => {
                for step in path.steps() {
                    let is_there = fs.stat(&step).is_ok();
                    let charged = gauge.as_ref().filter(|_| !is_there);
                    let _charged = charged.map(|gauge| gauge.entry("mkdir", &step)).transpose()?;
                    fs.mkdir_all(&step)?;
                }
                Ok(())
            }
            Files::Disk(fs) => fs.mkdir_all(&path),
        }
    }

    /// Removes a file, or a link itself.
    ///
    /// # Errors
    /// Where there is nothing, or a directory.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_nothing("remove", &path)?;
                fs.remove(&path)
            }
            Files::Disk(fs) => fs.remove(&path),
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Where there is no directory, or something in it.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_nothing("remove", &path)?;
                fs.remove_dir(&path)
            }
            Files::Disk(fs) => fs.remove_dir(&path),
        }
    }

    /// Removes what is at `path` and all that is in it. Links are removed themselves.
    ///
    /// # Errors
    /// Where there is nothing, or something in it cannot be removed.
    pub fn remove_dir_all(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_nothing("remove", &path)?;
                fs.remove_dir_all(&path)
            }
            Files::Disk(fs) => fs.remove_dir_all(&path),
        }
    }

    /// Gives what is at `from` another name; what had that name is replaced, as by rename(2).
    ///
    /// # Errors
    /// Where that is refused; nothing has changed then.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FsError> {
        let (from, to) = (Inner::new(from.as_ref())?, Inner::new(to.as_ref())?);
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_name("rename", &to)?;
                fs.rename(&from, &to)
            }
            Files::Disk(fs) => fs.rename(&from, &to),
        }
    }

    /// Makes a link at `path` that holds `target`, which is not looked at: it may lead anywhere, and is followed
    /// here only as far as it stays beneath the root.
    ///
    /// # Errors
    /// Where something is there already.
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), FsError> {
        let (target, path) = (target.as_ref(), Inner::new(path.as_ref())?);
        match &self.files {
            Files::Host { fs, .. } => {
                let _charged = self.charge_entry("symlink", &path, target.as_os_str().len() as u64)?;
                fs.symlink(target, &path)
            }
            Files::Disk(fs) => fs.symlink(target, &path),
        }
    }

    /// Sets the permissions of what is at `path`; links are followed beneath the root.
    ///
    /// # Errors
    /// Where that is refused.
    pub fn set_permissions(&self, path: impl AsRef<Path>, mode: u32) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.set_permissions(&path, mode),
            Files::Disk(fs) => fs.set_permissions(&path, mode),
        }
    }

    /// Sets when what is at `path` was read and written; links are followed beneath the root.
    ///
    /// # Errors
    /// Where that is refused.
    pub fn set_times(
        &self,
        path: impl AsRef<Path>,
        accessed: SystemTime,
        modified: SystemTime,
    ) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.set_times(&path, accessed, modified),
            Files::Disk(fs) => fs.set_times(&path, accessed, modified),
        }
    }
}
