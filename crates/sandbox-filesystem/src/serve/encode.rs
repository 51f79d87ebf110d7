//! Putting answers together.

use std::time::Duration;

use super::decode::to_wire;
use crate::fs::{Attr, Entry, FsResult, OpenReplyFlags, Opened, StatFs, Timestamp};

/// The length of `struct fuse_entry_out`.
pub(super) const ENTRY: usize = 128;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(160))
    }

    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn zeros(mut self, bytes: usize) -> Self {
        self.0.resize(self.0.len() + bytes, 0);
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// `struct fuse_entry_out`.
    pub(super) fn entry(self, entry: &Entry) -> Self {
        self.u64(entry.ino)
            .u64(entry.generation)
            .u64(entry.entry_timeout.as_secs())
            .u64(entry.attr_timeout.as_secs())
            .u32(entry.entry_timeout.subsec_nanos())
            .u32(entry.attr_timeout.subsec_nanos())
            .attr(&entry.attr)
    }

    /// `struct fuse_attr_out`.
    pub(super) fn attr_out(self, attr: &Attr, timeout: Duration) -> Self {
        self.u64(timeout.as_secs())
            .u32(timeout.subsec_nanos())
            .u32(0)
            .attr(attr)
    }

    fn attr(self, attr: &Attr) -> Self {
        let times = [attr.atime, attr.mtime, attr.ctime];
        let out = self.u64(attr.ino).u64(attr.size).u64(attr.blocks);
        let out = times
            .iter()
            .fold(out, |out, time| out.u64(time.seconds.cast_unsigned()));
        times
            .iter()
            .fold(out, |out, time| out.u32(time.nanoseconds))
            .u32(attr.mode)
            .u32(attr.nlink)
            .u32(attr.uid)
            .u32(attr.gid)
            .u32(device(attr.rdev))
            .u32(attr.blksize)
            .u32(0)
    }

    /// `struct fuse_statx_out`.
    pub(super) fn statx(self, attr: &Attr, timeout: Duration) -> Self {
        /// `STATX_BASIC_STATS` and `STATX_BTIME`.
        const BASIC: u32 = 0x7ff;
        const BTIME: u32 = 0x800;
        let mask = BASIC | if attr.btime.is_some() { BTIME } else { 0 };
        // The type and the permission bits are the lower half.
        let mode = u16::try_from(attr.mode & 0xffff).unwrap_or(u16::MAX);
        self.u64(timeout.as_secs())
            .u32(timeout.subsec_nanos())
            .zeros(4 + 16)
            .u32(mask)
            .u32(attr.blksize)
            .u64(0)
            .u32(attr.nlink)
            .u32(attr.uid)
            .u32(attr.gid)
            .u16(mode)
            .u16(0)
            .u64(attr.ino)
            .u64(attr.size)
            .u64(attr.blocks)
            .u64(0)
            .statx_time(attr.atime)
            .statx_time(attr.btime.unwrap_or_default())
            .statx_time(attr.ctime)
            .statx_time(attr.mtime)
            .u32(libc::major(attr.rdev))
            .u32(libc::minor(attr.rdev))
            .zeros(8 + 14 * 8)
    }

    fn statx_time(self, time: Timestamp) -> Self {
        self.u64(time.seconds.cast_unsigned())
            .u32(time.nanoseconds)
            .u32(0)
    }

    /// `struct fuse_open_out`.
    pub(super) fn opened(self, opened: &Opened) -> FsResult<Self> {
        Ok(self.u64(to_wire(opened.handle)?).u32(opened.flags.bits()).u32(0))
    }

    /// The same, with the number of the file that the kernel reads and writes itself (`FOPEN_PASSTHROUGH`).
    pub(super) fn opened_by_kernel(self, opened: &Opened, backing: u32) -> FsResult<Self> {
        const PASSTHROUGH: u32 = 1 << 7;
        // All others are refused along with it (`FOPEN_PASSTHROUGH_MASK`).
        let flags = opened.flags
            & (OpenReplyFlags::DIRECT_IO | OpenReplyFlags::PARALLEL_DIRECT_WRITES | OpenReplyFlags::NOFLUSH);
        Ok(self
            .u64(to_wire(opened.handle)?)
            .u32(flags.bits() | PASSTHROUGH)
            .u32(backing))
    }

    /// `struct fuse_kstatfs`.
    pub(super) fn statfs(self, stat: &StatFs) -> Self {
        self.u64(stat.blocks)
            .u64(stat.blocks_free)
            .u64(stat.blocks_available)
            .u64(stat.files)
            .u64(stat.files_free)
            .u32(stat.block_size)
            .u32(stat.name_max)
            .u32(stat.fragment_size)
            .zeros(4 + 6 * 4)
    }
}

/// A device's number as the protocol has it (`new_encode_dev` of the kernel).
fn device(rdev: u64) -> u32 {
    let (major, minor) = (libc::major(rdev), libc::minor(rdev));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The other way.
pub(super) fn rdev(device: u32) -> u64 {
    let major = (device & 0xf_ff00) >> 8;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    libc::makedev(major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_long_as_the_kernels() {
        let attr = Attr::default();
        let entry = Entry {
            ino: 1,
            generation: 0,
            attr,
            attr_timeout: Duration::ZERO,
            entry_timeout: Duration::ZERO,
        };
        assert_eq!(Out::new().entry(&entry).0.len(), ENTRY);
        assert_eq!(Out::new().attr_out(&attr, Duration::ZERO).0.len(), 104);
        assert_eq!(Out::new().statx(&attr, Duration::ZERO).0.len(), 288);
        assert_eq!(Out::new().statfs(&StatFs::default()).0.len(), 80);
        assert_eq!(Out::new().opened(&Opened::default()).unwrap().0.len(), 16);
    }

    #[test]
    fn device_numbers_survive_the_way_there_and_back() {
        for (major, minor) in [(0, 0), (1, 3), (4095, 0xf_ffff), (10, 229), (259, 256)] {
            let device_number = libc::makedev(major, minor);
            assert_eq!(rdev(device(device_number)), device_number, "{major}:{minor}");
        }
    }
}
