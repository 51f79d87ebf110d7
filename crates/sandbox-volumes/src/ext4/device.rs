//! What a disk is written to and read from.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes that can be read and written at any place.
///
/// Implemented for [`File`] (regular files, sparse; block devices) and for memory
/// (`Cursor<Vec<u8>>`); [`Seekable`] makes one of anything that reads, writes and seeks.
pub trait BlockDevice {
    /// Its size in bytes.
    fn size(&mut self) -> io::Result<u64>;

    /// Makes it `size` bytes of zeros. A device whose size is fixed keeps what is beyond; it fails where it is
    /// smaller.
    fn reset(&mut self, size: u64) -> io::Result<()>;

    /// Makes it at least `size` bytes; what is new is zero, or has never been written by an ext4 of this
    /// size. Fails where the size is fixed and smaller.
    fn extend(&mut self, size: u64) -> io::Result<()>;

    /// Makes it `size` bytes where the size is not fixed; what was beyond is lost.
    fn truncate(&mut self, size: u64) -> io::Result<()>;

    /// Makes a range zero, without taking up room where that is possible.
    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()>;

    /// Fills all of `buffer`.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data`.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns when what was written is safe from a crash.
    fn sync(&mut self) -> io::Result<()>;
}

impl BlockDevice for File {
    fn size(&mut self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.is_file() {
            Ok(metadata.len())
        } else {
            self.seek(SeekFrom::End(0))
        }
    }

    fn reset(&mut self, size: u64) -> io::Result<()> {
        let metadata = self.metadata()?;
        if metadata.is_file() {
            if metadata.len() > 0 {
                self.set_len(0)?;
            }
            return self.set_len(size);
        }
        self.extend(size)?;
        self.zero(0, size)
    }

    fn extend(&mut self, size: u64) -> io::Result<()> {
        let now = BlockDevice::size(self)?;
        if now >= size {
            Ok(())
        } else if self.metadata()?.is_file() {
            self.set_len(size)
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        if self.metadata()?.is_file() {
            self.set_len(size)
        } else {
            Ok(())
        }
    }

    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&*self, hole, offset, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NODEV) => write_zeros(self, offset, len),
            Err(error) => Err(error.into()),
        }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_all_at(data, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl BlockDevice for Cursor<Vec<u8>> {
    fn size(&mut self) -> io::Result<u64> {
        Ok(self.get_ref().len() as u64)
    }

    fn reset(&mut self, size: u64) -> io::Result<()> {
        self.get_mut().clear();
        self.truncate(size)
    }

    fn extend(&mut self, size: u64) -> io::Result<()> {
        if BlockDevice::size(self)? < size {
            self.truncate(size)
        } else {
            Ok(())
        }
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let memory = self.get_mut();
        memory
            .try_reserve(size.saturating_sub(memory.len()))
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        memory.resize(size, 0);
        Ok(())
    }

    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        write_zeros(self, offset, len)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.set_position(offset);
        self.read_exact(buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.set_position(offset);
        self.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A device of whatever reads, writes and seeks. Its size is the one it has; zeros are written where they are
/// needed, and [`Write::flush`] is all that is done for safety.
#[derive(Debug)]
pub struct Seekable<T>(pub T);

impl<T: Read + Write + Seek> BlockDevice for Seekable<T> {
    fn size(&mut self) -> io::Result<u64> {
        self.0.seek(SeekFrom::End(0))
    }

    fn reset(&mut self, size: u64) -> io::Result<()> {
        self.zero(0, size)
    }

    fn extend(&mut self, size: u64) -> io::Result<()> {
        let now = self.size()?;
        self.zero(now, size.saturating_sub(now))
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        write_zeros(self, offset, len)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read_exact(buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn write_zeros(device: &mut dyn BlockDevice, offset: u64, len: u64) -> io::Result<()> {
    let zeros = [0; 1 << 14];
    let mut done = 0;
    while done < len {
        let step = (len - done).min(zeros.len() as u64);
        let chunk = zeros.get(..super::disk::index(step)).unwrap_or(&zeros);
        device.write_at(offset + done, chunk)?;
        done += step;
    }
    Ok(())
}
