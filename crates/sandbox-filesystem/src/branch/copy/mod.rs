//! Copying entries and whole trees so that nothing about them is lost.
//!
//! It takes along content (by reflink where the file system can, with holes left holes), mode, owner, time of
//! modification, extended attributes, access control lists and file capabilities, and hard links among what is
//! copied together. It follows no link and leaves no inode shared. What the user may not set (an owner, a
//! capability) is left out and reported; everything else that fails is an error with the path.

mod attributes;
mod make;
mod probe;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::probe::can_reflink;
pub(crate) use crate::content::{Copier, Reflink};
pub(crate) use attributes::{Attributes, Refused, set_mode, set_mtime};
pub(crate) use make::{special, symlink, symlink_target};
pub use tree::CopyError;
pub(crate) use tree::{TreeOptions, TreeReport, tree};
