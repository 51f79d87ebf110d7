//! What a denial hides: a denied path is not there inside, whatever would have shown it.
//!
//! What would be shown because of a default alone (the system, parts of /etc, toolchains) and is denied as a
//! whole is left out. What lies in something larger that is shown is covered, and so is what is made anew.

use std::path::{Component, Path, PathBuf};

use super::root::DEVICES;
use super::{ResolvedGrant, View};
use crate::beneath::is_beneath;
use crate::view::{EtcEntry, GrantKind, Masked, MaskedKind, SystemEntry, generate};

/// Leaves out of `view` what is denied as a whole.
pub(super) fn leave_out(view: &mut View, denied: &[PathBuf]) {
    let is_denied = |path: &Path| denied.iter().any(|denied| is_beneath(path, denied));
    view.system.retain(|entry| {
        let (SystemEntry::Dir(path)
        | SystemEntry::Elsewhere { source: path, .. }
        | SystemEntry::Link { path, .. }) = entry;
        !is_denied(path)
    });
    view.etc.entries.retain(|entry| match entry {
        EtcEntry::Dir { name, source } | EtcEntry::Large { name, source } => {
            !is_denied(source) && !is_denied(&in_etc(name))
        }
        EtcEntry::File { name, .. } | EtcEntry::Link { name, .. } => !is_denied(&in_etc(name)),
    });
    view.toolchains.grants.retain(|grant| !is_denied(&grant.path));
}

/// What must be covered of `denied`, wherever inside it would be seen.
pub(super) fn masks(denied: &[PathBuf], grants: &[ResolvedGrant], view: &View) -> Vec<Masked> {
    let mut masks = Vec::new();
    if denied.is_empty() {
        return masks;
    }
    let shown = shown(grants, view);
    for path in denied {
        for (source, at) in shown.iter().filter(|(source, _)| path.starts_with(source)) {
            let below = path.strip_prefix(source).unwrap_or(path);
            let is_whole = below.as_os_str().is_empty();
            masks.push(Masked {
                path: if is_whole { at.clone() } else { at.join(below) },
                kind: kind_of(path),
            });
        }
        masks.extend(made_anew(path).into_iter().map(|path| Masked {
            kind: kind_of(&path),
            path,
        }));
    }
    masks
}

/// Trees and files of the host: where they are, and where they appear.
fn shown(grants: &[ResolvedGrant], view: &View) -> Vec<(PathBuf, PathBuf)> {
    let granted = grants
        .iter()
        .map(|grant| (grant.source.clone(), grant.at.clone()));
    let toolchains = view.toolchains.grants.iter();
    let toolchains = toolchains
        .filter(|grant| matches!(grant.kind, GrantKind::Dir | GrantKind::File))
        .map(|grant| (grant.path.clone(), grant.path.clone()));
    let system = view.system.iter().filter_map(|entry| match entry {
        SystemEntry::Dir(path) => Some((path.clone(), path.clone())),
        SystemEntry::Elsewhere { path, source } => Some((source.clone(), path.clone())),
        SystemEntry::Link { .. } => None,
    });
    let etc = view.etc.entries.iter().filter_map(|entry| match entry {
        EtcEntry::Dir { name, source } | EtcEntry::Large { name, source } => {
            Some((source.clone(), in_etc(name)))
        }
        EtcEntry::File { .. } | EtcEntry::Link { .. } => None,
    });
    granted.chain(toolchains).chain(system).chain(etc).collect()
}

/// The places made for the sandbox itself that `denied` names or contains.
fn made_anew(denied: &Path) -> Vec<PathBuf> {
    let generated = generate::NAMES.iter().map(|name| in_etc(Path::new(name)));
    let devices = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    let mut found: Vec<PathBuf> = generated
        .chain(devices)
        .filter(|place| is_beneath(place, denied))
        .collect();
    // Facts about the machine. What belongs to a process of the host is not there anyway.
    if let Ok(below) = denied.strip_prefix("/proc")
        && !below.components().next().is_some_and(is_number)
    {
        found.push(denied.to_owned());
    }
    found
}

fn is_number(component: Component<'_>) -> bool {
    component
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .all(u8::is_ascii_digit)
}

fn in_etc(name: &Path) -> PathBuf {
    Path::new("/etc").join(name)
}

fn kind_of(path: &Path) -> MaskedKind {
    if path.is_dir() {
        MaskedKind::Dir
    } else {
        MaskedKind::File
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_anew_can_be_denied_and_processes_of_the_host_need_not() {
        let found = |path: &str| made_anew(Path::new(path));
        assert_eq!(found("/etc/passwd"), [PathBuf::from("/etc/passwd")]);
        assert_eq!(found("/dev/tty"), [PathBuf::from("/dev/tty")]);
        assert_eq!(found("/proc/cpuinfo"), [PathBuf::from("/proc/cpuinfo")]);
        assert!(found("/etc").len() == generate::NAMES.len() && found("/dev").len() == DEVICES.len());
        assert!(
            found("/proc/1").is_empty() && found("/proc/17/status").is_empty() && found("/srv").is_empty()
        );
    }
}
