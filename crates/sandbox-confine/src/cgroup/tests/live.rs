//! Against this machine's cgroups, with real processes.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

use crate::cgroup::owner::Owner;
use crate::cgroup::{
    Adopt, Availability, Cgroup, CgroupLimits, CgroupSupport, Controller, Hierarchy, RemoveError,
    Unavailable, files,
};

const MIB: u64 = 1 << 20;

/// The support of this machine, or none with the reason printed.
fn support(test: &str, needed: &[Controller]) -> Option<CgroupSupport> {
    let support = Hierarchy::host().probe_adopting(Adopt::Never).unwrap();
    for controller in needed {
        if let Availability::Unavailable { why } = support.get(*controller) {
            eprintln!("SKIP: {test}: {controller}: {why}");
            return None;
        }
    }
    Some(support)
}

fn group(support: &CgroupSupport, limits: CgroupLimits) -> Cgroup {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Cgroup::create(support, NEXT.fetch_add(1, Ordering::Relaxed), &limits).unwrap()
}

fn remove(group: Cgroup) {
    let dirs: Vec<PathBuf> = group.directories().into_iter().map(Path::to_owned).collect();
    assert!(!dirs.is_empty());
    group.remove().unwrap();
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
}

/// A shell script that waits until it is in its group.
struct Script(Child);

impl Script {
    fn start_in(group: &Cgroup, script: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        group.add(child.id()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        Self(child)
    }

    /// The next line it prints.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.0.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    fn prints_within(&self, limit: Duration) -> bool {
        let output = self.0.stdout.as_ref().unwrap();
        let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(limit).unwrap()).unwrap() == 1
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn dies(pid: u32) -> bool {
    files::retry(Duration::from_secs(5), || (!is_alive(pid)).then_some(())).is_some()
}

#[test]
fn a_process_over_the_memory_limit_is_killed_and_counted() {
    let Some(support) = support("memory limit", &[Controller::Memory]) else {
        return;
    };
    let group = group(
        &support,
        CgroupLimits {
            memory: Some(24 * MIB),
            ..CgroupLimits::default()
        },
    );
    let status = Script::start_in(&group, "exec tail /dev/zero").end();
    let usage = group.usage();
    assert_eq!(status.signal(), Some(9), "{usage:?}");
    assert!(usage.oom_kills.unwrap() >= 1, "{usage:?}");
    if let Some(peak) = usage.peak_memory {
        assert!((20 * MIB..=24 * MIB).contains(&peak), "{usage:?}");
    }
    remove(group);
}

#[test]
fn a_process_under_the_memory_limit_lives_and_nothing_is_counted() {
    let Some(support) = support("below memory limit", &[Controller::Memory]) else {
        return;
    };
    let group = group(
        &support,
        CgroupLimits {
            memory: Some(256 * MIB),
            ..CgroupLimits::default()
        },
    );
    assert!(Script::start_in(&group, "exec true").end().success());
    assert_eq!(group.usage().oom_kills, Some(0));
    remove(group);
}

#[test]
fn a_fork_over_the_process_limit_is_refused_and_counted() {
    let Some(support) = support("process limit", &[Controller::Pids]) else {
        return;
    };
    let group = group(
        &support,
        CgroupLimits {
            processes: Some(3),
            ..CgroupLimits::default()
        },
    );
    let script = Script::start_in(&group, "for i in 1 2 3 4 5; do sleep 60 & done; wait");
    let refused = || group.usage().fork_refusals.filter(|refusals| *refusals >= 1);
    let refusals = files::retry(Duration::from_secs(5), refused);
    let usage = group.usage();
    group.kill_all().unwrap();
    script.end();
    assert!(refusals.is_some(), "{usage:?}");
    if let Some(peak) = usage.peak_processes {
        assert_eq!(peak, 3, "{usage:?}");
    }
    remove(group);
}

#[test]
fn cpu_time_of_ended_processes_is_counted() {
    let Some(support) = support("cpu time", &[Controller::Cpu]) else {
        return;
    };
    let group = group(&support, CgroupLimits::default());
    assert!(
        Script::start_in(&group, "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done")
            .end()
            .success()
    );
    let usage = group.usage();
    assert!(usage.user_us.unwrap() > 1000, "{usage:?}");
    assert!(usage.system_us.is_some(), "{usage:?}");
    remove(group);
}

#[test]
fn kill_all_reaches_processes_in_other_sessions() {
    let Some(support) = support("kill", &[Controller::Freezer]) else {
        return;
    };
    kill_all_leaves_nobody(&support);
}

#[test]
fn kill_all_works_without_cgroup_kill() {
    let Some((_root, support)) = v1_only("kill with v1") else {
        return;
    };
    kill_all_leaves_nobody(&support);
}

#[test]
fn kill_all_works_without_a_freezer() {
    let Some((_root, mut support)) = v1_only("kill without a freezer") else {
        return;
    };
    support.freezer = Availability::Unavailable {
        why: Unavailable::NotMounted {
            controller: Controller::Freezer,
        },
    };
    kill_all_leaves_nobody(&support);
}

fn kill_all_leaves_nobody(support: &CgroupSupport) {
    let group = group(support, CgroupLimits::default());
    let mut script = Script::start_in(&group, "setsid sleep 60 >/dev/null & echo $!; sleep 60 & wait");
    let escaped: u32 = script.line().parse().unwrap();
    assert!(is_alive(escaped));
    group.kill_all().unwrap();
    assert_eq!(script.end().signal(), Some(9));
    assert!(dies(escaped));
    remove(group);
}

#[test]
fn a_frozen_process_does_nothing_until_thawed() {
    let Some(support) = support("freeze", &[Controller::Freezer]) else {
        return;
    };
    freeze_stops_and_thaw_continues(&support);
}

#[test]
fn the_v1_freezer_stops_a_process_too() {
    let Some((_root, support)) = v1_only("freeze with v1") else {
        return;
    };
    freeze_stops_and_thaw_continues(&support);
}

fn freeze_stops_and_thaw_continues(support: &CgroupSupport) {
    let group = group(support, CgroupLimits::default());
    let mut script = Script::start_in(&group, "echo ready; exec cat");
    assert_eq!(script.line(), "ready");
    group.freeze().unwrap();
    script.0.stdin.as_mut().unwrap().write_all(b"echo\n").unwrap();
    assert!(!script.prints_within(Duration::from_millis(50)));
    group.thaw().unwrap();
    assert_eq!(script.line(), "echo");
    drop(script.0.stdin.take());
    assert!(script.end().success());
    remove(group);
}

/// This machine as if it had no v2 hierarchy.
fn v1_only(name: &str) -> Option<(TempDir, CgroupSupport)> {
    let root = TempDir::new().unwrap();
    let proc = root.path().join("proc/self");
    fs::create_dir_all(&proc).unwrap();
    std::os::unix::fs::symlink("/sys", root.path().join("sys")).unwrap();
    let without = |file: &str, word: &str| {
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .filter(|line| !line.contains(word))
            .collect::<Vec<_>>()
            .join("\n")
    };
    fs::write(proc.join("cgroup"), without("/proc/self/cgroup", "0::")).unwrap();
    fs::write(
        proc.join("mountinfo"),
        without("/proc/self/mountinfo", " cgroup2 "),
    )
    .unwrap();
    let support = Hierarchy::at(root.path()).probe();
    if let Availability::Unavailable { why } = &support.freezer {
        eprintln!("SKIP: {name}: {why}");
        return None;
    }
    Some((root, support))
}

#[test]
fn a_group_in_use_is_not_removed_and_says_by_how_many() {
    let Some(support) = support("busy", &[Controller::Freezer]) else {
        return;
    };
    let busy = group(&support, CgroupLimits::default());
    let dirs: Vec<PathBuf> = busy.directories().into_iter().map(Path::to_owned).collect();
    let script = Script::start_in(&busy, "exec sleep 60");
    let error = busy.remove().unwrap_err();
    assert!(matches!(error, RemoveError::Busy { processes: 1, .. }), "{error}");
    script.kill_and_remove(&dirs);
}

impl Script {
    fn kill_and_remove(mut self, dirs: &[PathBuf]) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        crate::cgroup::remove::directories(dirs).unwrap();
    }
}

#[test]
fn a_dropped_group_is_gone() {
    let Some(support) = support("drop", &[Controller::Freezer]) else {
        return;
    };
    let group = group(&support, CgroupLimits::default());
    let dir = group.directories()[0].to_owned();
    assert!(dir.exists());
    drop(group);
    assert!(!dir.exists());
}

#[test]
fn adding_a_process_that_has_ended_is_an_error_that_names_it() {
    let Some(support) = support("add", &[Controller::Freezer]) else {
        return;
    };
    let group = group(&support, CgroupLimits::default());
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let error = group.add(child.id()).unwrap_err();
    assert_eq!(error.pid, child.id());
    assert_eq!(error.source.raw_os_error(), Some(nix::errno::Errno::ESRCH as i32));
    remove(group);
}

#[test]
fn the_group_of_a_killed_owner_is_left_over_and_can_be_removed() {
    let Some(support) = support("leftovers", &[Controller::Freezer]) else {
        return;
    };
    let host = Hierarchy::host();
    let mut owner = Command::new("sleep").arg("60").spawn().unwrap();
    let owner_pid = owner.id();
    let identity = Owner::of(&host, owner_pid).unwrap();
    let group = Cgroup::create_as(identity, &support, 0, &CgroupLimits::default()).unwrap();
    let dirs: Vec<PathBuf> = group.directories().into_iter().map(Path::to_owned).collect();
    let inside = Script::start_in(&group, "exec sleep 60");
    // Not the owner's process: dropping removes nothing.
    drop(group);
    let ours = || {
        host.leftovers()
            .unwrap()
            .into_iter()
            .find(|leftover| leftover.owner() == owner_pid)
    };
    assert_eq!(ours(), None, "the owner lives");

    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(owner_pid.try_into().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let leftover = files::retry(Duration::from_secs(5), ours).expect("a dead owner, not yet reaped");
    let mut found = leftover.directories().to_vec();
    found.sort();
    let mut expected = dirs.clone();
    expected.sort();
    assert_eq!(found, expected);
    leftover.remove().unwrap();
    assert_eq!(inside.end().signal(), Some(9));
    assert!(dirs.iter().all(|dir| !dir.exists()));
    owner.wait().unwrap();
    assert_eq!(ours(), None);
}

#[test]
fn a_plain_user_without_delegation_is_told_so() {
    if nix::unistd::geteuid().is_root() {
        eprintln!("SKIP: not delegated: needs a plain user");
        return;
    }
    let support = Hierarchy::host().probe();
    let Availability::Unavailable { why } = support.memory else {
        eprintln!("SKIP: not delegated: this user may use cgroups");
        return;
    };
    assert!(!matches!(why, Unavailable::Unreadable { .. }), "{why}");
    assert!(!why.hint().is_empty());
}
