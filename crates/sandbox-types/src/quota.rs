//! How the content of a tree with a quota is counted, and how the figure is written down: the same numbers for
//! whoever serves the tree, for whoever writes into it from outside, and for whoever only asks.

use crate::OverrideStat;

/// An inode, whatever it is, with what servers keep in its own attribute; in bytes.
pub const INODE_WEIGHT: u64 = 1024;

/// A name, besides its length; in bytes.
const NAME_WEIGHT: usize = 32;

/// What the host's own machinery labels files with: nobody's charge.
const HOST_XATTRS: [&[u8]; 4] = [
    b"security.selinux",
    b"security.SMACK64",
    b"security.ima",
    b"security.evm",
];

/// The version of the document that a [`QuotaRecord`] is written as.
const VERSION: u32 = 1;

/// What a name of `length` bytes in a directory weighs, in bytes.
pub fn name_weight(length: usize) -> u64 {
    u64::try_from(NAME_WEIGHT.saturating_add(length)).unwrap_or(u64::MAX)
}

/// What an extended attribute weighs, in bytes: its name and its value. What servers write for themselves, at a bounded
/// length, is part of [`INODE_WEIGHT`].
pub fn xattr_weight(name: &[u8], value: usize) -> u64 {
    let is_servers = OverrideStat::is_name(name) && value <= OverrideStat::LONGEST;
    if is_servers || is_host_xattr(name) {
        0
    } else {
        u64::try_from(name.len().saturating_add(value)).unwrap_or(u64::MAX)
    }
}

/// Whether an extended attribute is the host's own and weighs nothing.
pub fn is_host_xattr(name: &[u8]) -> bool {
    HOST_XATTRS.contains(&name)
}

/// What is known of how much is in a tree: an exact figure, or a bound that it never passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRecord {
    /// Whether the figure is exact, and nobody counts or changes anything. Otherwise it is a bound.
    pub exact: bool,
    /// Bytes.
    pub bytes: u64,
    /// Inodes, the root not counted.
    pub inodes: u64,
}

impl QuotaRecord {
    /// What the name of the file ends with that has the figure while somebody keeps the quota, who holds an exclusive
    /// flock(2) on the tree's root: see [`QuotaRecord::of_live`].
    pub const LIVE: &str = "live";

    /// The figure in such a file: three numbers of eight bytes, in the order of the machine's bytes. None where it is
    /// none.
    pub fn of_live(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes
            .chunks_exact(8)
            .filter_map(|bytes| bytes.try_into().ok().map(u64::from_ne_bytes));
        let (exact, bytes, inodes) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(Self {
            exact: exact == 1,
            bytes,
            inodes,
        })
    }

    /// The name of the file that has it, in a directory of such: by the root's inode number and its time of birth.
    pub fn file_name(inode: u64, born: (i64, u32)) -> String {
        format!("{inode:x}-{:x}-{:x}", born.0, born.1)
    }

    /// As four lines of a word and a number.
    pub fn to_text(self) -> String {
        let Self { bytes, inodes, .. } = self;
        let exact = u8::from(self.exact);
        format!("sandbox-quota {VERSION}\nexact {exact}\nbytes {bytes}\ninodes {inodes}\n")
    }

    /// None where it is damaged.
    ///
    /// # Errors
    /// The version, where it is a later one.
    pub fn parse(text: &str) -> Result<Option<Self>, u32> {
        let mut lines = text.lines();
        let mut number = |word: &str| -> Option<u64> {
            let (found, number) = lines.next()?.split_once(' ')?;
            (found == word).then(|| number.parse().ok())?
        };
        match number("sandbox-quota").and_then(|version| u32::try_from(version).ok()) {
            Some(version) if version > VERSION => return Err(version),
            Some(_) => {}
            None => return Ok(None),
        }
        let (exact, bytes, inodes) = (number("exact"), number("bytes"), number("inodes"));
        Ok(exact.zip(bytes).zip(inodes).map(|((exact, bytes), inodes)| Self {
            exact: exact == 1,
            bytes,
            inodes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for exact in [true, false] {
            let record = QuotaRecord {
                exact,
                bytes: u64::MAX,
                inodes: 7,
            };
            assert_eq!(QuotaRecord::parse(&record.to_text()), Ok(Some(record)));
        }
    }

    #[test]
    fn a_damaged_record_is_none_and_a_later_version_is_told() {
        for text in [
            "",
            "sandbox-quota",
            "sandbox-quota 1\nexact 1\nbytes x\ninodes 1\n",
            "sandbox-quota 1\nexact 1\n",
            "\0\0",
        ] {
            assert_eq!(QuotaRecord::parse(text), Ok(None), "{text:?}");
        }
        assert_eq!(QuotaRecord::parse("sandbox-quota 2\n"), Err(2));
    }

    #[test]
    fn a_long_value_weighs_something_whatever_its_name_is() {
        assert!(xattr_weight(b"user.containers.override_stat", 60_000) > 60_000);
    }

    #[test]
    fn the_hosts_labels_and_the_servers_own_attribute_weigh_nothing() {
        assert_eq!(xattr_weight(b"security.selinux", 99), 0);
        assert_eq!(xattr_weight(b"user.containers.override_stat", 99), 0);
        assert_eq!(xattr_weight(b"user.fuseoverlayfs.override_stat", 99), 0);
        assert_eq!(xattr_weight(b"user.a", 10), 16);
        assert_eq!(name_weight(4), 36);
    }
}
