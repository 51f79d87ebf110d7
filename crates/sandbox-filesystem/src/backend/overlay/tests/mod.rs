//! Tests without a mount: requests as a kernel would send them, and what the layers then have.

mod build;
mod conforms;
mod copy_up;
mod crash;
mod damaged;
#[cfg(feature = "branch")]
mod kernel;
mod layers;
mod links;
mod many;
#[cfg(feature = "branch")]
mod random;
#[cfg(feature = "branch")]
mod side_by_side;

use std::path::{Path, PathBuf};

use super::{LayerFormat, OverlayBuilder, OverlayFs};
use crate::fs::{
    Buffer, Capabilities, Context, DynFileSystem, FsResult, Handle, Ino, OpenFlags, ROOT_INO, ReadRequest,
    WriteRequest,
};
use crate::tree::Tree;

pub(super) fn tree(fs: &dyn DynFileSystem) -> Tree<'_> {
    Tree::new(fs, Context::new(0, 0))
}

/// What is in a directory, in order.
pub(super) fn names(fs: &dyn DynFileSystem, path: &str) -> Vec<String> {
    tree(fs).names(path)
}

/// Directories for layers, an upper and staging, and what is served of them.
pub(super) struct World {
    place: tempfile::TempDir,
    lowers: usize,
}

impl World {
    /// With so many empty layers.
    pub(super) fn new(lowers: usize) -> Self {
        let place = tempfile::tempdir_in(scratch()).unwrap();
        let world = Self { place, lowers };
        for lower in 0..lowers {
            std::fs::create_dir(world.lower(lower)).unwrap();
        }
        for name in ["upper", "work"] {
            std::fs::create_dir(world.path(name)).unwrap();
        }
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A layer, from the bottom.
    pub(super) fn lower(&self, number: usize) -> PathBuf {
        self.path(&format!("lower-{number}"))
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.path("upper")
    }

    pub(super) fn layers(&self) -> OverlayBuilder {
        let layers = (0..self.lowers).map(|number| self.lower(number));
        layers.fold(OverlayFs::builder(), |builder, layer| {
            builder.layer_in(layer, LayerFormat::Overlay)
        })
    }

    pub(super) fn builder(&self) -> OverlayBuilder {
        let builder = self.layers().durability(super::Durability::Volatile);
        builder.writable(self.upper()).staging(self.path("work"))
    }

    pub(super) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn mount(&self) -> OverlayFs {
        let fs = self.builder().build().unwrap();
        fs.init(Capabilities::all()).unwrap();
        fs
    }
}

/// A place on a disk: the directory of the test's own program where it can be written, else the temporary one.
pub(super) fn scratch() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.to_path_buf()));
    beside
        .filter(|path| tempfile::tempdir_in(path).is_ok())
        .unwrap_or_else(std::env::temp_dir)
}

/// Looks a path up, keeping the references, and opens the file.
pub(super) fn open(fs: &dyn DynFileSystem, path: &str, flags: OpenFlags) -> FsResult<(Ino, Handle)> {
    let ctx = Context::new(0, 0);
    let mut ino = ROOT_INO;
    for name in Path::new(path) {
        ino = fs.lookup(&ctx, ino, name)?.ino;
    }
    Ok((ino, fs.open(&ctx, ino, flags)?.handle.unwrap()))
}

pub(super) fn read(fs: &dyn DynFileSystem, ino: Ino, handle: Handle) -> Vec<u8> {
    let request = ReadRequest {
        offset: 0,
        size: 1 << 16,
        flags: OpenFlags::empty(),
    };
    let mut data = Buffer::with_room(1 << 16);
    fs.read(&Context::new(0, 0), ino, Some(handle), &request, &mut data)
        .unwrap();
    data.into_bytes()
}

pub(super) fn write(fs: &dyn DynFileSystem, ino: Ino, handle: Handle, offset: u64, bytes: &[u8]) {
    let request = WriteRequest {
        offset,
        size: u32::try_from(bytes.len()).unwrap(),
        flags: OpenFlags::WRONLY,
        delayed: false,
        kill_privileges: false,
    };
    let written = fs.write(&Context::new(0, 0), ino, Some(handle), &request, &mut &*bytes);
    assert_eq!(written, Ok(bytes.len()));
}
