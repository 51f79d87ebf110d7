//! What is wrong is found, said and mended; nothing that is there is lost.

use std::fs;
use std::sync::Arc;

use sandbox_types::SizeExt;

use super::place::{Place, assert_sound, name, run, volume};
use crate::backend::{Backend, Problem};
use crate::catalog::CatalogError;
use crate::error::VolumeError;
use crate::local::LocalBackend;
use crate::record::VolumeFilter;
use crate::volume::Volume;

/// A backend that can be closed, and itself as volumes want it.
async fn both(place: &Place) -> (LocalBackend, Arc<dyn Backend>) {
    let local = place.local().await;
    (local.clone(), Arc::new(local))
}

#[test]
fn a_damaged_catalog_is_an_error_with_a_hint_and_is_made_anew_from_the_directories() {
    for kind in ["text", "header", "inside"] {
        let place = Place::new();
        run(async {
            let (local, backend) = both(&place).await;
            let data = volume(&backend, "data").await;
            data.snapshot("first").await.unwrap();
            let builder = Volume::builder("limited").quota(5.mib()).label("k", "v");
            builder.create_on(Arc::clone(&backend)).await.unwrap();
            local.close().await;
        });
        damage(&place, kind);
        run(async {
            let backend = place.backend().await;
            let error = backend.list(&VolumeFilter::all()).await.map(drop);
            if let Err(error) = error {
                assert!(
                    matches!(error, VolumeError::Catalog(CatalogError::Damaged { .. })),
                    "{kind}: {error}"
                );
                assert!(error.hint().unwrap().contains("fsck --repair"), "{kind}");
            }
            assert_ne!(backend.check().await.unwrap().problems, [], "{kind}");
            let repair = backend.repair().await.unwrap();
            assert!(repair.set_aside.unwrap().exists(), "{kind}");
            assert_eq!((repair.found.len(), repair.found_snapshots), (2, 1), "{kind}");
            assert_eq!(repair.left, [], "{kind}");
            let data = Volume::get_on(Arc::clone(&backend), "data").await.unwrap();
            assert_eq!(data.fs().unwrap().read_to_string("file").unwrap(), "data");
            assert_eq!(data.snapshots().await.unwrap().len(), 1);
            let limited = Volume::get_on(Arc::clone(&backend), "limited").await.unwrap();
            assert_eq!((limited.quota_mib(), limited.labels()[0].value()), (Some(5), "v"));
            assert_sound(&place.home()).await;
        });
    }
}

#[test]
fn of_many_who_mend_a_catalog_at_once_one_does_and_whoever_lists_meanwhile_sees_all_or_an_error() {
    for kind in ["text", "header", "inside"] {
        let place = Place::new();
        run(async {
            let (local, backend) = both(&place).await;
            for name in ["one", "two", "three"] {
                volume(&backend, name).await;
            }
            local.close().await;
        });
        damage(&place, kind);
        run(async {
            let mut menders = Vec::new();
            for _ in 0..6 {
                let (mender, lister) = (place.local().await, place.local().await);
                menders.push(tokio::spawn(async move { mender.repair().await.unwrap() }));
                tokio::spawn(async move {
                    // What is damaged in its inside may look like an empty one to whoever does not look closer.
                    if let Ok(found) = lister.list(&VolumeFilter::all()).await {
                        assert!([0, 3].contains(&found.len()), "{kind}: {found:?}");
                    }
                });
            }
            let mut repairs = Vec::new();
            for mender in menders {
                repairs.push(mender.await.unwrap());
            }
            let aside = repairs.iter().filter(|repair| repair.set_aside.is_some());
            assert_eq!(aside.count(), 1, "{kind}");
            let found: Vec<_> = repairs.iter().map(|repair| repair.found.len()).collect();
            assert_eq!(found.iter().sum::<usize>(), 3, "{kind}: {found:?}");
            assert!(repairs.iter().all(|repair| repair.left.is_empty()), "{kind}");
            assert_sound(&place.home()).await;
        });
    }
}

#[test]
fn what_a_crash_left_half_done_is_not_lost_with_the_catalog() {
    for kind in ["text", "header", "inside"] {
        let place = Place::new();
        run(async {
            let (local, backend) = both(&place).await;
            let data = volume(&backend, "data").await;
            data.snapshot("first").await.unwrap();
            local.close().await;
        });
        // As after a crash between the row and the move to where it belongs, or between the move back and the end of the row.
        let volumes = place.home().join("volumes");
        let pending = volumes.join(".pending");
        for directory in [volumes.clone(), volumes.join(".snapshots")] {
            for entry in fs::read_dir(&directory).unwrap() {
                let entry = entry.unwrap();
                if !entry.file_name().to_string_lossy().starts_with('.') {
                    fs::rename(entry.path(), pending.join(entry.file_name())).unwrap();
                }
            }
        }
        // Half removed, or half made.
        fs::create_dir_all(pending.join("0123456789abcdef/data")).unwrap();
        assert_eq!(fs::read_dir(&pending).unwrap().count(), 3, "{kind}");
        damage(&place, kind);
        run(async {
            let backend = place.backend().await;
            let repair = backend.repair().await.unwrap();
            assert_eq!((repair.found.len(), repair.found_snapshots), (1, 1), "{kind}");
            assert_eq!(repair.left, [], "{kind}");
            let data = Volume::get_on(Arc::clone(&backend), "data").await.unwrap();
            assert_eq!(data.fs().unwrap().read_to_string("file").unwrap(), "data");
            assert_eq!(data.snapshots().await.unwrap().len(), 1, "{kind}");
            assert_sound(&place.home()).await;
        });
        assert_eq!(fs::read_dir(&pending).unwrap().count(), 0, "{kind}");
    }
}

#[test]
fn whoever_has_a_catalog_open_that_is_made_anew_goes_on_with_the_new_one() {
    let place = Place::new();
    run(async {
        let (one, other) = (place.backend().await, place.local().await);
        volume(&one, "before").await;
        let path = place.home().join("catalog.db");
        for suffix in ["", "-wal"] {
            fs::write(
                path.with_file_name(format!("catalog.db{suffix}")),
                vec![b'x'; 8192],
            )
            .unwrap();
        }
        assert_eq!(other.repair().await.unwrap().found.len(), 1);
        volume(&one, "after").await;
        drop(one);
        // What another one still does by an old number reaches nothing.
        for volume in ["before", "after"] {
            let row = other
                .catalog()
                .await
                .unwrap()
                .volume(&name(volume))
                .await
                .unwrap();
            assert!(row.unwrap().id > 1_000_000_000);
        }
        let names = other.list(&VolumeFilter::all()).await.unwrap();
        let names: Vec<_> = names.iter().map(|record| record.name.to_string()).collect();
        assert_eq!(names, ["after", "before"]);
        assert_sound(&place.home()).await;
    });
}

/// Damages the file, which has everything in it once it is closed.
fn damage(place: &Place, kind: &str) {
    let path = place.home().join("catalog.db");
    for suffix in ["-wal", "-shm"] {
        let other = path.with_file_name(format!("catalog.db{suffix}"));
        assert!(!other.exists(), "the last one to close it leaves no {suffix}");
    }
    let mut bytes = fs::read(&path).unwrap();
    match kind {
        "text" => bytes = b"this is no catalog, and long enough to be taken for one".repeat(20),
        "header" => bytes[..16].fill(0),
        _ => {
            // Every page but the first, which says how large they are.
            for page in bytes[4096..].chunks_mut(4096) {
                page[..64].fill(0xff);
            }
        }
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_directory_without_a_row_and_a_row_without_a_directory_are_found_and_mended() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "kept").await;
        let lost = volume(&backend, "lost").await;
        let orphan = place.home().join("volumes/00000000000000aa");
        let kept = Volume::get_on(Arc::clone(&backend), "kept").await.unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([kept.record().directory.as_ref().unwrap(), &orphan])
            .status();
        assert!(copied.unwrap().success());
        fs::remove_dir_all(lost.record().directory.as_ref().unwrap()).unwrap();
        let error = lost.fs().unwrap_err();
        assert!(matches!(error, VolumeError::Missing { .. }), "{error}");
        let problems = backend.check().await.unwrap().problems;
        assert!(
            problems.contains(&Problem::Orphan { path: orphan }),
            "{problems:?}"
        );
        let is_missing =
            |problem: &Problem| matches!(problem, Problem::Missing { volume, .. } if *volume == name("lost"));
        assert!(problems.iter().any(is_missing), "{problems:?}");
        let repair = backend.repair().await.unwrap();
        assert_eq!(repair.lost, [name("lost")]);
        // Its name is taken.
        assert_eq!(repair.found, [name("kept-00000000000000aa")]);
        assert_eq!(backend.list(&VolumeFilter::all()).await.unwrap().len(), 2);
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_manifest_that_is_damaged_is_written_anew_from_the_catalog() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let data = volume(&backend, "data").await;
        fs::write(data.record().directory.as_ref().unwrap().join("volume.json"), "{").unwrap();
        assert_eq!(backend.check().await.unwrap().problems.len(), 1);
        assert_eq!(backend.repair().await.unwrap().manifests, 1);
        assert_sound(&place.home()).await;
    });
}

/// A directory of another user in a volume, a mount, a full disk: here a link, which nobody of ours has made and nobody follows.
#[test]
fn what_cannot_be_settled_is_said_and_in_nobodys_way() {
    let place = Place::new();
    run(async {
        volume(&place.backend().await, "data").await;
        let left = place.home().join("volumes/.pending/00000000000000bb");
        std::os::unix::fs::symlink("nowhere", &left).unwrap();
        let backend = place.backend().await;
        let data = Volume::get_on(Arc::clone(&backend), "data").await.unwrap();
        assert_eq!(data.fs().unwrap().read_to_string("file").unwrap(), "data");
        volume(&backend, "more").await.remove().await.unwrap();
        let problems = backend.check().await.unwrap().problems;
        let is_said = matches!(problems.as_slice(), [Problem::Leftover { path, .. }] if *path == left);
        assert!(is_said, "{problems:?}");
        assert_eq!(backend.repair().await.unwrap().left, problems);
        fs::remove_file(left).unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_volume_that_holds_nothing_any_more_is_said_and_can_be_removed() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let data = volume(&backend, "data").await;
        fs::remove_dir_all(data.path().unwrap()).unwrap();
        let problems = backend.check().await.unwrap().problems;
        let is_said =
            matches!(problems.as_slice(), [Problem::Empty { volume, .. }] if *volume == name("data"));
        assert!(is_said, "{problems:?}");
        data.remove().await.unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_volume_that_cannot_be_looked_into_is_not_taken_for_a_sound_or_an_empty_one() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let path = volume(&backend, "data").await.path().unwrap();
        let above = path.parent().unwrap();
        let allow = |mode| fs::set_permissions(above, fs::Permissions::from_mode(mode)).unwrap();
        allow(0o000);
        let problems = backend.check().await.unwrap().problems;
        allow(0o700);
        let is_said = problems
            .iter()
            .any(|problem| matches!(problem, Problem::Closed { volume, .. } if *volume == name("data")));
        // Root may look everywhere.
        assert_eq!(is_said, !rustix::process::geteuid().is_root(), "{problems:?}");
        assert!(
            !problems
                .iter()
                .any(|problem| matches!(problem, Problem::Empty { .. }))
        );
        assert_sound(&place.home()).await;
    });
}

#[test]
fn snapshots_of_a_volume_that_was_restored_and_renamed_are_found_by_a_new_catalog() {
    let place = Place::new();
    run(async {
        let local = place.local().await;
        let backend: Arc<dyn Backend> = Arc::new(local.clone());
        let mut data = volume(&backend, "data").await;
        data.snapshot("first").await.unwrap();
        data.restore("first").await.unwrap();
        backend.rename(&name("data"), &name("moved")).await.unwrap();
        volume(&backend, "data").await;
        local.close().await;
    });
    damage(&place, "text");
    run(async {
        let backend = place.backend().await;
        let repair = backend.repair().await.unwrap();
        assert_eq!((repair.found_snapshots, repair.left), (1, Vec::new()));
        let moved = Volume::get_on(Arc::clone(&backend), "moved").await.unwrap();
        assert_eq!(moved.snapshots().await.unwrap().len(), 1);
        assert_sound(&place.home()).await;
    });
}
