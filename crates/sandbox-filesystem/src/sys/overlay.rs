//! Mounting an overlay: here, or in a user namespace that is made for it and gone at once.
//!
//! What is mounted stays *detached*: it is reached through its descriptor alone, stands in no mount table, and goes
//! with the last descriptor, however its owner ends. So the child that makes the namespaces has nothing to live
//! for once the mount exists.
//!
//! That child shares this process's memory and descriptors until it exits (CLONE_VM | CLONE_VFORK | CLONE_FILES).
//! It runs [`Assembly::apart`], which calls the kernel and allocates nothing: what has to be written down was
//! written down by [`Assembly::new`]. Layers are opened in the child, since overlayfs takes them only from the
//! mount namespace it is mounted in, under descriptors whose numbers were reserved before.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::signals::SignalsBlocked;

/// Room for the few calls of [`Assembly::apart`].
const STACK_WORDS: usize = 4096;

/// What fsconfig(2) takes as one value.
const MAX_VALUE: usize = 255;

/// An overlay that is ready to be mounted.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// Directories, each with the descriptor by which overlayfs is told of it.
    layers: Vec<(CString, OwnedFd)>,
    /// Options and their values, which name the descriptors.
    options: Vec<(&'static CStr, CString)>,
    /// The caller's user and group, as they are.
    maps: [(&'static CStr, CString); 3],
}

/// What did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

/// The part that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// clone(2) with new user and mount namespaces.
    Namespaces,
    /// Mapping the caller's user and group into the user namespace.
    Identities,
    /// Opening a layer.
    Layer,
    /// fsopen(2): the right to mount anything, and overlayfs itself.
    Context,
    /// fsconfig(2) and fsmount(2): what overlayfs thinks of its layers.
    Mount,
}

impl Step {
    fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

impl Assembly {
    /// Of `lowers`, the topmost first, beneath `upper`. All paths are absolute.
    pub(crate) fn new(lowers: &[PathBuf], upper: &Path, work: &Path) -> io::Result<Self> {
        let layers: Vec<_> = lowers
            .iter()
            .map(PathBuf::as_path)
            .chain([upper, work])
            .map(|path| Ok((CString::new(path.as_os_str().as_bytes())?, reserved()?)))
            .collect::<io::Result<_>>()?;
        let names: Vec<_> = layers
            .iter()
            .map(|(_, fd)| format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .collect();
        let (below, above) = names.split_at(lowers.len());
        let joined = below.join(":");
        let mut options = Vec::new();
        if joined.len() <= MAX_VALUE {
            options.push((c"lowerdir", CString::new(joined)?));
        } else {
            // Linux 6.7 takes them one by one.
            for name in below {
                options.push((c"lowerdir+", CString::new(name.as_str())?));
            }
        }
        for (key, name) in [c"upperdir", c"workdir"].into_iter().zip(above) {
            options.push((key, CString::new(name.as_str())?));
        }
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Ok(Self {
            layers,
            options,
            maps: [
                (c"/proc/self/setgroups", CString::from(c"deny")),
                (c"/proc/self/uid_map", CString::new(format!("{uid} {uid} 1\n"))?),
                (c"/proc/self/gid_map", CString::new(format!("{gid} {gid} 1\n"))?),
            ],
        })
    }

    /// Mounts it with the caller's own rights. Async-signal-safe.
    pub(crate) fn here(&mut self) -> Result<OwnedFd, Failure> {
        // The first to fail without privileges, and cheap.
        let context =
            rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Step::Context.failed())?;
        for (path, fd) in &mut self.layers {
            open_as(path, fd).map_err(Step::Layer.failed())?;
        }
        self.configure(&context).map_err(Step::Mount.failed())
    }

    /// Mounts it in a user namespace of its own, in which the caller's user and group are the only ones.
    pub(crate) fn in_namespaces(&mut self) -> Result<OwnedFd, Failure> {
        let failed = |error: io::Error| Failure {
            step: Step::Namespaces,
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        };
        let mut stack = vec![0_u128; STACK_WORDS];
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        let mut data = Child {
            assembly: self,
            result: Err(Failure {
                step: Step::Namespaces,
                errno: Errno::INTR,
            }),
        };
        let argument = (&raw mut data).cast::<c_void>();
        let shared = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
        let flags = shared | libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
        // No handler of this process may run in the child, on memory that both share.
        let blocked = SignalsBlocked::new().map_err(failed)?;
        // SAFETY: `top` is the aligned end of a stack, and `argument` the exclusively borrowed `Child` that the
        // function expects; both outlive the child, because CLONE_VFORK suspends this thread until it has exited.
        let pid = unsafe { libc::clone(child, top, flags, argument) };
        let result = if pid < 0 {
            Err(failed(io::Error::last_os_error()))
        } else {
            Ok(pid)
        };
        drop(blocked);
        reap(result?);
        data.result
    }

    fn apart(&mut self) -> Result<OwnedFd, Failure> {
        for (path, content) in &self.maps {
            write(path, content).map_err(Step::Identities.failed())?;
        }
        self.here()
    }

    fn configure(&self, context: &OwnedFd) -> Result<OwnedFd, Errno> {
        for (key, value) in &self.options {
            rustix::mount::fsconfig_set_string(context, *key, value.as_c_str())?;
        }
        rustix::mount::fsconfig_set_flag(context, c"userxattr")?;
        // Nothing is synced when it is unmounted; whoever keeps the upper syncs it.
        rustix::mount::fsconfig_set_flag(context, c"volatile")?;
        rustix::mount::fsconfig_create(context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }
}

struct Child<'a> {
    assembly: &'a mut Assembly,
    result: Result<OwnedFd, Failure>,
}

extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `argument` is the `Child` of `in_namespaces`, whose thread is suspended; nobody else refers to it.
    let data = unsafe { &mut *argument.cast::<Child<'_>>() };
    data.result = data.assembly.apart();
    // SAFETY: ends this process only; no destructor of the parent's runs.
    unsafe { libc::_exit(0) }
}

/// A descriptor whose number stays when something else is opened under it.
fn reserved() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        c"/",
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn open_as(path: &CStr, fd: &mut OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::io::dup3(&opened, fd, rustix::io::DupFlags::CLOEXEC)
}

fn write(path: &CStr, content: &CStr) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, content.to_bytes()).map(drop)
}

/// Takes note of the end of a child that has exited. It had no exit signal, so `__WALL`; a host program that waits
/// for everybody may have been faster, which does no harm.
fn reap(pid: c_int) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}
