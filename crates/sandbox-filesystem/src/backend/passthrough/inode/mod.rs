//! The inodes that somebody knows: their numbers, identities, places and descriptors.

mod cache;
mod node;
mod parts;
mod queues;
mod step;
mod table;

pub(in crate::backend) use cache::DescriptorCache;
pub(in crate::backend) use node::{Identity, Inode, Layer, Place};
pub(in crate::backend) use parts::{Life, Part, Parts};
pub(in crate::backend) use step::{Names, Step};
pub(in crate::backend) use table::Table;
