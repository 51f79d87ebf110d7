//! The kernel's own ext4, from a loop device.

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};
use sandbox_types::Access;

use super::Disk;
use super::error::DiskMountError;
use crate::sys::guard::Guard;
use crate::sys::loop_device::{LoopDevice, Writes};

const LOOPS: &str = "/sys/block";
/// How long it is waited for a device that is on its way out: its last user has just gone.
const PATIENCE: Duration = Duration::from_secs(3);
const MOMENT: Duration = Duration::from_millis(20);

/// A mount by the kernel. Dropped, it is unmounted and the device is gone.
#[derive(Debug)]
pub(super) struct KernelMount {
    image: PathBuf,
    at: PathBuf,
    guard: Guard,
}

impl KernelMount {
    pub(super) fn new(disk: &Disk<'_>) -> Result<Self, DiskMountError> {
        let file = open(disk)?;
        let device = LoopDevice::of(&file, writes(disk.access)).map_err(|source| DiskMountError::Loop {
            image: disk.image.to_owned(),
            source,
        })?;
        let mount = mount(disk, device.path())?;
        let resources = |source| DiskMountError::Resources {
            image: disk.image.to_owned(),
            source,
        };
        let at = fs::canonicalize(disk.at).map_err(resources)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        if let Err(errno) = move_mount(&mount, c"", CWD, &at, flags) {
            return Err(resources(errno.into()));
        }
        let locks: Vec<_> = disk.lock.into_iter().collect();
        match Guard::start(&at, &locks) {
            Ok(guard) => Ok(Self {
                image: disk.image.to_owned(),
                at,
                guard,
            }),
            Err(source) => {
                // Nothing may be mounted that would stay when this process is killed.
                if let Err(error) = rustix::mount::unmount(&at, UnmountFlags::DETACH) {
                    tracing::warn!(%error, path = %at.display(), "a mount stays in the tree");
                }
                Err(resources(source))
            }
        }
    }
}

impl Drop for KernelMount {
    fn drop(&mut self) {
        let unmounted = self.guard.unmount().or_else(|error| {
            tracing::warn!(%error, path = %self.at.display(), "a disk is still in use: it is taken out of the tree");
            self.guard.detach()
        });
        if let Err(error) = unmounted {
            tracing::warn!(%error, path = %self.at.display(), "a mount stays in the tree");
        }
        // A mount namespace goes a moment after its last process, and only then is everything in the image.
        let disk = Disk {
            image: &self.image,
            at: &self.at,
            access: Access::Write,
            lock: None,
        };
        if let Err(error) = refuse_used(&disk) {
            tracing::warn!(%error, "the image is not written back yet");
        }
    }
}

fn writes(access: Access) -> Writes {
    match access {
        Access::Read => Writes::No,
        Access::Write => Writes::Yes,
    }
}

fn open(disk: &Disk<'_>) -> Result<File, DiskMountError> {
    let mut options = OpenOptions::new();
    options.read(true).write(disk.access == Access::Write);
    options.open(disk.image).map_err(|source| DiskMountError::Image {
        image: disk.image.to_owned(),
        source,
    })
}

/// A mount that stands in no table yet.
fn mount(disk: &Disk<'_>, device: &Path) -> Result<OwnedFd, DiskMountError> {
    let context = match fsopen(c"ext4", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(context) => context,
        Err(errno) => {
            return Err(DiskMountError::Loop {
                image: disk.image.to_owned(),
                source: errno.into(),
            });
        }
    };
    configure(disk, &context, device).map_err(|errno| DiskMountError::Kernel {
        image: disk.image.to_owned(),
        said: said(&context),
        source: errno.into(),
    })
}

fn configure(disk: &Disk<'_>, context: &OwnedFd, device: &Path) -> Result<OwnedFd, Errno> {
    let source = CString::new(device.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    fsconfig_set_string(context, c"source", &source)?;
    fsconfig_set_string(context, c"errors", c"remount-ro")?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let flag: &CStr = match disk.access {
        Access::Read => {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
            c"ro"
        }
        // What is freed inside takes no space in the image any more.
        Access::Write => c"discard",
    };
    fsconfig_set_flag(context, flag)?;
    fsconfig_create(context)?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// What the kernel has to say of the last failure: lines that begin with a letter for their weight.
fn said(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        lines.push(text.trim().get(2..).unwrap_or_default().to_owned());
        if length == 0 || lines.len() > 8 {
            break;
        }
    }
    if lines.is_empty() {
        "no reason given; dmesg may have one".to_owned()
    } else {
        lines.join("; ")
    }
}

/// A lock knows nothing of what the kernel still has: two that write to one image would destroy it.
pub(super) fn refuse_used(disk: &Disk<'_>) -> Result<(), DiskMountError> {
    let begun = Instant::now();
    loop {
        match used_by(disk) {
            None => return Ok(()),
            Some(_) if begun.elapsed() < PATIENCE => thread::sleep(MOMENT),
            Some(device) => {
                return Err(DiskMountError::InUse {
                    image: disk.image.to_owned(),
                    device,
                });
            }
        }
    }
}

/// A device with the image behind it, where one of the two writes.
fn used_by(disk: &Disk<'_>) -> Option<PathBuf> {
    let image = fs::canonicalize(disk.image).ok()?;
    let text = |path: PathBuf| -> io::Result<String> { Ok(fs::read_to_string(path)?.trim_end().to_owned()) };
    let devices = fs::read_dir(LOOPS).ok()?.flatten();
    devices
        .filter(|entry| entry.file_name().as_bytes().starts_with(b"loop"))
        .find(|entry| {
            let is_image =
                text(entry.path().join("loop/backing_file")).is_ok_and(|path| Path::new(&path) == image);
            let reads =
                disk.access == Access::Read && text(entry.path().join("ro")).is_ok_and(|ro| ro == "1");
            is_image && !reads
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
}
