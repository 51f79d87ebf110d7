//! Confining this process itself.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes (MOUNT_ATTR_*) of a tree of mounts.
pub(crate) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: u64) -> Result<(), Errno> {
    set(tree, attributes, libc::AT_RECURSIVE)
}

/// The same of one mount, without those beneath it.
pub(crate) fn set_this_mount_s_attributes(mount: BorrowedFd<'_>, attributes: u64) -> Result<(), Errno> {
    set(mount, attributes, 0)
}

fn set(mount: BorrowedFd<'_>, attributes: u64, reach: i32) -> Result<(), Errno> {
    let attr = MountAttr {
        set: attributes,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the path is an empty C string, `attr` is a struct mount_attr of the size that is given, and both live for
    // the call; the descriptor is borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | reach,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    answer(result)
}

/// Loads a filter of 8 bytes an instruction for this thread and those that it starts.
pub(crate) fn load_filter(filter: &[u8]) -> Result<(), Errno> {
    let length = u16::try_from(filter.len() / size_of::<libc::sock_filter>()).map_err(|_| Errno::TOOBIG)?;
    // A sock_filter begins at a multiple of four; bytes need not.
    let instructions: Vec<libc::sock_filter> = filter
        .chunks_exact(size_of::<libc::sock_filter>())
        .map(|bytes| {
            let word = |from: usize| {
                let bytes = bytes.get(from..from + 4).and_then(<[u8]>::first_chunk);
                bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
            };
            let [low, high, jump_true, jump_false] = word(0).to_ne_bytes();
            libc::sock_filter {
                code: u16::from_ne_bytes([low, high]),
                jt: jump_true,
                jf: jump_false,
                k: word(4),
            }
        })
        .collect();
    let program = libc::sock_fprog {
        len: length,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter`, which `instructions` holds, and writes nothing there.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    answer(result)
}

/// Marks every descriptor but the standard streams as close-on-exec.
pub(crate) fn close_all_on_exec() -> Result<(), Errno> {
    // SAFETY: it changes a flag of descriptors, closes none, and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    answer(result)
}

fn answer(result: libc::c_long) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
