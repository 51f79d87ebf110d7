//! Diffs of layers made by hand and by the kernel's overlayfs.

mod by_hand;
mod conflicts;
mod copies;
mod edits;
mod inside;
mod kernel;
mod naive;
mod property;
mod world;
