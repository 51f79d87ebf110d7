//! Room that is kept for removing: on a full disk the catalog can be neither opened nor changed, and so what fills the disk
//! could not be removed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use super::LocalBackend;
use crate::catalog::CatalogError;
use crate::error::VolumeError;

/// What SQLite needs to be opened (32 KiB), and a change of ten pages, several times.
const ROOM: u64 = 256 << 10;

/// Keeps it where there is none. Whoever cannot have it is no worse off.
pub(super) fn keep(path: &Path) {
    if path.exists() {
        return;
    }
    if let Err(error) = make(path) {
        tracing::debug!(%error, "no room is kept for removing");
        fs::remove_file(path).ok();
    }
}

fn make(path: &Path) -> io::Result<()> {
    let file = File::create_new(path)?;
    Ok(fallocate(&file, FallocateFlags::empty(), 0, ROOM)?)
}

impl LocalBackend {
    /// Opens the catalog for removing something, if need be with the room that is kept for that.
    pub(super) async fn open_to_remove(&self) -> Result<(), VolumeError> {
        match self.catalog().await {
            Err(error) if self.makes_room(&error) => self.catalog().await.map(drop),
            opened => opened.map(drop),
        }
    }

    /// Whether room was what was missing, and there is some now.
    pub(super) fn makes_room(&self, error: &VolumeError) -> bool {
        let is_full = matches!(error, VolumeError::Catalog(CatalogError::Full { .. }));
        is_full && fs::remove_file(self.home.reserve()).is_ok()
    }
}
