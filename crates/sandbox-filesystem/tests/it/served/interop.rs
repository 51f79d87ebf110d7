//! Owners that others keep in the same place: fuse-overlayfs, whose layers podman uses.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sandbox_filesystem::backend::PassthroughFs;
use sandbox_filesystem::fs::{Context, SetAttr};
use sandbox_filesystem::tree::Tree;

use crate::harness::{comes_true, is_root, mounts_with};

/// fuse-overlayfs, mounted; unmounted when dropped.
struct Overlay<'a> {
    child: Child,
    point: &'a Path,
}

impl<'a> Overlay<'a> {
    fn mount(options: &str, point: &'a Path) -> Result<Self, String> {
        let child = Command::new("fuse-overlayfs")
            .args(["-f", "-o", options])
            .arg(point)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("fuse-overlayfs: {error}"))?;
        let mut overlay = Self { child, point };
        let mut has_ended = false;
        let is_there = comes_true(|| {
            has_ended = overlay.child.try_wait().expect("a child").is_some();
            has_ended || !mounts_with(point).is_empty()
        });
        if has_ended || !is_there {
            let mut said = String::new();
            let stderr = overlay.child.stderr.as_mut().expect("piped");
            std::io::Read::read_to_string(stderr, &mut said).expect("UTF-8");
            return Err(format!("fuse-overlayfs does not mount: {said}"));
        }
        Ok(overlay)
    }
}

impl Drop for Overlay<'_> {
    fn drop(&mut self) {
        let unmount: &[&str] = if is_root() {
            &["umount"]
        } else {
            &["fusermount3", "-u"]
        };
        if let [program, flags @ ..] = unmount {
            let _ = Command::new(program)
                .args(flags)
                .arg(self.point)
                .stderr(Stdio::null())
                .status();
        }
        // It ends when it is unmounted; where that did not work, by force.
        if !comes_true(|| self.child.try_wait().is_ok_and(|ended| ended.is_some())) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What both sides say of a file: owner, group, and mode with its type.
type Seen = (u32, u32, u32);

fn change(uid: u32, gid: u32, mode: u32) -> SetAttr {
    SetAttr {
        uid: Some(uid),
        gid: Some(gid),
        mode: Some(mode),
        ..SetAttr::default()
    }
}

#[test]
fn fuse_overlayfs_reads_the_owners_that_were_kept_here() {
    let (layer, point) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fs = PassthroughFs::builder().root_dir(layer.path()).build().unwrap();
    let tree = Tree::new(&fs, Context::new(0, 0));
    tree.write("file", b"content").unwrap();
    tree.mkdir("dir", 0o700).unwrap();
    tree.write("dir/deep", b"").unwrap();
    // The root says of a layer that owners are kept this way (containers/storage).
    let wanted: [(&str, SetAttr, Seen); 4] = [
        ("", change(0, 0, 0o755), (0, 0, 0o40_755)),
        ("file", change(1234, 2345, 0o4751), (1234, 2345, 0o104_751)),
        ("dir", change(10, 20, 0o2775), (10, 20, 0o42_775)),
        ("dir/deep", change(4242, 0, 0o600), (4242, 0, 0o100_600)),
    ];
    for (path, change, seen) in &wanted {
        let attr = tree.set_attr(path, change).unwrap();
        assert_eq!((attr.uid, attr.gid, attr.mode), *seen, "{path}");
    }
    let options = format!("lowerdir={}", layer.path().display());
    let overlay = match Overlay::mount(&options, point.path()) {
        Ok(overlay) => overlay,
        Err(reason) => skip!("{reason}"),
    };
    for (path, _, seen) in &wanted {
        let stat = match fs::symlink_metadata(overlay.point.join(path)) {
            // A directory of somebody else's, as it should be.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !is_root() => continue,
            stat => stat.unwrap(),
        };
        // Set-id bits it shows to nobody (1.10).
        let without = |mode: u32| mode & !0o6000;
        let found = (stat.uid(), stat.gid(), without(stat.mode()));
        assert_eq!(found, (seen.0, seen.1, without(seen.2)), "{path}");
    }
    if is_root() {
        assert_eq!(fs::read(overlay.point.join("file")).unwrap(), b"content");
    }
}

#[test]
fn owners_that_fuse_overlayfs_has_kept_are_read_here() {
    let place = tempfile::tempdir().unwrap();
    for name in ["lower", "upper", "work", "point"] {
        fs::create_dir(place.path().join(name)).unwrap();
    }
    let (upper, point) = (place.path().join("upper"), place.path().join("point"));
    let at = place.path().display();
    let options = format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work,xattr_permissions=2");
    let overlay = match Overlay::mount(&options, &point) {
        Ok(overlay) => overlay,
        Err(reason) => skip!("{reason}"),
    };
    fs::write(point.join("file"), "content").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o751);
    fs::set_permissions(point.join("file"), mode).unwrap();
    if let Err(error) = std::os::unix::fs::chown(point.join("file"), Some(1234), Some(2345)) {
        skip!("fuse-overlayfs gives no files away here: {error}");
    }
    drop(overlay);
    let mut value = [0; 64];
    let kept = rustix::fs::getxattr(
        upper.join("file"),
        "user.containers.override_stat",
        &mut value[..],
    );
    if kept.is_err() {
        skip!("this fuse-overlayfs keeps owners under a name of its own (user.fuseoverlayfs.override_stat)");
    }
    let fs = PassthroughFs::builder().root_dir(&upper).build().unwrap();
    let attr = Tree::new(&fs, Context::new(0, 0)).stat("file").unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (1234, 2345, 0o100_751));
}
