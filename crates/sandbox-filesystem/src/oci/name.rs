//! What the name of an entry means: a place in the layer, or that something is not there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sandbox_types::RelPath;

/// `image-spec`, `layer.md`: what begins so is a whiteout.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Of one name, in bytes: as Linux has it.
const LONGEST: usize = 255;
/// Of a whole path, in bytes: what a system call takes.
const LONGEST_PATH: usize = 4095;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An entry at this path; the root among them.
    Entry(RelPath),
    /// That nothing is at this path in layers beneath.
    Whiteout(RelPath),
    /// That nothing is in this directory in layers beneath.
    Opaque(RelPath),
}

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// It begins with `/`.
    #[error("is absolute")]
    Absolute,
    /// It has `..` in it.
    #[error("leads up")]
    Up,
    /// It is empty, or has a zero byte in it.
    #[error("is no name")]
    NoName,
    /// It, or one of its parts, is too long.
    #[error("is too long")]
    TooLong,
    /// It has too many parts.
    #[error("is more than {limit} directories deep")]
    TooDeep {
        /// How many it may have.
        limit: usize,
    },
    /// It begins with `.wh.` and means nothing.
    #[error("begins with .wh. and is no whiteout")]
    Reserved,
    /// A whiteout of `.` or `..`.
    #[error("hides a directory from itself")]
    HidesItself,
}

/// What `name` means.
pub(super) fn meaning(name: &[u8], depth: usize) -> Result<Meaning, NameProblem> {
    let mut names = names(name, depth)?;
    let last = names.last().copied().unwrap_or_default();
    if !last.starts_with(WHITEOUT) {
        return Ok(Meaning::Entry(path(&names)));
    }
    names.pop();
    if last == OPAQUE {
        return Ok(Meaning::Opaque(path(&names)));
    }
    let hidden = last.get(WHITEOUT.len()..).unwrap_or_default();
    match hidden {
        b"." | b".." => Err(NameProblem::HidesItself),
        b"" => Err(NameProblem::Reserved),
        hidden if hidden.starts_with(WHITEOUT) => Err(NameProblem::Reserved),
        hidden => {
            names.push(hidden);
            Ok(Meaning::Whiteout(path(&names)))
        }
    }
}

/// The parts of a name, without empty ones and `.`; all but the last are those of directories.
fn names(name: &[u8], depth: usize) -> Result<Vec<&[u8]>, NameProblem> {
    if name.starts_with(b"/") {
        return Err(NameProblem::Absolute);
    }
    if name.is_empty() || name.contains(&0) {
        return Err(NameProblem::NoName);
    }
    if name.len() > LONGEST_PATH {
        return Err(NameProblem::TooLong);
    }
    let parts = name.split(|byte| *byte == b'/');
    let names: Vec<&[u8]> = parts.filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&b"..".as_slice()) {
        return Err(NameProblem::Up);
    }
    if names.iter().any(|name| name.len() > LONGEST) {
        return Err(NameProblem::TooLong);
    }
    if names.len() > depth {
        return Err(NameProblem::TooDeep { limit: depth });
    }
    let directories = names.split_last().map_or(&[][..], |(_, directories)| directories);
    if directories.iter().any(|name| name.starts_with(WHITEOUT)) {
        return Err(NameProblem::Reserved);
    }
    Ok(names)
}

/// Nothing in `names` is refused by a path: they have neither `/` nor zero bytes in them and are not `.` or `..`.
fn path(names: &[&[u8]]) -> RelPath {
    RelPath::new(OsStr::from_bytes(&names.join(&b'/'))).unwrap_or_default()
}

/// What `path` is called in a layer that says that nothing is there. None where the name would be too long.
pub(super) fn whiteout_of(path: &RelPath) -> Option<Vec<u8>> {
    let name = path.name()?.as_bytes();
    let hidden = [WHITEOUT, name].concat();
    (hidden.len() <= LONGEST).then(|| beside(path, &hidden))
}

/// What says in a layer that the directory at `path` hides what is beneath.
pub(super) fn opaque_of(path: &RelPath) -> Vec<u8> {
    if path.is_root() {
        OPAQUE.to_vec()
    } else {
        [path.as_bytes(), b"/", OPAQUE].concat()
    }
}

/// Whether a layer cannot hold something of this name, since it would mean something else.
pub(super) fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(WHITEOUT)
}

fn beside(path: &RelPath, name: &[u8]) -> Vec<u8> {
    match path.parent().filter(|parent| !parent.is_root()) {
        Some(parent) => [parent.as_bytes(), b"/", name].concat(),
        None => name.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn names_mean_places_whiteouts_and_opaque_directories() {
        use Meaning::{Entry, Opaque, Whiteout};
        for (name, expect) in [
            ("./", Entry(path(""))),
            (".", Entry(path(""))),
            ("a", Entry(path("a"))),
            ("./a/b/", Entry(path("a/b"))),
            ("a//./b", Entry(path("a/b"))),
            ("a/.wh.b", Whiteout(path("a/b"))),
            (".wh.b", Whiteout(path("b"))),
            (".wh....", Whiteout(path("..."))),
            (".wh.wh.x", Whiteout(path("wh.x"))),
            (".wh..wh..opq", Opaque(path(""))),
            ("a/.wh..wh..opq", Opaque(path("a"))),
        ] {
            assert_eq!(meaning(name.as_bytes(), 256), Ok(expect), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_or_mean_nothing_are_refused() {
        use NameProblem::{Absolute, HidesItself, NoName, Reserved, TooDeep, TooLong, Up};
        let long = "n".repeat(256);
        let deep = "d/".repeat(257);
        for (name, expect) in [
            ("", NoName),
            ("a\0b", NoName),
            ("/", Absolute),
            ("/a", Absolute),
            ("//a", Absolute),
            ("..", Up),
            ("a/../b", Up),
            ("a/..", Up),
            ("../.wh.a", Up),
            (".wh..", HidesItself),
            ("a/.wh...", HidesItself),
            (".wh.", Reserved),
            (".wh..wh.aufs", Reserved),
            (".wh..wh.plnk/x", Reserved),
            (".wh.a/b", Reserved),
            (&long, TooLong),
            (&"x/".repeat(2048), TooLong),
            (&deep, TooDeep { limit: 256 }),
        ] {
            assert_eq!(meaning(name.as_bytes(), 256), Err(expect), "{name}");
        }
    }

    #[test]
    fn what_is_written_for_a_hidden_path_means_that_path() {
        for hidden in ["a", "a/b", "a/...", "wh.x"] {
            let name = whiteout_of(&path(hidden)).unwrap();
            assert_eq!(meaning(&name, 256), Ok(Meaning::Whiteout(path(hidden))));
        }
        for directory in ["", "a", "a/b"] {
            let name = opaque_of(&path(directory));
            assert_eq!(meaning(&name, 256), Ok(Meaning::Opaque(path(directory))));
        }
        assert_eq!(whiteout_of(&path(&"n".repeat(252))), None);
    }
}
