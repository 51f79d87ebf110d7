//! Layers on the disk: made, readied for a mount, settled after one, removed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode as Bits, OFlags};

use super::node::{Meta, Timestamp};

/// One layer's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerDir(PathBuf);

impl LayerDir {
    pub(crate) fn new(layers: &Path, id: &str) -> Self {
        Self(layers.join(id))
    }

    /// Makes an empty directory under a name nobody has; the name.
    pub(crate) fn create(layers: &Path) -> io::Result<(String, Self)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut number = now.as_nanos();
        loop {
            let id = format!("{number:x}");
            let path = layers.join(&id);
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok((id, Self(path))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The part of it for the workspace, or for one of the directories that belong to it.
    pub(crate) fn part(&self, extra: Option<usize>) -> Part {
        Part(match extra {
            None => self.0.clone(),
            Some(index) => self.0.join(format!("extra-{index}")),
        })
    }

    /// What a whole copy had in it when it was made.
    pub(crate) fn index_file(&self) -> PathBuf {
        self.0.join("copied")
    }

    /// Removes it with all that is in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.0)
    }
}

/// What a layer holds of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part(PathBuf);

impl Part {
    pub(crate) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// A whole copy.
    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// Makes what overlayfs needs. The upper looks like `like`, whose place it takes.
    pub(crate) fn create_overlay(&self, like: &Meta) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let upper = self.upper();
        fs::create_dir(&upper)?;
        fs::create_dir(self.work())?;
        fs::set_permissions(&upper, fs::Permissions::from_mode(like.mode))?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&upper, Some(like.uid), Some(like.gid))?;
        }
        Ok(())
    }

    /// Clears what the last mount has left beside the upper: overlayfs refuses to mount over the mark of a
    /// volatile mount, and its work directory has mode 000.
    pub(crate) fn ready(&self) -> io::Result<()> {
        let work = self.work();
        if fs::read_dir(&work)?.next().is_none() {
            return Ok(());
        }
        remove_tree(&work)?;
        fs::create_dir(work)
    }

    /// Whether it was mounted and not settled since.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.work()
            .join("work/incompat/volatile")
            .symlink_metadata()
            .is_ok()
            || self.work().join("incompat/volatile").symlink_metadata().is_ok()
    }

    /// Puts on the disk what a volatile mount has written. One syncfs(2), of the layer's file system.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::open(self.upper(), flags, Bits::empty())?;
        rustix::fs::syncfs(upper)?;
        self.ready()
    }
}

/// A ctime that is later than every change made before, and not later than any made after.
///
/// File systems with fine-grained timestamps (Linux 6.13) give one to an inode that has been asked for its times
/// since it was last changed; elsewhere a change within the same tick of the clock counts as later, which is
/// the safe side.
pub(crate) fn stamp(path: &Path) -> io::Result<Timestamp> {
    let mode = fs::symlink_metadata(path)?.permissions();
    fs::set_permissions(path, mode)?;
    Ok(Meta::of_path(path)?.ctime)
}

/// Removes a tree, also where its directories forbid it. What is gone already is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Lets the owner into every directory of a tree, links not followed.
fn open_up(path: &Path) -> io::Result<()> {
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.pop() {
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(())
}
