//! Disks that grow.

use std::fs;

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{GrowError, JournalSize, grow};

use super::{GIB, MIB, TIB, fill, make, options, populated::nasty, view::agree};
use crate::harness::{header, is_clean, output, place, tool};

fn bytes(size: u64) -> ByteSize {
    ByteSize::from_bytes(size)
}

#[test]
fn a_disk_grows_step_by_step_and_stays_clean() {
    let place = place();
    let image = place.path().join("disk");
    for journal in [JournalSize::Auto, JournalSize::None] {
        make(&image, options(MIB).journal(journal));
        for size in [
            MIB,
            MIB + 1024,
            2 * MIB,
            8 * MIB + 1,
            9 * MIB,
            65 * MIB,
            129 * MIB,
            2 * GIB,
        ] {
            grow(&image, bytes(size)).expect("it grows");
            is_clean(&image);
            assert_eq!(fs::metadata(&image).expect("the image").len(), size);
        }
    }
}

#[test]
fn a_disk_grows_beyond_its_first_block_of_descriptors() {
    let place = place();
    let image = place.path().join("disk");
    make(&image, options(64 * MIB));
    for size in [
        127 * MIB,
        128 * MIB,
        129 * MIB,
        8 * GIB,
        8 * GIB + 300 * MIB,
        16 * GIB,
        40 * GIB,
        TIB,
    ] {
        let report = grow(&image, bytes(size)).expect("it grows");
        is_clean(&image);
        assert_eq!(header(&image, "Block count"), report.new_blocks.to_string());
    }
    assert!(header(&image, "Filesystem features").contains("meta_bg"));
}

#[test]
fn files_survive_growing_and_there_is_room_for_more() {
    let place = place();
    let image = place.path().join("disk");
    fill(&image, &nasty(), options(32 * MIB).block_size(4096));
    let before: u64 = header(&image, "Free blocks").parse().expect("a number");
    grow(&image, bytes(500 * MIB)).expect("it grows");
    is_clean(&image);
    agree(&image, &nasty());
    let after: u64 = header(&image, "Free blocks").parse().expect("a number");
    assert!((after - before) * 4096 > 440 * MIB);
}

#[test]
fn a_smaller_size_and_a_damaged_disk_are_refused_and_nothing_changes() {
    let place = place();
    let image = place.path().join("disk");
    make(&image, options(64 * MIB));
    let before = fs::read(&image).expect("the image");
    let error = grow(&image, bytes(63 * MIB)).expect_err("smaller");
    assert!(matches!(error, GrowError::Smaller { bytes, now } if (bytes, now) == (63 * MIB, 64 * MIB)));
    assert!(matches!(
        grow(&image, bytes(17 * TIB)),
        Err(GrowError::TooLarge { .. })
    ));
    assert!(fs::read(&image).expect("the image") == before);

    // A bit of the last group's bitmap.
    let mut damaged = before.clone();
    let place_of_bitmap = output(tool("dumpe2fs").arg(&image));
    let at = place_of_bitmap.lines().find_map(|line| {
        line.trim()
            .strip_prefix("Block bitmap at ")?
            .split(' ')
            .next()?
            .parse::<usize>()
            .ok()
    });
    damaged[at.expect("a bitmap") * 4096 + 100] ^= 1;
    fs::write(&image, &damaged).expect("the image");
    assert!(matches!(
        grow(&image, bytes(100 * MIB)),
        Err(GrowError::Group { group: 0 })
    ));
    assert!(fs::read(&image).expect("the image") == damaged);
}

#[test]
fn what_is_no_disk_is_refused() {
    let place = place();
    let image = place.path().join("disk");
    fs::write(&image, vec![0; 1 << 20]).expect("a file");
    assert!(matches!(grow(&image, bytes(2 * MIB)), Err(GrowError::Recover(_))));
    assert_eq!(fs::metadata(&image).expect("the file").len(), MIB);
    assert!(matches!(
        grow(place.path().join("none"), bytes(MIB)),
        Err(GrowError::Open { .. })
    ));
}
