//! The blocks of directories.

use zerocopy::{IntoBytes, little_endian::U32};

use super::super::{
    disk::{
        dirent::{self, CountLimit, DX_ENTRY, DX_NODE, DX_ROOT, HEADER, Header, RootInfo, TAIL},
        superblock::HASH_HALF_MD4,
        word,
    },
    geometry::Geometry,
    inventory::{Child, Directory, Shape, index_limits},
};

/// What is needed to write a directory.
pub(crate) struct Writer<'a> {
    pub(crate) geometry: &'a Geometry,
    /// The inode and the type of a child.
    pub(crate) resolve: &'a dyn Fn(u32) -> (u32, u8),
    pub(crate) directory: &'a Directory,
    pub(crate) inode: u32,
    pub(crate) parent: u32,
    pub(crate) inode_seed: u32,
}

/// An entry: where it points to, its type and its name.
type Entry<'a> = (u32, u8, &'a [u8]);

impl Writer<'_> {
    /// Block number `number` of the directory.
    pub(crate) fn block(&self, number: usize) -> Vec<u8> {
        match &self.directory.shape {
            Shape::Reserved(_) if number == 0 => self.leaf(self.dots().into_iter()),
            Shape::Reserved(_) => self.leaf(std::iter::empty()),
            Shape::Linear(leaves) => {
                let next = leaves.get(number + 1).copied();
                let entries = self.entries(leaves.get(number).copied().unwrap_or(0), next);
                if number == 0 {
                    self.leaf(self.dots().into_iter().chain(entries))
                } else {
                    self.leaf(entries)
                }
            }
            Shape::Indexed { leaves, nodes } => self.indexed(number, leaves, *nodes),
        }
    }

    fn indexed(&self, number: usize, leaves: &[(u32, usize)], nodes: usize) -> Vec<u8> {
        let (_, per_node) = index_limits(self.geometry.block_size);
        if number == 0 && nodes == 0 {
            self.root(
                0,
                (1..)
                    .zip(leaves)
                    .map(|(block, (hash, _))| (*hash, block))
                    .collect(),
            )
        } else if number == 0 {
            let first = 1 + leaves.len();
            let entries = (first..).zip(leaves.chunks(per_node));
            self.root(
                1,
                entries
                    .map(|(block, of)| (of.first().map_or(0, |leaf| leaf.0), block))
                    .collect(),
            )
        } else if let Some((_, start)) = leaves.get(number - 1) {
            self.leaf(self.entries(*start, leaves.get(number).map(|next| next.1)))
        } else {
            let before = (number - 1 - leaves.len()) * per_node;
            let of = leaves.iter().skip(before).take(per_node);
            self.node(
                (before + 1..)
                    .zip(of)
                    .map(|(block, (hash, _))| (*hash, block))
                    .collect(),
            )
        }
    }

    fn dots(&self) -> [Entry<'static>; 2] {
        [(self.inode, 2, b"."), (self.parent, 2, b"..")]
    }

    fn entries(&self, from: usize, to: Option<usize>) -> impl Iterator<Item = Entry<'_>> {
        let children = self
            .directory
            .children
            .get(from..to.unwrap_or(self.directory.children.len()));
        children.unwrap_or_default().iter().map(|Child { node, name }| {
            let (inode, file_type) = (self.resolve)(*node);
            (inode, file_type, name.as_ref())
        })
    }

    /// A block of entries; the last one reaches to the tail.
    fn leaf<'a>(&self, entries: impl Iterator<Item = Entry<'a>>) -> Vec<u8> {
        let mut block = vec![0; self.geometry.block_len()];
        let room = self.geometry.leaf_room();
        let (mut at, mut last) = (0, None);
        for entry in entries {
            put(&mut block, at, dirent::len(entry.2.len()), entry);
            last = Some((at, entry));
            at += dirent::len(entry.2.len());
        }
        let (at, entry) = last.unwrap_or((0, (0, 0, b"")));
        put(&mut block, at, room - at, entry);
        dirent::seal_leaf(&mut block, self.inode_seed);
        block
    }

    fn root(&self, levels: u8, entries: Vec<(u32, usize)>) -> Vec<u8> {
        let mut block = vec![0; self.geometry.block_len()];
        let [dot, dots] = self.dots();
        put(&mut block, 0, 12, dot);
        put(&mut block, 12, self.geometry.block_len() - 12, dots);
        let info = RootInfo {
            reserved_zero: U32::new(0),
            hash_version: HASH_HALF_MD4,
            info_length: 8,
            indirect_levels: levels,
            unused_flags: 0,
        };
        write(&mut block, DX_ROOT - size_of::<RootInfo>(), info.as_bytes());
        self.index(block, DX_ROOT, entries)
    }

    fn node(&self, entries: Vec<(u32, usize)>) -> Vec<u8> {
        let mut block = vec![0; self.geometry.block_len()];
        put(&mut block, 0, self.geometry.block_len(), (0, 0, b""));
        self.index(block, DX_NODE, entries)
    }

    /// Where the first entry would have its hash, which is not needed, are the numbers of entries.
    fn index(&self, mut block: Vec<u8>, start: usize, entries: Vec<(u32, usize)>) -> Vec<u8> {
        let limit = (block.len() - start) / DX_ENTRY - 1;
        let count = entries.len();
        for (number, (hash, child)) in entries.into_iter().enumerate() {
            let child = u32::try_from(child).unwrap_or(u32::MAX);
            let entry = [U32::new(hash), U32::new(child)];
            write(&mut block, start + number * DX_ENTRY, entry.as_bytes());
        }
        let header = CountLimit {
            limit: word(limit),
            count: word(count),
        };
        write(&mut block, start, header.as_bytes());
        dirent::seal_index(&mut block, start, count, limit, self.inode_seed);
        block
    }
}

fn put(block: &mut [u8], at: usize, len: usize, (inode, file_type, name): Entry<'_>) {
    let name_len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let header = Header {
        inode: U32::new(inode),
        rec_len: word(len),
        name_len,
        file_type,
    };
    write(block, at, header.as_bytes());
    write(block, at + HEADER, name);
}

fn write(block: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = block.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

const _: () = assert!(TAIL == dirent::len(1));
