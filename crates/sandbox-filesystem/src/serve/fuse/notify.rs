//! Telling the kernel what has changed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Weak;

use super::link::Link;
use crate::fs::{Errno, FsResult, Ino, Invalidate};

/// `enum fuse_notify_code`.
const INVAL_INODE: i32 = 2;
const INVAL_ENTRY: i32 = 3;
const DELETE: i32 = 6;

/// The kernel's side of a session, for a backend. It does not keep the connection alive.
#[derive(Debug)]
pub(super) struct Channel(pub(super) Weak<Link>);

impl Channel {
    fn send(&self, code: i32, body: &[u8]) -> FsResult<()> {
        self.0.upgrade().ok_or(Errno::ENODEV)?.notify(code, body)
    }
}

impl Invalidate for Channel {
    fn inode(&self, ino: Ino, offset: i64, len: i64) -> FsResult<()> {
        self.send(INVAL_INODE, &inode(ino, offset, len))
    }

    fn entry(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        let mut body = parent.to_ne_bytes().to_vec();
        push_name(&mut body, name)?;
        self.send(INVAL_ENTRY, &body)
    }

    fn deleted(&self, parent: Ino, child: Ino, name: &OsStr) -> FsResult<()> {
        let mut body = parent.to_ne_bytes().to_vec();
        body.extend_from_slice(&child.to_ne_bytes());
        push_name(&mut body, name)?;
        self.send(DELETE, &body)
    }
}

fn inode(ino: Ino, offset: i64, len: i64) -> [u8; 24] {
    let mut body = [0; 24];
    let fields = [ino.to_ne_bytes(), offset.to_ne_bytes(), len.to_ne_bytes()];
    for (place, field) in body.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field);
    }
    body
}

/// Its length, a word of zeros, the name and a zero byte.
fn push_name(body: &mut Vec<u8>, name: &OsStr) -> FsResult<()> {
    let length = u32::try_from(name.len()).map_err(|_| Errno::ENAMETOOLONG)?;
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(name.as_bytes());
    body.push(0);
    Ok(())
}
