//! How pools end, and what happens to what dies in them. In processes of their own, whose children are countable.

use sandbox_confine::{Policy, Pool};

use crate::harness::{
    MARKER, children, descriptors, eventually, in_own_process, live_with_argument, name_of_test,
    needs_namespaces, private_entries, start_marked, unique_seconds,
};

#[test]
fn dropping_a_pool_leaves_nothing_running_and_nothing_open() {
    in_own_process(name_of_test!(), || {
        // What this process opens once for all sandboxes.
        drop(Pool::new(&Policy::default(), 1).expect("a pool"));
        let before = descriptors();
        let pool = Pool::new(&Policy::default(), 4).expect("a pool");
        pool.await_full();
        assert_eq!((pool.ready(), children().len()), (4, 4));
        pool.command("true").output().expect("runs");
        drop(pool);
        assert_eq!(children(), [0_u32; 0]);
        assert_eq!(descriptors(), before);
        assert!(private_entries().is_empty());
        assert_eq!(
            std::fs::read_dir("/proc/self/task").expect("/proc").count(),
            threads_of_the_harness()
        );
    });
}

/// The main thread and the one of the test.
fn threads_of_the_harness() -> usize {
    2
}

#[test]
fn a_sandbox_that_dies_while_it_waits_is_not_handed_out() {
    needs_namespaces!();
    in_own_process(name_of_test!(), || {
        let pool = Pool::new(&Policy::default(), 3).expect("a pool");
        pool.await_full();
        for init in children() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(init).expect("a pid")).expect("not 0");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
        }
        for _ in 0..4 {
            assert!(
                pool.command("true")
                    .output()
                    .expect("another one is made")
                    .outcome
                    .success()
            );
        }
        pool.await_full();
        assert_eq!(pool.ready(), 3);
    });
}

#[test]
fn a_process_that_was_ended_while_it_stood_by_is_replaced_by_an_ordinary_start() {
    needs_namespaces!();
    use sandbox_confine::{Command, Stdio};
    let pool = Pool::new(&Policy::default(), 1).expect("a pool");
    let mut sandbox = pool.take().expect("one is ready");
    let place = crate::harness::Place::new();
    let mut run = |script: &str, input: Option<std::fs::File>| {
        let command = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::capture())
            .stderr(Stdio::capture());
        let command = match input {
            Some(file) => command.stdin(file),
            None => command.stdin(Stdio::Null),
        };
        crate::harness::stdout(&sandbox.spawn(command).expect("starts").wait().expect("ends"))
    };
    let file = std::fs::File::open(place.file("input", "")).expect("just made");
    // What stands by has init's name still; whoever is of the same user may end it.
    let script = "for p in /proc/[2-9]*; do read name < $p/comm; test $name != sandbox-init || kill -9 ${p#/proc/} && \
                  echo ended; done | sort -u";
    assert_eq!(run(script, Some(file)), "ended\n");
    assert_eq!(run("echo still", None), "still\n");
}

#[test]
fn a_pool_whose_owner_is_killed_leaves_nothing_running() {
    needs_namespaces!();
    if let Ok(seconds) = std::env::var(MARKER) {
        let pool = Pool::new(&Policy::default(), 3).expect("a pool");
        pool.await_full();
        let process = pool.command("sleep").arg(&seconds).spawn().expect("starts");
        process.wait().expect("never");
        return;
    }
    let seconds = unique_seconds();
    let mut child = start_marked(name_of_test!(), &seconds);
    let inits = || descendants(child.id());
    eventually("the pool is full and a command runs", || {
        inits().len() >= 4 && !live_with_argument(&seconds).is_empty()
    });
    let inits = inits();
    child.kill().expect("ours");
    child.wait().expect("ours");
    eventually("nothing is left", || {
        live_with_argument(&seconds).is_empty()
            && inits
                .iter()
                .all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
}

fn descendants(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}
