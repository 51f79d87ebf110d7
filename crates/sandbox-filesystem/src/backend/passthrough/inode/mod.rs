//! The inodes that somebody knows: their numbers, identities, places and descriptors.

mod cache;
mod node;
mod table;

pub(super) use cache::DescriptorCache;
pub(super) use node::{Identity, Inode, Place};
pub(super) use table::Table;
