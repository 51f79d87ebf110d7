//! `/proc/self/cgroup`: where a process is in each hierarchy (cgroups(7)).

use std::path::Path;

/// The path in the v2 hierarchy.
pub(super) fn v2(text: &str) -> Option<&Path> {
    entries(text)
        .find(|(id, controllers, _)| *id == "0" && controllers.is_empty())
        .map(|(_, _, path)| path)
}

/// The path in the v1 hierarchy of `controller`.
pub(super) fn v1<'a>(text: &'a str, controller: &str) -> Option<&'a Path> {
    entries(text)
        .find(|(_, controllers, _)| controllers.split(',').any(|name| name == controller))
        .map(|(_, _, path)| path)
}

/// Lines are `id:controllers:path`; the path may hold colons.
fn entries(text: &str) -> impl Iterator<Item = (&str, &str, &Path)> {
    text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        Some((parts.next()?, parts.next()?, Path::new(parts.next()?)))
    })
}
