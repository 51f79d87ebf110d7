//! The suite that every filesystem has to pass, against the host's own, with what it finds there in every layer.

use std::ffi::OsStr;
use std::path::Path;

use super::World;
use crate::conformance::{self, Backend, Case, Difference, Host, NodeKind, Op, Subject, compare};
use crate::fs::{Capabilities, Context, DynFileSystem, ROOT_INO};

/// What a client may do. A device 0/0 is a whiteout here, which nobody can make: as for the kernel's overlayfs, `EPERM` and
/// `EINVAL`; see `refused`.
fn cases() -> Vec<Case> {
    let cases = conformance::cases().unwrap();
    let root = rustix::process::geteuid().is_root();
    let makes_whiteouts = |step: &Op| match step {
        Op::Mknod(_, NodeKind::Whiteout, _) => true,
        Op::Rename(_, _, flags) => flags.whiteout,
        _ => false,
    };
    cases
        .into_iter()
        .filter(|case| (root || !case.needs_root) && !case.steps.iter().any(makes_whiteouts))
        .collect()
}

#[test]
fn every_case_is_answered_as_the_host_does_on_any_number_of_layers() {
    for lowers in [1, 3, 20] {
        let world = World::new(lowers);
        let host = tempfile::tempdir_in(super::scratch()).unwrap();
        let fs = world.mount();
        let report = conformance::run_cases(&fs, host.path(), &cases(), &[]).unwrap();
        assert!(
            report.differences.is_empty() && report.unseen.is_empty(),
            "{lowers}: {report}"
        );
    }
}

#[test]
fn listings_stand_changes() {
    let world = World::new(3);
    assert_eq!(conformance::check_listing(&world.mount()), Ok(Vec::new()));
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

/// A case that begins in a layer and goes on above it.
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

fn begin(cut: &Cut<'_>, at: &Path) {
    let directory = at.join(&cut.name);
    std::fs::create_dir_all(&directory).unwrap();
    let mut host = Host::new(&directory);
    for step in &cut.case.steps[..cut.at] {
        // What fails, fails for the oracle too.
        drop(host.apply(step));
    }
}

fn go_on(fs: &dyn DynFileSystem, cut: &Cut<'_>, oracle: &Path) -> Vec<Difference> {
    let directory = oracle.join(&cut.name);
    std::fs::create_dir(&directory).unwrap();
    let mut host = Host::new(&directory);
    for step in &cut.case.steps[..cut.at] {
        drop(host.apply(step));
    }
    let root = fs
        .lookup(&Context::new(0, 0), ROOT_INO, OsStr::new(&cut.name))
        .unwrap()
        .ino;
    let umask = conformance::process_umask();
    let mut backend = Backend::beneath(fs, Capabilities::all(), root, umask);
    let title = format!("{} (cut at {})", cut.case.title, cut.at);
    let found = compare(&title, &cut.case.steps[cut.at..], &mut host, &mut backend);
    drop(backend);
    fs.forget(root, 1);
    found
}

/// What is explained: nobody counts the directories in a merged directory; and how many of a file's names are left in a
/// layer is kept beside the file, which only files and directories can carry over a restart.
pub(super) fn is_explained(difference: &Difference) -> bool {
    let Difference {
        expected: Ok(expected),
        found: Ok(found),
        ..
    } = difference
    else {
        return false;
    };
    let merged = expected.starts_with("directory") && found.contains("nlink 1 ");
    let bare = ["link", "fifo", "socket"]
        .iter()
        .any(|kind| expected.starts_with(kind));
    (merged || bare) && are_same_but_for_links(expected, found)
}

/// Whether two answers of stat(2) differ in the number of links at most.
pub(super) fn are_same_but_for_links(expected: &str, found: &str) -> bool {
    let without = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let at = words.iter().position(|word| *word == "nlink")?;
        let mut rest = words.clone();
        rest.remove(at + 1);
        Some(rest.join(" "))
    };
    without(expected).is_some() && without(expected) == without(found)
}

fn differences(fs: &dyn DynFileSystem, cuts: &[Cut<'_>]) -> Vec<String> {
    let oracle = tempfile::tempdir_in(super::scratch()).unwrap();
    cuts.iter()
        .flat_map(|cut| go_on(fs, cut, oracle.path()))
        .filter(|difference| !is_explained(difference))
        .map(|difference| difference.to_string())
        .collect()
}

fn assert_none(differences: &[String], cuts: usize) {
    let (count, all) = (differences.len(), differences.join("\n"));
    assert!(differences.is_empty(), "{count} in {cuts} cases:\n{all}");
}

#[test]
fn a_case_that_begins_in_a_layer_goes_on_as_if_it_had_begun_here() {
    let cases = cases();
    let cuts = all_cuts(&cases);
    let world = World::new(1);
    for cut in &cuts {
        begin(cut, &world.lower(0));
    }
    assert_none(&differences(&world.mount(), &cuts), cuts.len());
}

#[test]
fn a_case_that_begins_in_one_layer_and_goes_on_in_another_ends_here_as_if_it_had_begun_here() {
    let cases = cases();
    let cuts = all_cuts(&cases);
    let world = World::new(1);
    for cut in &cuts {
        // Half of what is done before happens in the bottom layer.
        let half = cut.earlier();
        begin(&half, &world.lower(0));
    }
    {
        let middle = world.mount();
        for cut in &cuts {
            go_on_quietly(&middle, cut);
        }
    }
    let middle = world.upper();
    let (upper, work) = (world.path("upper-2"), world.path("work-2"));
    std::fs::create_dir(&upper).unwrap();
    std::fs::create_dir(&work).unwrap();
    let fs = world
        .layers()
        .layer_in(middle, crate::backend::overlay::LayerFormat::Overlay)
        .writable(upper)
        .staging(work)
        .build()
        .unwrap();
    fs.init(Capabilities::all()).unwrap();
    assert_none(&differences(&fs, &cuts), cuts.len());
}

impl<'a> Cut<'a> {
    /// The same case, cut at the last place before half of what comes before this one.
    fn earlier(&self) -> Cut<'a> {
        let at = cuts(self.case).into_iter().rfind(|at| at * 2 <= self.at);
        Cut {
            case: self.case,
            at: at.unwrap_or(0),
            name: self.name.clone(),
        }
    }
}

/// What comes between the half and the cut, on a backend.
fn go_on_quietly(fs: &dyn DynFileSystem, cut: &Cut<'_>) {
    let root = fs
        .lookup(&Context::new(0, 0), ROOT_INO, OsStr::new(&cut.name))
        .unwrap()
        .ino;
    let umask = conformance::process_umask();
    let mut backend = Backend::beneath(fs, Capabilities::all(), root, umask);
    for step in &cut.case.steps[cut.earlier().at..cut.at] {
        drop(backend.apply(step));
    }
    drop(backend);
    fs.forget(root, 1);
}
