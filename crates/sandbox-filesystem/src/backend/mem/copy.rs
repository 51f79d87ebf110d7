//! copy_file_range.

use super::content::MAX_SIZE;
use super::filesystem::MemFs;
use super::inode::Body;
use crate::fs::{Buffer, Errno, FsResult, Ino};

/// How much is copied at a time, with the locks given up in between.
const CHUNK: u64 = 1 << 20;

/// Where data begins, and the data.
type Piece = (u64, Vec<u8>);

impl MemFs {
    /// Holes stay holes where nothing is in their way.
    pub(super) fn copy_range(&self, from: (Ino, u64), to: (Ino, u64), len: u64) -> FsResult<u64> {
        if from.0 == to.0 && from.1.abs_diff(to.1) < len {
            return Err(Errno::EINVAL);
        }
        if to.1.checked_add(len).is_none_or(|end| end > MAX_SIZE) {
            return Err(Errno::EFBIG);
        }
        let mut done = 0;
        while done < len {
            let chunk = CHUNK.min(len - done);
            match self.copy_chunk((from.0, from.1 + done), (to.0, to.1 + done), chunk) {
                Ok(0) => break,
                Ok(copied) => done += copied,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// One lock at a time is held: first what is there is read, then it is written.
    fn copy_chunk(&self, from: (Ino, u64), to: (Ino, u64), len: u64) -> FsResult<u64> {
        let (ranges, end) = self.data_of(from, len)?;
        let len = end.saturating_sub(from.1).min(len);
        let target = self.table.get(to.0)?;
        let mut state = target.write();
        let mut hole = to.1;
        let content = state.content()?;
        for (start, bytes) in ranges {
            let at = to.1 + (start - from.1);
            if hole < at {
                content.punch(&self.space, hole, at);
            }
            let count = bytes.len() as u64;
            let written = content.write(&self.space, at, count, &mut bytes.as_slice())? as u64;
            hole = at + written;
            if written < count {
                state.modified();
                return Ok(hole - to.1);
            }
        }
        if hole < to.1 + len {
            content.punch(&self.space, hole, to.1 + len);
        }
        content.grow(to.1 + len);
        if len > 0 {
            state.modified();
            self.kill_privileges(&mut state);
        }
        Ok(len)
    }

    /// The data of a range, piece by piece, and where the file ends or the range does.
    fn data_of(&self, from: (Ino, u64), len: u64) -> FsResult<(Vec<Piece>, u64)> {
        let inode = self.table.get(from.0)?;
        let state = inode.read();
        let Body::File(content) = &state.body else {
            return Err(if inode.is_directory() {
                Errno::EISDIR
            } else {
                Errno::EINVAL
            });
        };
        let end = from.1.saturating_add(len).min(content.size());
        let mut ranges = Vec::new();
        for (start, end) in content.data_ranges(from.1, end) {
            let mut bytes = Buffer::with_room(usize::try_from(end - start).map_err(|_| Errno::ENOMEM)?);
            content.read(start, end - start, &mut bytes)?;
            ranges.push((start, bytes.into_bytes()));
        }
        Ok((ranges, end))
    }
}
