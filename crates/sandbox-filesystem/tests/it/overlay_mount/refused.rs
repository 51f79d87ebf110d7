//! What cannot be mounted, said before anything is made.

use std::fs;
use std::path::Path;

use sandbox_filesystem::branch::{OverlayConfig, OverlayError, OverlayMount, OverlayPlace, Unsuitable};

use super::{Place, change, in_part, needs_overlay};
use crate::harness::{passes, root_of_a_namespace, without_capabilities};

fn refused(config: OverlayConfig) -> OverlayError {
    OverlayMount::new(config)
        .setup()
        .expect_err("it cannot be mounted")
}

#[test]
fn a_layer_that_is_missing_or_a_file_is_named() {
    let place = Place::new();
    let upper = place.path("layer/upper");
    let error = refused(OverlayConfig::new(place.path("nothing"), &upper));
    assert!(matches!(&error, OverlayError::Layer { .. }), "{error}");
    assert!(error.to_string().contains("nothing"), "{error}");
    let error = refused(OverlayConfig::new(place.path("base/kept"), &upper));
    assert!(matches!(&error, OverlayError::NotADirectory { .. }), "{error}");
    let error = refused(place.config().layer(place.path("nothing")));
    assert!(matches!(&error, OverlayError::Layer { .. }), "{error}");
    let mut config = place.config();
    config.lowers.clear();
    assert!(matches!(refused(config), OverlayError::NoLower));
    assert!(!place.path("layer").exists(), "nothing was made");
}

#[test]
fn directories_inside_one_another_are_refused_and_not_made() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    let nested = |config: OverlayConfig| {
        let error = refused(config);
        assert!(matches!(error, OverlayError::Nested { .. }), "{error}");
        assert!(error.hint().is_some());
    };
    nested(OverlayConfig::new(path("base"), path("base")));
    nested(OverlayConfig::new(path("base"), path("base/upper")));
    nested(OverlayConfig::new(path("base"), path("base/../base/dir/upper")));
    nested(OverlayConfig::new(path("base/dir"), path("base")));
    std::os::unix::fs::symlink("base", path("link")).unwrap();
    nested(OverlayConfig::new(path("base"), path("link/upper")));
    let with = |set: &dyn Fn(&mut OverlayConfig)| {
        let mut config = place.config().place(OverlayPlace::Merged);
        set(&mut config);
        nested(config);
    };
    with(&|config| config.work = path("layer/upper/work"));
    with(&|config| config.work = path("base/work"));
    with(&|config| config.work = path("layer"));
    with(&|config| config.merged = path("layer/upper"));
    with(&|config| config.merged = path("layer/overlayfs-work/merged"));
    with(&|config| config.merged = path("base/merged"));
    assert!(!path("layer").exists() && !path("base/upper").exists());
    place.base_is_untouched();
}

#[test]
fn an_upper_is_mounted_once_and_its_holder_is_named() {
    needs_overlay!();
    let place = Place::new();
    let mut first = place.overlay();
    first.setup().unwrap();
    let again = first.setup().unwrap_err();
    assert!(matches!(again, OverlayError::Mounted { .. }), "{again}");
    let error = refused(place.config());
    let OverlayError::InUse { holder, path } = &error else {
        panic!("{error}");
    };
    assert_eq!(holder.as_ref().unwrap().pid, std::process::id());
    assert_eq!(path, &place.path("layer/upper"));
    // Another upper with the same work directory as well.
    let error = refused(OverlayConfig::new(place.path("base"), place.path("layer/second")));
    assert!(matches!(error, OverlayError::InUse { .. }), "{error}");
    change(first.merged_path());
    first.cleanup().unwrap();
    place.overlay().setup().unwrap();
}

#[test]
fn a_work_directory_that_is_something_else_is_left_alone() {
    let place = Place::new();
    let mut config = place.config();
    config.work = place.path("precious");
    let file = place.file("precious/file", "precious");
    let error = refused(config.clone());
    assert!(matches!(error, OverlayError::WorkInUse { .. }), "{error}");
    let error = OverlayMount::new(config).discard().unwrap_err();
    assert!(matches!(error, OverlayError::WorkInUse { .. }), "{error}");
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn without_privileges_nothing_is_mounted_where_others_see_it() {
    in_part(name_of_test!(), without_capabilities, |dir| {
        let config = OverlayConfig::new(dir.join("base"), dir.join("layer/upper"));
        let error = refused(config.place(OverlayPlace::Merged));
        assert!(matches!(error, OverlayError::NotPrivileged { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("Auto")));
        assert!(!dir.join("layer/overlayfs-merged").exists());
        assert!(!dir.join("layer/overlayfs-work").exists());
    });
}

#[test]
fn a_mount_inside_a_layer_is_named() {
    needs_overlay!();
    in_part(name_of_test!(), root_of_a_namespace, |dir| {
        let inside = dir.join("base/dir");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", &inside, "tmpfs", flags, None).unwrap();
        let error = refused(OverlayConfig::new(dir.join("base"), dir.join("layer/upper")));
        match error {
            OverlayError::Unsuitable(Unsuitable::Submount { path }) => assert_eq!(path, inside),
            error => panic!("{error}"),
        }
    });
}

#[test]
fn an_upper_on_a_file_system_that_cannot_be_one_is_named() {
    needs_overlay!();
    in_part(name_of_test!(), root_of_a_namespace, |dir| {
        let config = OverlayConfig::new(dir.join("base"), dir.join("layer/upper"));
        let mut first = OverlayMount::new(config.place(OverlayPlace::Merged));
        first.setup().unwrap();
        let within = first.merged_path().join("upper");
        let error = refused(OverlayConfig::new(dir.join("base"), within));
        assert!(error.to_string().contains("overlayfs"), "{error}");
        let kind = |error: &OverlayError| {
            matches!(
                error,
                OverlayError::Unsuitable(Unsuitable::Upper {
                    kind: "overlayfs",
                    ..
                })
            )
        };
        assert!(kind(&error), "{error}");
        assert!(error.hint().is_some());
    });
}

#[test]
fn where_there_are_no_namespaces_nothing_is_mounted_and_the_hint_says_who_knows_why() {
    needs_overlay!();
    let outside = |name: &str, place: &Path| {
        let mut command = root_of_a_namespace(name, place);
        command.env("OUTSIDE", "1");
        command
    };
    let name = name_of_test!();
    in_part(name, outside, |dir| {
        if std::env::var_os("OUTSIDE").is_some() {
            // How many further ones there may be is counted in each.
            fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
            let mut inside = without_capabilities(name, &dir);
            return passes(inside.env_remove("OUTSIDE"));
        }
        let error = refused(OverlayConfig::new(dir.join("base"), dir.join("layer/upper")));
        assert!(matches!(error, OverlayError::NoNamespaces { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("sandbox doctor")));
        assert!(!dir.join("layer/overlayfs-work").exists());
    });
}
