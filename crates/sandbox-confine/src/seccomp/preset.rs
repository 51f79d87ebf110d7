//! The specs that are compiled when the crate is built: what policies without extras use.
//!
//! Each profile, with and without unix and internet sockets, on a host with namespaces and without. Port rules
//! and extras are the policy's own and are compiled at run time.

use sandbox_types::policy::SyscallProfile;

use super::spec::{FilterSpec, Inet, Toggles};

/// All specs with a built-in program. The position of one is its index in the generated table.
pub(crate) fn all() -> impl Iterator<Item = FilterSpec> {
    SyscallProfile::ALL.into_iter().flat_map(|profile| {
        (0..8).map(move |bits: u8| {
            let inet = if bits & 1 == 0 { Inet::None } else { Inet::Any };
            let host = if bits & 2 == 0 {
                Toggles::shared_host()
            } else {
                Toggles::namespaced()
            };
            FilterSpec::new(
                profile,
                Toggles {
                    inet,
                    unix_sockets: bits & 4 != 0,
                    ..host
                },
            )
        })
    })
}

/// The index of `spec` in the generated table.
pub(super) fn index(spec: &FilterSpec) -> Option<usize> {
    all().position(|preset| preset == *spec)
}
