//! One binary for all scenarios; the judges are e2fsck, dumpe2fs, debugfs, the kernel and ext4-view.
#![cfg(feature = "ext4")]

#[macro_use]
mod harness;

mod ext4;
