//! Having the disk to oneself, or with others who read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::ext4::edit::{Editor, Owner};
use crate::ext4::{CheckReport, check, look, recover};
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::lock::{Lock, Share};
use crate::mounted::device_of;

use super::DiskFs;

/// How long it is waited for others who only do what is done here, each for a moment, and for a mount to go whose
/// owner has been killed.
const PATIENCE: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_millis(5);

/// The disk, open, and its lock.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) editor: Editor,
    _lock: Lock,
}

impl DiskFs {
    /// Reads something.
    pub(super) fn reading<T>(
        &self,
        what: &'static str,
        path: &Inner,
        work: impl FnOnce(&mut Editor) -> io::Result<T>,
    ) -> Result<T, FsError> {
        let mut access = self.access(what, path, Share::Shared)?;
        work(&mut access.editor).map_err(FsError::new(what, path))
    }

    /// Changes something, in one transaction.
    pub(super) fn changing<T>(
        &self,
        what: &'static str,
        path: &Inner,
        work: impl FnOnce(&mut Editor) -> io::Result<T>,
    ) -> Result<T, FsError> {
        let mut access = self.access(what, path, Share::Exclusive)?;
        access.editor.change(work).map_err(FsError::new(what, path))
    }

    /// Takes the lock and opens the disk. One that was not unmounted is made whole first, for which nobody else may
    /// have it.
    pub(super) fn access(&self, what: &'static str, path: &Inner, share: Share) -> Result<Access, FsError> {
        let failed = FsError::new(what, path);
        let lock = self.whole(what, path, share)?;
        let file: File = OpenOptions::new()
            .read(true)
            .write(share == Share::Exclusive)
            .open(&self.image)
            .map_err(&failed)?;
        let editor = Editor::open(Box::new(file)).map_err(&failed)?;
        Ok(Access { editor, _lock: lock })
    }

    /// Looks at all that its file system says of itself.
    pub(in crate::fs) fn check(&self) -> Result<CheckReport, FsError> {
        let (what, root) = ("check", Inner::root());
        let failed = FsError::new(what, &root);
        let _lock = self.whole(what, &root, Share::Shared)?;
        let image = File::open(&self.image).map_err(&failed)?;
        check(image).map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// The lock of a disk that needs no recovery: that takes having it alone.
    fn whole(&self, what: &'static str, path: &Inner, share: Share) -> Result<Lock, FsError> {
        let failed = FsError::new(what, path);
        let lock = self.lock(what, path, share)?;
        if share == Share::Exclusive || !self.needs_recovery().map_err(&failed)? {
            return Ok(lock);
        }
        drop(lock);
        {
            let _alone = self.lock(what, path, Share::Exclusive)?;
            recover(&self.image)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
                .map_err(&failed)?;
        }
        self.lock(what, path, share)
    }

    fn needs_recovery(&self) -> io::Result<bool> {
        let found = look(&self.image).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(found.needs_recovery)
    }

    fn lock(&self, what: &'static str, path: &Inner, share: Share) -> Result<Lock, FsError> {
        let begun = Instant::now();
        let in_use = || FsError::InUse {
            name: self.name.clone(),
        };
        let lock = loop {
            let lock = Lock::try_directory(&self.place, share).map_err(FsError::new(what, path))?;
            if let Some(lock) = lock {
                break lock;
            }
            if begun.elapsed() > PATIENCE {
                return Err(in_use());
            }
            thread::sleep(MOMENT);
        };
        match device_of(&self.image, share) {
            None => Ok(lock),
            Some(_) => Err(in_use()),
        }
    }
}

/// As the disk has it.
pub(super) fn bytes(path: &Inner) -> &[u8] {
    if path.is_root() {
        b""
    } else {
        path.as_path().as_os_str().as_bytes()
    }
}

/// Whose new files are: root's where that is who makes them, otherwise the caller's own.
pub(super) fn owner() -> Owner {
    Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}
