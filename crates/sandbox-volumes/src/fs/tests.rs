//! Files of volumes: what is beneath the root is reached, and nothing else, whoever moves what meanwhile.

mod disk;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

/// A volume's root, and something outside that nobody may touch.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn fs(&self) -> VolumeFs {
        VolumeFs::open(&self.root()).unwrap()
    }

    fn assert_untouched(&self) {
        assert_eq!(
            fs::read_to_string(self.outside().join("secret")).unwrap(),
            "secret"
        );
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 1);
        let mode = self.outside().metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o755 & !umask(), "of what is outside");
    }
}

/// Of this process; reading it means setting it.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

#[test]
fn files_are_written_whole_read_in_parts_and_removed() {
    let scene = Scene::new();
    let fs = scene.fs();
    fs.mkdir_all("/a/b").unwrap();
    fs.mkdir_all("a/b").unwrap();
    fs.write("a/b/file", "hello world").unwrap();
    assert_eq!(fs.read("/a//b/./file").unwrap(), b"hello world");
    assert_eq!(fs.read_range("a/b/file", 6, 100).unwrap(), b"world");
    assert_eq!(fs.read_range("a/b/file", 100, 1).unwrap(), b"");
    fs.write_range("a/b/file", 0, b"HELLO").unwrap();
    fs.append("a/b/file", b"!").unwrap();
    let mut text = String::new();
    fs.read_stream("a/b/file")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "HELLO world!");
    fs.set_len("a/b/file", 5).unwrap();
    fs.rename("a/b/file", "a/moved").unwrap();
    assert_eq!(fs.read_to_string("a/moved").unwrap(), "HELLO");
    let names: Vec<_> = fs
        .list("a")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["b", "moved"]);
    assert_eq!(fs.stat("a").unwrap().kind, EntryKind::Directory);
    assert!(fs.remove("a").is_err() && fs.remove_dir("a").is_err());
    fs.remove("a/moved").unwrap();
    fs.remove_dir("a/b").unwrap();
    fs.copy_in("/etc/passwd", "p", &crate::copy::Progress::none())
        .unwrap();
    fs.remove_dir_all("a").unwrap();
    assert!(!fs.exists("a").unwrap() && !fs.exists("a/x/y").unwrap() && fs.exists("p").unwrap());
    fs.write("bytes", [0xff]).unwrap();
    assert!(matches!(
        fs.read_to_string("bytes").unwrap_err(),
        FsError::NotUtf8 { .. }
    ));
}

#[test]
fn a_file_that_is_not_finished_leaves_the_old_one_and_nothing_else() {
    let scene = Scene::new();
    let fs = scene.fs();
    fs.write("file", "old").unwrap();
    fs.set_permissions("file", 0o640).unwrap();
    let mut writer = fs.write_stream("file").unwrap();
    writer.write_all(b"half").unwrap();
    assert_eq!(fs.read_to_string("file").unwrap(), "old");
    drop(writer);
    assert_eq!(fs.list("/").unwrap().len(), 1);
    fs.write("file", "new").unwrap();
    let stat = fs.stat("file").unwrap();
    assert_eq!((stat.mode, stat.size), (0o640, 3), "who may read it stays");
    assert!(fs.write("missing/file", "x").is_err());
    fs.mkdir("directory").unwrap();
    assert!(fs.write("directory", "x").is_err());
    assert!(fs.write("/", "x").is_err());
}

#[test]
fn links_are_followed_beneath_the_root_and_nowhere_else() {
    let scene = Scene::new();
    let fs = scene.fs();
    fs.mkdir("d").unwrap();
    fs.write("d/file", "inside").unwrap();
    fs.symlink("d", "relative").unwrap();
    assert_eq!(fs.read_to_string("relative/file").unwrap(), "inside");
    assert_eq!(fs.read_link("relative").unwrap(), Path::new("d"));
    for (name, target) in [
        ("absolute", scene.outside()),
        ("up", PathBuf::from("../outside")),
        ("dangling", PathBuf::from("missing/../../outside/new")),
        ("magic", PathBuf::from("/proc/self/root/etc")),
    ] {
        symlink(target, scene.root().join(name)).unwrap();
        let inner = format!("{name}/secret");
        let refused: [Result<(), FsError>; 11] = [
            fs.read(&inner).map(drop),
            fs.write(&inner, "x"),
            fs.write_range(name, 0, b"x"),
            fs.append(&inner, b"x"),
            fs.mkdir(format!("{name}/new")),
            fs.mkdir_all(format!("{name}/new/er")),
            fs.remove(&inner),
            fs.remove_dir_all(&inner),
            fs.rename("d/file", &inner),
            fs.list(name).map(drop),
            fs.set_permissions(name, 0o700),
        ];
        for (index, result) in refused.into_iter().enumerate() {
            assert!(result.is_err(), "{name}: {index}");
        }
        // The link itself is an entry like others.
        assert_eq!(fs.symlink_stat(name).unwrap().kind, EntryKind::Link);
        fs.remove(name).unwrap();
    }
    for path in [
        "..",
        "../outside/secret",
        "missing/../../outside/secret",
        "d/../../outside",
    ] {
        assert!(
            matches!(fs.read(path).unwrap_err(), FsError::Path { .. }),
            "{path}"
        );
    }
    symlink(scene.outside().join("secret"), scene.root().join("file")).unwrap();
    fs.write("file", "mine").unwrap();
    assert_eq!(
        fs.read_to_string("file").unwrap(),
        "mine",
        "the link was replaced"
    );
    scene.assert_untouched();
}

#[test]
fn nothing_outside_is_reached_while_directories_are_swapped_for_links() {
    let scene = Scene::new();
    let fs = scene.fs();
    let (root, outside) = (scene.root(), scene.outside());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::create_dir(root.join("d")).ok();
                fs::create_dir(root.join("d/in")).ok();
                fs::rename(root.join("d"), root.join("aside")).ok();
                symlink(&outside, root.join("d")).ok();
                fs::remove_file(root.join("d")).ok();
                fs::remove_dir_all(root.join("aside")).ok();
            }
        });
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            assert_ne!(fs.read("d/secret").unwrap_or_default(), b"secret");
            fs.write("d/new", "x").ok();
            fs.mkdir_all("d/in/er").ok();
            fs.copy("d", "copy").ok();
            fs.set_permissions("d", 0o711).ok();
            fs.remove_dir_all("d").ok();
            fs.remove_dir_all("copy").ok();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    scene.assert_untouched();
}

#[test]
fn pipes_and_directories_are_no_files_and_keep_nobody_waiting() {
    let scene = Scene::new();
    let fs = scene.fs();
    let status = std::process::Command::new("mkfifo")
        .arg(scene.root().join("pipe"))
        .status();
    assert!(status.unwrap().success());
    assert!(matches!(fs.read("pipe").unwrap_err(), FsError::NotAFile { .. }));
    assert!(fs.append("pipe", b"x").is_err());
    fs.mkdir("d").unwrap();
    assert!(matches!(fs.read("d").unwrap_err(), FsError::NotAFile { .. }));
}

#[test]
fn trees_are_copied_with_names_permissions_and_times_and_never_into_themselves() {
    let scene = Scene::new();
    let fs = scene.fs();
    fs.mkdir_all("tree/deep").unwrap();
    fs.write("tree/deep/file", "x").unwrap();
    fs::hard_link(
        scene.root().join("tree/deep/file"),
        scene.root().join("tree/again"),
    )
    .unwrap();
    fs.symlink("deep/file", "tree/link").unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs.set_times("tree/deep/file", long_ago, long_ago).unwrap();
    fs.set_permissions("tree/deep", 0o500).unwrap();
    fs.copy("tree", "copy").unwrap();
    let [one, other] =
        ["copy/again", "copy/deep/file"].map(|path| scene.root().join(path).metadata().unwrap());
    assert_eq!((one.ino(), one.mtime()), (other.ino(), 1_000_000_000));
    assert_eq!(fs.stat("copy/deep").unwrap().mode, 0o500);
    assert_eq!(fs.read_link("copy/link").unwrap(), Path::new("deep/file"));
    assert!(matches!(
        fs.copy("tree", "tree/deep/er").unwrap_err(),
        FsError::IntoItself { .. }
    ));
    assert!(fs.copy("tree", "copy").is_err(), "something is there");
    let out = scene.dir.path().join("out");
    fs.copy_out("tree", &out, &crate::copy::Progress::none()).unwrap();
    assert_eq!(fs::read_to_string(out.join("again")).unwrap(), "x");
    for path in [
        scene.root().join("tree/deep"),
        scene.root().join("copy/deep"),
        out.join("deep"),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
