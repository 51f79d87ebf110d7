//! Places on their way in or out: `volumes/.pending/ID`.
//!
//! What is made is made there, and what is removed is moved there first, so that a crash leaves nothing anywhere
//! else. **The catalog decides:** a place in `.pending` that a row names is moved to where it belongs, one that no row
//! names is removed. Whoever works on a place holds its lock, so that nobody else decides meanwhile.
//!
//! A *file* in `.pending` is called as the place of a volume whose manifest is about to be written anew, because the
//! catalog is about to say something else of it.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::home::Home;
use crate::lock::{Lock, Share};
use crate::manifest::{self, Manifest};
use crate::remove::remove_tree;
use crate::sync;

/// 16 hexadecimal digits that nobody else has.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.iter().fold(String::with_capacity(16), |mut name, byte| {
        // Writing to a text does not fail.
        write!(name, "{byte:02x}").ok();
        name
    }))
}

/// A place in `.pending`. Dropped, it is removed, unless the catalog was asked to name it.
#[derive(Debug)]
pub(crate) struct Pending {
    id: String,
    path: PathBuf,
    lock: Option<Lock>,
    is_kept: bool,
}

impl Pending {
    /// An empty one.
    pub(crate) fn make(home: &Home) -> Result<Self, VolumeError> {
        loop {
            let id = random_name().map_err(VolumeError::io(home.root()))?;
            let path = home.pending().join(&id);
            let made = DirBuilder::new().mode(0o700).create(&path);
            made.map_err(VolumeError::io(&path))?;
            crash_point("place made");
            match Lock::try_directory(&path, Share::Exclusive) {
                Ok(Some(lock)) => {
                    return Ok(Self {
                        id,
                        path,
                        lock: Some(lock),
                        is_kept: false,
                    });
                }
                // Somebody who tidied up was faster.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(VolumeError::io(&path)(error)),
            }
        }
    }

    /// Moves what is at `place` there; `lock` is that of it. The catalog still names it.
    pub(crate) fn withdraw(home: &Home, place: &Path, id: &str, lock: Lock) -> Result<Self, VolumeError> {
        let path = home.pending().join(id);
        move_over(home, place, &path, id)?;
        let pending = Self {
            id: id.to_owned(),
            path,
            lock: Some(lock),
            is_kept: true,
        };
        let parents = [place.parent(), pending.path.parent()].into_iter().flatten();
        let parents: Vec<_> = parents.map(sync::directory).collect::<Result<_, _>>()?;
        sync::together(&parents)?;
        crash_point("withdrawn");
        Ok(pending)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it survives the machine when this returns, with `manifest`. Contents of other files have to be synced
    /// already.
    pub(crate) fn sync(&self, manifest: File) -> Result<(), VolumeError> {
        let mut all = vec![(self.path.as_path(), manifest), sync::directory(&self.path)?];
        if let Some(parent) = self.path.parent() {
            all.push(sync::directory(parent)?);
        }
        sync::together(&all)?;
        crash_point("provisioned");
        Ok(())
    }

    /// From now on the catalog decides.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Moves it to where it belongs.
    pub(crate) fn publish(mut self, to: &Path) -> Result<Lock, VolumeError> {
        self.is_kept = true;
        std::fs::rename(&self.path, to).map_err(VolumeError::io(to))?;
        crash_point("published");
        match self.lock.take() {
            Some(lock) => Ok(lock),
            // A lock is taken with the value that has it.
            None => Err(VolumeError::Cancelled),
        }
    }

    /// Removes it: no row names it any more.
    pub(crate) fn remove(mut self) -> Result<(), VolumeError> {
        self.is_kept = true;
        remove_place(&self.path).map_err(VolumeError::io(&self.path))?;
        crash_point("tree removed");
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = remove_place(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "is removed with the next command");
        }
    }
}

/// Moves a place to `.pending`. What is said there of its manifest goes first: by whoever is at it, or it is of no interest
/// any more.
fn move_over(home: &Home, place: &Path, path: &Path, id: &str) -> Result<(), VolumeError> {
    const ATTEMPTS: u32 = 100;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match std::fs::rename(place, path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory && attempt < ATTEMPTS => {
                if let Some(restating) = Restating::begin(home, id)? {
                    restating.end()?;
                }
            }
            moved => return moved.map_err(VolumeError::io(place)),
        }
    }
}

/// While it is there, the manifest of a volume may say something else than the catalog.
#[derive(Debug)]
pub(crate) struct Restating {
    path: PathBuf,
    lock: Lock,
}

impl Restating {
    /// Before the catalog changes; after whoever is at it.
    pub(crate) fn begin(home: &Home, place: &str) -> Result<Option<Self>, VolumeError> {
        let path = home.pending().join(place);
        let lock = Lock::file(&path, Share::Exclusive).map_err(VolumeError::io(&path))?;
        Ok(lock.map(|lock| Self { path, lock }))
    }

    /// The manifest says what the catalog says.
    pub(crate) fn end(self) -> Result<(), VolumeError> {
        self.lock.remove(&self.path).map_err(VolumeError::io(&self.path))
    }
}

/// What is in `.pending` and nobody works on.
enum Left {
    Place(Lock),
    Restating(Restating),
}

/// Something in `.pending` that could not be decided on: it stays there, and is tried again by whoever comes next.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) path: PathBuf,
    pub(crate) why: VolumeError,
}

/// Decides on everything in `.pending` that nobody works on. What the system refuses, a tree with directories of another
/// user or a full disk, is in nobody's way: it is given back, and all else is decided on.
///
/// # Errors
/// Where the catalog cannot say what belongs where.
pub(crate) async fn settle(home: &Home, catalog: &Catalog) -> Result<Vec<Leftover>, VolumeError> {
    let mut left = Vec::new();
    for path in candidates(home).await? {
        match settle_one(home, catalog, path.clone()).await {
            Err(error @ VolumeError::Catalog(_)) => return Err(error),
            Err(why) => {
                tracing::warn!(path = %path.display(), %why, "is left half done");
                left.push(Leftover { path, why });
            }
            Ok(()) => {}
        }
    }
    Ok(left)
}

async fn settle_one(home: &Home, catalog: &Catalog, path: PathBuf) -> Result<(), VolumeError> {
    let left = {
        let path = path.clone();
        blocking(move || left_at(&path)).await?
    };
    match left {
        Some(Left::Place(lock)) => decide(home, catalog, &path, lock).await,
        Some(Left::Restating(restating)) => restate(home, catalog, restating).await,
        None => Ok(()),
    }
}

/// None where somebody works on it, or it is gone meanwhile.
fn left_at(path: &Path) -> Result<Option<Left>, VolumeError> {
    // Or there is the other kind of thing by now.
    let is_gone = |error: &io::Error| {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
    };
    let look = || -> io::Result<Option<Left>> {
        if path.symlink_metadata()?.is_dir() {
            return Ok(Lock::try_directory(path, Share::Exclusive)?.map(Left::Place));
        }
        let lock = Lock::try_found(path, Share::Exclusive)?;
        Ok(lock.map(|lock| {
            Left::Restating(Restating {
                path: path.to_owned(),
                lock,
            })
        }))
    };
    match look() {
        Err(error) if is_gone(&error) => Ok(None),
        result => result.map_err(VolumeError::io(path)),
    }
}

async fn restate(home: &Home, catalog: &Catalog, restating: Restating) -> Result<(), VolumeError> {
    let row = catalog.volume_at(&place_name(&restating.path)).await?;
    let row = row.map(|row| (Manifest::of(&row), home.volumes().join(&row.place)));
    blocking(move || {
        if let Some((manifest, directory)) = row {
            match manifest.replace_in(&directory).map_err(VolumeError::from) {
                // It is on its way out.
                Err(VolumeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        restating.end()
    })
    .await
}

fn place_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

async fn candidates(home: &Home) -> Result<Vec<PathBuf>, VolumeError> {
    let pending = home.pending();
    blocking(move || {
        let list = || {
            std::fs::read_dir(&pending)?
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
        };
        list().map_err(VolumeError::io(&pending))
    })
    .await
}

async fn decide(home: &Home, catalog: &Catalog, path: &Path, lock: Lock) -> Result<(), VolumeError> {
    let id = place_name(path);
    let to = if catalog.volume_at(&id).await?.is_some() {
        Some(home.volumes().join(&id))
    } else if catalog.has_snapshot_place(&id).await? {
        Some(home.snapshots().join(&id))
    } else {
        None
    };
    let path = path.to_owned();
    blocking(move || {
        // Held until it is done.
        let _lock = lock;
        match to {
            Some(to) => std::fs::rename(&path, &to).map_err(VolumeError::io(&to)),
            None => remove_place(&path).map_err(VolumeError::io(&path)),
        }
    })
    .await
}

/// Its manifest goes first: what has none is no volume any more, whatever else is left of it.
fn remove_place(path: &Path) -> io::Result<()> {
    // What keeps it from going keeps the tree as well, which says so.
    let _ = std::fs::remove_file(manifest::path_in(path));
    remove_tree(path)
}

/// The lock of a place on which somebody may still work; not for long, since it is whole.
fn left_alone(path: &Path, manifest: &Manifest) -> Result<Lock, VolumeError> {
    const ATTEMPTS: u32 = 500;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..ATTEMPTS {
        if let Some(lock) = Lock::try_directory(path, Share::Exclusive).map_err(VolumeError::io(path))? {
            return Ok(lock);
        }
        std::thread::sleep(PAUSE);
    }
    Err(VolumeError::Busy {
        name: manifest.name.clone(),
    })
}

/// Moves whatever is whole to where it belongs, since there is no catalog that could decide. Nobody opens one meanwhile.
pub(crate) fn rescue(home: &Home) -> Result<(), VolumeError> {
    let pending = home.pending();
    for entry in std::fs::read_dir(&pending).map_err(VolumeError::io(&pending))? {
        let path = entry.map_err(VolumeError::io(&pending))?.path();
        let manifest = match Manifest::load(&path) {
            Ok(manifest) => manifest,
            Err(error) if error.is_of_nothing_whole() => continue,
            Err(error) => return Err(error.into()),
        };
        let _lock = left_alone(&path, &manifest)?;
        let to = match manifest.snapshot {
            Some(_) => home.snapshots(),
            None => home.volumes(),
        };
        let to = to.join(place_name(&path));
        std::fs::rename(&path, &to).map_err(VolumeError::io(&to))?;
    }
    Ok(())
}
