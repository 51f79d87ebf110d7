//! Making a catalog anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LocalBackend;
use crate::catalog::now;
use crate::error::{VolumeError, blocking};
use crate::lock::Lock;
use crate::pending::rescue;

impl LocalBackend {
    /// Moves the catalog out of the way; the next one is made empty. Says where it is now. What a crash has left half done
    /// and is whole is a volume from now on.
    ///
    /// Whoever has it open still writes into it, and notices with what he does next. SQLite notices as well: it does not
    /// remove the log of a database that was moved, which is that of another one by then.
    pub(super) async fn set_aside(&self, alone: &Arc<Lock>) -> Result<PathBuf, VolumeError> {
        self.opened.close().await;
        let (home, catalog, alone) = (self.home.clone(), self.home.catalog(), Arc::clone(alone));
        blocking(move || {
            // Held until it is done, also where nobody waits for that any more.
            let _alone = alone;
            rescue(&home)?;
            let aside = catalog.with_extension(format!("db.damaged-{}", now()));
            for suffix in ["", "-wal", "-shm"] {
                move_file(&with(&catalog, suffix), &with(&aside, suffix))?;
            }
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
