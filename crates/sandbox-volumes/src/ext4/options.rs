//! What is asked for.

use sandbox_types::{ByteSize, TreeTime};

/// The smallest disk that can be made.
pub const MIN_SIZE: ByteSize = ByteSize::from_bytes(1 << 20);
/// The largest disk that can be made: 16 TiB less 4 KiB, which is also the longest file ext4 can hold.
pub const MAX_SIZE: ByteSize = ByteSize::from_bytes((16 << 40) - 4096);
/// The fewest blocks of a journal.
pub(crate) const MIN_JOURNAL_BLOCKS: u32 = 1024;
/// The most blocks of a journal.
pub(crate) const MAX_JOURNAL_BLOCKS: u32 = 10_240_000;

/// How large a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This many bytes, [`MIN_SIZE`] to [`MAX_SIZE`]. What is no multiple of the block size is rounded down.
    Bytes(ByteSize),
    /// As small as the tree allows with this much left free, not counting what is reserved for root.
    Fit {
        /// Free bytes.
        headroom: ByteSize,
    },
}

/// How large the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalSize {
    /// By the size of the disk, as mke2fs does it: none below 2048 blocks, 4 MiB at 64 MiB, 1 GiB from 128 GiB.
    #[default]
    Auto,
    /// No journal: faster, and after a crash e2fsck has to look at everything.
    None,
    /// This many bytes: 1024 to 10,240,000 blocks, and at most half of the disk.
    Bytes(ByteSize),
}

/// How many inodes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InodeCount {
    /// By the size of the disk, as mke2fs does it: one for each 4, 8, 16 or 32 KiB; more where a tree needs them.
    #[default]
    Auto,
    /// One for each so many bytes, more where a tree needs them.
    BytesPerInode(u32),
    /// At least this many. A tree that needs more is refused.
    Count(u32),
}

/// What [`format_ext4`](super::format_ext4) and [`write`](super::write) are asked for. Valid by construction.
///
/// ```
/// use sandbox_types::SizeExt;
/// use sandbox_volumes::ext4::{Ext4FormatOptions, Size};
///
/// let options = Ext4FormatOptions::builder(Size::Bytes(64.mib())).label("data").build()?;
/// assert_eq!(options.label(), "data");
/// # Ok::<(), sandbox_volumes::ext4::Ext4OptionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ext4FormatOptions {
    pub(crate) size: Size,
    pub(crate) label: String,
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) hash_seed: Option<[u8; 16]>,
    pub(crate) time: Option<TreeTime>,
    pub(crate) block_size: Option<u32>,
    pub(crate) inode_size: u32,
    pub(crate) inodes: InodeCount,
    pub(crate) reserved_percent: u8,
    pub(crate) journal: JournalSize,
}

impl Ext4FormatOptions {
    /// Starts with the defaults.
    pub fn builder(size: Size) -> Ext4FormatOptionsBuilder {
        Ext4FormatOptionsBuilder {
            asked: Self {
                size,
                label: String::new(),
                uuid: None,
                hash_seed: None,
                time: None,
                block_size: None,
                inode_size: 256,
                inodes: InodeCount::Auto,
                reserved_percent: 5,
                journal: JournalSize::Auto,
            },
        }
    }

    /// How large the disk is to be.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The volume's name; empty if it has none.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Collects options; see each method for its default and for what makes [`build`](Self::build) fail.
#[derive(Clone, Debug)]
#[must_use]
pub struct Ext4FormatOptionsBuilder {
    asked: Ext4FormatOptions,
}

impl Ext4FormatOptionsBuilder {
    /// The volume's name, none by default. More than 16 bytes or a NUL fail.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.asked.label = label.into();
        self
    }

    /// The file system's UUID, random by default. All zeros fail.
    pub fn uuid(mut self, uuid: [u8; 16]) -> Self {
        self.asked.uuid = Some(uuid);
        self
    }

    /// What names are hashed with, derived from the UUID by default. All zeros mean the hash's own constants.
    pub fn hash_seed(mut self, seed: [u8; 16]) -> Self {
        self.asked.hash_seed = Some(seed);
        self
    }

    /// The time of creation, of root and of lost+found; now by default. Before 1970 fails.
    pub fn time(mut self, time: TreeTime) -> Self {
        self.asked.time = Some(time);
        self
    }

    /// 1024, 2048 or 4096 bytes. By default 1024 below 64 MiB, else 4096; 4096 where the size is to fit.
    pub fn block_size(mut self, bytes: u32) -> Self {
        self.asked.block_size = Some(bytes);
        self
    }

    /// Bytes of an inode, 256 by default: a power of two from 256 to the block size. Larger ones have room
    /// for more xattrs.
    pub fn inode_size(mut self, bytes: u32) -> Self {
        self.asked.inode_size = bytes;
        self
    }

    /// How many files there can be, by the size of the disk by default. A ratio below 1 KiB or a count of
    /// zero fail.
    pub fn inodes(mut self, inodes: InodeCount) -> Self {
        self.asked.inodes = inodes;
        self
    }

    /// Percent of the blocks that only root can fill, 5 by default. More than 50 fail.
    pub fn reserved_percent(mut self, percent: u8) -> Self {
        self.asked.reserved_percent = percent;
        self
    }

    /// The journal, by the size of the disk by default.
    pub fn journal(mut self, size: JournalSize) -> Self {
        self.asked.journal = size;
        self
    }

    /// Checks everything, and reports all problems at once.
    pub fn build(self) -> Result<Ext4FormatOptions, Ext4OptionsError> {
        let problems = problems(&self.asked);
        if problems.is_empty() {
            Ok(self.asked)
        } else {
            Err(Ext4OptionsError { problems })
        }
    }
}

/// All that is wrong with options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.problems))]
pub struct Ext4OptionsError {
    /// At least one.
    pub problems: Vec<Ext4OptionsProblem>,
}

/// One thing that is wrong with options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ext4OptionsProblem {
    #[error("size of {0} bytes: the smallest disk has 1 MiB")]
    #[expect(missing_docs, reason = "the message says it")]
    SizeTooSmall(u64),
    #[error("size of {0} bytes: the largest disk has 16 TiB less 4 KiB")]
    #[expect(missing_docs, reason = "the message says it")]
    SizeTooLarge(u64),
    #[error("label {0:?}: at most 16 bytes, and no NUL")]
    #[expect(missing_docs, reason = "the message says it")]
    Label(String),
    #[error("uuid of zeros: it means that there is none")]
    #[expect(missing_docs, reason = "the message says it")]
    Uuid,
    #[error("time of {0} seconds: before 1970, or after 2446")]
    #[expect(missing_docs, reason = "the message says it")]
    Time(i64),
    #[error("block size {0}: 1024, 2048 or 4096")]
    #[expect(missing_docs, reason = "the message says it")]
    BlockSize(u32),
    #[error("inode size {0}: a power of two from 256 to the block size")]
    #[expect(missing_docs, reason = "the message says it")]
    InodeSize(u32),
    #[error("{0} bytes for each inode: at least 1024")]
    #[expect(missing_docs, reason = "the message says it")]
    BytesPerInode(u32),
    #[error("no inodes: at least 1")]
    #[expect(missing_docs, reason = "the message says it")]
    NoInodes,
    #[error("{0} percent reserved: at most 50")]
    #[expect(missing_docs, reason = "the message says it")]
    Reserved(u8),
    #[error("journal of {bytes} bytes: at least {least}, which is 1024 blocks")]
    #[expect(missing_docs, reason = "the message says it")]
    JournalTooSmall { bytes: u64, least: u64 },
    #[error("journal of {bytes} bytes: at most {most}, which is half of the disk or 10,240,000 blocks")]
    #[expect(missing_docs, reason = "the message says it")]
    JournalTooLarge { bytes: u64, most: u64 },
}

fn list(problems: &[Ext4OptionsProblem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// The block size that a disk of this size gets when nobody asks for one.
pub(crate) fn default_block_size(size: Size) -> u32 {
    match size {
        Size::Bytes(bytes) if bytes.bytes() < 64 << 20 => 1024,
        _ => 4096,
    }
}

fn problems(asked: &Ext4FormatOptions) -> Vec<Ext4OptionsProblem> {
    let mut problems = Vec::new();
    let block_size = asked.block_size.unwrap_or_else(|| default_block_size(asked.size));
    problems.extend(size_problem(asked.size));
    if asked.label.len() > 16 || asked.label.contains('\0') {
        problems.push(Ext4OptionsProblem::Label(asked.label.clone()));
    }
    if asked.uuid == Some([0; 16]) {
        problems.push(Ext4OptionsProblem::Uuid);
    }
    if let Some(time) = asked
        .time
        .filter(|time| !(0..=0x3_7FFF_FFFF).contains(&time.seconds))
    {
        problems.push(Ext4OptionsProblem::Time(time.seconds));
    }
    if !matches!(block_size, 1024 | 2048 | 4096) {
        problems.push(Ext4OptionsProblem::BlockSize(block_size));
    }
    if !asked.inode_size.is_power_of_two() || !(256..=block_size).contains(&asked.inode_size) {
        problems.push(Ext4OptionsProblem::InodeSize(asked.inode_size));
    }
    match asked.inodes {
        InodeCount::BytesPerInode(bytes) if bytes < 1024 => {
            problems.push(Ext4OptionsProblem::BytesPerInode(bytes));
        }
        InodeCount::Count(0) => problems.push(Ext4OptionsProblem::NoInodes),
        _ => {}
    }
    if asked.reserved_percent > 50 {
        problems.push(Ext4OptionsProblem::Reserved(asked.reserved_percent));
    }
    problems.extend(journal_problem(asked, block_size));
    problems
}

fn size_problem(size: Size) -> Option<Ext4OptionsProblem> {
    match size {
        Size::Bytes(size) if size < MIN_SIZE => Some(Ext4OptionsProblem::SizeTooSmall(size.bytes())),
        Size::Bytes(size) | Size::Fit { headroom: size } if size > MAX_SIZE => {
            Some(Ext4OptionsProblem::SizeTooLarge(size.bytes()))
        }
        _ => None,
    }
}

fn journal_problem(asked: &Ext4FormatOptions, block_size: u32) -> Option<Ext4OptionsProblem> {
    let JournalSize::Bytes(bytes) = asked.journal else {
        return None;
    };
    let bytes = bytes.bytes();
    let least = u64::from(MIN_JOURNAL_BLOCKS) * u64::from(block_size);
    let half = match asked.size {
        Size::Bytes(size) => size.bytes() / 2,
        Size::Fit { .. } => u64::MAX,
    };
    let most = half.min(u64::from(MAX_JOURNAL_BLOCKS) * u64::from(block_size));
    if bytes < least {
        Some(Ext4OptionsProblem::JournalTooSmall { bytes, least })
    } else if bytes > most {
        Some(Ext4OptionsProblem::JournalTooLarge { bytes, most })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use sandbox_types::SizeExt;

    use super::*;

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = Ext4FormatOptions::builder(Size::Bytes(1.kib()))
            .label("seventeen letters")
            .uuid([0; 16])
            .time(TreeTime {
                seconds: -1,
                nanoseconds: 0,
            })
            .block_size(512)
            .inode_size(128)
            .inodes(InodeCount::BytesPerInode(10))
            .reserved_percent(51)
            .journal(JournalSize::Bytes(1.kib()))
            .build()
            .expect_err("nothing of it is right");
        assert_eq!(error.problems.len(), 9, "{error}");
    }

    #[test]
    fn a_journal_of_sixteen_blocks_is_refused() {
        let error = Ext4FormatOptions::builder(Size::Bytes(ByteSize::from_bytes(64 << 20)))
            .journal(JournalSize::Bytes(64.kib()))
            .build()
            .expect_err("too small");
        let (bytes, least) = (65536, 4 << 20);
        assert_eq!(
            error.problems,
            [Ext4OptionsProblem::JournalTooSmall { bytes, least }]
        );
    }
}
