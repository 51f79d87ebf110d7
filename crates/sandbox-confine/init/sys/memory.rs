//! Memory: mappings, a stack for children, and the four functions that compiled code expects.

use super::{Fd, Result, arch, number};

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;

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

/// The four functions that compiled code calls on its own. In tests the C library has them.
#[cfg(not(test))]
mod builtins {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        // SAFETY: the caller promises `count` readable and writable bytes that do not overlap.
        unsafe {
            core::arch::asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        if (to as usize).wrapping_sub(from as usize) >= count {
            // SAFETY: the caller's promise; copying upwards is right, because `to` is not inside the source.
            return unsafe { memcpy(to, from, count) };
        }
        // SAFETY: the caller's promise; copying downwards is right, because `to` lies behind `from`. The
        // direction flag is cleared again, as the ABI wants it.
        unsafe {
            core::arch::asm!("std", "rep movsb", "cld", inout("rcx") count => _,
                inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
                inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _, options(nostack));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
        // SAFETY: the caller promises `count` writable bytes.
        unsafe {
            core::arch::asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") value as u8,
                options(nostack, preserves_flags));
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        for index in 0..count {
            // SAFETY: the caller promises `count` readable bytes on the left.
            let a = unsafe { left.wrapping_add(index).read_volatile() };
            // SAFETY: the caller promises `count` readable bytes on the right.
            let b = unsafe { right.wrapping_add(index).read_volatile() };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        // SAFETY: the caller's promise is the same.
        unsafe { memcmp(left, right, count) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: the caller promises a NUL-terminated string, so every byte up to it is readable.
        while unsafe { text.wrapping_add(length).read_volatile() } != 0 {
            length += 1;
        }
        length
    }
}
