//! While it is mounted.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sandbox_filesystem::branch::{LayerInfo, OverlayConfig, OverlayMount, OverlayPlace};
use sandbox_types::Access;

use super::{Place, change, in_part, needs_overlay, places, read};
use crate::harness::{children_of, comes_true, is_root, mounts_with, root_of_a_namespace};

#[test]
fn what_is_written_is_in_the_upper_and_the_base_stays_as_it_is() {
    needs_overlay!();
    for way in places() {
        let place = Place::new();
        let mut overlay = OverlayMount::new(place.config().place(way));
        assert!(!overlay.is_mounted());
        overlay.setup().unwrap();
        assert!(overlay.is_mounted());
        let view = overlay.merged_path();
        assert_eq!(read(&view.join("kept")), "kept");
        change(view);
        assert_eq!(read(&view.join("dir/changed")), "new");
        assert!(!view.join("gone").exists());
        place.base_is_untouched();
        assert_eq!(place.read("layer/upper/a/b/made"), "made");
        assert_eq!(overlay.upper_path(), place.path("layer/upper"));
        assert_eq!(overlay.lower_path(), place.path("base"));
    }
}

#[test]
fn the_size_of_changes_is_that_of_files_and_deletions_are_told_as_well() {
    needs_overlay!();
    let place = Place::new();
    let mut overlay = place.overlay();
    overlay.setup().unwrap();
    assert_eq!(overlay.changes_size().unwrap(), 0);
    change(overlay.merged_path());
    std::os::unix::fs::symlink("a/b/made", overlay.merged_path().join("link")).unwrap();
    assert_eq!(overlay.changes_size().unwrap(), 7);
    let upper = LayerInfo::from_path("changes", overlay.upper_path(), Access::Write).unwrap();
    assert_eq!((upper.files, upper.deletions, upper.size), (3, 1, 7));
    assert!(upper.writable && upper.name == "changes");
    let base = LayerInfo::from_path("base", overlay.lower_path(), Access::Read).unwrap();
    assert_eq!((base.files, base.deletions, base.size), (3, 0, 11));
    assert!(!base.writable);
    let error = LayerInfo::from_path("none", place.path("nothing"), Access::Read).unwrap_err();
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[test]
fn the_root_of_the_view_looks_like_the_root_of_the_base() {
    needs_overlay!();
    let place = Place::new();
    fs::set_permissions(place.path("base"), fs::Permissions::from_mode(0o2750)).unwrap();
    let mut overlay = place.overlay();
    overlay.setup().unwrap();
    let mode = overlay.merged_path().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2750);
}

#[test]
fn layers_are_stacked_in_their_order_and_may_be_called_anything() {
    needs_overlay!();
    let place = Place::new();
    let mut config = place.config();
    for number in 0..40 {
        place.file(
            &format!(r"odd:na,me\ =x{number}/kept"),
            &format!("layer {number}"),
        );
        config = config.layer(place.path(&format!(r"odd:na,me\ =x{number}")));
    }
    let mut overlay = OverlayMount::new(config);
    overlay.setup().unwrap();
    assert_eq!(read(&overlay.merged_path().join("kept")), "layer 39");
    assert_eq!(read(&overlay.merged_path().join("gone")), "gone");
    assert_eq!(overlay.lower_path(), place.path("base"));
}

#[test]
fn a_private_view_shows_to_other_programs_of_the_user_and_in_no_mount_table() {
    needs_overlay!();
    let place = Place::new();
    let mut overlay = OverlayMount::new(place.config().place(OverlayPlace::Private));
    overlay.setup().unwrap();
    assert!(mounts_with(place.dir.path()).is_empty());
    assert!(
        !place.path("layer/overlayfs-merged").exists(),
        "nothing shows there"
    );
    let output = Command::new("sh")
        .args(["-c", "cat \"$1/kept\"; echo more >> \"$1/kept\"", "sh"])
        .arg(overlay.merged_path())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"kept");
    assert_eq!(place.read("layer/upper/kept"), "keptmore\n");
    place.base_is_untouched();
}

#[test]
fn root_sees_the_view_at_its_place_and_a_plain_user_has_it_privately() {
    needs_overlay!();
    let place = Place::new();
    let mut overlay = place.overlay();
    overlay.setup().unwrap();
    let is_at_its_place = overlay.merged_path() == place.path("layer/overlayfs-merged");
    assert_eq!(is_at_its_place, is_root());
    assert_eq!(mounts_with(place.dir.path()).len(), usize::from(is_root()));
}

#[test]
fn the_view_may_take_the_place_of_the_base() {
    needs_overlay!();
    in_part(name_of_test!(), root_of_a_namespace, |dir| {
        let base = dir.join("base");
        let mut config = OverlayConfig::new(&base, dir.join("layer/upper")).place(OverlayPlace::Merged);
        config.merged.clone_from(&base);
        let mut overlay = OverlayMount::new(config);
        overlay.setup().unwrap();
        change(&base);
        assert_eq!(read(&base.join("dir/changed")), "new");
        drop(overlay);
        assert_eq!(read(&base.join("dir/changed")), "old");
    });
}

#[test]
fn a_guard_holds_nothing_of_its_owner() {
    needs_overlay!();
    in_part(name_of_test!(), root_of_a_namespace, |dir| {
        let _ours = fs::File::open(dir.join("base/kept")).unwrap();
        let config = OverlayConfig::new(dir.join("base"), dir.join("layer/upper"));
        let mut overlay = OverlayMount::new(config.place(OverlayPlace::Merged));
        overlay.setup().unwrap();
        let guards = children_of(std::process::id());
        assert_eq!(guards.len(), 1);
        let held = || {
            let fds = fs::read_dir(format!("/proc/{}/fd", guards[0])).unwrap().flatten();
            let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
            targets.collect::<Vec<_>>()
        };
        // The word, the owner, which mount it is, and two locks.
        assert!(comes_true(|| held().len() == 5), "{:?}", held());
        assert!(held().contains(&dir.join("layer/upper")));
        overlay.cleanup().unwrap();
        assert!(!fs::exists(format!("/proc/{}", guards[0])).unwrap(), "reaped");
    });
}

#[test]
fn many_threads_mount_at_once() {
    needs_overlay!();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for way in places().into_iter().cycle().take(10) {
                    let place = Place::new();
                    let mut overlay = OverlayMount::new(place.config().place(way));
                    overlay.setup().unwrap();
                    change(overlay.merged_path());
                    assert_eq!(overlay.changes_size().unwrap(), 7);
                    overlay.cleanup().unwrap();
                    place.base_is_untouched();
                }
            });
        }
    });
}

#[test]
fn it_can_be_handed_to_and_looked_at_by_other_threads() {
    fn check<T: Send + Sync>() {}
    check::<OverlayMount>();
    check::<OverlayConfig>();
}

#[test]
fn names_that_are_no_text_are_names() {
    needs_overlay!();
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9\n");
    let base = place.dir.path().join(name);
    fs::create_dir(&base).unwrap();
    fs::write(base.join(name), "x").unwrap();
    let config = OverlayConfig::new(&base, place.path("layer").join(name));
    let mut overlay = OverlayMount::new(config);
    fs::create_dir(place.path("layer")).unwrap();
    overlay.setup().unwrap();
    fs::remove_file(overlay.merged_path().join(name)).unwrap();
    overlay.cleanup().unwrap();
    assert!(base.join(name).exists());
}
