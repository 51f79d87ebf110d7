//! What clones are: copies with a number, live, each for itself.

use std::convert::Infallible;
use std::io::Read;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox_confine::{CloneOutput, ForkOptions, Policy, Sandbox};
use sandbox_types::{Outcome, SandboxStatus};

use super::{alone, results, template};
use crate::harness::{both, eventually, stdout};

#[test]
fn each_clone_has_its_number_and_what_init_has_loaded() {
    alone!(|| {
        static LOADED: OnceLock<String> = OnceLock::new();
        let load = || LOADED.set("loaded once".into()).expect("once");
        let work = |id| {
            println!(
                "{id} {} {}",
                std::env::var("CLONE_ID").expect("set"),
                LOADED.get().expect("loaded")
            );
        };
        let mut template = Sandbox::new_with_fns(&Policy::default(), load, work).expect("a template");
        let outputs: Vec<_> = results(template.fork(3).expect("clones"))
            .iter()
            .map(stdout)
            .collect();
        assert_eq!(
            outputs,
            ["0 0 loaded once\n", "1 1 loaded once\n", "2 2 loaded once\n"]
        );
        assert!(LOADED.get().is_none(), "the caller has loaded nothing");
    });
}

#[test]
fn a_template_is_forked_again_and_again_and_init_runs_once() {
    alone!(|| {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let init = || {
            RUNS.fetch_add(1, Ordering::Relaxed);
        };
        // What a clone does to its memory no other one sees.
        let work = |_| println!("{}", RUNS.fetch_add(1, Ordering::Relaxed));
        let mut template = Sandbox::new_with_fns(&Policy::default(), init, work).expect("a template");
        for _ in 0..3 {
            for result in results(template.fork(4).expect("clones")) {
                assert_eq!(stdout(&result), "1\n");
            }
        }
    });
}

#[test]
fn bytes_that_a_clone_answers_reach_the_caller_and_what_it_prints_does_not_mix_with_them() {
    alone!(|| {
        let load = || vec![10_u32, 20, 30];
        let work = |numbers: &Vec<u32>, id: u32| {
            println!("noise");
            match numbers.get(id as usize) {
                Some(number) => Ok(number.to_le_bytes().to_vec()),
                None => Err(format!("no number {id}")),
            }
        };
        let mut template = Sandbox::template(&Policy::default())
            .typed(load, work)
            .expect("a template");
        let results = results(template.fork(4).expect("clones"));
        for (result, number) in results.iter().zip([10_u32, 20, 30]) {
            assert_eq!(result.stdout, number.to_le_bytes());
            assert_eq!(result.stderr, b"noise\n");
        }
        assert_eq!(results[3].outcome, Outcome::Exited { code: 1 });
        assert_eq!(results[3].stderr, b"noise\nno number 3\n");
    });
}

/// The state of a process and its parent, as proc_pid_stat(5) has them.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn state(pid: u32) -> Option<char> {
    Some(state_and_parent(pid)?.0)
}

#[test]
fn fork_returns_while_the_clones_run_and_each_can_be_paused_resumed_and_killed() {
    alone!(|| {
        let mut template = template(|_| std::thread::sleep(Duration::from_secs(1000)));
        let mut clones = template.fork(2).expect("clones");
        let [one, other] = &mut clones[..] else {
            panic!("two")
        };
        let pid = one.pid().expect("it runs");
        one.pause().expect("it runs");
        eventually("it stops", || state(pid) == Some('T'));
        assert_eq!(one.status(), SandboxStatus::Paused);
        let sibling = other.pid().expect("it runs");
        eventually("the other goes on", || state(sibling) == Some('S'));
        one.resume().expect("it is paused");
        eventually("it goes on", || state(pid) == Some('S'));
        assert_eq!(one.status(), SandboxStatus::Running);
        one.kill().expect("it runs");
        assert_eq!(one.status(), SandboxStatus::Stopped);
        assert_eq!(one.wait().expect("it has ended").outcome, Outcome::Cancelled);
        assert_eq!(state(pid), None);
        assert_eq!((one.pid(), other.status()), (None, SandboxStatus::Running));
        assert_eq!(other.clone_id(), Some(1));
    });
}

// Else it would be that of whoever has forked it, who may be stopped with the template: then nobody reaps the clone.
#[test]
fn when_fork_returns_the_keeper_is_the_parent_of_each_clone() {
    alone!(|| {
        let mut template = template(|_| std::thread::sleep(Duration::from_secs(1000)));
        for _ in 0..200 {
            let clones = template.fork(2).expect("clones");
            for clone in &clones {
                let (_, parent) = state_and_parent(clone.pid().expect("it runs")).expect("it runs");
                let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).expect("it runs");
                assert_eq!(name, "sandbox-keeper\n");
            }
        }
    });
}

#[test]
fn in_a_pause_of_the_template_each_clone_can_be_resumed_paused_and_killed() {
    alone!(|| {
        let mut template = template(|_| std::thread::sleep(Duration::from_secs(1000)));
        let mut clones = template.fork(3).expect("clones");
        let pids: Vec<_> = clones.iter().map(|clone| clone.pid().expect("it runs")).collect();
        let stopped = || -> Vec<_> { pids.iter().map(|pid| state(*pid) == Some('T')).collect() };
        let paused = |clones: &[Sandbox]| -> Vec<_> {
            let is_paused = |clone: &Sandbox| clone.status() == SandboxStatus::Paused;
            clones.iter().map(is_paused).collect()
        };
        template.pause().expect("it runs");
        eventually("all stop", || stopped() == [true, true, true]);
        assert_eq!(paused(&clones), [true, true, true]);
        assert_eq!(clones[0].pid(), Some(pids[0]));
        clones[0].resume().expect("it is paused");
        eventually("one goes on", || stopped() == [false, true, true]);
        assert_eq!(paused(&clones), [false, true, true]);
        clones[0].pause().expect("it runs");
        eventually("it stops again", || stopped() == [true, true, true]);
        clones[2].kill().expect("it is paused");
        assert_eq!(clones[2].wait().expect("killed").outcome, Outcome::Cancelled);
        template.resume().expect("it is paused");
        eventually("the others go on", || stopped() == [false, false, false]);
        assert_eq!(paused(&clones), [false, false, false]);
        template.pause().expect("it runs");
        let start = std::time::Instant::now();
        drop(clones);
        drop(template);
        // Nobody has to lose patience for that, which takes five seconds.
        assert!(
            pids.iter().all(|pid| state(*pid).is_none()),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn the_output_of_a_clone_can_be_read_while_it_runs() {
    alone!(|| {
        let mut template = template(|id| {
            println!("begun {id}");
            std::thread::sleep(Duration::from_secs(1000));
        });
        let options = ForkOptions::default().stdout(CloneOutput::Piped);
        let mut clones = template.fork_with(2, &options).expect("clones");
        for (id, clone) in clones.iter_mut().enumerate() {
            let mut text = vec![0; "begun 0\n".len()];
            clone
                .take_stdout()
                .expect("piped")
                .read_exact(&mut text)
                .expect("its output");
            assert_eq!(text, format!("begun {id}\n").as_bytes());
        }
    });
}

#[test]
fn a_clone_that_writes_more_than_a_pipe_holds_does_not_hold_up_the_fork() {
    alone!(|| {
        let work =
            |(): &(), id: u32| Ok::<_, Infallible>(vec![b'a' + u8::try_from(id).expect("few"); 1 << 20]);
        let mut template = Sandbox::template(&Policy::default())
            .typed(|| (), work)
            .expect("a template");
        let clones = template.fork(8).expect("clones");
        for (id, result) in results(clones).into_iter().enumerate() {
            assert_eq!(result.stdout.len(), 1 << 20);
            assert_eq!(result.stdout[0], b'a' + u8::try_from(id).expect("few"));
        }
    });
}

#[test]
fn what_a_clone_used_and_how_it_ended_is_known_of_each() {
    alone!(|| {
        let mut template = template(|id| std::process::exit(i32::try_from(id).expect("few")));
        for (id, result) in results(template.fork(3).expect("clones")).iter().enumerate() {
            assert_eq!(
                result.outcome,
                Outcome::Exited {
                    code: i32::try_from(id).expect("few")
                }
            );
            assert!(result.usage.peak_memory.is_some_and(|bytes| bytes > 0));
            assert!(result.usage.wall_us > 0);
            assert!(result.report.get(sandbox_types::Guarantee::Containment).is_some());
        }
    });
}

#[test]
fn clones_go_on_when_their_template_is_dropped() {
    alone!(|| {
        let mut template = template(|id| {
            std::thread::sleep(Duration::from_millis(100));
            println!("{id}");
        });
        let clones = template.fork(3).expect("clones");
        drop(template);
        let outputs: Vec<_> = results(clones).iter().map(both).collect();
        assert_eq!(outputs, ["0\n", "1\n", "2\n"]);
    });
}

#[test]
fn commands_run_in_the_sandbox_of_a_template_beside_its_clones() {
    alone!(|| {
        let mut template = template(|_| println!("a clone"));
        let command = sandbox_confine::Command::new("echo").arg("a command");
        let command = command.stdout(sandbox_confine::Stdio::capture());
        let result = template.spawn(command).expect("starts").wait().expect("ends");
        assert_eq!(stdout(&result), "a command\n");
        assert_eq!(
            stdout(&results(template.fork(1).expect("a clone"))[0]),
            "a clone\n"
        );
    });
}

#[test]
fn signals_mean_in_a_clone_what_they_always_mean() {
    alone!(|| {
        let mut template = template(|id| {
            if id == 0 {
                std::process::abort();
            }
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::TERM).expect("itself");
            std::thread::sleep(Duration::from_secs(1000));
        });
        let outcomes: Vec<_> = results(template.fork(2).expect("clones"))
            .iter()
            .map(|result| result.outcome)
            .collect();
        assert_eq!(
            outcomes,
            [Outcome::Signaled { signal: 6 }, Outcome::Signaled { signal: 15 }]
        );
    });
}
