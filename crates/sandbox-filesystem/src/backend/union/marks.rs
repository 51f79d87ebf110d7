//! How layers say what they hide: overlayfs' attributes under `userxattr`, and the names of OCI images.
//!
//! `Documentation/filesystems/overlayfs.rst`; image-spec, `layer.md`, "Whiteouts".

use std::borrow::Cow;
use std::collections::HashSet;

/// A directory that hides what is beneath (`y`), or that may hold whiteouts which are attributes (`x`).
pub(in crate::backend) const OPAQUE: &str = "user.overlay.opaque";
/// An empty file that is a whiteout.
pub(in crate::backend) const WHITEOUT: &str = "user.overlay.whiteout";
/// A directory that is merged with another one than that of its own name.
pub(in crate::backend) const REDIRECT: &str = "user.overlay.redirect";
/// A file without its data.
pub(in crate::backend) const METACOPY: &str = "user.overlay.metacopy";
/// A directory that may hold what was copied up.
pub(in crate::backend) const IMPURE: &str = "user.overlay.impure";
/// How many names of a file are not in the upper, as a difference: `U+1`.
pub(in crate::backend) const NLINK: &str = "user.overlay.nlink";
/// The number that programs saw before a file was copied up, in hexadecimal digits. Ours; the kernel keeps and hides it.
pub(in crate::backend) const NUMBER: &str = "user.overlay.sandbox.ino";

const PREFIX: &[u8] = b"user.overlay.";
const ESCAPED: &[u8] = b"user.overlay.overlay.";

/// The start of an OCI whiteout's name.
pub(in crate::backend) const OCI_PREFIX: &[u8] = b".wh.";
const OCI_OPAQUE: &[u8] = b".wh..wh..opq";

/// What a directory of a layer says of what is beneath it, besides what is at the names themselves.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Marks {
    /// There may be whiteouts that are attributes.
    pub(in crate::backend) attributes: bool,
    /// Everything beneath is hidden (OCI).
    pub(in crate::backend) everything: bool,
    /// These names are hidden beneath (OCI).
    pub(in crate::backend) names: HashSet<Box<[u8]>>,
}

impl Marks {
    /// An entry of the directory; whether it is one of these marks.
    pub(in crate::backend) fn note(&mut self, name: &[u8]) -> bool {
        if name == OCI_OPAQUE {
            self.everything = true;
        } else if let Some(hidden) = hidden_by(name) {
            self.names.insert(hidden.into());
        }
        is_oci(name)
    }

    /// Whether what is beneath this name is hidden.
    pub(in crate::backend) fn hide(&self, name: &[u8]) -> bool {
        self.everything || self.names.contains(name)
    }
}

/// Whether the name is one that OCI layers keep for themselves.
pub(in crate::backend) fn is_oci(name: &[u8]) -> bool {
    name.starts_with(OCI_PREFIX)
}

/// The name that an OCI whiteout hides.
fn hidden_by(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(OCI_PREFIX)
        .filter(|hidden| !hidden.is_empty() && !hidden.starts_with(OCI_PREFIX))
}

/// The name under which an attribute is kept that overlayfs would take for its own.
pub(in crate::backend) fn escape(name: &[u8]) -> Option<Vec<u8>> {
    let rest = name.strip_prefix(PREFIX)?;
    Some([ESCAPED, rest].concat())
}

/// The name of an attribute that is kept as `name`; none where it is overlayfs' own.
pub(in crate::backend) fn unescape(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(rest) = name.strip_prefix(ESCAPED) {
        return Some(Cow::Owned([PREFIX, rest].concat()));
    }
    (!name.starts_with(PREFIX)).then_some(Cow::Borrowed(name))
}

/// The value of [`NLINK`]: names that are not in the upper, less those that only the upper counts.
pub(in crate::backend) fn parse_nlink(value: &[u8]) -> Option<i32> {
    std::str::from_utf8(value).ok()?.strip_prefix('U')?.parse().ok()
}

/// As the kernel writes it.
pub(in crate::backend) fn format_nlink(difference: i32) -> String {
    format!("U{difference:+}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_clients_survive_under_any_name() {
        for name in [
            "user.a",
            "user.overlay.opaque",
            "user.overlay.overlay.x",
            "user.overlay.",
        ] {
            let name = name.as_bytes();
            let kept = escape(name).unwrap_or(name.to_vec());
            assert_eq!(unescape(&kept).as_deref(), Some(name));
        }
        assert_eq!(unescape(b"user.overlay.opaque"), None);
    }

    #[test]
    fn oci_whiteouts_hide_names_of_any_length_and_nothing_else() {
        let mut marks = Marks::default();
        let long = [b".wh.".as_slice(), &[b'n'; 251]].concat();
        assert!(marks.note(&long));
        assert!(!marks.note(b"wh.a"));
        assert!(marks.note(b".wh.") && marks.note(b".wh..wh.plnk"));
        assert!(marks.hide(&[b'n'; 251]) && !marks.hide(b"a") && !marks.hide(b""));
        assert!(marks.note(b".wh..wh..opq") && marks.hide(b"a"));
    }

    #[test]
    fn the_count_of_links_is_read_as_the_kernel_writes_it() {
        for number in [-2, 0, 3] {
            assert_eq!(parse_nlink(format_nlink(number).as_bytes()), Some(number));
        }
        assert_eq!(format_nlink(0), "U+0");
        for bad in [&b""[..], b"U", b"L+1", b"U+x", b"\xff"] {
            assert_eq!(parse_nlink(bad), None, "{bad:?}");
        }
    }
}
