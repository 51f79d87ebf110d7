//! The specs that are compiled when the crate is built: what policies without extras use.
//!
//! Each profile, with and without unix sockets, with each kind of internet sockets, on a host with namespaces and
//! without. Many of them are one program (a profile without `socket` has no socket rules), which is kept once.
//! Policies with `allow`, `deny` or `nested` are compiled at run time.

use sandbox_types::policy::SyscallProfile;

use super::spec::{FilterSpec, Inet, Toggles};

/// All specs with a built-in program. The position of one is its index in the generated table.
pub(crate) fn all() -> impl Iterator<Item = FilterSpec> {
    let toggles = [Toggles::shared_host(), Toggles::namespaced()]
        .into_iter()
        .flat_map(|host| {
            [false, true].into_iter().flat_map(move |unix_sockets| {
                NETWORKS.map(|(inet, deny_listen)| Toggles {
                    unix_sockets,
                    inet,
                    deny_listen,
                    ..host
                })
            })
        });
    toggles.flat_map(|toggles| SyscallProfile::ALL.map(|profile| FilterSpec::new(profile, toggles)))
}

/// Internet sockets, and whether `listen` is refused: with port rules it is, unless a port may be bound.
const NETWORKS: [(Inet, bool); 4] = [
    (Inet::None, false),
    (Inet::Any, false),
    (Inet::TcpOnly, false),
    (Inet::TcpOnly, true),
];

/// The index of `spec` in the generated table.
pub(super) fn index(spec: &FilterSpec) -> Option<usize> {
    all().position(|preset| preset == *spec)
}
