//! Sequences of operations, begun on a filesystem in memory and continued on a DualFs above it, against the model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox_filesystem::conformance::check_dual_operations;

fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = check_dual_operations(bytes) {
        panic!("{difference}");
    }
});
