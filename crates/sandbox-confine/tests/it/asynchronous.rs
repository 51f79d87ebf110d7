//! The same on tokio: both runtimes, many at once, and futures that nobody waits for any more.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sandbox_confine::{Outcome, Policy, Sandbox};
use sandbox_types::SizeExt;
use tokio::runtime::{Builder, Runtime};

use crate::harness::{eventually, live_with_argument, unique_seconds};

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().expect("a runtime"))
}

#[test]
fn a_command_runs_on_both_runtimes() {
    for runtime in runtimes() {
        let result = runtime
            .block_on(Sandbox::run(
                &Policy::default(),
                &["sh", "-c", "echo out; echo err >&2; exit 3"],
            ))
            .expect("it runs");
        assert_eq!(result.outcome, Outcome::Exited { code: 3 });
        assert_eq!(
            (result.stdout.as_slice(), result.stderr.as_slice()),
            (b"out\n".as_slice(), b"err\n".as_slice())
        );
    }
}

#[test]
fn large_streams_flow_while_the_runtime_does_other_things() {
    for runtime in runtimes() {
        let input = vec![b'x'; 4 << 20];
        let ticks = runtime.block_on(async {
            let policy = Policy::default();
            let prepared = Sandbox::prepare(&policy).expect("a plan");
            let mut run = pin!(prepared.command("cat").stdin(input.clone()).output_async());
            let mut ticks = 0_u32;
            loop {
                tokio::select! {
                    result = &mut run => {
                        assert_eq!(result.expect("it runs").stdout, input);
                        break ticks;
                    }
                    () = tokio::time::sleep(Duration::from_millis(1)) => ticks += 1,
                }
            }
        });
        assert!(ticks > 0, "the runtime was blocked");
    }
}

#[test]
fn forty_sandboxes_at_once_on_one_thread_all_finish() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let prepared = Sandbox::prepare(&Policy::default()).expect("a plan");
        let mut set = tokio::task::JoinSet::new();
        for number in 0..40 {
            let prepared = prepared.clone();
            set.spawn(async move {
                let result = prepared
                    .command("echo")
                    .arg(number.to_string())
                    .output_async()
                    .await
                    .expect("it runs");
                assert_eq!(result.stdout, format!("{number}\n").into_bytes());
            });
        }
        while let Some(ended) = set.join_next().await {
            ended.expect("no panic");
        }
    });
}

#[test]
fn limits_hold_while_a_future_waits() {
    let policy = Policy::builder()
        .wall_time(Duration::from_millis(200))
        .scratch(16.mib())
        .build()
        .expect("valid");
    for runtime in runtimes() {
        let result = runtime
            .block_on(Sandbox::run(&policy, &["sleep", "1000"]))
            .expect("it runs");
        assert_eq!(result.outcome, Outcome::WallTime);
    }
}

#[test]
fn a_future_dropped_while_it_waits_ends_the_command() {
    for runtime in runtimes() {
        let marker = unique_seconds();
        runtime.block_on(async {
            let policy = Policy::default();
            let script = format!("exec sleep {marker}");
            let argv = ["sh", "-c", script.as_str()];
            let run = Sandbox::run(&policy, &argv);
            let timed = tokio::time::timeout(Duration::from_millis(300), run).await;
            assert!(timed.is_err(), "it sleeps for ever");
        });
        drop(runtime);
        eventually("nothing of it runs", || live_with_argument(&marker).is_empty());
    }
}

#[test]
fn a_future_dropped_in_the_middle_of_a_start_leaves_nothing_behind() {
    for runtime in runtimes() {
        let marker = unique_seconds();
        let guard = runtime.enter();
        for _ in 0..20 {
            let policy = Policy::default();
            let script = format!("exec sleep {marker}");
            let argv = ["sh", "-c", script.as_str()];
            let mut run = Box::pin(Sandbox::run(&policy, &argv));
            // Polled once, so that the start is under way on the blocking pool, and dropped.
            let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(
                matches!(polled, Poll::Pending),
                "a start takes longer than a poll"
            );
            drop(run);
        }
        drop(guard);
        // Waits for what the blocking pool still does.
        drop(runtime);
        eventually("nothing of it runs", || live_with_argument(&marker).is_empty());
    }
}
