//! Any bytes, taken for a layer of an image: imported whole, or refused with nothing left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox_filesystem::oci::check_layer;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problem) = check_layer(bytes) {
        panic!("{problem}");
    }
});
