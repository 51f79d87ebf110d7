//! What of `/etc` programs need, as data.
//!
//! Left out on purpose: `shadow`, `gshadow`, `sudoers`, `ssh`, `krb5.keytab`, `NetworkManager` (secrets);
//! `machine-id` (it identifies the machine and nothing here needs it); `npmrc`, `pip.conf`, `wgetrc`, `apt`,
//! `environment`, Maven's `settings.xml` (may hold tokens and proxy passwords); `profile.d`, `X11`, `vim`,
//! `login.defs` (no use inside); the configuration of servers (`redis`, `postgresql`, `mysql`).

/// How an entry of the table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// A copy of the file.
    File,
    /// A copy, unless it seems to hold a secret.
    FileWithoutSecret,
    /// The directory, bound read-only. It has no private parts and is not looked through for any.
    Dir,
    /// The directory, bound read-only, with what others may not read covered.
    MixedDir,
    /// `nsswitch.conf`, without the sources that need a daemon.
    Nsswitch,
}

use Show::{Dir, File, FileWithoutSecret, MixedDir, Nsswitch};

/// Names beneath `/etc`. A `*` at the end of the name, or before a suffix, matches anything.
pub(super) const TABLE: &[(&str, Show)] = &[
    // The dynamic linker and libc.
    ("ld.so.cache", File),
    ("ld.so.conf", File),
    ("ld.so.conf.d", Dir),
    ("ld-musl-*.path", File),
    ("nsswitch.conf", Nsswitch),
    ("protocols", File),
    ("services", File),
    ("locale.conf", File),
    ("localtime", File),
    ("timezone", File),
    // Which system this is.
    ("os-release", File),
    ("alternatives", Dir),
    ("static", Dir),
    // Certificates and what decides which of them count.
    ("ssl", MixedDir),
    ("pki", MixedDir),
    ("crypto-policies", MixedDir),
    ("gnutls", MixedDir),
    // Shells and terminals.
    ("bash.bashrc", File),
    ("bashrc", File),
    ("profile", File),
    ("inputrc", File),
    // Types of files.
    ("fonts", Dir),
    ("mtab", File),
    // Languages and tools whose own files are links into `/etc`.
    ("gitconfig", FileWithoutSecret),
    ("java-*", MixedDir),
    ("java", MixedDir),
];

/// Parts of directories that are not shown whole.
pub(super) const NESTED: &[(&str, Show)] = &[];

/// Directories of private keys deeper than one level, which is what is looked through anyway.
pub(super) const PRIVATE: &[&str] = &[
    "ssl/private",
    "pki/tls/private",
    "pki/CA/private",
    "pki/entitlement",
    "pki/consumer",
    "pki/nssdb",
];

/// The rows that are names.
pub(super) fn names() -> impl Iterator<Item = (&'static str, Show)> {
    TABLE.iter().filter(|(name, _)| !name.contains('*')).copied()
}

/// How `name` is shown by a row that is a pattern, if it is.
pub(super) fn show_by_pattern(name: &str) -> Option<Show> {
    TABLE
        .iter()
        .find(|(pattern, _)| pattern.contains('*') && matches(pattern, name))
        .map(|(_, show)| *show)
}

/// How `name` is shown, if it is.
#[cfg(test)]
fn show(name: &str) -> Option<Show> {
    TABLE
        .iter()
        .find(|(pattern, _)| matches(pattern, name))
        .map(|(_, show)| *show)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() > head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_identities_are_in_no_row() {
        for name in [
            "shadow",
            "shadow-",
            "gshadow",
            "sudoers",
            "sudoers.d",
            "ssh",
            "NetworkManager",
            "machine-id",
            "npmrc",
            "krb5.keytab",
            "apt",
            "environment",
            "redis",
            "X11",
            "pip.conf",
            "vim",
            "passwd",
            "resolv.conf",
        ] {
            assert_eq!(show(name), None, "{name}");
        }
    }

    #[test]
    fn a_star_matches_versions() {
        assert_eq!(show("java-17-openjdk"), Some(MixedDir));
        assert_eq!(show("java-"), None);
        assert_eq!(show("ld-musl-x86_64.path"), Some(File));
    }
}
