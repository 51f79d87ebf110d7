//! Processes, signals, identity and privileges.

use core::sync::atomic::{AtomicU32, Ordering};

use super::super::wire::Text;
use super::thread::wait_while;
use super::{ETIMEDOUT, Errno, Fd, Mapping, Result, Stack, arch, fd, number};

const CLONE_VM: usize = 0x100;
const CLONE_CHILD_CLEARTID: usize = 0x20_0000;
const SIGCHLD: usize = 17;
const SIGHUP: usize = 1;
const SIG_SETMASK: usize = 2;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_DUMPABLE: usize = 4;
const PR_SET_NAME: usize = 15;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_SET_CHILD_SUBREAPER: usize = 36;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SECCOMP_SET_MODE_FILTER: usize = 1;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const SFD_NONBLOCK_CLOEXEC: usize = 0o2_004_000;
const CLOCK_MONOTONIC: usize = 1;

/// wait4(2)'s account of an ended process: user and system time in µs, largest resident set in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rusage {
    pub user_us: u64,
    pub system_us: u64,
    pub max_rss_kib: u64,
}

/// Ends init, or a child that could not execute.
pub fn exit(status: i32) -> ! {
    loop {
        // exit_group(2) does not return.
        let _ = arch::call(arch::number::EXIT_GROUP, [number(status), 0, 0, 0, 0, 0]);
    }
}

/// getpid(2).
pub fn getpid() -> i32 {
    arch::call(arch::number::GETPID, [0; 6]).map_or(0, |pid| pid as i32)
}

/// How long a child is waited for before [`clone_sharing`] looks what keeps it.
const PATIENCE_MS: u32 = 20;

const CLONE_FS: usize = 0x200;
const CLONE_FILES: usize = 0x400;
const CLONE_NEWNS: usize = 0x2_0000;
const CLONE_NEWPID: usize = 0x2000_0000;
/// Not CLONE_SIGHAND: at its end the kernel ignores SIGCHLD for it (zap_pid_ns_processes), and so for us.
const FIRST: usize = CLONE_VM | CLONE_FILES | CLONE_NEWPID | SIGCHLD;

/// A child that shares this process's memory and descriptors, and is process 1 of a new pid namespace; it runs `run` on
/// a stack that nothing else uses until it has been reaped.
pub fn clone_first(stack_top: usize, run: fn() -> !) -> Result<First> {
    extern "C" fn enter(run: usize) -> ! {
        // SAFETY: the address of the function that was given to `clone_first`.
        let run = unsafe { core::mem::transmute::<usize, fn() -> !>(run) };
        run()
    }
    First::clone(CLONE_FS, stack_top, enter, run as usize)
}

/// The same in a mount namespace of its own, a copy of this process's, in which it first prepares something. This waits
/// until `prepare(argument)` has returned, and answers the child's number.
pub fn clone_first_apart<T>(
    stack_top: usize,
    prepare: fn(&T),
    argument: &T,
    run: fn() -> !,
) -> Result<First> {
    struct Call<'a, T> {
        prepare: fn(&T),
        argument: &'a T,
        run: fn() -> !,
        is_prepared: AtomicU32,
    }
    extern "C" fn enter<T>(call: usize) -> ! {
        // SAFETY: the address of the `Call` below, whose owner waits until it is prepared.
        let call = unsafe { &*(call as *const Call<'_, T>) };
        (call.prepare)(call.argument);
        let run = call.run;
        call.is_prepared.store(1, Ordering::Release);
        // From here on it is not touched any more; a futex is woken by its address alone.
        super::wake(&call.is_prepared);
        run()
    }
    let call = Call {
        prepare,
        argument,
        run,
        is_prepared: AtomicU32::new(0),
    };
    let place = (&raw const call) as usize;
    let first = First::clone(CLONE_NEWNS, stack_top, enter::<T>, place)?;
    await_change(&call.is_prepared, 0, first.pid, |_| {});
    Ok(first)
}

/// A first process, and its descriptor.
pub struct First {
    pub pid: i32,
    pub pidfd: Fd,
}

impl First {
    fn clone(
        flags: usize,
        stack_top: usize,
        entry: extern "C" fn(usize) -> !,
        argument: usize,
    ) -> Result<Self> {
        const CLONE_PIDFD: usize = 0x1000;
        let mut pidfd = -1_i32;
        let place = (&raw mut pidfd) as usize;
        let pid = arch::clone_onto(FIRST | CLONE_PIDFD | flags, stack_top, entry, argument, 0, place)? as i32;
        Ok(Self {
            pid,
            // SAFETY: read behind the compiler's back, since the kernel has written it.
            pidfd: Fd::own(unsafe { (&raw const pidfd).read_volatile() }),
        })
    }
}

/// Kinds of namespaces that a pidfd leads to (PIDFD_GET_*_NAMESPACE, Linux 6.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceKind {
    Mount = 3,
    Pid = 5,
}

/// A namespace of the process that a pidfd is of; ENOTTY before Linux 6.11.
pub fn namespace_of(pidfd: &Fd, kind: NamespaceKind) -> Result<Fd> {
    const PIDFS_IOCTL_MAGIC: usize = 0xff00;
    let request = PIDFS_IOCTL_MAGIC | kind as usize;
    fd(arch::call(
        arch::number::IOCTL,
        [number(pidfd.number()), request, 0, 0, 0, 0],
    ))
}

/// A signal that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    pub number: u64,
    /// Sent by kill(2) of a process outside of this pid namespace: nobody else can make it look so (rt_sigqueueinfo(2)).
    pub is_from_outside: bool,
}

/// Waits for one of the blocked signals of `mask` (bit n−1 for signal n).
pub fn await_signal(mask: u64) -> Result<Signal> {
    const SI_USER: i32 = 0;
    // struct siginfo: signal, errno, code, padding, sender.
    let mut information = [-1_i32; 32];
    let place = information.as_mut_ptr() as usize;
    let number = arch::call(
        arch::number::RT_SIGTIMEDWAIT,
        [(&raw const mask) as usize, place, 0, 8, 0, 0],
    )?;
    let [_, _, code, _, sender, ..] = information;
    Ok(Signal {
        number: number as u64,
        is_from_outside: code == SI_USER && sender == 0,
    })
}

/// As many open files as there may be: what a sandbox is made of must not depend on the caller's soft limit.
pub fn raise_open_files() {
    const RLIMIT_NOFILE: usize = 7;
    let mut limit = [0_u64; 2];
    let own = [0, RLIMIT_NOFILE, 0, limit.as_mut_ptr() as usize, 0, 0];
    if arch::call(arch::number::PRLIMIT64, own).is_ok() {
        let [_, hard] = limit;
        let limit = [hard; 2];
        // Up to the hard limit takes no privilege.
        let _ = arch::call(
            arch::number::PRLIMIT64,
            [0, RLIMIT_NOFILE, limit.as_ptr() as usize, 0, 0, 0],
        );
    }
}

/// A descriptor of a process (pidfd_open(2)).
pub fn pidfd(pid: i32) -> Result<Fd> {
    fd(arch::call(arch::number::PIDFD_OPEN, [number(pid), 0, 0, 0, 0, 0]))
}

/// Runs `run(argument)` in a child that shares init's memory, and waits until it has executed or ended.
///
/// CLONE_VFORK would wait, too, but in a way that nothing can interrupt: a command that stops every process it sees
/// would stop the child, and init with it, which then does not even notice that the supervisor is gone. Here
/// `meanwhile(pid)` is called whenever it takes long.
pub fn clone_sharing<T>(stack: &Stack, run: fn(&T), argument: &T, meanwhile: impl Fn(i32)) -> Result<i32> {
    struct Call<'a, T> {
        run: fn(&T),
        argument: &'a T,
    }
    extern "C" fn enter<T>(call: usize) -> ! {
        // SAFETY: `call` is the address of the `Call` below, whose owner waits until this child has executed or
        // exited.
        let call = unsafe { &*(call as *const Call<'_, T>) };
        (call.run)(call.argument);
        exit(127)
    }
    let call = Call { run, argument };
    // The kernel clears it when the child lets go of the memory, by execve(2) or its end.
    let shares = AtomicU32::new(1);
    let flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD;
    let word = shares.as_ptr() as usize;
    let pid = arch::clone_onto(
        flags,
        stack.top(),
        enter::<T>,
        (&raw const call) as usize,
        word,
        0,
    )? as i32;
    await_change(&shares, 1, pid, meanwhile);
    Ok(pid)
}

/// Waits until `word`, which a child or the kernel on its behalf changes, is no longer `value`, or the child has ended.
/// `meanwhile(pid)` is called whenever it takes long.
pub(super) fn await_change(word: &AtomicU32, value: u32, pid: i32, meanwhile: impl Fn(i32)) {
    while word.load(Ordering::Acquire) == value {
        if wait_while(word, value, Some(PATIENCE_MS)) == Err(ETIMEDOUT) {
            if state(pid) == State::Ended {
                break;
            }
            meanwhile(pid);
        }
    }
}

/// What is known of a child without reaping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// None of the following.
    Alive,
    /// A signal has stopped it.
    Stopped,
    /// It can be reaped.
    Ended,
}

// WNOHANG, WSTOPPED, WEXITED, WNOWAIT, __WALL.
const LOOK: usize = 1 | 2 | 4 | 0x0100_0000 | 0x4000_0000;

/// Whether there is a child, running or ended, leaving everything as it is.
pub fn has_children() -> bool {
    const P_ALL: usize = 0;
    // ECHILD: there is none.
    arch::call(arch::number::WAITID, [P_ALL, 0, 0, LOOK, 0, 0]).is_ok()
}

/// waitid(2) for a child, leaving everything as it is.
pub fn state(pid: i32) -> State {
    const P_PID: usize = 1;
    const CLD_STOPPED: i32 = 5;
    // struct siginfo: signal, errno, code; all zero when there is nothing to tell.
    let mut information = [0_i32; 32];
    let place = information.as_mut_ptr() as usize;
    let looked = arch::call(arch::number::WAITID, [P_PID, number(pid), place, LOOK, 0, 0]);
    match (looked, information) {
        (Ok(_), [_, _, CLD_STOPPED, ..]) => State::Stopped,
        (Ok(_), [0, ..]) => State::Alive,
        _ => State::Ended,
    }
}

/// execve(2). Returns only when it failed. `argv` and `envp` end with a null pointer.
pub fn exec(path: &Text, argv: &mut Mapping, envp: &mut Mapping) -> Errno {
    let args = [
        path.as_ptr() as usize,
        argv.pointers().as_ptr() as usize,
        envp.pointers().as_ptr() as usize,
        0,
        0,
        0,
    ];
    arch::call(arch::number::EXECVE, args).err().unwrap_or(Errno(0))
}

/// Waits for any child without blocking: its pid, its status, its usage. `None` when none has changed.
pub fn wait() -> Option<(i32, i32, Rusage)> {
    const WNOHANG: usize = 1;
    const WUNTRACED: usize = 2;
    const WCONTINUED: usize = 8;
    const WALL: usize = 0x4000_0000;
    let mut status: i32 = 0;
    // struct rusage: two timevals and fourteen longs.
    let mut usage = [0_u64; 18];
    let args = [
        usize::MAX,
        (&raw mut status) as usize,
        WNOHANG | WUNTRACED | WCONTINUED | WALL,
        usage.as_mut_ptr() as usize,
        0,
        0,
    ];
    let pid = arch::call(arch::number::WAIT4, args)
        .ok()
        .filter(|pid| *pid != 0)? as i32;
    Some((pid, status, Rusage::of(&usage)))
}

/// What init itself has used.
pub fn own_usage() -> Rusage {
    const RUSAGE_SELF: usize = 0;
    usage(RUSAGE_SELF)
}

/// What everybody has used whom init has reaped, and those whom they have.
pub fn children_usage() -> Rusage {
    const RUSAGE_CHILDREN: usize = usize::MAX;
    usage(RUSAGE_CHILDREN)
}

fn usage(whose: usize) -> Rusage {
    let mut usage = [0_u64; 18];
    // Both are known, and the pointer is good: it cannot fail.
    let _ = arch::call(
        arch::number::GETRUSAGE,
        [whose, usage.as_mut_ptr() as usize, 0, 0, 0, 0],
    );
    Rusage::of(&usage)
}

impl Rusage {
    fn of(usage: &[u64; 18]) -> Self {
        let [user_s, user_us, system_s, system_us, max_rss_kib, ..] = *usage;
        Self {
            user_us: user_s * 1_000_000 + user_us,
            system_us: system_s * 1_000_000 + system_us,
            max_rss_kib,
        }
    }
}

/// Waits until that child has ended, and reaps it; at once where somebody else has.
pub fn wait_for(pid: i32) {
    const WALL: usize = 0x4000_0000;
    let args = [number(pid), 0, WALL, 0, 0, 0];
    while arch::call(arch::number::WAIT4, args) == Err(super::EINTR) {}
}

/// Waits until some child has ended; false when there is none.
pub fn wait_for_any() -> bool {
    const WALL: usize = 0x4000_0000;
    arch::call(arch::number::WAIT4, [usize::MAX, 0, WALL, 0, 0, 0]).is_ok()
}

/// Reaps every child that has ended, without waiting; whether one is left.
pub fn reap_ended() -> bool {
    const WALL_NOHANG: usize = 0x4000_0001;
    loop {
        match arch::call(arch::number::WAIT4, [usize::MAX, 0, WALL_NOHANG, 0, 0, 0]) {
            Ok(0) => return true,
            Ok(_) => {}
            // ECHILD: none is left.
            Err(_) => return false,
        }
    }
}

/// The user and group that init acts as.
pub fn own_identity() -> (u32, u32) {
    // Neither can fail.
    let own = |number| arch::call(number, [0; 6]).map_or(0, |id| id as u32);
    (own(arch::number::GETEUID), own(arch::number::GETEGID))
}

/// kill(2).
pub fn kill(pid: i32, signal: u64) -> Result<()> {
    arch::call(arch::number::KILL, [number(pid), signal as usize, 0, 0, 0, 0]).map(drop)
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    arch::call(arch::number::SETSID, [0; 6]).map(drop)
}

/// setpgid(2): a process group of its own.
pub fn set_own_group() -> Result<()> {
    arch::call(arch::number::SETPGID, [0; 6]).map(drop)
}

/// Default action for every signal, and `blocked` as the mask (bit n−1 for signal n).
pub fn reset_signals(blocked: u64) -> Result<()> {
    let default = [0_u64; 4];
    for signal in (1..=64).filter(|signal| !matches!(signal, 9 | 19)) {
        arch::call(
            arch::number::RT_SIGACTION,
            [signal, default.as_ptr() as usize, 0, 8, 0, 0],
        )?;
    }
    set_signal_mask(blocked)
}

/// Blocks exactly the signals of `mask` (bit n−1 for signal n).
pub fn set_signal_mask(mask: u64) -> Result<()> {
    arch::call(
        arch::number::RT_SIGPROCMASK,
        [SIG_SETMASK, (&raw const mask) as usize, 0, 8, 0, 0],
    )
    .map(drop)
}

/// A descriptor that becomes readable with SIGCHLD and SIGHUP, which are blocked.
pub fn signal_fd() -> Result<Fd> {
    let mask: u64 = 1 << (SIGCHLD - 1) | 1 << (SIGHUP - 1);
    fd(arch::call(
        arch::number::SIGNALFD4,
        [
            usize::MAX,
            (&raw const mask) as usize,
            8,
            SFD_NONBLOCK_CLOEXEC,
            0,
            0,
        ],
    ))
}

/// Microseconds of CLOCK_MONOTONIC.
pub fn monotonic_us() -> u64 {
    let mut time = [0_u64; 2];
    // CLOCK_MONOTONIC cannot fail with a valid pointer.
    let _ = arch::call(
        arch::number::CLOCK_GETTIME,
        [CLOCK_MONOTONIC, time.as_mut_ptr() as usize, 0, 0, 0, 0],
    );
    time[0] * 1_000_000 + time[1] / 1000
}

/// chdir(2).
pub fn chdir(path: &Text) -> Result<()> {
    arch::call(arch::number::CHDIR, [path.as_ptr() as usize, 0, 0, 0, 0, 0]).map(drop)
}

/// getcwd(2); `into` must have room for it.
pub fn working_directory(into: &mut [u8]) -> Result<&Text> {
    let args = [into.as_mut_ptr() as usize, into.len(), 0, 0, 0, 0];
    arch::call(arch::number::GETCWD, args)?;
    Text::from_bytes_until_nul(into).map_err(|_| super::EINVAL)
}

/// fchdir(2).
pub fn fchdir(directory: &Fd) -> Result<()> {
    arch::call(arch::number::FCHDIR, [number(directory.number()), 0, 0, 0, 0, 0]).map(drop)
}

/// Makes the working directory, which must be a mount point, the root, and stacks the old root on it: pivot_root(2)
/// with both arguments ".", from which [`detach_root_on_top`] removes it (pivot_root(2), NOTES).
pub fn change_root_here() -> Result<()> {
    let here = c".".as_ptr() as usize;
    arch::call(arch::number::PIVOT_ROOT, [here, here, 0, 0, 0, 0]).map(drop)
}

/// Detaches what [`change_root_here`] has stacked on the working directory, which must be the same still. The kernel
/// waits until no other CPU can be on its way through those mounts (synchronize_rcu_expedited).
pub fn detach_root_on_top() -> Result<()> {
    const MNT_DETACH: usize = 2;
    arch::call(
        arch::number::UMOUNT2,
        [c".".as_ptr() as usize, MNT_DETACH, 0, 0, 0, 0],
    )
    .map(drop)
}

/// Detaches what is mounted at `path`.
pub fn detach(path: &Text) -> Result<()> {
    const MNT_DETACH: usize = 2;
    arch::call(
        arch::number::UMOUNT2,
        [path.as_ptr() as usize, MNT_DETACH, 0, 0, 0, 0],
    )
    .map(drop)
}

/// unshare(2) for this thread.
pub fn leave_namespaces(flags: u64) -> Result<()> {
    arch::call(arch::number::UNSHARE, [flags as usize, 0, 0, 0, 0, 0]).map(drop)
}

/// setns(2) for this thread, whatever kind of namespace it is.
pub fn join_namespace(namespace: &Fd) -> Result<()> {
    arch::call(arch::number::SETNS, [number(namespace.number()), 0, 0, 0, 0, 0]).map(drop)
}

/// setns(2) for this thread: those namespaces (CLONE_NEW*) of the process that a pidfd is of, or of a kind of them.
pub fn join_namespaces(of: &Fd, kinds: u64) -> Result<()> {
    arch::call(
        arch::number::SETNS,
        [number(of.number()), kinds as usize, 0, 0, 0, 0],
    )
    .map(drop)
}

/// umask(2).
pub fn set_umask(mask: u32) {
    // umask(2) always succeeds.
    let _ = arch::call(arch::number::UMASK, [mask as usize, 0, 0, 0, 0, 0]);
}

/// setpriority(2) for this process.
pub fn set_nice(nice: i32) -> Result<()> {
    arch::call(arch::number::SETPRIORITY, [0, 0, number(nice), 0, 0, 0]).map(drop)
}

/// sched_setaffinity(2) for this process.
pub fn set_affinity(mask: &[u8]) -> Result<()> {
    arch::call(
        arch::number::SCHED_SETAFFINITY,
        [0, mask.len(), mask.as_ptr() as usize, 0, 0, 0],
    )
    .map(drop)
}

/// setrlimit(2). Where the caller's own limit is lower, that stays: raising it takes a privilege. Of open files more
/// may have been asked for than there are, which is an error.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    const RLIMIT_NOFILE: u32 = 7;
    let mut limit = [u64::MAX; 2];
    if resource != RLIMIT_NOFILE {
        let own = [0, resource as usize, 0, limit.as_mut_ptr() as usize, 0, 0];
        arch::call(arch::number::PRLIMIT64, own)?;
    }
    let [_, most] = limit;
    let limit = [soft.min(most), hard.min(most)];
    arch::call(
        arch::number::PRLIMIT64,
        [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0],
    )
    .map(drop)
}

/// The name that ps(1) and top(1) show for this thread, which is that of its file else.
pub fn set_name(name: &Text) -> Result<()> {
    arch::call(
        arch::number::PRCTL,
        [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0],
    )
    .map(drop)
}

/// setgroups(2): no supplementary groups.
pub fn set_groups() -> Result<()> {
    arch::call(arch::number::SETGROUPS, [0; 6]).map(drop)
}

/// Real, effective and saved group, then user.
pub fn set_identity(uid: u32, gid: u32) -> Result<()> {
    let [uid, gid] = [uid as usize, gid as usize];
    arch::call(arch::number::SETRESGID, [gid, gid, gid, 0, 0, 0])?;
    arch::call(arch::number::SETRESUID, [uid, uid, uid, 0, 0, 0]).map(drop)
}

/// sethostname(2).
pub fn set_hostname(name: &Text) -> Result<()> {
    arch::call(
        arch::number::SETHOSTNAME,
        [name.as_ptr() as usize, name.count_bytes(), 0, 0, 0, 0],
    )
    .map(drop)
}

fn prctl(option: usize, args: [usize; 4]) -> Result<usize> {
    arch::call(
        arch::number::PRCTL,
        [option, args[0], args[1], args[2], args[3], 0],
    )
}

/// Nobody may trace init or look into its /proc entries.
pub fn set_dumpable_off() -> Result<()> {
    prctl(PR_SET_DUMPABLE, [0; 4]).map(drop)
}

/// This process's own /proc entries are its own again, as those of any program are.
pub fn set_dumpable_on() -> Result<()> {
    prctl(PR_SET_DUMPABLE, [1, 0, 0, 0]).map(drop)
}

/// Orphans come to init.
pub fn become_subreaper() -> Result<()> {
    prctl(PR_SET_CHILD_SUBREAPER, [1, 0, 0, 0]).map(drop)
}

/// No exec gains a privilege any more.
pub fn no_new_privileges() -> Result<()> {
    prctl(PR_SET_NO_NEW_PRIVS, [1, 0, 0, 0]).map(drop)
}

/// The next change of user keeps the permitted capabilities, once (capabilities(7)).
pub fn keep_capabilities_once() -> Result<()> {
    const PR_SET_KEEPCAPS: usize = 8;
    prctl(PR_SET_KEEPCAPS, [1, 0, 0, 0]).map(drop)
}

/// Empties the ambient set.
pub fn drop_ambient() -> Result<()> {
    prctl(PR_CAP_AMBIENT, [PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]).map(drop)
}

/// Empties the bounding set. Needs CAP_SETPCAP; without it, says so.
pub fn bounding_drop() -> Result<()> {
    for capability in 0..64 {
        match prctl(PR_CAPBSET_DROP, [capability, 0, 0, 0]) {
            Ok(_) => {}
            // EINVAL: the kernel knows no capability of that number, nor any beyond it.
            Err(Errno(22)) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the effective and permitted sets to `keep`, and the inheritable and the ambient one to `pass_on`, which is among
/// it and has been inheritable before.
pub fn capabilities(keep: u64, pass_on: u64) -> Result<()> {
    let [low, high] = halves(keep);
    let [low_passed, high_passed] = halves(pass_on);
    let data = [low, low, low_passed, high, high, high_passed];
    set_capabilities(&data)?;
    for capability in (0..64).filter(|bit| pass_on >> bit & 1 == 1) {
        prctl(PR_CAP_AMBIENT, [PR_CAP_AMBIENT_RAISE, capability, 0, 0])?;
    }
    Ok(())
}

/// Makes these inheritable, as far as they are permitted, and leaves the other sets as they are.
pub fn make_inheritable(these: u64) -> Result<()> {
    let mut data = [0_u32; 6];
    let header = [CAPABILITY_VERSION_3, 0];
    let args = [header.as_ptr() as usize, data.as_mut_ptr() as usize, 0, 0, 0, 0];
    arch::call(arch::number::CAPGET, args)?;
    let [low, high] = halves(these);
    let [
        _,
        low_permitted,
        low_inheritable,
        _,
        high_permitted,
        high_inheritable,
    ] = &mut data;
    *low_inheritable |= low & *low_permitted;
    *high_inheritable |= high & *high_permitted;
    set_capabilities(&data)
}

const fn halves(set: u64) -> [u32; 2] {
    [set as u32, (set >> 32) as u32]
}

/// capset(2): effective, permitted and inheritable, the lower halves first.
fn set_capabilities(data: &[u32; 6]) -> Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let args = [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0, 0];
    arch::call(arch::number::CAPSET, args).map(drop)
}

/// Loads a seccomp filter of 8 bytes an instruction.
pub fn set_seccomp(filter: &[u8]) -> Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const u8,
    }
    let Ok(length) = u16::try_from(filter.len() / 8) else {
        return Err(super::EINVAL);
    };
    let program = Program {
        length,
        filter: filter.as_ptr(),
    };
    arch::call(
        arch::number::SECCOMP,
        [SECCOMP_SET_MODE_FILTER, 0, (&raw const program) as usize, 0, 0, 0],
    )
    .map(drop)
}
