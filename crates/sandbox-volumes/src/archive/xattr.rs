//! `user.` attributes of files in an archive: pax records of our own, because `SCHILY.xattr` cannot be read again
//! where there is a newline in a value. Values are in hexadecimal digits.

use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::fs::File;
use std::io;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// What their names begin with in an archive.
const PREFIX: &str = "SANDBOX.xattr.";
const USER: &str = "user.";

/// Those of an open file, named as in an archive.
pub(super) fn of(file: &File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in crate::xattr::names(file)? {
        // A name that is no text, or would end the record, cannot be said.
        let Ok(text) = name.to_str() else { continue };
        if !text.starts_with(USER) || text.contains(['=', '\n']) {
            continue;
        }
        if let Some(value) = crate::xattr::value(file, &name)? {
            found.push((format!("{PREFIX}{text}"), digits(&value)));
        }
    }
    Ok(found)
}

/// The name and the value of one that was named so in an archive; none for records of other kinds.
///
/// # Errors
/// `EINVAL` for one of ours that cannot be.
pub(super) fn parse(name: &[u8], value: &[u8]) -> io::Result<Option<(CString, Vec<u8>)>> {
    let Some(name) = name
        .strip_prefix(PREFIX.as_bytes())
        .filter(|name| name.starts_with(USER.as_bytes()))
    else {
        return Ok(None);
    };
    match (CString::new(name), bytes(value)) {
        (Ok(name), Some(value)) => Ok(Some((name, value))),
        _ => Err(Errno::INVAL.into()),
    }
}

/// Sets one.
pub(super) fn set(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())?)
}

fn digits(value: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(value.len() * 2);
    for byte in value {
        // Writing to a text does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text.into_bytes()
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}
