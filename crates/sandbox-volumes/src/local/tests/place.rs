//! A home for one test, and what must always be so of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::VolumeName;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::local::LocalBackend;
use crate::record::VolumeFilter;
use crate::volume::Volume;

/// A home that is gone with it.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("sandbox-volumes-")
            .tempdir()
            .unwrap();
        Self { dir }
    }

    pub(super) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) async fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.local().await)
    }

    pub(super) async fn local(&self) -> LocalBackend {
        open(&self.home()).await
    }

    /// What is in a directory of the home, by name.
    pub(super) fn names(&self, directory: &str) -> BTreeSet<String> {
        names(&self.home().join(directory))
    }
}

pub(super) async fn open(home: &Path) -> LocalBackend {
    LocalBackend::builder().home(home).build().await.unwrap()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Runs what waits.
pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

pub(super) fn name(text: &str) -> VolumeName {
    text.parse().unwrap()
}

/// A volume with a file in it.
pub(super) async fn volume(backend: &Arc<dyn Backend>, name: &str) -> Volume {
    let volume = Volume::builder(name)
        .create_on(Arc::clone(backend))
        .await
        .unwrap();
    volume.fs().unwrap().write("file", name).unwrap();
    volume
}

/// Every row has its directory, every directory its row, nothing is half done, and nobody who is gone holds
/// anything.
pub(super) async fn assert_sound(home: &Path) {
    let backend = open(home).await;
    // What a crash left is settled by whoever comes next; leases of the dead are struck out by whoever repairs.
    backend.bury().await.unwrap();
    let health = backend.check().await.unwrap();
    assert_eq!(health.problems, [], "{}", home.display());
    let rows = backend.list(&VolumeFilter::all()).await.unwrap();
    let places: BTreeSet<_> = rows.iter().map(|row| row.place.clone()).collect();
    assert_eq!(names(&home.join("volumes")), places);
    let snapshots = backend.catalog().await.unwrap().snapshot_places().await.unwrap();
    assert_eq!(
        names(&home.join("volumes/.snapshots")),
        snapshots.into_iter().collect()
    );
    assert_eq!(names(&home.join("volumes/.pending")), BTreeSet::new());
    assert_eq!(names(&home.join("volumes/.run")), BTreeSet::new());
}
