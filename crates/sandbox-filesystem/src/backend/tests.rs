//! The suite that is the same for all, on those that need a directory of the host.

use sandbox_types::StatVirtualization;

use super::PassthroughFs;
use crate::conformance;

fn check(stat: StatVirtualization) {
    let (host, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fs = PassthroughFs::builder()
        .root_dir(root.path())
        .stat_virtualization(stat)
        .build()
        .unwrap();
    let report = conformance::run(&fs, host.path(), &[]).unwrap();
    assert!(
        report.differences.is_empty() && report.unseen.is_empty(),
        "{report}"
    );
}

#[test]
fn passthrough_with_virtual_owners_answers_every_case_as_the_host_does() {
    check(StatVirtualization::Strict);
}

#[test]
fn passthrough_with_the_hosts_owners_answers_every_case_as_the_host_does() {
    check(StatVirtualization::Off);
}

#[test]
fn listings_of_passthrough_stand_changes() {
    let root = tempfile::tempdir().unwrap();
    let fs = PassthroughFs::builder().root_dir(root.path()).build().unwrap();
    assert_eq!(conformance::check_listing(&fs), Ok(Vec::new()));
}
