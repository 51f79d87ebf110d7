//! The memory of one request and its answer.
//!
//! A write's data begins at a page of the request's memory and a read's data at a page of the answer's, so that a
//! backend can hand both to files that are open for direct I/O.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::link::Link;
use super::near::Near;
use crate::fs::{DataReader, DataWriter, Errno, FsResult};
use crate::serve::Reply;
use crate::sys::mapping::Mapping;

const PAGE: usize = 4096;
/// The header of a request and of a write within it (`struct fuse_in_header`, `struct fuse_write_in`).
const HEAD: usize = 80;

/// So much of it stays with a worker that has nothing to do.
const KEPT: usize = 64 * 1024;

/// Bytes that begin at a page. Memory is taken when it is first used.
#[derive(Debug)]
struct Pages {
    mapping: Mapping,
    /// What may have memory behind it.
    touched: usize,
}

impl Pages {
    fn new(length: usize) -> Result<Self, rustix::io::Errno> {
        Ok(Self {
            mapping: Mapping::new(length)?,
            touched: 0,
        })
    }

    fn len(&self) -> usize {
        self.mapping.bytes().len()
    }

    fn get(&self, from: usize, to: usize) -> &[u8] {
        self.mapping.bytes().get(from..to).unwrap_or_default()
    }

    /// To be filled; [`filled`](Self::filled) says how far that was done.
    fn get_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        self.mapping.bytes_mut().get_mut(from..to).unwrap_or_default()
    }

    fn filled(&mut self, to: usize) {
        self.touched = self.touched.max(to);
    }

    fn is_large(&self) -> bool {
        self.touched > KEPT
    }

    fn give_back(&mut self) {
        if self.is_large() {
            self.mapping.discard(KEPT);
            self.touched = KEPT;
        }
    }
}

/// What a worker needs for one request at a time.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) request: Request,
    pub(super) answer: Answer,
}

impl Buffers {
    /// For `max_io` bytes of data. Fails with what mmap(2) says.
    pub(super) fn new(link: &Arc<Link>, max_io: usize, near: Near) -> Result<Self, rustix::io::Errno> {
        Ok(Self {
            request: Request::new(max_io)?,
            answer: Answer::new(link, max_io, near)?,
        })
    }

    /// Whether there is memory in them that is worth giving back.
    pub(super) fn are_large(&self) -> bool {
        self.request.pages.is_large() || self.answer.pages.is_large()
    }

    /// Gives the memory of large requests back. What is in them is gone.
    pub(super) fn give_back(&mut self) {
        self.request.pages.give_back();
        self.answer.pages.give_back();
    }
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    head: [u8; HEAD],
    pages: Pages,
    length: usize,
    position: usize,
}

impl Request {
    fn new(max_io: usize) -> Result<Self, rustix::io::Errno> {
        Ok(Self {
            head: [0; HEAD],
            // What is no write needs up to a page beyond.
            pages: Pages::new(max_io + PAGE)?,
            length: 0,
            position: 0,
        })
    }

    /// Waits for the next one.
    pub(super) fn receive(&mut self, device: BorrowedFd<'_>) -> Result<(), rustix::io::Errno> {
        self.position = 0;
        self.length = 0;
        let end = self.pages.len();
        let mut parts = [
            IoSliceMut::new(&mut self.head),
            IoSliceMut::new(self.pages.get_mut(0, end)),
        ];
        self.length = rustix::io::readv(device, &mut parts)?;
        // The device never gives nothing; what does is none, and will not give more.
        if self.length == 0 {
            return Err(rustix::io::Errno::NODEV);
        }
        self.pages.filled(self.length.saturating_sub(HEAD));
        Ok(())
    }

    /// The thread that waits for it, as the caller's own pid namespace names it; 0 where none does (`pid` of its header).
    pub(super) fn caller(&self) -> u32 {
        let bytes = self.head.get(32..36).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    /// What it asks for (`opcode` of its header).
    pub(super) fn opcode(&self) -> u32 {
        let bytes = self.head.get(4..8).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn next(&self) -> &[u8] {
        if self.position < HEAD {
            self.head
                .get(self.position..self.length.min(HEAD))
                .unwrap_or_default()
        } else {
            self.pages
                .get(self.position - HEAD, self.length.saturating_sub(HEAD))
        }
    }
}

impl DataReader for Request {
    fn remaining(&self) -> usize {
        self.length.saturating_sub(self.position)
    }

    fn read(&mut self, into: &mut [u8]) -> FsResult<usize> {
        let next = self.next();
        let count = next.len().min(into.len());
        if let (Some(into), Some(next)) = (into.get_mut(..count), next.get(..count)) {
            into.copy_from_slice(next);
        }
        self.position += count;
        Ok(count)
    }

    fn write_to(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let next = self.next();
        let next = next.get(..count.min(next.len())).unwrap_or_default();
        let written = rustix::io::pwrite(file, next, offset)?;
        self.position += written;
        Ok(written)
    }
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct Answer {
    link: Arc<Link>,
    pages: Pages,
    filled: usize,
    pub(super) near: Near,
}

impl Answer {
    fn new(link: &Arc<Link>, max_io: usize, near: Near) -> Result<Self, rustix::io::Errno> {
        Ok(Self {
            near,
            link: Arc::clone(link),
            pages: Pages::new(max_io)?,
            filled: 0,
        })
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    fn add(&mut self, count: usize) {
        self.filled += count;
        self.pages.filled(self.filled);
    }

    fn room(&mut self, count: usize) -> &mut [u8] {
        let end = self.pages.len().min(self.filled.saturating_add(count));
        self.pages.get_mut(self.filled, end)
    }
}

impl DataWriter for Answer {
    fn remaining(&self) -> usize {
        self.pages.len() - self.filled
    }

    fn write(&mut self, from: &[u8]) -> FsResult<usize> {
        let room = self.room(from.len());
        let taken = room.len();
        room.copy_from_slice(from.get(..taken).unwrap_or_default());
        self.add(taken);
        Ok(taken)
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let read = rustix::io::pread(file, self.room(count), offset)?;
        self.add(read);
        Ok(read)
    }
}

impl Reply for Answer {
    fn body(&mut self) -> &mut dyn DataWriter {
        self
    }

    fn send(&mut self, header: &[u8; 16], body: usize) -> FsResult<()> {
        if body > self.filled {
            return Err(Errno::EIO);
        }
        let device = self.link.device().ok_or(Errno::ENODEV)?;
        let parts = [IoSlice::new(header), IoSlice::new(self.pages.get(0, body))];
        let parts = if body == 0 { parts.get(..1) } else { parts.get(..) };
        let write = || rustix::io::writev(device.as_fd(), parts.unwrap_or_default());
        self.near.answer(write)?;
        Ok(())
    }
}
