//! Directories that are listed.

use std::collections::BTreeSet;

use super::{World, off, root_ctx, strict};
use crate::fs::{DynFileSystem, Fit, Handle, OpenFlags};

/// One call with room for `room` entries: names, and the offset after the last one.
fn some(world: &World, handle: Option<Handle>, offset: u64, room: usize) -> (Vec<String>, u64) {
    let (mut names, mut last) = (Vec::new(), offset);
    world
        .fs
        .readdir(&root_ctx(), 1, handle, offset, &mut |entry| {
            if names.len() == room {
                return Ok(Fit::Full);
            }
            names.push(entry.name.to_string_lossy().into_owned());
            last = entry.next_offset;
            Ok(Fit::Taken)
        })
        .unwrap();
    (names, last)
}

fn opened(world: &World) -> Option<Handle> {
    world
        .fs
        .opendir(&root_ctx(), 1, OpenFlags::empty())
        .unwrap()
        .handle
}

#[test]
fn every_entry_is_given_once_however_small_the_room_is_and_whatever_goes_meanwhile() {
    for world in [strict(), off()] {
        for n in 0..2000 {
            std::fs::write(world.host(&format!("file-with-a-long-name-{n:05}")), "").unwrap();
        }
        let handle = opened(&world);
        let (mut seen, mut offset) = (Vec::new(), 0);
        loop {
            let (names, next) = some(&world, handle, offset, 7);
            if names.is_empty() {
                break;
            }
            // Given already: its going changes nothing for the rest.
            if let Some(name) = names.iter().find(|name| name.starts_with("file")) {
                std::fs::remove_file(world.host(name)).unwrap();
            }
            seen.extend(names);
            offset = next;
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        assert_eq!(seen.len(), 2002);
        assert!(distinct.contains(&".".to_owned()) && distinct.contains(&"..".to_owned()));
        world.fs.releasedir(&root_ctx(), 1, handle).unwrap();
    }
}

#[test]
fn from_the_beginning_the_directory_is_read_anew() {
    let world = strict();
    std::fs::write(world.host("old"), "").unwrap();
    let handle = opened(&world);
    assert_eq!(some(&world, handle, 0, 100).0.len(), 3);
    std::fs::write(world.host("new"), "").unwrap();
    std::fs::remove_file(world.host("old")).unwrap();
    let names: BTreeSet<_> = some(&world, handle, 0, 100).0.into_iter().collect();
    assert_eq!(names, [".", "..", "new"].map(str::to_owned).into());
}

#[test]
fn a_position_can_be_gone_back_to() {
    let world = off();
    for n in 0..50 {
        std::fs::write(world.host(&format!("f{n}")), "").unwrap();
    }
    let handle = opened(&world);
    let (_, middle) = some(&world, handle, 0, 20);
    let (rest, _) = some(&world, handle, middle, 100);
    assert_eq!(some(&world, handle, middle, 100).0, rest);
    assert_eq!(rest.len(), 32);
}

#[test]
fn with_attributes_only_what_is_taken_is_referred_to() {
    for world in [strict(), off()] {
        for n in 0..10 {
            std::fs::write(world.host(&format!("f{n}")), "").unwrap();
        }
        let handle = opened(&world);
        let mut taken = 0;
        world
            .fs
            .readdirplus(&root_ctx(), 1, handle, 0, &mut |entry, look| {
                if taken == 6 {
                    return Ok(Fit::Full);
                }
                taken += 1;
                let dots = entry.name == "." || entry.name == "..";
                assert_eq!(look()?.is_none(), dots);
                Ok(Fit::Taken)
            })
            .unwrap();
        let dots = 2;
        assert!(world.fs.known_inodes() > 4 - dots && world.fs.known_inodes() <= 7);
    }
}

#[test]
fn the_number_above_the_root_is_not_told() {
    use std::os::unix::fs::MetadataExt;
    let world = off();
    let outside = world.outside().metadata().unwrap().ino();
    let handle = opened(&world);
    world
        .fs
        .readdir(&root_ctx(), 1, handle, 0, &mut |entry| {
            assert_ne!(entry.ino, outside);
            Ok(Fit::Taken)
        })
        .unwrap();
}

#[test]
fn with_attributes_the_directory_itself_and_the_one_above_are_listed_too() {
    for world in [strict(), off()] {
        let sub = world.dir("sub", 0o755).ino;
        for dir in [1, sub] {
            let handle = world.fs.opendir(&root_ctx(), dir, OpenFlags::empty());
            let mut names = BTreeSet::new();
            let listed = world.fs.readdirplus(
                &root_ctx(),
                dir,
                handle.unwrap().handle,
                0,
                &mut |entry, _look| {
                    names.insert(entry.name.to_string_lossy().into_owned());
                    Ok(Fit::Taken)
                },
            );
            assert_eq!(listed, Ok(()));
            assert!(names.contains(".") && names.contains(".."), "{names:?}");
        }
    }
}

/// Of what is mounted in the root as well, where the host's numbers mean other files.
#[test]
fn what_is_listed_has_the_number_that_stat_says() {
    let fs = crate::backend::PassthroughFs::builder()
        .root_dir("/")
        .stat_virtualization(sandbox_types::StatVirtualization::Off)
        .build()
        .unwrap();
    let proc = fs.lookup(&root_ctx(), 1, "proc".as_ref()).unwrap().ino;
    let version = fs.lookup(&root_ctx(), proc, "version".as_ref()).unwrap();
    let handle = fs.opendir(&root_ctx(), proc, OpenFlags::empty()).unwrap().handle;
    let mut listed = None;
    fs.readdir(&root_ctx(), proc, handle, 0, &mut |entry| {
        if entry.name == "version" {
            listed = Some(entry.ino);
        }
        Ok(Fit::Taken)
    })
    .unwrap();
    assert_eq!(listed, Some(version.attr.ino));
}
