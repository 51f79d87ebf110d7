//! Names of objects.

use std::fmt;

/// Which hash names a repository's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFormat {
    Sha1,
    Sha256,
}

impl ObjectFormat {
    /// As `extensions.objectFormat` has it; none where it is unknown.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Hexadecimal digits in a name.
    pub(super) const fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

/// The name of an object: lower-case hexadecimal, of the right length, and not all zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectId(String);

impl ObjectId {
    /// `text` as a name; none where it is not one.
    pub(super) fn parse(text: &[u8], format: ObjectFormat) -> Option<Self> {
        let is_name = text.len() == format.digits()
            && text.iter().all(|byte| is_lower_hex(*byte))
            && text.iter().any(|byte| *byte != b'0');
        if !is_name {
            return None;
        }
        String::from_utf8(text.to_vec()).ok().map(Self)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `byte` is a digit as git writes them in file names.
pub(super) const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_names_are_names() {
        let good = "a".repeat(40);
        assert!(ObjectId::parse(good.as_bytes(), ObjectFormat::Sha1).is_some());
        for bad in ["A".repeat(40), "0".repeat(40), "a".repeat(39), "a".repeat(64)] {
            assert!(
                ObjectId::parse(bad.as_bytes(), ObjectFormat::Sha1).is_none(),
                "{bad}"
            );
        }
        assert!(ObjectId::parse("b".repeat(64).as_bytes(), ObjectFormat::Sha256).is_some());
    }
}
