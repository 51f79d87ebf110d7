//! Where answers go.

use std::os::fd::BorrowedFd;

use crate::fs::{DataReader, DataWriter, Errno, FsResult};

/// The way back for the answer to one request.
///
/// An answer is a header, which says how long it is, and a body, which is made first: so the transport leaves room for
/// the header, and gets it in the end.
pub trait Reply {
    /// Where the body goes. Its room is what the asker has left for it.
    fn body(&mut self) -> &mut dyn DataWriter;

    /// Sends the header and the first `body` bytes of what was put into the body. Where that fails it is called once more,
    /// with a header that says so and no body.
    fn send(&mut self, header: &[u8; HEADER], body: usize) -> FsResult<()>;
}

/// The length of an answer's header (`struct fuse_out_header`).
pub(super) const HEADER: usize = 16;

/// An answer in memory: for tests, and for whoever sends it on by other means.
#[derive(Debug)]
pub struct MemoryReply {
    bytes: Vec<u8>,
    filled: usize,
    sent: usize,
}

impl MemoryReply {
    /// With room for a body of this many bytes.
    pub fn with_room(room: usize) -> Self {
        Self {
            bytes: vec![0; HEADER + room],
            filled: HEADER,
            sent: 0,
        }
    }

    /// What was sent; empty where there was no answer.
    pub fn sent(&self) -> &[u8] {
        self.bytes.get(..self.sent).unwrap_or_default()
    }

    /// Ready for another answer.
    pub fn clear(&mut self) {
        self.filled = HEADER;
        self.sent = 0;
    }

    fn room(&mut self, count: usize) -> &mut [u8] {
        let end = self.bytes.len().min(self.filled.saturating_add(count));
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }
}

impl DataWriter for MemoryReply {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.filled
    }

    fn write(&mut self, from: &[u8]) -> FsResult<usize> {
        let room = self.room(from.len());
        let taken = room.len();
        room.copy_from_slice(from.get(..taken).unwrap_or_default());
        self.filled += taken;
        Ok(taken)
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let read = rustix::io::pread(file, self.room(count), offset)?;
        self.filled += read;
        Ok(read)
    }
}

impl Reply for MemoryReply {
    fn body(&mut self) -> &mut dyn DataWriter {
        self
    }

    fn send(&mut self, header: &[u8; HEADER], body: usize) -> FsResult<()> {
        let whole = HEADER + body;
        if whole > self.filled {
            return Err(Errno::EIO);
        }
        let place = self.bytes.get_mut(..HEADER).ok_or(Errno::EIO)?;
        place.copy_from_slice(header);
        self.sent = whole;
        Ok(())
    }
}

/// Takes no more than a limit.
pub(super) struct Limited<'a> {
    inner: &'a mut dyn DataWriter,
    left: usize,
}

impl<'a> Limited<'a> {
    pub(super) fn new(inner: &'a mut dyn DataWriter, limit: usize) -> Self {
        let left = limit.min(inner.remaining());
        Self { inner, left }
    }
}

impl DataWriter for Limited<'_> {
    fn remaining(&self) -> usize {
        self.left
    }

    fn write(&mut self, from: &[u8]) -> FsResult<usize> {
        let taken = from.get(..self.left.min(from.len())).unwrap_or_default();
        let written = self.inner.write(taken)?;
        self.left = self.left.saturating_sub(written);
        Ok(written)
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let read = self.inner.read_from(file, count.min(self.left), offset)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

/// Gives no more than a limit.
pub(super) struct Exact<'a> {
    inner: &'a mut dyn DataReader,
    left: usize,
}

impl<'a> Exact<'a> {
    pub(super) fn new(inner: &'a mut dyn DataReader, limit: usize) -> Self {
        let left = limit.min(inner.remaining());
        Self { inner, left }
    }
}

impl DataReader for Exact<'_> {
    fn remaining(&self) -> usize {
        self.left
    }

    fn read(&mut self, into: &mut [u8]) -> FsResult<usize> {
        let room = self.left.min(into.len());
        let read = self.inner.read(into.get_mut(..room).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }

    fn write_to(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let written = self.inner.write_to(file, count.min(self.left), offset)?;
        self.left = self.left.saturating_sub(written);
        Ok(written)
    }
}
