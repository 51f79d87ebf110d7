//! Calls that are allowed with some arguments only, with garbage in the bits that the kernel ignores.

use sandbox_types::policy::SyscallProfile;

use super::super::{FilterSpec, Inet, Toggles};
use super::{Answer, EPERM, Filter, GARBAGE};

const SIGCHLD: u64 = 17;
/// `CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}`.
const NAMESPACES: [u64; 7] = [
    0x2_0000,
    0x200_0000,
    0x400_0000,
    0x800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];
const CLONE_NEWTIME: u64 = 0x80;
/// `MSG_FASTOPEN` and `MSG_NOSIGNAL`.
const FAST_OPEN: u64 = 0x2000_0000;
const NO_SIGNAL: u64 = 0x4000;

fn network() -> Filter {
    Filter::profile(SyscallProfile::Network)
}

#[test]
fn clone_makes_processes_and_threads_but_no_namespace() {
    let filter = Filter::profile(SyscallProfile::Unrestricted);
    let thread = 0x003D_0F00;
    for flags in [SIGCHLD, thread, 0x4111, GARBAGE | SIGCHLD] {
        assert_eq!(filter.call("clone", &[flags]), Answer::Allow, "{flags:#x}");
    }
    for namespace in NAMESPACES {
        for flags in [namespace, namespace | SIGCHLD, GARBAGE | namespace | thread] {
            assert_eq!(filter.call("clone", &[flags]), EPERM, "{flags:#x}");
        }
    }
}

#[test]
fn unshare_separates_files_but_makes_no_namespace() {
    let filter = Filter::profile(SyscallProfile::Unrestricted);
    for flags in [0, 0x200, 0x400, 0x4_0000, 0x4_0600] {
        assert_eq!(filter.call("unshare", &[flags]), Answer::Allow, "{flags:#x}");
    }
    for namespace in NAMESPACES.into_iter().chain([CLONE_NEWTIME]) {
        for flags in [namespace, namespace | 0x200, GARBAGE | namespace] {
            assert_eq!(filter.call("unshare", &[flags]), EPERM, "{flags:#x}");
        }
    }
}

#[test]
fn ioctls_that_take_over_a_terminal_are_refused_whatever_the_upper_half_says() {
    let filter = Filter::profile(SyscallProfile::Unrestricted);
    for command in [0x5412, 0x541C, 0x5423] {
        for upper in [0, GARBAGE, 0xFFFF_FFFF_0000_0000, 1 << 32, 1 << 63] {
            assert_eq!(
                filter.call("ioctl", &[0, upper | command]),
                EPERM,
                "{upper:#x} {command:#x}"
            );
        }
    }
}

#[test]
fn all_other_ioctls_are_allowed_also_sign_extended() {
    let filter = network();
    let high = [
        0x8004_5430,
        0xC020_660B,
        u64::from(u32::MAX),
        0x5412 | 0x8000_0000,
        0x1_5412 & 0xFFFF_0000,
    ];
    let near = (0..32).flat_map(|bit| [0x5412_u64, 0x541C, 0x5423].map(|command| command ^ (1 << bit)));
    for command in (0..0x1_0000).chain(high).chain(near) {
        if ![0x5412, 0x541C, 0x5423].contains(&command) {
            assert_eq!(filter.call("ioctl", &[0, command]), Answer::Allow, "{command:#x}");
        }
    }
    assert_eq!(filter.call("ioctl", &[0, 0xFFFF_FFFF_8004_5430]), Answer::Allow);
}

#[test]
fn file_flags_are_metadata_where_metadata_may_not_change() {
    let shared = Filter::of(&FilterSpec::new(SyscallProfile::Network, Toggles::shared_host()));
    for command in [0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401C_5820] {
        assert_eq!(
            shared.call("ioctl", &[0, GARBAGE | command]),
            EPERM,
            "{command:#x}"
        );
        assert_eq!(
            network().call("ioctl", &[0, command]),
            Answer::Allow,
            "{command:#x}"
        );
    }
    assert_eq!(shared.call("ioctl", &[0, 0x5401]), Answer::Allow);
    assert_eq!(shared.call("ioctl", &[0, 0x5412]), EPERM);
}

#[test]
fn personality_takes_harmless_values_only() {
    let filter = network();
    for persona in [0, 0xFFFF_FFFF, u64::MAX, 0x4_0000, GARBAGE] {
        assert_eq!(
            filter.call("personality", &[persona]),
            Answer::Allow,
            "{persona:#x}"
        );
    }
    for persona in [8, 0x40_0000, 0x2_0000, 0x4_0008, GARBAGE | 8] {
        assert_eq!(filter.call("personality", &[persona]), EPERM, "{persona:#x}");
    }
}

#[test]
fn a_filter_of_ones_own_is_fine_but_not_a_supervisor() {
    let filter = network();
    assert_eq!(filter.call("seccomp", &[1, 0]), Answer::Allow);
    assert_eq!(filter.call("seccomp", &[1, 1]), Answer::Allow);
    assert_eq!(filter.call("seccomp", &[1, 8]), EPERM);
    assert_eq!(filter.call("seccomp", &[1, GARBAGE | 9]), EPERM);
}

#[test]
fn mknod_makes_fifos_and_whiteouts_but_no_device() {
    let filter = Filter::profile(SyscallProfile::Unrestricted);
    let null_device = 0x103;
    for (mode, device, expect) in [
        (0o644, 0, Answer::Allow),
        (0o100_644, 0, Answer::Allow),
        (0o010_600, 7, Answer::Allow),
        (0o140_600, 0, Answer::Allow),
        (0o020_000, 0, Answer::Allow),
        (0o020_666, null_device, EPERM),
        (GARBAGE | 0o020_666, GARBAGE | null_device, EPERM),
        (0o060_600, 0, EPERM),
        (0o060_600, 0x800, EPERM),
        (0o120_777, 0, EPERM),
    ] {
        assert_eq!(
            filter.call("mknodat", &[0, 0, mode, device]),
            expect,
            "{mode:o} {device:#x}"
        );
        if cfg!(target_arch = "x86_64") {
            assert_eq!(
                filter.call("mknod", &[0, mode, device]),
                expect,
                "{mode:o} {device:#x}"
            );
        }
    }
}

#[test]
fn without_a_pid_namespace_limits_and_priorities_are_ones_own() {
    let filter = Filter::of(&FilterSpec::new(
        SyscallProfile::Unrestricted,
        Toggles::shared_host(),
    ));
    for name in [
        "prlimit64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
        "sched_setscheduler",
    ] {
        assert_eq!(filter.call(name, &[0]), Answer::Allow, "{name}");
        assert_eq!(filter.call(name, &[GARBAGE]), Answer::Allow, "{name}");
        assert_eq!(filter.call(name, &[1234]), EPERM, "{name}");
        assert_eq!(network().call(name, &[1234]), Answer::Allow, "{name}");
    }
    for (name, myself, every_process_of_the_user) in [("setpriority", 0, 2), ("ioprio_set", 1, 3)] {
        assert_eq!(filter.call(name, &[myself, 0]), Answer::Allow, "{name}");
        assert_eq!(filter.call(name, &[myself, 1234]), EPERM, "{name}");
        assert_eq!(
            filter.call(name, &[every_process_of_the_user, 0]),
            EPERM,
            "{name}"
        );
    }
}

#[test]
fn a_server_may_make_itself_idle_and_any_thread_ordinary_and_nothing_else_of_it() {
    let filter = Filter::of(&FilterSpec::new(
        SyscallProfile::Unrestricted,
        Toggles {
            stands_back: true,
            ..Toggles::shared_host()
        },
    ));
    let (ordinary, idle) = (0, 5);
    for policy in 0..=7 {
        for thread in [0, 1234] {
            let is_allowed = policy == ordinary || policy == idle && thread == 0;
            let expect = if is_allowed { Answer::Allow } else { EPERM };
            let answer = filter.call("sched_setscheduler", &[thread, policy]);
            assert_eq!(answer, expect, "{thread} {policy}");
        }
    }
    for name in [
        "prlimit64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
    ] {
        assert_eq!(filter.call(name, &[1234, 0]), EPERM, "{name}");
    }
}

#[test]
fn with_a_pid_namespace_init_is_spared() {
    let nested = Filter::of(&FilterSpec {
        nested: true,
        ..FilterSpec::new(SyscallProfile::Network, Toggles::namespaced())
    });
    for name in [
        "prlimit64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
        "sched_setscheduler",
    ] {
        assert_eq!(network().call(name, &[1]), EPERM, "{name}");
        assert_eq!(network().call(name, &[GARBAGE | 1]), EPERM, "{name}");
        for other in [0, 2, u64::from(u32::MAX)] {
            assert_eq!(network().call(name, &[other]), Answer::Allow, "{name} {other}");
        }
        assert_eq!(nested.call(name, &[1]), EPERM, "{name}");
    }
    for (name, process) in [("setpriority", 0), ("ioprio_set", 1)] {
        let [group, user] = [process + 1, process + 2];
        for refused in [
            [process, 1],
            [group, 1],
            [group | GARBAGE, GARBAGE | 1],
            [user, 0],
            [user, 1000],
        ] {
            assert_eq!(network().call(name, &refused), EPERM, "{name} {refused:?}");
        }
        for allowed in [[process, 0], [process, 2], [group, 0], [group, 2]] {
            assert_eq!(
                network().call(name, &allowed),
                Answer::Allow,
                "{name} {allowed:?}"
            );
        }
    }
}

#[test]
fn fast_open_is_refused_where_ports_are_ruled() {
    let toggles = Toggles {
        inet: Inet::TcpOnly,
        ..Toggles::namespaced()
    };
    let ruled = Filter::of(&FilterSpec::new(SyscallProfile::Network, toggles));
    for (name, flags_at) in [("sendto", 3), ("sendmmsg", 3), ("sendmsg", 2)] {
        let with = |flags| {
            let mut args = [u64::MAX; 6];
            args[flags_at] = flags;
            args
        };
        assert_eq!(ruled.call(name, &with(NO_SIGNAL)), Answer::Allow, "{name}");
        assert_eq!(ruled.call(name, &with(FAST_OPEN)), EPERM, "{name}");
        assert_eq!(
            ruled.call(name, &with(GARBAGE | FAST_OPEN | NO_SIGNAL)),
            EPERM,
            "{name}"
        );
        assert_eq!(network().call(name, &with(FAST_OPEN)), Answer::Allow, "{name}");
    }
    for level in [0, 1, 6, 41, 270] {
        for option in [1, 2, 13, 23, 29, 30, 31, 32, 45] {
            let expect = if level == 6 && (option == 30 || option == 31) {
                EPERM
            } else {
                Answer::Allow
            };
            assert_eq!(
                ruled.call("setsockopt", &[3, level, option]),
                expect,
                "{level} {option}"
            );
            assert_eq!(
                ruled.call("setsockopt", &[3, GARBAGE | level, GARBAGE | option]),
                expect,
                "{level} {option}"
            );
            assert_eq!(network().call("setsockopt", &[3, level, option]), Answer::Allow);
        }
    }
}
