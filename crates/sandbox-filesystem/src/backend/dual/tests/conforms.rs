//! The suite that every filesystem has to pass, against the host's own, with what it finds there in B.

use std::ffi::OsStr;
use std::sync::Arc;

use sandbox_types::StatVirtualization;

use super::{Fs, builder, ctx, dual, mem, passthrough, read_only_overlay, with};
use crate::backend::dual::{
    BackendAFallbackToBackendBRead, BackendAOnly, DualFs, MergeReadsBackendAPrecedence,
    ReadBackendBWriteBackendA,
};
use crate::conformance::{
    self, Backend, Case, Difference, Host, NodeKind, Op, Subject, compare, process_umask,
};
use crate::fs::{Capabilities, DynFileSystem, ROOT_INO};

/// What a client may do. A device 0/0 is a whiteout here, which nobody can make: `EPERM` and `EINVAL`; see `refused`.
fn cases() -> Vec<Case> {
    let root = rustix::process::geteuid().is_root();
    let makes_whiteouts = |step: &Op| match step {
        Op::Mknod(_, NodeKind::Whiteout, _) => true,
        Op::Rename(_, _, flags) => flags.whiteout,
        _ => false,
    };
    conformance::cases()
        .unwrap()
        .into_iter()
        .filter(|case| (root || !case.needs_root) && !case.steps.iter().any(makes_whiteouts))
        .collect()
}

fn conforms(fs: &dyn DynFileSystem) {
    let host = tempfile::tempdir().unwrap();
    let report = conformance::run_cases(fs, host.path(), &cases(), &[]).unwrap();
    assert!(report.differences.is_empty(), "{report}");
    assert_eq!(conformance::check_listing(fs), Ok(Vec::new()));
}

#[test]
fn two_filesystems_in_memory_answer_every_case_as_the_host_does() {
    conforms(&with(&mem(), &mem(), ReadBackendBWriteBackendA));
    conforms(&with(&mem(), &mem(), BackendAOnly));
    conforms(&with(&mem(), &mem(), BackendAFallbackToBackendBRead));
    conforms(&with(&mem(), &mem(), MergeReadsBackendAPrecedence));
}

#[test]
fn a_directory_of_the_host_over_memory_answers_every_case_as_the_host_does() {
    let root = tempfile::tempdir().unwrap();
    conforms(&dual(&passthrough(&root, StatVirtualization::Strict), &mem()));
}

#[test]
fn memory_over_an_overlay_answers_every_case_as_the_host_does() {
    let layer = tempfile::tempdir().unwrap();
    conforms(&dual(&mem(), &read_only_overlay(&layer)));
}

#[test]
fn one_that_is_nested_on_both_sides_answers_every_case_as_the_host_does() {
    let inner: Fs = Arc::new(dual(&mem(), &mem()));
    let other: Fs = Arc::new(dual(&mem(), &mem()));
    conforms(&dual(&inner, &other));
}

/// Where a case can be cut: nothing is open, and nothing is remembered.
fn cuts(case: &Case) -> Vec<usize> {
    let mut open = std::collections::BTreeSet::new();
    let mut cuts = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        match step {
            Op::Open(name, ..) | Op::Tmpfile(name, ..) => {
                open.insert(*name);
            }
            Op::Close(name) => {
                open.remove(name);
            }
            Op::Mark(_) => break,
            _ => {}
        }
        if open.is_empty() && number + 1 < case.steps.len() {
            cuts.push(number + 1);
        }
    }
    cuts
}

/// A case that begins in B and goes on above it.
struct Cut<'a> {
    case: &'a Case,
    at: usize,
    name: String,
}

fn all_cuts(cases: &[Case]) -> Vec<Cut<'_>> {
    let mut all = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for at in cuts(case) {
            let name = format!("case-{number}-{at}");
            all.push(Cut { case, at, name });
        }
    }
    all
}

fn begin(cut: &Cut<'_>, b: &Fs) {
    let agreed = b.init(Capabilities::all()).unwrap();
    let mut backend = Backend::new(&**b, agreed, OsStr::new(&cut.name), process_umask()).unwrap();
    for step in &cut.case.steps[..cut.at] {
        // What fails, fails for the oracle too.
        drop(backend.apply(step));
    }
}

fn go_on(fs: &DualFs, cut: &Cut<'_>, oracle: &std::path::Path) -> Vec<Difference> {
    let directory = oracle.join(&cut.name);
    std::fs::create_dir(&directory).unwrap();
    let mut host = Host::new(&directory);
    for step in &cut.case.steps[..cut.at] {
        drop(host.apply(step));
    }
    let root = fs.lookup(&ctx(), ROOT_INO, OsStr::new(&cut.name)).unwrap().ino;
    let mut backend = Backend::beneath(fs, Capabilities::all(), root, process_umask());
    let title = format!("{} (cut at {})", cut.case.title, cut.at);
    let found = compare(&title, &cut.case.steps[cut.at..], &mut host, &mut backend);
    drop(backend);
    fs.forget(root, 1);
    found
}

/// Nobody counts the directories in a merged directory.
fn is_link_count(difference: &Difference) -> bool {
    let Difference {
        expected: Ok(expected),
        found: Ok(found),
        ..
    } = difference
    else {
        return false;
    };
    let without = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let at = words.iter().position(|word| *word == "nlink")?;
        let mut rest = words.clone();
        rest.remove(at + 1);
        Some(rest.join(" "))
    };
    expected.starts_with("directory") && found.contains("nlink 1 ") && without(expected) == without(found)
}

fn goes_on(a: &Fs, b: &Fs) {
    let cases = cases();
    let cuts = all_cuts(&cases);
    for cut in &cuts {
        begin(cut, b);
    }
    let fs = dual(a, b);
    let oracle = tempfile::tempdir().unwrap();
    let differences: Vec<String> = cuts
        .iter()
        .flat_map(|cut| go_on(&fs, cut, oracle.path()))
        .filter(|difference| !is_link_count(difference))
        .map(|difference| difference.to_string())
        .collect();
    let (count, all) = (differences.len(), differences.join("\n"));
    assert!(differences.is_empty(), "{count} in {} cases:\n{all}", cuts.len());
}

#[test]
fn a_case_that_begins_in_memory_goes_on_above_it_as_if_it_had_begun_here() {
    goes_on(&mem(), &mem());
}

#[test]
fn a_case_that_begins_in_memory_goes_on_in_a_directory_of_the_host() {
    let root = tempfile::tempdir().unwrap();
    goes_on(&passthrough(&root, StatVirtualization::Strict), &mem());
}

#[test]
fn a_case_that_begins_in_a_directory_of_the_host_goes_on_in_memory() {
    let root = tempfile::tempdir().unwrap();
    goes_on(&mem(), &passthrough(&root, StatVirtualization::Strict));
}

#[test]
fn a_case_that_begins_beneath_a_nested_one_goes_on_above_it() {
    let inner: Fs = Arc::new(dual(&mem(), &mem()));
    goes_on(&mem(), &inner);
}

#[test]
fn a_case_goes_on_above_where_a_nested_one_keeps_whiteouts() {
    let inner: Fs = Arc::new(dual(&mem(), &mem()));
    goes_on(&inner, &mem());
}

#[test]
fn a_device_0_0_and_a_rename_that_leaves_one_are_refused() {
    use crate::fs::{Errno, RenameFlags};
    let fs = builder(&mem(), &mem()).build().unwrap();
    let name = OsStr::new("w");
    let made = fs.mknod(&ctx(), ROOT_INO, name, libc::S_IFCHR | 0o600, 0, 0);
    assert_eq!(made, Err(Errno::EPERM));
    fs.mknod(&ctx(), ROOT_INO, name, libc::S_IFREG | 0o600, 0, 0)
        .unwrap();
    let new = OsStr::new("x");
    let moved = fs.rename(&ctx(), ROOT_INO, name, ROOT_INO, new, RenameFlags::WHITEOUT);
    assert_eq!(moved, Err(Errno::EINVAL));
}
