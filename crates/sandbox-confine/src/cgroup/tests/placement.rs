use std::path::PathBuf;

use crate::cgroup::mounts::Access;
use crate::cgroup::v2::{Facts, Node};
use crate::cgroup::{Availability, Controller, Unavailable};

fn node(path: &str) -> Node {
    Node {
        path: PathBuf::from(path),
        is_root: false,
        writable: true,
        unlimited: true,
        controllers: vec!["memory".to_owned(), "pids".to_owned()],
        enabled: Vec::new(),
        processes: Vec::new(),
    }
}

/// A login session, as systemd lays it out: the slice gives its controllers to sessions full of processes.
fn session() -> Facts {
    Facts {
        own: Node {
            processes: vec![1, 2, 3],
            ..node("/cg/slice/session")
        },
        parent: Some(Node {
            enabled: vec!["memory".to_owned(), "pids".to_owned()],
            ..node("/cg/slice")
        }),
        mount: PathBuf::from("/cg"),
        access: Access::ReadWrite,
        pid: 1,
        privileged: true,
    }
}

fn why(facts: &Facts) -> Unavailable {
    match facts.limiter(Controller::Memory) {
        Availability::Unavailable { why } => why,
        usable => panic!("{usable:?}"),
    }
}

#[test]
fn root_in_an_unlimited_session_goes_beside_it() {
    let slice = Availability::V2 {
        parent: PathBuf::from("/cg/slice"),
    };
    assert_eq!(session().limiter(Controller::Memory), slice);
}

#[test]
fn root_does_not_leave_a_limit_behind() {
    let mut facts = session();
    facts.own.unlimited = false;
    assert_eq!(
        why(&facts),
        Unavailable::InternalProcesses {
            path: facts.own.path.clone(),
            others: 2
        }
    );
}

#[test]
fn a_plain_user_does_not_write_beside_its_session() {
    let mut facts = session();
    facts.privileged = false;
    assert_eq!(
        why(&facts),
        Unavailable::InternalProcesses {
            path: facts.own.path.clone(),
            others: 2
        }
    );
}

#[test]
fn somebody_elses_cgroup_is_not_delegated() {
    let mut facts = session();
    facts.own.writable = false;
    facts.parent = facts.parent.map(|parent| Node {
        writable: false,
        ..parent
    });
    let path = facts.own.path.clone();
    assert_eq!(why(&facts), Unavailable::NotDelegated { path: path.clone() });
    let limiter = facts.limiter(Controller::Memory);
    assert_eq!(
        facts.plain([&limiter, &limiter]),
        Availability::Unavailable {
            why: Unavailable::NotDelegated { path }
        }
    );
}

#[test]
fn a_controller_that_was_not_given_to_us_is_missing() {
    let mut facts = session();
    facts.own.controllers = vec!["pids".to_owned()];
    let path = facts.own.path.clone();
    assert_eq!(
        why(&facts),
        Unavailable::ControllerMissing {
            controller: Controller::Memory,
            path
        }
    );
}
