//! Giving memory back that `malloc` keeps for itself.

/// Lets the C library's allocator give back every page that is wholly free. It keeps what is not at the end of its heap
/// otherwise. Another C library than glibc does as it likes.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes its own locks, moves nothing that is allocated, and may be called at any time.
    let _trimmed = unsafe { libc::malloc_trim(0) };
}
