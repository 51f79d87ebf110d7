//! Extras by name and group, and the errors of wrong ones.

use sandbox_types::policy::SyscallProfile;

use super::super::{FilterSpec, SeccompError, Toggles, compile};
use super::{Answer, EPERM, Filter};

fn with(allow: &[&str], deny: &[&str]) -> FilterSpec {
    let own = |entries: &[&str]| entries.iter().map(ToString::to_string).collect();
    FilterSpec {
        allow: own(allow),
        deny: own(deny),
        ..FilterSpec::new(SyscallProfile::Network, Toggles::namespaced())
    }
}

fn error(allow: &[&str], deny: &[&str]) -> SeccompError {
    compile(&with(allow, deny)).unwrap_err()
}

#[test]
fn extras_are_named_by_call_or_by_group() {
    assert_eq!(
        Filter::of(&with(&["ptrace"], &[])).call("ptrace", &[]),
        Answer::Allow
    );
    assert_eq!(
        Filter::of(&with(&["ptrace"], &[])).call("process_vm_readv", &[]),
        EPERM
    );
    assert_eq!(
        Filter::of(&with(&["@debug"], &[])).call("process_vm_readv", &[]),
        Answer::Allow
    );
    assert_eq!(
        Filter::of(&with(&[], &["@network"])).call("socket", &[2, 1, 0]),
        EPERM
    );
    assert_eq!(Filter::of(&with(&[], &["kill"])).call("kill", &[]), EPERM);
}

#[test]
fn deny_wins_over_allow() {
    let filter = Filter::of(&with(&["@debug"], &["ptrace"]));
    assert_eq!(filter.call("ptrace", &[]), EPERM);
    assert_eq!(filter.call("process_vm_readv", &[]), Answer::Allow);
}

#[test]
fn a_call_allowed_by_name_keeps_its_conditions_on_arguments() {
    let filter = Filter::of(&with(&["clone", "ioctl", "socket", "unshare"], &[]));
    assert_eq!(filter.call("clone", &[0x1000_0000]), EPERM);
    assert_eq!(filter.call("ioctl", &[0, 0x5412]), EPERM);
    assert_eq!(
        filter.call("socket", &[17, 3, 0]),
        Answer::Errno(libc::EAFNOSUPPORT)
    );
}

#[test]
fn allowing_by_name_does_not_undo_what_the_run_refuses() {
    let spec = FilterSpec {
        toggles: Toggles::shared_host(),
        ..with(&["fchmod", "@ipc"], &[])
    };
    assert_eq!(Filter::of(&spec).call("fchmod", &[]), EPERM);
    assert_eq!(Filter::of(&spec).call("shmget", &[]), EPERM);
}

#[test]
fn a_misspelled_name_is_an_error_that_names_it_and_the_nearest() {
    for entry in ["allow", "deny"] {
        let error = if entry == "allow" {
            error(&["ptrase"], &[])
        } else {
            error(&[], &["ptrase"])
        };
        assert_eq!(
            error.to_string(),
            "\"ptrase\" is not a system call; did you mean ptrace?"
        );
    }
    assert_eq!(
        error(&["@debgu"], &[]).to_string(),
        "\"@debgu\" is not a group of system calls; did you mean @debug?"
    );
    assert_eq!(
        error(&["frobnicate"], &[]).to_string(),
        "\"frobnicate\" is not a system call"
    );
    assert_eq!(error(&[""], &[]).to_string(), "\"\" is not a system call");
}

#[test]
fn what_no_option_allows_is_an_error_that_says_so() {
    for name in [
        "bpf",
        "io_uring_setup",
        "@keyring",
        "clone3",
        "userfaultfd",
        "kexec_load",
    ] {
        let error = error(&[name], &[]);
        assert!(
            matches!(error, SeccompError::NeverAllowed { name: named } if named == name),
            "{error}"
        );
    }
}

#[test]
fn what_only_nested_allows_is_an_error_that_names_the_option() {
    for name in ["mount", "@mount", "setns", "pivot_root", "chroot"] {
        let error = error(&[name], &[]);
        assert!(matches!(error, SeccompError::NeedsNested { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("nested")));
        compile(&FilterSpec {
            nested: true,
            ..with(&[name], &[])
        })
        .unwrap();
    }
}

#[test]
fn the_call_that_starts_the_command_cannot_be_denied() {
    for entry in ["execve", "@basic"] {
        let error = error(&[], &[entry]);
        assert!(error.to_string().starts_with(entry), "{error}");
    }
}
