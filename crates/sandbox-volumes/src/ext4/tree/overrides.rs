//! Owners, modes and types kept in an xattr, as containers/storage, fuse-overlayfs and libkrun write it.

use std::io;

use sandbox_types::{TreeDevice, TreeNode, TreeNodeKind};

/// The attribute.
pub(super) const XATTR: &[u8] = b"user.containers.override_stat";

/// What to do with `user.containers.override_stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overrides {
    /// It is an attribute like others.
    #[default]
    Ignore,
    /// It says owner, mode, type and device of its file, and is itself not seen.
    Honor,
}

/// Applies `uid:gid:mode[:type]`; the mode is octal, the type one of `file`, `dir`, `symlink`, `pipe`, `socket`,
/// `block-MAJOR-MINOR`, `char-MAJOR-MINOR`.
pub(super) fn apply(value: &[u8], node: &mut TreeNode) -> io::Result<()> {
    let text = std::str::from_utf8(value).ok();
    let parsed = text.and_then(|text| parse(text.trim_end_matches('\0'), node.kind));
    let Some((uid, gid, permissions, kind)) = parsed else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "user.containers.override_stat is {:?}",
                String::from_utf8_lossy(value)
            ),
        ));
    };
    (node.uid, node.gid, node.permissions, node.kind) = (uid, gid, permissions, kind);
    Ok(())
}

fn parse(text: &str, kind: TreeNodeKind) -> Option<(u32, u32, u16, TreeNodeKind)> {
    let mut parts = text.split(':');
    let uid = parts.next()?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
    let kind = match parts.next() {
        Some(name) => kind_of(name, kind)?,
        None => kind,
    };
    let permissions = u16::try_from(mode & 0o7777).ok()?;
    parts.next().is_none().then_some((uid, gid, permissions, kind))
}

/// A directory stays one, and nothing else becomes one: its names are where they are.
fn kind_of(name: &str, real: TreeNodeKind) -> Option<TreeNodeKind> {
    let mut parts = name.split('-');
    let kind = parts.next()?;
    let mut number = || parts.next()?.parse().ok();
    match (kind, real) {
        ("dir", TreeNodeKind::Directory) => Some(real),
        (_, TreeNodeKind::Directory) | ("dir", _) => None,
        ("file", _) => Some(real),
        ("symlink", _) => Some(TreeNodeKind::Symlink),
        ("pipe", _) => Some(TreeNodeKind::Fifo),
        ("socket", _) => Some(TreeNodeKind::Socket),
        ("block", _) => Some(TreeNodeKind::BlockDevice(TreeDevice {
            major: number()?,
            minor: number()?,
        })),
        ("char", _) => Some(TreeNodeKind::CharDevice(TreeDevice {
            major: number()?,
            minor: number()?,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_mode_and_type_are_read() {
        let file = TreeNodeKind::File { len: 3 };
        assert_eq!(parse("1:2:0644", file), Some((1, 2, 0o644, file)));
        let device = TreeNodeKind::CharDevice(TreeDevice { major: 1, minor: 3 });
        assert_eq!(parse("0:0:020666:char-1-3", file), Some((0, 0, 0o666, device)));
        assert_eq!(
            parse("0:0:0755:dir", TreeNodeKind::Directory),
            Some((0, 0, 0o755, TreeNodeKind::Directory))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let file = TreeNodeKind::File { len: 0 };
        for text in [
            "",
            "0:0",
            "0:0:9",
            "x:0:0644",
            "0:0:0644:dir",
            "0:0:0644:char-1",
            "0:0:0644:file:more",
        ] {
            assert_eq!(parse(text, file), None, "{text}");
        }
        assert_eq!(parse("0:0:0644:file", TreeNodeKind::Directory), None);
    }
}
