//! Has files of a disk changed that is sound, or damaged. The input is how many bytes of damage there are, the damage, and a
//! program. A sound disk has to stay sound; with a damaged one nothing is promised but an end.
#![no_main]

mod disk;

use disk::damaged;
use libfuzzer_sys::fuzz_target;
use sandbox_volumes::ext4::edit_disk;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let count = usize::from(mode / 8) * 4;
    let Some((damage, program)) = data.split_at_checked(count) else { return };
    let disk = damaged(damage, mode & 1 != 0);
    edit_disk(disk, count == 0, program).unwrap();
});
