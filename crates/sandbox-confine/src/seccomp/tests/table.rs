//! The data: every call once, in one group, under the right number.

use std::collections::{BTreeMap, BTreeSet};

use libseccomp::{ScmpArch, ScmpSyscall};

use super::super::groups::GROUPS;
use super::super::numbers::{self, Arch};

#[test]
fn names_are_sorted_and_distinct() {
    let names: Vec<_> = numbers::names().collect();
    assert!(names.is_sorted_by(|a, b| a < b));
}

#[test]
fn no_two_names_share_a_number() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        assert!(numbers::numbers(arch).is_sorted_by(|a, b| a < b), "{arch:?}");
    }
}

#[test]
fn every_call_of_the_table_is_in_exactly_one_group() {
    let mut seen = BTreeMap::new();
    for group in GROUPS {
        for call in group.calls {
            assert_eq!(seen.insert(*call, group.name), None, "{call} is in two groups");
        }
    }
    let grouped: BTreeSet<_> = seen.into_keys().collect();
    assert_eq!(grouped, numbers::names().collect());
}

#[test]
fn numbers_agree_with_libseccomp_where_it_knows_the_name() {
    for (arch, theirs) in [
        (Arch::X86_64, ScmpArch::X8664),
        (Arch::Aarch64, ScmpArch::Aarch64),
    ] {
        let mut compared = 0;
        for name in numbers::names() {
            let number = ScmpSyscall::from_name_by_arch(name, theirs).map_or(-1, i32::from);
            let Some(ours) = numbers::number(name, arch) else {
                assert!(number < 0, "{name} exists on {arch:?} as {number}");
                continue;
            };
            if number >= 0 {
                assert_eq!(ours.cast_signed(), number, "{name} on {arch:?}");
                compared += 1;
            }
        }
        assert!(compared > 290, "{compared} names of {arch:?} compared");
    }
}

#[test]
fn the_newest_names_have_the_same_number_everywhere() {
    let newest = [
        ("cachestat", 451),
        ("fchmodat2", 452),
        ("statmount", 457),
        ("listmount", 458),
        ("lsm_get_self_attr", 459),
        ("mseal", 462),
        ("setxattrat", 463),
        ("open_tree_attr", 467),
        ("file_getattr", 468),
        ("file_setattr", 469),
    ];
    for (name, number) in newest {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            assert_eq!(numbers::number(name, arch), Some(number), "{name} on {arch:?}");
        }
    }
}
