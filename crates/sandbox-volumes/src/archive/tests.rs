//! Archives: there and back, and everything that is refused.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use sandbox_types::{ByteSize, SizeExt};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::backend::Backend;
use crate::copy::Progress;
use crate::local::LocalBackend;
use crate::record::{VolumeFilter, VolumeRecord};
use crate::volume::Volume;

struct Scene {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    backend: Arc<dyn Backend>,
}

/// A writer whose bytes can be had.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let home = dir.path().join("home");
        let backend = runtime
            .block_on(LocalBackend::builder().home(home).build())
            .unwrap();
        Self {
            dir,
            runtime,
            backend: Arc::new(backend),
        }
    }

    fn make(&self, name: &str) -> Volume {
        let builder = Volume::builder(name).quota(64.mib()).label("k", "v");
        self.runtime
            .block_on(builder.create_on(Arc::clone(&self.backend)))
            .unwrap()
    }

    fn export(&self, volume: &Volume) -> Vec<u8> {
        let sink = Sink::default();
        self.runtime.block_on(volume.export(sink.clone())).unwrap();
        sink.0.lock().unwrap().clone()
    }

    fn import(&self, bytes: Vec<u8>, options: &ImportOptions) -> Result<VolumeRecord, ArchiveError> {
        let from: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
        self.runtime
            .block_on(self.backend.import(from, options, &Progress::none()))
    }

    /// Nothing was made, and nothing is left.
    fn assert_nothing(&self) {
        let all = self
            .runtime
            .block_on(self.backend.list(&VolumeFilter::all()))
            .unwrap();
        assert_eq!(all, []);
        let pending = self.dir.path().join("home/volumes/.pending");
        assert_eq!(fs::read_dir(pending).unwrap().count(), 0);
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_volume_goes_into_an_archive_and_comes_back_the_same() {
    let scene = Scene::new();
    let volume = scene.make("data");
    let (fs, root) = (volume.fs().unwrap(), volume.path().unwrap());
    fs.mkdir_all("a/b").unwrap();
    fs.write("a/b/file", "hello").unwrap();
    fs.write(format!("a/{}", "long".repeat(60)), "long name").unwrap();
    fs::hard_link(root.join("a/b/file"), root.join("again")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    fs.write("hole", "").unwrap();
    fs.set_len("hole", 4 << 20).unwrap();
    fs.write_range("hole", 2 << 20, b"x").unwrap();
    fs.set_permissions("a/b", 0o500).unwrap();
    let attribute = [0, 255, b'\n'];
    let has_attributes = rustix::fs::setxattr(
        root.join("again"),
        "user.test",
        &attribute,
        rustix::fs::XattrFlags::empty(),
    );
    let bytes = scene.export(&volume);
    assert_eq!(scene.export(&volume), bytes, "equal volumes make equal archives");
    let options = ImportOptions::new()
        .name("copy".parse().unwrap())
        .label("more=1".parse().unwrap());
    let made = scene.import(bytes, &options).unwrap();
    assert_eq!((made.labels.len(), made.form), (2, volume.form()));
    let copy = scene
        .runtime
        .block_on(Volume::get_on(Arc::clone(&scene.backend), "copy"))
        .unwrap();
    let (fs, root) = (copy.fs().unwrap(), copy.path().unwrap());
    assert_eq!(
        fs.read_to_string(format!("a/{}", "long".repeat(60))).unwrap(),
        "long name"
    );
    let [one, other] = ["again", "a/b/file"].map(|path| root.join(path).metadata().unwrap());
    assert_eq!((one.ino(), one.len()), (other.ino(), 5));
    assert_eq!(
        fs::read_link(root.join("absolute")).unwrap().to_str(),
        Some("/etc/passwd")
    );
    let hole = root.join("hole").metadata().unwrap();
    assert!(
        hole.len() == 4 << 20 && hole.blocks() < 1 << 10,
        "{}",
        hole.blocks()
    );
    assert_eq!(fs.stat("a/b").unwrap().mode, 0o500);
    if has_attributes.is_ok() {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(root.join("a/b/file"), "user.test", &mut value).unwrap();
        assert_eq!(value[..length], attribute);
    }
}

/// An archive with these entries, and whatever follows the manifest.
fn archive(
    fill: impl FnOnce(&mut Builder<digest::HashingWriter<Vec<u8>>>),
    checksum: Option<&str>,
) -> Vec<u8> {
    let manifest = br#"{"version":1,"name":"theirs","kind":"directory","created":0}"#;
    let mut tar = Builder::new(digest::HashingWriter::new(Vec::new()));
    put(&mut tar, "volume.json", EntryType::Regular, manifest);
    fill(&mut tar);
    let digest = checksum.map_or_else(|| tar.get_ref().digest(), str::to_owned);
    put(&mut tar, "sha256", EntryType::Regular, digest.as_bytes());
    zstd::encode_all(tar.into_inner().unwrap().into_inner().as_slice(), 1).unwrap()
}

/// An entry of any name, also of those that a well-meaning writer refuses.
fn put<W: Write>(tar: &mut Builder<W>, path: &str, kind: EntryType, content: &[u8]) {
    let mut header = header(path, kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn link<W: Write>(tar: &mut Builder<W>, path: &str, kind: EntryType, target: &str) {
    let mut header = header(path, kind);
    let name = &mut header.as_gnu_mut().unwrap().linkname;
    name[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
}

fn header(path: &str, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o6755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

#[test]
fn archives_that_would_write_elsewhere_are_refused_and_leave_nothing() {
    use EntryType::{Block, Char, Directory, Link, Regular, Symlink};
    type Fill = fn(&mut Builder<digest::HashingWriter<Vec<u8>>>);
    let hostile: [(&str, Fill); 12] = [
        ("up", |tar| put(tar, "data/../../escaped", Regular, b"x")),
        ("absolute", |tar| put(tar, "/escaped", Regular, b"x")),
        ("beside", |tar| put(tar, "volume.json", Regular, b"x")),
        ("through a link", |tar| {
            link(tar, "data/link", Symlink, "/tmp");
            put(tar, "data/link/escaped", Regular, b"x");
        }),
        ("over a link", |tar| {
            link(tar, "data/link", Symlink, "/tmp/escaped");
            put(tar, "data/link", Regular, b"x");
        }),
        ("link to outside", |tar| {
            link(tar, "data/passwd", Link, "/etc/passwd");
        }),
        ("link up", |tar| {
            link(tar, "data/passwd", Link, "data/../../../catalog.db");
        }),
        ("character device", |tar| put(tar, "data/null", Char, b"")),
        ("block device", |tar| put(tar, "data/disk", Block, b"")),
        ("twice", |tar| {
            put(tar, "data/x", Regular, b"x");
            put(tar, "data/x", Regular, b"y");
        }),
        ("root is a file", |tar| put(tar, "data", Regular, b"x")),
        ("no parent", |tar| put(tar, "data/a/b/", Directory, b"")),
    ];
    let scene = Scene::new();
    for (what, fill) in hostile {
        let error = scene
            .import(archive(fill, None), &ImportOptions::new())
            .unwrap_err();
        assert!(matches!(error, ArchiveError::Refused { .. }), "{what}: {error}");
        scene.assert_nothing();
    }
}

#[test]
fn an_archive_cannot_have_names_and_attributes_take_up_memory_without_bound() {
    let scene = Scene::new();
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let bomb = archive(
            |tar| {
                let mut header = header("data/x", kind);
                header.set_size(32 << 20);
                header.set_cksum();
                tar.append(&header, std::io::repeat(b'x').take(32 << 20)).unwrap();
            },
            None,
        );
        let error = scene.import(bomb, &ImportOptions::new()).unwrap_err();
        assert!(error.to_string().contains("says more of itself"), "{error}");
        scene.assert_nothing();
    }
}

#[test]
fn archives_that_are_damaged_cut_off_or_something_else_make_no_volume() {
    let scene = Scene::new();
    let good = archive(
        |tar| put(tar, "data/x", EntryType::Regular, &vec![7; 100_000]),
        None,
    );
    let mut tried = 0;
    for length in (0..good.len()).step_by(7) {
        scene
            .import(good[..length].to_vec(), &ImportOptions::new())
            .unwrap_err();
        scene.assert_nothing();
        tried += 1;
    }
    assert!(tried > 10);
    let wrong = archive(
        |tar| put(tar, "data/x", EntryType::Regular, b"x"),
        Some(&"0".repeat(64)),
    );
    let error = scene.import(wrong, &ImportOptions::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged), "{error}");
    for foreign in [
        b"hello".to_vec(),
        vec![0; 4096],
        zstd::encode_all(&[1; 4096][..], 1).unwrap(),
    ] {
        scene.import(foreign, &ImportOptions::new()).unwrap_err();
        scene.assert_nothing();
    }
    scene.import(good, &ImportOptions::new()).unwrap();
}

#[test]
fn archives_hold_no_more_than_is_allowed_and_bring_no_privileges() {
    let scene = Scene::new();
    let large = || {
        archive(
            |tar| put(tar, "data/x", EntryType::Regular, &vec![7; 100_000]),
            None,
        )
    };
    // An inode and its name count, too: files without content are no way around it.
    let all = 100_000 + 1024 + 33;
    let error = scene
        .import(
            large(),
            &ImportOptions::new().limit(ByteSize::from_bytes(all - 1)),
        )
        .unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
    scene.assert_nothing();
    let made = scene
        .import(large(), &ImportOptions::new().limit(ByteSize::from_bytes(all)))
        .unwrap();
    let file = made.directory.unwrap().join("data/x").metadata().unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o755, "no set-id bits");
    let error = scene.import(large(), &ImportOptions::new()).unwrap_err();
    let exists = matches!(
        error,
        ArchiveError::Volume(crate::VolumeError::AlreadyExists { .. })
    );
    assert!(exists, "{error}");
}

#[test]
fn what_fits_into_a_quota_comes_back_into_it_holes_links_and_all() {
    let scene = Scene::new();
    let builder = Volume::builder("data").quota(1.mib()).inodes(4);
    let made = scene
        .runtime
        .block_on(builder.create_on(Arc::clone(&scene.backend)));
    let volume = made.unwrap();
    let (fs, root) = (volume.fs().unwrap(), volume.path().unwrap());
    fs.mkdir("dir").unwrap();
    fs.write("dir/full", vec![7; 900 << 10]).unwrap();
    fs.write("hole", "").unwrap();
    fs.set_len("hole", 8 << 20).unwrap();
    fs.write_range("hole", 50_000, b"x").unwrap();
    fs.symlink("dir", "link").unwrap();
    for number in 0..20 {
        fs::hard_link(root.join("dir/full"), root.join(format!("dir/again-{number}"))).unwrap();
    }
    let used = scene.runtime.block_on(volume.used_bytes()).unwrap();
    let bytes = scene.export(&volume);
    let options = ImportOptions::new().name("copy".parse().unwrap());
    scene.import(bytes.clone(), &options).unwrap();
    let copy = scene
        .runtime
        .block_on(Volume::get_on(Arc::clone(&scene.backend), "copy"));
    let copied = scene.runtime.block_on(copy.unwrap().used_bytes()).unwrap();
    assert_eq!(copied, used);
    // A limit is for what is said, since holes take time.
    let limited = options.name("other".parse().unwrap()).limit(8.mib());
    let error = scene.import(bytes, &limited).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
}

#[test]
fn an_archive_with_a_quota_holds_no_more_than_that() {
    let scene = Scene::new();
    let with = |quota: &str| {
        let manifest =
            format!(r#"{{"version":1,"name":"theirs","kind":"directory","created":0,"quota":{quota}}}"#);
        let mut tar = Builder::new(digest::HashingWriter::new(Vec::new()));
        put(&mut tar, "volume.json", EntryType::Regular, manifest.as_bytes());
        for number in 0..100 {
            put(&mut tar, &format!("data/{number}"), EntryType::Regular, b"");
        }
        let digest = tar.get_ref().digest();
        put(&mut tar, "sha256", EntryType::Regular, digest.as_bytes());
        zstd::encode_all(tar.into_inner().unwrap().into_inner().as_slice(), 1).unwrap()
    };
    let error = scene
        .import(with(r#"{"bytes":100000}"#), &ImportOptions::new())
        .unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
    let error = scene
        .import(with(r#"{"inodes":99}"#), &ImportOptions::new())
        .unwrap_err();
    assert!(matches!(error, ArchiveError::TooMany { limit: 99 }), "{error}");
    let error = scene
        .import(with(r#"{"inodes":0}"#), &ImportOptions::new())
        .unwrap_err();
    assert!(error.to_string().contains("0 inodes"), "{error}");
    scene.assert_nothing();
    scene
        .import(with(r#"{"inodes":100}"#), &ImportOptions::new())
        .unwrap();
}

#[test]
fn random_damage_to_an_archive_makes_no_volume_and_leaves_nothing() {
    let good = archive(
        |tar| {
            put(tar, "data", EntryType::Directory, b"");
            put(tar, "data/dir", EntryType::Directory, b"");
            put(tar, "data/dir/file", EntryType::Regular, &[7; 3000]);
            link(tar, "data/link", EntryType::Symlink, "dir/file");
            link(tar, "data/again", EntryType::Link, "data/dir/file");
            put(tar, "data/pipe", EntryType::Fifo, b"");
        },
        None,
    );
    let scene = Scene::new();
    let name = scene.import(good.clone(), &ImportOptions::new()).unwrap().name;
    let remove = || {
        let removed = scene
            .runtime
            .block_on(scene.backend.remove(&name, crate::Snapshots::Refuse));
        removed.unwrap();
        scene.assert_nothing();
    };
    remove();
    let tar = zstd::decode_all(good.as_slice()).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..400 {
        // Within the archive, and every fourth time of the compressed bytes.
        let mut bytes = if round % 4 == 0 { good.clone() } else { tar.clone() };
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            bytes[at] = u8::try_from(random(256)).unwrap();
        }
        if round % 4 != 0 {
            bytes = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        }
        let is_made = scene.import(bytes, &ImportOptions::new()).is_ok();
        if is_made {
            // What nobody reads was changed: padding, or bytes to what they were.
            remove();
        } else {
            scene.assert_nothing();
        }
    }
}
