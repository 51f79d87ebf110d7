//! The same filter, as the kernel runs it.

use sandbox_types::policy::SyscallProfile;

use super::super::{FilterSpec, Toggles, filter};
use super::sys::{Call, End, under};

fn network() -> Vec<u8> {
    let spec = FilterSpec::new(SyscallProfile::Network, Toggles::namespaced());
    filter(&spec).unwrap().into_owned()
}

#[test]
fn the_kernel_takes_every_built_in_program() {
    for spec in super::super::preset::all() {
        let program = filter(&spec).unwrap();
        assert_eq!(
            under(&program, Call::Native(libc::SYS_getppid, [0; 3])),
            End::Errno(0),
            "{spec:?}"
        );
    }
}

#[test]
fn the_kernel_answers_as_the_data_says() {
    let program = network();
    let (unix, vsock, stream) = (1, 40, 1);
    for (number, args, errno) in [
        (libc::SYS_getppid, [0; 3], 0),
        (libc::SYS_socket, [unix, stream, 0], 0),
        (libc::SYS_socket, [unix | super::GARBAGE, stream, 0], 0),
        (libc::SYS_socket, [vsock, stream, 0], libc::EAFNOSUPPORT),
        (
            libc::SYS_socket,
            [vsock | super::GARBAGE, stream, 0],
            libc::EAFNOSUPPORT,
        ),
        (libc::SYS_socket, [2, stream, 262], libc::EPROTONOSUPPORT),
        (libc::SYS_unshare, [0x1000_0000, 0, 0], libc::EPERM),
        (libc::SYS_unshare, [0x200, 0, 0], 0),
        (libc::SYS_mount, [0; 3], libc::EPERM),
        (libc::SYS_bpf, [0; 3], libc::EPERM),
        (libc::SYS_ioctl, [0, 0x5412, 0], libc::EPERM),
        (libc::SYS_ioctl, [0, 0x5412 | super::GARBAGE, 0], libc::EPERM),
        (libc::SYS_clone3, [0; 3], libc::ENOSYS),
        (5000, [0; 3], libc::ENOSYS),
    ] {
        assert_eq!(
            under(&program, Call::Native(number, args)),
            End::Errno(errno),
            "{number} {args:x?}"
        );
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_kernel_kills_an_x32_call() {
    let x32_getpid = 0x4000_0000 | libc::SYS_getpid;
    assert_eq!(
        under(&network(), Call::Native(x32_getpid, [0; 3])),
        End::Signal(libc::SIGSYS)
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_kernel_kills_a_32_bit_call() {
    let end = under(&network(), Call::Int80);
    // A kernel without 32-bit emulation has no such gate, which is as good.
    assert!(
        matches!(end, End::Signal(libc::SIGSYS | libc::SIGSEGV)),
        "{end:?}"
    );
    println!("int 0x80 ended with {end:?}");
}
