//! The ways in which it ends, wanted or not.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use sandbox_filesystem::branch::{OverlayConfig, OverlayError, OverlayMount, OverlayPlace};

use super::{Place, change, in_part, needs_overlay, places, read};
use crate::harness::{
    children_of, comes_true, kill, mounts_with, other_process, part, root_of_a_namespace, wait_for,
};

#[test]
fn cleaning_up_leaves_the_upper_and_nothing_else_and_is_harmless_when_repeated() {
    needs_overlay!();
    for way in places() {
        let place = Place::new();
        let mut overlay = OverlayMount::new(place.config().place(way));
        overlay.cleanup().unwrap();
        overlay.setup().unwrap();
        change(overlay.merged_path());
        overlay.cleanup().unwrap();
        assert!(!overlay.is_mounted());
        assert!(mounts_with(place.dir.path()).is_empty());
        assert!(!place.path("layer/overlayfs-work").exists());
        assert_eq!(place.read("layer/upper/dir/changed"), "new");
        overlay.cleanup().unwrap();
        place.base_is_untouched();
    }
}

#[test]
fn an_overlay_that_is_dropped_is_not_mounted_any_more() {
    needs_overlay!();
    for way in places() {
        let place = Place::new();
        let descriptors = || {
            let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
            let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
            targets
                .filter(|target| target.starts_with(place.dir.path()))
                .count()
        };
        let mut overlay = OverlayMount::new(place.config().place(way));
        overlay.setup().unwrap();
        // Somebody who uses it does not keep it.
        let used = fs::File::open(overlay.merged_path().join("kept")).unwrap();
        drop(overlay);
        assert!(mounts_with(place.dir.path()).is_empty());
        assert!(!place.path("layer/overlayfs-work").exists());
        drop(used);
        assert_eq!(descriptors(), 0);
        place.overlay().setup().unwrap();
    }
}

#[test]
fn a_view_that_somebody_uses_is_not_cleaned_up_under_them() {
    needs_overlay!();
    in_part(name_of_test!(), root_of_a_namespace, |dir| {
        let config = OverlayConfig::new(dir.join("base"), dir.join("layer/upper"));
        let mut overlay = OverlayMount::new(config.place(OverlayPlace::Merged));
        overlay.setup().unwrap();
        let used = fs::File::open(overlay.merged_path().join("kept")).unwrap();
        let error = overlay.cleanup().unwrap_err();
        assert!(matches!(error, OverlayError::Busy { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("fuser")));
        assert!(overlay.is_mounted());
        drop(used);
        overlay.cleanup().unwrap();
    });
}

#[test]
fn what_is_kept_is_there_at_the_next_set_up_deletions_among_it() {
    needs_overlay!();
    let place = Place::new();
    let mut overlay = place.overlay();
    overlay.setup().unwrap();
    change(overlay.merged_path());
    overlay.keep().unwrap();
    let mut next = place.overlay();
    next.setup().unwrap();
    assert_eq!(read(&next.merged_path().join("dir/changed")), "new");
    assert!(!next.merged_path().join("gone").exists());
    place.base_is_untouched();
}

#[test]
fn what_is_discarded_is_gone_and_the_base_is_fresh() {
    needs_overlay!();
    let place = Place::new();
    let mut overlay = place.overlay();
    overlay.setup().unwrap();
    change(overlay.merged_path());
    fs::remove_dir_all(overlay.merged_path().join("dir")).unwrap();
    fs::create_dir(overlay.merged_path().join("dir")).unwrap();
    overlay.discard().unwrap();
    assert!(!overlay.is_mounted());
    assert_eq!(overlay.changes_size().unwrap(), 0);
    assert_eq!(fs::read_dir(place.path("layer/upper")).unwrap().count(), 0);
    overlay.setup().unwrap();
    assert_eq!(read(&overlay.merged_path().join("dir/changed")), "old");
    assert_eq!(read(&overlay.merged_path().join("gone")), "gone");
    drop(overlay);
    // Also one that was never mounted, or never made.
    place.overlay().discard().unwrap();
    OverlayMount::new(OverlayConfig::new(place.path("base"), place.path("never/upper")))
        .discard()
        .unwrap();
}

#[test]
fn a_view_becomes_a_new_base_for_a_fresh_upper() {
    needs_overlay!();
    for way in places() {
        let place = Place::new();
        let mut overlay = OverlayMount::new(place.config().place(way));
        let new_base = place.path("new");
        let error = overlay.commit_to(&new_base).unwrap_err();
        assert!(matches!(error, OverlayError::NotMounted), "{error}");
        overlay.setup().unwrap();
        change(overlay.merged_path());
        overlay.commit_to(&new_base).unwrap();
        assert_eq!(place.read("new/dir/changed"), "new");
        assert_eq!(place.read("new/kept"), "kept");
        assert!(!place.path("new/gone").exists());
        assert_ne!(
            place.path("new/dir/changed").metadata().unwrap().ino(),
            place.path("layer/upper/dir/changed").metadata().unwrap().ino()
        );
        let error = overlay.commit_to(&new_base).unwrap_err();
        assert!(matches!(error, OverlayError::Exists { .. }), "{error}");
        for inside in ["base/new", "layer/upper/new"] {
            let error = overlay.commit_to(place.path(inside)).unwrap_err();
            assert!(matches!(error, OverlayError::Nested { .. }), "{error}");
        }
        overlay.discard().unwrap();
        let mut next = OverlayMount::new(OverlayConfig::new(&new_base, place.path("fresh/upper")));
        next.setup().unwrap();
        assert_eq!(read(&next.merged_path().join("a/b/made")), "made");
        assert_eq!(next.changes_size().unwrap(), 0);
    }
}

#[test]
fn an_owner_that_is_killed_leaves_no_mount_no_process_and_an_upper_that_can_be_used() {
    needs_overlay!();
    if let Some(dir) = part() {
        let way = if dir.join("merged").exists() {
            OverlayPlace::Merged
        } else {
            OverlayPlace::Private
        };
        let config = OverlayConfig::new(dir.join("base"), dir.join("layer/upper")).place(way);
        let mut overlay = OverlayMount::new(config);
        overlay.setup().unwrap();
        change(overlay.merged_path());
        std::io::stdout().write_all(b"ready\n").unwrap();
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    for way in places() {
        let place = Place::new();
        if way == OverlayPlace::Merged {
            place.file("merged", "");
        }
        let mut owner = other_process(name_of_test!(), place.dir.path()).spawn().unwrap();
        wait_for(&mut owner, "ready\n");
        let busy = place.overlay().setup().unwrap_err();
        assert!(busy.to_string().contains(&owner.id().to_string()), "{busy}");
        let guards = children_of(owner.id());
        assert_eq!(guards.len(), usize::from(way == OverlayPlace::Merged));
        kill(owner);
        assert!(comes_true(|| mounts_with(place.dir.path()).is_empty()));
        let is_gone = |pid: &u32| !fs::exists(format!("/proc/{pid}")).unwrap();
        assert!(comes_true(|| guards.iter().all(is_gone)));
        let mut next = place.overlay();
        assert!(comes_true(|| next.setup().is_ok()), "nobody holds it");
        assert_eq!(read(&next.merged_path().join("dir/changed")), "new");
        next.cleanup().unwrap();
        assert!(!place.path("layer/overlayfs-work").exists());
        place.base_is_untouched();
    }
}

#[test]
fn an_upper_that_was_mounted_when_the_machine_went_down_is_refused_until_somebody_says_so() {
    needs_overlay!();
    let place = Place::new();
    place.file("layer/upper/a", "made");
    let work = place.path("layer/overlayfs-work");
    place.file("layer/overlayfs-work/boot", "another boot");
    let error = place.overlay().setup().unwrap_err();
    assert!(matches!(error, OverlayError::Unsettled { .. }), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(work.to_str().unwrap()), "{hint}");
    assert_eq!(place.read("layer/upper/a"), "made");
    place.overlay().discard().unwrap();
    assert!(!work.exists() && !place.path("layer/upper/a").exists());
    place.overlay().setup().unwrap();
}
