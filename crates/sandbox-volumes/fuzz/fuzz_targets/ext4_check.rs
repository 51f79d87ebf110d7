//! Damages a disk that has a little of everything and lets `check`, `recover` and `grow` loose on it. The input is a
//! list of changes: three bytes of place, one of what is there then; with the checksums mended every second time,
//! so that what lies behind them is reached.
#![no_main]

use std::{
    io::{self, Cursor},
    sync::OnceLock,
};

use libfuzzer_sys::fuzz_target;
use sandbox_types::{
    ByteSize, TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
};
use sandbox_volumes::ext4::{
    Ext4FormatOptions, Size, Source, check, grow_device, recover_device, write,
};

const BYTES: u64 = 3 << 20;

/// A directory of 200 files with xattrs, holes and links.
struct Tree;

fn node(id: u64, kind: TreeNodeKind) -> TreeNode {
    let time = TreeTime { seconds: 1, nanoseconds: 2 };
    TreeNode {
        id: TreeNodeId(id),
        kind,
        permissions: 0o755,
        uid: 0,
        gid: 0,
        accessed: time,
        modified: time,
        changed: time,
        created: None,
        flags: TreeFlags::default(),
    }
}

impl TreeSource for Tree {
    fn root(&self) -> io::Result<TreeNode> {
        Ok(node(0, TreeNodeKind::Directory))
    }
    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        if directory.0 != 0 {
            return Ok(Vec::new());
        }
        let kind = |id| match id % 5 {
            0 => TreeNodeKind::Directory,
            1 => TreeNodeKind::Symlink,
            2 => TreeNodeKind::Fifo,
            _ => TreeNodeKind::File { len: 100_000 },
        };
        Ok((1..200)
            .map(|id| TreeEntry { name: format!("a name of some length {id}").into_bytes(), node: node(id, kind(id)) })
            .collect())
    }
    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        Ok(vec![b'x'; if link.0 % 2 == 0 { 10 } else { 100 }])
    }
    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        let value = vec![7; if node.0 % 7 == 0 { 300 } else { 3 }];
        Ok(vec![TreeXattr { name: b"user.x".to_vec(), value }])
    }
    fn data(&self, _: TreeNodeId, _: u64) -> io::Result<Vec<std::ops::Range<u64>>> {
        Ok((0..6).map(|at| at * 8192..at * 8192 + 1).collect())
    }
    fn read_at(&self, _: TreeNodeId, _: u64, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(1);
        Ok(buffer.len())
    }
}

fn disk() -> &'static [u8] {
    static DISK: OnceLock<Vec<u8>> = OnceLock::new();
    DISK.get_or_init(|| {
        let size = Size::Bytes(ByteSize::from_bytes(BYTES));
        let time = TreeTime { seconds: 1, nanoseconds: 0 };
        let options = Ext4FormatOptions::builder(size).uuid([9; 16]).time(time).build().unwrap();
        let mut device = Cursor::new(Vec::new());
        write(&mut device, Source::Tree(&Tree), &options).unwrap();
        device.into_inner()
    })
}

/// The checksum of the superblock, over its first 1020 bytes.
fn mend(disk: &mut [u8]) {
    let sum = !crc(&disk[1024..2044]);
    disk[2044..2048].copy_from_slice(&sum.to_le_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 })
    }) ^ !0
}

/// Says that the journal is to be replayed, and puts the input into its first blocks, each with a proper header.
fn fill_journal(disk: &mut [u8], data: &[u8]) {
    const MAGIC: [u8; 4] = [0xC0, 0x3B, 0x39, 0x98];
    disk[1024 + 0x60] |= 4;
    let Some(at) = disk.chunks(1024).position(|block| block.starts_with(&MAGIC)).map(|block| block * 1024) else {
        return;
    };
    disk[at + 31] = 1;
    for (number, part) in (1..).zip(data.chunks(64)) {
        let Some(block) = disk.get_mut(at + number * 1024..at + (number + 1) * 1024) else { return };
        block[..4].copy_from_slice(&MAGIC);
        block[4..12].copy_from_slice(&[0, 0, 0, part[0] % 6, 0, 0, 0, part[0] / 64 + 1]);
        block[12..12 + part.len() - 1].copy_from_slice(&part[1..]);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut disk = disk().to_vec();
    let Some((mode, data)) = data.split_first() else { return };
    for change in data.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
        // Most of the metadata is at the start.
        let within = if mode & 2 == 0 { 1 << 18 } else { disk.len() };
        disk[at % within] = change[3];
    }
    if mode & 4 != 0 {
        fill_journal(&mut disk, data);
    }
    if mode & 1 == 0 {
        mend(&mut disk);
    }
    drop(check(Cursor::new(&disk)));
    drop(recover_device(&mut Cursor::new(disk.clone())));
    drop(grow_device(&mut Cursor::new(disk), ByteSize::from_bytes(BYTES + (1 << 20))));
});
