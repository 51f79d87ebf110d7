//! Clones in a runtime.

use std::time::Duration;

use sandbox_confine::{Command, ForkError, Sandbox, StartError};
use tokio::runtime::{Builder, Runtime};

use super::programs::{needs_python, python};
use crate::harness::{
    eventually, live_with_argument, needs_namespaces, needs_program, stdout, unique_seconds,
};

fn runtimes() -> impl Iterator<Item = Runtime> {
    let builders = [Builder::new_current_thread(), Builder::new_multi_thread()];
    let built = |mut builder: Builder| builder.enable_all().build().expect("a runtime");
    builders.into_iter().map(built)
}

#[test]
fn clones_are_forked_waited_for_and_reduced_in_both_runtimes() {
    needs_python!();
    let script = "import sandbox_fork, time
number = sandbox_fork.ready()
time.sleep(0.05 * (3 - number))
print(number)";
    for runtime in runtimes() {
        let mut template = python(script).expect("a template");
        runtime.block_on(async {
            let mut clones = template.fork_async(3).await.expect("clones");
            for (id, clone) in clones.iter_mut().enumerate().rev() {
                let result = clone.wait_async().await.expect("it ends");
                assert_eq!(stdout(&result), format!("{id}\n"));
                assert!(clone.wait_async().await.is_err(), "a result is given once");
            }
            let reduced = template.map_reduce_async(3, Command::new("cat")).await;
            let reduction = reduced.expect("a result");
            assert_eq!(stdout(&reduction.reducer), "0\n1\n2\n");
            assert!(reduction.success());
        });
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_ended() {
    needs_python!();
    let seconds = unique_seconds();
    let sleeps = format!(
        "import sandbox_fork, subprocess; sandbox_fork.ready(); subprocess.run(['sleep', '{seconds}'])"
    );
    let ends = "import sandbox_fork; sandbox_fork.ready()";
    // Clones that go on, and a reducer that does when they have ended.
    for (script, reducer) in [(sleeps.as_str(), &["cat"][..]), (ends, &["sleep", &seconds])] {
        for runtime in runtimes() {
            let mut template = python(script).expect("a template");
            runtime.block_on(async {
                let reducing = template.map_reduce_async(3, reducer);
                let limited = tokio::time::timeout(Duration::from_secs(1), reducing).await;
                assert!(limited.is_err(), "{limited:?}");
            });
            eventually("it ends", || live_with_argument(&seconds).is_empty());
            assert_eq!(template.fork(1).expect("the template lives").len(), 1);
        }
    }
}

#[test]
fn what_is_no_template_or_no_clone_is_an_error_in_a_runtime_as_well() {
    needs_python!();
    let mut sandbox = Sandbox::new(&sandbox_confine::Policy::default()).expect("a sandbox");
    let runtime = runtimes().next().expect("one");
    runtime.block_on(async {
        assert!(matches!(sandbox.fork_async(1).await, Err(ForkError::NoTemplate)));
        let error = sandbox.wait_async().await.expect_err("no clone");
        assert!(
            matches!(error, sandbox_confine::RunError::Start(StartError::NoClone)),
            "{error}"
        );
    });
}
