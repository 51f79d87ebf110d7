//! The suite that every filesystem has to pass, against the host's own.

use sandbox_types::HostPermissions;

use super::super::IdentityMap;
use super::{World, off, with};
use crate::conformance;

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
