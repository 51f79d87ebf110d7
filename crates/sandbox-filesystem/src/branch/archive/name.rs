//! What the entries of a branch are called in an archive.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sandbox_types::RelPath;

use super::part_name;

/// What `path` of a part is called in the archive.
pub(super) fn name_of(part: usize, path: &RelPath) -> Vec<u8> {
    let part = part_name(part);
    if path.is_root() {
        part.into_bytes()
    } else {
        [part.as_bytes(), b"/", path.as_bytes()].concat()
    }
}

/// The path in a part, which is one of `count`, that an entry of the archive is called after; none where it is not
/// one.
pub(super) fn path_of(name: &[u8], count: usize) -> Option<(usize, RelPath)> {
    let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    let first = name.get(..end)?;
    let part = (0..count).find(|part| part_name(*part).as_bytes() == first)?;
    let path = name.get(end + 1..).unwrap_or_default();
    // Two slashes would be an absolute path.
    Some((part, RelPath::new(OsStr::from_bytes(path)).ok()?))
}
