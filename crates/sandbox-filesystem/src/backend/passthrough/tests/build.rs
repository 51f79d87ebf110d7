//! What is refused at build, with a reason.

use sandbox_types::{ByteSize, CachePolicy, StatVirtualization};

use super::super::{IdRange, IdentityMap, PassthroughFs, PassthroughProblem};
use super::scratch;
use crate::backend::quota::{Quota, QuotaError};

#[test]
fn every_problem_is_told_at_once() {
    let range = |served, host, count| IdRange { served, host, count };
    let error = PassthroughFs::builder()
        .root_dir("/nowhere/at/all")
        .cache_policy(CachePolicy::Never)
        .writeback(true)
        .identity_map(IdentityMap::ranges([range(0, 5, 2), range(1, 9, 1)], []))
        .quota(Quota::bytes(ByteSize::ZERO))
        .build()
        .unwrap_err();
    let problems = error.problems();
    assert!(
        matches!(
            problems,
            [
                PassthroughProblem::WritebackWithoutCache,
                PassthroughProblem::Identity(_),
                PassthroughProblem::Quota(QuotaError::Zero),
                PassthroughProblem::Root { .. },
            ]
        ),
        "{problems:?}"
    );
    assert!(error.to_string().contains("/nowhere/at/all"));
    assert!(error.hints().count() >= 2);
}

#[test]
fn a_root_that_is_a_file_or_not_given_is_refused_with_a_hint() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = PassthroughFs::builder()
        .root_dir(file.path())
        .build()
        .unwrap_err();
    assert!(matches!(
        error.problems(),
        [PassthroughProblem::NotADirectory { .. }]
    ));
    assert!(error.hints().any(|hint| hint.contains("single_file")));

    let error = PassthroughFs::builder().build().unwrap_err();
    assert!(matches!(error.problems(), [PassthroughProblem::NoRoot]));

    let dir = tempfile::tempdir().unwrap();
    let error = PassthroughFs::builder()
        .root_dir(dir.path())
        .single_file()
        .build()
        .unwrap_err();
    assert!(matches!(error.problems(), [PassthroughProblem::NotAFile { .. }]));
}

/// procfs is a filesystem without user attributes on every machine; sysfs answers as if it were one with them.
#[test]
fn a_filesystem_without_attributes_is_refused_by_strict_and_served_by_relaxed() {
    for root in ["/proc/self", "/sys/kernel"] {
        let error = PassthroughFs::builder().root_dir(root).build().unwrap_err();
        assert!(
            matches!(error.problems(), [PassthroughProblem::NoXattrs { .. }]),
            "{error}"
        );
        assert!(error.hints().any(|hint| hint.contains("Relaxed")));
        for stat in [StatVirtualization::Relaxed, StatVirtualization::Off] {
            let fs = PassthroughFs::builder()
                .root_dir(root)
                .stat_virtualization(stat)
                .build()
                .unwrap();
            assert!(!fs.keeps_owners());
        }
    }
}

#[test]
fn building_writes_nothing_into_the_directory() {
    let place = tempfile::tempdir_in(scratch()).unwrap();
    let before = rustix::fs::stat(place.path()).unwrap();
    let fs = PassthroughFs::builder().root_dir(place.path()).build().unwrap();
    drop(fs);
    let after = rustix::fs::stat(place.path()).unwrap();
    assert_eq!(
        (before.st_ctime, before.st_ctime_nsec),
        (after.st_ctime, after.st_ctime_nsec)
    );
    assert_eq!(rustix::fs::listxattr_query(place.path()).unwrap(), 0);
}
