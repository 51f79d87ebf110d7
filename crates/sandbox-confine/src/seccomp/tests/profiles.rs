//! Which calls which profile allows.

use sandbox_types::policy::SyscallProfile;

use super::super::numbers;
use super::super::{FilterSpec, Inet, Tier, Toggles};
use super::{Answer, ENOSYS, EPERM, Filter, native};
use crate::seccomp::GROUPS;

fn all_specs() -> impl Iterator<Item = FilterSpec> {
    SyscallProfile::ALL.into_iter().flat_map(|profile| {
        let port_rules = Toggles {
            inet: Inet::TcpOnly,
            ..Toggles::namespaced()
        };
        [Toggles::namespaced(), Toggles::shared_host(), port_rules]
            .map(|toggles| FilterSpec::new(profile, toggles))
    })
}

fn members(tier: Tier) -> impl Iterator<Item = &'static str> {
    GROUPS
        .iter()
        .filter(move |group| group.tier == tier)
        .flat_map(|group| group.calls)
        .copied()
}

#[test]
fn each_profile_allows_what_the_narrower_one_allows() {
    for pair in SyscallProfile::ALL.windows(2) {
        let (narrow, wide) = (Filter::profile(pair[0]), Filter::profile(pair[1]));
        let mut more = 0;
        for name in numbers::names() {
            let (before, after) = (narrow.call(name, &[]), wide.call(name, &[]));
            assert!(
                before != Answer::Allow || after == Answer::Allow,
                "{name}: {pair:?}"
            );
            more += usize::from(before != after);
        }
        assert!(more > 0, "{pair:?} differ");
    }
}

#[test]
fn no_profile_allows_what_is_never_allowed() {
    for spec in all_specs() {
        let filter = Filter::of(&spec);
        for name in members(Tier::Never)
            .chain(members(Tier::Nested))
            .filter(|name| *name != "clone3")
        {
            if numbers::number(name, native()).is_some() {
                assert_eq!(filter.call(name, &[]), EPERM, "{name} under {spec:?}");
            }
        }
    }
}

#[test]
fn nested_allows_namespaces_and_mounts_and_nothing_else_that_is_never_allowed() {
    let filter = Filter::of(&FilterSpec {
        nested: true,
        ..FilterSpec::new(SyscallProfile::Network, Toggles::namespaced())
    });
    for name in members(Tier::Nested).chain(["unshare", "clone"]) {
        assert_eq!(filter.call(name, &[0x7E02_0000]), Answer::Allow, "{name}");
    }
    for name in members(Tier::Never).filter(|name| numbers::number(name, native()).is_some()) {
        assert_ne!(filter.call(name, &[]), Answer::Allow, "{name}");
    }
}

#[test]
fn clone3_is_enosys_under_every_spec_so_that_libc_uses_clone() {
    for spec in all_specs() {
        assert_eq!(Filter::of(&spec).call("clone3", &[]), ENOSYS, "{spec:?}");
        assert_eq!(
            Filter::of(&FilterSpec { nested: true, ..spec }).call("clone3", &[]),
            ENOSYS
        );
    }
}

#[test]
fn every_number_that_is_not_in_the_table_is_enosys() {
    let known = numbers::numbers(native());
    let filter = Filter::profile(SyscallProfile::Unrestricted);
    let beyond = [1000, 4096, 0x3FFF_FFFF, 0x8000_0000, 0xBFFF_FFFF, u32::MAX];
    for number in (0..1000).filter(|number| !known.contains(number)).chain(beyond) {
        assert_eq!(filter.number(number, &[]), ENOSYS, "{number}");
    }
    for number in known {
        assert!(
            filter.number(number, &[]) != ENOSYS || Some(number) == numbers::number("clone3", native()),
            "{number}"
        );
    }
}

#[test]
fn calls_of_another_abi_kill_the_process() {
    const I386: u32 = 0x4000_0003;
    const ARM: u32 = 0x4000_0028;
    for spec in all_specs() {
        let filter = Filter::of(&spec);
        for number in 0..512 {
            for token in [I386, ARM, 0, u32::MAX] {
                assert_eq!(
                    filter.foreign(token, number, &[]),
                    Answer::KillProcess,
                    "{number} as {token:#x}"
                );
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn x32_numbers_kill_the_process() {
    for spec in all_specs() {
        let filter = Filter::of(&spec);
        for number in 0..1024 {
            assert_eq!(
                filter.number(0x4000_0000 | number, &[]),
                Answer::KillProcess,
                "{number}"
            );
            assert_eq!(
                filter.number(0xC000_0000 | number, &[]),
                Answer::KillProcess,
                "{number}"
            );
        }
    }
}

#[test]
fn the_default_profile_allows_what_ordinary_programs_call() {
    let filter = Filter::profile(SyscallProfile::Network);
    let calls = "membarrier rseq set_robust_list getrandom memfd_create sched_getaffinity sched_setaffinity pipe2 \
        epoll_create1 epoll_pwait2 eventfd2 timerfd_create signalfd4 inotify_init1 splice tee vmsplice mlock madvise \
        mincore prctl futex futex_waitv semop shmat msgget flock fallocate copy_file_range statx openat2 close_range \
        pidfd_open pidfd_send_signal process_mrelease landlock_create_ruleset landlock_add_rule \
        landlock_restrict_self seccomp prlimit64 setrlimit personality fork vfork clone execve execveat wait4 waitid \
        bind listen accept4 connect sendmsg recvmsg getdents64 utimensat fchmodat2 setxattr mseal \
        renameat2 unshare setuid setgroups capset io_submit mq_open set_mempolicy mbind";
    for name in calls
        .split_whitespace()
        .filter(|name| numbers::number(name, native()).is_some())
    {
        assert_eq!(filter.call(name, &[]), Answer::Allow, "{name}");
    }
}

#[test]
fn debugging_needs_the_widest_profile_or_an_extra() {
    for name in ["ptrace", "process_vm_readv", "process_vm_writev"] {
        assert_eq!(
            Filter::profile(SyscallProfile::Network).call(name, &[]),
            EPERM,
            "{name}"
        );
        assert_eq!(
            Filter::profile(SyscallProfile::Unrestricted).call(name, &[]),
            Answer::Allow,
            "{name}"
        );
    }
}

#[test]
fn without_namespaces_what_landlock_does_not_mediate_is_refused() {
    let filter = Filter::of(&FilterSpec::new(
        SyscallProfile::Unrestricted,
        Toggles::shared_host(),
    ));
    let calls = "chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown utime utimes utimensat futimesat setxattr \
        lsetxattr fsetxattr setxattrat removexattr removexattrat file_setattr shmget shmat msgget semget mq_open";
    for name in calls
        .split_whitespace()
        .filter(|name| numbers::number(name, native()).is_some())
    {
        assert_eq!(filter.call(name, &[]), EPERM, "{name}");
    }
    assert_eq!(filter.call("getxattr", &[]), Answer::Allow);
}

#[test]
fn listen_is_refused_when_no_port_may_be_bound() {
    let toggles = Toggles {
        deny_listen: true,
        ..Toggles::namespaced()
    };
    let filter = Filter::of(&FilterSpec::new(SyscallProfile::Network, toggles));
    assert_eq!(filter.call("listen", &[3, 5]), EPERM);
    assert_eq!(filter.call("connect", &[3]), Answer::Allow);
}
