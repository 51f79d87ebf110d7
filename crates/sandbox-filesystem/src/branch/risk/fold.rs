//! The names that some file system takes for one another.
//!
//! A base can be on ext4 or f2fs with case folding, on FAT, NTFS or exFAT, on a share of a Mac or of Windows, and
//! what is committed to git can be checked out there. There, `.GIT`, `.git.`, `.g\u{200c}it`, `git~1` and
//! `.git::$INDEX_ALLOCATION` are the git directory. So a rule looks at what a name could become there, on every
//! file system: that costs a held change of a file with an odd name, and nobody has those by accident.
//!
//! Letter case is folded for ASCII and the two letters outside it that fold into it; names in the rules are ASCII.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use sandbox_types::RelPath;

/// What a path can be read as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forms {
    /// As it is, in lower case.
    pub(super) plain: Vec<u8>,
    /// As the most lenient file system has it, where that differs.
    pub(super) lenient: Option<Vec<u8>>,
}

impl Forms {
    pub(super) fn of(path: &RelPath) -> Self {
        let plain = path.as_bytes().to_ascii_lowercase();
        let lenient = plain
            .split(|byte| *byte == b'/')
            .map(|name| lenient_name(&visible(name)))
            .collect::<Vec<_>>()
            .join(&b'/');
        let lenient = (lenient != plain).then_some(lenient);
        Self { plain, lenient }
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.plain).chain(self.lenient.as_deref())
    }
}

/// A pattern of a rule, in the lower case in which it is compared.
pub(super) fn pattern(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// `name` without the characters that are not seen and not compared.
fn visible(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_ascii() {
        return Cow::Borrowed(name);
    }
    let mut kept = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // Kelvin and long s: the only letters whose lower case is ASCII.
                '\u{212A}' => kept.push(b'k'),
                '\u{017F}' => kept.push(b's'),
                hidden if IGNORED.iter().any(|range| range.contains(&hidden)) => {}
                other => kept.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        kept.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(kept)
}

/// What FAT and NTFS make of a name: no stream, no dots and spaces at the end, and its short form.
fn lenient_name(name: &[u8]) -> Vec<u8> {
    let name = match name.iter().position(|byte| *byte == b':') {
        None | Some(0) => name,
        Some(colon) => name.get(..colon).unwrap_or(name),
    };
    let kept = name
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b' '))
        .map_or(0, |last| last + 1);
    match name.get(..kept) {
        None | Some(b"") => name.to_vec(),
        Some(kept) if is_short_git(kept) => b".git".to_vec(),
        Some(kept) => kept.to_vec(),
    }
}

/// `git~1` is how `.git` is called where names have eight letters.
fn is_short_git(name: &[u8]) -> bool {
    name.strip_prefix(b"git~")
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// `Default_Ignorable_Code_Point` of the Unicode Character Database: ext4 and f2fs do not compare them where they
/// fold case; those that HFS+ does not compare are among them.
const IGNORED: &[RangeInclusive<char>] = &[
    '\u{00AD}'..='\u{00AD}',
    '\u{034F}'..='\u{034F}',
    '\u{061C}'..='\u{061C}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{200B}'..='\u{200F}',
    '\u{202A}'..='\u{202E}',
    '\u{2060}'..='\u{206F}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FEFF}'..='\u{FEFF}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF0}'..='\u{FFF8}',
    '\u{1BCA0}'..='\u{1BCA3}',
    '\u{1D173}'..='\u{1D17A}',
    '\u{E0000}'..='\u{E0FFF}',
];

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn lenient(path: &[u8]) -> Vec<u8> {
        let forms = Forms::of(&RelPath::new(OsStr::from_bytes(path)).unwrap());
        forms.lenient.unwrap_or(forms.plain)
    }

    #[test]
    fn every_spelling_of_the_git_directory_is_one() {
        for spelling in [
            ".git",
            ".GIT",
            ".Git.",
            ".git . .",
            ".git::$INDEX_ALLOCATION",
            "GIT~1",
            "git~12",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".gi\u{2063}t\u{ad}",
        ] {
            let path = format!("sub/{spelling}/hooks/x");
            assert_eq!(lenient(path.as_bytes()), b"sub/.git/hooks/x", "{spelling:?}");
        }
        assert_eq!(lenient(".bashrc".replace('s', "\u{17f}").as_bytes()), b".bashrc");
        assert_eq!(lenient("\u{212a}ak".as_bytes()), b"kak");
    }

    #[test]
    fn other_names_stay_what_they_are() {
        for name in ["git~x", "...", ".. .", ":a", "a~1", "mygit~1"] {
            assert_eq!(lenient(name.as_bytes()), name.as_bytes());
        }
        assert_eq!(lenient("Ärger/ß".as_bytes()), "Ärger/ß".as_bytes());
        assert_eq!(lenient(b"\xff\xfeA"), b"\xff\xfea");
    }
}
