//! What a command finds around itself: environment, descriptors, identity, name, mask.

use std::collections::BTreeSet;

use sandbox_confine::{Policy, RunError, Sandbox};
use sandbox_types::policy::Identity;

use crate::harness::{
    in_own_process, is_root, name_of_test, needs_namespaces, needs_program, sh, sh_under, skip, stdout, sys,
};

/// All that a command may find without having asked for it.
const DOCUMENTED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SHELL",
    "SANDBOX",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "NO_COLOR",
    // The shell's own.
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
];

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

#[test]
fn the_environment_is_clean_and_says_that_this_is_a_sandbox() {
    in_own_process(name_of_test!(), || {
        sys::set_variable("AWS_SECRET_ACCESS_KEY", "secret");
        sys::set_variable("LD_PRELOAD", "");
        sys::set_variable("LANG", "C.UTF-8");
        let policy = policy(|policy| policy.filesystem.toolchains = false);
        let text = stdout(&sh_under(&policy, "env"));
        let names: BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name)
            .collect();
        let extra: Vec<_> = names.iter().filter(|name| !DOCUMENTED.contains(*name)).collect();
        assert!(extra.is_empty(), "{extra:?}");
        assert!(
            text.contains("SANDBOX=1\n") && text.contains("LANG=C.UTF-8\n"),
            "{text}"
        );
        assert!(!text.contains("secret"));
    });
}

#[test]
fn variables_are_passed_on_or_set_by_name_only() {
    in_own_process(name_of_test!(), || {
        sys::set_variable("WANTED", "from outside");
        sys::set_variable("UNWANTED", "from outside");
        let policy = Policy::builder()
            .env_from_host("WANTED")
            .env_from_host("ABSENT")
            .env("SET", "here")
            .env("SHELL", "/bin/other")
            .build()
            .expect("valid");
        let script = "echo $WANTED,$UNWANTED,${ABSENT-absent},$SET,$SHELL";
        assert_eq!(
            stdout(&sh_under(&policy, script)),
            "from outside,,absent,here,/bin/other\n"
        );
    });
}

#[test]
fn nothing_above_the_three_streams_is_open_inside() {
    in_own_process(name_of_test!(), || {
        let leaked: Vec<_> = (0..50).map(|_| sys::leak_descriptor()).collect();
        // The shell's own listing takes one while it looks.
        let open = stdout(&sh("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"));
        let above: Vec<u32> = open
            .lines()
            .filter_map(|fd| fd.parse().ok())
            .filter(|fd| *fd > 2)
            .collect();
        assert!(above.len() <= 1 && !above.contains(&10), "{above:?}");
        let streams = stdout(&sh("readlink /proc/self/fd/*; exit 0"));
        assert!(!streams.contains("passwd"), "{streams}");
        drop(leaked);
    });
}

#[test]
fn the_mask_is_the_policy_s_and_not_the_host_s() {
    in_own_process(name_of_test!(), || {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
        let default = sh("umask; mkdir d && touch d/f && cat d/f && echo ok");
        let narrow = sh_under(&policy(|policy| policy.process.umask = 0o077), "umask");
        rustix::process::umask(before);
        assert_eq!(stdout(&default), "0022\nok\n");
        assert_eq!(stdout(&narrow), "0077\n");
    });
}

#[test]
fn niceness_and_cpus_are_as_asked() {
    let asked = policy(|policy| {
        policy.process.nice = Some(7);
        policy.process.cpus = vec![0];
    });
    assert_eq!(
        stdout(&sh_under(
            &asked,
            "nice; grep Cpus_allowed_list /proc/self/status"
        )),
        "7\nCpus_allowed_list:\t0\n"
    );
    let impossible = policy(|policy| policy.process.cpus = vec![8000]);
    let error = Sandbox::command(&impossible, "/bin/true")
        .output()
        .expect_err("no such CPU");
    assert!(matches!(error, RunError::Start(_)), "{error:?}");
}

#[test]
fn the_host_name_is_the_policy_s() {
    needs_namespaces!();
    assert_eq!(stdout(&sh("uname -n; cat /etc/hostname")), "sandbox\nsandbox\n");
    let named = policy(|policy| policy.process.hostname = "box-7".into());
    assert_eq!(stdout(&sh_under(&named, "uname -n")), "box-7\n");
}

#[test]
fn a_command_is_the_caller_by_default() {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let text = stdout(&sh("id -u; id -g; id -un"));
    assert!(
        text.starts_with(&format!("{}\n{}\n", uid.as_raw(), gid.as_raw())),
        "{text}"
    );
}

#[test]
fn a_plain_user_may_be_root_inside_without_any_power() {
    needs_namespaces!();
    let asked = policy(|policy| policy.process.identity = Identity::Root);
    let script = "id -u; id -g; grep -E '^Cap(Eff|Prm|Inh|Bnd|Amb)' /proc/self/status | cut -f2 | sort -u";
    assert_eq!(stdout(&sh_under(&asked, script)), "0\n0\n0000000000000000\n");
}

#[test]
fn no_capability_is_left_whoever_the_caller_is() {
    let script =
        "grep -E '^(Cap(Eff|Prm|Inh|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t' | sort -u";
    let text = stdout(&sh(script));
    let expected: Vec<_> = ["CapAmb", "CapEff", "CapInh", "CapPrm"]
        .map(|set| format!("{set}:0000000000000000"))
        .into();
    assert_eq!(
        text.trim(),
        format!("{}\nNoNewPrivs:1\nSeccomp:2", expected.join("\n"))
    );
}

#[test]
fn only_root_may_ask_for_another_user() {
    let asked = policy(|policy| policy.process.identity = Identity::User(4242));
    if !is_root() {
        let error = Sandbox::command(&asked, "/bin/true")
            .output()
            .expect_err("not allowed");
        assert!(error.to_string().contains("4242"), "{error}");
        return;
    }
    needs_namespaces!();
    let script = "id -u; id -g; id -G; touch ~/f /tmp/f && echo writes; cat /etc/shadow 2>/dev/null; \
                  test -r /etc/passwd && whoami >/dev/null && echo named";
    assert_eq!(
        stdout(&sh_under(&asked, script)),
        "4242\n4242\n4242\nwrites\nnamed\n"
    );
}

#[test]
fn a_low_niceness_without_the_right_to_it_is_an_error() {
    if is_root() {
        return skip(name_of_test!(), "root may have any niceness");
    }
    let asked = policy(|policy| policy.process.nice = Some(-5));
    let error = Sandbox::command(&asked, "/bin/true")
        .output()
        .expect_err("not allowed");
    assert!(matches!(error, RunError::Start(_)), "{error:?}");
}

#[test]
fn standard_tools_find_a_user_a_group_and_a_resolver() {
    needs_program!("getent");
    let text = stdout(&sh(
        "getent passwd $(id -u) | cut -d: -f3; getent group $(id -g) | cut -d: -f3; getent hosts localhost",
    ));
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(rustix::process::getuid().as_raw().to_string().as_str())
    );
    assert_eq!(
        lines.next(),
        Some(rustix::process::getgid().as_raw().to_string().as_str())
    );
    assert!(
        lines.next().is_some_and(|line| line.contains("localhost")),
        "{text}"
    );
}

#[test]
fn the_loopback_is_up_and_there_is_nothing_else() {
    needs_namespaces!();
    let text = stdout(&sh(
        "cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /proc/net/route | wc -l",
    ));
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["lo", "1"]);
}

#[test]
fn signals_are_at_their_defaults_inside_whatever_the_host_does_with_them() {
    in_own_process(name_of_test!(), || {
        let _: nix::sys::signal::SigSet = nix::sys::signal::SigSet::all()
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .expect("own thread");
        for signal in [
            libc::SIGPIPE,
            libc::SIGCHLD,
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGHUP,
        ] {
            sys::set_signal(signal, true);
        }
        // A process that shells do not touch.
        let text = stdout(
            &Sandbox::command(&Policy::default(), "grep")
                .args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"])
                .output()
                .expect("runs"),
        );
        assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    });
}

#[test]
fn a_caller_s_own_lower_limits_are_kept_and_keep_nothing_from_starting() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    use sandbox_types::SizeExt;
    in_own_process(name_of_test!(), || {
        for (resource, limit) in [(Resource::Core, 0), (Resource::Fsize, 1 << 20)] {
            let limit = Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            };
            setrlimit(resource, limit).expect("lower is allowed");
        }
        let large = policy(|policy| policy.limits.file_size = Some(1.gib()));
        let text = stdout(&sh_under(
            &large,
            "grep -E 'core file|file size' /proc/self/limits",
        ));
        let hard: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_whitespace().rev().nth(1))
            .collect();
        assert_eq!(hard, ["1048576", "0"], "{text}");
    });
}

#[test]
fn init_is_called_by_its_name() {
    needs_namespaces!();
    assert_eq!(stdout(&sh("cat /proc/1/comm")), "sandbox-init\n");
}
