//! The suite that every filesystem has to pass, against the host's own.

use std::ffi::OsStr;

use proptest::prelude::*;
use sandbox_types::HostPermissions;

use super::super::IdentityMap;
use super::{OFFERED, World, off, with};
use crate::conformance::{self, Backend, Host, compare};
use crate::fs::DynFileSystem;

/// As the host has it: its own ids, and the other ways to keep them.
fn worlds() -> Vec<World> {
    vec![
        super::strict(),
        with(|builder| {
            builder
                .host_permissions(HostPermissions::Mirror)
                .identity_map(IdentityMap::same())
        }),
        off(),
    ]
}

#[test]
fn it_answers_every_case_as_the_host_does() {
    for world in worlds() {
        let host = tempfile::tempdir_in(super::scratch()).unwrap();
        let report = conformance::run(&world.fs, host.path(), &[]).unwrap();
        assert!(
            report.differences.is_empty() && report.unseen.is_empty(),
            "{:?}: {report}",
            world.fs.config.stat
        );
    }
}

#[test]
fn listings_stand_changes() {
    for world in worlds() {
        assert_eq!(conformance::check_listing(&world.fs), Ok(Vec::new()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_give_what_the_host_gives(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        let steps = conformance::random_steps(&bytes);
        for world in worlds() {
            let place = tempfile::tempdir_in(super::scratch()).unwrap();
            let agreed = world.fs.init(OFFERED).unwrap();
            let mut backend = Backend::new(&world.fs, agreed, OsStr::new("case"), 0o022).unwrap();
            let mut host = Host::new(place.path());
            let differences = compare("random", &steps, &mut host, &mut backend);
            prop_assert!(differences.is_empty(), "{:?} {:#?}\n{}", world.fs.config.stat, steps, differences[0]);
        }
    }
}
