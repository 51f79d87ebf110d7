//! What cannot be had, and how that is said.

use std::time::{Duration, Instant};

use sandbox_confine::{ForkError, Policy, Sandbox};
use sandbox_types::Outcome;

use super::{alone, results, template};

#[test]
fn no_clone_and_a_million_clones_are_errors_that_say_so() {
    alone!(|| {
        let mut template = template(|_| {});
        let message = |count| template.fork(count).expect_err("refused").to_string();
        let [none, million] = [0, 1_000_000].map(message);
        assert_eq!(none, "0 clones were asked for; 1 is the least");
        assert_eq!(
            million,
            "1000000 clones were asked for, and 8192 of one template can live at once"
        );
        assert_eq!(results(template.fork(1).expect("one")).len(), 1);
    });
}

#[test]
fn what_is_no_template_cannot_be_forked() {
    alone!(|| {
        let mut sandbox = Sandbox::new(&Policy::default()).expect("a sandbox");
        assert!(matches!(sandbox.fork(1), Err(ForkError::NoTemplate)));
        assert!(sandbox.wait().is_err());
        let mut clones = template(|_| {}).fork(1).expect("a clone");
        assert!(matches!(clones[0].fork(1), Err(ForkError::NoTemplate)));
        let error = clones[0]
            .spawn(sandbox_confine::Command::new("true"))
            .expect_err("a clone");
        assert!(error.to_string().contains("is a clone"), "{error}");
    });
}

#[test]
fn an_init_that_panics_exits_or_never_returns_is_an_error_and_leaves_nothing() {
    alone!(|| {
        let policy = Policy::default();
        let panics = Sandbox::new_with_fns(&policy, || panic!("as asked"), |_| {});
        assert!(matches!(panics, Err(ForkError::InitPanicked)), "{panics:?}");
        let exits = Sandbox::new_with_fns(&policy, || std::process::exit(3), |_| {});
        match exits {
            Err(ForkError::InitEnded { outcome }) => assert_eq!(outcome, Outcome::Exited { code: 3 }),
            other => panic!("{other:?}"),
        }
        let start = Instant::now();
        let hangs = Sandbox::template(&policy)
            .init_timeout(Duration::from_millis(200))
            .functions(|| std::thread::sleep(Duration::from_secs(1000)), |_| {});
        assert!(matches!(hangs, Err(ForkError::InitTimeout { .. })), "{hangs:?}");
        assert!(start.elapsed() < crate::harness::DEADLINE);
        assert_eq!(crate::harness::children(), [0_u32; 0]);
    });
}

#[test]
fn an_init_that_leaves_threads_is_refused_and_told_how_many_there_are() {
    alone!(|| {
        let policy = Policy::default();
        let leaves = || {
            std::thread::spawn(std::thread::park);
        };
        let error = Sandbox::new_with_fns(&policy, leaves, |_| {}).expect_err("a thread is left");
        assert!(matches!(error, ForkError::InitThreads { threads: 2 }), "{error}");
        assert!(error.hint().expect("what to do").contains("join them"));
        assert_eq!(crate::harness::children(), [0_u32; 0]);
        let joins = || std::thread::spawn(|| {}).join().expect("it ends");
        let mut template = Sandbox::new_with_fns(&policy, joins, |_| {}).expect("one thread is left");
        assert_eq!(results(template.fork(1).expect("a clone")).len(), 1);
    });
}

#[test]
fn a_process_with_threads_is_told_what_to_do_instead() {
    alone!(|| {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        let error = Sandbox::new_with_fns(&Policy::default(), || {}, |_| {}).expect_err("two threads");
        assert!(
            matches!(error, ForkError::MultiThreaded { threads: 2 }),
            "{error}"
        );
        assert!(error.hint().expect("what to do").contains("sandbox::zygote()"));
        drop(sender);
        assert!(thread.join().expect("ends").is_err());
    });
}

#[test]
fn too_few_descriptors_are_noticed_before_any_clone_runs() {
    alone!(|| {
        let mut template = template(|id| println!("{id}"));
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let few = rustix::process::Rlimit {
            current: Some(256),
            maximum: hard,
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).expect("may lower it");
        match template.fork(1000).expect_err("too many") {
            error @ ForkError::Descriptors { clones: 1000, .. } => assert!(error.hint().is_some()),
            other => panic!("{other}"),
        }
        assert_eq!(results(template.fork(40).expect("few")).len(), 40);
    });
}

#[test]
fn a_paused_template_is_not_forked() {
    alone!(|| {
        let mut template = template(|_| {});
        template.pause().expect("it runs");
        assert!(matches!(template.fork(1), Err(ForkError::Paused)));
        template.resume().expect("it is paused");
        assert_eq!(results(template.fork(1).expect("it goes on")).len(), 1);
    });
}

#[test]
fn a_limit_on_processes_that_the_clones_would_pass_is_an_error_and_leaves_none() {
    alone!(|| {
        let policy = Policy::builder().processes(20).build().expect("valid");
        let mut template =
            Sandbox::new_with_fns(&policy, || {}, |_| std::thread::sleep(Duration::from_millis(10)))
                .expect("a template");
        match template.fork(100) {
            Err(ForkError::Clones {
                asked: 100, source, ..
            }) => {
                assert_eq!(source.raw_os_error(), Some(11), "{source}");
            }
            // RLIMIT_NPROC does not bind root (setrlimit(2)).
            Ok(clones) if crate::harness::is_root() => drop(clones),
            other => panic!("{other:?}"),
        }
        assert_eq!(results(template.fork(2).expect("few")).len(), 2);
    });
}

#[test]
fn a_policy_without_landlock_has_no_templates() {
    alone!(|| {
        let mut policy = Policy::default();
        policy.syscalls.nested = true;
        let template = Sandbox::new_with_fns(&policy, || {}, |_| {});
        assert!(matches!(template, Err(ForkError::NeedsLandlock)), "{template:?}");
    });
}
