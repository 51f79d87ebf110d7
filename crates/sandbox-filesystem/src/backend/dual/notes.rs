//! What is remembered of inodes of A: in extended attributes of overlayfs, or in memory where A takes none.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::DualFs;
use super::node::{DirMarks, Node};
use super::side::{Held, Side, There, ourselves};
use crate::backend::union::marks;
use crate::fs::{Errno, FsResult, XattrFlags, XattrReply};

/// The number that programs see of what was copied or made here where B has something of the same name, in hexadecimal
/// digits, and for a file with several names what it is called in the index. Where it is, A's file is the one that is seen.
pub(super) const NUMBER: &str = "user.overlay.sandbox.dual";

/// Longer than any value that is noted.
const ROOM: u32 = 256;

/// Where a note has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Kept {
    InA,
    /// It has to be remembered with the node.
    Not,
}

/// Whether inodes of this type can carry attributes of `user.` (xattr(7)).
fn carries(kind: u32) -> bool {
    matches!(kind, libc::S_IFREG | libc::S_IFDIR)
}

impl DualFs {
    /// What is noted of an inode of A.
    pub(super) fn note(&self, held: &Held, kind: u32, key: &'static str) -> FsResult<Option<Vec<u8>>> {
        if self.remembers.load(Ordering::Acquire)
            && let Some(node) = self.table.of_backend(Side::A, held.ino)
            && let Some(value) = node.memory().notes.get(key)
        {
            return Ok(Some(value.clone()));
        }
        if !carries(kind) {
            return Ok(None);
        }
        match held.fs.getxattr(&ourselves(), held.ino, OsStr::new(key), ROOM) {
            Ok(XattrReply::Data(value)) => Ok(Some(value)),
            Ok(XattrReply::Size(_))
            | Err(Errno::ENODATA | Errno::ENOTSUP | Errno::ENOSYS | Errno::EPERM | Errno::ERANGE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn note_of(&self, there: &There, key: &'static str) -> FsResult<Option<Vec<u8>>> {
        self.note(&there.held, there.kind(), key)
    }

    /// Notes something of an inode of A that no node is of yet.
    pub(super) fn mark(&self, held: &Held, kind: u32, key: &'static str, value: &[u8]) -> FsResult<Kept> {
        if !carries(kind) || !self.staging()?.able.attributes {
            return Ok(Kept::Not);
        }
        let name = OsStr::new(key);
        held.fs
            .setxattr(&ourselves(), held.ino, name, value, XattrFlags::empty())?;
        Ok(Kept::InA)
    }

    /// Notes something of a node that is in A.
    pub(super) fn mark_node(&self, node: &Arc<Node>, key: &'static str, value: &[u8]) -> FsResult<()> {
        let held = node.raised()?;
        if self.mark(&held, node.kind, key, value)? == Kept::Not {
            self.remember(node, key, value);
        }
        Ok(())
    }

    pub(super) fn remember(&self, node: &Arc<Node>, key: &'static str, value: &[u8]) {
        node.memory().notes.insert(key, value.to_vec());
        self.remembers.store(true, Ordering::Release);
        self.table.pin(node);
    }

    /// What a directory says of itself.
    pub(super) fn marks(&self, dir: &Node) -> FsResult<DirMarks> {
        if let Some(marks) = dir.marks() {
            return Ok(marks);
        }
        let Some(a) = dir.a() else {
            return Ok(DirMarks {
                impure: false,
                attributes: false,
            });
        };
        let marks = DirMarks {
            impure: self.note(&a, libc::S_IFDIR, marks::IMPURE)?.is_some(),
            // Also in one that has become opaque since: what was hidden in it must not be seen as files.
            attributes: self.note(&a, libc::S_IFDIR, marks::OPAQUE)?.is_some(),
        };
        dir.set_marks(marks);
        Ok(marks)
    }

    /// There may be copies in the directory from now on.
    pub(super) fn becomes_impure(&self, dir: &Arc<Node>) -> FsResult<()> {
        let now = self.marks(dir)?;
        if !now.impure {
            self.mark_node(dir, marks::IMPURE, b"y")?;
            dir.set_marks(DirMarks { impure: true, ..now });
        }
        Ok(())
    }

    /// What is beneath the directory is hidden from now on.
    pub(super) fn becomes_opaque(&self, dir: &Arc<Node>) -> FsResult<()> {
        self.mark_node(dir, marks::OPAQUE, b"y")?;
        self.table.detach(dir, Side::B);
        Ok(())
    }

    /// Whiteouts in the directory may be attributes from now on.
    pub(super) fn holds_attributes(&self, dir: &Arc<Node>) -> FsResult<()> {
        let now = self.marks(dir)?;
        if !now.attributes {
            self.mark_node(dir, marks::OPAQUE, b"x")?;
            dir.set_marks(DirMarks {
                attributes: true,
                ..now
            });
        }
        Ok(())
    }
}

/// The number that is noted.
pub(super) fn parse_number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    u64::from_str_radix(text.split(' ').next()?, 16).ok()
}

/// What the copy of a file with several names is called in the index, which is noted after its number.
pub(super) fn parse_key(value: &[u8]) -> Option<&str> {
    let key = std::str::from_utf8(value).ok()?.split(' ').nth(1)?;
    let is_sane = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'.');
    (key.contains('-') && key.bytes().all(is_sane)).then_some(key)
}

pub(super) fn format_number(number: u64) -> Vec<u8> {
    format!("{number:x}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_neither_a_number_nor_a_key() {
        assert_eq!((parse_number(b"1f"), parse_key(b"1f")), (Some(0x1f), None));
        let both = b"1f 2-3.4";
        assert_eq!((parse_number(both), parse_key(both)), (Some(0x1f), Some("2-3.4")));
        for bad in [&b""[..], b"x", b"\xff", b" ", b"-1"] {
            assert_eq!(parse_number(bad), None, "{bad:?}");
        }
        for bad in [&b"1 ../x"[..], b"1 .", b"1 ..", b"1  ", b"1 a/b", b"1 2-3.4.gone"] {
            assert_eq!(parse_key(bad), None, "{bad:?}");
        }
    }
}
