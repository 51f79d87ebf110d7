//! Sequences of operations on a filesystem in memory, against the model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox_filesystem::conformance::check_operations;

fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = check_operations(bytes) {
        panic!("{difference}");
    }
});
