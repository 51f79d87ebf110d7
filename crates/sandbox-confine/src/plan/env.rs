//! The environment of commands: clean, with a small list of what programs need.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use sandbox_types::{Access, Policy};

use super::{Place, SCRATCH, View};
use crate::view::{GrantKind, SystemEntry};

/// Taken over from the caller when set: how to talk to a terminal and in which language.
const PASSED: &[&str] = &[
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "NO_COLOR",
];

/// Where programs are looked up when the caller's PATH says nothing that is visible.
const DEFAULT_PATH: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The variables, and PATH as a list.
pub(super) fn environment(
    policy: &Policy,
    place: Place,
    view: &View,
) -> (Vec<(OsString, OsString)>, Vec<PathBuf>) {
    let path = search_path(view);
    let (home, tmp) = match place {
        Place::Namespaces => (view.home.clone(), PathBuf::from("/tmp")),
        Place::InPlace => (Path::new(SCRATCH).join("home"), Path::new(SCRATCH).join("tmp")),
    };
    let joined = std::env::join_paths(&path).unwrap_or_default();
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), joined),
        ("HOME".into(), home.into_os_string()),
        ("TMPDIR".into(), tmp.into_os_string()),
        ("USER".into(), view.account.name.clone().into()),
        ("LOGNAME".into(), view.account.name.clone().into()),
        ("SHELL".into(), "/bin/sh".into()),
        ("SANDBOX".into(), "1".into()),
    ];
    let passed = PASSED
        .iter()
        .map(|name| OsStr::new(*name))
        .chain(policy.process.pass_env.iter().map(OsStr::new));
    for name in passed {
        if let Some(value) = view.variable(name) {
            set(&mut env, name, value);
        }
    }
    for (name, value) in view.toolchains.env.iter().chain(&view.socket_env) {
        set(&mut env, name, value);
    }
    for (name, value) in &policy.process.env {
        set(&mut env, OsStr::new(name), OsStr::new(value));
    }
    let path = asked_path(&env, &path).unwrap_or(path);
    (env, path)
}

/// The PATH that the policy gives the command instead of ours, where its program is looked up as well.
fn asked_path(env: &[(OsString, OsString)], ours: &[PathBuf]) -> Option<Vec<PathBuf>> {
    let (_, value) = env.iter().find(|(name, _)| name == "PATH")?;
    let asked: Vec<_> = std::env::split_paths(value).collect();
    (asked != ours).then(|| asked.into_iter().filter(|path| path.is_absolute()).collect())
}

fn set(env: &mut Vec<(OsString, OsString)>, name: &OsStr, value: &OsStr) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => value.clone_into(known),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}

/// What of the caller's PATH is visible inside and cannot be written there.
fn search_path(view: &View) -> Vec<PathBuf> {
    let path = view.variable(OsStr::new("PATH")).unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    let defaults = DEFAULT_PATH.iter().map(PathBuf::from);
    for directory in std::env::split_paths(path).chain(defaults) {
        if directory.is_absolute() && is_read_only_inside(&directory, view) && !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

fn is_read_only_inside(directory: &Path, view: &View) -> bool {
    let writable = view
        .grants
        .iter()
        .any(|grant| grant.access == Access::Write && directory.starts_with(&grant.at));
    let in_system = view.system.iter().any(|entry| match entry {
        SystemEntry::Dir(path) | SystemEntry::Elsewhere { path, .. } | SystemEntry::Link { path, .. } => {
            directory.starts_with(path)
        }
    });
    let in_toolchain = view.toolchains.grants.iter().any(|grant| match grant.kind {
        GrantKind::File => false,
        GrantKind::Dir | GrantKind::Link { .. } => directory.starts_with(&grant.path),
    });
    let granted = view.grants.iter().any(|grant| directory.starts_with(&grant.at));
    !writable && (in_system || in_toolchain || granted)
}
