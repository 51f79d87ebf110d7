//! Raw requests of the FUSE protocol, one after the other, to a server of a filesystem in memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox_filesystem::conformance::check_requests;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problem) = check_requests(bytes) {
        panic!("{problem}");
    }
});
