//! All inodes: each by itself.

use zerocopy::FromBytes;

use super::{Check, CheckError, CheckProblem, GroupFault, InodeFault, Known, SuperblockFault};
use crate::ext4::{
    disk::{
        checksum::{crc32c, inode_seed},
        group::{GroupDescriptor, INODE_UNINIT},
        index,
        inode::{self, FAST_LINK, FIRST, Inode, JOURNAL, ROOT, flag, is_sealed, mode},
        superblock::compat,
    },
    execute::groups::inode_bits,
    journal::JournalSuperblock,
};

impl Check<'_> {
    pub(super) fn read_inodes(&mut self) -> Result<(), CheckError> {
        for (group, descriptor) in (0..).zip(self.groups.clone()) {
            let unused = descriptor.counts().unused_inodes;
            if unused > self.reader.geometry.inodes_per_group {
                self.group_fault(group, GroupFault::UnusedInodes);
            } else if !descriptor.has(INODE_UNINIT) {
                self.read_table(group, &descriptor, unused)?;
            }
        }
        if self
            .inodes
            .get(&ROOT)
            .is_none_or(|root| root.mode & mode::TYPE != mode::DIR)
        {
            self.inode_fault(ROOT, InodeFault::NoRoot);
        }
        Ok(())
    }

    fn read_table(
        &mut self,
        group: u32,
        descriptor: &GroupDescriptor,
        unused: u32,
    ) -> Result<(), CheckError> {
        let geometry = self.reader.geometry.clone();
        let tables = descriptor.tables();
        let all = u64::from(geometry.table_blocks());
        if !self.reader.holds(tables.inode_bitmap, 1) || !self.reader.holds(tables.inode_table, all) {
            return Ok(());
        }
        let bitmap = self.reader.block(tables.inode_bitmap)?;
        if crc32c(self.reader.seed, inode_bits(&geometry, &bitmap)) != descriptor.inode_bitmap_csum() {
            self.group_fault(group, GroupFault::InodeBitmapChecksum);
        }
        let used = geometry.inodes_per_group - unused;
        if (used..geometry.inodes_per_group).any(|bit| is_set(&bitmap, bit)) {
            self.group_fault(group, GroupFault::UnusedInodes);
        }
        let per_block = geometry.block_size / geometry.inode_size;
        for block in 0..used.div_ceil(per_block) {
            let bytes = self.reader.block(tables.inode_table + u64::from(block))?;
            let inodes = bytes.chunks_exact(index(u64::from(geometry.inode_size)));
            for (bit, bytes) in (block * per_block..used).zip(inodes) {
                let number = group * geometry.inodes_per_group + bit + 1;
                self.read_inode(group, number, bytes, is_set(&bitmap, bit))?;
            }
        }
        Ok(())
    }

    fn read_inode(
        &mut self,
        group: u32,
        number: u32,
        bytes: &[u8],
        in_bitmap: bool,
    ) -> Result<(), CheckError> {
        let Ok((inode, rest)) = Inode::ref_from_prefix(bytes) else {
            return Ok(());
        };
        if in_bitmap && let Some(counted) = self.counted.get_mut(group as usize) {
            counted.inodes += 1;
            counted.directories += u32::from(inode.file_type() == mode::DIR);
        }
        let is_reserved = number < FIRST && number != ROOT;
        let is_used = inode.links.get() > 0;
        if is_reserved && inode.mode.get() == 0 && !is_used {
            return Ok(());
        }
        match (in_bitmap, is_used) {
            (false, false) => return Ok(()),
            (false, true) => self.inode_fault(number, InodeFault::NotInBitmap),
            (true, false) if !is_reserved => self.inode_fault(number, InodeFault::NotInUse),
            (true, _) => {}
        }
        let seed = inode_seed(self.reader.seed, number, inode.generation.get());
        if !is_sealed(bytes, seed) {
            self.inode_fault(number, InodeFault::Checksum);
        }
        self.read_content(number, inode, seed)?;
        self.read_xattrs(number, inode, rest)?;
        if !is_reserved {
            let (mode, links) = (inode.mode.get(), inode.links.get());
            let known = Known {
                mode,
                links,
                names: 0,
                children: 0,
                parent: 0,
                dots: 0,
            };
            self.inodes.insert(number, known);
        }
        Ok(())
    }

    fn read_content(&mut self, number: u32, inode: &Inode, seed: u32) -> Result<(), CheckError> {
        let unsupported = inode.flags.get() & (flag::INLINE_DATA | flag::EA_INODE);
        if unsupported != 0 {
            self.inode_fault(number, InodeFault::Flags(unsupported));
            return Ok(());
        }
        let xattrs = u64::from(inode.file_acl() != 0);
        let in_blocks = match inode.file_type() {
            mode::FILE | mode::DIR => true,
            mode::LINK => inode.size() >= FAST_LINK as u64,
            mode::CHAR | mode::BLOCK | mode::FIFO | mode::SOCKET => false,
            _ => {
                self.inode_fault(number, InodeFault::Mode(inode.mode.get()));
                return Ok(());
            }
        };
        let mut blocks = xattrs;
        if in_blocks && !inode.has(flag::EXTENTS) {
            self.inode_fault(number, InodeFault::ExtentTree);
        } else if in_blocks {
            let mut end = 0;
            let mut first = None;
            blocks += self.walk(number, inode, seed, &mut |run| {
                first = first.or(Some(run.physical));
                end = u64::from(run.logical) + u64::from(run.len);
            })?;
            let size = self.reader.geometry.byte(end);
            let fits = match inode.file_type() {
                mode::DIR => inode.size() == size && size > 0,
                mode::LINK => inode.size() < size,
                _ => true,
            };
            if !fits {
                self.inode_fault(number, InodeFault::Size(inode.size()));
            }
            if number == JOURNAL {
                self.read_journal(inode, first)?;
            }
        }
        let unit = if inode.has(flag::HUGE_FILE) {
            1
        } else {
            u64::from(self.reader.geometry.block_size) / 512
        };
        let (stored, counted) = (inode.sectors(), blocks * unit);
        if stored != counted {
            self.inode_fault(number, InodeFault::Sectors { stored, counted });
        }
        Ok(())
    }

    fn read_journal(&mut self, inode: &Inode, first: Option<u64>) -> Result<(), CheckError> {
        if self.superblock.feature_compat.get() & compat::HAS_JOURNAL == 0 {
            return Ok(());
        }
        let block = first
            .map(|first| self.reader.block(first))
            .transpose()?
            .unwrap_or_default();
        let superblock = JournalSuperblock::read_from_prefix(&block).ok();
        let blocks = inode.size() / u64::from(self.reader.geometry.block_size);
        let is_right = superblock.is_some_and(|(journal, _)| {
            journal.header.magic.get() == crate::ext4::journal::MAGIC
                && journal.block_size.get() == self.reader.geometry.block_size
                && u64::from(journal.max_len.get()) <= blocks
                && journal.is_sealed()
        });
        if !is_right {
            self.report(CheckProblem::Superblock(SuperblockFault::Journal));
        }
        Ok(())
    }
}

fn is_set(bitmap: &[u8], bit: u32) -> bool {
    bitmap
        .get((bit / 8) as usize)
        .is_some_and(|byte| byte >> (bit % 8) & 1 != 0)
}

const _: () = assert!(inode::SIZE <= 256);
