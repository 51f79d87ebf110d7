//! /dev/fuse: mounting what it serves, and its two calls of ioctl(2).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::apart::{Identities, apart};

const DEVICE: &CStr = c"/dev/fuse";

/// A mount of FUSE, to be made.
#[derive(Debug)]
pub(crate) struct Assembly {
    options: Vec<(&'static CStr, CString)>,
    flags: Vec<&'static CStr>,
    attributes: MountAttrFlags,
    identities: Identities,
}

/// A mount that stands in no table, and the device through which it is served.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) device: OwnedFd,
    pub(crate) mount: OwnedFd,
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
    /// Making namespaces, and mapping the caller into them.
    Namespaces,
    /// Opening /dev/fuse.
    Device,
    /// fsopen(2): the right to mount, and FUSE itself.
    Context,
    /// fsconfig(2) and fsmount(2).
    Mount,
}

impl Step {
    fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

impl Assembly {
    /// With these options, flags among them, and these attributes.
    pub(crate) fn new(
        options: Vec<(&'static CStr, CString)>,
        flags: Vec<&'static CStr>,
        attributes: MountAttrFlags,
    ) -> io::Result<Self> {
        Ok(Self {
            options,
            flags,
            attributes,
            identities: Identities::new()?,
        })
    }

    /// Mounts it with the caller's own rights. Async-signal-safe.
    pub(crate) fn here(&self) -> Result<Detached, Failure> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device = rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(Step::Device.failed())?;
        let context =
            rustix::mount::fsopen(c"fuse", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Step::Context.failed())?;
        let mount = self.configure(&context, &device).map_err(Step::Mount.failed())?;
        Ok(Detached { device, mount })
    }

    /// Mounts it in a user namespace of its own, in which the caller's user and group are the only ones.
    pub(crate) fn in_namespaces(&self) -> Result<Detached, Failure> {
        let mut result = Err(Step::Namespaces.failed()(Errno::INTR));
        apart(&mut || {
            let mapped = self.identities.map().map_err(Step::Namespaces.failed());
            result = mapped.and_then(|()| self.here());
        })
        .map_err(|error| Step::Namespaces.failed()(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        result
    }

    fn configure(&self, context: &OwnedFd, device: &OwnedFd) -> Result<OwnedFd, Errno> {
        let mut digits = [0; 12];
        rustix::mount::fsconfig_set_string(context, c"fd", decimal(device.as_raw_fd(), &mut digits))?;
        for (key, value) in &self.options {
            rustix::mount::fsconfig_set_string(context, *key, value.as_c_str())?;
        }
        for flag in &self.flags {
            rustix::mount::fsconfig_set_flag(context, *flag)?;
        }
        rustix::mount::fsconfig_create(context)?;
        rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, self.attributes)
    }
}

/// A number in digits, without an allocation.
fn decimal(number: i32, digits: &mut [u8; 12]) -> &CStr {
    let mut left = number.unsigned_abs();
    let mut start = digits.len() - 1;
    loop {
        start -= 1;
        if let (Some(digit), Ok(value)) = (digits.get_mut(start), u8::try_from(left % 10)) {
            *digit = b'0' + value;
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let text = digits.get(start..).unwrap_or_default();
    CStr::from_bytes_with_nul(text).unwrap_or(c"")
}

/// `struct fuse_backing_map`.
#[repr(C)]
struct BackingMap {
    fd: i32,
    flags: u32,
    padding: u64,
}

const BACKING_OPEN: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<BackingMap>(229, 1);
const BACKING_CLOSE: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<u32>(229, 2);

/// Makes `file` known to the kernel as one that it may read and write itself; the number it gets.
/// `FUSE_DEV_IOC_BACKING_OPEN`: `CAP_SYS_ADMIN` in the initial user namespace.
pub(crate) fn backing_open(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<u32> {
    let map = BackingMap {
        fd: file.as_raw_fd(),
        flags: 0,
        padding: 0,
    };
    // SAFETY: the kernel reads one `struct fuse_backing_map`, which `map` is; both descriptors are borrowed for the
    // call.
    let id = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            libc::c_ulong::from(BACKING_OPEN),
            &raw const map,
        )
    };
    u32::try_from(id).map_err(|_| io::Error::last_os_error())
}

/// The kernel needs that file no more. `FUSE_DEV_IOC_BACKING_CLOSE`.
pub(crate) fn backing_close(device: BorrowedFd<'_>, id: u32) -> io::Result<()> {
    // SAFETY: the kernel reads one 32-bit number; the descriptor is borrowed for the call.
    let result = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            libc::c_ulong::from(BACKING_CLOSE),
            &raw const id,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits() {
        for number in [0, 7, 10, 1023, i32::MAX] {
            let mut digits = [0; 12];
            assert_eq!(decimal(number, &mut digits).to_str().unwrap(), number.to_string());
        }
    }

    #[test]
    fn calls_have_the_kernels_numbers() {
        assert_eq!(BACKING_OPEN, 0x4010_e501);
        assert_eq!(BACKING_CLOSE, 0x4004_e502);
    }
}
