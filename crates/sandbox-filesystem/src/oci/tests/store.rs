//! Stores that somebody else can put things in.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Why nothing is imported.
#[track_caller]
fn distrust(world: &World) -> Distrust {
    let bytes = Forged::new().file("x", b"x").end();
    let mut input = &bytes[..];
    let imported = Store::open(world.path("store")).and_then(|store| {
        import_layer(
            &store,
            &mut input,
            &Expected::default(),
            &world.options,
            &mut |_| {},
        )
    });
    match imported {
        Err(LayerError::Distrusted { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_in_the_place_of_what_is_being_unpacked_is_refused_and_nothing_is_removed() {
    let world = World::new();
    let outside = world.path("layout");
    fs::create_dir_all(outside.join("documents")).unwrap();
    fs::write(outside.join("documents/thesis"), "years").unwrap();
    fs::create_dir(world.path("store")).unwrap();
    symlink(&outside, world.path("store/.staging")).unwrap();
    assert!(matches!(distrust(&world), Distrust::NotADirectory));
    assert_eq!(fs::read(outside.join("documents/thesis")).unwrap(), b"years");
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let world = World::new();
    drop(world.store());
    for (path, mode) in [("store", 0o777), ("store", 0o1777), ("store/.staging", 0o702)] {
        let path = world.path(path);
        set_mode(&path, mode);
        assert!(
            matches!(distrust(&world), Distrust::Mode { mode: found } if found == mode),
            "{mode:o}"
        );
        set_mode(&path, 0o700);
    }
    set_mode(&world.path("store"), 0o755);
    drop(world.store());
}

#[test]
fn a_layer_that_somebody_else_has_put_there_is_not_taken() {
    let world = World::new();
    let bytes = Forged::new().file("x", b"x").end();
    let place = world.import(&bytes).unwrap().path.parent().unwrap().to_path_buf();
    let moved = world.path("layout");
    fs::rename(&place, &moved).unwrap();
    symlink(&moved, &place).unwrap();
    assert!(matches!(distrust(&world), Distrust::NotADirectory));
    fs::remove_file(&place).unwrap();
    fs::rename(&moved, &place).unwrap();
    set_mode(&place, 0o777);
    assert!(matches!(distrust(&world), Distrust::Mode { mode: 0o777 }));
    set_mode(&place, 0o700);
    assert!(world.import(&bytes).unwrap().reused);
}

#[test]
fn a_store_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: a_store_of_somebody_else_is_refused: only root can give one away");
        return;
    }
    let world = World::new();
    drop(world.store());
    for path in ["store/.staging", "store"] {
        chown(world.path(path), Some(12345), None).unwrap();
        assert!(
            matches!(distrust(&world), Distrust::Owner { uid: 12345 }),
            "{path}"
        );
    }
}
