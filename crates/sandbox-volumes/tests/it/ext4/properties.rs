//! Random trees.

use proptest::{collection::vec, prelude::*};
use sandbox_types::{TreeDevice, TreeNodeKind};

use super::{MIB, MemoryTree, fill, fitting, options, populated::target, view::agree};
use crate::harness::{is_clean, place};

/// One more file of a tree.
#[derive(Clone, Debug)]
struct Step {
    /// Which of the directories so far, and which of the files for a link.
    parent: usize,
    name: Vec<u8>,
    what: What,
    permissions: u16,
    uid: u32,
    xattrs: Vec<(u8, usize)>,
}

#[derive(Clone, Debug)]
enum What {
    Directory,
    File(Vec<(u16, u16)>, u32),
    Link(usize),
    Symlink(usize),
    Device(u32, u32),
    Fifo,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => Just(What::Directory),
        6 => (vec((any::<u16>(), 1_u16..9000), 0..12), 0_u32..200_000).prop_map(|(data, end)| What::File(data, end)),
        1 => any::<usize>().prop_map(What::Link),
        1 => (1_usize..900).prop_map(What::Symlink),
        1 => (0_u32..4096, 0_u32..1_048_576).prop_map(|(major, minor)| What::Device(major, minor)),
        1 => Just(What::Fifo),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = vec(
        any::<u8>().prop_filter("a name's", |byte| !matches!(byte, 0 | b'/')),
        1..=255,
    );
    let xattrs = vec((any::<u8>(), 0_usize..60), 0..5);
    (any::<usize>(), name, what(), 0_u16..0o10000, any::<u32>(), xattrs).prop_map(
        |(parent, name, what, permissions, uid, xattrs)| Step {
            parent,
            name,
            what,
            permissions,
            uid,
            xattrs,
        },
    )
}

fn tree(steps: Vec<Step>) -> MemoryTree {
    let mut tree = MemoryTree::new();
    let (mut directories, mut files) = (vec![0], Vec::new());
    for step in steps {
        let parent = directories[step.parent % directories.len()];
        let is_taken = tree.files[usize::try_from(parent).expect("an id")]
            .children
            .contains_key(&step.name);
        if is_taken || matches!(step.name.as_slice(), b"." | b".." | b"lost+found") {
            continue;
        }
        let id = match step.what {
            What::Directory => {
                let id = tree.directory(parent, &step.name);
                directories.push(id);
                id
            }
            What::File(data, end) => {
                let id = sparse(&mut tree, parent, &step.name, &data, end);
                files.push(id);
                id
            }
            What::Link(which) if !files.is_empty() => {
                tree.link(parent, &step.name, files[which % files.len()]);
                continue;
            }
            What::Link(_) | What::Fifo => tree.add(parent, &step.name, TreeNodeKind::Fifo),
            What::Symlink(len) => tree.symlink(parent, &step.name, &target(len)),
            What::Device(major, minor) => tree.add(
                parent,
                &step.name,
                TreeNodeKind::CharDevice(TreeDevice { major, minor }),
            ),
        };
        tree.node(id).permissions = step.permissions;
        tree.node(id).uid = step.uid;
        let mut names: Vec<(u8, usize)> = step.xattrs;
        names.sort_unstable();
        names.dedup_by_key(|(name, _)| *name);
        for (name, len) in names {
            tree.xattr(id, &format!("trusted.{name}"), &vec![name; len]);
        }
    }
    tree
}

fn sparse(tree: &mut MemoryTree, parent: u64, name: &[u8], data: &[(u16, u16)], end: u32) -> u64 {
    let (mut at, mut pieces) = (0, Vec::new());
    for (gap, len) in data {
        at += u64::from(*gap);
        pieces.push((at, vec![(len % 255) as u8 + 1; usize::from(*len)]));
        at += u64::from(*len) + 1;
    }
    tree.sparse(parent, name, at + u64::from(end), pieces)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_clean_and_reads_back(steps in vec(step(), 0..150), block in 0_u32..3) {
        let place = place();
        let image = place.path().join("disk");
        let tree = tree(steps);
        fill(&image, &tree, options(64 * MIB).block_size(1024 << block));
        is_clean(&image);
        agree(&image, &tree);
        fill(&image, &tree, fitting(0).block_size(1024 << block));
        is_clean(&image);
        agree(&image, &tree);
    }
}
