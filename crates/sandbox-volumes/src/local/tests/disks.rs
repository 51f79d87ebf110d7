//! Disks: made, grown, copied, carried. Whether the image is sound is for `ext4::check` to say, which has tests of its own.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use sandbox_types::{SizeExt, VolumeForm, VolumeKind};

use super::place::{Place, assert_sound, name, run};
use crate::archive::ImportOptions;
use crate::backend::{CloneSource, Problem, Resize};
use crate::copy::Progress;
use crate::error::VolumeError;
use crate::ext4;
use crate::volume::Volume;

fn image(volume: &Volume) -> PathBuf {
    volume.disk_path().unwrap().unwrap()
}

fn assert_image(volume: &Volume, bytes: u64) {
    let path = image(volume);
    assert_eq!(path.metadata().unwrap().len(), bytes);
    let report = ext4::check(std::fs::File::open(&path).unwrap()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_disk_is_made_grown_copied_and_carried() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut disk = Volume::builder("disk")
            .disk()
            .size(64.mib())
            .create_on(Arc::clone(&backend))
            .await
            .unwrap();
        assert_eq!(
            (disk.kind(), disk.disk_format(), disk.disk_fstype()),
            (VolumeKind::Disk, Some("raw"), Some("ext4"))
        );
        assert_eq!((disk.capacity_bytes(), disk.quota_mib()), (Some(64 << 20), None));
        assert_image(&disk, 64 << 20);
        let allocated = image(&disk).metadata().unwrap().blocks() * 512;
        assert!(allocated < 16 << 20, "{allocated}: sparse");
        let used = disk.used_bytes().await.unwrap();
        let said = ext4::look(image(&disk)).unwrap();
        assert!(
            (1..=allocated).contains(&said.used.bytes()),
            "{said:?} of {allocated}"
        );
        // Whoever mounts it counts so: the kernel for root, fuse2fs for others.
        let mounted = if rustix::process::geteuid().is_root() {
            said.used
        } else {
            said.used_in_fuse2fs
        };
        assert_eq!(used, mounted.bytes());
        disk.resize(Resize::Size(128.mib())).await.unwrap();
        assert_image(&disk, 128 << 20);
        let error = disk.resize(Resize::Size(64.mib())).await.unwrap_err();
        assert!(matches!(error, VolumeError::Unsupported { .. }), "{error}");
        disk.fs().unwrap();
        disk.snapshot("first").await.unwrap();
        let clone = disk.clone_as("clone", &[], &Progress::none()).await.unwrap();
        assert_eq!(
            std::fs::read(image(&clone)).unwrap(),
            std::fs::read(image(&disk)).unwrap()
        );
        disk.restore("first").await.unwrap();
        let archive = place.path("archive");
        disk.export(std::fs::File::create(&archive).unwrap())
            .await
            .unwrap();
        assert!(archive.metadata().unwrap().len() < 16 << 20);
        let options = ImportOptions::new().name(name("theirs"));
        let from = Box::new(std::fs::File::open(&archive).unwrap());
        backend.import(from, &options, &Progress::none()).await.unwrap();
        let theirs = Volume::get_on(Arc::clone(&backend), "theirs").await.unwrap();
        assert_eq!(
            std::fs::read(image(&theirs)).unwrap(),
            std::fs::read(image(&disk)).unwrap()
        );
        assert!(
            image(&theirs).metadata().unwrap().blocks() * 512 < 16 << 20,
            "holes stay holes"
        );
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_snapshot_of_a_disk_has_the_size_that_it_had_then() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let builder = Volume::builder("disk").disk().size(8.mib());
        let mut disk = builder.create_on(Arc::clone(&backend)).await.unwrap();
        disk.snapshot("small").await.unwrap();
        disk.resize(Resize::Size(16.mib())).await.unwrap();
        let source = CloneSource {
            volume: disk.name(),
            snapshot: Some(&name("small")),
        };
        let clone = backend
            .clone_volume(source, &name("clone"), &[], &Progress::none())
            .await
            .unwrap();
        assert_eq!(clone.form, VolumeForm::Disk { size: 8.mib() });
        disk.restore("small").await.unwrap();
        let disk = Volume::get_on(Arc::clone(&backend), "disk").await.unwrap();
        assert_eq!(disk.capacity_bytes(), Some(8 << 20));
        assert_image(&disk, 8 << 20);
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_disk_that_grew_without_being_written_down_is_found_carried_whole_and_mended() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let builder = Volume::builder("disk").disk().size(8.mib());
        let disk = builder.create_on(Arc::clone(&backend)).await.unwrap();
        // As whoever is killed between the two leaves it.
        ext4::grow(image(&disk), 16.mib()).unwrap();
        let problems = backend.check().await.unwrap().problems;
        assert!(
            matches!(problems.as_slice(), [Problem::Size { actual, .. }] if *actual == 16.mib()),
            "{problems:?}"
        );
        let archive = place.path("archive");
        disk.export(std::fs::File::create(&archive).unwrap())
            .await
            .unwrap();
        let options = ImportOptions::new().name(name("theirs"));
        let from = Box::new(std::fs::File::open(&archive).unwrap());
        let theirs = backend.import(from, &options, &Progress::none()).await.unwrap();
        assert_eq!(theirs.form, VolumeForm::Disk { size: 16.mib() });
        let repair = backend.repair().await.unwrap();
        assert_eq!((repair.resized, repair.left), (vec![name("disk")], Vec::new()));
        let disk = Volume::get_on(Arc::clone(&backend), "disk").await.unwrap();
        assert_eq!(disk.capacity_bytes(), Some(16 << 20));
        assert_sound(&place.home()).await;
    });
}

/// Exported by the first version, when the tables of 16 groups lay together.
#[test]
fn an_archive_with_an_early_disk_is_read_and_the_disk_grows_and_is_written() {
    const EARLY: &[u8] = include_bytes!("../../../tests/fixtures/disk-1.tar.zst");
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let from = Box::new(std::io::Cursor::new(EARLY));
        let options = ImportOptions::new();
        backend.import(from, &options, &Progress::none()).await.unwrap();
        let mut disk = Volume::get_on(Arc::clone(&backend), "old").await.unwrap();
        assert_eq!(disk.labels()[0].to_string(), "made=early");
        assert_image(&disk, 3 << 30);
        let fs = disk.fs().unwrap();
        assert_eq!(fs.read_to_string("tree/link").unwrap(), "7\n");
        assert_eq!(fs.list("tree/dir").unwrap().len(), 300);
        disk.resize(Resize::Size(20.gib())).await.unwrap();
        assert_image(&disk, 20 << 30);
        fs.write("new", vec![7; 3 << 20]).unwrap();
        fs.remove_dir_all("tree").unwrap();
        assert_image(&disk, 20 << 30);
        let e2fsck = std::process::Command::new("e2fsck")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .arg("-fn")
            .arg(image(&disk))
            .output();
        match e2fsck {
            Ok(judged) => assert!(judged.status.success(), "{judged:?}"),
            Err(error) => eprintln!("not judged by e2fsck: {error}"),
        }
        assert_sound(&place.home()).await;
    });
}
