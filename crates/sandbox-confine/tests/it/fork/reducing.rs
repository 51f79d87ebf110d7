//! The output of clones as the input of a command.

use std::convert::Infallible;
use std::time::Duration;

use sandbox_confine::{Command, ForkOptions, OnFailure, Policy, ReduceError, Sandbox};
use sandbox_types::{Outcome, SizeExt};

use super::{alone, results, template};
use crate::harness::stdout;

/// A template whose clones answer so many bytes each, of the letter of their number.
fn of_letters(count: usize) -> Sandbox {
    let work =
        move |(): &(), id: u32| Ok::<_, Infallible>(vec![b'a' + u8::try_from(id % 26).expect("few"); count]);
    Sandbox::template(&Policy::default())
        .typed(|| (), work)
        .expect("a template")
}

#[test]
fn a_reducer_reads_what_all_clones_wrote_in_their_order() {
    alone!(|| {
        let mut template = template(|id| {
            // The first is the last to write.
            std::thread::sleep(Duration::from_millis(u64::from(10 * (5 - id))));
            println!("{id}");
        });
        let reduction = template.map_reduce(5, Command::new("cat")).expect("a result");
        assert_eq!(stdout(&reduction.reducer), "0\n1\n2\n3\n4\n");
        assert!(reduction.success());
        assert_eq!(reduction.clones[3].usage.stdout_bytes, 2);
    });
}

#[test]
fn every_byte_of_a_thousand_clones_gets_there() {
    alone!(|| {
        let mut template = of_letters(100_000);
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let clones = if hard.is_none_or(|most| most >= 8192) {
            1000
        } else {
            200
        };
        let all = rustix::process::Rlimit {
            current: hard,
            maximum: hard,
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, all).expect("up to the hard limit");
        let reduction = template
            .map_reduce(clones, Command::new("wc").arg("-c"))
            .expect("a result");
        assert_eq!(
            stdout(&reduction.reducer).trim(),
            (u64::from(clones) * 100_000).to_string()
        );
    });
}

#[test]
fn a_clone_that_writes_a_gibibyte_fills_no_memory_and_holds_up_nobody() {
    alone!(|| {
        let work = |id| {
            let chunk = vec![b'x'; 1 << 20];
            // Its turn comes when the first one has ended.
            std::thread::sleep(Duration::from_millis(if id == 0 { 200 } else { 0 }));
            for _ in 0..if id == 1 { 1024 } else { 1 } {
                std::io::Write::write_all(&mut std::io::stdout(), &chunk).expect("is read");
            }
        };
        let mut template = template(work);
        let before = peak();
        let reduction = template
            .map_reduce(3, Command::new("wc").arg("-c"))
            .expect("a result");
        let written = (1_u64 << 30) + (2 << 20);
        assert_eq!(stdout(&reduction.reducer).trim(), written.to_string());
        assert!(peak() < before + 64 * 1024, "{} KiB", peak() - before);
    });
}

/// The most memory this process has had, KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("ours");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("known");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn clones_that_write_much_to_standard_error_do_not_hold_up_the_reduction() {
    alone!(|| {
        let mut template = template(|id| {
            for _ in 0..2000 {
                eprintln!("{}", "e".repeat(100));
            }
            println!("{id}");
        });
        let reduction = template.map_reduce(3, Command::new("cat")).expect("a result");
        assert_eq!(stdout(&reduction.reducer), "0\n1\n2\n");
        assert!(
            reduction
                .clones
                .iter()
                .all(|clone| clone.stderr.len() == 2000 * 101)
        );
    });
}

#[test]
fn a_reducer_that_ends_early_or_reads_nothing_hangs_nobody() {
    alone!(|| {
        for script in [
            "exit 3",
            "head -c 1 >/dev/null; exit 3",
            "exec <&-; sleep 0.2; exit 3",
        ] {
            let mut template = of_letters(1 << 20);
            let command = Command::new("sh").args(["-c", script]);
            let reduction = template.map_reduce(4, command).expect("a result");
            assert_eq!(reduction.reducer.outcome, Outcome::Exited { code: 3 }, "{script}");
            assert_eq!(reduction.clones.len(), 4);
        }
    });
}

#[test]
fn a_clone_that_fails_is_in_the_result_or_stops_the_reduction() {
    alone!(|| {
        let mut template = template(|id| {
            println!("{id}");
            if id == 1 {
                std::process::exit(7);
            }
            std::thread::sleep(Duration::from_millis(if id > 1 { 300 } else { 0 }));
        });
        let goes_on = template.map_reduce(3, Command::new("cat")).expect("a result");
        assert_eq!(stdout(&goes_on.reducer), "0\n1\n2\n");
        assert_eq!(goes_on.clones[1].outcome, Outcome::Exited { code: 7 });
        assert!(!goes_on.success());
        let mut clones = template.fork(3).expect("clones");
        let stopped = template
            .reduce_with(Command::new("cat"), &mut clones, OnFailure::Stop)
            .expect("a result");
        assert_eq!(stopped.clones[1].outcome, Outcome::Exited { code: 7 });
        assert_eq!(stopped.clones[2].outcome, Outcome::Cancelled);
    });
}

#[test]
fn a_clone_that_has_been_waited_for_cannot_be_reduced_and_a_sandbox_that_is_none_neither() {
    alone!(|| {
        let mut template = of_letters(1);
        let mut clones = template.fork(2).expect("clones");
        clones[0].wait().expect("ends");
        let error = template
            .reduce(Command::new("cat"), &mut clones)
            .expect_err("taken");
        assert!(matches!(error, ReduceError::Taken { index: 0 }), "{error}");
        let mut others = [Sandbox::new(&Policy::default()).expect("a sandbox")];
        let error = template
            .reduce(Command::new("cat"), &mut others)
            .expect_err("no clone");
        assert!(matches!(error, ReduceError::NoClone { index: 0 }), "{error}");
        let error = template
            .reduce(Command::new("no-such-program"), &mut clones[1..])
            .expect_err("no program");
        assert!(matches!(error, ReduceError::Start(_)), "{error}");
    });
}

#[test]
fn the_output_limit_of_the_policy_holds_for_each_clone_of_a_reduction() {
    alone!(|| {
        let policy = Policy::builder()
            .output(20.kib(), sandbox_types::policy::OnOutput::Kill)
            .build()
            .expect("valid");
        let work = |id: u32| {
            // More than is allowed, and less than a pipe holds: one has ended when its turn comes.
            let count = [1 << 20, 1000, 40 << 10][id as usize];
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &vec![b'x'; count]);
            if id == 0 {
                std::thread::sleep(Duration::from_secs(1000));
            }
        };
        let mut template = Sandbox::new_with_fns(&policy, || {}, work).expect("a template");
        let mut clones = template.fork_with(3, &ForkOptions::default()).expect("clones");
        let reduction = template
            .reduce(Command::new("wc").arg("-c"), &mut clones)
            .expect("a result");
        assert!(
            matches!(reduction.clones[0].outcome, Outcome::Output { .. }),
            "{reduction:?}"
        );
        assert!(reduction.clones[1].outcome.success());
        assert!(
            matches!(reduction.clones[2].outcome, Outcome::Output { .. }),
            "{reduction:?}"
        );
        let counted = u64::from(20_u32 << 10) * 2 + 1000;
        assert_eq!(stdout(&reduction.reducer).trim(), counted.to_string());
        assert_eq!(results(template.fork(1).expect("one")).len(), 1);
    });
}
