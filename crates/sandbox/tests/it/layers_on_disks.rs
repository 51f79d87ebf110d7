//! A disk made of a stack of container layers, and of a filesystem in memory: judged by e2fsck, debugfs and ext4-view.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ext4_view::Ext4;
use sandbox::backend::{MemFs, OverlayFs};
use sandbox::fs::{Context, DynFileSystem};
use sandbox::tree::{FsTree, Tree};
use sandbox::volume::ext4::{Ext4FormatOptions, Size, Source, write_ext4};
use sandbox::{SizeExt, StatVirtualization};
use sandbox_filesystem::oci::{Devices, Expected, Owners, Store, UnpackOptions, import_layer};
use tar::{Builder, EntryType, Header};

/// A layer under construction.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, kind: EntryType, path: &str, (mode, owner): (u32, u64), content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_600_000_000);
        header.set_size(0);
        if kind == EntryType::Char {
            header.set_device_major(1).expect("a number");
            header.set_device_minor(3).expect("a number");
        }
        match kind {
            EntryType::Regular => {
                header.set_size(content.len() as u64);
                self.0.append_data(&mut header, path, content)
            }
            EntryType::Symlink | EntryType::Link => {
                let target = std::str::from_utf8(content).expect("a target");
                self.0.append_link(&mut header, path, target)
            }
            _ => self.0.append_data(&mut header, path, std::io::empty()),
        }
        .expect("an entry");
        self
    }

    fn directory(self, path: &str, attributes: (u32, u64)) -> Self {
        self.add(EntryType::Directory, path, attributes, b"")
    }

    fn file(self, path: &str, attributes: (u32, u64), content: &[u8]) -> Self {
        self.add(EntryType::Regular, path, attributes, content)
    }

    fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        let name = format!("SCHILY.xattr.{name}");
        self.0
            .append_pax_extensions([(name.as_str(), value)])
            .expect("an attribute");
        self
    }

    fn unpacked(self, store: &Store) -> PathBuf {
        let bytes = self.0.into_inner().expect("a layer");
        let options = UnpackOptions::new()
            .owners(Owners::Virtual)
            .devices(Devices::Keep);
        let layer = import_layer(
            store,
            &mut bytes.as_slice(),
            &Expected::default(),
            &options,
            &mut |_| {},
        );
        layer.expect("a layer").path
    }
}

fn layers(store: &Store) -> [PathBuf; 2] {
    let bottom = Layer::new()
        .directory("etc", (0o755, 0))
        .file("etc/passwd", (0o644, 0), b"root")
        .file("etc/gone", (0o644, 0), b"gone")
        .add(EntryType::Link, "etc/again", (0o644, 0), b"etc/passwd")
        .directory("bin", (0o755, 0))
        .file("bin/tool", (0o4755, 0), b"#!/bin/sh")
        .directory("home", (0o755, 0))
        .directory("home/alice", (0o700, 1000))
        .xattr("user.note", b"kept")
        .file("home/alice/file", (0o640, 1000), &vec![7; 300_000])
        .directory("old", (0o755, 0))
        .file("old/hidden", (0o644, 0), b"hidden")
        .directory("dev", (0o755, 0))
        .add(EntryType::Char, "dev/null", (0o666, 0), b"");
    let top = Layer::new()
        .file("etc/.wh.gone", (0o644, 0), b"")
        .directory("old", (0o750, 5))
        .file("old/.wh..wh..opq", (0o644, 0), b"")
        .file("old/new", (0o600, 5), b"new")
        .add(EntryType::Symlink, "old/link", (0o777, 0), b"new");
    [bottom.unpacked(store), top.unpacked(store)]
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C");
    command
}

fn debugfs(image: &Path, request: &str) -> String {
    let output = tool("debugfs")
        .args(["-R", request])
        .arg(image)
        .output()
        .expect("debugfs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a disk of all that `fs` shows, as small as fits, and lets e2fsck look at it.
fn disk_of(fs: &dyn DynFileSystem, image: &Path) -> Ext4 {
    let source = FsTree::new(fs, Context::new(0, 0));
    let size = Size::Fit { headroom: 1.mib() };
    let options = Ext4FormatOptions::builder(size).build().expect("options");
    write_ext4(image, Source::Tree(&source), &options).expect("a disk");
    let judge = tool("e2fsck").arg("-fn").arg(image).output().expect("e2fsck");
    assert!(judge.status.success(), "{judge:?}");
    Ext4::load_from_path(image).expect("another reader can load it")
}

#[test]
fn a_stack_of_layers_becomes_a_disk_with_the_owners_modes_and_attributes_that_it_shows() {
    let place = tempfile::tempdir().expect("a directory");
    let store = Store::open(place.path().join("store")).expect("a store");
    let fs = OverlayFs::builder()
        .layers(layers(&store))
        .read_only()
        .stat_virtualization(StatVirtualization::Strict)
        .build()
        .expect("an overlay");
    let image = place.path().join("disk");
    let disk = disk_of(&fs, &image);

    let is_there = |path: &str| disk.exists(path).expect("a lookup");
    assert!(!is_there("/etc/gone") && !is_there("/etc/.wh.gone"), "a whiteout");
    assert!(
        !is_there("/old/hidden") && !is_there("/old/.wh..wh..opq"),
        "an opaque directory"
    );
    assert_eq!(disk.read("/old/new").expect("a file"), b"new");
    assert_eq!(disk.read("/home/alice/file").expect("a file"), vec![7; 300_000]);
    assert_eq!(disk.read_link("/old/link").expect("a link").as_ref(), b"new");

    for (path, mode, owner) in [
        ("/etc/passwd", 0o644, 0),
        ("/bin/tool", 0o4755, 0),
        ("/home/alice", 0o700, 1000),
        ("/home/alice/file", 0o640, 1000),
        ("/old", 0o750, 5),
        ("/old/new", 0o600, 5),
    ] {
        let found = disk.metadata(path).expect("metadata");
        assert_eq!(
            (found.mode() & 0o7777, found.uid(), found.gid()),
            (mode, owner, owner + 1),
            "{path}"
        );
    }
    let number = |path: &str| {
        debugfs(&image, &format!("stat {path}"))
            .lines()
            .next()
            .map(str::to_owned)
    };
    assert_eq!(
        number("/etc/again"),
        number("/etc/passwd"),
        "two names of one file"
    );
    assert!(debugfs(&image, "stat /etc/again").contains("Links: 2"));
    let device = debugfs(&image, "stat /dev/null");
    assert!(
        device.contains("character special") && device.contains("01:03"),
        "{device}"
    );
    let attributes = debugfs(&image, "ea_list /home/alice/file");
    assert!(
        attributes.contains("user.note") && attributes.contains("kept"),
        "{attributes}"
    );
    // What the layers keep for themselves is nobody else's.
    for path in ["/", "/old", "/etc", "/home/alice/file", "/dev/null"] {
        let attributes = debugfs(&image, &format!("ea_list {path}"));
        let own = attributes.contains("override_stat") || attributes.contains("user.overlay");
        assert!(!own, "{path}: {attributes}");
    }
}

#[test]
fn a_filesystem_in_memory_becomes_a_disk() {
    let place = tempfile::tempdir().expect("a directory");
    let fs = MemFs::builder().capacity(16.mib()).build().expect("a filesystem");
    let tree = Tree::new(&fs, Context::new(7, 8));
    tree.mkdir("d", 0o711).expect("a directory");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    tree.write("d/large", &content).expect("a file");
    for number in 0..300 {
        tree.write(format!("d/a name of some length {number}"), b"x")
            .expect("a file");
    }
    let image = place.path().join("disk");
    let disk = disk_of(&fs, &image);
    assert!(disk.read("/d/large").expect("a file") == content);
    assert_eq!(disk.read_dir("/d").expect("a directory").count(), 303);
    let found = disk.metadata("/d").expect("metadata");
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o711, 7, 8));
    let allocated = fs::metadata(&image).expect("the image").len();
    assert!(allocated < 12 << 20, "{allocated}");
}
