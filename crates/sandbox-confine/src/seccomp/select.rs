//! From a spec to the set of allowed names: profile, nested, allow, deny, toggles, in this order.

use std::collections::BTreeSet;

use super::error::SeccompError;
use super::groups::{self, GROUPS, Group, Tier};
use super::nearest::nearest;
use super::numbers;
use super::spec::{FilterSpec, Toggles};

/// The names a filter for `spec` allows, possibly only with certain arguments.
pub(super) fn allowed(spec: &FilterSpec) -> Result<BTreeSet<&'static str>, SeccompError> {
    let in_profile = |tier| match tier {
        Tier::Profile(narrowest) => narrowest <= spec.profile,
        Tier::Nested => spec.nested,
        Tier::Never => false,
    };
    let mut names: BTreeSet<_> = GROUPS
        .iter()
        .filter(|group| in_profile(group.tier))
        .flat_map(|group| group.calls)
        .copied()
        .collect();
    if spec.nested {
        names.insert("unshare");
    }
    for entry in &spec.allow {
        let found = Entry::find(entry)?;
        match found.group.tier {
            Tier::Profile(_) => {}
            Tier::Nested if spec.nested => {}
            Tier::Nested => return Err(SeccompError::NeedsNested { name: found.name }),
            Tier::Never => return Err(SeccompError::NeverAllowed { name: found.name }),
        }
        names.extend(found.calls());
    }
    for entry in &spec.deny {
        for call in Entry::find(entry)?.calls() {
            if call == "execve" {
                return Err(SeccompError::DeniesStart { entry: entry.clone() });
            }
            names.remove(call);
        }
    }
    let refused_groups = [
        ("@metadata", !spec.toggles.metadata_changes),
        ("@ipc", !spec.toggles.ipc),
    ];
    for (name, refused) in refused_groups {
        if refused && let Some(group) = groups::named(name) {
            names.retain(|call| !group.calls.contains(call));
        }
    }
    if spec.toggles.deny_listen {
        names.remove("listen");
    }
    if spec.toggles.template {
        names.extend(TEMPLATE);
    }
    if spec.toggles.clone_mounts {
        names.extend(CLONE_MOUNTS);
    }
    Ok(names)
}

/// What a template and its clones call before the caller's function runs in the clone, or between two forks.
/// `setns` is for pid namespaces only.
pub(super) const TEMPLATE: [&str; 24] = [
    "capset",
    "clone",
    "close",
    "close_range",
    "dup2",
    "exit_group",
    "getpid",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "madvise",
    "mmap",
    "munmap",
    "openat",
    "openat2",
    "ppoll",
    "prctl",
    "recvmsg",
    "rt_sigprocmask",
    "seccomp",
    "sendmsg",
    "setns",
    "setsid",
    "wait4",
];

/// Besides, where clones have mounts of their own.
const CLONE_MOUNTS: [&str; 2] = ["chdir", "fcntl"];

/// Those of [`TEMPLATE`] that `spec` does not allow, whatever their arguments.
pub(super) fn only_for_template(spec: &FilterSpec) -> Result<Vec<&'static str>, SeccompError> {
    let own = allowed(&FilterSpec {
        toggles: Toggles {
            template: false,
            clone_mounts: false,
            ..spec.toggles
        },
        ..spec.clone()
    })?;
    let all = TEMPLATE.into_iter().chain(CLONE_MOUNTS);
    Ok(all.filter(|call| !own.contains(call)).collect())
}

/// One resolved entry of `allow` or `deny`.
struct Entry {
    name: &'static str,
    group: &'static Group,
}

impl Entry {
    fn find(text: &str) -> Result<Self, SeccompError> {
        if text.starts_with('@') {
            let group = groups::named(text).ok_or_else(|| SeccompError::UnknownGroup {
                name: text.to_owned(),
                nearest: nearest(text, GROUPS.iter().map(|group| group.name)),
            })?;
            return Ok(Self {
                name: group.name,
                group,
            });
        }
        groups::containing(text)
            .and_then(|group| Self::member(group, text))
            .ok_or_else(|| SeccompError::UnknownCall {
                name: text.to_owned(),
                nearest: nearest(text, numbers::names()),
            })
    }

    fn member(group: &'static Group, call: &str) -> Option<Self> {
        let name = group.calls.iter().find(|member| **member == call)?;
        Some(Self { name, group })
    }

    /// The group's members, or the one call.
    fn calls(&self) -> impl Iterator<Item = &'static str> {
        let whole = self.name == self.group.name;
        self.group
            .calls
            .iter()
            .copied()
            .filter(move |call| whole || *call == self.name)
    }
}
