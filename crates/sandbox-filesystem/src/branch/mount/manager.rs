//! The manager: sets an overlay up, answers questions about it, and ends it one way or another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::Access;

use super::super::copy::{self, TreeOptions};
use super::super::layer::{Look, Model};
use super::super::lock::{self, Asked, Held};
use super::super::place;
use super::super::remove::remove_tree;
use super::attach::{self, View};
use super::check::{self, Directories};
use super::config::OverlayConfig;
use super::error::OverlayError;
use super::info::LayerInfo;
use super::work;

/// A writable view of a directory that itself stays as it is.
///
/// It is mounted by [`setup`](Self::setup). What was written is in the upper, and stays there until it is
/// [discarded](Self::discard); [`keep`](Self::keep) puts it on the disk.
///
/// Dropped, it is mounted no longer, also where somebody still uses the view. When its process is killed, the view
/// goes as well; the work directory is left then, which a plain user's rm(1) cannot remove, and any later
/// [`cleanup`](Self::cleanup) or [`discard`](Self::discard) does.
///
/// ```
/// use sandbox_filesystem::branch::{OverlayConfig, OverlayError, OverlayMount};
/// # let place = tempfile::tempdir()?;
/// # let (base, upper) = (place.path().join("base"), place.path().join("upper"));
/// # std::fs::create_dir(&base)?;
/// std::fs::write(base.join("config"), "old")?;
/// let mut overlay = OverlayMount::new(OverlayConfig::new(&base, &upper));
/// match overlay.setup() {
///     Err(error @ OverlayError::NoNamespaces { .. }) => {
///         println!("{error}: {}", error.hint().unwrap_or_default());
///         return Ok(());
///     }
///     result => result?,
/// }
/// std::fs::write(overlay.merged_path().join("config"), "changed")?;
/// assert_eq!(overlay.changes_size()?, 7);
/// overlay.discard()?;
/// assert_eq!(std::fs::read_to_string(base.join("config"))?, "old");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OverlayMount {
    config: OverlayConfig,
    mounted: Option<Mounted>,
}

#[derive(Debug)]
struct Mounted {
    view: View,
    merged: PathBuf,
    work: PathBuf,
    // Let go of last.
    _locks: [Held; 2],
}

impl OverlayMount {
    /// Of these directories. Nothing is looked at or made yet.
    pub fn new(config: OverlayConfig) -> Self {
        Self {
            config,
            mounted: None,
        }
    }

    /// Mounts it, after making the directories that are missing.
    ///
    /// # Errors
    /// A layer is missing or is not a directory; directories are inside one another; the upper is on a file system
    /// that cannot be one, or in use; something is mounted inside a layer; the caller can have no overlay.
    pub fn setup(&mut self) -> Result<(), OverlayError> {
        if self.is_mounted() {
            return Err(OverlayError::Mounted {
                merged: self.merged_path().to_owned(),
            });
        }
        self.mounted = None;
        let directories = check::directories(&self.config)?;
        make_upper(&directories)?;
        let locks = [hold(&directories.upper)?, work::make(&directories)?];
        let (view, merged) = attach::mount(&directories, self.config.place, &locks).inspect_err(|_| {
            if let Err(error) = work::remove(&directories.work) {
                tracing::warn!(path = %directories.work.display(), %error, "left behind");
            }
        })?;
        self.mounted = Some(Mounted {
            view,
            merged,
            work: directories.work,
            _locks: locks,
        });
        Ok(())
    }

    /// Whether the view is there.
    pub fn is_mounted(&self) -> bool {
        self.mounted.as_ref().is_some_and(|mounted| match &mounted.view {
            View::Private { .. } => true,
            View::Merged(guard) => guard.sees_mount(),
        })
    }

    /// Where the view is, see [`OverlayPlace`](super::OverlayPlace); where it is wanted while it is not mounted.
    pub fn merged_path(&self) -> &Path {
        self.mounted
            .as_ref()
            .map_or(&self.config.merged, |mounted| &mounted.merged)
    }

    /// Where what is written goes.
    pub fn upper_path(&self) -> &Path {
        &self.config.upper
    }

    /// The lowest layer.
    pub fn lower_path(&self) -> &Path {
        self.config.lowers.last().map_or(Path::new(""), PathBuf::as_path)
    }

    /// What it was made of.
    pub fn config(&self) -> &OverlayConfig {
        &self.config
    }

    /// Bytes of the regular files in the upper.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn changes_size(&self) -> Result<u64, OverlayError> {
        Ok(LayerInfo::from_path("upper", &self.config.upper, Access::Write)?.size)
    }

    /// Unmounts it and removes the work directory. What was written stays in the upper. Harmless when called again.
    ///
    /// # Errors
    /// [`OverlayError::Busy`] while somebody uses a view that others see; then nothing has changed.
    pub fn cleanup(&mut self) -> Result<(), OverlayError> {
        let Some(mounted) = &self.mounted else {
            return Ok(());
        };
        if let View::Merged(guard) = &mounted.view {
            guard.unmount().map_err(|source| match source.kind() {
                io::ErrorKind::ResourceBusy => OverlayError::Busy {
                    merged: mounted.merged.clone(),
                },
                _ => OverlayError::io("unmount", &mounted.merged)(source),
            })?;
        }
        let Some(Mounted {
            view, work, _locks, ..
        }) = self.mounted.take()
        else {
            return Ok(());
        };
        drop(view);
        work::remove(&work).map_err(OverlayError::io("remove", &work))
    }

    /// Ends it so that what was written survives the machine as well: puts the upper on the disk, then cleans up.
    ///
    /// # Errors
    /// See [`Self::cleanup`]; the disk refuses.
    pub fn keep(&mut self) -> Result<(), OverlayError> {
        sync(&self.config.upper)?;
        self.cleanup()
    }

    /// Ends it and empties the upper: the next set-up shows the layers beneath as they are.
    ///
    /// # Errors
    /// See [`Self::cleanup`]; [`OverlayError::InUse`] when somebody else has mounted it meanwhile.
    pub fn discard(&mut self) -> Result<(), OverlayError> {
        self.cleanup()?;
        let upper = &self.config.upper;
        let _lock = match hold(upper) {
            Err(OverlayError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            lock => lock?,
        };
        work::empty_upper(upper).map_err(OverlayError::io("empty", upper))?;
        match work::find(&self.config)? {
            Some(work) => work::remove(&work).map_err(OverlayError::io("remove", &work)),
            None => Ok(()),
        }
    }

    /// Copies the view as it is now to a new directory, and puts that on the disk: a base for overlays to come.
    /// This one stays as it is.
    ///
    /// # Errors
    /// [`OverlayError::NotMounted`]; [`OverlayError::Exists`]; the new base would be inside one of the layers, or
    /// cannot be written, in which case what was copied of it is removed again.
    pub fn commit_to(&self, new_base: impl AsRef<Path>) -> Result<(), OverlayError> {
        let new_base = new_base.as_ref();
        if !self.is_mounted() {
            return Err(OverlayError::NotMounted);
        }
        let target = place::resolve(new_base).map_err(OverlayError::io("find", new_base))?;
        for layer in self.config.lowers.iter().chain([&self.config.upper]) {
            let layer = place::resolve(layer).map_err(OverlayError::io("find", layer))?;
            check::apart(&target, &layer)?;
        }
        if target.symlink_metadata().is_ok() {
            return Err(OverlayError::Exists { path: target });
        }
        // The path of a private view is a link to it.
        let view = self.merged_path().join(".");
        copy::tree(&view, &target, &TreeOptions::default(), &mut |_| {})
            .map_err(|source| OverlayError::Copy {
                to: target.clone(),
                source,
            })
            .map(|report| tracing::debug!(?report, "committed"))
            .and_then(|()| sync(&target))
            .inspect_err(|_| {
                if let Err(error) = remove_tree(&target) {
                    tracing::warn!(path = %target.display(), %error, "left behind");
                }
            })
    }
}

impl Drop for OverlayMount {
    fn drop(&mut self) {
        let Some(Mounted {
            view,
            merged,
            work,
            _locks,
        }) = self.mounted.take()
        else {
            return;
        };
        if let View::Merged(guard) = &view
            && let Err(error) = guard.detach()
        {
            tracing::warn!(path = %merged.display(), %error, "left mounted");
            return;
        }
        drop(view);
        if let Err(error) = work::remove(&work) {
            tracing::warn!(path = %work.display(), %error, "left behind");
        }
    }
}

/// Makes the upper where it is missing. It takes the place of the topmost layer's root, and looks like it.
fn make_upper(directories: &Directories) -> Result<(), OverlayError> {
    let upper = &directories.upper;
    if upper.is_dir() {
        return Ok(());
    }
    let make = || {
        fs::create_dir_all(upper.parent().unwrap_or(upper))?;
        match directories.lowers.first() {
            Some(lower) => Look::of(&Model::Plain(lower))?.make(upper),
            None => fs::create_dir(upper),
        }
    };
    make().map_err(OverlayError::io("make", upper))
}

/// Takes the lock of a directory: flock(2) on the directory itself.
pub(super) fn hold(directory: &Path) -> Result<Held, OverlayError> {
    match lock::try_hold_directory(directory).map_err(OverlayError::io("lock", directory))? {
        Asked::Held(held) => Ok(held),
        Asked::By(holder) => Err(OverlayError::InUse {
            path: directory.to_owned(),
            holder,
        }),
    }
}

/// One syncfs(2) of the file system that `directory` is on.
fn sync(directory: &Path) -> Result<(), OverlayError> {
    let sync = || rustix::fs::syncfs(fs::File::open(directory)?).map_err(io::Error::from);
    sync().map_err(OverlayError::io("sync", directory))
}
