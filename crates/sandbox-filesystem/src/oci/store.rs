//! The directory that unpacked layers are kept in.
//!
//! ```text
//! sha256-HEX.OWNERS/tree/         one layer: HEX is its diff_id, OWNERS real or virtual
//! sha256-HEX.OWNERS/layer.json    what it is
//! sha256-HEX.OWNERS.HEX/…         the same, for a layer that takes attributes from those beneath it (the second HEX)
//! .staging/ID/…                   what is being unpacked, locked (flock(2)) by whoever does it
//! ```
//!
//! A layer appears by one rename(2), after all of it is on the disk. What a process that has died leaves in `.staging`
//! goes when the next one opens the directory.
//!
//! A layer that is there is taken without being read, and what is in `.staging` is removed: so both must be the caller's
//! or root's, and nobody else may have put them there.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sandbox_types::RelPath;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::distrust::{self, Distrust};
use super::error::LayerError;
use super::options::Owners;
use crate::branch::remove::remove_tree;

const STAGING: &str = ".staging";
const TREE: &str = "tree";
const RECORD: &str = "layer.json";
/// More is not the record of a layer.
const LONGEST_RECORD: u64 = 64 << 20;
/// The version of records that this build writes; others are refused.
const VERSION: u32 = 1;

/// A directory that unpacked layers are kept in. See the [module](super).
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

/// What a layer is, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) diff_id: Digest,
    pub(super) owners: Owners,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) hides_all: bool,
    pub(super) devices_left_out: u64,
    pub(super) attributes_left_out: u64,
    pub(super) assumed: Vec<RelPath>,
}

impl Record {
    pub(super) const VERSION: u32 = VERSION;
}

/// Which layer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) diff_id: Digest,
    pub(super) owners: Owners,
    /// What all layers beneath it come to, where it depends on them.
    pub(super) over: Option<Digest>,
}

impl Key {
    fn name(&self) -> String {
        let owners = match self.owners {
            Owners::Real => "real",
            Owners::Virtual => "virtual",
        };
        let name = format!("sha256-{}.{owners}", self.diff_id.hex());
        match self.over {
            Some(over) => format!("{name}.{}", over.hex()),
            None => name,
        }
    }
}

/// A place in which a layer is unpacked. Removed with all that is in it unless it is published.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    /// Held until it is published or removed.
    _lock: File,
}

impl Staged {
    pub(super) fn tree(&self) -> PathBuf {
        self.path.join(TREE)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "left behind");
        }
    }
}

impl Store {
    /// Opens the directory, which is made where it is not there, for its owner alone; what a killed import has left is removed.
    ///
    /// # Errors
    /// [`LayerError::Store`]; [`LayerError::Distrusted`] where somebody else can put something in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LayerError> {
        let store = Self { path: path.into() };
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&store.path);
        made.map_err(store.failed("cannot be made"))?;
        match rustix::fs::mkdirat(store.directory()?, STAGING, Mode::RWXU) {
            Err(Errno::EXIST) => {}
            made => made.map_err(|errno| store.failed("cannot be made")(errno.into()))?,
        }
        store.sweep()?;
        Ok(store)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The layer, if it is there: its record and its directory.
    pub(super) fn find(&self, key: &Key) -> Result<Option<(Record, PathBuf)>, LayerError> {
        let place = self.path.join(key.name());
        let foreign = || LayerError::Foreign { path: place.clone() };
        match distrust::open_in(self.directory()?, &key.name()) {
            Err(Distrust::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(distrusted(&place))?,
        };
        let mut text = Vec::new();
        match File::open(place.join(RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(foreign()),
            opened => opened
                .and_then(|file| file.take(LONGEST_RECORD).read_to_end(&mut text))
                .map_err(self.failed("a layer's record cannot be read"))?,
        };
        let record: Record = serde_json::from_slice(&text).map_err(|_| foreign())?;
        let is_it = record.version == VERSION && (record.diff_id, record.owners) == (key.diff_id, key.owners);
        let tree = place.join(TREE);
        (is_it && tree.is_dir())
            .then_some(Some((record, tree)))
            .ok_or_else(foreign)
    }

    /// An empty place to unpack a layer in.
    pub(super) fn stage(&self) -> Result<Staged, LayerError> {
        // While a place is made and not locked yet, nobody may take it for a dead one's.
        let _sweeping = self.lock_staging()?;
        let make = || -> io::Result<Staged> {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut number = now.as_nanos();
            let path = loop {
                let path = self.path.join(STAGING).join(format!("{number:x}"));
                match fs::DirBuilder::new().mode(0o700).create(&path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                    made => break made.map(|()| path)?,
                }
            };
            let lock = File::open(&path)?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            let staged = Staged { path, _lock: lock };
            fs::DirBuilder::new().mode(0o700).create(staged.tree())?;
            Ok(staged)
        };
        make().map_err(self.failed("nothing can be made in it"))
    }

    /// Puts everything on the disk that was staged. One syncfs(2), whatever the number of layers and files.
    pub(super) fn sync(&self) -> Result<(), LayerError> {
        let opened = File::open(&self.path);
        opened
            .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
            .map_err(self.failed("cannot be synced"))
    }

    /// Says what a staged layer is.
    pub(super) fn describe(&self, staged: &Staged, record: &Record) -> Result<(), LayerError> {
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_vec_pretty(record)?;
            text.push(b'\n');
            File::create_new(staged.path.join(RECORD))?.write_all(&text)
        };
        write().map_err(self.failed("a layer's record cannot be written"))
    }

    /// Makes a staged layer, described and synced, appear; its directory. Where somebody else was faster, theirs is taken.
    pub(super) fn publish(&self, staged: Staged, key: &Key) -> Result<PathBuf, LayerError> {
        let place = self.path.join(key.name());
        let publish = || -> io::Result<()> {
            match rustix::fs::renameat_with(CWD, &staged.path, CWD, &place, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => return Ok(()),
                renamed => renamed?,
            }
            File::open(&self.path)?.sync_all()
        };
        publish().map_err(self.failed("a layer cannot be put there"))?;
        // What is left under the old name, if anything, is not ours any more.
        drop(staged);
        match self.find(key)? {
            Some((_, tree)) => Ok(tree),
            None => Err(LayerError::Foreign { path: place }),
        }
    }

    /// Removes what nobody is unpacking any more.
    fn sweep(&self) -> Result<(), LayerError> {
        let staging = self.lock_staging()?;
        let sweep = || -> io::Result<()> {
            for name in crate::branch::beneath::names(staging.as_fd())? {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let Ok(place) = rustix::fs::openat(&staging, &name, flags, Mode::empty()) else {
                    continue;
                };
                if rustix::fs::flock(&place, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    let path = self.path.join(STAGING).join(name);
                    tracing::debug!(path = %path.display(), "left by an import that was killed");
                    remove_tree(&path)?;
                }
            }
            Ok(())
        };
        sweep().map_err(self.failed("cannot be cleared"))
    }

    fn lock_staging(&self) -> Result<OwnedFd, LayerError> {
        let path = self.path.join(STAGING);
        let staging = distrust::open_in(self.directory()?, STAGING).map_err(distrusted(&path))?;
        rustix::fs::flock(&staging, FlockOperation::LockExclusive)
            .map_err(|errno| self.failed("cannot be locked")(errno.into()))?;
        Ok(staging)
    }

    /// The directory itself.
    fn directory(&self) -> Result<OwnedFd, LayerError> {
        distrust::open(&self.path).map_err(distrusted(&self.path))
    }

    fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> LayerError + use<> {
        let path = self.path.clone();
        move |source| LayerError::Store {
            path: path.clone(),
            what,
            source,
        }
    }
}

fn distrusted(path: &Path) -> impl FnOnce(Distrust) -> LayerError + use<> {
    let path = path.to_owned();
    move |reason| LayerError::Distrusted { path, reason }
}
