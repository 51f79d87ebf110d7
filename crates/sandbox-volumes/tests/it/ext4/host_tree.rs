//! Host directories in disks: what the kernel shows of the mounted disk is what was there.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt, fs::symlink},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, llistxattr, lsetxattr, mknodat};
use sandbox_volumes::ext4::{DirectoryTree, Overrides, Source, write_ext4};

use super::{MIB, fitting, populated::acl_with_user, view};
use crate::harness::{Mounted, debugfs, is_clean, place};

/// What is compared of a file: everything that a disk keeps.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    len: u64,
    links: u64,
    device: u64,
    modified: (i64, i64),
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    target: Vec<u8>,
    content: Vec<u8>,
    is_sparse: bool,
}

fn see(path: &Path) -> Seen {
    let metadata = fs::symlink_metadata(path).expect("metadata");
    let is_special = metadata.is_file() || metadata.is_dir() || metadata.is_symlink();
    Seen {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        len: if metadata.is_dir() { 0 } else { metadata.len() },
        links: metadata.nlink(),
        device: if is_special { 0 } else { metadata.rdev() },
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        xattrs: xattrs(path),
        target: fs::read_link(path)
            .map(|target| target.as_os_str().as_bytes().to_vec())
            .unwrap_or_default(),
        content: if metadata.is_file() {
            ends(path, metadata.len())
        } else {
            Vec::new()
        },
        is_sparse: metadata.is_file() && metadata.blocks() * 512 + (1 << 20) < metadata.len(),
    }
}

/// All of a file of up to 8 MiB, and both ends of a larger one.
fn ends(path: &Path, len: u64) -> Vec<u8> {
    let mut file = fs::File::open(path).expect("a file");
    let mut content = Vec::new();
    (&mut file)
        .take(8 << 20)
        .read_to_end(&mut content)
        .expect("content");
    if len > 8 << 20 {
        file.seek(SeekFrom::End(-(1 << 20))).expect("a seek");
        file.read_to_end(&mut content).expect("content");
    }
    content
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65536];
    let len = llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65536];
            let len = lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut value).expect("a value");
            (name.to_vec(), value[..len].to_vec())
        })
        .collect()
}

fn see_all(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::from([(
        Vec::new(),
        Seen {
            links: 0,
            ..see(root)
        },
    )]);
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let relative = path
                .strip_prefix(root)
                .expect("beneath")
                .as_os_str()
                .as_bytes()
                .to_vec();
            if relative == b"lost+found" {
                continue;
            }
            if path.symlink_metadata().expect("metadata").is_dir() {
                directories.push(path.clone());
            }
            seen.insert(relative, see(&path));
        }
    }
    seen
}

#[track_caller]
fn is_the_same(directory: &Path, image: &Path, mnt: &Path) {
    let mounted = Mounted::new(image, "ro", mnt);
    let (mut before, after) = (see_all(directory), see_all(&mounted.path));
    drop(mounted);
    // The host's file system may count the links of directories differently, and files have names outside.
    let names = |of: &BTreeMap<Vec<u8>, Seen>| of.keys().cloned().collect::<Vec<_>>();
    assert!(names(&before) == names(&after), "names differ");
    for (path, seen) in &mut before {
        let other = &after[path];
        seen.links = other.links;
        assert!(
            seen == other,
            "{}: {seen:?} {other:?}",
            String::from_utf8_lossy(path)
        );
    }
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).expect("an xattr");
}

/// A tree of what any user can make, and of what root can.
fn nasty(root: &Path) {
    let sub = root.join("sub");
    fs::create_dir(&sub).expect("a directory");
    fs::write(sub.join("n".repeat(255)), b"long name").expect("a file");
    fs::write(sub.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"no utf-8").expect("a file");
    fs::hard_link(sub.join("n".repeat(255)), root.join("hard link")).expect("a link");
    for len in [1, 59, 60, 61, 2000] {
        symlink("t".repeat(len), root.join(format!("link to {len}"))).expect("a link");
    }
    mknodat(
        CWD,
        root.join("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a FIFO");
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket"));
    let mut sparse = fs::File::create(root.join("sparse")).expect("a file");
    for at in 0..600_u64 {
        sparse.seek(SeekFrom::Start(at * 100_000)).expect("a seek");
        sparse.write_all(b"island").expect("a write");
    }
    sparse.set_len(5 << 30).expect("a size");
    let many = root.join("many");
    fs::create_dir(&many).expect("a directory");
    for number in 0..3000 {
        fs::write(many.join(format!("{number:040}")), number.to_string()).expect("a file");
    }
    let mut deep = root.to_owned();
    for _ in 0..25 {
        deep = deep.join("d".repeat(100));
    }
    fs::create_dir_all(&deep).expect("directories");
    fs::write(deep.join("bottom"), b"deep").expect("a file");
    if rustix::process::geteuid().is_root() {
        nasty_for_root(root);
    }
}

fn nasty_for_root(root: &Path) {
    let file = root.join("sub").join("owned");
    fs::write(&file, b"x").expect("a file");
    std::os::unix::fs::chown(&file, Some(70_000), Some(4_000_000_000)).expect("chown");
    rustix::fs::chmod(&file, Mode::from_raw_mode(0o6755)).expect("chmod");
    set(&file, "trusted.secret", b"value");
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set(&file, "security.capability", &capability);
    // Not every temporary directory has ACLs; where it has, they are compared.
    let acl = acl_with_user(1234);
    lsetxattr(&file, "system.posix_acl_access", &acl, XattrFlags::empty()).ok();
    let device = rustix::fs::makedev(259, 70_000);
    mknodat(
        CWD,
        root.join("device"),
        FileType::BlockDevice,
        Mode::from_raw_mode(0o600),
        device,
    )
    .expect("a device");
}

fn image_of(directory: &Path, image: &Path, overrides: Overrides) {
    let tree = DirectoryTree::with_overrides(directory, overrides).expect("a directory");
    let asked = fitting(4 * MIB).build().expect("options");
    write_ext4(image, Source::Tree(&tree), &asked).expect("a disk");
    is_clean(image);
}

#[test]
fn what_is_mounted_is_what_was_in_a_nasty_directory() {
    needs_root!();
    let place = place();
    let (directory, image) = (place.path().join("tree"), place.path().join("disk"));
    fs::create_dir(&directory).expect("a directory");
    nasty(&directory);
    set(&directory.join("sparse"), "user.large", &[5; 900]);
    set(&directory.join("many"), "user.small", b"v");
    image_of(&directory, &image, Overrides::Ignore);
    is_the_same(&directory, &image, &place.path().join("mnt"));
}

#[test]
fn what_is_mounted_is_what_is_in_the_systems_headers() {
    needs_root!();
    let place = place();
    let image = place.path().join("disk");
    image_of(Path::new("/usr/include"), &image, Overrides::Ignore);
    is_the_same(Path::new("/usr/include"), &image, &place.path().join("mnt"));
}

#[test]
fn another_reader_sees_what_is_in_the_systems_headers() {
    let place = place();
    let image = place.path().join("disk");
    image_of(Path::new("/usr/include"), &image, Overrides::Ignore);
    let seen = view::of_image(&image);
    let host = see_all(Path::new("/usr/include"));
    assert_eq!(seen.len() + 1, host.len());
    let dumped = place.path().join("dumped");
    fs::create_dir(&dumped).expect("a directory");
    debugfs(&image, &format!("rdump / {}", dumped.display()));
    for (path, before) in host.iter().filter(|(path, _)| !path.is_empty()) {
        let after = see(&dumped.join(std::ffi::OsStr::from_bytes(path)));
        assert!(
            (before.len, &before.content, &before.target) == (after.len, &after.content, &after.target),
            "{}",
            String::from_utf8_lossy(path)
        );
    }
}

#[test]
fn a_nasty_directory_is_clean_whoever_made_it() {
    let place = place();
    let (directory, image) = (place.path().join("tree"), place.path().join("disk"));
    fs::create_dir(&directory).expect("a directory");
    nasty(&directory);
    image_of(&directory, &image, Overrides::Ignore);
    let stat = debugfs(&image, "stat /sparse");
    assert!(stat.contains("Size: 5368709120"), "{stat}");
    assert!(debugfs(&image, "stat \"/hard link\"").contains("Links: 2"));
}

#[test]
fn overrides_say_owner_mode_and_type_and_are_not_seen() {
    let place = place();
    let (directory, image) = (place.path().join("tree"), place.path().join("disk"));
    fs::create_dir(&directory).expect("a directory");
    let file = |name: &str, content: &[u8], value: &str| {
        fs::write(directory.join(name), content).expect("a file");
        lsetxattr(
            directory.join(name),
            "user.containers.override_stat",
            value.as_bytes(),
            XattrFlags::empty(),
        )
    };
    if let Err(error) = file("owned", b"x", "12:34:04755") {
        skip!("no user xattrs in the temporary directory: {error}");
    }
    file("device", b"", "0:0:0666:char-1-3").expect("an xattr");
    file("link", b"target", "5:6:0777:symlink").expect("an xattr");
    file("plain", b"y", "1:2:0600:file").expect("an xattr");
    image_of(&directory, &image, Overrides::Honor);
    let has = |name: &str, wanted: &[&str]| {
        let stat = debugfs(&image, &format!("stat /{name}"));
        wanted
            .iter()
            .for_each(|wanted| assert!(stat.contains(wanted), "{name}: {wanted} in {stat}"));
        assert!(!stat.contains("override_stat"), "{stat}");
    };
    has("owned", &["Mode:  04755", "User:    12", "Group:    34"]);
    has("device", &["character special", "01:03", "Mode:  0666"]);
    has(
        "link",
        &["Type: symlink", "Fast link dest: \"target\"", "User:     5"],
    );
    has("plain", &["Type: regular", "Mode:  0600"]);
    // Where nobody asks for it, it is an attribute like others.
    image_of(&directory, &image, Overrides::Ignore);
    assert!(debugfs(&image, "stat /owned").contains("user.containers.override_stat"));
}

#[test]
fn a_link_that_leads_outside_is_a_link_in_the_disk() {
    let place = place();
    let (directory, image) = (place.path().join("tree"), place.path().join("disk"));
    fs::create_dir(&directory).expect("a directory");
    symlink("/etc", directory.join("etc")).expect("a link");
    symlink("../../etc/passwd", directory.join("passwd")).expect("a link");
    image_of(&directory, &image, Overrides::Ignore);
    assert!(debugfs(&image, "stat /etc").contains("Fast link dest: \"/etc\""));
    assert!(debugfs(&image, "stat /passwd").contains("Fast link dest: \"../../etc/passwd\""));
}
