//! Whether a repository is the user's own, as git decides it (`safe.directory` in git-config(1)).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::run::Git;
use crate::branch::node::Meta;

/// Who is asking.
#[derive(Debug, Clone)]
pub(super) struct User {
    uid: u32,
    /// Who became root by sudo(8), which git lets work on their repositories.
    sudo: Option<u32>,
    /// Their home directory, as the kernel calls it.
    pub(super) home: Option<PathBuf>,
}

impl User {
    pub(super) fn current() -> Self {
        let uid = geteuid().as_raw();
        let sudo = std::env::var("SUDO_UID").ok().and_then(|text| text.parse().ok());
        Self {
            uid,
            sudo: sudo.filter(|_| uid == 0),
            home: std::env::var_os("HOME").and_then(|home| Path::new(&home).canonicalize().ok()),
        }
    }

    #[cfg(test)]
    pub(super) fn with_home(home: &Path) -> Self {
        Self {
            home: home.canonicalize().ok(),
            ..Self::current()
        }
    }

    #[cfg(test)]
    pub(super) fn with_uid(uid: u32) -> Self {
        Self {
            uid,
            sudo: None,
            home: None,
        }
    }

    /// Whose `path` is, where it is neither theirs nor one that they have told git to trust.
    pub(super) fn foreign_owner(&self, path: &Path) -> std::io::Result<Option<u32>> {
        let owner = Meta::of_path(path)?.uid;
        let is_theirs = owner == self.uid || Some(owner) == self.sudo;
        Ok((!is_theirs && !is_declared_safe(path)).then_some(owner))
    }
}

/// Whether the user's or the system's configuration, which are not a repository's, call `path` safe.
fn is_declared_safe(path: &Path) -> bool {
    let nowhere = Path::new("/dev/null");
    let arguments = ["--get-all", "-z", "safe.directory"].map(OsStr::new);
    let Ok(answer) = Git::find().and_then(|git| git.run(nowhere, "config", &arguments, b"")) else {
        return false;
    };
    is_listed(&answer, path)
}

/// Whether `list`, each entry ended by NUL, names `path`, a directory it is beneath (`…/*`), or everything (`*`). An
/// empty entry forgets those before it. A git directory is meant where its working tree is named.
fn is_listed(list: &[u8], path: &Path) -> bool {
    let mut is_safe = false;
    for entry in list.split(|byte| *byte == 0) {
        let name = Path::new(OsStr::from_bytes(entry));
        match entry.strip_suffix(b"/*") {
            _ if entry == b"*" => is_safe = true,
            Some(above) if path.starts_with(OsStr::from_bytes(above)) => is_safe = true,
            _ if name == path || (path.ends_with(".git") && Some(name) == path.parent()) => is_safe = true,
            _ => {}
        }
    }
    is_safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_safe_as_git_has_it() {
        let path = Path::new("/srv/repo/.git");
        for (list, expected) in [
            (&b""[..], false),
            (b"*\0", true),
            (b"/srv/repo\0", true),
            (b"/srv/repo/.git\0", true),
            (b"/srv/*\0", true),
            (b"/srv\0/srv/rep\0", false),
        ] {
            assert_eq!(is_listed(list, path), expected, "{list:?}");
        }
    }

    #[test]
    fn what_belongs_to_somebody_else_is_foreign() {
        let place = tempfile::tempdir().unwrap();
        let own = geteuid().as_raw();
        assert_eq!(User::current().foreign_owner(place.path()).unwrap(), None);
        let other = User::with_uid(own + 1);
        assert_eq!(other.foreign_owner(place.path()).unwrap(), Some(own));
    }
}
