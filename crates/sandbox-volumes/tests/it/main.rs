//! One binary for all scenarios; the judges are e2fsck, dumpe2fs, debugfs, the kernel and ext4-view.

#[macro_use]
mod harness;

#[cfg(feature = "ext4")]
mod ext4;
