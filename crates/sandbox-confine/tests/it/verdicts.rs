//! One cause for every end, decided by evidence.

use std::time::{Duration, Instant};

use sandbox_confine::{Event, Outcome, Policy, RunError, RunResult, Sandbox, Stdio};
use sandbox_types::policy::{OnOutput, PolicyBuilder};
use sandbox_types::{ByteSize, Guarantee, Mechanism, SizeExt, Stream};

use crate::harness::{
    DEADLINE, eventually, live_with_argument, name_of_test, needs_namespaces, needs_program, sh, sh_under,
    skip, unique_seconds, within,
};

const SHORT: Duration = Duration::from_millis(150);

fn limited(limit: impl FnOnce(PolicyBuilder) -> PolicyBuilder, script: &str) -> RunResult {
    let policy = limit(Policy::builder()).build().expect("valid");
    let script = script.to_owned();
    within(DEADLINE, move || sh_under(&policy, &script))
}

/// The mechanism that holds a limit here.
fn held_by(policy: &Policy, guarantee: Guarantee) -> Vec<Mechanism> {
    let plan = Sandbox::prepare(policy).expect("plans").plan();
    plan.report
        .get(guarantee)
        .map(|entry| entry.by.clone())
        .unwrap_or_default()
}

#[test]
fn wall_time_ends_whatever_a_program_does_against_it() {
    for script in [
        "sleep 1000",
        "trap '' TERM INT HUP QUIT; while :; do :; done",
        "kill -STOP $$",
        "exec >&- 2>&- <&-; while :; do :; done",
        "(trap '' TERM; while :; do :; done) & (sleep 1000 &) & wait",
        "setsid sh -c 'setsid sleep 1000 & sleep 1000' & wait; sleep 1000",
        "kill -9 -1; sleep 1000",
    ] {
        let start = Instant::now();
        let result = limited(|policy| policy.wall_time(SHORT), script);
        assert_eq!(result.outcome, Outcome::WallTime, "{script}");
        assert!(
            result.usage.wall() >= SHORT && start.elapsed() < DEADLINE,
            "{script}: {:?}",
            result.usage
        );
    }
}

#[test]
fn a_setsid_child_does_not_survive_the_timeout() {
    let marker = unique_seconds();
    let script = format!("setsid setsid sleep {marker} & (setsid sleep {marker} &) ; sleep {marker}");
    let result = limited(|policy| policy.wall_time(SHORT), &script);
    assert_eq!(result.outcome, Outcome::WallTime);
    assert_eq!(live_with_argument(&marker), [0_u32; 0]);
}

#[test]
fn a_run_that_ends_in_time_is_not_timed_out() {
    let result = limited(|policy| policy.wall_time(Duration::from_secs(50)), "exit 3");
    assert_eq!(result.outcome, Outcome::Exited { code: 3 });
}

#[test]
fn a_program_s_own_124_125_and_137_and_its_own_sigkill_are_its_own() {
    let limits = |policy: PolicyBuilder| {
        policy
            .wall_time(Duration::from_secs(50))
            .cpu_time(Duration::from_secs(50))
            .memory(256.mib())
            .file_size(1.mib())
    };
    for code in [124, 125, 126, 127, 128, 130, 137, 153, 255] {
        assert_eq!(
            limited(limits, &format!("exit {code}")).outcome,
            Outcome::Exited { code }
        );
    }
    // KILL, XCPU, SYS, TERM: those that limits use among them. An XFSZ of one's own under a limit of file sizes
    // cannot be told from the kernel's.
    for signal in [9, 24, 31, 15] {
        assert_eq!(
            limited(limits, &format!("kill -{signal} $$")).outcome,
            Outcome::Signaled { signal }
        );
    }
}

#[test]
fn kill_9_of_everybody_from_inside_ends_nothing_but_itself() {
    let result = limited(
        |policy| policy.wall_time(DEADLINE / 2),
        "sleep 1000 & kill -9 -1; echo alone; exit 5",
    );
    assert!(
        matches!(
            result.outcome,
            Outcome::Exited { code: 5 } | Outcome::Signaled { signal: 9 }
        ),
        "{:?}",
        result.outcome
    );
}

#[test]
fn cpu_time_is_the_verdict_for_a_busy_program_and_not_for_a_sleeping_one() {
    let limit = |policy: PolicyBuilder| policy.cpu_time(Duration::from_secs(1));
    let busy = limited(limit, "while :; do :; done");
    assert_eq!(busy.outcome, Outcome::CpuTime);
    // The limit is counted in ticks and the usage is not: on a busy machine they differ by a tenth and more.
    assert!(busy.usage.cpu() >= Duration::from_millis(500), "{:?}", busy.usage);
    let idle = limited(limit, "sleep 1.2; exit 2");
    assert_eq!(idle.outcome, Outcome::Exited { code: 2 });
}

#[test]
fn cpu_time_of_children_counts_where_the_report_says_that_it_does() {
    let policy = Policy::builder()
        .cpu_time(Duration::from_secs(1))
        .wall_time(Duration::from_secs(8))
        .build();
    let policy = policy.expect("valid");
    if !held_by(&policy, Guarantee::CpuTime).contains(&Mechanism::CgroupCpu) {
        return skip(
            name_of_test!(),
            "no CPU accounting by cgroups here; RLIMIT_CPU holds for each process",
        );
    }
    let script = "for i in 1 2 3 4; do setsid sh -c 'while :; do :; done' & done; trap '' XCPU; wait";
    let result = within(DEADLINE, move || sh_under(&policy, script));
    assert_eq!(result.outcome, Outcome::CpuTime);
}

const EAT_MEMORY: &str =
    "import sys\nkept = []\nfor i in range(64):\n    kept.append(bytearray(16 << 20))\nsys.exit(0)";

#[test]
fn memory_is_the_verdict_where_a_cgroup_counts_and_the_program_s_own_end_where_not() {
    needs_program!("python3");
    let policy = Policy::builder().memory(128.mib()).build().expect("valid");
    let is_grouped = held_by(&policy, Guarantee::Memory).contains(&Mechanism::CgroupMemory);
    let run = move || {
        Sandbox::command(&policy, "python3")
            .args(["-c", EAT_MEMORY])
            .output()
            .expect("runs")
    };
    let result = within(DEADLINE, run);
    if is_grouped {
        assert_eq!(result.outcome, Outcome::Memory);
        assert!(
            result
                .usage
                .peak_memory
                .is_some_and(|peak| peak <= 129 << 20 && peak > 64 << 20)
        );
    } else {
        assert_eq!(
            result.outcome,
            Outcome::Exited { code: 1 },
            "{}",
            String::from_utf8_lossy(&result.stderr)
        );
        assert!(String::from_utf8_lossy(&result.stderr).contains("MemoryError"));
    }
}

#[test]
fn memory_in_files_of_the_private_tmp_counts_where_a_cgroup_counts() {
    let policy = Policy::builder()
        .memory(64.mib())
        .wall_time(Duration::from_secs(30))
        .build()
        .expect("valid");
    if !held_by(&policy, Guarantee::Memory).contains(&Mechanism::CgroupMemory) {
        return skip(name_of_test!(), "no memory controller here");
    }
    let result = within(DEADLINE, move || {
        sh_under(&policy, "head -c 200000000 /dev/zero > /tmp/big")
    });
    assert_eq!(result.outcome, Outcome::Memory);
}

#[test]
fn output_past_its_limit_ends_the_run_and_exactly_the_limit_is_kept() {
    for (stream, script) in [
        (Stream::Stdout, "trap '' PIPE; while :; do echo xxxxxxxxx; done"),
        (
            Stream::Stderr,
            "trap '' PIPE; while :; do echo xxxxxxxxx; done >&2",
        ),
    ] {
        let result = limited(
            |policy| policy.output(ByteSize::from_bytes(12_345), OnOutput::Kill),
            script,
        );
        assert_eq!(result.outcome, Outcome::Output { stream });
        let kept = match stream {
            Stream::Stdout => &result.stdout,
            Stream::Stderr => &result.stderr,
        };
        assert_eq!(kept.len(), 12_345);
    }
}

#[test]
fn output_of_exactly_the_limit_is_within_it_and_one_byte_more_is_not() {
    let limit = |policy: PolicyBuilder| policy.output(ByteSize::from_bytes(1000), OnOutput::Kill);
    assert_eq!(
        limited(limit, "head -c 1000 /dev/zero").outcome,
        Outcome::Exited { code: 0 }
    );
    for _ in 0..5 {
        let result = limited(limit, "head -c 1001 /dev/zero");
        assert_eq!(
            result.outcome,
            Outcome::Output {
                stream: Stream::Stdout
            }
        );
        assert_eq!(result.stdout.len(), 1000);
    }
}

#[test]
fn truncated_output_keeps_exactly_the_limit_and_the_run_goes_on() {
    let result = limited(
        |policy| policy.output(ByteSize::from_bytes(1000), OnOutput::Truncate),
        "head -c 3000000 /dev/zero; head -c 999 /dev/zero >&2; exit 6",
    );
    assert_eq!(result.outcome, Outcome::Exited { code: 6 });
    assert!(result.truncated);
    assert_eq!((result.stdout.len(), result.stderr.len()), (1000, 999));
    assert_eq!(result.usage.stdout_bytes, 3_000_000);
}

#[test]
fn a_fork_bomb_is_stopped_by_the_process_limit_or_refused_before_it_starts() {
    let policy = Policy::builder()
        .processes(20)
        .wall_time(Duration::from_secs(2))
        .build()
        .expect("valid");
    let prepared = match Sandbox::prepare(&policy) {
        Ok(prepared) => prepared,
        Err(error) => {
            assert!(error.to_string().contains("process"), "{error}");
            return;
        }
    };
    let by = prepared
        .plan()
        .report
        .get(Guarantee::Processes)
        .map(|entry| entry.by.clone())
        .unwrap_or_default();
    let marker = unique_seconds();
    let script = format!("f() {{ f & f & }}; f; sleep {marker}; exit 1");
    let result = within(DEADLINE, move || {
        Sandbox::command(&policy, "sh")
            .args(["-c", &script])
            .output()
            .expect("runs")
    });
    if by.contains(&Mechanism::CgroupPids) {
        assert_eq!(result.outcome, Outcome::Processes);
    } else {
        assert!(!result.outcome.success(), "{:?}", result.outcome);
    }
    assert_eq!(live_with_argument(&marker), [0_u32; 0]);
}

#[test]
fn as_many_processes_as_the_limit_says_can_live_at_once() {
    let policy = Policy::builder().processes(8).build().expect("valid");
    if let Err(error) = Sandbox::prepare(&policy) {
        return skip(name_of_test!(), &error.to_string().replace('\n', ";"));
    }
    // The shell and seven more.
    let script = "i=0; while [ $i -lt 7 ]; do sleep 0.3 & i=$((i+1)); done; wait; echo done";
    assert_eq!(sh_under(&policy, script).stdout, b"done\n");
    let script = "i=0; while [ $i -lt 8 ]; do sleep 0.3 & i=$((i+1)); done; wait; echo done";
    let result = sh_under(&policy, script);
    assert!(!result.outcome.success(), "{:?}", result.outcome);
}

#[test]
fn a_file_past_its_size_is_the_verdict() {
    let limit = |policy: PolicyBuilder| policy.file_size(ByteSize::from_bytes(4096));
    let result = limited(limit, "exec head -c 100000 /dev/zero > /tmp/file");
    assert_eq!(result.outcome, Outcome::FileSize);
    assert_eq!(
        limited(limit, "head -c 4096 /dev/zero > /tmp/file").outcome,
        Outcome::Exited { code: 0 }
    );
    let files = limited(|policy| policy.open_files(16), "ulimit -n; ulimit -Hn; ulimit -c");
    assert_eq!(String::from_utf8_lossy(&files.stdout), "16\n16\n0\n");
}

#[test]
fn a_killed_run_is_cancelled_and_a_finished_one_stays_what_it_was() {
    let mut process = Sandbox::command(&Policy::default(), "sleep")
        .arg("1000")
        .stdin(Stdio::Null)
        .spawn()
        .expect("starts");
    process.kill();
    process.kill();
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("ends").outcome,
        Outcome::Cancelled
    );
    let mut process = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", "exit 3"])
        .spawn()
        .expect("starts");
    assert_eq!(process.wait_event().expect("ends"), Event::Ended);
    process.kill();
    assert_eq!(
        process.wait().expect("ended").outcome,
        Outcome::Exited { code: 3 }
    );
}

#[test]
fn a_signal_from_the_caller_is_the_signal_that_ended_it() {
    let process = Sandbox::command(&Policy::default(), "sleep")
        .arg("1000")
        .spawn()
        .expect("starts");
    process.signal(libc::SIGUSR2).expect("sent");
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("ends").outcome,
        Outcome::Signaled {
            signal: libc::SIGUSR2
        }
    );
}

#[test]
fn an_init_killed_from_outside_is_an_error_and_no_verdict() {
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let marker = unique_seconds();
    let process = sandbox
        .spawn(sandbox_confine::Command::new("sleep").arg(&marker))
        .expect("starts");
    let init = rustix::process::Pid::from_raw(sandbox.pid().expect("runs").cast_signed()).expect("a pid");
    rustix::process::kill_process(init, rustix::process::Signal::KILL).expect("our child");
    let error = within(DEADLINE, || process.wait()).expect_err("nobody knows how it ended");
    assert!(matches!(error, RunError::InitDied), "{error:?}");
    eventually("the command dies with init", || {
        live_with_argument(&marker).is_empty() || crate::harness::namespaces().is_err()
    });
}

#[test]
fn a_program_that_stops_and_continues_all_the_time_does_not_lose_its_verdict() {
    // Nobody reads the events meanwhile.
    let script = "(i=0; while [ $i -lt 20000 ]; do kill -STOP $$; kill -CONT $$; i=$((i+1)); done; \
                  kill -CONT $$; kill -USR1 $$; sleep 1000) & trap 'exit 42' USR1; \
                  while :; do wait; done";
    let process = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", script])
        .spawn()
        .expect("starts");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("a verdict").outcome,
        Outcome::Exited { code: 42 }
    );
}

#[test]
fn limits_set_on_the_sandbox_s_init_from_inside_do_not_change_a_verdict() {
    needs_namespaces!();
    needs_program!("prlimit");
    for limit in [
        "nofile=0",
        "nofile=1",
        "as=4096",
        "data=0",
        "fsize=0",
        "nproc=0",
        "stack=4096",
        "sigpending=0",
        "rss=0",
    ] {
        let script = format!("prlimit --pid 1 --{limit} 2>/dev/null; (sleep 0.01 &) ; exit 33");
        assert_eq!(
            limited(|policy| policy.wall_time(Duration::from_secs(20)), &script).outcome,
            Outcome::Exited { code: 33 },
            "{limit}"
        );
    }
    // One second of CPU time for init, used up by reaping orphans.
    let script = "prlimit --pid 1 --cpu=1 2>/dev/null || prlimit --pid 1 --rttime=1 2>/dev/null; \
                  i=0; while [ $i -lt 3000 ]; do (: &); i=$((i+1)); done; exit 34";
    assert_eq!(
        limited(|policy| policy, script).outcome,
        Outcome::Exited { code: 34 }
    );
}

#[test]
fn signals_to_the_sandbox_s_init_from_inside_do_nothing() {
    let script = "for s in 1 2 3 9 15 17 18 19 20 24 34 64; do kill -$s 1 2>/dev/null; \
                  kill -$s $PPID 2>/dev/null; done; exit 35";
    assert_eq!(
        limited(|policy| policy.wall_time(Duration::from_secs(20)), script).outcome,
        Outcome::Exited { code: 35 }
    );
}

#[test]
fn the_sandbox_s_init_cannot_be_looked_into() {
    needs_namespaces!();
    let script = "cd /proc/1 && for f in mem root/etc cwd/. fd/0 maps environ exe; do \
                  (ls $f/ >/dev/null 2>&1 || head -c1 $f >/dev/null 2>&1) && test -s $f && echo $f; done; true";
    assert_eq!(crate::harness::stdout(&sh(script)), "");
}

#[test]
fn a_stream_that_makes_no_sense_is_an_error() {
    let policy = Policy::default();
    let command = || Sandbox::command(&policy, "true");
    for bound in [
        command().stdin(Stdio::Relay),
        command().stdin(Stdio::capture()),
        command().stdout(Stdio::Bytes(b"x".to_vec())),
    ] {
        assert!(bound.output().is_err());
    }
}
