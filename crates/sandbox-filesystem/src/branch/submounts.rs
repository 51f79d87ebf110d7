//! What is mounted inside a workspace: no part of its branches, in no mode.
//!
//! A view shows an empty directory there, or no file; a difference and a commit leave out what is there. What is
//! mounted is asked for anew each time. It needs /proc.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use sandbox_types::RelPath;

use super::beneath::{Root, names};
use super::node::Meta;
use super::stack::Stack;
use crate::mount_table;

/// Mount points beneath the directory `base`, whose path has no links.
pub(crate) fn beneath(base: &Path) -> BTreeSet<PathBuf> {
    let mut found = listed(&mount_table::read(), base);
    // What was mounted before something else was mounted over the workspace is listed too.
    found.retain(|path| is_mount_point(path));
    found
}

/// Those of `mounted` at which one of the layers has more than an empty directory: what was written there stays.
pub(crate) fn written_to<'a>(stack: &Stack, mounted: &'a BTreeSet<RelPath>) -> Vec<&'a RelPath> {
    let has = |path: &&RelPath| {
        stack
            .layers()
            .iter()
            .any(|layer| has_something(&layer.path, path))
    };
    mounted.iter().filter(has).collect()
}

fn has_something(layer: &Path, path: &RelPath) -> bool {
    let Ok(root) = Root::open(layer) else {
        return false;
    };
    match root.meta(path) {
        Ok(Some(meta)) if meta.is_dir() => root
            .list_dir(path)
            .and_then(|dir| names(rustix::fd::AsFd::as_fd(&dir)))
            .is_ok_and(|names| !names.is_empty()),
        Ok(meta) => meta.is_some_and(|meta: Meta| !meta.is_whiteout()),
        Err(_) => false,
    }
}

/// True where that cannot be found out.
fn is_mount_point(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(CWD, path, flags, StatxFlags::empty()) {
        Ok(stat) if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        _ => true,
    }
}

/// Mount points beneath `base` in a proc_pid_mountinfo(5).
fn listed(table: &[u8], base: &Path) -> BTreeSet<PathBuf> {
    mount_table::points(table)
        .filter(|path| path != base && path.starts_with(base))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_inside_a_directory_are_found_and_it_itself_is_none() {
        let table = b"21 1 8:1 / / rw - ext4 /dev/a rw\n22 21 8:2 / /srv/my\\040app rw - ext4 /dev/b rw\n\
            23 22 8:3 / /srv/my\\040app/data rw - ext4 /dev/c rw\n24 21 0:1 / /srv/my rw - tmpfs t rw\n";
        let found = |base: &str| listed(table, Path::new(base));
        assert_eq!(found("/srv/my app"), ["/srv/my app/data".into()].into());
        assert_eq!(found("/srv/my app/data"), [].into());
        assert_eq!(found("/srv/other"), [].into());
    }

    #[test]
    fn a_mount_is_found_where_it_is_and_a_directory_is_none() {
        assert!(beneath(Path::new("/")).contains(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/self")));
    }
}
