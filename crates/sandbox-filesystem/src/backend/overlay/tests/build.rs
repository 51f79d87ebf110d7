//! What is refused before anything is served.

use std::fs;
use std::path::Path;

use super::World;
use crate::backend::overlay::{OverlayBuilder, OverlayFs, OverlayProblem};
use crate::fs::DynFileSystem;

fn problems(builder: OverlayBuilder) -> Vec<OverlayProblem> {
    builder.build().unwrap_err().into_problems()
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let world = World::new(1);
    fs::write(world.path("file"), "").unwrap();
    let found = problems(
        OverlayFs::builder()
            .layer(world.path("missing"))
            .layer(world.path("file"))
            .layer(world.lower(0))
            .layer(world.lower(0))
            .staging(world.path("work")),
    );
    assert!(matches!(&found[0], OverlayProblem::StagingAlone { .. }));
    assert!(matches!(&found[1], OverlayProblem::Open { path, .. } if path.ends_with("missing")));
    assert!(matches!(&found[2], OverlayProblem::NotADirectory { path } if path.ends_with("file")));
    assert!(matches!(&found[3], OverlayProblem::Twice { path, .. } if path.ends_with("lower-0")));
    assert_eq!(found.len(), 4);
    assert!(matches!(
        problems(OverlayFs::builder())[..],
        [OverlayProblem::NoLayer, OverlayProblem::NoUpper]
    ));
}

#[test]
fn a_directory_in_another_one_is_refused_also_by_a_link() {
    let world = World::new(1);
    let inside = world.lower(0).join("deep/upper");
    fs::create_dir_all(&inside).unwrap();
    std::os::unix::fs::symlink(&inside, world.path("link")).unwrap();
    for upper in [&inside, &world.path("link")] {
        let found = problems(world.layers().writable(upper).staging(world.path("work")));
        assert!(
            matches!(&found[..], [OverlayProblem::Inside { outer, .. }] if *outer == world.lower(0)),
            "{found:?}"
        );
    }
    // A layer in the upper, and in another layer.
    let found = problems(
        OverlayFs::builder()
            .layer(world.upper())
            .layer(world.lower(0).join("deep"))
            .layer(world.lower(0))
            .read_only(),
    );
    assert!(matches!(&found[..], [OverlayProblem::Inside { .. }]));
}

#[test]
fn a_directory_in_something_that_is_left_out_is_in_nobodys_way_and_is_not_seen() {
    let world = World::new(1);
    let kept = world.lower(0).join("deep/kept");
    for name in ["upper", "work"] {
        fs::create_dir_all(kept.join(name)).unwrap();
    }
    fs::write(world.lower(0).join("deep/file"), "").unwrap();
    let builder = || {
        let builder = world.layers().writable(kept.join("upper"));
        builder.staging(kept.join("work"))
    };
    assert!(matches!(
        &problems(builder())[..],
        [OverlayProblem::Inside { .. }, ..]
    ));
    let fs = builder().leave_out(&kept).build().unwrap();
    fs.init(crate::fs::Capabilities::all()).unwrap();
    let tree = crate::tree::Tree::new(&fs, crate::fs::Context::new(0, 0));
    let names = |path: &str| {
        let listed = tree.list(path).unwrap().into_iter();
        listed
            .map(|entry| entry.name.into_string().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("deep"), ["file"]);
    assert!(tree.stat("deep/kept").is_err());
    // Also where the directory is merged, and when it moves; the name is free.
    tree.write("deep/other", b"x").unwrap();
    assert_eq!(names("deep").len(), 2);
    tree.mkdir("deep/kept", 0o755).unwrap();
    assert_eq!(names("deep/kept"), [""; 0]);
    tree.rename("deep", "moved").unwrap();
    assert_eq!(names("moved").len(), 3);
    assert_eq!(names("moved/kept"), [""; 0]);
}

#[test]
fn staging_on_another_filesystem_is_refused() {
    let world = World::new(1);
    let shm = Path::new("/dev/shm");
    if !shm.is_dir() {
        println!("SKIP: staging_on_another_filesystem_is_refused: no /dev/shm");
        return;
    }
    let elsewhere = tempfile::tempdir_in(shm).unwrap();
    let found = problems(world.layers().writable(world.upper()).staging(elsewhere.path()));
    assert!(matches!(&found[..], [OverlayProblem::AnotherFilesystem { .. }]));
}

#[test]
fn an_upper_in_use_is_refused_and_its_holder_named() {
    let world = World::new(1);
    let first = world.mount();
    let found = problems(world.builder());
    let [OverlayProblem::InUse { path, holder }] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(*path, world.upper());
    // In a pid namespace of its own /proc/locks may not tell.
    if let Some(holder) = holder {
        assert_eq!(holder.pid, std::process::id());
    }
    drop(first);
    world.mount();
}

#[test]
fn an_upper_that_a_volatile_mount_has_left_in_doubt_is_refused() {
    let world = World::new(1);
    fs::create_dir_all(world.path("work/work/incompat/volatile")).unwrap();
    let found = problems(world.builder());
    assert!(matches!(&found[..], [OverlayProblem::Volatile { .. }]));
    assert!(found[0].hint().is_some());
}

#[test]
fn nothing_is_left_in_staging_and_what_a_crash_has_left_there_goes() {
    let world = World::new(1);
    drop(world.mount());
    let stage = world.path("work/sandbox/stage");
    assert_eq!(fs::read_dir(&stage).unwrap().count(), 0);
    fs::write(stage.join("5"), "half").unwrap();
    fs::create_dir(stage.join("6")).unwrap();
    fs::set_permissions(
        stage.join("6"),
        std::os::unix::fs::PermissionsExt::from_mode(0o000),
    )
    .unwrap();
    drop(world.mount());
    assert_eq!(fs::read_dir(&stage).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.upper()).unwrap().count(), 0);
}

#[test]
fn a_writable_directory_of_a_read_only_overlay_is_refused() {
    let world = World::new(1);
    let found = problems(world.builder().read_only().writeback(true));
    assert!(matches!(
        &found[..],
        [OverlayProblem::UpperReadOnly { .. }, OverlayProblem::Writeback]
    ));
    let found = problems(world.layers().writable(world.upper()));
    assert!(matches!(&found[..], [OverlayProblem::NoStaging { .. }]));
}
