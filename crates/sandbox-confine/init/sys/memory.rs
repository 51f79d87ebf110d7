//! Memory: mappings, and stacks for children.

use super::{Fd, Result, arch, number};

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;

/// Puts anonymous memory of this process into huge pages, now and where it is touched later, as far as the kernel can
/// (MADV_COLLAPSE came with Linux 6.1). Whatever is in it stays.
pub fn huge_pages(start: usize, length: usize) {
    const MADV_HUGEPAGE: usize = 14;
    const MADV_COLLAPSE: usize = 25;
    for advice in [MADV_HUGEPAGE, MADV_COLLAPSE] {
        // Neither changes what is in memory, whoever uses it; what is not mapped is an error.
        if arch::call(arch::number::MADVISE, [start, length, advice, 0, 0, 0]).is_err() {
            return;
        }
    }
}

/// A file mapped read-only, or anonymous memory of pointers; unmapped on drop.
#[derive(Debug)]
pub struct Mapping {
    start: usize,
    length: usize,
}

impl Mapping {
    /// Maps the first `length` bytes of a sealed file.
    pub fn of_file(file: &Fd, length: usize) -> Result<Self> {
        if length == 0 {
            return Ok(Self {
                start: core::ptr::dangling::<u64>() as usize,
                length,
            });
        }
        let args = [0, length, PROT_READ, MAP_PRIVATE, number(file.number()), 0];
        arch::call(arch::number::MMAP, args).map(|start| Self { start, length })
    }

    /// Room for `count` pointers, all null.
    pub fn of_pointers(count: usize) -> Result<Self> {
        let length = count.saturating_mul(size_of::<usize>()).max(1);
        let args = [
            0,
            length,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            usize::MAX,
            0,
        ];
        arch::call(arch::number::MMAP, args).map(|start| Self { start, length })
    }

    /// The mapped bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is a live mapping of `length` readable bytes (or dangling for none), which lives
        // as long as `self`; the file is sealed, so nobody changes it.
        unsafe { core::slice::from_raw_parts(self.start as *const u8, self.length) }
    }

    /// The mapped bytes, for good: they are never unmapped.
    pub fn leak(self) -> &'static [u8] {
        let (start, length) = (self.start, self.length);
        core::mem::forget(self);
        // SAFETY: as above; nobody unmaps it any more.
        unsafe { core::slice::from_raw_parts(start as *const u8, length) }
    }

    /// The mapped pointers. Only of use on a mapping made for pointers.
    pub fn pointers(&mut self) -> &mut [usize] {
        // SAFETY: mmap's result is page-aligned, the mapping is writable when made by `of_pointers`, and
        // `self` is borrowed mutably. A file mapping is never passed here: both callers make their own.
        unsafe { core::slice::from_raw_parts_mut(self.start as *mut usize, self.length / size_of::<usize>()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length != 0 {
            // Only a bad address could fail, and this is the one mmap gave.
            let _ = arch::call(arch::number::MUNMAP, [self.start, self.length, 0, 0, 0, 0]);
        }
    }
}

/// A stack for children that share init's memory until they execute.
#[derive(Debug)]
pub struct Stack(Mapping);

impl Stack {
    const BYTES: usize = 256 * 1024;

    /// Maps it.
    pub fn new() -> Result<Self> {
        Mapping::of_pointers(Self::BYTES / size_of::<usize>()).map(Self)
    }

    /// Its top, aligned as the ABI wants it at a call.
    pub fn top(&self) -> usize {
        self.0.start + Self::BYTES
    }
}

/// Small stacks for children that share init's memory for good, one behind the other; no page is used before its child
/// is.
#[derive(Debug)]
pub struct Stacks(Mapping);

impl Stacks {
    const BYTES: usize = 8 * 1024;

    /// Maps `count` of them.
    pub fn new(count: usize) -> Result<Self> {
        Mapping::of_pointers(count.saturating_mul(Self::BYTES / size_of::<usize>())).map(Self)
    }

    /// The top of one, aligned as the ABI wants it at a call; `None` where there are not so many.
    pub fn top(&self, index: usize) -> Option<usize> {
        let end = index.checked_add(1)?.checked_mul(Self::BYTES)?;
        (end <= self.0.length).then(|| self.0.start + end)
    }
}
