//! Writes that follow one another become one.

use std::io;

use super::super::device::BlockDevice;

/// Bytes that are collected.
const ROOM: usize = 1 << 20;

/// Collects writes to consecutive places.
pub(crate) struct Sink<'a> {
    pub(crate) device: &'a mut dyn BlockDevice,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(device: &'a mut dyn BlockDevice) -> Self {
        Self {
            device,
            start: 0,
            buffer: Vec::with_capacity(ROOM),
        }
    }

    /// Writes `data` at `offset`, soon.
    pub(crate) fn put(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let follows = self.start + self.buffer.len() as u64 == offset;
        if !follows || self.buffer.len() + data.len() > ROOM {
            self.flush()?;
            self.start = offset;
        }
        if data.len() >= ROOM {
            self.device.write_at(offset, data)?;
            self.start = offset + data.len() as u64;
            return Ok(());
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Like [`Self::put`] of a buffer of `len` bytes that `fill` fills.
    pub(crate) fn put_with<E: From<io::Error>>(
        &mut self,
        offset: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let follows = self.start + self.buffer.len() as u64 == offset;
        if !follows || self.buffer.len() + len > ROOM {
            self.flush()?;
            self.start = offset;
        }
        let at = self.buffer.len();
        self.buffer.resize(at + len, 0);
        fill(self.buffer.get_mut(at..).unwrap_or_default())
    }

    /// Writes what was collected.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.device.write_at(self.start, &self.buffer)?;
            self.start += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
