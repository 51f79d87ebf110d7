//! Three numbers that other processes can read at any time: a file that is mapped and shared.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

/// Numbers in the file.
pub(crate) const COUNT: usize = 3;
const BYTES: usize = COUNT * size_of::<u64>();

/// The mapped numbers, in the order of this machine's bytes.
#[derive(Debug)]
pub(crate) struct Figures(NonNull<[AtomicU64; COUNT]>);

// SAFETY: what it points to are atomics in a mapping that is its own and lives as long as it does.
unsafe impl Send for Figures {}
// SAFETY: as above.
unsafe impl Sync for Figures {}

impl Figures {
    /// Maps the file at `path`, which is made where there is none. Nobody else may make it shorter meanwhile.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(path)?;
        file.set_len(BYTES as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses; nothing else is there.
        let at = unsafe { rustix::mm::mmap(ptr::null_mut(), BYTES, protection, MapFlags::SHARED, &file, 0) }?;
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self(at))
    }

    /// Says them; who reads meanwhile may see some of the old ones.
    pub(crate) fn say(&self, numbers: [u64; COUNT]) {
        // SAFETY: the mapping is as long as the numbers, aligned to a page, and lives as long as `self`; every access
        // to it is atomic.
        let places = unsafe { self.0.as_ref() };
        for (place, number) in places.iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `create` with this length, and nobody refers to it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), BYTES) };
        if let Err(error) = unmapped {
            tracing::warn!(%error, "a mapping is left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_from_the_file_at_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("figures");
        let figures = Figures::create(&path).unwrap();
        figures.say([1, 2, u64::MAX]);
        let bytes = std::fs::read(&path).unwrap();
        let read: Vec<u64> = bytes
            .chunks(8)
            .map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(read, [1, 2, u64::MAX]);
    }
}
