//! Memory for large buffers that goes back to the system when nobody needs it for a while.
//!
//! `malloc` raises the size from which it maps blocks of their own once one of them was freed, and keeps later ones.

use std::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Bytes at the start of a page, zeros at first. There is memory behind what was touched only.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a `Mapping` is the only owner of its bytes, as a `Box<[u8]>` would be.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access gives shared slices only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `length` bytes, at least one. Fails with what mmap(2) says.
    pub(crate) fn new(length: usize) -> Result<Self, Errno> {
        // SAFETY: a new private mapping at an address that the kernel chooses touches nothing that is there.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, length })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` on are mapped readable for as long as `self` lives, and are always
        // initialized: the kernel gives zeros. Who changes them borrows `self` mutably.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, mapped writable as well, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Gives back the memory of all pages that begin at `from` or later. What was in them is gone: they are zeros.
    pub(crate) fn discard(&mut self, from: usize) {
        let from = from.next_multiple_of(rustix::param::page_size());
        let Some(length) = self.length.checked_sub(from).filter(|length| *length > 0) else {
            return;
        };
        // SAFETY: `from` is below `length`, so the result is within the mapping.
        let start = unsafe { self.start.as_ptr().add(from) };
        // SAFETY: the range is within the mapping, which is private and anonymous, and `self` is borrowed mutably, so
        // that nobody looks at it.
        let discarded = unsafe { rustix::mm::madvise(start.cast(), length, Advice::LinuxDontNeed) };
        if let Err(error) = discarded {
            tracing::debug!(%error, "a buffer stays with the process");
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, which nobody borrows any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        if let Err(error) = unmapped {
            tracing::debug!(%error, "a buffer stays mapped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_zeros_and_can_be_used_again() {
        let page = rustix::param::page_size();
        let mut mapping = Mapping::new(3 * page + 1).unwrap();
        assert!(mapping.bytes().iter().all(|byte| *byte == 0));
        mapping.bytes_mut().fill(7);
        mapping.discard(page - 1);
        let (kept, gone) = mapping.bytes().split_at(page);
        assert!(kept.iter().all(|byte| *byte == 7) && gone.iter().all(|byte| *byte == 0));
        mapping.bytes_mut().fill(9);
        assert!(mapping.bytes().iter().all(|byte| *byte == 9));
        mapping.discard(3 * page + 1);
        assert!(mapping.bytes().iter().all(|byte| *byte == 9));
        mapping.discard(usize::MAX - page);
    }
}
