//! The catalog of a backend, opened when it is first needed.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{LocalBackend, reserve};
use crate::catalog::{self, Catalog};
use crate::error::{VolumeError, blocking};
use crate::lock::{Lock, Share};
use crate::pending::settle;

/// What all copies of a backend share.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Held by whoever opens it. The catalog's lock is only waited for while this is held, never while `current` is:
    /// whoever mends the catalog has the one, and needs the other.
    opening: Mutex<()>,
    current: Mutex<Option<Arc<Catalog>>>,
}

impl Opened {
    /// The one that is open, if it has not been replaced meanwhile.
    async fn current(&self) -> Option<Arc<Catalog>> {
        let current = self.current.lock().await;
        current.clone().filter(|catalog| catalog.is_in_place())
    }

    pub(super) async fn close(&self) {
        let catalog = self.current.lock().await.take().and_then(Arc::into_inner);
        if let Some(catalog) = catalog {
            catalog.close().await;
        }
    }
}

impl LocalBackend {
    /// The catalog. What a crash has left half done is decided when it is opened.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, VolumeError> {
        if let Some(catalog) = self.opened.current().await {
            return Ok(catalog);
        }
        let _opening = self.opened.opening.lock().await;
        if let Some(catalog) = self.opened.current().await {
            return Ok(catalog);
        }
        let catalog = Catalog::open(&self.home.catalog(), &self.home.catalog_lock()).await?;
        self.use_from_now_on(catalog).await
    }

    /// Has whoever opens the catalog wait, and finds it whole afterwards.
    pub(super) async fn catalog_alone(&self) -> Result<Lock, VolumeError> {
        let (path, lock) = (self.home.catalog(), self.home.catalog_lock());
        Ok(catalog::hold(&path, &lock, Share::Exclusive).await?)
    }

    /// Opens the catalog once more, or another one that is there by now, if it is sound: one that is not decides nothing.
    pub(super) async fn open_anew(&self, alone: &Lock) -> Result<Arc<Catalog>, VolumeError> {
        self.opened.close().await;
        let catalog = Catalog::open_alone(&self.home.catalog(), alone).await?;
        if let Some(what) = catalog.integrity().await?.into_iter().next() {
            let error = catalog.damaged(what);
            catalog.close().await;
            return Err(error.into());
        }
        self.use_from_now_on(catalog).await
    }

    async fn use_from_now_on(&self, catalog: Catalog) -> Result<Arc<Catalog>, VolumeError> {
        let catalog = Arc::new(catalog);
        settle(&self.home, &catalog).await?;
        let reserve = self.home.reserve();
        blocking(move || {
            reserve::keep(&reserve);
            Ok::<_, VolumeError>(())
        })
        .await?;
        let mut current = self.opened.current.lock().await;
        // It may have been replaced meanwhile.
        if catalog.is_in_place() {
            *current = Some(Arc::clone(&catalog));
        }
        drop(current);
        Ok(catalog)
    }
}
