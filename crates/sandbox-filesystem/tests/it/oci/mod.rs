//! Images that other programs made, mounted by the kernel and by `OverlayFs`, and given back to other programs.

mod crash;
mod others;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox_filesystem::backend::OverlayFs;
use sandbox_filesystem::fs::Context;
use sandbox_filesystem::oci::{Digest, Image, Layout, Owners, Selection, Store, UnpackOptions};
use sandbox_filesystem::tree::Tree;
use sandbox_types::StatVirtualization;
use tempfile::TempDir;

use crate::harness::{is_root, part, passes, root_of_a_namespace};

const SCRIPT: &str = include_str!("layout.py");

/// What is at a path: `KIND MODE UID:GID HASH-OR-TARGET`.
type Seen = BTreeMap<String, String>;

/// A directory with a layout of python's, and what its image shows by python's account.
struct Made {
    dir: TempDir,
    expected: Seen,
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn made() -> Made {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout");
    let output = Command::new("python3")
        .arg("-c")
        .arg(SCRIPT)
        .arg(&layout)
        .stderr(Stdio::inherit())
        .output()
        .expect("python3");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let expected: Seen = lines
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .collect();
    assert_eq!(expected.len(), 13, "{expected:?}");
    Made { dir, expected }
}

fn unpacked(place: &Path, owners: Owners) -> Image {
    let layout = Layout::open(place.join("layout")).expect("a layout");
    let store = Store::open(place.join(format!("store-{owners:?}"))).expect("a store");
    let options = UnpackOptions::new().owners(owners);
    let selection = Selection::new().reference("latest");
    layout
        .unpack(&selection, &store, &options, &mut |_| {})
        .expect("an image")
}

fn letter(mode: u32) -> char {
    match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 's',
        0o100_000 => 'f',
        _ => '?',
    }
}

/// What `OverlayFs` shows of the layers.
fn by_overlay_fs(image: &Image, stat: StatVirtualization) -> Seen {
    let fs = OverlayFs::builder()
        .layers(image.paths())
        .read_only()
        .stat_virtualization(stat)
        .build()
        .expect("an overlay");
    let tree = Tree::new(&fs, Context::new(0, 0));
    let mut seen = Seen::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        for entry in tree.list(&path).expect("a directory") {
            if entry.name == "." || entry.name == ".." {
                continue;
            }
            let path = path.join(&entry.name);
            let attr = tree.stat(&path).expect("an entry");
            let kind = letter(attr.mode);
            let content = match kind {
                'd' => "-".to_owned(),
                's' => String::from_utf8(tree.readlink(&path).expect("a link")).expect("UTF-8"),
                _ => Digest::of(&tree.read(&path).expect("a file")).hex(),
            };
            let (mode, uid, gid) = (attr.mode & 0o7777, attr.uid, attr.gid);
            seen.insert(
                path.display().to_string(),
                format!("{kind} {mode:04o} {uid}:{gid} {content}"),
            );
            if kind == 'd' {
                left.push(path);
            }
        }
    }
    seen
}

/// What there is in a directory of the host.
fn by_host(root: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let found = path.symlink_metadata().expect("an entry");
            let kind = letter(found.mode());
            let content = match kind {
                'd' => "-".to_owned(),
                's' => fs::read_link(&path).expect("a link").display().to_string(),
                _ => Digest::of(&fs::read(&path).expect("a file")).hex(),
            };
            let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
            let name = path.strip_prefix(root).expect("beneath").display().to_string();
            seen.insert(name, format!("{kind} {mode:04o} {uid}:{gid} {content}"));
            if kind == 'd' {
                left.push(path);
            }
        }
    }
    seen
}

/// Without owners and modes, which the kernel has of the host's files.
fn without_owners(seen: &Seen) -> Seen {
    let short = |what: &String| {
        let words: Vec<_> = what.split(' ').collect();
        format!("{} {}", words[0], words[3])
    };
    seen.iter()
        .map(|(path, what)| (path.clone(), short(what)))
        .collect()
}

/// Mounts the layers with the kernel's overlayfs and says what it shows.
fn by_kernel(place: &Path, image: &Image) -> Seen {
    let at = place.join("mounted");
    fs::create_dir(&at).expect("mkdir");
    let mut lowers: Vec<_> = image.paths().map(|path| path.as_os_str().as_bytes()).collect();
    lowers.reverse();
    let mut options = b"ro,userxattr,lowerdir=".to_vec();
    options.extend(lowers.join(&b':'));
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "overlay", "-o"]);
    mount.arg(std::ffi::OsStr::from_bytes(&options)).arg(&at);
    let output = mount.output().expect("mount");
    assert!(output.status.success(), "{output:?}");
    let seen = by_host(&at);
    let links = at.join("var/cache/b").metadata().expect("a file").nlink();
    assert_eq!(links, 2, "hard links of a layer stay together");
    let output = Command::new("umount").arg(&at).output().expect("umount");
    assert!(output.status.success(), "{output:?}");
    seen
}

#[test]
fn an_image_that_python_made_is_the_same_in_the_kernels_overlayfs_and_in_ours() {
    if part().is_none() {
        if !has("python3") {
            skip!("no python3 on PATH");
        }
        if let Some(reason) = crate::overlay_mount::impossible() {
            skip!("{reason}");
        }
    }
    let Some(place) = part() else {
        let made = made();
        let lines: Vec<_> = made
            .expected
            .iter()
            .map(|(path, what)| format!("{path} {what}\n"))
            .collect();
        fs::write(made.dir.path().join("expected"), lines.concat()).expect("write");
        let name = name_of_test!();
        return passes(&mut root_of_a_namespace(name, made.dir.path()));
    };
    let text = fs::read_to_string(place.join("expected")).expect("expected");
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let expected: Seen = lines
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .collect();
    let image = unpacked(&place, Owners::Virtual);
    // Links cannot have the attribute: they belong to whoever imported them, root of this namespace.
    assert_eq!(by_overlay_fs(&image, StatVirtualization::Strict), expected);
    let kernel = by_kernel(&place, &image);
    assert_eq!(without_owners(&kernel), without_owners(&expected));
    assert!(
        kernel["bin/su"].starts_with("f 0755"),
        "no setuid on the host: {kernel:?}"
    );
}

#[test]
fn what_root_imports_has_the_owners_of_the_image_in_every_view() {
    if !is_root() {
        skip!("only root can give files away");
    }
    if !has("python3") {
        skip!("no python3 on PATH");
    }
    let made = made();
    let image = unpacked(made.dir.path(), Owners::Real);
    assert_eq!(by_overlay_fs(&image, StatVirtualization::Off), made.expected);
}
