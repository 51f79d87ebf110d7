//! Disks: what there is to do with an image.

use std::path::Path;

use sandbox_types::ByteSize;

use crate::error::VolumeError;
use crate::ext4::{self, Ext4FormatOptions, Size, format_ext4};

/// Makes an ext4 file system of `size` in a new file at `path`.
pub(super) fn provision(path: &Path, size: ByteSize) -> Result<(), VolumeError> {
    let options = Ext4FormatOptions::builder(Size::Bytes(size)).build()?;
    Ok(format_ext4(path, &options).map(drop)?)
}

/// Makes the file system at `path` larger.
pub(super) fn grow(path: &Path, size: ByteSize) -> Result<(), VolumeError> {
    Ok(ext4::grow(path, size).map(drop)?)
}
