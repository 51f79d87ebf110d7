//! The content of one file.

use std::fs::File;
use std::io;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// How much is copied at once, so that progress can be told.
const PIECE: u64 = 8 << 20;

/// Gives `to`, which is empty, the content of `from`. Blocks are shared where the file system can; holes stay holes.
pub(crate) fn copy_file(from: &File, to: &File, told: &mut dyn FnMut(u64)) -> io::Result<()> {
    let length = from.metadata()?.len();
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        told(length);
        return Ok(());
    }
    to.set_len(length)?;
    let mut offset = 0;
    while let Some((start, end)) = next_data(from, offset)? {
        told(start - offset);
        copy_range(from, to, start, end, told)?;
        offset = end;
    }
    told(length.saturating_sub(offset));
    Ok(())
}

/// The next range that is no hole.
fn next_data(file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // The file system knows no holes.
        Err(Errno::INVAL) => {
            let length = file.metadata()?.len();
            return Ok((offset < length).then_some((offset, length)));
        }
        Err(errno) => return Err(errno.into()),
    };
    Ok(Some((start, rustix::fs::seek(file, SeekFrom::Hole(start))?)))
}

fn copy_range(from: &File, to: &File, start: u64, end: u64, told: &mut dyn FnMut(u64)) -> io::Result<()> {
    let (mut read, mut written) = (start, start);
    while read < end {
        let length = usize::try_from(PIECE.min(end - read)).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            // It has become shorter meanwhile.
            Ok(0) => return Ok(()),
            Ok(copied) => told(copied as u64),
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return read_and_write(from, to, read, end, told);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn read_and_write(from: &File, to: &File, start: u64, end: u64, told: &mut dyn FnMut(u64)) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 256 * 1024];
    let mut offset = start;
    while offset < end {
        let wanted = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        let read = from.read_at(piece, offset)?;
        if read == 0 {
            break;
        }
        to.write_all_at(piece.get(..read).unwrap_or_default(), offset)?;
        told(read as u64);
        offset += read as u64;
    }
    Ok(())
}
