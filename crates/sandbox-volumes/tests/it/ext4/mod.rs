//! ext4 disks against their judges.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_for_each,
    reason = "sizes of test data are small, and a line an assertion reads best"
)]

mod checking;
mod crash;
mod creation;
mod deterministic;
mod growing;
mod host_tree;
mod interop;
mod memory_tree;
mod mounted;
mod populated;
mod properties;
mod sizes;
mod view;

use std::path::Path;

use sandbox_types::{ByteSize, TreeTime};
use sandbox_volumes::ext4::{Ext4FormatOptions, Ext4FormatOptionsBuilder, Size, Source, write_ext4};

use memory_tree::MemoryTree;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Options of a size, with everything settled that would differ from run to run.
fn options(bytes: u64) -> Ext4FormatOptionsBuilder {
    settled(Size::Bytes(ByteSize::from_bytes(bytes)))
}

fn fitting(headroom: u64) -> Ext4FormatOptionsBuilder {
    settled(Size::Fit {
        headroom: ByteSize::from_bytes(headroom),
    })
}

fn settled(size: Size) -> Ext4FormatOptionsBuilder {
    let time = TreeTime {
        seconds: 1_700_000_000,
        nanoseconds: 0,
    };
    Ext4FormatOptions::builder(size)
        .uuid(*b"0123456789abcdef")
        .time(time)
}

/// Makes a disk of an empty tree.
#[track_caller]
fn make(image: &Path, options: Ext4FormatOptionsBuilder) {
    write_ext4(image, Source::Empty, &options.build().expect("options")).expect("a disk");
}

/// Makes a disk of a tree.
#[track_caller]
fn fill(image: &Path, tree: &MemoryTree, options: Ext4FormatOptionsBuilder) {
    write_ext4(image, Source::Tree(tree), &options.build().expect("options")).expect("a disk");
}
