//! Entering the kernel.

use super::{Errno, Result};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("init enters the kernel by hand and knows x86_64 only; see docs/platform.md");

/// System call numbers (arch/x86/entry/syscalls/syscall_64.tbl).
pub mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const DUP2: usize = 33;
    pub const DUP3: usize = 292;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const SOCKET: usize = 41;
    pub const MADVISE: usize = 28;
    pub const GETPID: usize = 39;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const GETCWD: usize = 79;
    pub const CHDIR: usize = 80;
    pub const FCHDIR: usize = 81;
    pub const GETRUSAGE: usize = 98;
    pub const GETEUID: usize = 107;
    pub const GETEGID: usize = 108;
    pub const UMASK: usize = 95;
    pub const SETPGID: usize = 109;
    pub const SETSID: usize = 112;
    pub const SETGROUPS: usize = 116;
    pub const SETRESUID: usize = 117;
    pub const SETRESGID: usize = 119;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const PRCTL: usize = 157;
    pub const FSTAT: usize = 5;
    pub const FCNTL: usize = 72;
    pub const FLOCK: usize = 73;
    pub const SETPRIORITY: usize = 141;
    pub const PIVOT_ROOT: usize = 155;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const GETDENTS64: usize = 217;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const FUTEX: usize = 202;
    pub const WAITID: usize = 247;
    pub const UNSHARE: usize = 272;
    pub const SETNS: usize = 308;
    pub const EXIT: usize = 60;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EPOLL_CTL: usize = 233;
    pub const EPOLL_PWAIT: usize = 281;
    pub const EPOLL_CREATE1: usize = 291;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const UNLINKAT: usize = 263;
    pub const SYMLINKAT: usize = 266;
    pub const FCHOWNAT: usize = 260;
    pub const PPOLL: usize = 271;
    pub const SIGNALFD4: usize = 289;
    pub const PRLIMIT64: usize = 302;
    pub const SECCOMP: usize = 317;
    pub const OPEN_TREE: usize = 428;
    pub const MOVE_MOUNT: usize = 429;
    pub const FSOPEN: usize = 430;
    pub const FSCONFIG: usize = 431;
    pub const FSMOUNT: usize = 432;
    pub const PIDFD_OPEN: usize = 434;
    pub const STATX: usize = 332;
    pub const CLOSE_RANGE: usize = 436;
    pub const OPENAT2: usize = 437;
    pub const MOUNT_SETATTR: usize = 442;
    pub const LANDLOCK_CREATE_RULESET: usize = 444;
    pub const LANDLOCK_ADD_RULE: usize = 445;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}

/// Makes a system call. Not `unsafe` because this module's parent is the fence: its functions pass only
/// pointers that are valid for the call.
pub fn call(number: usize, args: [usize; 6]) -> Result<usize> {
    let result: isize;
    // SAFETY: the `syscall` instruction clobbers rcx, r11 and rax only; what the kernel does to memory goes
    // through the pointers that the functions of this module's parent own for the length of the call.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result < 0 && result > -4096 {
        Err(Errno(-result as i32))
    } else {
        Ok(result.cast_unsigned())
    }
}

/// clone(2) onto a stack of its own; the child calls `entry(argument)`, which must not return. With
/// CLONE_CHILD_CLEARTID `cleared` is the address of the word that the kernel clears; with CLONE_PIDFD `pidfd` that of
/// where it puts a descriptor of the child.
pub fn clone_onto(
    flags: usize,
    stack_top: usize,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
    cleared: usize,
    pidfd: usize,
) -> Result<usize> {
    let result: isize;
    // SAFETY: the child runs on `stack_top`, which the caller keeps mapped and unused until the child has
    // executed or exited (the caller waits until then), and never returns into this frame.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number::CLONE.cast_signed() => result,
            in("rdi") flags,
            in("rsi") stack_top,
            in("rdx") pidfd,
            in("r10") cleared,
            in("r8") 0,
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if result < 0 {
        Err(Errno(-result as i32))
    } else {
        Ok(result.cast_unsigned())
    }
}
