//! The system calls in groups, and for each group the narrowest profile that contains it.
//!
//! Every system call of the table is in exactly one group, so the profiles are cumulative by construction and
//! "what is this call for, and who may make it" has one answer. Old and new variants of one operation share a
//! group: libc falls back from the new to the old on ENOSYS, not on EPERM.

use sandbox_types::policy::SyscallProfile::{
    self, Compute, Essential, IoHeavy, Minimal, Network, Unrestricted,
};

/// System calls with one purpose, addressed as `@name` in a policy.
#[derive(Debug)]
pub struct Group {
    /// The name, with its `@`.
    pub name: &'static str,
    /// Who may use it.
    pub tier: Tier,
    /// Its members, by name.
    pub calls: &'static [&'static str],
}

/// Who may use a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// This profile and the wider ones.
    Profile(SyscallProfile),
    /// Programs that sandbox themselves, when the policy says `nested = true`.
    Nested,
    /// Nobody.
    Never,
}

/// The group called `name`, which includes the `@`.
pub(super) fn named(name: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.name == name)
}

/// The group that `call` is in.
pub(super) fn containing(call: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.calls.contains(&call))
}

const fn group(name: &'static str, tier: Tier, calls: &'static [&'static str]) -> Group {
    Group { name, tier, calls }
}

/// All groups, from the narrowest profile to what is never allowed.
#[rustfmt::skip]
pub const GROUPS: &[Group] = &[
    // uprobe and uretprobe are made by the kernel's own trampolines: refusing them crashes a traced program.
    group("@basic", Tier::Profile(Essential), &[
        "arch_prctl", "execve", "exit", "exit_group", "get_robust_list", "getcpu", "getegid", "geteuid", "getgid",
        "getgroups", "getpid", "getppid", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage", "gettid",
        "getuid", "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigreturn", "set_robust_list",
        "set_tid_address", "sysinfo", "times", "uname", "uprobe", "uretprobe",
    ]),
    group("@memory", Tier::Profile(Essential), &[
        "brk", "madvise", "map_shadow_stack", "mincore", "mmap", "mprotect", "mremap", "mseal", "msync", "munmap",
    ]),
    group("@stdio", Tier::Profile(Essential), &[
        "close", "close_range", "dup", "dup2", "dup3", "fcntl", "ioctl", "lseek", "poll", "ppoll", "pread64",
        "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readv", "write", "writev",
    ]),
    group("@file-open", Tier::Profile(Essential), &[
        "access", "faccessat", "faccessat2", "fstat", "getcwd", "lstat", "newfstatat", "open", "openat", "openat2",
        "readlink", "readlinkat", "stat", "statx",
    ]),
    group("@signal", Tier::Profile(Essential), &[
        "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigsuspend", "rt_sigtimedwait",
        "sigaltstack", "tgkill", "tkill",
    ]),
    group("@clock", Tier::Profile(Essential), &[
        "clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
    ]),
    group("@sync", Tier::Profile(Essential), &[
        "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "membarrier", "sched_getaffinity",
        "sched_yield",
    ]),

    group("@process", Tier::Profile(Minimal), &[
        "clone", "execveat", "fork", "getpgid", "getpgrp", "getsid", "kill", "pidfd_open", "pidfd_send_signal",
        "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setpgid", "setsid", "vfork", "wait4", "waitid",
    ]),
    group("@pipe", Tier::Profile(Minimal), &["pipe", "pipe2", "pselect6", "select"]),
    group("@directory", Tier::Profile(Minimal), &[
        "chdir", "fchdir", "fstatfs", "getdents", "getdents64", "statfs", "umask",
    ]),
    group("@timer", Tier::Profile(Minimal), &[
        "alarm", "getitimer", "setitimer", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
        "timer_settime",
    ]),

    group("@file-write", Tier::Profile(IoHeavy), &[
        "creat", "fallocate", "flock", "ftruncate", "link", "linkat", "mkdir", "mkdirat", "mknod", "mknodat",
        "rename", "renameat", "renameat2", "rmdir", "symlink", "symlinkat", "truncate", "unlink", "unlinkat",
    ]),
    group("@metadata", Tier::Profile(IoHeavy), &[
        "chmod", "chown", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "file_setattr", "fremovexattr",
        "fsetxattr", "futimesat", "lchown", "lremovexattr", "lsetxattr", "removexattr", "removexattrat", "setxattr",
        "setxattrat", "utime", "utimensat", "utimes",
    ]),
    group("@metadata-read", Tier::Profile(IoHeavy), &[
        "fgetxattr", "file_getattr", "flistxattr", "getxattr", "getxattrat", "lgetxattr", "listxattr",
        "listxattrat", "llistxattr",
    ]),
    group("@writeback", Tier::Profile(IoHeavy), &[
        "cachestat", "fadvise64", "fdatasync", "fsync", "readahead", "sync", "sync_file_range", "syncfs",
    ]),
    group("@event", Tier::Profile(IoHeavy), &[
        "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd",
        "eventfd2", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "signalfd",
        "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    ]),
    group("@splice", Tier::Profile(IoHeavy), &["copy_file_range", "sendfile", "splice", "tee", "vmsplice"]),
    group("@aio", Tier::Profile(IoHeavy), &[
        "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
    ]),
    // Sockets that one already has; socketpair makes only pairs of unix sockets.
    group("@socketpair", Tier::Profile(IoHeavy), &[
        "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg",
        "sendto", "setsockopt", "shutdown", "socketpair",
    ]),

    group("@schedule", Tier::Profile(Compute), &[
        "getpriority", "ioprio_get", "ioprio_set", "sched_get_priority_max", "sched_get_priority_min",
        "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
        "sched_setattr", "sched_setparam", "sched_setscheduler", "setpriority", "setrlimit",
    ]),
    group("@memory-placement", Tier::Profile(Compute), &[
        "get_mempolicy", "mbind", "memfd_create", "memfd_secret", "mlock", "mlock2", "mlockall", "munlock",
        "munlockall", "personality", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_madvise",
        "process_mrelease", "remap_file_pages", "set_mempolicy", "set_mempolicy_home_node",
    ]),
    group("@ipc", Tier::Profile(Compute), &[
        "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget",
        "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
    ]),
    group("@self-restriction", Tier::Profile(Compute), &[
        "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lsm_get_self_attr",
        "lsm_list_modules", "seccomp", "unshare",
    ]),

    group("@network", Tier::Profile(Network), &["accept", "accept4", "bind", "connect", "listen", "socket"]),
    // Without capabilities these only switch among the ids the process already has.
    group("@credentials", Tier::Profile(Network), &[
        "capget", "capset", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid",
        "setreuid", "setuid",
    ]),

    // Bounded by the pid namespace and by Landlock, but the richest interface there is to other processes.
    group("@debug", Tier::Profile(Unrestricted), &["process_vm_readv", "process_vm_writev", "ptrace"]),
    group("@host-name", Tier::Profile(Unrestricted), &["setdomainname", "sethostname"]),
    group("@mount-info", Tier::Profile(Unrestricted), &["listmount", "statmount"]),
    group("@security-label", Tier::Profile(Unrestricted), &["lsm_set_self_attr"]),

    group("@mount", Tier::Nested, &[
        "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
        "open_tree_attr", "pivot_root", "umount2",
    ]),
    group("@namespace", Tier::Nested, &["setns"]),

    // Its flags are in memory, where a filter cannot read them. ENOSYS makes libc use clone.
    group("@clone3", Tier::Never, &["clone3"]),
    group("@handle", Tier::Never, &["name_to_handle_at", "open_by_handle_at"]),
    group("@introspection", Tier::Never, &[
        "bpf", "fanotify_init", "fanotify_mark", "kcmp", "perf_event_open", "pidfd_getfd", "userfaultfd",
    ]),
    group("@io-uring", Tier::Never, &["io_uring_enter", "io_uring_register", "io_uring_setup"]),
    group("@keyring", Tier::Never, &["add_key", "keyctl", "request_key"]),
    group("@page-migration", Tier::Never, &["migrate_pages", "move_pages"]),
    group("@kernel-module", Tier::Never, &[
        "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module", "query_module",
    ]),
    group("@reboot", Tier::Never, &["kexec_file_load", "kexec_load", "reboot"]),
    group("@clock-set", Tier::Never, &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"]),
    group("@host-admin", Tier::Never, &[
        "acct", "quotactl", "quotactl_fd", "swapoff", "swapon", "syslog", "vhangup",
    ]),
    // modify_ldt is needed by 16-bit programs under Wine only and has a long record of kernel bugs.
    group("@raw-cpu", Tier::Never, &["ioperm", "iopl", "modify_ldt"]),
    group("@obsolete", Tier::Never, &[
        "_sysctl", "afs_syscall", "epoll_ctl_old", "epoll_wait_old", "get_thread_area", "getpmsg", "lookup_dcookie",
        "nfsservctl", "putpmsg", "security", "set_thread_area", "sysfs", "tuxcall", "uselib", "ustat", "vserver",
    ]),
];
