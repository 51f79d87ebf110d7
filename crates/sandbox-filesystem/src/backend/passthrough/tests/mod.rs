//! Tests without a mount: requests as a kernel would send them, and what the host then has.

mod build;
mod confinement;
mod conforms;
mod descriptors;
mod dialects;
mod listing;
mod locks;
mod owners;
mod privileges;
mod quota;
mod quota_attacks;
mod quota_lists;
mod random;
mod single_file;
mod special;
mod unlinked;
mod xattrs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::StatVirtualization;

use super::{PassthroughBuilder, PassthroughFs};
use crate::fs::{
    Attr, Buffer, Capabilities, Context, DynFileSystem, Entry, FsResult, Handle, Ino, OpenFlags, ReadRequest,
    SetAttr, WriteRequest,
};

/// Everything that a kernel can offer.
const OFFERED: Capabilities = Capabilities::all();

/// A directory that is served.
pub(super) struct World {
    pub(super) fs: PassthroughFs,
    place: Arc<tempfile::TempDir>,
}

pub(super) fn strict() -> World {
    with(|builder| builder)
}

pub(super) fn off() -> World {
    with(|builder| builder.stat_virtualization(StatVirtualization::Off))
}

pub(super) fn with(options: impl FnOnce(PassthroughBuilder) -> PassthroughBuilder) -> World {
    // Not in /tmp, which may be a tmpfs without user attributes.
    let place = tempfile::tempdir_in(scratch()).unwrap();
    let root = place.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let fs = options(PassthroughFs::builder().root_dir(&root)).build().unwrap();
    fs.init(OFFERED).unwrap();
    let place = Arc::new(place);
    World { fs, place }
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

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Root, as a guest sees itself.
pub(super) fn root_ctx() -> Context<'static> {
    Context::new(0, 0)
}

pub(super) fn ctx(uid: u32, gid: u32) -> Context<'static> {
    Context::new(uid, gid)
}

impl World {
    /// The host's side.
    pub(super) fn host(&self, path: &str) -> PathBuf {
        self.place.path().join("root").join(path)
    }

    /// The same directory, served anew.
    pub(super) fn again(&self) -> Self {
        let fs = PassthroughFs::builder().root_dir(self.host("")).build().unwrap();
        fs.init(OFFERED).unwrap();
        Self {
            fs,
            place: Arc::clone(&self.place),
        }
    }

    /// Outside of what is served.
    pub(super) fn outside(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn find(&self, path: &str) -> FsResult<Entry> {
        let mut entry = None;
        let mut parent = 1;
        for name in path.split('/') {
            let found = self.fs.lookup(&root_ctx(), parent, name.as_ref())?;
            parent = found.ino;
            entry = Some(found);
        }
        Ok(entry.unwrap())
    }

    pub(super) fn ino(&self, path: &str) -> Ino {
        self.find(path).unwrap().ino
    }

    /// Makes a file as root with this content.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> Ino {
        let made = self
            .fs
            .create(
                &root_ctx(),
                1,
                name.as_ref(),
                libc::S_IFREG | 0o644,
                OpenFlags::RDWR,
                0,
            )
            .unwrap();
        if !content.is_empty() {
            assert_eq!(
                self.write(made.entry.ino, made.opened.handle, 0, content),
                Ok(content.len())
            );
        }
        self.close(made.entry.ino, made.opened.handle);
        made.entry.ino
    }

    pub(super) fn dir(&self, name: &str, mode: u32) -> Entry {
        self.fs.mkdir(&root_ctx(), 1, name.as_ref(), mode, 0).unwrap()
    }

    pub(super) fn open(&self, ino: Ino, flags: OpenFlags) -> FsResult<Option<Handle>> {
        Ok(self.fs.open(&root_ctx(), ino, flags)?.handle)
    }

    pub(super) fn close(&self, ino: Ino, handle: Option<Handle>) {
        self.fs
            .release(&root_ctx(), ino, handle, OpenFlags::empty(), None)
            .unwrap();
    }

    pub(super) fn write(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        mut bytes: &[u8],
    ) -> FsResult<usize> {
        let request = WriteRequest {
            offset,
            size: u32::try_from(bytes.len()).unwrap(),
            flags: OpenFlags::RDWR,
            delayed: false,
            kill_privileges: true,
        };
        self.fs.write(&root_ctx(), ino, handle, &request, &mut bytes)
    }

    pub(super) fn read(&self, ino: Ino, handle: Option<Handle>) -> Vec<u8> {
        let request = ReadRequest {
            offset: 0,
            size: 1 << 20,
            flags: OpenFlags::empty(),
        };
        let mut buffer = Buffer::with_room(1 << 20);
        self.fs
            .read(&root_ctx(), ino, handle, &request, &mut buffer)
            .unwrap();
        buffer.into_bytes()
    }

    pub(super) fn attr(&self, ino: Ino) -> Attr {
        self.fs.getattr(&root_ctx(), ino, None).unwrap().0
    }

    pub(super) fn set(&self, ino: Ino, change: SetAttr) -> FsResult<Attr> {
        Ok(self.fs.setattr(&root_ctx(), ino, &change)?.0)
    }

    /// Type and permissions, owner and group.
    pub(super) fn owner(&self, ino: Ino) -> (u32, u32, u32) {
        let attr = self.attr(ino);
        (attr.mode & 0o7777, attr.uid, attr.gid)
    }

    pub(super) fn unlink(&self, name: &str) -> FsResult<()> {
        self.fs.unlink(&root_ctx(), 1, OsStr::new(name))
    }
}

pub(super) fn chmod(mode: u32) -> SetAttr {
    SetAttr {
        mode: Some(mode),
        ..SetAttr::default()
    }
}

pub(super) fn chown(uid: u32, gid: u32) -> SetAttr {
    SetAttr {
        uid: Some(uid),
        gid: Some(gid),
        ..SetAttr::default()
    }
}

pub(super) fn host_xattr(path: &Path, name: &str) -> Option<String> {
    let mut value = [0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    Some(String::from_utf8_lossy(&value[..length]).into_owned())
}
