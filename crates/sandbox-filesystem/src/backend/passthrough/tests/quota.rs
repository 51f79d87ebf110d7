//! A quota that holds.

use std::os::fd::OwnedFd;

use sandbox_types::{ByteSize, StatVirtualization};

use super::super::{PassthroughFs, PassthroughProblem};
use super::{OFFERED, World, chmod, root_ctx};
use crate::backend::quota::{Limits, Quota, QuotaError, QuotaKeeper, Usage};
use crate::fs::{DynFileSystem, Errno, FallocateMode, OpenFlags, RenameFlags, SetAttr, XattrFlags};

const MIB: u64 = 1 << 20;

pub(super) fn limited(bytes: u64, inodes: Option<u64>) -> World {
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    std::fs::create_dir(place.path().join("root")).unwrap();
    let fs = serve(place.path(), bytes, inodes).unwrap();
    let place = std::sync::Arc::new(place);
    World { fs, place }
}

fn serve(
    place: &std::path::Path,
    bytes: u64,
    inodes: Option<u64>,
) -> Result<PassthroughFs, super::super::PassthroughError> {
    let mut quota = Quota::bytes(ByteSize::from_bytes(bytes)).state_dir(place.join("state"));
    if let Some(inodes) = inodes {
        quota = quota.inodes(inodes);
    }
    let fs = PassthroughFs::builder()
        .root_dir(place.join("root"))
        .quota(quota)
        .build()?;
    fs.init(OFFERED).unwrap();
    Ok(fs)
}

pub(super) fn usage(world: &World) -> Usage {
    world.fs.quota().unwrap().usage()
}

/// What a count of the tree finds.
pub(super) fn counted(world: &World) -> Usage {
    let root: OwnedFd = std::fs::File::open(world.host("")).unwrap().into();
    QuotaKeeper::count_for_test(&root)
}

fn fill(world: &World, ino: u64, handle: Option<u64>) -> u64 {
    let block = vec![7; 256 * 1024];
    let mut offset = 0;
    loop {
        match world.write(ino, handle, offset, &block) {
            Ok(written) => offset += written as u64,
            Err(error) => {
                assert_eq!(error, Errno::ENOSPC);
                return offset;
            }
        }
    }
}

#[test]
fn everything_that_is_made_is_charged_and_all_of_it_comes_back() {
    let world = limited(64 * MIB, None);
    let (fs, me) = (&world.fs, root_ctx());
    assert_eq!(usage(&world), Usage::default());
    let file = world.file("f", &vec![1; 100_000]);
    fs.link(&me, file, 1, "hard".as_ref()).unwrap();
    fs.symlink(&me, 1, "soft".as_ref(), "x".repeat(3000).as_ref())
        .unwrap();
    fs.symlink(&super::ctx(5, 5), 1, "as-file".as_ref(), "target".as_ref())
        .unwrap();
    fs.mknod(&me, 1, "dev".as_ref(), libc::S_IFCHR | 0o600, 5, 0)
        .unwrap();
    let dir = world.dir("d", 0o755).ino;
    fs.setxattr(&me, file, "user.big".as_ref(), &[1; 3000], XattrFlags::empty())
        .unwrap();
    fs.setxattr(&me, dir, "security.x".as_ref(), &[1; 500], XattrFlags::empty())
        .unwrap();
    world.set(file, chmod(0o700)).unwrap();
    fs.rename(
        &me,
        1,
        "f".as_ref(),
        dir,
        "longer-name".as_ref(),
        RenameFlags::empty(),
    )
    .unwrap();
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    fs.fallocate(&me, file, handle, FallocateMode::KEEP_SIZE, 0, MIB)
        .unwrap();
    world.close(file, handle);
    assert_eq!(usage(&world), counted(&world));
    assert!(usage(&world).bytes > MIB + 3000 + 3000);
    assert_eq!(usage(&world).inodes, 5);

    fs.removexattr(&me, file, "user.big".as_ref()).unwrap();
    world
        .set(
            file,
            SetAttr {
                size: Some(10),
                ..SetAttr::default()
            },
        )
        .unwrap();
    assert_eq!(usage(&world), counted(&world));

    fs.unlink(&me, dir, "longer-name".as_ref()).unwrap();
    fs.rmdir(&me, 1, "d".as_ref()).unwrap();
    for name in ["hard", "soft", "as-file", "dev"] {
        world.unlink(name).unwrap();
    }
    fs.destroy();
    assert_eq!(usage(&world), Usage::default());
}

#[test]
fn what_is_unlinked_and_still_open_stays_charged_and_writes_are_too() {
    let world = limited(4 * MIB, None);
    let file = world.file("f", &vec![1; 100_000]);
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    world.unlink("f").unwrap();
    let written = fill(&world, file, handle);
    assert!(written > 3 * MIB && written < 4 * MIB, "{written}");
    let full = world.write(file, handle, 8 * MIB, &[1; 8192]);
    assert_eq!(full, Err(Errno::ENOSPC));
    world.close(file, handle);
    world.fs.forget(file, 1);
    assert!(usage(&world).bytes < MIB);
    assert_eq!(usage(&world), counted(&world));
}

#[test]
fn a_full_filesystem_takes_no_more_and_what_is_there_can_be_overwritten() {
    let world = limited(2 * MIB, None);
    let file = world.file("f", b"");
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    let end = fill(&world, file, handle);
    assert!(
        usage(&world).bytes <= 2 * MIB && usage(&world).bytes > 2 * MIB - 16 * 1024,
        "{:?}",
        usage(&world)
    );
    assert_eq!(world.write(file, handle, 0, &vec![9; 65536]), Ok(65536));
    assert!(matches!(
        world.write(file, handle, end, &vec![1; 65536]),
        Ok(0..4096) | Err(Errno::ENOSPC)
    ));
    assert_eq!(world.write(file, handle, 10 * MIB, b"x"), Err(Errno::ENOSPC));
    assert_eq!(
        world
            .fs
            .fallocate(&root_ctx(), file, handle, FallocateMode::KEEP_SIZE, 0, 8 * MIB),
        Err(Errno::ENOSPC)
    );
    let statfs = world.fs.statfs(&root_ctx(), 1).unwrap();
    assert_eq!(statfs.blocks * u64::from(statfs.fragment_size), 2 * MIB);
    assert!(statfs.blocks_available * u64::from(statfs.fragment_size) < 16 * 1024);
}

#[test]
fn room_that_was_made_can_be_written_when_it_is_full() {
    let world = limited(2 * MIB, None);
    let (reserved, other) = (world.file("reserved", b""), world.file("other", b""));
    let handle = world.open(reserved, OpenFlags::RDWR).unwrap();
    world
        .fs
        .fallocate(&root_ctx(), reserved, handle, FallocateMode::empty(), 0, MIB)
        .unwrap();
    let second = world.open(other, OpenFlags::RDWR).unwrap();
    fill(&world, other, second);
    assert_eq!(world.write(reserved, handle, 100_000, &vec![1; 65536]), Ok(65536));
}

#[test]
fn holes_cost_nothing() {
    let world = limited(2 * MIB, None);
    let file = world.file("f", b"");
    world
        .set(
            file,
            SetAttr {
                size: Some(1 << 40),
                ..SetAttr::default()
            },
        )
        .unwrap();
    assert!(usage(&world).bytes < 8192);
}

#[test]
fn inodes_are_limited_too() {
    let world = limited(64 * MIB, Some(3));
    let fs = &world.fs;
    world.file("a", b"");
    world.dir("b", 0o755);
    fs.symlink(&root_ctx(), 1, "c".as_ref(), "x".as_ref()).unwrap();
    assert_eq!(
        fs.mkdir(&root_ctx(), 1, "d".as_ref(), 0o755, 0).unwrap_err(),
        Errno::ENOSPC
    );
    assert_eq!(fs.statfs(&root_ctx(), 1).unwrap().files_free, 0);
    world.unlink("c").unwrap();
    fs.destroy();
    world.dir("d", 0o755);
}

#[test]
fn a_failed_operation_is_not_charged() {
    let world = limited(64 * MIB, None);
    world.dir("d", 0o755);
    let before = usage(&world);
    let fs = &world.fs;
    assert!(fs.mkdir(&root_ctx(), 1, "d".as_ref(), 0o755, 0).is_err());
    assert!(fs.symlink(&root_ctx(), 1, "d".as_ref(), "x".as_ref()).is_err());
    assert!(
        fs.create(&root_ctx(), 1, "d".as_ref(), 0o644, OpenFlags::RDWR, 0)
            .is_err()
    );
    assert!(world.unlink("d").is_err());
    assert!(fs.rmdir(&root_ctx(), 1, "none".as_ref()).is_err());
    assert_eq!(usage(&world), before);
}

#[test]
fn limits_grow_and_shrink_while_it_is_served() {
    let world = limited(MIB, None);
    let quota = world.fs.quota().unwrap();
    let file = world.file("f", b"");
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    let first = fill(&world, file, handle);
    quota
        .set_limits(Limits {
            bytes: 3 * MIB,
            inodes: None,
        })
        .unwrap();
    assert!(fill(&world, file, handle) > first + MIB);
    quota
        .set_limits(Limits {
            bytes: MIB,
            inodes: None,
        })
        .unwrap();
    assert_eq!(world.write(file, handle, 8 * MIB, b"x"), Err(Errno::ENOSPC));
    world
        .set(
            file,
            SetAttr {
                size: Some(4096),
                ..SetAttr::default()
            },
        )
        .unwrap();
    assert_eq!(world.write(file, handle, 8192, b"x"), Ok(1));
    assert!(matches!(
        quota.set_limits(Limits {
            bytes: 0,
            inodes: None
        }),
        Err(QuotaError::Zero)
    ));
}

#[test]
fn after_a_clean_end_the_figure_is_exact_without_a_count() {
    let world = limited(8 * MIB, None);
    world.file("f", &vec![1; 200_000]);
    let before = usage(&world);
    let World { fs, place } = world;
    drop(fs);
    // A count would find this.
    std::fs::write(place.path().join("root/behind-its-back"), vec![1; 100_000]).unwrap();
    let fs = serve(place.path(), 8 * MIB, None).unwrap();
    assert!(fs.quota().unwrap().is_exact());
    assert_eq!(fs.quota().unwrap().usage(), before);
}

/// The one that is read at the next start; beside it is the one that others read meanwhile.
fn state_file(place: &std::path::Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(place.join("state")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths.find(|path| path.extension().is_none()).unwrap()
}

#[test]
fn after_a_crash_the_bound_holds_until_it_is_counted() {
    let world = limited(8 * MIB, None);
    world.file("f", &vec![1; 3 * 1024 * 1024]);
    let before = usage(&world);
    let World { fs, place } = world;
    // As kill -9 leaves it: the lock is gone, and nothing was written.
    let state = state_file(place.path());
    let text = std::fs::read_to_string(&state).unwrap();
    assert!(text.contains("exact 0"));
    drop(fs);
    std::fs::write(&state, &text).unwrap();

    let mut fs = serve(place.path(), 8 * MIB, None).unwrap();
    let quota = fs.quota.as_mut().unwrap();
    assert!(quota.usage().bytes >= before.bytes || quota.is_exact());
    quota.wait_until_counted();
    assert!(quota.is_exact());
    assert_eq!(quota.usage(), before);
}

#[test]
fn a_damaged_state_is_counted_anew_and_a_later_one_is_refused() {
    let world = limited(8 * MIB, None);
    world.file("f", &[1; 5000]);
    let before = usage(&world);
    let World { fs, place } = world;
    drop(fs);
    let state = state_file(place.path());
    std::fs::write(&state, "\0\0\0").unwrap();
    let fs = serve(place.path(), 8 * MIB, None).unwrap();
    assert_eq!(fs.quota().unwrap().usage(), before);
    drop(fs);
    std::fs::write(&state, "sandbox-quota 9\n").unwrap();
    let error = serve(place.path(), 8 * MIB, None).unwrap_err();
    assert!(matches!(
        error.problems(),
        [PassthroughProblem::Quota(QuotaError::Version { version: 9, .. })]
    ));
}

#[test]
fn one_server_counts_a_tree() {
    let world = limited(8 * MIB, None);
    let error = serve(world.outside(), 8 * MIB, None).unwrap_err();
    assert!(
        matches!(error.problems(), [PassthroughProblem::Quota(QuotaError::Busy)]),
        "{error}"
    );
}

#[test]
fn the_state_cannot_be_in_the_tree() {
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    let quota = Quota::bytes(ByteSize::from_bytes(MIB)).state_dir(place.path().join("not/yet/there"));
    let error = PassthroughFs::builder()
        .root_dir(place.path())
        .stat_virtualization(StatVirtualization::Off)
        .quota(quota)
        .build()
        .unwrap_err();
    assert!(matches!(
        error.problems(),
        [PassthroughProblem::Quota(QuotaError::StateInside { .. })]
    ));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn writers_at_the_same_time_pass_the_limit_by_no_more_than_the_hosts_own_blocks() {
    let world = limited(4 * MIB, None);
    let files: Vec<_> = (0..4).map(|n| world.file(&format!("f{n}"), b"")).collect();
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| {
                let handle = world.open(*file, OpenFlags::RDWR).unwrap();
                fill(&world, *file, handle);
                world.close(*file, handle);
            });
        }
    });
    // While the host writes back it counts what it allocates and what it had promised; then it is as it is.
    rustix::fs::syncfs(std::fs::File::open(world.host("")).unwrap()).unwrap();
    for file in files {
        let handle = world.open(file, OpenFlags::RDWR).unwrap();
        world.close(file, handle);
    }
    // Each file may have fallen in so many pieces that the host needs a block to list them.
    assert!(
        usage(&world).bytes <= 4 * MIB + 4 * 4096,
        "{:?} used, {:?} counted",
        usage(&world),
        counted(&world)
    );
    assert_eq!(usage(&world), counted(&world));
}

/// The time of the last listing, where the host keeps it: brought back to before the last change, it moves on with the
/// next listing.
fn listed_at(world: &World, dir: &str) -> i64 {
    use std::os::unix::fs::MetadataExt;
    world.host(dir).metadata().unwrap().atime()
}

#[test]
fn a_write_near_the_limit_lists_no_directory() {
    let world = limited(MIB, None);
    let dir = world.dir("d", 0o755).ino;
    let file = world.file("f", b"");
    let forget_listings = || {
        let old = rustix::fs::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: old,
            last_modification: rustix::fs::Timespec {
                tv_sec: 0,
                tv_nsec: rustix::fs::UTIME_NOW,
            },
        };
        for name in ["", "d"] {
            let flags = rustix::fs::AtFlags::empty();
            rustix::fs::utimensat(rustix::fs::CWD, world.host(name), &times, flags).unwrap();
        }
    };
    forget_listings();
    assert_eq!(std::fs::read_dir(world.host("d")).unwrap().count(), 0);
    if listed_at(&world, "d") == 1 {
        println!("SKIP: a_write_near_the_limit_lists_no_directory: the host does not note listings");
        return;
    }
    forget_listings();
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    fill(&world, file, handle);
    for round in 0..50 {
        assert!(world.write(file, handle, MIB * 2, b"x").is_err(), "{round}");
        world.write(file, handle, 0, b"x").unwrap();
    }
    world.close(file, handle);
    assert_eq!((listed_at(&world, ""), listed_at(&world, "d")), (1, 1));
    world.fs.forget(dir, 1);
}

/// What a name of one letter weighs, with its inode.
pub(super) const ONE: u64 = 1024 + 32 + 1;

#[test]
fn everything_fits_to_its_last_byte_and_not_one_more() {
    type Make = fn(&World, &str) -> Result<(), Errno>;
    let makes: [(&str, u64, Make); 6] = [
        ("a file", 0, |world, name| {
            let (mode, flags) = (libc::S_IFREG | 0o644, OpenFlags::RDWR | OpenFlags::EXCL);
            let made = world.fs.create(&root_ctx(), 1, name.as_ref(), mode, flags, 0);
            made.map(drop)
        }),
        ("a directory", 0, |world, name| {
            world.fs.mkdir(&root_ctx(), 1, name.as_ref(), 0o755, 0).map(drop)
        }),
        ("a pipe", 0, |world, name| {
            let mode = libc::S_IFIFO | 0o600;
            world
                .fs
                .mknod(&root_ctx(), 1, name.as_ref(), mode, 0, 0)
                .map(drop)
        }),
        ("a link", 100, |world, name| {
            let target = "x".repeat(100);
            // The server's own user's is a real one.
            let me = (rustix::process::geteuid(), rustix::process::getegid());
            let me = super::ctx(me.0.as_raw(), me.1.as_raw());
            world.fs.symlink(&me, 1, name.as_ref(), target.as_ref()).map(drop)
        }),
        ("another name", 33, |world, name| {
            let file = world.file("f", b"");
            world.fs.link(&root_ctx(), file, 1, name.as_ref()).map(drop)
        }),
        ("an attribute", 6 + 20, |world, name| {
            let file = world.file(name, b"");
            let name = "user.x".as_ref();
            world
                .fs
                .setxattr(&root_ctx(), file, name, &[1; 20], XattrFlags::empty())
        }),
    ];
    for (what, more, make) in makes {
        let fits = limited(ONE + more, None);
        assert_eq!(make(&fits, "a"), Ok(()), "{what}");
        // The host may need a block for attributes, which nobody can tell before.
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fits.host("a").symlink_metadata().unwrap());
        let own = if what == "an attribute" { blocks * 512 } else { 0 };
        assert_eq!(usage(&fits).bytes, ONE + more + own, "{what}");
        assert_eq!(usage(&fits), counted(&fits), "{what}");
        let full = limited(ONE + more - 1, None);
        assert_eq!(make(&full, "a"), Err(Errno::ENOSPC), "{what}");
        assert_eq!(usage(&full), counted(&full), "{what}");
    }
}

#[test]
fn names_can_be_changed_where_it_is_full_as_long_as_they_are_no_longer() {
    let world = limited(2 * ONE + 1, None);
    world.file("a", b"");
    world.file("bb", b"");
    let rename = |from: &str, to: &str, flags| {
        world
            .fs
            .rename(&root_ctx(), 1, from.as_ref(), 1, to.as_ref(), flags)
    };
    let none = RenameFlags::empty();
    assert_eq!(rename("bb", "cc", none), Ok(()));
    assert_eq!(rename("a", "aa", none), Err(Errno::ENOSPC));
    assert_eq!(rename("cc", "b", none), Ok(()));
    assert_eq!(rename("a", "aa", none), Ok(()));
    assert_eq!(usage(&world), counted(&world));
    // One over the other.
    assert_eq!(rename("b", "aa", none), Ok(()));
    world.fs.destroy();
    assert_eq!(usage(&world), counted(&world));
    assert_eq!(usage(&world).inodes, 1);
}

#[test]
fn what_a_rename_leaves_in_the_old_place_is_charged() {
    let world = limited(64 * MIB, Some(3));
    world.file("a", b"");
    let rename = |from: &str, to: &str| {
        let flags = RenameFlags::WHITEOUT;
        world
            .fs
            .rename(&root_ctx(), 1, from.as_ref(), 1, to.as_ref(), flags)
    };
    match rename("a", "b") {
        Ok(()) => {}
        // The host's file system makes none.
        Err(Errno::EINVAL | Errno::EPERM) => return,
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!((usage(&world).inodes, usage(&world)), (2, counted(&world)));
    assert_eq!(rename("b", "c"), Ok(()));
    assert_eq!(rename("c", "d"), Err(Errno::ENOSPC));
    assert_eq!(usage(&world), counted(&world));
}
