//! A root of one's own, of nothing but what is reached, for who may mount: root, in the host's user namespace or another.
//!
//! It is a file system in memory that is made read-only, in namespaces of the process's own (mount, network, IPC, host
//! name). What is reached has its own place in it, without devices, set-user-ids and programs. The process's own
//! descriptors are in /proc/self/fd, which is all there is of /proc.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::CloneFlags;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::{OwnWallsError, Reach, Reached};
use crate::sys;

const DESCRIPTORS: &str = "/proc/self/fd";

/// Enters it; false where the process may not mount. Where everything is reached it is a copy of all mounts: what is mounted
/// later, what the process itself serves say, is not seen in it either.
pub(super) fn enter(reached: &[Reached]) -> Result<bool, OwnWallsError> {
    if !may_mount()? {
        return Ok(false);
    }
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    nix::sched::unshare(namespaces).map_err(OwnWallsError::kernel("unshare"))?;
    let is_everything = |reached: &Reached| reached.path == Path::new("/");
    let built = if reached.iter().any(is_everything) {
        keep_everything()
    } else {
        build(reached)
    };
    built.map_err(|(what, errno)| OwnWallsError::kernel(what)(errno))?;
    Ok(true)
}

fn may_mount() -> Result<bool, OwnWallsError> {
    let own = rustix::thread::capabilities(None).map_err(OwnWallsError::kernel("capget"))?;
    Ok(own.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN))
}

type Step<T> = Result<T, (&'static str, Errno)>;

fn step(what: &'static str) -> impl Fn(Errno) -> (&'static str, Errno) {
    move |errno| (what, errno)
}

fn make_private() -> Step<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(step("make mounts private"))
}

/// As what is reached has it: no devices, set-user-ids and programs.
fn without_devices(tree: BorrowedFd<'_>) -> Step<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    sys::set_mount_attributes(tree, attributes.bits().into()).map_err(step("mount_setattr"))
}

fn keep_everything() -> Step<()> {
    make_private()?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    without_devices(root.map_err(step("open the root"))?.as_fd())
}

fn build(reached: &[Reached]) -> Step<()> {
    make_private()?;
    let own = rustix::fs::open(DESCRIPTORS, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let own = own.map_err(step("open /proc/self/fd"))?;
    let mut trees = vec![(Path::new(DESCRIPTORS), true, tree(own.as_fd())?)];
    for reached in shallowest_first(reached) {
        // The directories on the way to what is reached are there anyway.
        if reached.reach == Reach::List {
            continue;
        }
        // Only what was opened in this namespace can be copied.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::open(&reached.path, flags, Mode::empty());
        let tree = tree(place.map_err(step("open what is reached"))?.as_fd())?;
        without_devices(tree.as_fd())?;
        trees.push((&*reached.path, reached.is_dir, tree));
    }
    let root = memory()?;
    attach(root.as_fd(), CWD, Path::new("/")).map_err(step("mount a root"))?;
    for (path, is_dir, tree) in &trees {
        let place = path.strip_prefix("/").unwrap_or(path);
        make_place(root.as_fd(), place, *is_dir).map_err(step("make a mount point"))?;
        attach(tree.as_fd(), root.as_fd(), place).map_err(step("mount what is reached"))?;
    }
    rustix::process::fchdir(&root).map_err(step("fchdir"))?;
    rustix::process::pivot_root(".", ".").map_err(step("pivot_root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leave the old root"))?;
    rustix::process::chdir("/").map_err(step("chdir"))?;
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = root.map_err(step("open the new root"))?;
    sys::set_this_mount_s_attributes(root.as_fd(), read_only.bits().into()).map_err(step("mount_setattr"))
}

/// So that nothing that is attached covers what was before it.
fn shallowest_first(reached: &[Reached]) -> Vec<&Reached> {
    let mut sorted: Vec<_> = reached.iter().collect();
    sorted.sort_by_key(|reached| reached.path.components().count());
    sorted
}

/// A copy of the tree of mounts at `place`, in nobody's table.
fn tree(place: BorrowedFd<'_>) -> Step<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(place, "", flags).map_err(step("open_tree"))
}

/// An empty file system in memory, detached.
fn memory() -> Step<OwnedFd> {
    let failed = || step("a file system in memory");
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed())?;
    rustix::mount::fsconfig_set_string(&context, "size", "65536").map_err(failed())?;
    rustix::mount::fsconfig_set_string(&context, "mode", "0755").map_err(failed())?;
    rustix::mount::fsconfig_create(&context).map_err(failed())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed())
}

fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, "", at, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Directories down to `path`, and itself, unless they are there: something reached may lie in something reached.
fn make_place(root: BorrowedFd<'_>, path: &Path, is_dir: bool) -> Result<(), Errno> {
    let mut above: Vec<_> = path
        .ancestors()
        .filter(|above| !above.as_os_str().is_empty())
        .collect();
    above.reverse();
    let (last, above) = above.split_last().ok_or(Errno::INVAL)?;
    for directory in above {
        ignore_existing(rustix::fs::mkdirat(root, *directory, Mode::from_raw_mode(0o755)))?;
    }
    if is_dir {
        ignore_existing(rustix::fs::mkdirat(root, *last, Mode::from_raw_mode(0o755)))
    } else {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(root, *last, flags, Mode::from_raw_mode(0o600)).map(drop)
    }
}

fn ignore_existing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}
