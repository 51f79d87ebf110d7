//! Clones, snapshots, restoring.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use sandbox_types::Label;

use super::place::{Place, assert_sound, name, run, volume};
use crate::backend::{CloneSource, Snapshots};
use crate::copy::{CopyProgress, Progress};
use crate::error::VolumeError;
use crate::volume::Volume;

#[test]
fn a_clone_has_the_files_and_is_no_part_of_what_it_was_made_of() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let data = volume(&backend, "data").await;
        let fs = data.fs().unwrap();
        fs.mkdir_all("a/b").unwrap();
        fs.write("a/b/deep", vec![7; 3 << 20]).unwrap();
        fs.write("hole", "").unwrap();
        fs.set_len("hole", 1 << 30).unwrap();
        fs.symlink("a/b/deep", "link").unwrap();
        let told = Arc::new(Mutex::new(CopyProgress::default()));
        let progress = Progress::new({
            let told = Arc::clone(&told);
            move |now| *told.lock().unwrap() = now
        });
        let labels = [Label::new("of", "data").unwrap()];
        let clone = data.clone_as("clone", &labels, &progress).await.unwrap();
        assert_eq!((clone.labels().len(), clone.labels()[0].value()), (1, "data"));
        let copied = clone.fs().unwrap();
        assert_eq!(copied.read("link").unwrap(), vec![7; 3 << 20]);
        let hole = clone.path().unwrap().join("hole").metadata().unwrap();
        assert_eq!((hole.len(), hole.blocks()), (1 << 30, 0), "a hole stays one");
        assert!(told.lock().unwrap().bytes >= 3 << 20);
        copied.write("file", "changed").unwrap();
        assert_eq!(fs.read_to_string("file").unwrap(), "data");
        let error = data.clone_as("clone", &[], &Progress::none()).await.unwrap_err();
        assert!(matches!(error, VolumeError::AlreadyExists { .. }), "{error}");
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_snapshot_brings_back_what_was_and_can_be_cloned() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut data = volume(&backend, "data").await;
        data.snapshot("first").await.unwrap();
        data.fs().unwrap().write("file", "later").unwrap();
        data.snapshot("second").await.unwrap();
        let error = data.snapshot("first").await.unwrap_err();
        assert!(matches!(error, VolumeError::SnapshotExists { .. }), "{error}");
        let names: Vec<_> = data
            .snapshots()
            .await
            .unwrap()
            .into_iter()
            .map(|found| found.name)
            .collect();
        assert_eq!(names, [name("second"), name("first")]);
        data.restore("first").await.unwrap();
        assert_eq!(data.fs().unwrap().read_to_string("file").unwrap(), "data");
        let source = CloneSource {
            volume: data.name(),
            snapshot: Some(&name("second")),
        };
        backend
            .clone_volume(source, &name("clone"), &[], &Progress::none())
            .await
            .unwrap();
        let clone = Volume::get_on(Arc::clone(&backend), "clone").await.unwrap();
        assert_eq!(clone.fs().unwrap().read_to_string("file").unwrap(), "later");
        let error = data.restore("third").await.unwrap_err();
        assert!(matches!(error, VolumeError::NoSnapshot { .. }), "{error}");
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_volume_with_snapshots_is_not_removed_by_accident() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let data = volume(&backend, "data").await;
        data.snapshot("first").await.unwrap();
        let error = data.clone().remove().await.unwrap_err();
        assert!(
            matches!(error, VolumeError::HasSnapshots { count: 1, .. }),
            "{error}"
        );
        backend
            .remove_snapshot(&name("data"), &name("first"))
            .await
            .unwrap();
        data.snapshot("second").await.unwrap();
        backend.remove(&name("data"), Snapshots::Remove).await.unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn trees_deeper_than_paths_are_long_are_counted_copied_carried_and_removed() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let builder = Volume::builder("data").quota(sandbox_types::ByteSize::from_bytes(64 << 20));
        let data = builder.create_on(Arc::clone(&backend)).await.unwrap();
        let mut at: std::os::fd::OwnedFd = std::fs::File::open(data.path().unwrap()).unwrap().into();
        let name = "d".repeat(250);
        for _ in 0..40 {
            rustix::fs::mkdirat(&at, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::RDONLY;
            at = rustix::fs::openat(&at, name.as_str(), flags, rustix::fs::Mode::empty()).unwrap();
        }
        let each = 1024 + 32 + 250;
        assert_eq!(data.used_bytes().await.unwrap(), 40 * each);
        let clone = data.clone_as("clone", &[], &Progress::none()).await.unwrap();
        assert_eq!(clone.used_bytes().await.unwrap(), 40 * each);
        let archive = place.path("archive");
        data.export(std::fs::File::create(&archive).unwrap())
            .await
            .unwrap();
        let options = crate::archive::ImportOptions::new().name(super::place::name("theirs"));
        let from = Box::new(std::fs::File::open(&archive).unwrap());
        backend.import(from, &options, &Progress::none()).await.unwrap();
        let theirs = Volume::get_on(Arc::clone(&backend), "theirs").await.unwrap();
        assert_eq!(theirs.used_bytes().await.unwrap(), 40 * each);
        for volume in [data, clone, theirs] {
            volume.remove().await.unwrap();
        }
        assert_sound(&place.home()).await;
    });
}
