use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::Mode;

use super::*;

fn names(stack: &Stack, path: &str) -> Vec<String> {
    let dir = stack.dir(&RelPath::new(path).unwrap()).unwrap().unwrap();
    let names = dir.entries().unwrap().into_keys();
    names.map(|name| name.into_string().unwrap()).collect()
}

fn whiteout(path: &Path) {
    let mode = Mode::empty();
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_beneath() {
    let place = tempfile::tempdir().unwrap();
    let [base, low, top] = ["base", "low", "top"].map(|name| place.path().join(name));
    for dir in ["a", "b", "c"] {
        std::fs::create_dir_all(base.join(dir)).unwrap();
        std::fs::write(base.join(dir).join("old"), "old").unwrap();
    }
    std::fs::create_dir_all(low.join("a")).unwrap();
    std::fs::create_dir_all(low.join("b")).unwrap();
    std::fs::create_dir_all(top.join("a")).unwrap();
    std::fs::create_dir_all(top.join("b")).unwrap();
    whiteout(&low.join("a/old"));
    std::fs::write(low.join("a/mid"), "mid").unwrap();
    std::fs::write(top.join("a/new"), "new").unwrap();
    rustix::fs::setxattr(
        low.join("b"),
        c"user.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    std::fs::write(top.join("b/new"), "new").unwrap();
    whiteout(&top.join("c"));
    let layers = [top, low].map(|path| (path, LayerFormat::Overlay));
    let stack = Stack::open(&layers, &base).unwrap();
    assert_eq!(names(&stack, ""), ["a", "b"]);
    assert_eq!(names(&stack, "a"), ["mid", "new"]);
    assert_eq!(names(&stack, "b"), ["new"]);
    assert!(stack.dir(&RelPath::new("c").unwrap()).unwrap().is_none());
    let gone = stack.root().unwrap().enter(OsStr::new("c")).unwrap().unwrap();
    assert!(!gone.exists());
    assert_eq!(gone.base_names().unwrap().len(), 1);
}

#[test]
fn a_link_in_a_layer_is_never_followed() {
    let place = tempfile::tempdir().unwrap();
    let [base, top] = ["base", "top"].map(|name| place.path().join(name));
    std::fs::create_dir_all(base.join("etc")).unwrap();
    std::fs::create_dir(&top).unwrap();
    std::os::unix::fs::symlink("/etc", top.join("etc")).unwrap();
    let stack = Stack::open(&[(top, LayerFormat::Overlay)], &base).unwrap();
    assert!(
        stack
            .find(&RelPath::new("etc/passwd").unwrap())
            .unwrap()
            .is_none()
    );
    assert!(stack.open_file(&RelPath::new("etc").unwrap()).is_err());
}

#[test]
fn a_whole_copy_hides_the_base() {
    let place = tempfile::tempdir().unwrap();
    let [base, tree] = ["base", "tree"].map(|name| place.path().join(name));
    std::fs::create_dir(&base).unwrap();
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(base.join("deleted"), "").unwrap();
    let stack = Stack::open(&[(tree, LayerFormat::Complete)], &base).unwrap();
    assert!(names(&stack, "").is_empty());
    assert_eq!(stack.root().unwrap().touched_names().unwrap().len(), 1);
}
