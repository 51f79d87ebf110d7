//! What each policy shows, and where what is changed goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::watched::{Lacks, Watched};
use super::{Fs, builder, dual, mem, names, tree, with};
use crate::backend::dual::{
    BackendAFallbackToBackendBRead, BackendAOnly, Changes, DispatchPolicy, DualFs,
    MergeReadsBackendAPrecedence, Plan, ReadBackendBWriteBackendA, Request, View,
};
use crate::fs::{Capabilities, DynFileSystem, Errno};

/// The first word is done in A and B before: `a:PATH` and `b:PATH` are files that hold "a" and "b", with a slash at their end
/// directories. Then what is done above them, and what is seen by each of the four policies, in the order of `POLICIES`.
const TABLE: &str = "
    a:f b:f          | read f            | b     | a      | a     | a
    a:f              | read f            | a     | a      | a     | a
    b:f              | read f            | b     | ENOENT | b     | b
    a:f b:f          | write f; read f   | new   | new    | new   | new
    b:f              | write f; read f   | new   | new    | new   | new
    a:f b:f          | rm f; read f      | ENOENT| ENOENT | ENOENT| ENOENT
    b:f              | rm f              | ok    | ENOENT | ok    | ok
    b:f              | rm f; write f; read f | new | ENOENT new | new | new
    a:d/ b:d/x       | read d/x          | b     | ENOENT | b     | b
    a:d/x b:d/y      | list d            | x,y   | x      | x,y   | x,y
    a:d/x b:d/x      | list d            | x     | x      | x     | x
    a:d/x b:d/x      | read d/x          | b     | a      | a     | a
    a:d/x b:d/y      | list .            | d     | d      | d     | d
    a:d/ b:d         | list d            | -     | -      | -     | -
    a:d b:d/x        | read d            | a     | a      | a     | a
    b:d/x            | write d/y; list d | x,y   | ENOENT ENOENT | x,y | x,y
    b:d/x            | mv d e; list e    | x     | ENOENT ENOENT | x   | x
    b:d/x            | mv d e; read d/x  | ENOENT| ENOENT ENOENT | ENOENT | ENOENT
    b:d/x            | rm d/x; rmdir d; list . | - | ENOENT ENOENT - | - | -
    b:d/x            | rm d/x; rmdir d; mkdir d; list d | - | ENOENT ENOENT - | - | -
    a:g b:f          | mv g f; read f    | a     | a      | a     | a
    b:f b:g          | mv f g; read g    | b     | ENOENT ENOENT | b | b
    b:f b:g          | mv f g; list .    | g     | ENOENT - | g   | g
    b:f              | ln f g; write f; read g | new | ENOENT ENOENT | new | new
    a:d/x b:d/y      | rm d/x; list d    | y     | -      | y     | y
    a:d/x b:d/y      | rm d/x; rmdir d   | ENOTEMPTY | ok | ENOTEMPTY | ENOTEMPTY
";

fn policies(a: &Fs, b: &Fs) -> [DualFs; 4] {
    [
        with(a, b, ReadBackendBWriteBackendA),
        with(a, b, BackendAOnly),
        with(a, b, BackendAFallbackToBackendBRead),
        with(a, b, MergeReadsBackendAPrecedence),
    ]
}

fn prepare(words: &str, a: &Fs, b: &Fs) {
    for word in words.split_whitespace() {
        let (fs, path) = match word.split_once(':').unwrap() {
            ("a", path) => (a, path),
            ("b", path) => (b, path),
            other => panic!("{other:?}"),
        };
        let tree = tree(&**fs);
        if let Some((directory, _)) = path.split_once('/')
            && !tree.exists(directory).unwrap()
        {
            tree.mkdir(directory, 0o755).unwrap();
        }
        if !path.ends_with('/') {
            tree.write(path, &word.as_bytes()[..1]).unwrap();
        }
    }
}

fn done(result: Result<(), Errno>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| String::new())
}

fn step(fs: &DualFs, words: &str) -> String {
    let tree = tree(fs);
    let words: Vec<&str> = words.split_whitespace().collect();
    match words.as_slice() {
        ["read", path] => tree.read(path).map_or_else(
            |error| format!("{error:?}"),
            |content| String::from_utf8(content).unwrap(),
        ),
        ["list", path] => match tree.list(path) {
            Err(error) => format!("{error:?}"),
            Ok(listed) if listed.is_empty() => "-".to_owned(),
            Ok(_) => names(fs, path).join(","),
        },
        ["write", path] => done(tree.write(path, b"new")),
        ["rm", path] => done(tree.remove_file(path)),
        ["rmdir", path] => done(tree.remove_dir(path)),
        ["mkdir", path] => done(tree.mkdir(path, 0o755)),
        ["mv", from, to] => done(tree.rename(from, to)),
        ["ln", from, to] => done(tree.link(from, to)),
        other => panic!("{other:?}"),
    }
}

/// Everything that was said, "ok" where that is nothing.
fn said(fs: &DualFs, steps: &str) -> String {
    let said: Vec<String> = steps
        .split(';')
        .map(|words| step(fs, words))
        .filter(|answer| !answer.is_empty())
        .collect();
    if said.is_empty() {
        "ok".to_owned()
    } else {
        said.join(" ")
    }
}

#[test]
fn every_policy_shows_what_the_table_says_and_leaves_b_as_it_was() {
    let rows = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        for number in 0..4 {
            let (a, b) = (mem(), Arc::new(Watched::new(mem(), Lacks::default())));
            let beneath: Fs = b.clone();
            prepare(columns[0], &a, &beneath);
            let before = b.changes.load(Ordering::SeqCst);
            let fs = &policies(&a, &beneath)[number];
            assert_eq!(
                said(fs, columns[1]),
                columns[2 + number],
                "policy {number}: {row}"
            );
            assert_eq!(b.changes.load(Ordering::SeqCst), before, "{row}");
        }
    }
}

#[test]
fn where_b_cannot_be_read_only_the_fallback_lists_what_a_has() {
    let (a, b) = (mem(), Arc::new(Watched::new(mem(), Lacks::default())));
    let beneath: Fs = b.clone();
    prepare("a:f b:g", &a, &beneath);
    let policies = policies(&a, &beneath);
    b.broken.store(true, Ordering::SeqCst);
    let listed = policies.each_ref().map(|fs| step(fs, "list ."));
    assert_eq!(listed, ["EIO", "f", "f", "EIO"]);
    // What is not there for certain is not removed.
    let read = policies.each_ref().map(|fs| step(fs, "read g"));
    assert_eq!(read, ["EIO", "ENOENT", "EIO", "EIO"]);
}

/// What is beneath `private` is A's alone, what is beneath `fixed` B's; the rest is merged.
struct ByPath;

impl DispatchPolicy for ByPath {
    fn plan(&self, request: &Request<'_>) -> Plan {
        let first = request.path.and_then(|path| path.iter().next());
        match first.and_then(|name| name.to_str()) {
            Some("private") => Plan::new(View::BackendAOnly),
            Some("fixed") => Plan::new(View::BackendBOnly),
            Some("old") => Plan {
                changes: Changes::Refused(Errno::EPERM),
                ..Plan::new(View::BackendAFirst)
            },
            _ => Plan::new(View::BackendAFirst),
        }
    }
}

#[test]
fn a_policy_of_ones_own_decides_by_paths() {
    let (a, b) = (mem(), mem());
    prepare(
        "a:private/a b:private/b a:fixed/a b:fixed/b b:old/b b:d/b a:d/a",
        &a,
        &b,
    );
    let fs = with(&a, &b, ByPath);
    let listed = ["private", "fixed", "old", "d"].map(|path| step(&fs, &format!("list {path}")));
    assert_eq!(listed, ["a", "b", "b", "a,b"]);
    assert_eq!(step(&fs, "write fixed/b"), "EROFS");
    assert_eq!(step(&fs, "write fixed/c"), "EROFS");
    assert_eq!(step(&fs, "rm old/b"), "EPERM");
    assert_eq!(step(&fs, "write old/new"), "EPERM");
    assert_eq!(step(&fs, "write d/b"), "");
    assert_eq!(step(&fs, "rm private/a"), "");
    assert_eq!(step(&fs, "read private/b"), "ENOENT");
}

#[test]
fn the_default_reads_from_b_and_writes_to_a_also_when_it_is_built_again() {
    let (a, b) = (mem(), mem());
    prepare("a:f b:f b:g", &a, &b);
    let fs = dual(&a, &b);
    assert_eq!(step(&fs, "read f"), "b");
    assert_eq!(said(&fs, "write f; rm g; write g"), "ok");
    drop(fs);
    let fs = builder(&a, &b).build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    assert_eq!(said(&fs, "read f; read g"), "new new");
    assert_eq!(tree(&*b).read("f").unwrap(), b"b");
}
