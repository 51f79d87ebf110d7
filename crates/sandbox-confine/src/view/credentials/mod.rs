//! Credentials and sockets that stay hidden even beneath a granted tree.
//!
//! The places are data (`table.rs`). [`masked_under`] and [`sockets_under`] name those that exist beneath a
//! tree which a policy grants, so that the plan covers each with an empty directory or an empty file *in the
//! sandbox's own mount namespace*; nothing is created in the user's tree. A link is never covered itself:
//! what it leads to is, wherever within the tree that is.
//!
//! A place that is the granted tree itself, or contains it, is not masked: to name it is to ask for it.
//!
//! What this does not see: hard links and copies of a secret under another name, and secrets in places that
//! no table knows. Grant less than a whole home where that matters.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::lookup;
use super::names::Names;
use crate::beneath::is_beneath;

/// How many entries of a credential directory are looked at for links that lead elsewhere.
const MAX_ENTRIES: usize = 1024;

/// A path to cover.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked {
    /// The path, beneath the granted path as the caller spelled it; no link in the part below that.
    pub path: PathBuf,
    /// What to cover it with.
    pub kind: MaskedKind,
}

/// What covers a masked path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MaskedKind {
    /// An empty directory.
    Dir,
    /// An empty file; also over a socket.
    File,
}

/// Places of this host that stay hidden, looked up once and then asked for each granted tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HiddenPlaces {
    /// Existing places, resolved.
    places: BTreeMap<PathBuf, MaskedKind>,
}

/// What exists beneath `root` and holds credentials: those of the user whose home is `home`, and the system's.
///
/// `root` is a path of the host that a policy grants. For several roots keep a [`HiddenPlaces`].
pub fn masked_under(root: &Path, home: &Path) -> Vec<Masked> {
    HiddenPlaces::credentials(home).under(root)
}

/// The sockets, and directories of sockets, beneath `root` that lead to daemons outside the sandbox; see
/// [`HiddenPlaces::sockets`].
pub fn sockets_under(root: &Path, home: &Path, env: &[(OsString, OsString)]) -> Vec<Masked> {
    HiddenPlaces::sockets(home, env).under(root)
}

impl HiddenPlaces {
    /// Credentials of the user whose home is `home`, and the system's.
    pub fn credentials(home: &Path) -> Self {
        let mut hidden = Self::default();
        hidden.add_in(home, table::IN_HOME.iter().map(|(path, _)| *path));
        hidden.add_absolute(table::IN_SYSTEM.iter().map(|(path, _)| *path));
        hidden
    }

    /// Known sockets, those of `XDG_RUNTIME_DIR`, and what variables of `env` such as `SSH_AUTH_SOCK` and
    /// `DOCKER_HOST` name. Each is to be reachable only when a policy allows exactly that socket.
    pub fn sockets(home: &Path, env: &[(OsString, OsString)]) -> Self {
        let mut hidden = Self::default();
        hidden.add_absolute(table::SOCKETS.iter().copied());
        hidden.add_in(home, table::SOCKETS_IN_HOME.iter().copied());
        if let Some(dir) = lookup(env, "XDG_RUNTIME_DIR")
            .map(Path::new)
            .filter(|dir| dir.is_absolute())
        {
            hidden.add_in(dir, table::IN_RUNTIME_DIR.iter().copied());
        }
        for name in table::SOCKET_VARIABLES {
            if let Some(path) = lookup(env, name).and_then(|value| socket_path(value.as_bytes())) {
                hidden.add(&path);
            }
        }
        hidden
    }

    /// Those beneath `root`; none of them lies beneath another one.
    pub fn under(&self, root: &Path) -> Vec<Masked> {
        let Ok(real_root) = root.canonicalize() else {
            return Vec::new();
        };
        let mut found: Vec<Masked> = Vec::new();
        // In the order of paths a directory comes before everything in it.
        for (place, &kind) in self
            .places
            .iter()
            .filter(|(place, _)| is_beneath(place, &real_root))
        {
            let Ok(below) = place.strip_prefix(&real_root) else {
                continue;
            };
            let path = root.join(below);
            let covered = found.last().is_some_and(|outer| path.starts_with(&outer.path));
            if !below.as_os_str().is_empty() && !covered {
                found.push(Masked { path, kind });
            }
        }
        found
    }

    /// Adds the `entries` of `dir` that exist.
    fn add_in(&mut self, dir: &Path, entries: impl Iterator<Item = &'static str>) {
        let names = Names::of(dir);
        for entry in entries.filter(|entry| names.may_hold(Path::new(entry))) {
            self.add(&dir.join(entry));
        }
    }

    /// [`add_in`](Self::add_in) for absolute `entries`, of which many have their first component in common.
    fn add_absolute(&mut self, entries: impl Iterator<Item = &'static str>) {
        let mut missing = BTreeSet::new();
        for entry in entries {
            let first = entry.split('/').nth(1).unwrap_or(entry);
            if missing.contains(first) {
                continue;
            }
            if Path::new("/").join(first).symlink_metadata().is_ok() {
                self.add(Path::new(entry));
            } else {
                missing.insert(first);
            }
        }
    }

    /// Hides what `place` leads to and, if it is a directory, what the links in it lead to.
    fn add(&mut self, place: &Path) {
        let Some((real, MaskedKind::Dir)) = self.add_one(place) else {
            return;
        };
        // Dotfile managers keep `~/.config/gh` real and make its files links into a repository.
        let Ok(entries) = fs::read_dir(&real) else { return };
        for entry in entries.take(MAX_ENTRIES).flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.add_one(&entry.path());
            }
        }
    }

    fn add_one(&mut self, place: &Path) -> Option<(PathBuf, MaskedKind)> {
        place.symlink_metadata().ok()?;
        let real = place.canonicalize().ok()?;
        let kind = if real.is_dir() {
            MaskedKind::Dir
        } else {
            MaskedKind::File
        };
        self.places.insert(real.clone(), kind);
        Some((real, kind))
    }
}

/// What credentials a grant of `path` would show, if any: `path` is in one of the known places beneath
/// `home`, or contains one that exists.
pub fn holds_credentials(path: &Path, home: &Path) -> Option<&'static str> {
    let real_home = home.canonicalize().ok();
    [Some(home), real_home.as_deref()]
        .into_iter()
        .flatten()
        .find_map(|home| holds_in(path, home))
}

/// What credentials `path`, a path without links, is among: it is one of the known places, or in one. Looks at names
/// alone.
pub fn among_credentials(path: &Path, home: &Path) -> Option<&'static str> {
    let in_home = path.strip_prefix(home).ok().and_then(|below| {
        let mut places = table::IN_HOME.iter();
        places.find(|(place, _)| is_beneath(below, Path::new(place)))
    });
    let in_system = || {
        let mut places = table::IN_SYSTEM.iter();
        places.find(|(place, _)| is_beneath(path, Path::new(place)))
    };
    in_home.or_else(in_system).map(|(_, what)| *what)
}

/// [`holds_credentials`] for one spelling of the home.
pub(super) fn holds_in(path: &Path, home: &Path) -> Option<&'static str> {
    let below = match path.strip_prefix(home) {
        Ok(below) => below,
        Err(_) if home.starts_with(path) => Path::new(""),
        Err(_) => return None,
    };
    let found = table::IN_HOME.iter().find(|(place, _)| {
        let contains = || is_beneath(Path::new(place), below) && home.join(place).symlink_metadata().is_ok();
        is_beneath(below, Path::new(place)) || contains()
    });
    found.map(|(_, what)| *what)
}

/// Whether a configuration file seems to hold a secret: a key that is called one, or a URL with a password.
///
/// For files that programs need and that usually hold none (`~/.cargo/config.toml`, `/etc/gitconfig`).
pub(super) fn text_holds_secret(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .any(|line| {
            let key = line.split('=').next().unwrap_or(line);
            let named = [
                "token",
                "secret",
                "password",
                "passwd",
                "extraheader",
                "authorization",
            ];
            named.iter().any(|word| key.contains(word)) || url_with_password(line)
        })
}

fn url_with_password(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '"', '\'', ' ']).next().unwrap_or(rest);
        authority
            .split_once('@')
            .is_some_and(|(user, _)| user != "git" && !user.is_empty())
    })
}

/// The path in a variable such as `/run/x`, `unix:///run/x`, `unix:path=/run/x,guid=…` or `/run/x,1,0`.
fn socket_path(value: &[u8]) -> Option<PathBuf> {
    let start = value.iter().position(|&byte| byte == b'/')?;
    let (scheme, rest) = value.split_at(start);
    let known = [&b""[..], b"unix:", b"unix:path="].contains(&scheme);
    let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
    let path = rest.get(slashes - 1..)?;
    let end = path
        .iter()
        .position(|&byte| matches!(byte, b',' | b';'))
        .unwrap_or(path.len());
    known.then(|| PathBuf::from(OsString::from_vec(path.get(..end).unwrap_or(path).to_vec())))
}

#[cfg(test)]
mod tests;
