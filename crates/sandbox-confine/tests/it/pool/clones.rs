//! Clones that were ready. Each test is in a process of its own, as for templates.
#![expect(clippy::print_stdout, reason = "clones print")]

use std::io::Write;
use std::time::Duration;

use sandbox_confine::{CloneInput, ForkError, ForkOptions, ForkPool, Policy, PoolError, Sandbox};
use sandbox_types::Outcome;

use crate::fork::{alone, template};
use crate::harness::{eventually, stdout};

#[test]
fn clones_of_a_pool_wait_until_they_are_handed_out_and_then_run() {
    alone!(|| {
        let template = template(|id| {
            std::fs::write(format!("/tmp/{id}"), "").expect("its own");
            let began = std::fs::read_dir("/tmp").expect("there").count();
            println!("{id} {began}");
        });
        let pool = ForkPool::new(template, 3, &ForkOptions::default()).expect("a pool");
        // Longer than a function that writes a file takes.
        std::thread::sleep(Duration::from_millis(50));
        for number in 0..8_u32 {
            let mut clone = pool.take().expect("one is ready");
            assert_eq!(clone.clone_id(), Some(number));
            assert_eq!(
                stdout(&clone.wait().expect("ends")),
                format!("{number} {}\n", number + 1)
            );
        }
    });
}

#[test]
fn a_clone_of_a_pool_gets_its_job_by_its_standard_input() {
    alone!(|| {
        let work = |state: &String, _| {
            let job = std::io::read_to_string(std::io::stdin())?;
            std::io::Result::Ok(format!("{state} {job}").into_bytes())
        };
        let template = Sandbox::template(&Policy::default())
            .typed(|| "loaded".to_owned(), work)
            .expect("a template");
        let options = ForkOptions::default().stdin(CloneInput::Piped);
        let pool = ForkPool::new(template, 2, &options).expect("a pool");
        let mut clones: Vec<_> = (0..4).map(|_| pool.take().expect("one is ready")).collect();
        for (number, clone) in clones.iter_mut().enumerate() {
            let mut input = clone.take_stdin().expect("piped");
            write!(input, "job {number}").expect("it reads");
            assert!(clone.take_stdin().is_none());
        }
        for (number, clone) in clones.iter_mut().enumerate() {
            assert_eq!(
                stdout(&clone.wait().expect("ends")),
                format!("loaded job {number}")
            );
        }
    });
}

#[test]
fn the_time_of_a_clone_counts_from_when_it_is_handed_out() {
    alone!(|| {
        let policy = Policy::builder()
            .wall_time(Duration::from_millis(300))
            .build()
            .expect("valid");
        let work = |id| {
            if id == 1 {
                std::thread::sleep(Duration::from_secs(1000));
            }
        };
        let template = Sandbox::new_with_fns(&policy, || {}, work).expect("a template");
        let pool = ForkPool::new(template, 2, &ForkOptions::default()).expect("a pool");
        std::thread::sleep(Duration::from_millis(400));
        let outcome = || pool.take().expect("one is ready").wait().expect("ends").outcome;
        assert_eq!(
            [outcome(), outcome()],
            [Outcome::Exited { code: 0 }, Outcome::WallTime]
        );
    });
}

#[test]
fn a_clone_that_dies_while_it_waits_is_not_handed_out() {
    alone!(|| {
        let template = template(|id| {
            drop(std::io::read_to_string(std::io::stdin()));
            println!("{id}");
        });
        let init = template.pid().expect("it runs");
        let options = ForkOptions::default().stdin(CloneInput::Piped);
        let pool = ForkPool::new(template, 3, &options).expect("a pool");
        let other = pool.take().expect("one is ready");
        pool.await_full();
        // The kernel's list of children is right only while none comes or goes.
        eventually("all are listed", || kept(init).2 == 9);
        let (_, clones, _) = kept(init);
        assert_eq!(clones.len(), 4);
        kill(clones[1]);
        kill(clones[2]);
        // The template, and two processes of each clone that is left.
        eventually("they are gone", || kept(init).2 == 5);
        // Their keeper, who has reaped them, answers one after the other.
        assert_eq!(other.pid(), Some(clones[0]));
        let ids = (0..3).map(|_| {
            let mut clone = pool.take().expect("one is ready");
            drop(clone.take_stdin());
            stdout(&clone.wait().expect("ends"))
        });
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids, ["3\n", "4\n", "5\n"]);
    });
}

#[test]
fn a_pool_of_clones_refuses_what_makes_no_sense_and_says_what() {
    alone!(|| {
        let options = ForkOptions::default();
        let none = ForkPool::new(template(|_| {}), 0, &options);
        assert!(matches!(none, Err(PoolError::Empty)));
        let plain = Sandbox::new(&Policy::default()).expect("a sandbox");
        let error = ForkPool::new(plain, 1, &options).expect_err("no template");
        assert!(matches!(error, PoolError::Fork(ForkError::NoTemplate)), "{error}");
        let pool = ForkPool::new(template(|_| {}), 1, &options).expect("a pool");
        pool.close();
        assert!(matches!(pool.take(), Err(ForkError::PoolClosed)));
        let mut template = pool.into_template().expect("still there");
        assert_eq!(template.fork(2).expect("it lives").len(), 2);
    });
}

#[test]
fn a_pool_whose_template_has_died_hands_out_what_it_has_and_then_says_so() {
    alone!(|| {
        let template = template(|_| {});
        let init = template.pid().expect("it runs");
        let pool = ForkPool::new(template, 2, &ForkOptions::default()).expect("a pool");
        kill(kept(init).0);
        eventually("it is noticed", || {
            matches!(pool.take(), Err(ForkError::TemplateEnded { .. }))
        });
        assert!(
            matches!(pool.take(), Err(ForkError::TemplateEnded { .. })),
            "and stays so"
        );
    });
}

/// The template that lives in a sandbox, and its clones: what the keeper there has for children, by the depth of their
/// pid namespaces. Of a clone it is the process of the caller's, which is the second one there. How many children there
/// are in all.
fn kept(init: u32) -> (u32, Vec<u32>, usize) {
    let children = |of: u32| {
        let text = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
        text.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect::<Vec<u32>>()
    };
    let numbers = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let is_keeper = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sandbox-keeper")
    };
    let keeper = children(init).into_iter().find(is_keeper).expect("it lives");
    let all = children(keeper);
    let depth = numbers(keeper).len();
    let template = all.iter().find(|pid| numbers(**pid).len() == depth);
    let is_clone =
        |pid: &u32| numbers(*pid).len() > depth && numbers(*pid).last().is_some_and(|last| last == "2");
    (
        *template.expect("it lives"),
        all.iter().copied().filter(is_clone).collect(),
        all.len(),
    )
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("of the same user");
}
