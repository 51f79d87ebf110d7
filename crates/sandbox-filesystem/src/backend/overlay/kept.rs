//! What is kept beside a file that was copied up, in attributes that the kernel's overlayfs keeps and hides.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use super::attributes::mark;
use super::index;
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::Inode;
use crate::backend::passthrough::owner::Kind;
use crate::backend::union::marks;
use crate::fs::FsResult;

/// Keeps the number that programs see, which is that of the original, and of a file with several names its key in the index.
/// Of what can carry no attributes, nothing is kept.
pub(super) fn note_origin(inode: &Inode, copy: BorrowedFd<'_>, several: bool) -> FsResult<()> {
    if !carries_attributes(copy)? {
        return Ok(());
    }
    let number = inode.shown().unwrap_or_default();
    let value = if several {
        format!("{number:x} {}", inode.identity().key())
    } else {
        format!("{number:x}")
    };
    mark(copy, marks::NUMBER, value.as_bytes())
}

/// Writes down how many names are not in the upper.
pub(super) fn settle_links(inode: &Inode, copy: BorrowedFd<'_>) -> FsResult<()> {
    note_links(copy, inode.links.load(Ordering::Relaxed))
}

/// The same, of a copy that is not the inode's yet.
pub(super) fn note_links(copy: BorrowedFd<'_>, links: i32) -> FsResult<()> {
    if carries_attributes(copy)? {
        index::set_links(copy, links)?;
    }
    Ok(())
}

/// The number that was kept.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    u64::from_str_radix(text.split(' ').next()?, 16).ok()
}

/// The key in the index that was kept, if it can be one.
pub(super) fn key(value: &[u8]) -> Option<&str> {
    let key = std::str::from_utf8(value).ok()?.split(' ').nth(1)?;
    let is_sane = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (!key.is_empty() && key.bytes().all(is_sane)).then_some(key)
}

/// Files and directories do, nothing else can.
fn carries_attributes(file: BorrowedFd<'_>) -> FsResult<bool> {
    let kind = Kind::of_mode(u32::from(host::stat(file)?.stx_mode));
    Ok(matches!(kind, Some(Kind::File | Kind::Dir)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_neither_a_number_nor_a_key() {
        assert_eq!((number(b"1f"), key(b"1f")), (Some(0x1f), None));
        assert_eq!(
            (number(b"1f 1-2-3-4"), key(b"1f 1-2-3-4")),
            (Some(0x1f), Some("1-2-3-4"))
        );
        for bad in [&b""[..], b"x", b"\xff", b" ", b"-1"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        for bad in [&b"1 ../x"[..], b"1 .", b"1  ", b"1 a/b"] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
    }
}
