//! Paths inside a workspace.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path beneath a workspace's root: no leading `/`, no `.` and no `..`. The empty path is the root itself.
///
/// Names are bytes, as the kernel has them. In JSON a path is a text, or its bytes where it is not UTF-8:
/// `{"bytes": [255, 47, 97]}`. Printed, it is one line that commands no terminal: in double quotes, with the escapes
/// of C, where it has control characters, quotes or bytes that are not UTF-8 in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub struct RelPath(PathBuf);

/// A path that could leave the root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a path beneath the workspace: no leading /, no . and no ..", .0.display())]
pub struct InvalidRelPath(pub PathBuf);

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// `path` without a trailing `/`.
    ///
    /// # Errors
    /// [`InvalidRelPath`] for a path that is absolute or has `.`, `..` or NUL in it.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, InvalidRelPath> {
        let path = path.as_ref();
        let is_plain = path
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if is_plain && !path.as_os_str().as_bytes().contains(&0) {
            Ok(Self(path.components().collect()))
        } else {
            Err(InvalidRelPath(path.to_owned()))
        }
    }

    /// What is called `name` in this directory.
    ///
    /// # Errors
    /// [`InvalidRelPath`] for a name with `/` or NUL in it, `.` and `..`.
    pub fn join(&self, name: impl AsRef<OsStr>) -> Result<Self, InvalidRelPath> {
        let name = name.as_ref();
        let bytes = name.as_bytes();
        // What is plainly one name needs no second look at what is before it, which may be long.
        let is_one =
            !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|byte| matches!(byte, b'/' | 0));
        if is_one {
            Ok(Self(self.0.join(name)))
        } else {
            Self::new(self.0.join(name))
        }
    }

    /// As a path, to be resolved beneath the root.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The directory it is in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// Its last name; none for the root.
    pub fn name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// How many names it has: none for the root.
    pub fn depth(&self) -> usize {
        match self.as_bytes() {
            b"" => 0,
            bytes => 1 + bytes.iter().filter(|byte| **byte == b'/').count(),
        }
    }

    /// Whether it is `directory` or beneath it.
    pub fn is_beneath(&self, directory: &Self) -> bool {
        self.within(directory).is_some()
    }

    /// What of it is beneath `directory`, empty for `directory` itself; none where it is elsewhere.
    pub fn within(&self, directory: &Self) -> Option<&Path> {
        let rest = if directory.is_root() {
            self.as_bytes()
        } else {
            match self.as_bytes().strip_prefix(directory.as_bytes())?.split_first() {
                None => b"",
                Some((b'/', rest)) => rest,
                Some(_) => return None,
            }
        };
        Some(Path::new(OsStr::from_bytes(rest)))
    }
}

/// By component, names as bytes, a directory before what it holds: `a`, `a/b`, `a.b`.
impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (self.as_bytes(), other.as_bytes());
        // Only `/` comes before every byte of a name: a path never has NUL in it.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        match one.iter().zip(other).find(|(a, b)| a != b) {
            Some((a, b)) => rank(a).cmp(&rank(b)),
            None => one.len().cmp(&other.len()),
        }
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            f.write_str(".")
        } else if self.needs_quotes() {
            self.fmt_quoted(f)
        } else {
            write!(f, "{}", self.0.display())
        }
    }
}

impl RelPath {
    /// Whether a line that has it as it is could be taken for another, or would command a terminal.
    fn needs_quotes(&self) -> bool {
        std::str::from_utf8(self.as_bytes()).map_or(true, |text| {
            text.chars()
                .any(|char| matches!(char, '"' | '\\') || is_unprintable(char))
        })
    }

    /// As git writes such paths: in double quotes, with the escapes of C.
    fn fmt_quoted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octal = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "\\{byte:03o}"))
        };
        f.write_char('"')?;
        for chunk in self.as_bytes().utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    char if is_unprintable(char) => octal(f, char.encode_utf8(&mut [0; 4]).as_bytes())?,
                    char => f.write_char(char)?,
                }
            }
            octal(f, chunk.invalid())?;
        }
        f.write_char('"')
    }
}

/// Whether it moves the cursor, changes what is shown, or reorders what stands around it.
fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Encoded {
    Text(String),
    Raw { bytes: Vec<u8> },
}

impl From<RelPath> for Encoded {
    fn from(path: RelPath) -> Self {
        match path.0.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(raw) => Self::Raw {
                bytes: raw.into_vec(),
            },
        }
    }
}

impl TryFrom<Encoded> for RelPath {
    type Error = InvalidRelPath;

    fn try_from(encoded: Encoded) -> Result<Self, InvalidRelPath> {
        match encoded {
            Encoded::Text(text) => Self::new(text),
            Encoded::Raw { bytes } => Self::new(OsString::from_vec(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_the_root_is_refused() {
        for bad in ["/", "/etc", "..", "a/../b", "./a", "a/..", "a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        for (good, kept) in [("a/b", "a/b"), ("a//b/", "a/b"), ("", ""), ("...", "...")] {
            assert_eq!(RelPath::new(good).unwrap().as_path(), Path::new(kept));
        }
        assert!(RelPath::root().join("..").is_err());
        assert!(RelPath::root().join("/etc").is_err());
    }

    #[test]
    fn a_printed_path_is_one_line_and_commands_no_terminal() {
        for (bytes, printed) in [
            (&b"src/a b.rs"[..], "src/a b.rs"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"a\x1b[31mb\nc", r#""a\033[31mb\nc""#),
            (b"\xffx", r#""\377x""#),
            (b"say \"hi\" \\", r#""say \"hi\" \\""#),
            ("a\u{202e}b\u{9b}".as_bytes(), r#""a\342\200\256b\302\233""#),
        ] {
            assert_eq!(
                RelPath::new(OsStr::from_bytes(bytes)).unwrap().to_string(),
                printed
            );
        }
    }

    #[test]
    fn names_that_are_not_utf8_survive_json() {
        for bytes in [&b"plain"[..], b"\xff/a", "ä".as_bytes()] {
            let path = RelPath::new(OsStr::from_bytes(bytes)).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<RelPath>(&json).unwrap(), path, "{json}");
        }
        assert!(serde_json::from_str::<RelPath>("\"../x\"").is_err());
    }

    #[test]
    fn order_and_nesting_are_those_of_components() {
        let texts = [
            "", "a", "a/b", "a/b/c", "a.b", "a b", "ab", "a/bc", "b", "\u{1}", "a/\u{1}", "/a/",
        ];
        let paths: Vec<_> = texts[..11]
            .iter()
            .map(|text| RelPath::new(text).unwrap())
            .collect();
        for one in &paths {
            assert_eq!(one.depth(), one.as_path().components().count());
            for other in &paths {
                assert_eq!(
                    one.cmp(other),
                    one.as_path().cmp(other.as_path()),
                    "{one} {other}"
                );
                let rest = one.as_path().strip_prefix(other.as_path()).ok();
                assert_eq!(one.within(other), rest, "{one} in {other}");
            }
        }
        assert!(RelPath::new(texts[11]).is_err());
    }

    #[test]
    fn a_name_that_is_none_is_not_joined() {
        let path = RelPath::new("a").unwrap();
        assert_eq!(path.join("b").unwrap(), RelPath::new("a/b").unwrap());
        for name in ["..", "/b", "b/../..", "b\0"] {
            assert!(path.join(name).is_err(), "{name:?}");
        }
    }
}
