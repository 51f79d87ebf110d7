//! POSIX ACLs as the bytes of `system.posix_acl_access` and `system.posix_acl_default` (`linux/posix_acl_xattr.h`), and
//! what they have to do with a mode (acl(5)).
//!
//! The kernel enforces them; a filesystem that keeps them keeps mode and ACL in step, and passes defaults on.

use crate::fs::{Errno, FsResult};

/// An ACL of a file.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// What new files in a directory start with.
pub(super) const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// An access control list, valid by acl(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl(Vec<Entry>);

impl Acl {
    /// `EINVAL` for what is no ACL; none for one without entries, which means that there shall be none.
    pub(super) fn parse(bytes: &[u8]) -> FsResult<Option<Self>> {
        let (version, mut rest) = bytes.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::ENOTSUP);
        }
        let mut entries = Vec::with_capacity(rest.len() / 8);
        while let Some(([t0, t1, p0, p1, i0, i1, i2, i3], next)) = rest.split_first_chunk::<8>() {
            entries.push(Entry {
                tag: u16::from_le_bytes([*t0, *t1]),
                perm: u16::from_le_bytes([*p0, *p1]),
                id: u32::from_le_bytes([*i0, *i1, *i2, *i3]),
            });
            rest = next;
        }
        if !rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let acl = Self(entries);
        if acl.is_valid() {
            Ok(Some(acl))
        } else {
            Err(Errno::EINVAL)
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend(entry.tag.to_le_bytes());
            bytes.extend(entry.perm.to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    /// The nine permission bits that stat shows.
    pub(super) fn mode(&self) -> u32 {
        let group = self.first(MASK).or_else(|| self.first(GROUP_OBJ)).unwrap_or(0);
        (self.first(USER_OBJ).unwrap_or(0) << 6) | (group << 3) | self.first(OTHER).unwrap_or(0)
    }

    /// Whether a mode says all of it, so that it need not be kept.
    pub(super) fn is_mode_only(&self) -> bool {
        self.0
            .iter()
            .all(|entry| matches!(entry.tag, USER_OBJ | GROUP_OBJ | OTHER))
    }

    /// As chmod(2) leaves it.
    #[must_use]
    pub(super) fn with_mode(mut self, mode: u32) -> Self {
        self.group_class(|_| mode >> 3);
        self.change(USER_OBJ, |_| mode >> 6);
        self.change(OTHER, |_| mode);
        self
    }

    /// What a new file gets that is made with `mode` in a directory with this default; its mode is
    /// [`mode`](Self::mode).
    #[must_use]
    pub(super) fn inherited(mut self, mode: u32) -> Self {
        self.group_class(|perm| perm & (mode >> 3));
        self.change(USER_OBJ, |perm| perm & (mode >> 6));
        self.change(OTHER, |perm| perm & mode);
        self
    }

    fn group_class(&mut self, new: impl Fn(u32) -> u32) {
        let tag = if self.first(MASK).is_some() {
            MASK
        } else {
            GROUP_OBJ
        };
        self.change(tag, new);
    }

    fn change(&mut self, tag: u16, new: impl Fn(u32) -> u32) {
        for entry in self.0.iter_mut().filter(|entry| entry.tag == tag) {
            entry.perm = u16::try_from(new(u32::from(entry.perm)) & 7).unwrap_or(0);
        }
    }

    fn first(&self, tag: u16) -> Option<u32> {
        self.0
            .iter()
            .find(|entry| entry.tag == tag)
            .map(|entry| u32::from(entry.perm))
    }

    fn count(&self, tag: u16) -> usize {
        self.0.iter().filter(|entry| entry.tag == tag).count()
    }

    fn is_valid(&self) -> bool {
        let known = self.0.iter().all(|entry| {
            entry.perm <= 7 && matches!(entry.tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER)
        });
        let ordered = self
            .0
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.tag <= b.tag));
        let named = self.count(USER) + self.count(GROUP) > 0;
        known
            && ordered
            && [USER_OBJ, GROUP_OBJ, OTHER]
                .iter()
                .all(|tag| self.count(*tag) == 1)
            && self.count(MASK) <= 1
            && (!named || self.count(MASK) == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u32 = u32::MAX;

    fn bytes(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entries = entries
            .iter()
            .map(|&(tag, perm, id)| Entry { tag, perm, id })
            .collect();
        Acl(entries).to_bytes()
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        Acl::parse(&bytes(entries)).unwrap().unwrap()
    }

    const NAMED: &[(u16, u16, u32)] = &[
        (USER_OBJ, 7, NONE),
        (USER, 5, 1000),
        (GROUP_OBJ, 4, NONE),
        (MASK, 6, NONE),
        (OTHER, 1, NONE),
    ];

    #[test]
    fn the_mode_of_an_acl_shows_its_mask_as_the_group() {
        assert_eq!(acl(NAMED).mode(), 0o761);
        assert!(!acl(NAMED).is_mode_only());
        let minimal = acl(&[(USER_OBJ, 6, NONE), (GROUP_OBJ, 4, NONE), (OTHER, 0, NONE)]);
        assert_eq!(minimal.mode(), 0o640);
        assert!(minimal.is_mode_only());
    }

    #[test]
    fn chmod_changes_the_mask_and_leaves_the_groups_entry() {
        let changed = acl(NAMED).with_mode(0o4705);
        assert_eq!(changed.mode(), 0o705);
        assert_eq!(changed.first(GROUP_OBJ), Some(4));
    }

    #[test]
    fn a_new_file_gets_no_more_than_its_mode_and_the_default_allow() {
        let inherited = acl(NAMED).inherited(0o666);
        assert_eq!(inherited.mode(), 0o660);
        assert_eq!(inherited.first(USER), Some(5));
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        for bad in [
            &[(USER_OBJ, 7, NONE)][..],
            &[
                (USER_OBJ, 7, NONE),
                (USER, 5, 1),
                (GROUP_OBJ, 4, NONE),
                (OTHER, 1, NONE),
            ],
            &[(USER_OBJ, 9, NONE), (GROUP_OBJ, 4, NONE), (OTHER, 1, NONE)],
            &[(GROUP_OBJ, 4, NONE), (USER_OBJ, 7, NONE), (OTHER, 1, NONE)],
            &[
                (USER_OBJ, 7, NONE),
                (GROUP_OBJ, 4, NONE),
                (OTHER, 1, NONE),
                (0x40, 1, NONE),
            ],
        ] {
            assert_eq!(Acl::parse(&bytes(bad)), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(Acl::parse(&bytes(NAMED)[..11]), Err(Errno::EINVAL));
        assert_eq!(Acl::parse(&[3, 0, 0, 0]), Err(Errno::ENOTSUP));
        assert_eq!(Acl::parse(&VERSION.to_le_bytes()), Ok(None));
    }
}
