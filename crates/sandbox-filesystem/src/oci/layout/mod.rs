//! An OCI image layout: a directory of images, by what they hash to.
//!
//! ```text
//! oci-layout                version
//! index.json                which images there are
//! blobs/sha256/HEX          indexes, manifests, configurations, layers
//! ```

mod blob;
mod document;
mod error;
mod image;
mod platform;
mod select;

use std::path::{Path, PathBuf};

pub use error::LayoutError;
pub use image::Image;
pub use platform::{InvalidPlatform, Platform};

use super::digest::Digest;
use super::limits::Limits;
use super::options::UnpackOptions;
use super::store::Store;
use super::unpack::ImportProgress;
use crate::branch::beneath::Root;
use blob::Blobs;

/// A directory that is an OCI image layout, open. Everything is read beneath it, and no link is followed.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    blobs: Blobs,
    index: document::Index,
}

/// Which image of a layout is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Selection {
    reference: Option<String>,
    platform: Option<Platform>,
}

impl Selection {
    /// The only one that there is for this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one that `index.json` calls so (`org.opencontainers.image.ref.name`). By default there may be only one.
    pub fn reference(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    /// The one for another platform. By default Linux on this processor.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }
}

impl Layout {
    /// Opens it, and reads what images there are.
    ///
    /// # Errors
    /// [`LayoutError`], for what is no layout or of another version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LayoutError> {
        let path = path.as_ref().to_path_buf();
        let root = Root::open(&path).map_err(|source| LayoutError::Open {
            path: path.clone(),
            source,
        })?;
        let blobs = Blobs::new(root);
        let version: document::Version = blobs.document("oci-layout")?;
        if !version.image_layout_version.starts_with("1.") {
            let version = version.image_layout_version;
            return Err(LayoutError::Version { version });
        }
        let index = blobs.document("index.json")?;
        Ok(Self { path, blobs, index })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `index.json` calls its images.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.index
            .manifests
            .iter()
            .filter_map(document::Descriptor::reference)
    }

    /// Unpacks the only image for this machine into the directory `store`, owners as the caller can keep them.
    ///
    /// # Errors
    /// As [`unpack`](Self::unpack).
    pub fn unpack_verified(&self, store: impl Into<PathBuf>, limits: Limits) -> Result<Image, LayoutError> {
        let options = UnpackOptions::new().limits(limits);
        let store = Store::open(store)?;
        self.unpack(&Selection::new(), &store, &options, &mut |_| {})
    }

    /// Unpacks the layers of an image into `store`; those that are there already are taken as they are. Everything that is
    /// read is compared with its digest and its size. Nothing appears in the store unless all of the image is right.
    ///
    /// # Errors
    /// [`LayoutError`], which names the blob, or the entry in a layer.
    pub fn unpack(
        &self,
        selection: &Selection,
        store: &Store,
        options: &UnpackOptions,
        progress: &mut dyn FnMut(ImportProgress),
    ) -> Result<Image, LayoutError> {
        let chosen = select::choose(&self.blobs, &self.index, selection)?;
        image::unpack(&self.blobs, &chosen, store, options, progress)
    }

    /// Which image is meant, without unpacking it: the digest of its manifest.
    ///
    /// # Errors
    /// [`LayoutError`], where there is none or more than one.
    pub fn find(&self, selection: &Selection) -> Result<Digest, LayoutError> {
        let chosen = select::choose(&self.blobs, &self.index, selection)?;
        Ok(chosen.digest)
    }
}
