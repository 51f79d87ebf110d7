//! Several commands in one live sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox_confine::{Command, Event, Outcome, Policy, Sandbox, StartError, Stdio};
use sandbox_types::policy::OnOutput;
use sandbox_types::{ByteSize, SandboxStatus};

use crate::harness::{
    DEADLINE, eventually, live_with_argument, name_of_test, needs_namespaces, needs_program, stdout,
    unique_seconds, within,
};

fn new() -> Sandbox {
    Sandbox::new(&Policy::default()).expect("plans")
}

fn shell(script: &str) -> Command {
    Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::Null)
        .stdout(Stdio::capture())
        .stderr(Stdio::capture())
}

fn run(sandbox: &mut Sandbox, script: &str) -> sandbox_confine::RunResult {
    let process = sandbox.spawn(shell(script)).expect("starts");
    within(DEADLINE, || process.wait()).expect("ends")
}

/// State letters of /proc/PID/stat.
fn states(marker: &str) -> BTreeMap<u32, char> {
    live_with_argument(marker)
        .into_iter()
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.chars().next()?))
        })
        .collect()
}

#[test]
fn commands_run_in_order_and_each_has_its_own_result() {
    let mut sandbox = new();
    for code in [0, 3, 7] {
        assert_eq!(
            run(&mut sandbox, &format!("exit {code}")).outcome,
            Outcome::Exited { code }
        );
    }
    assert_eq!(
        run(&mut sandbox, "kill -9 $$").outcome,
        Outcome::Signaled { signal: 9 }
    );
    assert!(run(&mut sandbox, "exit 0").outcome.success());
}

#[test]
fn a_command_sees_the_files_and_processes_of_another() {
    let marker = unique_seconds();
    let mut sandbox = new();
    run(&mut sandbox, "echo kept > $TMPDIR/file; mkdir -p ~/d");
    let sleeper = sandbox.spawn(Command::new("sleep").arg(&marker)).expect("starts");
    let script = format!(
        "cat $TMPDIR/file; ls -d ~/d | xargs basename; grep -qs {marker} /proc/{}/cmdline && kill -USR1 {}",
        sleeper.pid(),
        sleeper.pid()
    );
    assert_eq!(stdout(&run(&mut sandbox, &script)), "kept\nd\n");
    assert_eq!(
        within(DEADLINE, || sleeper.wait()).expect("ends").outcome,
        Outcome::Signaled { signal: 10 }
    );
}

#[test]
fn the_status_follows_its_life() {
    let mut sandbox = new();
    assert_eq!((sandbox.status(), sandbox.pid()), (SandboxStatus::Created, None));
    assert!(matches!(sandbox.pause(), Err(StartError::Ended)));
    let process = sandbox.spawn(Command::new("sleep").arg("1000")).expect("starts");
    assert_eq!(sandbox.status(), SandboxStatus::Running);
    assert!(
        sandbox
            .pid()
            .is_some_and(|pid| crate::harness::children().contains(&pid))
    );
    sandbox.pause().expect("runs");
    assert_eq!(sandbox.status(), SandboxStatus::Paused);
    sandbox.resume().expect("paused");
    assert_eq!(sandbox.status(), SandboxStatus::Running);
    sandbox.kill().expect("ours");
    assert_eq!((sandbox.status(), sandbox.pid()), (SandboxStatus::Stopped, None));
    assert!(matches!(
        sandbox.spawn(Command::new("true")),
        Err(StartError::Ended)
    ));
    assert!(matches!(sandbox.resume(), Err(StartError::Ended)));
    assert_eq!(sandbox.policy(), &Policy::default());
    let outcome = within(DEADLINE, || process.wait()).map(|result| result.outcome);
    assert_eq!(outcome.expect("the caller killed it"), Outcome::Cancelled);
}

#[test]
fn a_sandbox_whose_init_was_killed_has_crashed() {
    let mut sandbox = new();
    run(&mut sandbox, "true");
    let pid = rustix::process::Pid::from_raw(sandbox.pid().expect("runs").cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("our child");
    eventually("it is noticed", || sandbox.status() == SandboxStatus::Crashed);
    assert!(sandbox.spawn(Command::new("true")).is_err());
}

#[test]
fn pause_stops_every_process_and_resume_continues_them() {
    let marker = unique_seconds();
    let mut sandbox = new();
    let busy = format!("sh -c 'while :; do :; done' x {marker}");
    let script = format!("{busy} & setsid {busy} & (setsid setsid {busy} &) ; exec {busy}");
    let process = sandbox.spawn(shell(&script)).expect("starts");
    eventually("all four run", || states(&marker).len() >= 4);
    for _ in 0..3 {
        sandbox.pause().expect("runs");
        eventually("all are stopped", || {
            states(&marker).values().all(|state| *state == 'T')
        });
        sandbox.resume().expect("paused");
        eventually("all go on", || {
            states(&marker).values().all(|state| *state == 'R')
        });
    }
    drop(process);
}

#[test]
fn pause_holds_against_processes_that_continue_one_another() {
    let marker = unique_seconds();
    let mut sandbox = new();
    let script =
        format!("for i in 1 2 3 4; do sh -c 'while :; do kill -CONT -1; done' x {marker} & done; wait");
    let process = sandbox.spawn(shell(&script)).expect("starts");
    eventually("all run", || states(&marker).len() >= 4);
    for _ in 0..5 {
        sandbox.pause().expect("runs");
        eventually("all are stopped", || {
            states(&marker).values().all(|state| *state == 'T')
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(
            states(&marker).values().all(|state| *state == 'T'),
            "{:?}",
            states(&marker)
        );
        sandbox.resume().expect("paused");
    }
    drop(process);
}

#[test]
fn a_paused_sandbox_can_be_killed() {
    let marker = unique_seconds();
    let mut sandbox = new();
    let process = sandbox.spawn(Command::new("sleep").arg(&marker)).expect("starts");
    sandbox.pause().expect("runs");
    within(DEADLINE, move || sandbox.kill()).expect("ours");
    assert_eq!(live_with_argument(&marker), [0_u32; 0]);
    drop(process);
}

#[test]
fn fifty_commands_at_once_keep_apart() {
    let mut sandbox = new();
    let started: Vec<_> = (0..50)
        .map(|number| {
            sandbox
                .spawn(shell(&format!("sleep 0.2; echo {number}; exit {number}")))
                .expect("starts")
        })
        .collect();
    for (number, process) in (0..).zip(started) {
        let result = within(DEADLINE, || process.wait()).expect("ends");
        assert_eq!(result.outcome, Outcome::Exited { code: number });
        assert_eq!(String::from_utf8_lossy(&result.stdout), format!("{number}\n"));
    }
}

#[test]
fn dropping_one_command_ends_it_and_no_other() {
    let (gone, stays) = (unique_seconds(), unique_seconds());
    let mut sandbox = new();
    let first = sandbox.spawn(Command::new("sleep").arg(&gone)).expect("starts");
    let second = sandbox.spawn(Command::new("sleep").arg(&stays)).expect("starts");
    // A command has started when the kernel has taken its program; its arguments show a moment later.
    eventually("both run", || {
        live_with_argument(&gone).len() == 1 && live_with_argument(&stays).len() == 1
    });
    drop(first);
    eventually("the first ends", || live_with_argument(&gone).is_empty());
    assert_eq!(live_with_argument(&stays).len(), 1);
    drop(second);
}

#[test]
fn a_command_that_does_not_start_does_no_harm_to_the_others() {
    let mut sandbox = new();
    let sleeper = sandbox.spawn(Command::new("sleep").arg("1000")).expect("starts");
    for _ in 0..20 {
        let error = sandbox
            .spawn(Command::new("/no/such/program"))
            .expect_err("missing");
        assert_eq!(error.exit_status(), 127, "{error}");
        sandbox
            .spawn(Command::new("true").cwd("/no/such/directory"))
            .expect_err("missing");
    }
    assert!(run(&mut sandbox, "exit 0").outcome.success());
    assert_eq!(sandbox.status(), SandboxStatus::Running);
    drop(sleeper);
}

#[test]
fn limits_of_one_command_hold_in_a_live_sandbox() {
    let policy = Policy::builder()
        .wall_time(Duration::from_millis(300))
        .output(ByteSize::from_bytes(1000), OnOutput::Kill)
        .build()
        .expect("valid");
    let mut sandbox = Sandbox::new(&policy).expect("plans");
    assert_eq!(
        run(&mut sandbox, "trap '' TERM; while :; do :; done").outcome,
        Outcome::WallTime
    );
    let stream = sandbox_types::Stream::Stdout;
    assert_eq!(
        run(&mut sandbox, "trap '' PIPE; while :; do echo xxxx; done").outcome,
        Outcome::Output { stream }
    );
    assert_eq!(run(&mut sandbox, "exit 3").outcome, Outcome::Exited { code: 3 });
}

#[test]
fn a_command_that_leaves_its_process_group_still_obeys_its_clock() {
    needs_program!("python3");
    let policy = Policy::builder()
        .wall_time(Duration::from_millis(1500))
        .build()
        .expect("valid");
    let mut sandbox = Sandbox::new(&policy).expect("plans");
    let script = "import os, time\nchild = os.fork()\nif child == 0:\n    time.sleep(1000)\n\
                  os.setpgid(child, child)\nos.setpgid(0, child)\nprint('left', flush=True)\ntime.sleep(1000)";
    let mut process = sandbox
        .spawn(Command::new("python3").args(["-c", script]).pty())
        .expect("starts");
    let mut terminal = process.pty.take().expect("asked for");
    let mut line = [0; 4];
    std::io::Read::read_exact(&mut terminal, &mut line).expect("prints");
    assert_eq!(&line, b"left");
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("ends").outcome,
        Outcome::WallTime
    );
}

#[test]
fn cpu_time_holds_in_a_live_sandbox() {
    let policy = Policy::builder()
        .cpu_time(Duration::from_secs(1))
        .wall_time(Duration::from_secs(15))
        .build()
        .expect("valid");
    let mut sandbox = Sandbox::new(&policy).expect("plans");
    assert_eq!(run(&mut sandbox, "while :; do :; done").outcome, Outcome::CpuTime);
}

#[test]
fn memory_in_a_live_sandbox_has_the_same_verdict() {
    let policy = Policy::builder()
        .memory(ByteSize::from_bytes(64 << 20))
        .build()
        .expect("valid");
    let mut sandbox = Sandbox::new(&policy).expect("plans");
    let by = sandbox.report();
    let by = by
        .get(sandbox_types::Guarantee::Memory)
        .map(|entry| entry.by.clone())
        .unwrap_or_default();
    if !by.contains(&sandbox_types::Mechanism::CgroupMemory) {
        return crate::harness::skip(name_of_test!(), "no memory controller here");
    }
    let sleeper = sandbox.spawn(Command::new("sleep").arg("1000")).expect("starts");
    assert_eq!(
        run(&mut sandbox, "kill -9 $$").outcome,
        Outcome::Signaled { signal: 9 }
    );
    assert_eq!(
        run(&mut sandbox, "exec head -c 200000000 /dev/zero > /tmp/big").outcome,
        Outcome::Memory
    );
    drop(sleeper);
}

#[test]
fn a_background_child_that_writes_for_ever_does_not_hold_up_the_result() {
    let mut sandbox = new();
    let process = sandbox.spawn(shell("setsid yes & exit 4")).expect("starts");
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("ends").outcome,
        Outcome::Exited { code: 4 }
    );
}

#[test]
fn a_server_and_its_client_talk_over_the_loopback_and_over_a_socket_file() {
    needs_namespaces!();
    needs_program!("redis-server");
    needs_program!("redis-cli");
    let mut sandbox = new();
    let server = sandbox
        .spawn(shell(
            "exec redis-server --port 7777 --unixsocket /tmp/redis.sock --save '' --dir /tmp",
        ))
        .expect("starts");
    let wait = "i=0; until redis-cli -s /tmp/redis.sock ping 2>/dev/null | grep -q PONG; do \
                i=$((i+1)); [ $i -lt 500 ] || exit 1; sleep 0.02; done; ";
    let script = format!("{wait} redis-cli -p 7777 set key value; redis-cli -s /tmp/redis.sock get key");
    assert_eq!(stdout(&run(&mut sandbox, &script)), "OK\nvalue\n");
    drop(server);
}

#[test]
fn a_terminal_command_and_a_plain_one_share_a_sandbox() {
    let mut sandbox = new();
    let mut with = sandbox
        .spawn(Command::new("sh").args(["-c", "read x; exit 5"]).pty())
        .expect("starts");
    assert_eq!(run(&mut sandbox, "test -t 0 || echo none").stdout, b"none\n");
    let mut terminal = with.pty.take().expect("asked for");
    std::io::Write::write_all(&mut terminal, b"x\n").expect("a terminal");
    assert_eq!(with.wait_event().expect("ends"), Event::Ended);
    assert_eq!(with.wait().expect("ended").outcome, Outcome::Exited { code: 5 });
}
