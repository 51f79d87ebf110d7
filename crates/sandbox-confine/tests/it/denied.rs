//! Denials that are not about a granted directory, and grants that would undo another wall.

use std::path::Path;

use sandbox_confine::{Policy, PrepareError, Sandbox};
use sandbox_types::policy::PolicyBuilder;

use crate::harness::{Place, needs_namespaces, sh_under, stdout};

fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    change(Policy::builder()).build().expect("valid")
}

#[test]
fn what_every_sandbox_has_can_be_denied_too() {
    needs_namespaces!();
    for (denied, script) in [
        ("/etc/passwd", "cat /etc/passwd"),
        (
            "/etc",
            "cat /etc/passwd /etc/hosts; ls -d /etc/ssl /etc/alternatives; true",
        ),
        ("/etc/ssl", "ls /etc/ssl; true"),
        ("/proc/cpuinfo", "cat /proc/cpuinfo"),
        ("/dev/urandom", "head -c 1 /dev/urandom"),
    ] {
        let policy = policy(|policy| policy.deny(denied));
        let result = sh_under(&policy, &format!("{{ {script}; }} 2>/dev/null"));
        assert_eq!(stdout(&result), "", "{denied}");
    }
}

#[test]
fn a_toolchain_beneath_a_denied_directory_is_not_shown() {
    needs_namespaces!();
    crate::harness::in_own_process(crate::harness::name_of_test!(), || {
        let place = Place::new();
        place.file("home/kit/bin/tool", "secret");
        crate::harness::sys::set_variable("HOME", place.path().join("home"));
        let path = format!("{}:/usr/bin:/bin", place.path().join("home/kit/bin").display());
        crate::harness::sys::set_variable("PATH", path);
        let script = "cat ~/kit/bin/tool 2>/dev/null; true";
        assert_eq!(stdout(&sh_under(&Policy::default(), script)), "secret");
        let policy = policy(|policy| policy.deny(place.path().join("home/kit")));
        assert_eq!(stdout(&sh_under(&policy, script)), "");
    });
}

#[test]
fn the_host_s_processes_cannot_be_granted() {
    for path in ["/proc", "/proc/self", "/proc/self/status", "/proc/sys/kernel"] {
        let error = Sandbox::prepare(&policy(|policy| policy.read(path))).expect_err(path);
        assert!(
            matches!(error, PrepareError::HostProcesses { .. }),
            "{path}: {error}"
        );
    }
    let write = policy(|policy| policy.write("/proc/sys/kernel/hostname"));
    let error = Sandbox::prepare(&write).expect_err("writes to the kernel");
    assert!(matches!(error, PrepareError::HostProcesses { .. }), "{error}");
}

#[test]
fn a_view_of_the_whole_host_has_none_of_its_processes() {
    needs_namespaces!();
    let policy = policy(|policy| policy.bind(Path::new("/"), "/host", sandbox_types::Access::Read));
    let result = sh_under(&policy, "ls -A /host/proc; test -d /host/usr && echo shown");
    assert_eq!(stdout(&result), "shown\n");
}

#[test]
fn more_paths_than_a_root_is_made_of_are_refused_by_number() {
    needs_namespaces!();
    let place = Place::new();
    let files: Vec<_> = (0..400).map(|n| place.file(&format!("many/{n}"), "x")).collect();
    let many = policy(|policy| files.iter().fold(policy, PolicyBuilder::read));
    let error = Sandbox::prepare(&many).expect_err("too many");
    assert!(
        matches!(
            error,
            PrepareError::TooManyPaths {
                count: 400..,
                most: 256
            }
        ),
        "{error}"
    );
    let whole = policy(|policy| policy.read(place.path().join("many")));
    assert_eq!(
        stdout(&sh_under(&whole, &format!("cat {}", files[7].display()))),
        "x"
    );
}
