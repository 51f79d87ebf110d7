//! Hooks see everything, may deny, and change nothing.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::{builder, ctx, mem, names, tree};
use crate::backend::dual::{Changes, DualFs, Hook, Operation, Plan, Request, View};
use crate::fs::{DynFileSystem, Errno, FsResult, ROOT_INO};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Planning(Operation),
    Dispatching(Operation, View),
    Done(Operation, Result<(), Errno>),
}

/// What was told, and of which path.
type Log = Arc<Mutex<Vec<(Told, Option<PathBuf>)>>>;

/// Writes everything down, and denies what has this name.
struct Watch {
    told: Log,
    before_plan: Option<&'static str>,
    before_dispatch: Option<&'static str>,
}

impl Watch {
    fn note(&self, told: Told, request: &Request<'_>) {
        let path = request.path.map(std::path::Path::to_path_buf);
        self.told.lock().unwrap().push((told, path));
    }
}

fn ends_with(request: &Request<'_>, name: Option<&str>) -> bool {
    name.is_some_and(|name| {
        [request.path, request.new_path]
            .into_iter()
            .flatten()
            .any(|path| path.file_name() == Some(OsStr::new(name)))
    })
}

impl Hook for Watch {
    fn before_plan(&self, request: &Request<'_>) -> FsResult<()> {
        self.note(Told::Planning(request.operation), request);
        if ends_with(request, self.before_plan) {
            return Err(Errno::EACCES);
        }
        Ok(())
    }

    fn before_dispatch(&self, request: &Request<'_>, plan: &Plan) -> FsResult<()> {
        self.note(Told::Dispatching(request.operation, plan.view), request);
        if request.operation.changes() && ends_with(request, self.before_dispatch) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    fn after(&self, request: &Request<'_>, _plan: Option<&Plan>, outcome: Result<(), Errno>) {
        self.note(Told::Done(request.operation, outcome), request);
    }
}

fn watched(before_plan: Option<&'static str>, before_dispatch: Option<&'static str>) -> (DualFs, Log) {
    let (a, b) = (mem(), mem());
    tree(&*b).mkdir("d", 0o755).unwrap();
    tree(&*b).write("d/f", b"base").unwrap();
    tree(&*b).write("secret", b"base").unwrap();
    let told: Log = Arc::default();
    let watch = Watch {
        told: Arc::clone(&told),
        before_plan,
        before_dispatch,
    };
    (builder(&a, &b).hook(watch).build().unwrap(), told)
}

#[test]
fn a_hook_is_told_of_each_request_three_times_in_order() {
    let (fs, told) = watched(None, None);
    tree(&fs).rename("d/f", "g").unwrap();
    let told = told.lock().unwrap();
    let of = |operation| -> Vec<Told> {
        let of = |told: &Told| match told {
            Told::Planning(op) | Told::Dispatching(op, _) | Told::Done(op, _) => *op == operation,
        };
        told.iter().map(|(told, _)| told.clone()).filter(of).collect()
    };
    assert_eq!(
        of(Operation::Rename),
        [
            Told::Planning(Operation::Rename),
            Told::Dispatching(Operation::Rename, View::BackendBFirst),
            Told::Done(Operation::Rename, Ok(())),
        ]
    );
    let paths: Vec<_> = told
        .iter()
        .filter(|(told, _)| matches!(told, Told::Planning(_)))
        .filter_map(|(_, path)| path.clone())
        .collect();
    assert!(paths.contains(&PathBuf::from("d/f")), "{paths:?}");
    // The copy that the rename made is nobody's request.
    assert!(of(Operation::Read).is_empty() && of(Operation::Write).is_empty());
}

#[test]
fn what_is_denied_before_the_plan_is_not_done_and_the_end_is_told() {
    let (fs, told) = watched(Some("secret"), None);
    assert_eq!(tree(&fs).read("secret"), Err(Errno::EACCES));
    assert_eq!(tree(&fs).write("secret", b"x"), Err(Errno::EACCES));
    assert_eq!(tree(&fs).rename("d/f", "secret"), Err(Errno::EACCES));
    assert_eq!(tree(&fs).read("d/f").unwrap(), b"base");
    let last = told.lock().unwrap();
    let denied = Told::Done(Operation::Rename, Err(Errno::EACCES));
    assert!(last.iter().any(|(told, _)| *told == denied));
}

#[test]
fn what_is_denied_before_dispatch_leaves_everything_as_it_was() {
    let (fs, _) = watched(None, Some("f"));
    assert_eq!(tree(&fs).write("d/f", b"x"), Err(Errno::EPERM));
    assert_eq!(tree(&fs).remove_file("d/f"), Err(Errno::EPERM));
    assert_eq!(tree(&fs).read("d/f").unwrap(), b"base");
    assert_eq!(names(&fs, "."), ["d", "secret"]);
}

#[test]
fn a_plan_that_refuses_changes_is_the_answer_and_hooks_hear_of_it() {
    struct ReadOnly;
    impl crate::backend::dual::DispatchPolicy for ReadOnly {
        fn plan(&self, _request: &Request<'_>) -> Plan {
            let plan = Plan::new(View::BackendAFirst).refusing(Errno::EROFS);
            assert_eq!(plan.changes, Changes::Refused(Errno::EROFS));
            plan
        }
    }
    let (a, b) = (mem(), mem());
    tree(&*b).write("f", b"base").unwrap();
    let fs = builder(&a, &b).policy(ReadOnly).build().unwrap();
    let changes = [
        tree(&fs).write("f", b"x"),
        tree(&fs).write("g", b"x"),
        tree(&fs).mkdir("g", 0o755),
        tree(&fs).remove_file("f"),
        tree(&fs).rename("f", "g"),
        tree(&fs).link("f", "g"),
        tree(&fs).symlink("f", "g"),
    ];
    assert!(
        changes.iter().all(|result| *result == Err(Errno::EROFS)),
        "{changes:?}"
    );
    assert_eq!(tree(&fs).read("f").unwrap(), b"base");
    assert!(tree(&*a).list(".").unwrap().is_empty());
    let made = fs.mkdir(&ctx(), ROOT_INO, OsStr::new("x"), 0o755, 0);
    assert_eq!(made, Err(Errno::EROFS));
}

#[test]
fn all_problems_of_a_builder_are_told_at_once() {
    use crate::backend::dual::DualFsProblem::{NoBackendA, NoBackendB, SameBackend};
    let problems = DualFs::builder().build().unwrap_err();
    assert_eq!(problems.problems(), [NoBackendA, NoBackendB]);
    let fs = mem();
    let problems = builder(&fs, &fs).build().unwrap_err();
    assert_eq!(problems.problems(), [SameBackend]);
}
