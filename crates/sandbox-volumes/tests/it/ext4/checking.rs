//! What is damaged is noticed, and nothing makes a check panic.

use std::io::Cursor;

use proptest::prelude::*;
use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{CheckError, CheckReport, Source, check, grow_device, recover_device, write};

use super::{MIB, options, populated::nasty};

fn disk() -> Vec<u8> {
    let mut device = Cursor::new(Vec::new());
    let asked = options(12 * MIB).build().expect("options");
    write(&mut device, Source::Tree(&nasty()), &asked).expect("a disk");
    device.into_inner()
}

fn checked(disk: &[u8]) -> Result<CheckReport, CheckError> {
    check(Cursor::new(disk))
}

#[test]
fn a_flipped_bit_in_any_metadata_is_noticed() {
    let disk = disk();
    let clean = checked(&disk).expect("a disk");
    assert!(clean.is_clean(), "{clean:#?}");
    // Superblock, its copy, descriptors, bitmaps, inode tables: the first blocks of the groups that have them.
    let starts = [1024_usize, 2048, 3072, 4096];
    for at in starts
        .into_iter()
        .flat_map(|start| (0..64).map(move |step| start + step * 4 + 1))
    {
        let mut damaged = disk.clone();
        damaged[at] ^= 0x10;
        let is_noticed = checked(&damaged).map_or(true, |report| !report.is_clean());
        // Descriptors that no group has, and the space after them, are nobody's.
        assert!(is_noticed || disk[at..at + 4] == [0; 4], "byte {at}");
    }
}

#[test]
fn an_image_that_was_cut_off_is_an_error() {
    let disk = disk();
    for len in [0, 1, 1023, 1024, 2047, 2048, 5000, 1 << 20, disk.len() - 1024] {
        assert!(checked(&disk[..len]).is_err(), "{len}");
    }
}

#[test]
fn features_that_are_not_known_are_named() {
    let mut disk = disk();
    // Encryption.
    disk[1024 + 0x60 + 2] |= 1;
    let error = checked(&disk).expect_err("not supported");
    assert!(error.to_string().contains("0x10000"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_never_panics(damage in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..40), near in any::<bool>()) {
        let mut disk = DISK.with(Clone::clone);
        for (at, byte) in damage {
            // Mostly where the metadata is.
            let within = if near { 600 << 10 } else { disk.len() };
            let at = at as usize % within;
            disk[at] = byte;
        }
        drop(checked(&disk));
        drop(recover_device(&mut Cursor::new(disk.clone())));
        drop(grow_device(&mut Cursor::new(disk), ByteSize::from_bytes(13 * MIB)));
    }
}

thread_local! {
    static DISK: Vec<u8> = disk();
}
