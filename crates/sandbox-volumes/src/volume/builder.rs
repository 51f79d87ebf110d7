//! Building a volume.

use std::sync::Arc;

use sandbox_types::{ByteSize, InvalidVolume, VolumeSpec, VolumeSpecBuilder};

use super::Volume;
use crate::backend::Backend;
use crate::error::VolumeError;

/// A volume under construction.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build()` or `create()`"]
pub struct VolumeBuilder(VolumeSpecBuilder);

impl VolumeBuilder {
    pub(super) fn new(name: String) -> Self {
        Self(VolumeSpec::builder(name))
    }

    /// A directory of the host; the default.
    pub fn directory(self) -> Self {
        Self(self.0.directory())
    }

    /// An ext4 file system in a file; it takes a size.
    pub fn disk(self) -> Self {
        Self(self.0.disk())
    }

    /// The most bytes that a directory may hold; without it there is no limit. Fails for a disk, and for none at all.
    pub fn quota(self, bytes: impl Into<ByteSize>) -> Self {
        Self(self.0.quota(bytes))
    }

    /// The most inodes that a directory may hold; without it there is no limit. Fails for a disk, and for 0.
    pub fn inodes(self, inodes: u64) -> Self {
        Self(self.0.inodes(inodes))
    }

    /// The size of a disk: 1 MiB to 16 TiB − 4 KiB. Fails for a directory.
    pub fn size(self, size: impl Into<ByteSize>) -> Self {
        Self(self.0.size(size))
    }

    /// Adds a label. Fails when there are two of one key.
    pub fn label(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.label(key, value))
    }

    /// What is to be made, and nothing is made.
    ///
    /// # Errors
    /// [`InvalidVolume`] with everything that is wrong.
    pub fn build(self) -> Result<VolumeSpec, InvalidVolume> {
        self.0.build()
    }

    /// Makes it on the default backend.
    ///
    /// # Errors
    /// As `build`, and as [`Volume::create`].
    pub async fn create(self) -> Result<Volume, VolumeError> {
        Volume::create(&self.build()?).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`VolumeBuilder::create`].
    pub async fn create_on(self, backend: Arc<dyn Backend>) -> Result<Volume, VolumeError> {
        Volume::create_on(backend, &self.build()?).await
    }
}
