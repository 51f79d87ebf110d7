//! Templates of a process that has threads.

use sandbox_confine::{ForkError, Policy, zygote};

use super::{alone, results};
use crate::harness::{children, stdout};

#[test]
fn templates_are_made_of_registered_functions_with_arguments_by_any_thread() {
    alone!(|| {
        let zygote = zygote()
            .register(
                "greet",
                |whom: &[u8]| whom.to_vec(),
                |whom, id| {
                    Ok::<_, std::convert::Infallible>(
                        format!("hello {} {id}", String::from_utf8_lossy(whom)).into_bytes(),
                    )
                },
            )
            .register("fail", |_: &[u8]| (), |(), id| Err(format!("no {id}")))
            .start()
            .expect("one thread");
        let zygote = &zygote;
        std::thread::scope(|scope| {
            let threads: Vec<_> = ["one", "two"]
                .into_iter()
                .map(|name| {
                    scope.spawn(move || {
                        let policy = Policy::default();
                        let mut template = zygote
                            .template(&policy, "greet", name.as_bytes())
                            .expect("a template");
                        results(template.fork(2).expect("clones"))
                            .iter()
                            .map(stdout)
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            for (thread, name) in threads.into_iter().zip(["one", "two"]) {
                let printed = thread.join().expect("no panic");
                assert_eq!(printed, [format!("hello {name} 0"), format!("hello {name} 1")]);
            }
            let mut failing = zygote
                .template(&Policy::default(), "fail", b"")
                .expect("a template");
            assert_eq!(results(failing.fork(1).expect("a clone"))[0].stderr, b"no 0\n");
        });
    });
}

#[test]
fn a_name_that_was_not_registered_and_threads_before_the_zygote_are_errors() {
    alone!(|| {
        let zygote_of_none = zygote().start().expect("one thread");
        let error = zygote_of_none
            .template(&Policy::default(), "x", b"")
            .expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "no template \"x\" was registered with the zygote"
        );
        drop(zygote_of_none);
        assert_eq!(children(), [0_u32; 0]);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        assert!(matches!(
            zygote().start(),
            Err(ForkError::MultiThreaded { threads: 2 })
        ));
        drop(sender);
        assert!(thread.join().expect("ends").is_err());
    });
}
