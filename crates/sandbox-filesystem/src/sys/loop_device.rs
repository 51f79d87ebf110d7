//! Loop devices: a file as a block device, gone with its last user (loop(4)).

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter};

const CONTROL: &CStr = c"/dev/loop-control";
/// A device that was free may be somebody else's a moment later: so many are tried.
const TRIES: u32 = 64;

const GET_FREE: Opcode = 0x4c82;
const CONFIGURE: Opcode = 0x4c0a;
const READ_ONLY: u32 = 1;
const AUTO_CLEAR: u32 = 4;

/// `struct loop_info64`, as far as it is not zero.
#[repr(C)]
struct LoopInfo {
    before: [u64; 5],
    number: [u32; 3],
    flags: u32,
    after: [u8; 176],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// A block device with the content of a file. It is free again when it is closed and nothing is mounted from it.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    #[expect(dead_code, reason = "keeps the device until it is mounted")]
    device: OwnedFd,
}

/// Whether the device can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    No,
    Yes,
}

impl LoopDevice {
    /// Makes one of `file`, which was opened for what is asked for. Root only (`CAP_SYS_ADMIN` and the device nodes).
    pub(crate) fn of(file: &File, writes: Writes) -> io::Result<Self> {
        let control = rustix::fs::open(CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        for _ in 0..TRIES {
            let number = get_free(&control)?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let access = match writes {
                Writes::Yes => OFlags::RDWR,
                Writes::No => OFlags::RDONLY,
            };
            let device = rustix::fs::open(&path, access | OFlags::CLOEXEC, Mode::empty())?;
            match configure(&device, file, writes) {
                Ok(()) => return Ok(Self { path, device }),
                Err(Errno::BUSY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// Its node.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

fn configure(device: &OwnedFd, file: &File, writes: Writes) -> Result<(), Errno> {
    let read_only = match writes {
        Writes::Yes => 0,
        Writes::No => READ_ONLY,
    };
    let config = LoopConfig {
        fd: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?,
        block_size: 0,
        info: LoopInfo {
            before: [0; 5],
            number: [0; 3],
            flags: AUTO_CLEAR | read_only,
            after: [0; 176],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads a `struct loop_config`, which `LoopConfig` has the layout of (linux/loop.h).
    let request = unsafe { Setter::<CONFIGURE, LoopConfig>::new(config) };
    // SAFETY: `device` is an open loop device, and the request carries what it reads.
    unsafe { rustix::ioctl::ioctl(device, request) }
}

fn get_free(control: &OwnedFd) -> io::Result<i32> {
    use std::os::fd::AsFd;
    let fd: BorrowedFd<'_> = control.as_fd();
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and answers with a number.
    let number = unsafe { libc::ioctl(fd.as_raw_fd(), libc::c_ulong::from(GET_FREE)) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_as_large_as_the_kernels() {
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
    }
}
