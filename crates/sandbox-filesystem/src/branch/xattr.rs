//! Extended attributes that belong to an entry's content: what a copy takes along and a comparison looks at.
//!
//! These are `user.*`, access control lists, file capabilities and, where they can be seen, `trusted.*`. Labels of
//! security modules (`security.selinux` and so on) belong to the place and not to the content: they are never
//! read, copied or removed. In a layer, what overlayfs keeps for itself is left out, and what it has escaped, so
//! that a command may use the same names, is unescaped.
//!
//! Every function takes an open file or an O_PATH descriptor (also of a link); for the latter it needs /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::raw::Bytes;
use super::stack::LayerFormat;

/// Names and values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Bytes, Bytes)>", into = "Vec<(Bytes, Bytes)>")]
pub(crate) struct Xattrs(pub(crate) BTreeMap<Bytes, Bytes>);

/// Where attributes are read, which decides what overlayfs's own ones mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Outside of any layer: they are attributes like others.
    Exact,
    /// In a layer.
    Layer(LayerFormat),
}

const OVERLAY: &[u8] = b"user.overlay.";
const ESCAPED: &[u8] = b"user.overlay.overlay.";

/// What reading the value of an attribute has given.
type Value = Result<Vec<u8>, Errno>;

/// Attributes, as far as they may be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Readable {
    pub(crate) xattrs: Xattrs,
    /// Names of those that may not be read.
    pub(crate) hidden: BTreeSet<Bytes>,
}

/// The attributes of `node`; none where the file system has none.
pub(crate) fn read(node: BorrowedFd<'_>, reading: Reading) -> io::Result<Xattrs> {
    let mut xattrs = BTreeMap::new();
    for (seen, value) in each(node, reading)? {
        xattrs.insert(seen, Bytes(value?));
    }
    Ok(Xattrs(xattrs))
}

/// The attributes of `node`, but for the values that the user may not read.
pub(crate) fn read_permitted(node: BorrowedFd<'_>, reading: Reading) -> io::Result<Readable> {
    let mut readable = Readable::default();
    for (seen, value) in each(node, reading)? {
        match value {
            Ok(value) => {
                readable.xattrs.0.insert(seen, Bytes(value));
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                readable.hidden.insert(seen);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(readable)
}

/// One attribute by the name that it has on the disk; none where there is none, or where it may not be read.
pub(crate) fn raw(node: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    match value(node, name) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether an attribute of that name, outside of any layer, cannot be seen through overlayfs.
pub(crate) fn is_overlayfs(name: &Bytes) -> bool {
    name.0.starts_with(OVERLAY) || name.0.starts_with(b"trusted.")
}

/// What is content, by the name under which it is known outside; what is gone by now left out.
fn each(node: BorrowedFd<'_>, reading: Reading) -> io::Result<Vec<(Bytes, Value)>> {
    let mut found = Vec::new();
    for name in names(node)? {
        if let Some(seen) = seen_name(name.as_bytes(), reading) {
            match value(node, &name) {
                Err(Errno::NODATA) => {}
                value => found.push((Bytes(seen), value)),
            }
        }
    }
    Ok(found)
}

/// Gives `node` the attributes `wanted` and no others; returns the names of those that could not be set or removed
/// because the user may not or the file system has none.
pub(crate) fn replace(node: BorrowedFd<'_>, wanted: &Xattrs) -> io::Result<Vec<Bytes>> {
    let present = read(node, Reading::Exact)?;
    let mut refused = Vec::new();
    for name in present.0.keys().filter(|name| !wanted.0.contains_key(*name)) {
        note_refusal(remove(node, name), name, &mut refused)?;
    }
    for (name, value) in &wanted.0 {
        if present.0.get(name) != Some(value) {
            note_refusal(set(node, name, value), name, &mut refused)?;
        }
    }
    Ok(refused)
}

/// What a layer with the attributes `now` can show of those of the base: none that overlayfs hides, unless a command
/// has put them there.
pub(crate) fn seen(mut base: Xattrs, now: &Xattrs) -> Xattrs {
    base.0
        .retain(|name, _| !is_overlayfs(name) || now.0.contains_key(name));
    base
}

/// Those that no layer shows, whatever was done there: they are not a command's to change.
pub(crate) fn hidden(xattrs: &Xattrs) -> impl Iterator<Item = (Bytes, Bytes)> {
    let is_hidden = |name: &Bytes| name.0.starts_with(b"trusted.") || name.0.starts_with(OVERLAY);
    let hidden = xattrs.0.iter().filter(move |(name, _)| is_hidden(name));
    hidden.map(|(name, value)| (name.clone(), value.clone()))
}

fn note_refusal(done: io::Result<()>, name: &Bytes, refused: &mut Vec<Bytes>) -> io::Result<()> {
    let errno = done.as_ref().err().and_then(Errno::from_io_error);
    match errno {
        Some(Errno::PERM | Errno::NOTSUP) => {
            refused.push(name.clone());
            Ok(())
        }
        _ => done,
    }
}

/// The name under which `name` is known outside, if it is content.
fn seen_name(name: &[u8], reading: Reading) -> Option<Vec<u8>> {
    let is_content = [&b"user."[..], b"system.posix_acl_", b"trusted."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == b"security.capability";
    if !is_content {
        return None;
    }
    match reading {
        Reading::Layer(_) if name.starts_with(b"trusted.") => None,
        Reading::Layer(LayerFormat::Overlay) if name.starts_with(ESCAPED) => {
            let rest = name.get(ESCAPED.len()..)?;
            Some([OVERLAY, rest].concat())
        }
        Reading::Layer(_) if name.starts_with(OVERLAY) => None,
        Reading::Exact | Reading::Layer(_) => Some(name.to_vec()),
    }
}

/// `xattrs` as they are written in a layer, so that [`read`] finds them again: those that overlayfs would take
/// for its own are escaped.
pub(crate) fn escape(xattrs: Xattrs, format: LayerFormat) -> Xattrs {
    if format == LayerFormat::Complete {
        return xattrs;
    }
    let escaped = xattrs
        .0
        .into_iter()
        .map(|(name, value)| match name.0.strip_prefix(OVERLAY) {
            Some(rest) => (Bytes([ESCAPED, rest].concat()), value),
            None => (name, value),
        });
    Xattrs(escaped.collect())
}

fn names(node: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let list = match whole(|buffer| list(node, buffer)) {
        Ok(list) => list,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| CString::new(name).map_err(io::Error::other))
        .collect()
}

fn value(node: BorrowedFd<'_>, name: &CStr) -> Value {
    whole(|buffer| match rustix::fs::fgetxattr(node, name, &mut *buffer) {
        Err(Errno::BADF) => rustix::fs::getxattr(by_descriptor(node), name, buffer),
        result => result,
    })
}

fn list(node: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    match rustix::fs::flistxattr(node, &mut *buffer) {
        Err(Errno::BADF) => rustix::fs::listxattr(by_descriptor(node), buffer),
        result => result,
    }
}

fn set(node: BorrowedFd<'_>, name: &Bytes, value: &Bytes) -> io::Result<()> {
    let flags = XattrFlags::empty();
    match rustix::fs::fsetxattr(node, name.0.as_slice(), &value.0, flags) {
        Err(Errno::BADF) => {
            rustix::fs::setxattr(by_descriptor(node), name.0.as_slice(), &value.0, flags)?;
        }
        result => result?,
    }
    Ok(())
}

fn remove(node: BorrowedFd<'_>, name: &Bytes) -> io::Result<()> {
    match rustix::fs::fremovexattr(node, name.0.as_slice()) {
        Err(Errno::BADF) => rustix::fs::removexattr(by_descriptor(node), name.0.as_slice())?,
        result => result?,
    }
    Ok(())
}

/// A path that leads to what `node` has open, for calls that an O_PATH descriptor does not allow.
pub(crate) fn by_descriptor(node: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", node.as_raw_fd())
}

/// Reads what does not say beforehand how long it is.
fn whole(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // 64 KiB is the kernel's limit.
            Err(Errno::RANGE) if buffer.len() <= 1 << 16 => buffer.resize(buffer.len() * 8, 0),
            Err(errno) => return Err(errno),
        }
    }
}

impl From<Vec<(Bytes, Bytes)>> for Xattrs {
    fn from(pairs: Vec<(Bytes, Bytes)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Xattrs> for Vec<(Bytes, Bytes)> {
    fn from(xattrs: Xattrs) -> Self {
        xattrs.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn seen(name: &str, reading: Reading) -> Option<String> {
        seen_name(name.as_bytes(), reading).map(|name| String::from_utf8(name).unwrap())
    }

    #[test]
    fn what_overlayfs_keeps_for_itself_is_left_out_and_what_it_escaped_is_unescaped() {
        let overlay = Reading::Layer(LayerFormat::Overlay);
        let complete = Reading::Layer(LayerFormat::Complete);
        for (name, exact, in_overlay, in_complete) in [
            ("user.a", Some("user.a"), Some("user.a"), Some("user.a")),
            ("user.overlay.opaque", Some("user.overlay.opaque"), None, None),
            (
                "user.overlay.overlay.opaque",
                Some("user.overlay.overlay.opaque"),
                Some("user.overlay.opaque"),
                None,
            ),
            ("security.selinux", None, None, None),
            (
                "security.capability",
                Some("security.capability"),
                Some("security.capability"),
                Some("security.capability"),
            ),
            (
                "trusted.overlay.origin",
                Some("trusted.overlay.origin"),
                None,
                None,
            ),
        ] {
            assert_eq!(seen(name, Reading::Exact).as_deref(), exact, "{name}");
            assert_eq!(seen(name, overlay).as_deref(), in_overlay, "{name}");
            assert_eq!(seen(name, complete).as_deref(), in_complete, "{name}");
        }
    }

    #[test]
    fn attributes_are_replaced_through_a_descriptor_that_only_names_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
        let node = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
        for pairs in [
            vec![("user.a", vec![7; 1000]), ("user.b", Vec::new())],
            vec![("user.b", vec![1])],
        ] {
            let pairs = pairs
                .into_iter()
                .map(|(name, value)| (Bytes(name.into()), Bytes(value)));
            let wanted = Xattrs(pairs.collect());
            assert!(replace(node.as_fd(), &wanted).unwrap().is_empty());
            assert_eq!(read(node.as_fd(), Reading::Exact).unwrap(), wanted);
        }
    }
}
