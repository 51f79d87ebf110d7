//! Schemas of other versions.

use std::path::Path;

use sandbox_types::SizeExt;
use tempfile::TempDir;

use super::*;
use crate::record::VolumeFilter;

/// A catalog as the first version of the schema made it; see `the_oldest_schema_is_as_kept`.
const OLDEST: &str = "tests/fixtures/catalog-1.db";

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

async fn open(directory: &Path) -> Result<Catalog, CatalogError> {
    Catalog::open(&directory.join("catalog.db"), &directory.join("lock")).await
}

fn with_oldest() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(OLDEST, place.path().join("catalog.db")).unwrap();
    place
}

/// Makes the fixture where `UPDATE_FIXTURES` is set, which is done once for each version.
#[test]
fn the_oldest_schema_is_as_kept() {
    if std::env::var_os("UPDATE_FIXTURES").is_some() && !Path::new(OLDEST).exists() {
        std::fs::create_dir_all("tests/fixtures").unwrap();
        run(make_oldest(Path::new(OLDEST)));
    }
    let bytes = std::fs::read(OLDEST).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3\0"));
    // `user_version` is at offset 60: https://www.sqlite.org/fileformat2.html
    assert_eq!(bytes[60..64], 1_u32.to_be_bytes());
}

async fn make_oldest(path: &Path) {
    std::fs::File::create(path).unwrap();
    let catalog = Catalog::connect(path).await.unwrap();
    schema::migrate(&catalog, Some(1), 1).await.unwrap();
    let change = catalog.change().await.unwrap();
    let labels = ["team=storage".parse().unwrap(), "empty".parse().unwrap()];
    for (name, form, labels) in [
        (
            "plain",
            sandbox_types::VolumeForm::Directory {
                quota: sandbox_types::Quota::NONE,
            },
            &labels[..],
        ),
        ("disk", sandbox_types::VolumeForm::Disk { size: 64.mib() }, &[]),
    ] {
        let name: sandbox_types::VolumeName = name.parse().unwrap();
        let place = format!("{:016x}", name.as_str().len());
        let new = NewVolume {
            name: &name,
            form,
            labels,
            place: &place,
            created: 1_700_000_000_000_000,
        };
        change.add_volume(&new).await.unwrap().unwrap();
    }
    change.commit().await.unwrap();
    catalog.close().await;
}

#[test]
fn the_oldest_catalog_is_migrated_and_keeps_its_volumes() {
    let place = with_oldest();
    run(async {
        let catalog = open(place.path()).await.unwrap();
        let volumes = catalog.volumes(&VolumeFilter::all()).await.unwrap();
        let names: Vec<_> = volumes.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["disk", "plain"]);
        assert_eq!(
            volumes[0].form,
            sandbox_types::VolumeForm::Disk { size: 64.mib() }
        );
        let labels: Vec<_> = volumes[1].labels.iter().map(ToString::to_string).collect();
        assert_eq!(labels, ["team=storage", "empty="]);
        // What is new can be used.
        assert_eq!(catalog.snapshots(volumes[0].id).await.unwrap(), []);
        assert_eq!(catalog.integrity().await.unwrap(), [] as [String; 0]);
        catalog.close().await;
        drop(open(place.path()).await.unwrap());
    });
}

#[test]
fn many_who_migrate_at_once_do_it_once() {
    let place = with_oldest();
    run(async {
        let mut all = Vec::new();
        for _ in 0..12 {
            let directory = place.path().to_owned();
            all.push(tokio::spawn(async move { open(&directory).await.map(drop) }));
        }
        for one in all {
            one.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_later_schema_is_refused_and_left_as_it_is() {
    let place = with_oldest();
    let path = place.path().join("catalog.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let error = run(open(place.path())).unwrap_err();
    assert!(
        matches!(error, CatalogError::Newer { version: 99, .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_file_that_is_no_catalog_is_said_to_be_damaged() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("catalog.db"), vec![b'x'; 8192]).unwrap();
    let error = run(open(place.path())).unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
    assert!(error.hint().unwrap().contains("fsck --repair"));
}
