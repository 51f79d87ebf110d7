//! What is in the blocks of files: data, entries, targets, extent trees, xattrs, and the journal's superblock.

use std::io;

use zerocopy::IntoBytes;

use super::{
    super::{
        disk::{dirent, extent::Run, index, inode},
        error::FormatError,
        inventory::{Content, Inventory, Node},
        journal::JournalSuperblock,
        plan::Placed,
    },
    Job, Sink, directory, extents, xattrs,
};

/// Bytes that are read at once.
const STEP: u64 = 256 << 10;

pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<(), FormatError> {
    journal(job, sink).map_err(FormatError::Write)?;
    for ((number, node), placed) in job.inventory.numbered().zip(&job.plan.placed) {
        match &node.content {
            Content::File { len, .. } => data(job, sink, number, *len, placed)?,
            Content::Directory(of) => {
                entries(job, sink, number, node, of, placed).map_err(FormatError::Write)?;
            }
            Content::SlowLink(target) => link(job, sink, placed, target).map_err(FormatError::Write)?,
            Content::None | Content::Device(_) | Content::FastLink(_) => {}
        }
        tree(job, sink, Inventory::inode(number), placed).map_err(FormatError::Write)?;
        if let Some(at) = placed.xattrs {
            let block = xattrs::block(&node.xattrs.in_block, job.plan.geometry.block_len(), at, job.seed);
            job.put(sink, at, &block).map_err(FormatError::Write)?;
        }
    }
    Ok(())
}

/// An empty journal is its superblock; the rest is never read before it is written.
fn journal(job: &Job<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
    let Some(journal) = &job.plan.journal else {
        return Ok(());
    };
    let Some(first) = journal.placed.runs.first() else {
        return Ok(());
    };
    let superblock = JournalSuperblock::empty(job.plan.geometry.block_size, journal.blocks);
    job.put(sink, first.physical, superblock.as_bytes())?;
    tree(job, sink, inode::JOURNAL, &journal.placed)
}

fn tree(job: &Job<'_>, sink: &mut Sink<'_>, inode: u32, placed: &Placed) -> io::Result<()> {
    if placed.tree.is_empty() {
        return Ok(());
    }
    let tree = extents::tree(placed, &job.plan.geometry, job.inode_seed(inode));
    tree.blocks
        .iter()
        .try_for_each(|(at, block)| job.put(sink, *at, block))
}

fn link(job: &Job<'_>, sink: &mut Sink<'_>, placed: &Placed, target: &[u8]) -> io::Result<()> {
    let mut block = target.to_vec();
    block.resize(job.plan.geometry.block_len(), 0);
    placed
        .runs
        .iter()
        .try_for_each(|run| job.put(sink, run.physical, &block))
}

fn entries(
    job: &Job<'_>,
    sink: &mut Sink<'_>,
    number: u32,
    node: &Node,
    directory: &super::super::inventory::Directory,
    placed: &Placed,
) -> io::Result<()> {
    let inode = Inventory::inode(number);
    let resolve = |node: u32| {
        let of = job.inventory.nodes.get(node as usize);
        let file_type = dirent::file_type(of.map_or(0, |of| of.mode));
        (Inventory::inode(node), file_type)
    };
    let writer = directory::Writer {
        geometry: &job.plan.geometry,
        resolve: &resolve,
        directory,
        inode,
        parent: Inventory::inode(node.parent),
        inode_seed: job.inode_seed(inode),
    };
    for run in &placed.runs {
        for step in 0..run.len {
            let block = writer.block((run.logical + step) as usize);
            job.put(sink, run.physical + u64::from(step), &block)?;
        }
    }
    Ok(())
}

fn data(
    job: &Job<'_>,
    sink: &mut Sink<'_>,
    number: u32,
    len: u64,
    placed: &Placed,
) -> Result<(), FormatError> {
    for run in &placed.runs {
        let bytes = job.plan.geometry.byte(u64::from(run.len));
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(STEP);
            let at = job.plan.geometry.byte(run.physical) + done;
            let wanted = job.plan.geometry.byte(u64::from(run.logical)) + done;
            sink.put_with(at, index(step), |buffer| read(job, number, len, wanted, buffer))?;
            done += step;
        }
    }
    Ok(())
}

/// Fills a buffer with a file's bytes from `offset` on; what is behind the file's end stays zero.
fn read(job: &Job<'_>, number: u32, len: u64, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
    let node = job.inventory.nodes.get(number as usize);
    let (Some(source), Some(id)) = (job.source, node.and_then(|node| node.source)) else {
        return Ok(());
    };
    let most = index(len.saturating_sub(offset)).min(buffer.len());
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..most).filter(|rest| !rest.is_empty()) {
        match source.read_at(id, offset + done as u64, rest) {
            Ok(0) => {
                return Err(FormatError::Changed {
                    path: job.path(number),
                });
            }
            Ok(got) => done += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(FormatError::Source {
                    path: job.path(number),
                    source,
                });
            }
        }
    }
    Ok(())
}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

const _: () = assert!(size_of::<Run>() <= 24);
