//! What is mounted where this process sees it: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The table as it is now; empty where there is no /proc.
pub(crate) fn read() -> Vec<u8> {
    std::fs::read("/proc/self/mountinfo").unwrap_or_default()
}

/// Where something is mounted.
#[cfg(feature = "branch")]
pub(crate) fn points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    lines(table).filter_map(point)
}

/// Overlays of the kernel's that can be written to: where they are, and the directories that they write to.
pub(crate) fn overlays(table: &[u8]) -> impl Iterator<Item = (PathBuf, Vec<PathBuf>)> {
    let is_overlay = |options: &&[u8]| options.starts_with(b"overlay ");
    lines(table).filter_map(move |line| {
        let end = line.windows(3).position(|part| part == b" - ")?;
        let rest = line.get(end + 3..).filter(is_overlay)?;
        let options = rest.rsplit(|byte| *byte == b' ').next()?;
        let written = options.split(|byte| *byte == b',').filter_map(|option| {
            let upper = option.strip_prefix(b"upperdir=");
            upper.or_else(|| option.strip_prefix(b"workdir="))
        });
        Some((point(line)?, written.map(unescaped).collect()))
    })
}

fn lines(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    table.split(|byte| *byte == b'\n')
}

fn point(line: &[u8]) -> Option<PathBuf> {
    line.split(|byte| *byte == b' ').nth(4).map(unescaped)
}

/// Space, tab, newline, backslash, and a comma in an option, stand as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"21 1 8:1 / / rw - ext4 /dev/a rw\n22 21 0:40 / /srv/my\\040app rw shared:5 - overlay o \
        rw,lowerdir=/l,upperdir=/u\\0541,workdir=/w\\040ork,userxattr\n23 21 0:41 / /ro ro - overlay o ro,lowerdir=/a:/b\n\
        24 21 0:42 / /overlay rw - tmpfs overlay rw,upperdir=/no\n";

    #[test]
    fn the_directories_that_overlays_write_to_are_found() {
        let found: Vec<_> = overlays(TABLE).collect();
        let expected = [("/srv/my app", vec!["/u,1", "/w ork"]), ("/ro", vec![])];
        let expected = expected.map(|(point, dirs)| {
            let dirs: Vec<PathBuf> = dirs.into_iter().map(PathBuf::from).collect();
            (PathBuf::from(point), dirs)
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn this_machine_has_a_table() {
        assert!(!read().is_empty());
    }
}
