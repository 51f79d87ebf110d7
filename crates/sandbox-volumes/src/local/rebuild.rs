//! Making a catalog anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LocalBackend;
use crate::catalog::now;
use crate::error::{VolumeError, blocking};
use crate::lock::Lock;

impl LocalBackend {
    /// Moves the catalog out of the way; the next one is made empty. Says where it is now.
    pub(super) async fn set_aside(&self) -> Result<PathBuf, VolumeError> {
        let mut opened = self.catalog.lock().await;
        if let Some(catalog) = opened.take().and_then(Arc::into_inner) {
            catalog.close().await;
        }
        let (catalog, lock) = (self.home.catalog(), self.home.catalog_lock());
        blocking(move || {
            let held = Lock::file(&lock).map_err(VolumeError::io(&lock))?;
            let aside = catalog.with_extension(format!("db.damaged-{}", now()));
            for suffix in ["", "-wal", "-shm"] {
                move_file(&with(&catalog, suffix), &with(&aside, suffix))?;
            }
            drop(held);
            Ok::<_, VolumeError>(aside)
        })
        .await
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn move_file(from: &Path, to: &Path) -> Result<(), VolumeError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VolumeError::io(from)(error)),
        _ => Ok(()),
    }
}
