//! Files of disks: the same operations as on a directory of the host have the same results, and the disk is whole
//! after each. The judges are the host's file system, `ext4::check` and, where it is installed, e2fsck.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox_types::{ByteSize, SizeExt, VolumeName};
use tempfile::TempDir;

use super::super::*;
use crate::copy::Progress;
use crate::ext4::{self, Ext4FormatOptions, JournalSize, Size, format_ext4};

/// An empty disk, and an empty directory of the host beside it.
struct Twins {
    dir: TempDir,
    disk: VolumeFs,
    host: VolumeFs,
}

impl Twins {
    fn new(size: impl Into<ByteSize>) -> Self {
        Self::with(
            &Ext4FormatOptions::builder(Size::Bytes(size.into()))
                .build()
                .unwrap(),
        )
    }

    fn with(options: &Ext4FormatOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("disk.raw");
        format_ext4(&image, options).unwrap();
        fs::create_dir(dir.path().join("host")).unwrap();
        let name: VolumeName = "disk".parse().unwrap();
        let disk = VolumeFs::on_disk(dir.path().to_owned(), image, name);
        disk.remove_dir_all("lost+found").unwrap();
        let host = VolumeFs::open(&dir.path().join("host")).unwrap();
        Self { dir, disk, host }
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("disk.raw")
    }

    /// Does the same to both, which must have the same result.
    fn both<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        work: impl Fn(&VolumeFs) -> Result<T, FsError>,
    ) -> Result<T, std::io::ErrorKind> {
        let (disk, host) = (work(&self.disk), work(&self.host));
        let kind = |result: Result<T, FsError>| result.map_err(|error| error.kind());
        let said = format!("{what}: {disk:?} on the disk, {host:?} on the host");
        let (disk, host) = (kind(disk), kind(host));
        assert_eq!(disk, host, "{said}");
        disk
    }

    fn assert_sound(&self) {
        let report = ext4::check(fs::File::open(self.image()).unwrap()).unwrap();
        assert!(report.is_clean(), "{report:?}");
    }

    fn assert_clean_for_e2fsck(&self) {
        let mut command = Command::new("e2fsck");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .args(["-fn"])
            .arg(self.image());
        // Where there is none, `ext4::check` has judged already.
        if let Ok(output) = command.output() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
        }
    }

    /// Everything beneath a directory: names, kinds, sizes, permissions, targets, content.
    fn tree(fs: &VolumeFs) -> Vec<String> {
        let mut all = Vec::new();
        let mut waiting = vec![PathBuf::from("/")];
        while let Some(at) = waiting.pop() {
            for entry in fs.list(&at).unwrap() {
                let path = at.join(&entry.name);
                let (kind, stat) = (entry.stat.kind, &entry.stat);
                let content = match kind {
                    EntryKind::File => format!("{:?}", crc32c::crc32c(&fs.read(&path).unwrap())),
                    EntryKind::Link => format!("{:?}", fs.read_link(&path).unwrap()),
                    _ => String::new(),
                };
                let size = if kind == EntryKind::Directory {
                    0
                } else {
                    stat.size
                };
                let links = if kind == EntryKind::Directory {
                    0
                } else {
                    stat.links
                };
                all.push(format!(
                    "{} {kind:?} {size} {:o} {links} {content}",
                    path.display(),
                    stat.mode
                ));
                if kind == EntryKind::Directory {
                    waiting.push(path);
                }
            }
        }
        all.sort();
        all
    }

    fn assert_same(&self) {
        assert_eq!(Self::tree(&self.disk), Self::tree(&self.host));
    }
}

/// A generator that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn path(&mut self) -> PathBuf {
        let depth = 1 + self.below(3);
        (0..depth).map(|_| format!("n{}", self.below(5))).collect()
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let len = self.below(most);
        let fill = if self.below(4) == 0 {
            0
        } else {
            1 + self.below(255)
        };
        (0..len).map(|at| (at.wrapping_mul(fill) & 0xFF) as u8).collect()
    }
}

/// How many times over; `SANDBOX_TEST_VOLUMES_SEEDS=200` is a full run.
fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("SANDBOX_TEST_VOLUMES_SEEDS");
    asked.map_or(usual, |count| count.parse().expect("a number"))
}

fn step(twins: &Twins, random: &mut Random) {
    let (path, other) = (random.path(), random.path());
    let what = random.below(14);
    let said = format!("{what} {} {}", path.display(), other.display());
    let _ = match what {
        0..=2 => {
            let content = random.bytes(20_000);
            twins.both(&said, |fs| fs.write(&path, &content))
        }
        3 => twins.both(&said, |fs| fs.mkdir(&path)),
        4 => twins.both(&said, |fs| fs.mkdir_all(&path)),
        5 => twins.both(&said, |fs| fs.remove(&path)),
        6 => twins.both(&said, |fs| fs.remove_dir(&path)),
        7 => twins.both(&said, |fs| fs.rename(&path, &other)),
        8 => {
            let target = if random.below(2) == 0 {
                other.clone()
            } else {
                Path::new("..").join(&other)
            };
            twins.both(&said, |fs| fs.symlink(&target, &path))
        }
        9 => {
            let (at, content) = (random.below(30_000), random.bytes(9_000));
            twins.both(&said, |fs| fs.write_range(&path, at, &content))
        }
        10 => {
            let content = random.bytes(5_000);
            twins.both(&said, |fs| fs.append(&path, &content))
        }
        11 => {
            let len = random.below(40_000);
            twins.both(&said, |fs| fs.set_len(&path, len))
        }
        // The owner goes on being let into directories: the host asks that of whoever is not root.
        12 => twins.both(&said, |fs| fs.set_permissions(&path, 0o740)),
        _ => twins.both(&said, |fs| {
            fs.stat(&path).map(|stat| (stat.kind, stat.mode)).map(drop)
        }),
    };
}

#[test]
fn random_operations_have_the_results_that_they_have_on_the_host() {
    for seed in 1..=seeds(2) {
        let twins = Twins::new(8.mib());
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
        for number in 0..400 {
            step(&twins, &mut random);
            if number % 50 == 0 {
                twins.assert_sound();
                twins.assert_same();
            }
        }
        twins.assert_sound();
        twins.assert_same();
        twins.assert_clean_for_e2fsck();
    }
}

#[test]
fn a_disk_without_a_journal_and_one_of_small_blocks_are_changed_as_well() {
    let size = Size::Bytes(8.mib());
    let none = Ext4FormatOptions::builder(size)
        .journal(JournalSize::None)
        .build()
        .unwrap();
    let small = Ext4FormatOptions::builder(size).block_size(1024).build().unwrap();
    for options in [none, small] {
        let twins = Twins::with(&options);
        let mut random = Random(7);
        for _ in 0..150 {
            step(&twins, &mut random);
        }
        twins.assert_sound();
        twins.assert_same();
        twins.assert_clean_for_e2fsck();
        assert_eq!(fs::metadata(twins.image()).unwrap().len(), 8 << 20);
    }
}

#[test]
fn a_large_directory_gets_an_index_and_loses_what_is_removed() {
    let twins = Twins::new(64.mib());
    let source = twins.dir.path().join("source");
    fs::create_dir(&source).unwrap();
    for number in 0..3000 {
        fs::write(
            source.join(format!("a name that is rather long {number:05}")),
            "x",
        )
        .unwrap();
    }
    twins
        .both("in", |fs| fs.copy_in(&source, "many", &Progress::none()))
        .unwrap();
    twins.assert_sound();
    for number in 3000..3040 {
        let path = format!("many/a name that is rather long {number:05}");
        twins.both("write", |fs| fs.write(&path, "y")).unwrap();
    }
    for number in (0..3000).step_by(100) {
        let path = format!("many/a name that is rather long {number:05}");
        twins.both("remove", |fs| fs.remove(&path)).unwrap();
    }
    twins.assert_same();
    twins.assert_clean_for_e2fsck();
    twins.both("remove", |fs| fs.remove_dir_all("many")).unwrap();
    assert_eq!(twins.disk.list("/").unwrap(), []);
    twins.assert_clean_for_e2fsck();
}

#[test]
fn trees_go_in_within_and_out_as_they_are() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let twins = Twins::new(32.mib());
    let source = twins.dir.path().join("source");
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    fs::write(source.join("file"), vec![7; 300_000]).unwrap();
    fs::hard_link(source.join("file"), source.join("sub/again")).unwrap();
    symlink("../file", source.join("sub/link")).unwrap();
    symlink("x".repeat(200), source.join("long")).unwrap();
    let hole = fs::File::create(source.join("hole")).unwrap();
    hole.set_len(5_000_000).unwrap();
    fs::set_permissions(source.join("sub"), fs::Permissions::from_mode(0o711)).unwrap();
    let progress = Progress::none();
    twins
        .both("in", |fs| fs.copy_in(&source, "one", &progress))
        .unwrap();
    twins.both("within", |fs| fs.copy("one", "two")).unwrap();
    twins.both("again", |fs| fs.copy("one", "two")).unwrap_err();
    twins.assert_same();
    twins.assert_clean_for_e2fsck();
    assert_eq!(twins.disk.stat("two/sub/again").unwrap().links, 2);
    let out = twins.dir.path().join("out");
    twins.disk.copy_out("two", &out, &progress).unwrap();
    let back = VolumeFs::open(&out).unwrap();
    let before = VolumeFs::open(&source).unwrap();
    assert_eq!(Twins::tree(&back), Twins::tree(&before));
    let times = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(times(out.join("sub/deep")), times(source.join("sub/deep")));
    // From disk to disk.
    let third = Twins::new(32.mib());
    twins
        .disk
        .copy_to("one", &third.disk, "three", &progress)
        .unwrap();
    third.assert_clean_for_e2fsck();
    assert_eq!(third.disk.read("three/file").unwrap(), vec![7; 300_000]);
}

#[test]
fn a_file_that_is_not_finished_has_never_been_there() {
    let twins = Twins::new(16.mib());
    twins.disk.write("file", "before").unwrap();
    let image = fs::read(twins.image()).unwrap();
    let mut writer = twins.disk.write_stream("file").unwrap();
    writer.write_all(&vec![1; 3 << 20]).unwrap();
    drop(writer);
    assert_eq!(twins.disk.read("file").unwrap(), b"before");
    twins.assert_clean_for_e2fsck();
    // A crash before the transaction, and a full disk, are the same.
    let mut writer = twins.disk.write_stream("large").unwrap();
    let error = std::io::copy(&mut std::io::repeat(1), &mut writer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(writer);
    assert!(!twins.disk.exists("large").unwrap());
    assert_eq!(fs::read(twins.image()).unwrap().len(), image.len());
    twins.assert_clean_for_e2fsck();
}

#[test]
fn content_is_streamed_with_bounded_memory_and_read_in_ranges() {
    let twins = Twins::new(64.mib());
    let mut writer = twins.disk.write_stream("file").unwrap();
    let piece: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for _ in 0..1000 {
        writer.write_all(&piece).unwrap();
    }
    writer.finish().unwrap();
    let mut stream = twins.disk.read_stream("file").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 10_000_000);
    assert!(all.chunks(10_000).all(|chunk| chunk == piece));
    let range = twins.disk.read_range("file", 9_999_990, 100).unwrap();
    assert_eq!(range, &piece[9_990..]);
    twins.assert_clean_for_e2fsck();
}

#[test]
fn a_reader_shares_the_disk_and_a_writer_has_it_alone() {
    let twins = Twins::new(8.mib());
    twins.disk.write("file", "x").unwrap();
    let reader = twins.disk.read_stream("file").unwrap();
    assert_eq!(twins.disk.read("file").unwrap(), b"x");
    let error = twins.disk.write("file", "y").unwrap_err();
    assert!(matches!(error, FsError::InUse { .. }), "{error}");
    drop(reader);
    twins.disk.write("file", "y").unwrap();
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let twins = Twins::new(4.mib());
    let mut random = Random(11);
    for _ in 0..120 {
        step(&twins, &mut random);
    }
    let image = fs::read(twins.image()).unwrap();
    for seed in 1..seeds(40) {
        let mut random = Random(seed * 7919);
        let mut broken = image.clone();
        for _ in 0..=random.below(40) {
            let at = usize::try_from(random.below(broken.len() as u64 / 8)).unwrap();
            broken[at] ^= 1 << random.below(8);
        }
        fs::write(twins.image(), &broken).unwrap();
        for _ in 0..12 {
            let (path, other) = (random.path(), random.path());
            let _ = twins.disk.list(&path);
            let _ = twins.disk.read(&path);
            let _ = twins.disk.write(&path, "x");
            let _ = twins.disk.rename(&path, &other);
            let _ = twins.disk.remove_dir_all(&other);
        }
    }
}
