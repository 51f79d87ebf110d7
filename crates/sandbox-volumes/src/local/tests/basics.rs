//! The life of a volume.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sandbox_types::{ByteSize, Label, Quota, SizeExt, VolumeForm, VolumeKind, VolumeSpec};

use super::place::{Place, assert_sound, name, run, volume};
use crate::backend::{BackendKind, Resize, Snapshots};
use crate::error::VolumeError;
use crate::record::VolumeFilter;
use crate::volume::Volume;

#[test]
fn a_volume_is_made_found_listed_and_removed() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let made = Volume::builder("data")
            .quota(3.mib())
            .inodes(100)
            .label("b", "2")
            .label("a", "1")
            .create_on(Arc::clone(&backend))
            .await
            .unwrap();
        assert_eq!(made.kind(), VolumeKind::Directory);
        assert_eq!(
            (made.quota_mib(), made.capacity_bytes()),
            (Some(3), Some(3 << 20))
        );
        assert_eq!((made.disk_format(), made.disk_path().unwrap()), (None, None));
        assert_eq!(format!("{made:?}"), r#"Volume { name: "data", backend: Local }"#);
        assert!(made.path().unwrap().is_dir());
        assert!(made.created_at().elapsed().unwrap() < Duration::from_mins(1));
        let found = Volume::get_on(Arc::clone(&backend), "data").await.unwrap();
        assert_eq!(found.record(), made.record());
        let labels: Vec<_> = found.labels().iter().map(ToString::to_string).collect();
        assert_eq!(labels, ["b=2", "a=1"], "in the order they were given");
        assert_eq!(found.backend_kind(), BackendKind::Local);
        found.remove().await.unwrap();
        let error = Volume::get_on(backend, "data").await.unwrap_err();
        assert!(matches!(error, VolumeError::NotFound { .. }), "{error}");
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_list_is_newest_first_and_filtered() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut before = SystemTime::UNIX_EPOCH;
        for (index, number) in ["one", "two", "three"].into_iter().enumerate() {
            if index == 2 {
                before = SystemTime::now();
            }
            let builder = Volume::builder(number).label("size", if index < 2 { "small" } else { "large" });
            builder.create_on(Arc::clone(&backend)).await.unwrap();
        }
        let names = async |filter: VolumeFilter| -> Vec<String> {
            let found = Volume::list_on(Arc::clone(&backend), &filter).await.unwrap();
            for volume in &found {
                assert!(filter.matches(volume.record()), "{volume:?}");
            }
            found.iter().map(|volume| volume.name().to_string()).collect()
        };
        assert_eq!(names(VolumeFilter::all()).await, ["three", "two", "one"]);
        let small = Label::new("size", "small").unwrap();
        assert_eq!(
            names(VolumeFilter::all().label(small.clone())).await,
            ["two", "one"]
        );
        assert_eq!(names(VolumeFilter::all().key("size")).await.len(), 3);
        assert_eq!(names(VolumeFilter::all().key("other")).await.len(), 0);
        assert_eq!(names(VolumeFilter::all().before(before)).await, ["two", "one"]);
        let pruned = Volume::prune_on(Arc::clone(&backend), &VolumeFilter::all().label(small))
            .await
            .unwrap();
        assert!(pruned.iter().all(|(_, result)| result.is_ok()));
        assert_eq!(names(VolumeFilter::all()).await, ["three"]);
    });
}

#[test]
fn a_volume_is_made_once_however_many_ensure_it() {
    let place = Place::new();
    run(async {
        let spec = VolumeSpec::builder("data").quota(1.mib()).build().unwrap();
        let mut all = Vec::new();
        for _ in 0..8 {
            let (backend, spec) = (place.backend().await, spec.clone());
            all.push(tokio::spawn(
                async move { Volume::ensure_on(backend, &spec).await },
            ));
        }
        for one in all {
            one.await.unwrap().unwrap();
        }
        assert_eq!(place.names("volumes").len(), 1);
        let other = VolumeSpec::builder("data").quota(2.mib()).build().unwrap();
        let error = Volume::ensure_on(place.backend().await, &other)
            .await
            .unwrap_err();
        assert!(
            matches!(error, VolumeError::Differs { what: "quota", .. }),
            "{error}"
        );
        let error = Volume::create_on(place.backend().await, &spec).await.unwrap_err();
        assert!(matches!(error, VolumeError::AlreadyExists { .. }), "{error}");
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_volume_keeps_its_files_under_another_name() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut data = volume(&backend, "data").await;
        volume(&backend, "taken").await;
        let error = data.rename("taken").await.unwrap_err();
        assert!(matches!(error, VolumeError::AlreadyExists { .. }), "{error}");
        data.rename("moved").await.unwrap();
        assert_eq!(data.fs().unwrap().read_to_string("file").unwrap(), "data");
        assert!(Volume::get_on(Arc::clone(&backend), "data").await.is_err());
        volume(&backend, "data").await;
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_quota_goes_up_and_down_to_what_is_in_use() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut data = volume(&backend, "data").await;
        data.fs().unwrap().write("large", vec![1; 2 << 20]).unwrap();
        let quota = |bytes: ByteSize| {
            Resize::Quota(Quota {
                bytes: Some(bytes),
                inodes: None,
            })
        };
        data.resize(quota(8.mib())).await.unwrap();
        assert_eq!(data.quota_mib(), Some(8));
        let error = data.resize(quota(1.mib())).await.unwrap_err();
        assert!(matches!(error, VolumeError::QuotaBelowUse { .. }), "{error}");
        let inodes = Resize::Quota(Quota {
            bytes: None,
            inodes: Some(1),
        });
        let error = data.resize(inodes).await.unwrap_err();
        assert!(matches!(error, VolumeError::InodesBelowUse { .. }), "{error}");
        data.resize(quota(4.mib())).await.unwrap();
        data.resize(Resize::Quota(Quota::NONE)).await.unwrap();
        assert_eq!(data.form(), VolumeForm::Directory { quota: Quota::NONE });
        let error = data.resize(Resize::Size(8.mib())).await.unwrap_err();
        assert!(matches!(error, VolumeError::Unsupported { .. }), "{error}");
        assert_sound(&place.home()).await;
    });
}

#[test]
fn what_is_used_is_counted_and_remembered_with_its_age() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let data = volume(&backend, "data").await;
        assert_eq!(data.record().usage, None);
        let first = data.used_bytes().await.unwrap();
        data.fs().unwrap().write("more", vec![1; 1 << 20]).unwrap();
        let old = data.usage(Duration::from_hours(1)).await.unwrap();
        assert_eq!(old.bytes.bytes(), first, "an hour old is young enough");
        assert!(data.used_bytes().await.unwrap() >= first + (1 << 20));
        let listed = backend.list(&VolumeFilter::all()).await.unwrap();
        assert!(listed[0].usage.unwrap().bytes.bytes() > first);
    });
}

#[test]
fn removing_what_is_not_there_is_an_error_and_twice_is_too() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "data").await;
        backend.remove(&name("data"), Snapshots::Refuse).await.unwrap();
        let error = backend
            .remove(&name("data"), Snapshots::Refuse)
            .await
            .unwrap_err();
        assert!(matches!(error, VolumeError::NotFound { .. }), "{error}");
        // A lock file of a name is gone with its volume.
        let locks = std::fs::read_dir(place.home().join("volumes/.locks")).unwrap();
        assert!(locks.count() <= 1);
    });
}
