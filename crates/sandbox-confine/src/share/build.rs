//! Which build this is. What holders and init say to one another has no version; all must be of one build.

use crate::init::IMAGE;

/// Changed with every change of what is told to a joiner, unless init changes as well.
const FORMAT: u8 = 1;

/// The version, for messages.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A number of this build: init's program, this crate's version, the format.
pub(super) const BUILD: u64 = fingerprint(
    fingerprint(fingerprint(SEED, IMAGE), VERSION.as_bytes()),
    &[FORMAT],
);

/// FNV-1a, 64 bits.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which has no iterators there"
)]
const fn fingerprint(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}
