//! The content of a file: shared by reflink, else copied by the kernel, else through a buffer. Holes stay holes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// What is known of the file that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) device: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes on the disk.
    pub(crate) allocated: u64,
}

/// Whether blocks may be shared between the copy and what is copied, to be parted when one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reflink {
    /// Where the file system can.
    #[default]
    Try,
    /// Or else it is an error.
    Only,
}

/// Copies contents to one file system; remembers what does not work there.
#[derive(Debug)]
pub(crate) struct Copier {
    reflink: Reflink,
    /// Devices from which nothing can be shared.
    cannot_clone: BTreeSet<u64>,
    /// Devices from which the kernel does not copy.
    cannot_copy: BTreeSet<u64>,
    buffer: Vec<u8>,
}

/// Files up to this size go through the buffer: two system calls.
const SMALL: u64 = 64 << 10;
/// How much is copied between two reports of progress.
const STRETCH: u64 = 16 << 20;

impl Copier {
    /// One that knows nothing yet.
    pub(crate) fn new(reflink: Reflink) -> Self {
        Self {
            reflink,
            cannot_clone: BTreeSet::new(),
            cannot_copy: BTreeSet::new(),
            buffer: Vec::new(),
        }
    }

    /// Copies the content of `from` to the empty file `to`.
    pub(crate) fn copy(
        &mut self,
        from: &File,
        to: &File,
        shape: &Shape,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        if self.clone_content(from, to, shape)? {
            progress(shape.size);
            return Ok(());
        }
        if shape.size <= SMALL && shape.allocated >= shape.size {
            return self.copy_range(from, to, shape.device, 0..SMALL, progress);
        }
        let mut position = 0;
        while let Some(range) = next_data(from, position)? {
            position = range.end;
            self.copy_range(from, to, shape.device, range, progress)?;
        }
        to.set_len(from.metadata()?.len())
    }

    /// Copies the first bytes of `from`, of which there are more, to the empty file `to`.
    pub(crate) fn copy_start(&mut self, from: &File, to: &File, shape: &Shape, len: u64) -> io::Result<()> {
        let mut position = 0;
        while position < len
            && let Some(range) = next_data(from, position)?
        {
            position = range.end;
            let range = range.start.min(len)..range.end.min(len);
            self.copy_range(from, to, shape.device, range, &mut |_| {})?;
        }
        to.set_len(len)
    }

    fn clone_content(&mut self, from: &File, to: &File, shape: &Shape) -> io::Result<bool> {
        if self.cannot_clone.contains(&shape.device) {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(errno) if self.reflink == Reflink::Only => Err(errno.into()),
            Err(errno) => {
                // Another error may be about this file alone: it is swapped to, say.
                if matches!(
                    errno,
                    Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS
                ) {
                    self.cannot_clone.insert(shape.device);
                }
                Ok(false)
            }
        }
    }

    fn copy_range(
        &mut self,
        from: &File,
        to: &File,
        dev: u64,
        range: std::ops::Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut position = range.start;
        while position < range.end {
            let wanted = (range.end - position).min(STRETCH);
            let copied = if wanted <= SMALL || self.cannot_copy.contains(&dev) {
                self.copy_through_buffer(from, to, position, wanted)?
            } else {
                self.copy_by_kernel(from, to, dev, position, wanted)?
            };
            if copied == 0 {
                break;
            }
            position += copied;
            progress(copied);
        }
        Ok(())
    }

    fn copy_by_kernel(
        &mut self,
        from: &File,
        to: &File,
        dev: u64,
        position: u64,
        wanted: u64,
    ) -> io::Result<u64> {
        let (mut at, mut to_at) = (position, position);
        let length = usize::try_from(wanted).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), length) {
            Ok(copied) if copied > 0 => return Ok(copied as u64),
            // Nothing: the end, or a file system that only pretends to copy.
            Ok(_) => {}
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => return Err(errno.into()),
            Err(_) => {
                self.cannot_copy.insert(dev);
            }
        }
        self.copy_through_buffer(from, to, position, wanted)
    }

    fn copy_through_buffer(&mut self, from: &File, to: &File, position: u64, wanted: u64) -> io::Result<u64> {
        self.buffer
            .resize(usize::try_from(SMALL).unwrap_or(usize::MAX), 0);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let length = self.buffer.len().min(wanted);
        let buffer = self.buffer.get_mut(..length).unwrap_or_default();
        let read = retried(|| from.read_at(buffer, position))?;
        to.write_all_at(buffer.get(..read).unwrap_or_default(), position)?;
        Ok(read as u64)
    }
}

fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The next stretch of `file` that is not a hole; none at the end.
fn next_data(file: &File, position: u64) -> io::Result<Option<std::ops::Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system without holes.
        Err(Errno::INVAL) => {
            let size = file.metadata()?.len();
            return Ok((position < size).then_some(position..size));
        }
        Err(errno) => return Err(errno.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    Ok((end > start).then_some(start..end))
}
