//! Where a command starts, and whether that place is granted for it.
//!
//! A program is expected to see the files around it, so the current directory is granted read-only. Not
//! where that would grant far more than a project: the home, the root, shared places.

use std::path::{Path, PathBuf};

use sandbox::Policy;
use sandbox::view::among_credentials;

/// Where the command starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Where the policy says.
    AsPolicy,
    /// In a directory that is visible anyway.
    In(PathBuf),
    /// In a directory that has to be granted.
    Grant(PathBuf),
    /// In the private home, because the directory stays hidden.
    Home {
        /// The directory.
        hidden: PathBuf,
        /// What it is.
        why: &'static str,
    },
}

/// Visible as a part of the system.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// Made anew inside, so that nothing of the host's can be granted at the same place.
const MADE_ANEW: &[&str] = &["/dev", "/proc", "/sys", "/etc", "/run"];
/// Made anew as well, but what the caller has in it can be shown.
const PRIVATE: &str = "/tmp";
/// Shared by everybody.
const SHARED: &[&str] = &["/", "/tmp", "/var", "/var/tmp", "/mnt", "/media", "/opt", "/srv"];

/// What is known of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The directory, without links.
    pub(crate) directory: &'a Path,
    /// The caller's home, without links.
    pub(crate) home: Option<&'a Path>,
    /// Granted and denied paths, without links.
    pub(crate) granted: &'a [PathBuf],
    pub(crate) denied: &'a [PathBuf],
    /// Whether the caller has named the directory.
    pub(crate) is_named: bool,
}

/// Decides, without looking at the disk.
pub(crate) fn start(policy: &Policy, around: &Surroundings<'_>) -> Start {
    let directory = around.directory;
    let is_in = |places: &[&str]| places.iter().any(|place| directory.starts_with(place));
    let is_beneath = |paths: &[PathBuf]| paths.iter().any(|path| directory.starts_with(path));
    let is_anew = is_in(MADE_ANEW) || directory.starts_with(PRIVATE);
    // A grant of the root shows what is in it, save what is made anew.
    let is_granted = around
        .granted
        .iter()
        .any(|path| directory.starts_with(path) && !(is_anew && path.parent().is_none()));
    let hidden = |why| {
        if around.is_named {
            return Start::In(directory.to_owned());
        }
        let hidden = directory.to_owned();
        Start::Home { hidden, why }
    };
    if is_beneath(around.denied) {
        return hidden("denied");
    }
    let is_mounted = policy
        .filesystem
        .mounts
        .iter()
        .any(|mount| directory.starts_with(&mount.at));
    if is_mounted || is_granted || (policy.filesystem.system && is_in(SYSTEM)) {
        return Start::In(directory.to_owned());
    }
    if around.home == Some(directory) {
        return hidden("your home");
    }
    if around.home.is_some_and(|home| home.starts_with(directory)) {
        return hidden("above your home");
    }
    // Their names alone: a directory that is granted for its own sake is no reason to look at the disk.
    if let Some(what) = around.home.and_then(|home| among_credentials(directory, home)) {
        return hidden(what);
    }
    if SHARED.iter().any(|place| directory == Path::new(place)) {
        return hidden("shared with everybody");
    }
    if is_in(SYSTEM) || is_in(MADE_ANEW) {
        return hidden("a part of the system");
    }
    Start::Grant(directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(directory: &str, granted: &[&str], denied: &[&str]) -> Start {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let around = Surroundings {
            directory: Path::new(directory),
            home: Some(Path::new("/home/me")),
            granted: &paths(granted),
            denied: &paths(denied),
            is_named: false,
        };
        start(&Policy::default(), &around)
    }

    #[test]
    fn a_project_is_granted_wherever_it_is() {
        for directory in ["/home/me/src/app", "/tmp/x", "/srv/app", "/var/lib/ci/work"] {
            assert_eq!(
                decide(directory, &[], &[]),
                Start::Grant(directory.into()),
                "{directory}"
            );
        }
    }

    #[test]
    fn the_home_and_what_holds_it_stay_hidden() {
        for directory in [
            "/home/me", "/home", "/", "/tmp", "/etc/ssl", "/proc/1", "/dev/shm",
        ] {
            assert!(
                matches!(decide(directory, &[], &[]), Start::Home { .. }),
                "{directory}"
            );
        }
    }

    #[test]
    fn credentials_stay_hidden_also_when_one_stands_among_them() {
        for directory in ["/home/me/.ssh", "/home/me/.config/gh/x", "/var/lib/kubelet/pki"] {
            assert!(
                matches!(decide(directory, &[], &[]), Start::Home { .. }),
                "{directory}"
            );
        }
        let project = "/home/me/.config/nvim";
        assert_eq!(decide(project, &[], &[]), Start::Grant(project.into()));
        let named = "/home/me/.ssh";
        assert_eq!(decide(named, &[named], &[]), Start::In(named.into()));
    }

    #[test]
    fn a_grant_of_the_root_leaves_out_what_is_made_anew() {
        assert_eq!(decide("/tmp/x", &["/"], &[]), Start::Grant("/tmp/x".into()));
        assert_eq!(decide("/srv/x", &["/"], &[]), Start::In("/srv/x".into()));
        assert!(matches!(decide("/proc/1", &["/"], &[]), Start::Home { .. }));
        assert_eq!(decide("/tmp/x", &["/tmp"], &[]), Start::In("/tmp/x".into()));
    }

    #[test]
    fn what_is_visible_anyway_is_not_granted_again() {
        assert_eq!(decide("/usr/share", &[], &[]), Start::In("/usr/share".into()));
        assert_eq!(
            decide("/home/me", &["/home/me"], &[]),
            Start::In("/home/me".into())
        );
    }

    #[test]
    fn a_denial_wins_over_the_default_grant() {
        assert!(matches!(
            decide("/srv/app/x", &[], &["/srv/app"]),
            Start::Home { .. }
        ));
    }
}
