//! Diffs of layers made by hand and by the kernel's overlayfs.

mod by_hand;
mod world;
