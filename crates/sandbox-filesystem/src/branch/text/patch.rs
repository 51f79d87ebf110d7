//! A change as git writes it down.
//!
//! git knows of files and links, and of a file whether it can be executed. What it does not keep (other modes, times,
//! attributes, directories, special files) leaves nothing in a patch, not even a header: `git apply` takes a header
//! without anything after it for a damaged one.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use sandbox_types::RelPath;
use similar::ChangeTag;

use super::{Version, diff};

/// Lines around what has changed, as git has them.
const CONTEXT: usize = 3;
/// What of a mode says which kind of entry it is.
const KIND: u32 = 0o170_000;

/// A path, and what is there.
type Side<'a> = (&'a RelPath, &'a Version);

pub(super) fn write(out: &mut Vec<u8>, old: Side<'_>, new: Side<'_>) -> io::Result<()> {
    match (old.1.mode, new.1.mode) {
        (None, None) => Ok(()),
        // What becomes something else is removed and made, to git.
        (Some(was), Some(is)) if was & KIND != is & KIND => {
            write_one(out, old, (old.0, &Version::absent()))?;
            write_one(out, (new.0, &Version::absent()), new)
        }
        _ => write_one(out, old, new),
    }
}

fn write_one(out: &mut Vec<u8>, (old_path, old): Side<'_>, (new_path, new): Side<'_>) -> io::Result<()> {
    let (Some(old_text), Some(new_text)) = (&old.text, &new.text) else {
        return writeln!(out, "# not in this patch, because it is no text: {new_path}");
    };
    if (old_path, old.mode, old_text) == (new_path, new.mode, new_text) {
        return Ok(());
    }
    let (a, b) = (quoted("a/", old_path), quoted("b/", new_path));
    writeln!(out, "diff --git {a} {b}")?;
    match (old.mode, new.mode) {
        (None, Some(mode)) => writeln!(out, "new file mode {mode:o}")?,
        (Some(mode), None) => writeln!(out, "deleted file mode {mode:o}")?,
        (Some(old), Some(new)) if old != new => writeln!(out, "old mode {old:o}\nnew mode {new:o}")?,
        _ => {}
    }
    if old_path != new_path {
        writeln!(
            out,
            "rename from {}\nrename to {}",
            quoted("", old_path),
            quoted("", new_path)
        )?;
    }
    if old_text == new_text {
        return Ok(());
    }
    let side = |mode: Option<u32>, name: String| {
        if mode.is_some() {
            name
        } else {
            "/dev/null".to_owned()
        }
    };
    writeln!(out, "--- {}\n+++ {}", side(old.mode, a), side(new.mode, b))?;
    write_hunks(out, old_text, new_text)
}

fn write_hunks(out: &mut Vec<u8>, old: &[u8], new: &[u8]) -> io::Result<()> {
    let diff = diff(old, new);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        writeln!(out, "{}", hunk.header())?;
        for line in hunk.iter_changes() {
            out.push(match line.tag() {
                ChangeTag::Equal => b' ',
                ChangeTag::Delete => b'-',
                ChangeTag::Insert => b'+',
            });
            out.extend_from_slice(line.value());
            if line.value().last() != Some(&b'\n') {
                out.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
    }
    Ok(())
}

/// A name as git writes it: between quotation marks where it has bytes that could be misread.
fn quoted(prefix: &str, path: &RelPath) -> String {
    let bytes = path.as_path().as_os_str().as_bytes();
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
    if bytes.iter().all(is_plain) {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            byte if is_plain(byte) => text.push(char::from(*byte)),
            // Writing to a text cannot fail.
            byte => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text.push('"');
    text
}
