//! How clones, templates and their parent end, and whom that touches.

use std::time::Duration;

use sandbox_confine::{ForkError, Policy, Sandbox};
use sandbox_types::{Outcome, SandboxStatus, SizeExt};

use super::{alone, results, template};
use crate::harness::{
    MARKER, eventually, live_with_argument, name_of_test, needs_namespaces, start_marked, unique_seconds,
};

#[test]
fn a_clone_that_crashes_panics_or_is_killed_touches_nobody_else() {
    alone!(|| {
        let mut template = template(|id| match id {
            0 => std::process::abort(),
            1 => panic!("as asked"),
            2 => std::thread::sleep(Duration::from_secs(1000)),
            _ => std::thread::sleep(Duration::from_millis(50)),
        });
        let mut clones = template.fork(5).expect("clones");
        clones[2].kill().expect("it runs");
        let outcomes: Vec<_> = results(clones).iter().map(|result| result.outcome).collect();
        assert_eq!(
            outcomes,
            [
                Outcome::Signaled { signal: 6 },
                Outcome::Exited { code: 101 },
                Outcome::Cancelled,
                Outcome::Exited { code: 0 },
                Outcome::Exited { code: 0 },
            ]
        );
        assert_eq!(template.status(), SandboxStatus::Running);
        assert_eq!(template.fork(2).expect("the template lives").len(), 2);
    });
}

#[test]
fn what_a_clone_has_started_ends_with_it() {
    alone!(|| {
        let seconds = unique_seconds();
        let argument = seconds.clone();
        let mut template = template(move |id| {
            let mut child = std::process::Command::new("setsid")
                .args(["sh", "-c", &format!("sleep {argument} & wait")])
                .spawn()
                .expect("may fork");
            // One ends at once, and its grandchild is in a session of its own; the other one is killed.
            std::thread::sleep(Duration::from_millis(100));
            if id == 1 {
                std::process::exit(0);
            }
            child.wait().expect("its child");
        });
        let mut clones = template.fork(2).expect("clones");
        eventually("something is started", || {
            !live_with_argument(&seconds).is_empty()
        });
        let ended = clones.remove(1).wait().expect("it ends by itself");
        assert!(ended.outcome.success());
        clones[0].kill().expect("it runs");
        assert_eq!(live_with_argument(&seconds), [0_u32; 0]);
    });
}

#[test]
fn a_clone_that_takes_too_long_is_ended_by_the_wall_time_of_the_policy() {
    alone!(|| {
        let policy = Policy::builder()
            .wall_time(Duration::from_millis(300))
            .build()
            .expect("valid");
        let work = |id| {
            if id == 0 {
                std::thread::sleep(Duration::from_secs(1000));
            }
        };
        let mut template = Sandbox::new_with_fns(&policy, || {}, work).expect("a template");
        let outcomes: Vec<_> = results(template.fork(2).expect("clones"))
            .iter()
            .map(|result| result.outcome)
            .collect();
        assert_eq!(outcomes, [Outcome::WallTime, Outcome::Exited { code: 0 }]);
        assert!(template.fork(1).is_ok());
    });
}

#[test]
fn a_clone_that_takes_more_memory_than_there_is_touches_nobody_else() {
    alone!(|| {
        let policy = Policy::builder().memory(256.mib()).build().expect("valid");
        let work = |id| {
            if id == 0 {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(vec![1; 16 << 20]);
                }
            }
        };
        let mut template = Sandbox::new_with_fns(&policy, || {}, work).expect("a template");
        let outcomes: Vec<_> = results(template.fork(3).expect("clones"))
            .iter()
            .map(|result| result.outcome)
            .collect();
        assert!(!outcomes[0].success(), "{outcomes:?}");
        assert!(outcomes[1].success() && outcomes[2].success(), "{outcomes:?}");
        assert!(template.fork(1).is_ok());
    });
}

#[test]
fn a_clone_that_fills_tmp_leaves_its_siblings_the_memory_that_they_have() {
    alone!(|| {
        let policy = Policy::builder().memory(128.mib()).build().expect("valid");
        let work = |id| {
            if id > 0 {
                // Its own memory, when /tmp is full.
                while !std::path::Path::new("/tmp/full").exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                print!("{}", std::hint::black_box(vec![1_u8; 16 << 20]).len());
                return;
            }
            std::fs::write("/tmp/full.is.to.be", "").expect("there is room");
            let mut file = std::fs::File::create("/tmp/filling").expect("there is room");
            let chunk = vec![0; 1 << 20];
            let error = loop {
                if let Err(error) = std::io::Write::write_all(&mut file, &chunk) {
                    break error;
                }
            };
            std::fs::rename("/tmp/full.is.to.be", "/tmp/full").expect("needs no room");
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
            let written = file.metadata().expect("open").len();
            assert!((60 << 20..=64 << 20).contains(&written), "{written}");
        };
        let mut template = Sandbox::new_with_fns(&policy, || {}, work).expect("a template");
        let results = results(template.fork(3).expect("clones"));
        assert!(
            results[0].outcome.success(),
            "{}",
            crate::harness::both(&results[0])
        );
        for result in &results[1..] {
            assert_eq!(crate::harness::stdout(result), (16 << 20).to_string());
        }
    });
}

#[test]
fn the_death_of_a_template_leaves_its_clones_and_nothing_can_be_forked_any_more() {
    alone!(|| {
        let mut template = template(|id| {
            if id == 0 {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let clones = template.fork(2).expect("clones");
        // The template has this process's name, and is of the same pid namespace as the keeper.
        let command = sandbox_confine::Command::new("sh").args(["-c", "kill -9 6"]);
        let outcome = template
            .spawn(command)
            .expect("starts")
            .wait()
            .expect("ends")
            .outcome;
        assert!(outcome.success(), "{outcome:?}");
        eventually("it is noticed", || template.template_outcome().is_some());
        assert!(results(clones).iter().all(|result| result.outcome.success()));
        match template.fork(1) {
            Err(ForkError::TemplateEnded { outcome }) => assert_eq!(outcome, Outcome::Signaled { signal: 9 }),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn nothing_is_left_when_the_parent_is_killed() {
    needs_namespaces!();
    let name = name_of_test!();
    if let Ok(seconds) = std::env::var(MARKER) {
        let mut template = crate::harness::sys::template_anyway(move |_| {
            let status = std::process::Command::new("sleep").arg(&seconds).status();
            assert!(status.is_ok());
        });
        let _clones = template.fork(5).expect("clones");
        std::thread::sleep(Duration::from_secs(1000));
        return;
    }
    let seconds = unique_seconds();
    let mut parent = start_marked(name, &seconds);
    eventually("its clones run", || live_with_argument(&seconds).len() >= 5);
    parent.kill().expect("our child");
    parent.wait().expect("our child");
    eventually("nothing is left", || live_with_argument(&seconds).is_empty());
}

#[test]
fn a_killed_template_takes_its_clones_along() {
    alone!(|| {
        let mut template = template(|_| std::thread::sleep(Duration::from_secs(1000)));
        let mut clones = template.fork(2).expect("clones");
        template.kill().expect("it lives");
        for clone in &mut clones {
            assert_eq!(clone.wait().expect("it was ended").outcome, Outcome::Cancelled);
        }
        assert!(matches!(template.fork(1), Err(ForkError::Start(_))));
    });
}

#[test]
fn the_caller_is_left_with_nothing_open_and_no_child() {
    alone!(|| {
        let before = crate::harness::descriptors().len();
        for _ in 0..3 {
            let mut template = template(|_| {});
            results(template.fork(20).expect("clones"));
        }
        // The program of init stays open for good.
        assert!(
            crate::harness::descriptors().len() <= before + 1,
            "{:?}",
            crate::harness::descriptors()
        );
        assert_eq!(crate::harness::children(), [0_u32; 0]);
    });
}
