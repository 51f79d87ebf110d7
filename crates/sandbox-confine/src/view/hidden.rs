//! Which places of the host belong to the system view, and which are never shown as a tree.

use std::path::{Component, Path, PathBuf};

use crate::beneath::is_beneath;

/// Trees that the system view shows anyway.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
];

/// Nothing at or beneath these is shown because `PATH` or a link names it.
const HIDDEN: &[&str] = &[
    "/run",
    "/var",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/etc",
    "/srv",
    "/mnt",
    "/media",
    "/lost+found",
];

/// Directories of other people's things: parts of them may be shown, they themselves may not.
const SHARED: &[&str] = &["/", "/home", "/root", "/opt", "/tmp", "/nix", "/gnu"];

/// Whether the system view shows `path`.
pub(super) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| is_beneath(path, Path::new(dir)))
}

/// Whether `path` must not be shown as a tree, whatever names it.
pub(super) fn is_hidden(path: &Path) -> bool {
    HIDDEN.iter().any(|dir| is_beneath(path, Path::new(dir)))
        || SHARED.iter().any(|dir| path == Path::new(dir))
        || path.parent() == Some(Path::new("/home"))
}

/// `path` with `.` and `..` taken out by their names alone; for judging a path, never for opening one.
pub(super) fn normalized(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}
