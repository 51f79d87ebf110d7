//! One test for each group of attempts and mode.

use super::attempts::{Run, Stdin};
use super::outside::{HIDDEN, Outside};
use super::programs::program;
use super::table::Mode;
use crate::harness::{Harness, has};

fn denied(name: &str, mode: Mode) {
    Run {
        name,
        mode,
        stdin: Stdin::File,
        flags: &[],
        open: &[],
        runner: None,
    }
    .must_be_denied();
}

macro_rules! groups {
    ($($group:ident)+) => {
        /// Behind every wall.
        mod namespaces {$(
            #[test]
            fn $group() {
                super::denied(stringify!($group), super::Mode::Namespaces);
            }
        )+}
        /// Without user namespaces.
        mod in_place {$(
            #[test]
            fn $group() {
                super::denied(stringify!($group), super::Mode::InPlace);
            }
        )+}
        /// In another sandbox.
        mod nested {$(
            #[test]
            fn $group() {
                super::denied(stringify!($group), super::Mode::Nested);
            }
        )+}
    };
}

/// What counts whatever the flags are.
const OTHERS: [&str; 6] = ["reads", "writes", "proc", "processes", "devices", "privileges"];

fn denied_with(flags: &[&str], groups: &[&str]) {
    let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
    for name in groups {
        let run = Run {
            name,
            mode: Mode::Namespaces,
            stdin: Stdin::Null,
            flags: &flags,
            open: &[],
            runner: None,
        };
        run.must_be_denied();
    }
}

#[test]
fn root_inside_is_nobody_special() {
    denied_with(&["--root"], &OTHERS);
}

#[test]
fn another_user_is_confined_as_well() {
    if !rustix::process::geteuid().is_root() {
        skip!(
            "another_user_is_confined_as_well",
            "only root may start commands as another user"
        );
    }
    denied_with(&["--user", "4242"], &OTHERS);
}

#[test]
fn the_host_s_network_opens_nothing_else() {
    denied_with(&["--net", "host"], &[&OTHERS[..], &["sockets"]].concat());
}

#[test]
fn namespaces_of_one_s_own_open_nothing_else() {
    denied_with(&["--nested"], &OTHERS[..5]);
}

groups!(reads writes proc processes namespaces sockets kernel abi privileges devices descriptors);

/// Attempts on the host's network with rules on ports.
fn denied_by_ports(rules: &[&str], open: &[&str]) {
    let flags: Vec<_> = ["--net", "host"]
        .iter()
        .chain(rules)
        .map(ToString::to_string)
        .collect();
    Run {
        name: "sockets",
        mode: Mode::Ports,
        stdin: Stdin::Null,
        flags: &flags,
        open,
        runner: None,
    }
    .must_be_denied();
}

#[test]
fn a_rule_on_connecting_leaves_no_way_around_it() {
    denied_by_ports(&["--connect-port", "9"], &[]);
}

/// Where a port may be bound, listen(2) is needed, and on an unbound socket it takes a free port by itself:
/// Landlock is not asked.
#[test]
fn a_rule_on_binding_leaves_only_a_port_of_the_kernel_s_choice() {
    denied_by_ports(&["--bind-port", "9", "--connect-port", "9"], &["listen-autobind"]);
}

#[test]
fn a_terminal_is_not_taken_over() {
    for mode in [Mode::Namespaces, Mode::InPlace, Mode::Nested] {
        for stdin in [Stdin::Terminal, Stdin::OwnTerminal] {
            Run {
                name: "terminal",
                mode,
                stdin,
                flags: &[],
                open: &[],
                runner: None,
            }
            .must_be_denied();
        }
    }
}

#[test]
fn two_hundred_extra_rules_leave_the_filter_whole() {
    let extra = extra_rules();
    assert!(extra.len() >= 200, "{}", extra.len());
    let flags: Vec<_> = extra
        .into_iter()
        .flat_map(|name| ["--deny-syscall".to_owned(), name.to_owned()])
        .collect();
    for name in ["abi", "namespaces"] {
        for mode in [Mode::Namespaces, Mode::InPlace] {
            Run {
                name,
                mode,
                stdin: Stdin::Null,
                flags: &flags,
                open: &[],
                runner: None,
            }
            .must_be_denied();
        }
    }
}

/// The judge itself: where there is a hole, the attempts through it are found.
#[test]
fn a_hole_does_not_go_unnoticed() {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    let place = Harness::new();
    let outside = Outside::new(&place, &program("whoami"));
    let hidden = place.root().join(HIDDEN).display().to_string();
    let flags = ["-w".to_owned(), hidden];
    let run = Run {
        name: "writes",
        mode: Mode::Namespaces,
        stdin: Stdin::Null,
        flags: &flags,
        open: &[],
        runner: None,
    };
    let wrong = run.wrong(&place, &outside);
    for attempt in ["victim-create", "victim-rename-within", "victim-chmod"] {
        let expected = format!("{attempt} ESCAPED");
        assert!(
            wrong.iter().any(|line| line.starts_with(&expected)),
            "{attempt} in {wrong:?}"
        );
    }
    assert!(
        !wrong.iter().any(|line| line.starts_with("readonly-")),
        "{wrong:?}"
    );
}

/// Calls that the policy knows and a small static program does without.
fn extra_rules() -> Vec<&'static str> {
    const NEEDED: &str = "access alarm arch_prctl brk chdir clone clone3 close dup dup2 dup3 execve execveat exit \
        exit_group faccessat faccessat2 fcntl fork vfork fstat newfstatat futex getcwd getdents64 getegid geteuid \
        getgid getpid getppid getrandom gettid getuid lseek madvise mkdir mkdirat mmap mprotect mremap munmap open \
        openat pipe pipe2 prctl pread64 prlimit64 read readlink readlinkat restart_syscall rmdir rseq \
        rt_sigaction rt_sigprocmask rt_sigreturn seccomp set_robust_list set_tid_address setns stat statx tgkill uname \
        unlink unlinkat unshare wait4 waitid write writev kill mount umount2 pivot_root chroot fsopen fspick fsconfig \
        fsmount open_tree open_tree_attr move_mount mount_setattr pidfd_open poll ppoll nanosleep clock_nanosleep";
    let needed: Vec<_> = NEEDED.split_whitespace().collect();
    let all = sandbox::seccomp::GROUPS
        .iter()
        .flat_map(|group| group.calls.iter().copied());
    all.filter(|name| !needed.contains(name)).collect()
}
