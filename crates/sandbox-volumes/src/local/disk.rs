//! Disks: what there is to do with an image.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sandbox_types::{ByteSize, VolumeForm};

use super::DISK;
use crate::error::VolumeError;
use crate::ext4::{self, DiskUsage, Ext4FormatOptions, Size, Source};

/// Makes an ext4 file system of `size` in a new file at `path`. The file is on the disk when this returns; its name is for
/// whoever syncs the directory, which is nobody's yet.
pub(super) fn provision(path: &Path, size: ByteSize) -> Result<(), VolumeError> {
    let options = Ext4FormatOptions::builder(Size::Bytes(size)).build()?;
    let mut new = OpenOptions::new();
    new.read(true).write(true).create_new(true).mode(0o600);
    let mut file = new.open(path).map_err(VolumeError::io(path))?;
    Ok(ext4::write(&mut file, Source::Empty, &options).map(drop)?)
}

/// Makes the file system at `path` larger.
pub(super) fn grow(path: &Path, size: ByteSize) -> Result<(), VolumeError> {
    Ok(ext4::grow(path, size).map(drop)?)
}

/// How full the file system at `path` is.
pub(super) fn look(path: &Path) -> Result<DiskUsage, VolumeError> {
    Ok(ext4::look(path)?)
}

/// Whether its journal has to be replayed before anybody reads it.
pub(super) fn needs_recovery(path: &Path) -> Result<bool, VolumeError> {
    Ok(look(path)?.needs_recovery)
}

/// Replays its journal. Nobody else has it.
pub(super) fn recover(path: &Path) -> Result<(), VolumeError> {
    Ok(ext4::recover(path).map(drop)?)
}

/// What a place holds, as it is: a disk is as large as its image, whatever was said of it last. A snapshot may be of when it
/// was smaller, and whoever made it larger may have been killed before that was written down.
pub(super) fn form_in(place: &Path, form: VolumeForm) -> Result<VolumeForm, VolumeError> {
    match form {
        VolumeForm::Directory { .. } => Ok(form),
        VolumeForm::Disk { .. } => {
            let image = place.join(DISK);
            let found = std::fs::metadata(&image).map_err(VolumeError::io(&image))?;
            let size = ByteSize::from_bytes(found.len());
            Ok(VolumeForm::Disk { size })
        }
    }
}
