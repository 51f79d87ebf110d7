//! What a file of a layer has on the host, by where owners are kept.

use sandbox_types::NodeKind;

use super::options::Owners;
use crate::branch::copy::Attributes;
use crate::branch::raw::Bytes;

/// Where virtual owners are kept. What a layer brings under this name is not believed.
pub(super) const OVERRIDE: &[u8] = b"user.containers.override_stat";

/// What a file is to those who read the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) node: NodeKind,
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Kind {
    pub(super) fn of(node: NodeKind) -> Self {
        Self {
            node,
            major: 0,
            minor: 0,
        }
    }

    /// As the attribute names it.
    fn name(self) -> String {
        let Self { node, major, minor } = self;
        match node {
            NodeKind::File => "file".into(),
            NodeKind::Directory => "dir".into(),
            NodeKind::Symlink => "symlink".into(),
            NodeKind::Fifo => "pipe".into(),
            NodeKind::Socket => "socket".into(),
            NodeKind::BlockDevice => format!("block-{major}-{minor}"),
            NodeKind::CharDevice => format!("char-{major}-{minor}"),
        }
    }
}

impl Owners {
    /// What something with `attributes` in the layer has on the host. An attribute of the layer's that would be believed to
    /// be ours is left out; whether there was one.
    pub(super) fn on_host(self, mut attributes: Attributes, kind: Kind) -> (Attributes, bool) {
        let name = Bytes(OVERRIDE.to_vec());
        let is_forged = attributes.xattrs.0.remove(&name).is_some();
        if self == Self::Real {
            return (attributes, is_forged);
        }
        // On the host only these can have the attribute; a device is a file there.
        if !matches!(kind.node, NodeKind::Symlink | NodeKind::Fifo | NodeKind::Socket) {
            let value = value(&attributes, kind);
            attributes.xattrs.0.insert(name, Bytes(value.into_bytes()));
        }
        attributes.uid = rustix::process::geteuid().as_raw();
        attributes.gid = rustix::process::getegid().as_raw();
        let owner = if kind.node == NodeKind::Directory {
            0o700
        } else {
            0o600
        };
        attributes.mode = attributes.mode & 0o777 | owner;
        (attributes, is_forged)
    }
}

/// `uid:gid:mode:type`, as containers/storage writes it.
fn value(attributes: &Attributes, kind: Kind) -> String {
    let Attributes { uid, gid, mode, .. } = attributes;
    format!("{uid}:{gid}:{:04o}:{}", mode & 0o7777, kind.name())
}

/// Owner, group, mode and type that the attribute's value says; none where it does not follow the grammar.
pub(super) fn parse(value: &[u8]) -> Option<(u32, u32, u32, Option<Kind>)> {
    let mut parts = std::str::from_utf8(value).ok()?.split(':');
    let (uid, gid) = (number(parts.next()?)?, number(parts.next()?)?);
    let mode = parts.next()?;
    let is_octal = !mode.is_empty() && mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = is_octal.then(|| u32::from_str_radix(mode, 8).ok()).flatten()?;
    let kind = parts.next().map(kind_of);
    match kind {
        Some(None) => None,
        Some(kind) => Some((uid, gid, mode & 0o7777, kind)),
        None => Some((uid, gid, mode & 0o7777, None)),
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    let plain = match name {
        "file" => NodeKind::File,
        "dir" => NodeKind::Directory,
        "symlink" => NodeKind::Symlink,
        "pipe" => NodeKind::Fifo,
        "socket" => NodeKind::Socket,
        device => {
            let mut parts = device.split('-');
            let node = match parts.next()? {
                "block" => NodeKind::BlockDevice,
                "char" => NodeKind::CharDevice,
                _ => return None,
            };
            let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
            return Some(Kind { node, major, minor });
        }
    };
    Some(Kind::of(plain))
}

/// Rust's parser takes a sign, which the grammar does not have.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|digit| digit.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::xattr::Xattrs;

    #[test]
    fn what_is_written_is_what_is_read() {
        let attributes = Attributes {
            mode: 0o4755,
            uid: 7,
            gid: 4_294_967_294,
            mtime: None,
            xattrs: Xattrs::default(),
        };
        for (kind, text) in [
            (Kind::of(NodeKind::File), "7:4294967294:4755:file"),
            (Kind::of(NodeKind::Directory), "7:4294967294:4755:dir"),
            (
                Kind {
                    node: NodeKind::CharDevice,
                    major: 10,
                    minor: 229,
                },
                "7:4294967294:4755:char-10-229",
            ),
        ] {
            assert_eq!(value(&attributes, kind), text);
            assert_eq!(
                parse(text.as_bytes()),
                Some((7, 4_294_967_294, 0o4755, Some(kind)))
            );
        }
        assert_eq!(parse(b"0:0:555"), Some((0, 0, 0o555, None)));
        for bad in [
            "",
            "0:0",
            "0:0:8",
            "+1:0:0",
            "0:0:0:door",
            "0:0:0:char-1",
            "4294967296:0:0",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_attribute_that_a_layer_brings_is_not_believed() {
        let name = Bytes(OVERRIDE.to_vec());
        let attributes = Attributes {
            mode: 0o6711,
            uid: 1,
            gid: 2,
            mtime: None,
            xattrs: Xattrs([(name.clone(), Bytes(b"0:0:4777:file".to_vec()))].into()),
        };
        let (real, is_forged) = Owners::Real.on_host(attributes.clone(), Kind::of(NodeKind::File));
        assert!(is_forged && real.xattrs.0.is_empty() && real.mode == 0o6711);
        let (kept, _) = Owners::Virtual.on_host(attributes, Kind::of(NodeKind::File));
        assert_eq!(kept.xattrs.0.get(&name), Some(&Bytes(b"1:2:6711:file".to_vec())));
        assert_eq!(kept.mode, 0o711, "neither setuid nor setgid on the host");
    }
}
