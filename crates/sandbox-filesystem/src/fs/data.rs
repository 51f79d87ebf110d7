//! The bytes of a read or write, wherever they are: in memory, in the buffers of /dev/fuse, in a guest.

use std::os::fd::BorrowedFd;

use super::FsResult;

/// The bytes that a write brings.
pub trait DataReader {
    /// Bytes that are left.
    fn remaining(&self) -> usize;

    /// Takes the next bytes, fewer than `into` holds where fewer are left.
    fn read(&mut self, into: &mut [u8]) -> FsResult<usize>;

    /// Gives up to `count` of the next bytes to `file` at `offset`, without copying them first where that is
    /// possible, and says how many the file took.
    fn write_to(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize>;
}

/// Where the bytes of a read go.
pub trait DataWriter {
    /// Bytes that there is room for.
    fn remaining(&self) -> usize;

    /// Puts as many of these bytes as there is room for.
    fn write(&mut self, from: &[u8]) -> FsResult<usize>;

    /// Takes up to `count` bytes out of `file` at `offset`, without copying them once more where that is possible,
    /// and says how many there were; 0 is the end of the file.
    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize>;
}

/// Bytes in memory.
impl DataReader for &[u8] {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn read(&mut self, into: &mut [u8]) -> FsResult<usize> {
        Ok(std::io::Read::read(self, into)?)
    }

    fn write_to(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let next = self.get(..count.min(self.len())).unwrap_or_default();
        let written = rustix::io::pwrite(file, next, offset)?;
        *self = self.get(written..).unwrap_or_default();
        Ok(written)
    }
}

/// Bytes in memory, as many as there is room for.
#[derive(Debug, Default, Clone)]
pub struct Buffer {
    bytes: Vec<u8>,
    room: usize,
}

impl Buffer {
    /// Empty, with room for this many bytes.
    pub fn with_room(room: usize) -> Self {
        Self {
            bytes: Vec::new(),
            room,
        }
    }

    /// What was put into it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl DataWriter for Buffer {
    fn remaining(&self) -> usize {
        self.room
    }

    fn write(&mut self, from: &[u8]) -> FsResult<usize> {
        let next = from.get(..self.room.min(from.len())).unwrap_or_default();
        self.bytes.extend_from_slice(next);
        self.room -= next.len();
        Ok(next.len())
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let start = self.bytes.len();
        self.bytes.resize(start + count.min(self.room), 0);
        let read = rustix::io::pread(file, self.bytes.get_mut(start..).unwrap_or_default(), offset);
        let read_bytes = *read.as_ref().unwrap_or(&0);
        self.bytes.truncate(start + read_bytes);
        self.room -= read_bytes;
        Ok(read?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn bytes_go_to_a_file_and_come_back_no_more_than_there_is_room_for() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes: &[u8] = b"hello";
        assert_eq!(bytes.write_to(file.as_fd(), 4, 2), Ok(4));
        assert_eq!(bytes, b"o");

        let mut buffer = Buffer::with_room(5);
        assert_eq!(buffer.read_from(file.as_fd(), 100, 1), Ok(5));
        assert_eq!(buffer.remaining(), 0);
        assert_eq!(buffer.write(b"x"), Ok(0));
        assert_eq!(buffer.into_bytes(), b"\0hell");
    }

    #[test]
    fn a_read_that_fails_leaves_the_buffer_as_it_was() {
        let directory = std::fs::File::open("/").unwrap();
        let mut buffer = Buffer::with_room(8);
        assert_eq!(
            buffer.read_from(directory.as_fd(), 8, 0),
            Err(super::super::Errno::EISDIR)
        );
        assert_eq!(buffer.remaining(), 8);
        assert!(buffer.into_bytes().is_empty());
    }
}
