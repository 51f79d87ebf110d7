//! Where a node is, for messages.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use super::{Content, Inventory};

/// The path of a node relative to the root, by the name under which it was found first.
pub(crate) fn path_of(inventory: &Inventory, node: u32) -> PathBuf {
    let mut names = Vec::new();
    let mut at = node;
    while at != 0 {
        let Some(entry) = inventory.nodes.get(at as usize) else {
            break;
        };
        let parent = inventory
            .nodes
            .get(entry.parent as usize)
            .map(|parent| &parent.content);
        let Some(Content::Directory(directory)) = parent else {
            break;
        };
        let name = directory.children.iter().find(|child| child.node == at);
        names.push(name.map(|child| child.name.to_vec()).unwrap_or_default());
        at = entry.parent;
    }
    names.into_iter().rev().map(OsString::from_vec).collect()
}
