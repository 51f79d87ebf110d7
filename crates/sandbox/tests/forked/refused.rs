//! What is refused, and says what to do.

use std::fs::File;
use std::sync::Mutex;

use sandbox::{Branches, ForkError, ForkOptions, Policy, Sandbox};

use crate::scene::{fork, per_clone, printed, scenarios, scene};

scenarios! {
    a_file_that_is_open_for_writing_at_the_fork_is_refused_and_named
    a_template_without_branches_cannot_give_clones_any
    clones_cannot_share_what_is_a_layer_of_others
    branches_for_clones_must_be_of_what_the_policy_mounts
    what_a_fork_that_fails_has_made_is_taken_back
}

static OPEN: Mutex<Option<File>> = Mutex::new(None);

fn a_file_that_is_open_for_writing_at_the_fork_is_refused_and_named() {
    let scene = scene!();
    let init = || *OPEN.lock().expect("one thread") = Some(File::create("log").expect("on the branch"));
    let mut template = scene.template(init, |_| {});
    let read_only = ForkOptions::default().branches(Branches::ReadOnly);
    for options in [per_clone(), read_only] {
        match template.fork_with(2, &options) {
            Err(error @ ForkError::OpenForWriting { .. }) => {
                let path = scene.base().join("log").display().to_string();
                assert!(error.to_string().contains(&path), "{error}");
                assert!(error.hint().is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        scene.workspace.names().expect("there").len(),
        1,
        "no branch was made"
    );
    // They may share it, and what is read only may be open.
    assert_eq!(template.fork(1).expect("shared").len(), 1);
    let reading = || *OPEN.lock().expect("one thread") = Some(File::open("old").expect("there"));
    drop(template);
    let mut template = scene.template(reading, |_| {
        let mut text = String::new();
        let mut open = OPEN.lock().expect("one thread");
        std::io::Read::read_to_string(open.as_mut().expect("open"), &mut text).expect("readable");
        print!("{text}");
    });
    assert_eq!(printed(&mut fork(&mut template, 1)[0]), "from the base\n");
}

fn a_template_without_branches_cannot_give_clones_any() {
    let scene = scene!();
    let policy = scene.policy(|builder| builder);
    let mut template = Sandbox::new_with_fns(&policy, || {}, |_| {}).expect("a template");
    let error = template
        .fork_with(1, &per_clone())
        .expect_err("nobody keeps them");
    assert!(matches!(error, ForkError::NoBranches), "{error}");
    assert!(error.hint().expect("there is one").contains("for_clones"));
    let mut plain = Sandbox::new_with_fns(&Policy::default(), || {}, |_| {}).expect("a template");
    let read_only = ForkOptions::default().branches(Branches::ReadOnly);
    assert!(matches!(plain.fork_with(1, &read_only), Err(ForkError::NoBranch)));
}

fn clones_cannot_share_what_is_a_layer_of_others() {
    let scene = scene!();
    let mut template = scene.template(|| {}, |_| {});
    fork(&mut template, 1);
    assert!(matches!(template.fork(1), Err(ForkError::Frozen)));
    assert_eq!(fork(&mut template, 2).len(), 2);
}

fn branches_for_clones_must_be_of_what_the_policy_mounts() {
    let scene = scene!();
    let clones = scene.branch().for_clones().expect("mode kernel");
    let template = Sandbox::template(&Policy::default())
        .branches(clones)
        .functions(|| {}, |_| {});
    match template {
        Err(error @ ForkError::NotMounted { .. }) => {
            assert!(
                error.to_string().contains(&scene.base().display().to_string()),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}

fn what_a_fork_that_fails_has_made_is_taken_back() {
    let scene = scene!();
    let policy = scene.policy(|builder| builder.processes(12));
    let mut template = scene.template_under(
        &policy,
        || {},
        |_| std::thread::sleep(std::time::Duration::from_secs(1000)),
    );
    let error = template
        .fork_with(40, &per_clone())
        .expect_err("too many processes");
    assert!(matches!(error, ForkError::Clones { .. }), "{error}");
    assert_eq!(scene.workspace.names().expect("there").len(), 1);
    assert_eq!(fork(&mut template, 2).len(), 2);
}
