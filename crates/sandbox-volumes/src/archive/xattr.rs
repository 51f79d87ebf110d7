//! `user.` attributes of files, as pax has them.

use std::ffi::CString;
use std::fs::File;
use std::io;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// What their names begin with in an archive.
const PREFIX: &str = "SCHILY.xattr.";
const USER: &[u8] = b"user.";

/// Those of an open file, named as in an archive.
pub(super) fn of(file: &File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in names(file)?
        .split(|byte| *byte == 0)
        .filter(|name| name.starts_with(USER))
    {
        // A name that is no text cannot be said in pax.
        let Ok(text) = std::str::from_utf8(name) else {
            continue;
        };
        if let Some(value) = value(file, text)? {
            found.push((format!("{PREFIX}{text}"), value));
        }
    }
    Ok(found)
}

/// Sets one that was named so in an archive; others are left out.
pub(super) fn set(file: &File, name: &[u8], value: &[u8]) -> io::Result<()> {
    let Some(name) = name
        .strip_prefix(PREFIX.as_bytes())
        .filter(|name| name.starts_with(USER))
    else {
        return Ok(());
    };
    let Ok(name) = CString::new(name) else {
        return Err(Errno::INVAL.into());
    };
    Ok(rustix::fs::fsetxattr(file, &name, value, XattrFlags::empty())?)
}

fn names(file: &File) -> io::Result<Vec<u8>> {
    loop {
        let length = match rustix::fs::flistxattr(file, &mut [0_u8; 0]) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            result => result?,
        };
        let mut names = vec![0; length];
        match rustix::fs::flistxattr(file, names.as_mut_slice()) {
            Ok(length) => {
                names.truncate(length);
                return Ok(names);
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn value(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    loop {
        let length = match rustix::fs::fgetxattr(file, name, &mut [0_u8; 0]) {
            Err(Errno::NODATA) => return Ok(None),
            result => result?,
        };
        let mut value = vec![0; length];
        match rustix::fs::fgetxattr(file, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::NODATA) => return Ok(None),
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
