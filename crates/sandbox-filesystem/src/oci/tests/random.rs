//! Random bytes, and random changes of good layers: nothing panics, and nothing is left of what is refused.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_and_damaged_layers_are_imported_whole_or_not_at_all(
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        prop_assert!(fuzz::check_layer(&noise).is_ok());
        let mut layer = Forged::new()
            .dir("d")
            .records(&[("SCHILY.xattr.user.x", b"1")])
            .file("d/f", b"content")
            .with(EntryType::Link, "l", "d/f", b"")
            .file(".wh.x", b"")
            .end();
        for (place, byte) in changes {
            let place = place.index(layer.len());
            layer[place] = byte;
        }
        prop_assert_eq!(fuzz::check_layer(&layer), Ok(()));
    }
}
