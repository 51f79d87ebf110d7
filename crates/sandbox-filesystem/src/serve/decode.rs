//! Taking requests apart. Nothing here trusts a length.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::fs::{DataReader, Errno, FsResult, Handle, OpenFlags};

/// The length of a request's header (`struct fuse_in_header`).
pub(super) const HEADER: usize = 40;

/// What is longer than this is no request: the longest but writes are extended attributes (64 KiB and a name) and what
/// is forgotten in one go.
const LONGEST: usize = 2 << 20;

const LONGEST_NAME: usize = 255;

/// The header of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) opcode: u32,
    pub(super) unique: u64,
    pub(super) ino: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: u32,
    /// How much of the end is not for us, in bytes.
    pub(super) extensions: usize,
}

impl Header {
    pub(super) fn read(request: &mut dyn DataReader) -> FsResult<Self> {
        let mut bytes = [0; HEADER];
        fill(request, &mut bytes)?;
        let mut fields = Fields(&bytes);
        Ok(Self {
            len: fields.u32()?,
            opcode: fields.u32()?,
            unique: fields.u64()?,
            ino: fields.u64()?,
            uid: fields.u32()?,
            gid: fields.u32()?,
            pid: fields.u32()?,
            extensions: usize::from(fields.u16()?) * 8,
        })
    }

    /// How long the body is.
    pub(super) fn body(&self, request: &dyn DataReader) -> FsResult<usize> {
        let length = usize::try_from(self.len).map_err(|_| Errno::EINVAL)?;
        let body = length
            .checked_sub(HEADER + self.extensions)
            .ok_or(Errno::EINVAL)?;
        if length - HEADER > request.remaining() {
            return Err(Errno::EINVAL);
        }
        Ok(body)
    }
}

/// The next `length` bytes.
pub(super) fn take(request: &mut dyn DataReader, length: usize) -> FsResult<Vec<u8>> {
    if length > LONGEST {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; length];
    fill(request, &mut bytes)?;
    Ok(bytes)
}

/// All of `into`.
pub(super) fn fill(request: &mut dyn DataReader, mut into: &mut [u8]) -> FsResult<()> {
    while !into.is_empty() {
        let read = request.read(into)?;
        if read == 0 {
            return Err(Errno::EINVAL);
        }
        into = into.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

/// What is left of a request's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> FsResult<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Errno::EINVAL)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn u16(&mut self) -> FsResult<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> FsResult<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> FsResult<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(super) fn handle(&mut self) -> FsResult<Option<Handle>> {
        self.u64().map(from_wire)
    }

    /// Flags of open(2); what the kernel needs for itself is left out.
    pub(super) fn open_flags(&mut self) -> FsResult<OpenFlags> {
        self.u32().map(OpenFlags::from_bits_retain)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> FsResult<()> {
        self.0 = self.0.get(bytes..).ok_or(Errno::EINVAL)?;
        Ok(())
    }

    /// What stands before the next zero byte.
    pub(super) fn text(&mut self) -> FsResult<&'a OsStr> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Errno::EINVAL)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(OsStr::from_bytes(text))
    }

    /// The name of an entry.
    pub(super) fn name(&mut self) -> FsResult<&'a OsStr> {
        match self.name_or_dots()? {
            dots if dots == "." || dots == ".." => Err(Errno::EINVAL),
            name => Ok(name),
        }
    }

    /// The name of an entry, or "." or "..".
    pub(super) fn name_or_dots(&mut self) -> FsResult<&'a OsStr> {
        let name = self.text()?;
        match name.as_bytes() {
            [] => Err(Errno::EINVAL),
            bytes if bytes.len() > LONGEST_NAME => Err(Errno::ENAMETOOLONG),
            bytes if bytes.contains(&b'/') => Err(Errno::EINVAL),
            _ => Ok(name),
        }
    }
}

/// Handles travel as one more than they are: 0, which the kernel sends where a file was opened without asking, is none.
fn from_wire(number: u64) -> Option<Handle> {
    number.checked_sub(1)
}

/// The other way. The greatest of all numbers is no handle.
pub(super) fn to_wire(handle: Option<Handle>) -> FsResult<u64> {
    match handle {
        None => Ok(0),
        Some(handle) => handle.checked_add(1).ok_or(Errno::EIO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn name(bytes: &[u8], expect: FsResult<&str>) {
        assert_eq!(Fields(bytes).name(), expect.map(OsStr::new), "{bytes:?}");
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        name(b"a\0", Ok("a"));
        name(b"...\0", Ok("..."));
        name(b"a", Err(Errno::EINVAL));
        name(b"", Err(Errno::EINVAL));
        name(b"\0", Err(Errno::EINVAL));
        name(b".\0", Err(Errno::EINVAL));
        name(b"..\0", Err(Errno::EINVAL));
        name(b"a/b\0", Err(Errno::EINVAL));
        name(
            &[[b'x'; 256].as_slice(), b"\0"].concat(),
            Err(Errno::ENAMETOOLONG),
        );
    }

    #[test]
    fn handles_come_back_as_they_went() {
        for handle in [None, Some(0), Some(1), Some(u64::MAX - 1)] {
            assert_eq!(to_wire(handle).map(from_wire), Ok(handle));
        }
        assert_eq!(to_wire(Some(u64::MAX)), Err(Errno::EIO));
    }
}
