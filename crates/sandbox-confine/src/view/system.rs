//! The directories of the operating system: `/usr` and what stands beside it.

use std::fs;
use std::path::{Path, PathBuf};

use super::hidden::normalized;
use crate::beneath::is_beneath;

/// The system directories that this host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemView {
    /// In the order in which to create them: a link's target comes before the link.
    pub entries: Vec<SystemEntry>,
}

/// One system directory, named as it appears inside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemEntry {
    /// Bind this directory of the host, read-only, at the same path.
    Dir(PathBuf),
    /// Bind this other directory of the host, read-only: the path is a link that would dangle inside.
    Elsewhere {
        /// Where it appears.
        path: PathBuf,
        /// Where it is, without links.
        source: PathBuf,
    },
    /// Create this link, as the host has it (`/bin` to `usr/bin` where the two are merged).
    Link {
        /// Where the link is.
        path: PathBuf,
        /// Its target as written on the host, relative to `/` or absolute.
        target: PathBuf,
    },
}

/// Candidates in order. The last one is where openSUSE keeps what `/etc/ssl/certs` links to.
const CANDIDATES: &[&str] = &[
    "usr",
    "nix/store",
    "gnu/store",
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "var/lib/ca-certificates",
];

impl SystemView {
    /// Looks at this host.
    pub fn detect() -> Self {
        Self::detect_in(Path::new("/"))
    }

    /// Looks at the tree at `root` as if it were `/`.
    fn detect_in(root: &Path) -> Self {
        let mut view = Self::default();
        for name in CANDIDATES {
            if let Some(entry) = entry(root, name, &view.entries) {
                view.entries.push(entry);
            }
        }
        view
    }
}

fn entry(root: &Path, name: &str, earlier: &[SystemEntry]) -> Option<SystemEntry> {
    let on_host = root.join(name);
    let path = Path::new("/").join(name);
    let metadata = on_host.symlink_metadata().ok()?;
    if metadata.is_symlink() {
        let target = fs::read_link(&on_host).ok()?;
        let leads_to = normalized(&Path::new("/").join(&target));
        let is_covered = earlier
            .iter()
            .any(|entry| matches!(entry, SystemEntry::Dir(dir) if is_beneath(&leads_to, dir)));
        if is_covered {
            let there = root.join(leads_to.strip_prefix("/").unwrap_or(&leads_to));
            return there.is_dir().then_some(SystemEntry::Link { path, target });
        }
    } else if metadata.is_dir() && !name.contains('/') {
        return Some(SystemEntry::Dir(path));
    }
    // A link that leads elsewhere, here or on the way, would dangle inside.
    let source = on_host.canonicalize().ok().filter(|source| source.is_dir())?;
    Some(if source == on_host {
        SystemEntry::Dir(path)
    } else {
        SystemEntry::Elsewhere { path, source }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_merged_usr_becomes_links_and_a_split_one_directories() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["usr/bin", "usr/lib", "sbin", "run", "home/user"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        symlink("usr/lib", dir.path().join("lib")).unwrap();
        let link = |path: &str, target: &str| SystemEntry::Link {
            path: path.into(),
            target: target.into(),
        };
        assert_eq!(
            SystemView::detect_in(dir.path()).entries,
            [
                SystemEntry::Dir("/usr".into()),
                link("/bin", "usr/bin"),
                SystemEntry::Dir("/sbin".into()),
                link("/lib", "usr/lib"),
            ]
        );
    }

    #[test]
    fn a_link_out_of_the_system_is_bound_and_a_broken_one_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/bin")).unwrap();
        fs::create_dir_all(dir.path().join("usr")).unwrap();
        symlink("data/bin", dir.path().join("bin")).unwrap();
        symlink("usr/lib64", dir.path().join("lib64")).unwrap();
        symlink("lib32", dir.path().join("lib32")).unwrap();
        assert_eq!(
            SystemView::detect_in(dir.path()).entries,
            [
                SystemEntry::Dir("/usr".into()),
                SystemEntry::Elsewhere {
                    path: "/bin".into(),
                    source: dir.path().canonicalize().unwrap().join("data/bin"),
                }
            ]
        );
    }

    #[test]
    fn a_store_beside_the_system_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("nix/store")).unwrap();
        fs::create_dir_all(dir.path().join("nix/var")).unwrap();
        assert_eq!(
            SystemView::detect_in(dir.path()).entries,
            [SystemEntry::Dir("/nix/store".into())]
        );
    }

    #[test]
    fn this_host_has_a_usr_and_shows_no_place_of_the_user() {
        let view = SystemView::detect();
        assert!(view.entries.contains(&SystemEntry::Dir("/usr".into())));
        for entry in &view.entries {
            let (SystemEntry::Dir(path)
            | SystemEntry::Elsewhere { path, .. }
            | SystemEntry::Link { path, .. }) = entry;
            assert!(
                !path.starts_with("/home") && !path.starts_with("/run"),
                "{path:?}"
            );
        }
    }
}
