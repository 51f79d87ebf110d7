//! What a denial hides: a denied path is not there inside, whatever would have shown it.
//!
//! What would be shown because of a default alone (the system, parts of /etc, toolchains) and is denied as a
//! whole is left out. What lies in something larger that is shown is covered, and so is what is made anew.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
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
        let is_there = path.symlink_metadata().is_ok();
        let shows_it = |(source, _): &&(PathBuf, PathBuf)| is_there && path.starts_with(source);
        for (source, at) in shown.iter().filter(shows_it) {
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
        masks.extend(grants.iter().filter_map(|grant| by_name_inside(path, grant)));
    }
    masks
}

/// A denied path is also meant by the name it has inside, where a copy or a view of a directory is shown in its
/// place: what is hidden on the host is not to be had from there.
fn by_name_inside(denied: &Path, grant: &ResolvedGrant) -> Option<Masked> {
    if grant.source == grant.at && grant.is_itself() {
        return None;
    }
    let below = denied.strip_prefix(&grant.at).ok()?;
    Some(Masked {
        path: denied.to_owned(),
        kind: kind_in(grant, below)?,
    })
}

/// What a mount shows at `below`; none where it shows nothing.
fn kind_in(grant: &ResolvedGrant, below: &Path) -> Option<MaskedKind> {
    let layers: Vec<&Path> = match (&grant.overlay, &grant.served) {
        (None, None) => vec![&grant.source],
        (Some(overlay), _) => std::iter::once(&overlay.upper)
            .chain(&overlay.lowers)
            .map(PathBuf::as_path)
            .collect(),
        (None, Some(served)) => served.layers.iter().map(PathBuf::as_path).collect(),
    };
    for layer in layers {
        match found_in(layer, below) {
            Found::Entry(kind) => return Some(kind),
            Found::Whiteout => return None,
            Found::Nothing => {}
        }
    }
    None
}

/// What a layer says of an entry.
enum Found {
    /// It is there.
    Entry(MaskedKind),
    /// It is gone, whatever the layers beneath say.
    Whiteout,
    /// Nothing.
    Nothing,
}

fn found_in(layer: &Path, below: &Path) -> Found {
    let mut place = layer.to_owned();
    for name in below {
        place.push(name);
        match place.symlink_metadata() {
            Ok(metadata) if metadata.file_type().is_char_device() && metadata.rdev() == 0 => {
                return Found::Whiteout;
            }
            Ok(_) => {}
            Err(_) => return Found::Nothing,
        }
    }
    Found::Entry(kind_of(&place))
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

    fn grant(source: &Path, at: &str, overlay: Option<sandbox_types::Overlay>) -> ResolvedGrant {
        ResolvedGrant {
            at: at.into(),
            source: source.to_owned(),
            is_dir: true,
            access: sandbox_types::Access::Write,
            overlay,
            served: None,
        }
    }

    #[test]
    fn what_is_shown_in_a_directory_s_place_does_not_show_what_is_denied_of_it() {
        let place = tempfile::tempdir().expect("a directory");
        let copy = place.path().join("copy");
        std::fs::create_dir_all(copy.join("secret/deep")).expect("mkdir");
        let kind = |denied: &str| {
            by_name_inside(Path::new(denied), &grant(&copy, "/srv/app", None)).map(|mask| mask.kind)
        };
        assert_eq!(kind("/srv/app/secret"), Some(MaskedKind::Dir));
        assert_eq!(kind("/srv/app/none"), None);
        assert_eq!(kind("/srv/other"), None);
    }

    #[test]
    fn what_a_branch_alone_has_can_be_denied() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = |name: &str| place.path().join(name);
        for name in ["upper", "lower", "work"] {
            std::fs::create_dir(dir(name)).expect("mkdir");
        }
        std::fs::write(dir("upper").join("new"), "").expect("write");
        let overlay = sandbox_types::Overlay {
            lowers: vec![dir("lower")],
            upper: dir("upper"),
            work: dir("work"),
            lock: None,
        };
        let grant = grant(&dir("lower"), "/srv/app", Some(overlay));
        let mask = by_name_inside(Path::new("/srv/app/new"), &grant).expect("masked");
        assert_eq!(mask.kind, MaskedKind::File);
    }
}
