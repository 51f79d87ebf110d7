//! Every class of sizes is clean, and what dumpe2fs says of it is what was asked for.

use std::fs;

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{InodeCount, JournalSize};

use super::{GIB, KIB, MIB, TIB, make, options};
use crate::harness::{header, is_clean, place};

#[track_caller]
fn is_made(bytes: u64) {
    let place = place();
    let image = place.path().join("disk");
    make(&image, options(bytes));
    assert_eq!(fs::metadata(&image).expect("the image").len(), bytes);
    is_clean(&image);
    let block: u64 = header(&image, "Block size").parse().expect("a number");
    let blocks: u64 = header(&image, "Block count").parse().expect("a number");
    // What is missing is less than a block, or a last group that is not worth having.
    let missing = bytes - blocks * block;
    assert!(missing < block || blocks.is_multiple_of(block * 8) || (blocks - 1).is_multiple_of(block * 8));
}

#[test]
fn the_smallest_disk_is_clean() {
    is_made(MIB);
}

#[test]
fn one_block_more_than_the_smallest_is_clean() {
    is_made(MIB + 4 * KIB);
}

#[test]
fn odd_sizes_are_clean() {
    for bytes in [
        MIB + 1,
        2 * MIB + 511,
        3 * MIB + 1023,
        7 * MIB + 4095,
        33 * MIB + 12345,
        100_000_001,
    ] {
        is_made(bytes);
    }
}

#[test]
fn every_size_around_the_end_of_a_group_is_clean() {
    for blocks in [
        8192, 8193, 8194, 8200, 8240, 8300, 8400, 8600, 9000, 16384, 16385, 16500,
    ] {
        is_made(blocks * KIB);
    }
}

#[test]
fn sixty_four_mib_with_default_options_are_clean_and_have_a_journal() {
    is_made(64 * MIB);
    let place = place();
    let image = place.path().join("disk");
    make(&image, options(64 * MIB));
    assert_eq!(header(&image, "Total journal size"), "4096k");
}

#[test]
fn a_hundred_and_twenty_nine_mib_are_clean_though_their_last_group_is_too_small() {
    is_made(129 * MIB);
}

#[test]
fn a_gib_is_clean() {
    is_made(GIB);
}

#[test]
fn a_hundred_gib_are_clean() {
    is_made(100 * GIB);
}

#[test]
fn a_tib_is_clean() {
    is_made(TIB);
}

#[test]
fn eight_tib_are_clean() {
    is_made(8 * TIB);
}

#[test]
fn the_largest_disk_is_clean() {
    is_made(16 * TIB - 4 * KIB);
}

#[test]
fn block_and_inode_sizes_are_honored() {
    let place = place();
    let image = place.path().join("disk");
    for (block, inode) in [
        (1024, 256),
        (1024, 1024),
        (2048, 256),
        (2048, 512),
        (4096, 256),
        (4096, 4096),
    ] {
        for bytes in [16 * MIB, 300 * MIB] {
            let inodes = InodeCount::Count(500);
            make(
                &image,
                options(bytes).block_size(block).inode_size(inode).inodes(inodes),
            );
            is_clean(&image);
            assert_eq!(header(&image, "Block size"), block.to_string());
            assert_eq!(header(&image, "Inode size"), inode.to_string());
        }
    }
}

#[test]
fn label_inodes_journal_and_reserve_are_honored() {
    let place = place();
    let image = place.path().join("disk");
    let asked = options(300 * MIB)
        .label("sixteen letters!")
        .inodes(InodeCount::Count(1000))
        .journal(JournalSize::Bytes(ByteSize::from_bytes(8 * MIB)))
        .reserved_percent(0);
    make(&image, asked);
    is_clean(&image);
    assert_eq!(header(&image, "Filesystem volume name"), "sixteen letters!");
    assert_eq!(
        header(&image, "Filesystem UUID"),
        "30313233-3435-3637-3839-616263646566"
    );
    assert_eq!(header(&image, "Total journal size"), "8M");
    assert_eq!(header(&image, "Reserved block count"), "0");
    let inodes: u32 = header(&image, "Inode count").parse().expect("a number");
    assert!((1000..1100).contains(&inodes), "{inodes}");

    make(&image, options(300 * MIB).journal(JournalSize::None));
    is_clean(&image);
    assert!(!header(&image, "Filesystem features").contains("has_journal"));
}

#[test]
fn features_are_those_of_mke2fs_with_meta_bg_for_resize_inode() {
    let place = place();
    let image = place.path().join("disk");
    let features = |bytes| {
        make(&image, options(bytes));
        let mut features: Vec<String> = header(&image, "Filesystem features")
            .split(' ')
            .map(str::to_owned)
            .collect();
        features.sort();
        features
    };
    let mut wanted = vec![
        "64bit",
        "dir_index",
        "dir_nlink",
        "ext_attr",
        "extent",
        "extra_isize",
        "filetype",
        "flex_bg",
        "has_journal",
        "huge_file",
        "large_file",
        "metadata_csum",
        "sparse_super",
    ];
    assert_eq!(features(GIB), wanted);
    wanted.push("meta_bg");
    wanted.sort_unstable();
    assert_eq!(features(9 * GIB), wanted);
}

#[test]
fn free_blocks_and_inodes_are_those_of_the_report() {
    let place = place();
    let image = place.path().join("disk");
    for bytes in [MIB, 64 * MIB, 10 * GIB] {
        let asked = options(bytes).build().expect("options");
        let report = sandbox_volumes::ext4::format_ext4(&image, &asked).expect("a disk");
        assert_eq!(header(&image, "Free blocks"), report.free_blocks.to_string());
        assert_eq!(header(&image, "Free inodes"), report.free_inodes.to_string());
        assert_eq!(
            header(&image, "Reserved block count"),
            report.reserved_blocks.to_string()
        );
    }
}

#[test]
fn an_empty_disk_takes_up_a_ten_thousandth_of_its_size() {
    use std::os::unix::fs::MetadataExt;
    let place = place();
    let image = place.path().join("disk");
    for bytes in [GIB, 100 * GIB, TIB] {
        make(&image, options(bytes));
        let allocated = fs::metadata(&image).expect("the image").blocks() * 512;
        assert!(allocated < bytes / 10_000, "{allocated} of {bytes}");
    }
}
