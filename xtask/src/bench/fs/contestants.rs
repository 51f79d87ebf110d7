//! Who is compared: as data, one entry each.
//!
//! A further contestant is one more entry. `start` is run by a shell in a directory of the round's own, with `$ROOT` (the
//! directory that is served, or the lowest layer), `$MNT` (where to), `$SCRATCH` (an empty directory on the same file
//! system as the root) and, for servers of ours, `$SERVE` (the example `serve` of sandbox-filesystem). It ends when it has mounted, or stays in the foreground until it
//! is unmounted.

/// Where the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// ext4 in memory.
    Ext4,
    /// tmpfs.
    Tmpfs,
    /// In the contestant itself, which is filled through its mount.
    Own,
}

/// What somebody is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The file system itself.
    Native,
    /// A file system of the kernel on top of it.
    Kernel,
    Ours,
    Peer,
}

#[derive(Debug)]
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) place: Place,
    /// Programs without which it is left out.
    pub(super) needs: &'static [&'static str],
    pub(super) start: &'static str,
}

impl Contestant {
    const fn native(name: &'static str, place: Place) -> Self {
        Self {
            name,
            role: Role::Native,
            place,
            needs: &[],
            start: "",
        }
    }

    const fn ours(name: &'static str, place: Place, start: &'static str) -> Self {
        Self {
            name,
            role: Role::Ours,
            place,
            needs: &[],
            start,
        }
    }

    const fn peer(name: &'static str, needs: &'static [&'static str], start: &'static str) -> Self {
        Self {
            name,
            role: Role::Peer,
            place: Place::Ext4,
            needs,
            start,
        }
    }
}

pub(super) const PASSTHROUGH: &str = "passthrough";
pub(super) const PASSTHROUGH_AUTO: &str = "passthrough, cache auto";
pub(super) const KERNEL_IO: &str = "passthrough, kernel io";
pub(super) const STRICT: &str = "passthrough strict";
pub(super) const TMPFS_PASSTHROUGH: &str = "passthrough on tmpfs";
pub(super) const MEM: &str = "mem";
pub(super) const OVERLAY: &str = "overlay";

/// In the order of the first round.
pub(super) const ALL: &[Contestant] = &[
    Contestant::native("ext4", Place::Ext4),
    // As passthrough_hp: everything is remembered for a day, writes are collected, the kernel checks permissions.
    Contestant::ours(
        PASSTHROUGH,
        Place::Ext4,
        "exec $SERVE passthrough $ROOT $MNT off always writeback",
    ),
    Contestant::ours(
        "passthrough, apart",
        Place::Ext4,
        "exec $SERVE passthrough $ROOT $MNT off always writeback apart",
    ),
    // As passthrough_ll: what is remembered is soon asked for again, every write is a request, and only whoever has
    // mounted it can use it, so that nobody checks permissions.
    Contestant::ours(
        PASSTHROUGH_AUTO,
        Place::Ext4,
        "exec $SERVE passthrough $ROOT $MNT off auto no-permissions",
    ),
    Contestant::ours(
        KERNEL_IO,
        Place::Ext4,
        "exec $SERVE passthrough $ROOT $MNT off always kernel-io",
    ),
    // It knows no foreground: its processor time is not seen.
    Contestant::peer(
        "passthrough_hp",
        &["passthrough_hp"],
        "exec passthrough_hp $ROOT $MNT",
    ),
    Contestant::peer(
        "passthrough_ll",
        &["passthrough_ll"],
        "exec passthrough_ll -f -o source=$ROOT,cache=auto $MNT",
    ),
    Contestant::peer("bindfs", &["bindfs"], "exec bindfs -f $ROOT $MNT"),
    // Ownership kept in an attribute: the tree is the upper directory, nothing is beneath it.
    Contestant::ours(
        STRICT,
        Place::Ext4,
        "exec $SERVE passthrough $ROOT $MNT strict always writeback",
    ),
    Contestant::peer(
        FUSE_OVERLAYFS_XATTR,
        &["fuse-overlayfs"],
        "mkdir $SCRATCH/lower $SCRATCH/work
        exec fuse-overlayfs -f -o lowerdir=$SCRATCH/lower,upperdir=$ROOT,workdir=$SCRATCH/work,xattr_permissions=2 $MNT",
    ),
    Contestant::native("tmpfs", Place::Tmpfs),
    Contestant::ours(
        TMPFS_PASSTHROUGH,
        Place::Tmpfs,
        "exec $SERVE passthrough $ROOT $MNT off always writeback",
    ),
    Contestant::ours(MEM, Place::Own, "exec $SERVE mem $MNT 4G writeback"),
    // A writable layer over the tree. Whom the kernel lets hand it files for reading and writing does that, as
    // fuse-overlayfs 2.0 does.
    Contestant::ours(
        OVERLAY,
        Place::Ext4,
        "mkdir $SCRATCH/upper $SCRATCH/work
        exec $SERVE overlay $ROOT $SCRATCH/upper $SCRATCH/work $MNT off always kernel-io",
    ),
    Contestant::ours(
        "overlay, writes collected",
        Place::Ext4,
        "mkdir $SCRATCH/upper $SCRATCH/work
        exec $SERVE overlay $ROOT $SCRATCH/upper $SCRATCH/work $MNT off always writeback",
    ),
    Contestant {
        role: Role::Kernel,
        ..Contestant::peer(
            "overlayfs of the kernel",
            &[],
            "mkdir $SCRATCH/upper $SCRATCH/work
            mount -t overlay overlay -o lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work,userxattr,volatile $MNT",
        )
    },
    Contestant::peer(
        "fuse-overlayfs",
        &["fuse-overlayfs"],
        "mkdir $SCRATCH/upper $SCRATCH/work
        exec fuse-overlayfs -f -o lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work $MNT",
    ),
    // The same in Rust, from crates.io.
    Contestant::peer(
        FUSE_OVERLAYFS_CRATE,
        &[FUSE_OVERLAYFS_CRATE],
        "mkdir $SCRATCH/upper $SCRATCH/work
        exec fuse-overlayfs-2 -f -o lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work $MNT",
    ),
    Contestant::peer(
        "unionfs-fuse",
        &["unionfs"],
        "mkdir $SCRATCH/upper
        exec unionfs -f -o cow $SCRATCH/upper=RW:$ROOT=RO $MNT",
    ),
];

const FUSE_OVERLAYFS_XATTR: &str = "fuse-overlayfs, xattrs";
/// Both its name here and that of its program.
pub(super) const FUSE_OVERLAYFS_CRATE: &str = "fuse-overlayfs-2";

/// What is promised of one of ours against the best of some peers.
#[derive(Debug)]
pub(super) struct Rivalry {
    pub(super) ours: &'static str,
    pub(super) peers: &'static [&'static str],
    /// How many times as fast on metadata, where the best peer takes more than twice as long as the file system itself.
    pub(super) lead: f64,
    /// The same of programs that go through a whole tree.
    pub(super) tree_lead: f64,
}

pub(super) const RIVALRIES: &[Rivalry] = &[
    Rivalry {
        ours: PASSTHROUGH,
        peers: &["passthrough_hp", "bindfs"],
        lead: 1.2,
        tree_lead: 1.2,
    },
    Rivalry {
        ours: PASSTHROUGH_AUTO,
        peers: &["passthrough_ll"],
        lead: 1.2,
        tree_lead: 1.2,
    },
    Rivalry {
        ours: STRICT,
        peers: &[FUSE_OVERLAYFS_XATTR],
        lead: 1.2,
        tree_lead: 1.2,
    },
    Rivalry {
        ours: OVERLAY,
        peers: &["fuse-overlayfs", FUSE_OVERLAYFS_CRATE, "unionfs-fuse"],
        lead: 1.5,
        tree_lead: 2.0,
    },
    Rivalry {
        ours: MEM,
        peers: &[TMPFS_PASSTHROUGH],
        lead: 1.0,
        tree_lead: 1.0,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rival_is_one_that_is_measured() {
        let known = |name: &str| ALL.iter().any(|contestant| contestant.name == name);
        for rivalry in RIVALRIES {
            assert!(known(rivalry.ours), "{}", rivalry.ours);
            for peer in rivalry.peers {
                assert!(known(peer), "{peer}");
            }
        }
    }
}
