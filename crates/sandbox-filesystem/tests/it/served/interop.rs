//! Owners that others keep in the same place: fuse-overlayfs, whose layers podman uses.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
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
    for place in Layers::of_every_kind() {
        let overlay = match place.mount() {
            Ok(overlay) => overlay,
            Err(reason) => skip!("{reason}"),
        };
        if let Err(error) = give_away(&overlay.point.join("file"), 1234, 2345) {
            skip!("fuse-overlayfs gives no files away here: {error}");
        }
        fs::create_dir(overlay.point.join("dir")).unwrap();
        give_away(&overlay.point.join("dir"), 4_294_967_294, 7).unwrap();
        drop(overlay);
        let fs = PassthroughFs::builder().root_dir(place.upper()).build().unwrap();
        let tree = Tree::new(&fs, Context::new(0, 0));
        for (name, seen) in [
            ("file", (1234, 2345, 0o100_751)),
            ("dir", (4_294_967_294, 7, 0o40_751)),
        ] {
            let attr = tree.stat(name).unwrap();
            assert_eq!(
                (attr.uid, attr.gid, attr.mode),
                seen,
                "{name}, {}",
                place.permissions
            );
        }
    }
}

#[test]
fn a_tree_that_fuse_overlayfs_began_is_read_by_it_after_it_was_changed_here() {
    for place in Layers::of_every_kind() {
        let overlay = match place.mount() {
            Ok(overlay) => overlay,
            Err(reason) => skip!("{reason}"),
        };
        if let Err(error) = give_away(&overlay.point.join("file"), 1234, 2345) {
            skip!("fuse-overlayfs gives no files away here: {error}");
        }
        drop(overlay);
        change_here(&place);
        let overlay = place.mount().unwrap();
        for (name, seen) in [("file", (11, 12, 0o100_640)), ("new", (13, 14, 0o100_604))] {
            let stat = fs::symlink_metadata(overlay.point.join(name)).unwrap();
            let found = (stat.uid(), stat.gid(), stat.mode());
            assert_eq!(found, seen, "{name}, {}", place.permissions);
        }
        // And the other way round once more.
        give_away(&overlay.point.join("new"), 21, 22).unwrap();
        drop(overlay);
        let fs = PassthroughFs::builder().root_dir(place.upper()).build().unwrap();
        let attr = Tree::new(&fs, Context::new(0, 0)).stat("new").unwrap();
        assert_eq!((attr.uid, attr.gid), (21, 22), "{}", place.permissions);
    }
}

fn change_here(place: &Layers) {
    let fs = PassthroughFs::builder().root_dir(place.upper()).build().unwrap();
    let tree = Tree::new(&fs, Context::new(0, 0));
    tree.set_attr("file", &change(11, 12, 0o640)).unwrap();
    tree.write("new", b"content").unwrap();
    tree.set_attr("new", &change(13, 14, 0o604)).unwrap();
    tree.set_attr("", &change(0, 0, 0o755)).unwrap();
}

/// Directories for a fuse-overlayfs that keeps owners in attributes.
struct Layers {
    place: tempfile::TempDir,
    point: PathBuf,
    /// Its option of that name: 1 for an attribute that only root can set.
    permissions: u32,
}

impl Layers {
    fn of_every_kind() -> impl Iterator<Item = Self> {
        let kinds: &[u32] = if is_root() { &[1, 2] } else { &[2] };
        kinds.iter().map(|permissions| Self::new(*permissions))
    }

    fn new(permissions: u32) -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "point"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let point = place.path().join("point");
        Self {
            place,
            point,
            permissions,
        }
    }

    fn upper(&self) -> PathBuf {
        self.place.path().join("upper")
    }

    fn mount(&self) -> Result<Overlay<'_>, String> {
        let (at, permissions) = (self.place.path().display(), self.permissions);
        let options = format!(
            "lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work,xattr_permissions={permissions}"
        );
        Overlay::mount(&options, &self.point)
    }
}

/// Makes the file where it is not there, with mode 0751, and another owner's.
fn give_away(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    if !path.exists() {
        fs::write(path, "content")?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o751))?;
    std::os::unix::fs::chown(path, Some(uid), Some(gid))
}
