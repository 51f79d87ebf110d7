//! What cannot be is refused, by name, and nothing is left of it.

use std::sync::Arc;

use sandbox_types::{ByteSize, SizeExt};

use super::place::{Place, assert_sound, run};
use crate::error::VolumeError;
use crate::home::HomeError;
use crate::local::{LocalBackend, LocalBackendBuilder};
use crate::volume::{Volume, VolumeBuilder};

#[test]
fn volumes_that_cannot_be_are_refused() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let long = "n".repeat(129);
        for bad in ["", "..", ".", "a/b", ".hidden", "-x", "ä", "a b", "a\n", &long] {
            for error in [
                Volume::builder(bad)
                    .create_on(Arc::clone(&backend))
                    .await
                    .unwrap_err(),
                Volume::get_on(Arc::clone(&backend), bad).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
            }
        }
        let refused: [(VolumeBuilder, &str); 7] = [
            (Volume::builder("v").disk(), "a disk needs a size"),
            (Volume::builder("v").disk().size(0.mib()), "size 0B"),
            (
                Volume::builder("v").disk().size(ByteSize::from_bytes(1 << 60)),
                "size 1EiB",
            ),
            (
                Volume::builder("v").size(8.mib()),
                "size 8MiB: a directory has none",
            ),
            (
                Volume::builder("v").disk().size(8.mib()).quota(1.mib()),
                "a disk has no quota",
            ),
            (Volume::builder("v").quota(0.mib()), "a quota of 0 bytes"),
            (Volume::builder("v").inodes(0), "a quota of 0 inodes"),
        ];
        for (builder, said) in refused {
            let error = builder.create_on(Arc::clone(&backend)).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_sound(&place.home()).await;
        assert!(place.names("volumes").is_empty());
    });
}

#[test]
fn a_home_on_another_machine_is_refused() {
    let place = Place::new();
    let builder = LocalBackendBuilder::on_file_system(place.home(), |_| Ok(0x6969));
    let error = run(builder.build()).unwrap_err();
    assert!(
        matches!(error, VolumeError::Home(HomeError::Remote { kind: "NFS", .. })),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("SANDBOX_HOME"));
}

#[test]
fn a_home_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // Permissions mean nothing to root; the command's test has a read-only mount.
        return;
    }
    let place = Place::new();
    run(async { drop(place.backend().await) });
    let pending = place.home().join("volumes/.pending");
    std::fs::set_permissions(&pending, std::fs::Permissions::from_mode(0o500)).unwrap();
    let error = run(LocalBackend::builder().home(place.home()).build()).unwrap_err();
    std::fs::set_permissions(&pending, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(
        matches!(error, VolumeError::Home(HomeError::ReadOnly { .. })),
        "{error}"
    );
}

#[test]
fn a_file_in_the_way_of_the_home_is_named() {
    let place = Place::new();
    std::fs::write(place.path("home"), "").unwrap();
    let error = run(LocalBackend::builder().home(place.home()).build()).unwrap_err();
    assert!(
        error.to_string().contains(place.home().to_str().unwrap()),
        "{error}"
    );
}
