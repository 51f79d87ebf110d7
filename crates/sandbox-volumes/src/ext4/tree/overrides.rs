//! Owners, modes and types kept in an xattr, as containers/storage, fuse-overlayfs and libkrun write it.

use std::io;

use sandbox_types::{OverrideKind, OverrideStat, TreeNode, TreeNodeKind};

/// The attribute.
pub(super) const XATTR: &[u8] = OverrideStat::CONTAINERS.as_bytes();

/// What to do with `user.containers.override_stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overrides {
    /// It is an attribute like others.
    #[default]
    Ignore,
    /// It says owner, mode, type and device of its file, and is itself not seen.
    Honor,
}

/// Applies what the attribute says.
pub(super) fn apply(value: &[u8], node: &mut TreeNode) -> io::Result<()> {
    let kept = OverrideStat::parse(value).and_then(|kept| {
        Some((
            kept,
            kind_of(kept.kind, node.kind)?,
            u16::try_from(kept.mode).ok()?,
        ))
    });
    let Some((kept, kind, permissions)) = kept else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "user.containers.override_stat is {:?}",
                String::from_utf8_lossy(value)
            ),
        ));
    };
    (node.uid, node.gid, node.permissions, node.kind) = (kept.uid, kept.gid, permissions, kind);
    Ok(())
}

/// A directory stays one, and nothing else becomes one: its names are where they are.
fn kind_of(kept: Option<OverrideKind>, real: TreeNodeKind) -> Option<TreeNodeKind> {
    let is_directory = real == TreeNodeKind::Directory;
    match kept {
        Some(OverrideKind::Directory) => is_directory.then_some(real),
        Some(_) if is_directory => None,
        None | Some(OverrideKind::File) => Some(real),
        Some(OverrideKind::Symlink) => Some(TreeNodeKind::Symlink),
        Some(OverrideKind::Fifo) => Some(TreeNodeKind::Fifo),
        Some(OverrideKind::Socket) => Some(TreeNodeKind::Socket),
        Some(OverrideKind::BlockDevice(device)) => Some(TreeNodeKind::BlockDevice(device)),
        Some(OverrideKind::CharDevice(device)) => Some(TreeNodeKind::CharDevice(device)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_types::TreeDevice;

    const FILE: TreeNodeKind = TreeNodeKind::File { len: 3 };

    #[test]
    fn a_file_can_stand_for_anything_but_a_directory() {
        let device = TreeDevice { major: 1, minor: 3 };
        for (kept, kind) in [
            (OverrideKind::File, FILE),
            (OverrideKind::Symlink, TreeNodeKind::Symlink),
            (OverrideKind::CharDevice(device), TreeNodeKind::CharDevice(device)),
        ] {
            assert_eq!(kind_of(Some(kept), FILE), Some(kind));
        }
        assert_eq!(kind_of(None, FILE), Some(FILE));
        assert_eq!(kind_of(Some(OverrideKind::Directory), FILE), None);
    }

    #[test]
    fn a_directory_stays_one() {
        let directory = TreeNodeKind::Directory;
        assert_eq!(kind_of(Some(OverrideKind::Directory), directory), Some(directory));
        assert_eq!(kind_of(None, directory), Some(directory));
        assert_eq!(kind_of(Some(OverrideKind::File), directory), None);
    }
}
