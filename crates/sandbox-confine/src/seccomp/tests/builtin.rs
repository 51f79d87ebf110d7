//! The programs that were compiled with the crate.

use std::borrow::Cow;
use std::collections::HashSet;

use sandbox_types::policy::SyscallProfile;

use super::super::{FilterSpec, Toggles, builtin, compile, filter, preset};

#[test]
fn each_built_in_program_equals_the_one_compiled_now() {
    for spec in preset::all() {
        assert_eq!(
            builtin(&spec),
            Some(compile(&spec).unwrap().as_bytes()),
            "{spec:?}"
        );
    }
}

#[test]
fn the_built_in_programs_are_small_together() {
    let distinct: HashSet<_> = preset::all().filter_map(|spec| builtin(&spec)).collect();
    let bytes: usize = distinct.iter().map(|program| program.len()).sum();
    println!("{} programs, {bytes} bytes", distinct.len());
    assert!(bytes < 400 << 10, "{bytes}");
}

#[test]
fn a_policy_without_extras_needs_no_compilation_and_one_with_extras_gets_it() {
    let plain = FilterSpec::new(SyscallProfile::Network, Toggles::namespaced());
    assert!(matches!(filter(&plain), Ok(Cow::Borrowed(_))));
    let nested = FilterSpec {
        nested: true,
        ..plain.clone()
    };
    for spec in [
        nested,
        FilterSpec {
            allow: vec!["ptrace".into()],
            ..plain
        },
    ] {
        assert!(builtin(&spec).is_none(), "{spec:?}");
        assert!(matches!(filter(&spec), Ok(Cow::Owned(_))), "{spec:?}");
    }
}
