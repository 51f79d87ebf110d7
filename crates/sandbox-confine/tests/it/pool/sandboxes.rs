//! Commands in sandboxes that were ready: they find what every command finds.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sandbox_confine::{Command, Outcome, Policy, Pool, PoolError, Sandbox, StartError, Stdio};
use sandbox_types::{Access, Mount, MountSource, Overlay, SandboxStatus, SizeExt};

use crate::harness::{Place, needs_namespaces, sh, stdout, within};

fn pool(size: usize) -> Pool {
    Pool::new(&Policy::default(), size).expect("a pool")
}

#[test]
fn commands_of_a_pool_run_as_any_others_do() {
    let pool = pool(2);
    for _ in 0..5 {
        let result = pool
            .command("sh")
            .args(["-c", "cat; echo err >&2; exit 7"])
            .stdin(b"in".to_vec())
            .output()
            .expect("runs");
        assert_eq!(result.outcome, Outcome::Exited { code: 7 });
        assert_eq!(
            (&result.stdout[..], &result.stderr[..]),
            (&b"in"[..], &b"err\n"[..])
        );
    }
    assert_eq!(
        pool.command("true").status().expect("runs"),
        Outcome::Exited { code: 0 }
    );
}

#[test]
fn each_command_of_a_pool_has_a_sandbox_of_its_own() {
    let pool = pool(3);
    for _ in 0..4 {
        let script = "ls -A /tmp ~; echo mine > /tmp/mine; echo mine > ~/mine";
        let result = pool.command("sh").args(["-c", script]).output().expect("runs");
        let text = stdout(&result);
        assert!(!text.contains("mine"), "{text}");
    }
}

#[test]
fn a_command_of_a_pool_is_behind_the_same_walls() {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp|Umask|Groups)' /proc/self/status; ulimit -a; pwd; id; env | sort; \
                  ls -l /proc/self/fd | grep -c :; ls -l /proc/1/fd 2>&1; cat /proc/self/mountinfo | cut -d' ' -f4-6; \
                  touch /usr/x 2>&1; mkdir /x 2>&1; head -c1 /proc/1/environ 2>&1";
    let of_pool = pool(1).command("sh").args(["-c", script]).output().expect("runs");
    let ordinary = sh(script);
    assert_eq!(
        String::from_utf8_lossy(&of_pool.stdout),
        String::from_utf8_lossy(&ordinary.stdout)
    );
    assert_eq!(of_pool.report, ordinary.report);
}

#[test]
fn landlock_is_around_a_command_that_stood_by_and_around_one_beside_it() {
    needs_namespaces!();
    let place = Place::new();
    let input = std::fs::File::open(place.file("input", "")).expect("just made");
    let mut sandbox = pool(1).take().expect("one is ready");
    // A file as a stream is not for the one that stands by.
    let other = Command::new("sh")
        .args(["-c", "sleep 1000; true"])
        .env("SECRET", "beside");
    let _other = sandbox
        .spawn(other.stdin(input).stdout(Stdio::Null).stderr(Stdio::Null))
        .expect("starts");
    let script =
        r#"for p in /proc/[0-9]*; do tr '\0' '\n' < $p/environ 2>/dev/null; done | grep SECRET; echo $?"#;
    let look = Command::new("sh").args(["-c", script]);
    let look = look
        .stdin(Stdio::Null)
        .stdout(Stdio::capture())
        .stderr(Stdio::Null);
    let looked = sandbox.spawn(look).expect("starts").wait().expect("ends");
    assert_eq!(stdout(&looked), "1\n");
}

#[test]
fn streams_of_every_kind_and_another_directory_to_start_in_work_as_well() {
    needs_namespaces!();
    let pool = pool(2);
    let place = Place::new();
    let path = place.path().join("output");
    let output = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .expect("ours");
    let status = pool
        .command("sh")
        .args(["-c", "echo to a file >> /dev/stdout; pwd"])
        .cwd("/usr");
    assert!(status.stdout(output).status().expect("runs").success());
    assert_eq!(std::fs::read_to_string(&path).expect("ours"), "to a file\n/usr\n");
    let on_terminal = pool
        .command("sh")
        .args(["-c", "test -t 0 -a -t 1"])
        .pty()
        .spawn()
        .expect("starts");
    assert!(on_terminal.wait().expect("ends").outcome.success());
    let mut piped = pool
        .command("cat")
        .stdin(Stdio::Piped)
        .stdout(Stdio::Piped)
        .spawn()
        .expect("starts");
    drop(piped.stdin.take());
    assert!(piped.wait().expect("ends").outcome.success());
}

#[test]
fn what_cannot_be_executed_is_the_error_it_always_is() {
    let pool = pool(1);
    let place = Place::new();
    let plain = place.file("plain", "echo no\n");
    let of = |program: &str| match pool.command(program).output() {
        Err(sandbox_confine::RunError::Start(error)) => error.exit_status(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("no-such-program"), 127);
    let policy = Policy::builder().read(place.path()).build().expect("valid");
    let granting = Pool::new(&policy, 1).expect("a pool");
    match granting.command(&plain).output() {
        Err(sandbox_confine::RunError::Start(error)) => assert_eq!(error.exit_status(), 126),
        other => panic!("{other:?}"),
    }
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let script = granting
        .command(&plain)
        .output()
        .expect("a script without an interpreter line");
    assert_eq!(stdout(&script), "no\n");
}

#[test]
fn limits_hold_in_a_pool_and_what_was_used_is_known() {
    let policy = Policy::builder()
        .wall_time(Duration::from_millis(200))
        .build()
        .expect("valid");
    let limited = Pool::new(&policy, 1).expect("a pool");
    // Time that was spent waiting is not the command's.
    std::thread::sleep(Duration::from_millis(300));
    assert!(limited.command("true").output().expect("runs").outcome.success());
    limited.await_full();
    let result = limited.command("sleep").arg("1000").output().expect("runs");
    assert_eq!(result.outcome, Outcome::WallTime);
    let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done' & exec sleep 0.3";
    let worked = pool(1).command("sh").args(["-c", script]).output().expect("runs");
    assert!(worked.usage.user_us > 10_000, "{:?}", worked.usage);
    assert!(worked.usage.wall_us < 100_000_000, "{:?}", worked.usage);
}

#[test]
fn what_a_command_leaves_behind_is_gone_when_it_has_been_waited_for() {
    needs_namespaces!();
    let seconds = crate::harness::unique_seconds();
    let script = format!("setsid sleep {seconds} & sleep 0.05");
    let pool = pool(1);
    pool.command("sh").args(["-c", &script]).output().expect("runs");
    assert_eq!(crate::harness::live_with_argument(&seconds), [0_u32; 0]);
}

#[test]
fn a_sandbox_that_was_taken_runs_any_number_of_commands() {
    let pool = pool(1);
    let mut sandbox = pool.take().expect("one is ready");
    assert_eq!(sandbox.status(), SandboxStatus::Running);
    for number in 1..=3 {
        let script = format!("echo {number} >> /tmp/numbers; cat /tmp/numbers | wc -l");
        let command = Command::new("sh").args(["-c", &script]).stdin(Stdio::Null);
        let command = command.stdout(Stdio::capture()).stderr(Stdio::capture());
        let result = sandbox.spawn(command).expect("starts").wait().expect("ends");
        assert_eq!(stdout(&result).trim(), number.to_string());
    }
    drop(pool);
    let after = Command::new("true")
        .stdin(Stdio::Null)
        .stdout(Stdio::Null)
        .stderr(Stdio::Null);
    let result = sandbox.spawn(after).expect("it goes on").wait().expect("ends");
    assert!(result.outcome.success());
}

#[test]
fn many_threads_take_from_one_pool() {
    within(crate::harness::DEADLINE, || {
        let pool = pool(3);
        std::thread::scope(|scope| {
            for number in 0..12 {
                let pool = &pool;
                scope.spawn(move || {
                    let result = pool
                        .command("echo")
                        .arg(number.to_string())
                        .output()
                        .expect("runs");
                    assert_eq!(stdout(&result), format!("{number}\n"));
                });
            }
        });
    });
}

#[test]
fn a_pool_serves_both_runtimes() {
    use tokio::runtime::Builder;
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.enable_all().build().expect("a runtime");
        let pool = pool(1);
        runtime.block_on(async {
            for _ in 0..3 {
                let result = pool
                    .command("echo")
                    .arg("hello")
                    .output_async()
                    .await
                    .expect("runs");
                assert_eq!(stdout(&result), "hello\n");
                let mut taken = pool.take_async().await.expect("one is made");
                assert!(taken.kill().is_ok());
            }
        });
    }
}

#[test]
fn a_pool_of_none_of_too_many_or_of_one_branch_is_refused() {
    let policy = Policy::default();
    assert!(matches!(Pool::new(&policy, 0), Err(PoolError::Empty)));
    assert!(matches!(
        Pool::new(&policy, 1_000_000),
        Err(PoolError::TooMany { asked: 1_000_000, .. })
    ));
    let place = Place::new();
    let overlay = Overlay {
        lowers: vec![place.dir("lower")],
        upper: place.dir("upper"),
        work: place.dir("work"),
        lock: None,
    };
    let mount = Mount {
        at: place.path().join("lower"),
        source: MountSource::Overlay(overlay),
        access: Access::Write,
    };
    let policy = Policy::builder().mount(mount).build().expect("valid");
    match Pool::new(&policy, 2) {
        Err(error @ PoolError::SharedBranch { .. }) => {
            assert!(error.to_string().contains("/lower"), "{error}");
            assert!(error.hint().is_some());
        }
        // Without namespaces there are no branches in the first place.
        Err(PoolError::Start(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_that_cannot_be_kept_is_an_error_of_the_pool() {
    let policy = Policy::builder()
        .read("/no/such/directory")
        .build()
        .expect("valid");
    let error = Pool::new(&policy, 1).expect_err("nothing there");
    assert!(error.to_string().contains("/no/such/directory"), "{error}");
    let memory = Policy::builder().memory(64.mib()).build().expect("valid");
    match Pool::new(&memory, 1) {
        Ok(pool) => {
            let script = "head -c 200m /dev/zero | tail";
            let result = pool.command("sh").args(["-c", script]).output().expect("runs");
            assert!(!result.outcome.success(), "{result:?}");
        }
        Err(error) => assert!(matches!(error, PoolError::Start(_)), "{error}"),
    }
}

#[test]
fn a_closed_pool_hands_nothing_out_and_says_so() {
    let pool = pool(2);
    let mut taken = pool.take().expect("one is ready");
    pool.close();
    assert!(matches!(pool.take(), Err(StartError::PoolClosed)));
    let error = pool.command("true").output().expect_err("closed");
    assert_eq!(error.to_string(), "the pool is closed");
    assert_eq!(pool.ready(), 0);
    pool.close();
    let command = Command::new("true")
        .stdin(Stdio::Null)
        .stdout(Stdio::Null)
        .stderr(Stdio::Null);
    assert!(
        taken
            .spawn(command)
            .expect("it goes on")
            .wait()
            .expect("ends")
            .outcome
            .success()
    );
    let _: Sandbox = taken;
}
