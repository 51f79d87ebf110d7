//! Layers on the disk: made, readied for a mount, settled after one, removed.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode as Bits, OFlags};

use super::copy::Attributes;
use super::node::{Meta, Timestamp};
use super::remove::remove_tree;
use super::stack::LayerFormat;
use super::xattr::Reading;

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
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

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

    /// Makes what overlayfs needs. The upper looks like the root of `like`, whose place it takes.
    pub(crate) fn create_overlay(&self, like: &Look) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        fs::create_dir(self.work())?;
        like.make(&self.upper())
    }

    /// Clears what the last mount has left beside the upper: overlayfs refuses to mount over the mark of a
    /// volatile mount, and its work directory has mode 000.
    pub(crate) fn ready(&self) -> io::Result<()> {
        let work = self.work();
        match is_empty(&work) {
            Ok(true) => return Ok(()),
            // A process that did this before has not come to its end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                result?;
                remove_tree(&work)?;
            }
        }
        fs::create_dir(work)
    }

    /// Whether it was mounted and not settled since. What a mount leaves in the work directory cannot be looked
    /// into: its mode is 000.
    pub(crate) fn is_unsettled(&self) -> bool {
        is_empty(&self.work()).is_ok_and(|is_empty| !is_empty)
    }

    /// Puts on the disk what a volatile mount has written. One syncfs(2), of the layer's file system, and none where
    /// nothing was written: it waits for everybody's data.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let upper = self.upper();
        if !is_empty(&upper)? {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::syncfs(rustix::fs::open(upper, flags, Bits::empty())?)?;
        }
        self.ready()
    }
}

/// A directory that another one is to look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Model<'a> {
    /// As it is.
    Plain(&'a Path),
    /// An upper, without what overlayfs keeps for itself.
    Upper(&'a Path),
}

/// What the root of a new layer looks like.
#[derive(Debug)]
pub(crate) struct Look(Attributes);

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Look {
    /// As the model does.
    pub(crate) fn of(model: &Model<'_>) -> io::Result<Self> {
        let (model, reading) = match model {
            Model::Plain(model) => (model, Reading::Exact),
            Model::Upper(model) => (model, Reading::Layer(LayerFormat::Overlay)),
        };
        let model = rustix::fs::open(*model, PLACE, Bits::empty())?;
        Attributes::read(model.as_fd(), &Meta::of(&model)?, reading).map(Self)
    }

    /// Makes an empty directory with its mode, time, owner as far as that may be set, and extended attributes: an
    /// access control list that new entries inherit is among them.
    pub(crate) fn make(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        let made = rustix::fs::open(path, PLACE, Bits::empty())?;
        let refused = self.0.put(made.as_fd())?;
        if !refused.is_empty() {
            tracing::debug!(path = %path.display(), ?refused, "not all attributes can be set");
        }
        Ok(())
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

/// The same of the base's file system, whose clock and whose steps of time may be its own: of a file there that never has
/// a name. Where it cannot be made, that of `layer`.
pub(crate) fn birth(base: &Path, layer: &Path) -> io::Result<Timestamp> {
    match stamp_in(base) {
        Ok(birth) => Ok(birth),
        Err(error) => {
            tracing::debug!(base = %base.display(), %error, "no stamp of its own");
            stamp(layer)
        }
    }
}

fn stamp_in(base: &Path) -> io::Result<Timestamp> {
    let mode = Bits::RUSR | Bits::WUSR;
    let file = rustix::fs::open(base, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode)?;
    Meta::of(&file)?;
    rustix::fs::fchmod(&file, mode)?;
    Ok(Meta::of(&file)?.ctime)
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}
