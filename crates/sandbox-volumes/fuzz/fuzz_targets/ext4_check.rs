//! Damages a disk that has a little of everything and lets `check`, `recover` and `grow` loose on it. The input is a
//! list of changes; checksums agree with everything here, so that what lies behind them is reached.
#![no_main]

mod disk;

use std::io::Cursor;

use disk::{BYTES, damaged};
use libfuzzer_sys::fuzz_target;
use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{check, grow_device, recover_device};

/// Says that the journal is to be replayed, and puts the input into its first blocks, each with a proper header.
fn fill_journal(disk: &mut [u8], data: &[u8]) {
    const MAGIC: [u8; 4] = [0xC0, 0x3B, 0x39, 0x98];
    disk[1024 + 0x60] |= 4;
    let Some(at) = disk.chunks(1024).position(|block| block.starts_with(&MAGIC)).map(|block| block * 1024) else {
        return;
    };
    disk[at + 31] = 1;
    for (number, part) in (1..).zip(data.chunks(64)) {
        let Some(block) = disk.get_mut(at + number * 1024..at + (number + 1) * 1024) else { return };
        block[..4].copy_from_slice(&MAGIC);
        block[4..12].copy_from_slice(&[0, 0, 0, part[0] % 6, 0, 0, 0, part[0] / 64 + 1]);
        block[12..12 + part.len() - 1].copy_from_slice(&part[1..]);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let mut disk = damaged(data, mode & 2 != 0);
    if mode & 4 != 0 {
        fill_journal(&mut disk, data);
    }
    drop(check(Cursor::new(&disk)));
    drop(recover_device(&mut Cursor::new(disk.clone())));
    drop(grow_device(&mut Cursor::new(disk), ByteSize::from_bytes(BYTES + (1 << 20))));
});
