//! Disks: what there is to do with an image.

use std::path::Path;

use sandbox_types::ByteSize;

use crate::error::VolumeError;

/// Makes an ext4 file system of `size` in a new file at `path`.
pub(super) fn provision(_path: &Path, _size: ByteSize) -> Result<(), VolumeError> {
    Err(VolumeError::Unsupported {
        feature: "making a disk",
        available_when: "a directory holds files as well: leave --disk out",
    })
}

/// Makes the file system at `path` larger.
pub(super) fn grow(_path: &Path, _size: ByteSize) -> Result<(), VolumeError> {
    Err(VolumeError::Unsupported {
        feature: "making a disk larger",
        available_when: "export its files into a larger one",
    })
}
