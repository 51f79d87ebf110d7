//! Whatever happens to the caller, what it started ends with it, and nothing is left.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox_confine::{Command, Outcome, Policy, Sandbox, Stdio};

use crate::harness::{
    DEADLINE, MARKER, children, descriptors, eventually, in_own_process, live_with_argument, mounts,
    name_of_test, needs_namespaces, needs_program, private_entries, sh, start_marked, stdout, sys,
    unique_seconds, within,
};

fn family(marker: &str) -> String {
    format!("setsid sleep {marker} & (setsid setsid sleep {marker} &); sleep {marker} & sleep {marker}")
}

#[test]
fn dropping_a_process_ends_all_of_its_sandbox() {
    let marker = unique_seconds();
    let process = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", &family(&marker)])
        .spawn()
        .expect("starts");
    eventually("all four run", || live_with_argument(&marker).len() >= 4);
    drop(process);
    assert_eq!(live_with_argument(&marker), [0_u32; 0]);
}

#[test]
fn dropping_a_sandbox_ends_all_of_its_commands() {
    let marker = unique_seconds();
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let processes: Vec<_> = (0..3)
        .map(|_| {
            sandbox
                .spawn(Command::new("sh").args(["-c", &family(&marker)]))
                .expect("starts")
        })
        .collect();
    eventually("all twelve run", || live_with_argument(&marker).len() >= 12);
    drop(sandbox);
    assert_eq!(live_with_argument(&marker), [0_u32; 0]);
    drop(processes);
}

#[test]
fn kill_9_of_the_supervising_process_leaves_nothing() {
    let name = name_of_test!();
    if let Ok(marker) = std::env::var(MARKER) {
        return in_own_process(name, || {
            let run = Sandbox::command(&Policy::default(), "sh")
                .args(["-c", &family(&marker)])
                .output();
            panic!("the run ended: {run:?}");
        });
    }
    for delay in [None, Some(0), Some(1), Some(3), Some(8)] {
        let marker = unique_seconds();
        let mut supervisor = start_marked(name, &marker);
        match delay {
            None => eventually("all four run", || live_with_argument(&marker).len() >= 4),
            // In the middle of starting, wherever that is.
            Some(delay) => std::thread::sleep(Duration::from_millis(delay)),
        }
        let pid = supervisor.id();
        supervisor.kill().expect("our child");
        supervisor.wait().expect("our child");
        eventually("nothing of it runs", || {
            live_with_argument(&marker).is_empty() && inits_of(pid).is_empty()
        });
    }
}

/// Private directories of a dead supervisor are the business of gc; its processes are not.
fn inits_of(parent: u32) -> Vec<u32> {
    live_with_argument("sandbox-init")
        .into_iter()
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| status.contains(&format!("PPid:\t{parent}\n")))
        })
        .collect()
}

#[test]
fn a_sandbox_outlives_the_thread_that_started_it() {
    let process = std::thread::spawn(|| {
        Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "read x; echo got $x"])
            .stdin(Stdio::Piped)
            .stdout(Stdio::capture())
            .spawn()
            .expect("starts")
    });
    let mut process = process.join().expect("no panic");
    std::thread::sleep(Duration::from_millis(50));
    let mut input = process.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, b"word\n").expect("it lives");
    let result = within(DEADLINE, || process.wait()).expect("ends");
    assert_eq!(stdout(&result), "got word\n");
}

#[test]
fn a_spawn_on_a_thread_whose_process_is_dropped_at_once_leaves_nothing() {
    in_own_process(name_of_test!(), || {
        let marker = unique_seconds();
        for _ in 0..20 {
            let marker = marker.clone();
            let thread = std::thread::spawn(move || {
                drop(
                    Sandbox::command(&Policy::default(), "sleep")
                        .arg(marker)
                        .spawn()
                        .expect("starts"),
                );
            });
            thread.join().expect("no panic");
        }
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        assert_eq!(children(), [0_u32; 0]);
    });
}

#[test]
fn a_finished_handle_killed_afterwards_signals_nobody() {
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let mut process = sandbox.spawn(Command::new("true")).expect("starts");
    while process.wait_event().expect("ends") != sandbox_confine::Event::Ended {}
    let marker = unique_seconds();
    let other = sandbox.spawn(Command::new("sleep").arg(&marker)).expect("starts");
    process.kill();
    process.signal(9).expect("nobody is there");
    assert_eq!(
        process.wait().expect("ended").outcome,
        Outcome::Exited { code: 0 }
    );
    eventually("the other one runs on", || live_with_argument(&marker).len() == 1);
    sandbox.kill().expect("ours");
    sandbox.kill().expect("harmless");
    drop(other);
}

#[test]
fn a_host_that_waits_for_everybody_gets_right_results_and_keeps_its_handler() {
    in_own_process(name_of_test!(), || {
        sys::count_sigchld();
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        for round in 0..20 {
            let mut process = prepared
                .command("sh")
                .args(["-c", "exit 3"])
                .spawn()
                .expect("starts");
            while process.wait_event().expect("ends") != sandbox_confine::Event::Ended {}
            if round % 2 == 0 {
                while sys::wait_for_anybody() > 0 {}
            }
            let outcome = process.wait().expect("ended").outcome;
            assert_eq!(outcome, Outcome::Exited { code: 3 }, "round {round}");
        }
        let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
        let process = sandbox.spawn(Command::new("true")).expect("starts");
        assert!(process.wait().expect("ends").outcome.success());
        drop(sandbox);
        // The handler is still the host's, and the host's own children are its own.
        let before = sys::SIGCHLD_COUNT.load(Ordering::Relaxed);
        let status = std::process::Command::new("true").status().expect("runs");
        assert!(status.success());
        assert_eq!(sys::SIGCHLD_COUNT.load(Ordering::Relaxed), before + 1);
        assert_eq!(children(), [0_u32; 0]);
    });
}

#[test]
fn signals_to_a_command_that_is_just_ending_do_not_lose_its_verdict() {
    let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
    for _ in 0..30 {
        let process = prepared
            .command("sh")
            .args(["-c", "trap '' USR2; exit 3"])
            .spawn()
            .expect("starts");
        for _ in 0..200 {
            process.signal(0).expect("sent, or nobody is there");
        }
        assert_eq!(
            process.wait().expect("a verdict").outcome,
            Outcome::Exited { code: 3 }
        );
    }
}

#[test]
fn a_host_that_ignores_sigchld_and_sigpipe_gets_its_results() {
    in_own_process(name_of_test!(), || {
        sys::set_signal(libc::SIGCHLD, true);
        sys::set_signal(libc::SIGPIPE, true);
        for code in [0, 3, 9] {
            assert_eq!(
                sh(&format!("true | true; exit {code}")).outcome,
                Outcome::Exited { code }
            );
        }
        assert_eq!(
            sh("sleep 1 | true; kill -PIPE $$").outcome,
            Outcome::Signaled {
                signal: libc::SIGPIPE
            }
        );
    });
}

#[test]
fn a_host_with_every_signal_blocked_and_two_hundred_threads_can_run_commands() {
    in_own_process(name_of_test!(), || {
        nix::sys::signal::SigSet::all()
            .thread_block()
            .expect("own thread");
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let threads: Vec<_> = (0..200)
            .map(|_| {
                let wait = std::sync::Arc::clone(&wait);
                std::thread::spawn(move || wait.lock().expect("no panic").recv().is_ok())
            })
            .collect();
        let result = within(DEADLINE, || sh("kill -TERM $$; exit 1"));
        assert_eq!(
            result.outcome,
            Outcome::Signaled {
                signal: libc::SIGTERM
            }
        );
        drop(release);
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

#[test]
fn a_host_that_is_out_of_descriptors_gets_an_error_and_leaks_none() {
    in_own_process(name_of_test!(), || {
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        prepared.command("/bin/true").output().expect("runs");
        let before = descriptors();
        let mut outcomes = [0, 0];
        for spare in 0..48 {
            let limit = rustix::process::Rlimit {
                current: Some(before.len() as u64 + spare),
                maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("lower");
            match prepared.command("/bin/true").output() {
                Ok(result) => {
                    assert_eq!(result.outcome, Outcome::Exited { code: 0 });
                    outcomes[0] += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("os error 24"), "with {spare} spare: {text}");
                    outcomes[1] += 1;
                }
            }
            let limit = rustix::process::Rlimit {
                current: limit.maximum,
                ..limit
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("back");
            assert_eq!(descriptors(), before, "with {spare} spare");
            assert_eq!(children(), [0_u32; 0], "with {spare} spare");
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    });
}

#[test]
fn a_host_without_standard_streams_can_run_commands() {
    in_own_process(name_of_test!(), || {
        let saved = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 10).expect("a descriptor");
        for fd in 0..3 {
            sys::close(fd);
        }
        let captured = sh("cat; echo out; echo err >&2");
        let inherited = Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "echo a; echo b >&2; cat; readlink /proc/self/fd/1"])
            .stdin(Stdio::Piped)
            .status();
        let piped = Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "echo through; exit 4"])
            .stdin(Stdio::Bytes(b"x".to_vec()))
            .stdout(Stdio::Piped)
            .spawn()
            .map(|mut process| {
                let mut text = String::new();
                process
                    .stdout
                    .take()
                    .expect("piped")
                    .read_to_string(&mut text)
                    .expect("a pipe");
                (text, process.wait().expect("ends").outcome)
            });
        rustix::stdio::dup2_stderr(&saved).expect("a descriptor");
        rustix::stdio::dup2_stdout(&saved).expect("a descriptor");
        assert_eq!(
            (captured.stdout, captured.stderr),
            (b"out\n".to_vec(), b"err\n".to_vec())
        );
        assert!(matches!(inherited, Ok(Outcome::Exited { .. })), "{inherited:?}");
        assert_eq!(
            piped.expect("starts"),
            ("through\n".to_owned(), Outcome::Exited { code: 4 })
        );
    });
}

#[test]
fn a_hundred_sandboxes_at_once_from_eight_threads_all_finish() {
    in_own_process(name_of_test!(), || {
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        let count = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let prepared = &prepared;
                    scope.spawn(move || {
                        let started: Vec<_> = (0..13)
                            .map(|index| {
                                let text = format!("{thread}-{index}");
                                let command = prepared
                                    .command("sh")
                                    .args(["-c", "read x; echo $x; exit 7"])
                                    .stdin(Stdio::Piped)
                                    .stdout(Stdio::capture());
                                (text, command.spawn().expect("starts"))
                            })
                            .collect();
                        started
                            .into_iter()
                            .map(|(text, mut process)| {
                                let mut input = process.stdin.take().expect("piped");
                                std::io::Write::write_all(&mut input, format!("{text}\n").as_bytes())
                                    .expect("lives");
                                let result = process.wait().expect("ends");
                                assert_eq!(result.outcome, Outcome::Exited { code: 7 });
                                assert_eq!(String::from_utf8_lossy(&result.stdout).trim(), text);
                            })
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum::<usize>()
        });
        assert_eq!(count, 104);
        assert_eq!(children(), [0_u32; 0]);
    });
}

#[test]
fn five_hundred_runs_leave_no_descriptor_process_mount_or_directory() {
    in_own_process(name_of_test!(), || {
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        let missing =
            |prepared: &sandbox_confine::Prepared| prepared.command("/no/such/program").output().is_err();
        prepared.command("/bin/true").output().expect("runs");
        assert!(missing(&prepared));
        let before = (descriptors(), mounts());
        for round in 0..500 {
            let is_success = prepared
                .command("/bin/true")
                .output()
                .expect("runs")
                .outcome
                .success();
            assert!(is_success, "round {round}");
            if round % 10 == 0 {
                assert!(missing(&prepared));
            }
        }
        assert_eq!((descriptors(), mounts()), before);
        assert_eq!(children(), [0_u32; 0]);
        assert_eq!(private_entries(), [""; 0].map(std::path::PathBuf::from));
    });
}

#[test]
fn two_sandboxes_do_not_see_each_other() {
    crate::harness::needs_namespaces!();
    let marker = unique_seconds();
    let mut first = Sandbox::new(&Policy::default()).expect("plans");
    let script = format!("echo secret > /tmp/mine; echo secret > ~/mine; exec sleep {marker}");
    let running = first
        .spawn(Command::new("sh").args(["-c", &script]))
        .expect("starts");
    eventually("it has written", || !live_with_argument(&marker).is_empty());
    let text = stdout(&sh(
        "ls -A /tmp ~ /dev/shm; cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
    ));
    assert!(!text.contains("mine") && !text.contains(&marker), "{text}");
    drop(running);
}

/// Stops everything that it can see, without end.
const STOPPER: &str = "import os\nwhile True:\n  try: os.kill(-1, 19)\n  except OSError: pass\n";

#[test]
fn a_command_that_stops_all_others_keeps_none_from_being_started() {
    needs_namespaces!();
    needs_program!("python3");
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let stopper = Command::new("python3").args(["-c", STOPPER]).stderr(Stdio::Null);
    let stopper = sandbox.spawn(stopper).expect("starts");
    within(DEADLINE, move || {
        for _ in 0..100 {
            let mut process = sandbox.spawn(Command::new("true")).expect("starts");
            process.kill();
            process.wait().expect("ends");
        }
        drop((stopper, sandbox));
    });
}

#[test]
fn the_supervisor_s_end_is_noticed_while_a_command_is_kept_from_starting() {
    needs_namespaces!();
    needs_program!("python3");
    let name = name_of_test!();
    if std::env::var_os(MARKER).is_some() {
        return in_own_process(name, || {
            let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
            let stopper = Command::new("python3").args(["-c", STOPPER]).stderr(Stdio::Null);
            let _stopper = sandbox.spawn(stopper).expect("starts");
            loop {
                drop(sandbox.spawn(Command::new("true")));
            }
        });
    }
    let marker = unique_seconds();
    let mut supervisor = start_marked(name, &marker);
    std::thread::sleep(Duration::from_millis(300));
    let pid = supervisor.id();
    let inits = inits_of(pid);
    supervisor.kill().expect("our child");
    supervisor.wait().expect("our child");
    eventually("nothing of it runs", || {
        let mut left = inits.iter();
        left.all(|pid| !live_with_argument("sandbox-init").contains(pid))
    });
}
