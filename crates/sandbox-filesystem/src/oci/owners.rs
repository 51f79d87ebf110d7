//! What a file of a layer has on the host, by where owners are kept.

use sandbox_types::{NodeKind, OverrideKind, OverrideStat, TreeDevice};

use super::options::Owners;
use crate::branch::copy::Attributes;
use crate::branch::raw::Bytes;

/// Where virtual owners may be kept, the first one found being meant. What a layer brings under such a name is not believed.
const OVERRIDES: [&str; 3] = [
    OverrideStat::CONTAINERS,
    OverrideStat::FUSE_OVERLAYFS,
    OverrideStat::FUSE_OVERLAYFS_PRIVILEGED,
];

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
}

impl From<Kind> for OverrideKind {
    fn from(Kind { node, major, minor }: Kind) -> Self {
        match node {
            NodeKind::File => Self::File,
            NodeKind::Directory => Self::Directory,
            NodeKind::Symlink => Self::Symlink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
            NodeKind::BlockDevice => Self::BlockDevice(TreeDevice { major, minor }),
            NodeKind::CharDevice => Self::CharDevice(TreeDevice { major, minor }),
        }
    }
}

impl From<OverrideKind> for Kind {
    fn from(kind: OverrideKind) -> Self {
        let device = |node, TreeDevice { major, minor }| Self { node, major, minor };
        match kind {
            OverrideKind::File => Self::of(NodeKind::File),
            OverrideKind::Directory => Self::of(NodeKind::Directory),
            OverrideKind::Symlink => Self::of(NodeKind::Symlink),
            OverrideKind::Fifo => Self::of(NodeKind::Fifo),
            OverrideKind::Socket => Self::of(NodeKind::Socket),
            OverrideKind::BlockDevice(number) => device(NodeKind::BlockDevice, number),
            OverrideKind::CharDevice(number) => device(NodeKind::CharDevice, number),
        }
    }
}

/// Takes out whatever says who owns a file; the value that is meant, where there is one.
pub(super) fn take(attributes: &mut Attributes) -> Option<Bytes> {
    let mut meant = None;
    for name in OVERRIDES {
        let value = attributes.xattrs.0.remove(&Bytes(name.into()));
        meant = meant.or(value);
    }
    meant
}

impl Owners {
    /// What something with `attributes` in the layer has on the host. An attribute of the layer's that would be believed to
    /// be ours is left out; whether there was one.
    pub(super) fn on_host(self, mut attributes: Attributes, kind: Kind) -> (Attributes, bool) {
        let is_forged = take(&mut attributes).is_some();
        if self == Self::Real {
            return (attributes, is_forged);
        }
        // On the host only these can have the attribute; a device is a file there.
        if !matches!(kind.node, NodeKind::Symlink | NodeKind::Fifo | NodeKind::Socket) {
            let Attributes { uid, gid, mode, .. } = attributes;
            let value = OverrideStat {
                uid,
                gid,
                mode: mode & 0o7777,
                kind: Some(kind.into()),
            };
            let name = Bytes(OverrideStat::CONTAINERS.into());
            attributes
                .xattrs
                .0
                .insert(name, Bytes(value.to_string().into_bytes()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::xattr::Xattrs;

    #[test]
    fn every_kind_comes_back_from_the_attribute() {
        let device = |node| Kind {
            node,
            major: 10,
            minor: 229,
        };
        for kind in [
            Kind::of(NodeKind::File),
            Kind::of(NodeKind::Directory),
            Kind::of(NodeKind::Symlink),
            Kind::of(NodeKind::Fifo),
            Kind::of(NodeKind::Socket),
            device(NodeKind::CharDevice),
            device(NodeKind::BlockDevice),
        ] {
            assert_eq!(Kind::from(OverrideKind::from(kind)), kind);
        }
    }

    #[test]
    fn an_attribute_that_a_layer_brings_is_not_believed() {
        let forged = OVERRIDES.map(|name| (Bytes(name.into()), Bytes(b"0:0:4777:file".to_vec())));
        let attributes = Attributes {
            mode: 0o6711,
            uid: 1,
            gid: 2,
            mtime: None,
            xattrs: Xattrs(forged.into()),
        };
        let (real, is_forged) = Owners::Real.on_host(attributes.clone(), Kind::of(NodeKind::File));
        assert!(is_forged && real.xattrs.0.is_empty() && real.mode == 0o6711);
        let (kept, _) = Owners::Virtual.on_host(attributes, Kind::of(NodeKind::File));
        let ours = (
            Bytes(OverrideStat::CONTAINERS.into()),
            Bytes(b"1:2:6711:file".to_vec()),
        );
        assert_eq!(kept.xattrs.0, [ours].into());
        assert_eq!(kept.mode, 0o711, "neither setuid nor setgid on the host");
    }
}
