//! POSIX access control lists, as `system.posix_acl_access` and `system.posix_acl_default` hold them
//! (`linux/posix_acl_xattr.h`, acl(5)).
//!
//! The kernel enforces them; whoever keeps them keeps permission bits and lists in step, which is what is here.

use crate::fs::{Errno, FsResult};

/// The list that is enforced.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// The list that new entries of a directory get.
pub(super) const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// A valid list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl(Vec<Item>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    tag: u16,
    perm: u16,
    id: u32,
}

impl Acl {
    /// Reads the value of an attribute; `None` is an empty list, which means the same as no list. `EINVAL` for what is
    /// none, `ENOTSUP` for another version.
    pub(super) fn parse(value: &[u8]) -> FsResult<Option<Self>> {
        let Some((version, rest)) = value.split_first_chunk() else {
            return if value.is_empty() {
                Ok(None)
            } else {
                Err(Errno::EINVAL)
            };
        };
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::ENOTSUP);
        }
        let (items, rest) = rest.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        let acl = Self(items.iter().copied().map(Item::parse).collect());
        match acl.0.is_empty() {
            true => Ok(None),
            false if acl.is_valid() => Ok(Some(acl)),
            false => Err(Errno::EINVAL),
        }
    }

    /// The value of an attribute.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for item in &self.0 {
            bytes.extend_from_slice(&item.tag.to_le_bytes());
            bytes.extend_from_slice(&item.perm.to_le_bytes());
            bytes.extend_from_slice(&item.id.to_le_bytes());
        }
        bytes
    }

    /// The permission bits that say the same, or as nearly as they can.
    pub(super) fn permissions(&self) -> u32 {
        let of = |tag| self.find(tag).map_or(0, |item| u32::from(item.perm));
        let group = if self.find(MASK).is_some() {
            of(MASK)
        } else {
            of(GROUP_OBJ)
        };
        of(USER_OBJ) << 6 | group << 3 | of(OTHER)
    }

    /// Whether permission bits alone say all of it.
    pub(super) fn is_equivalent_to_bits(&self) -> bool {
        self.0
            .iter()
            .all(|item| matches!(item.tag, USER_OBJ | GROUP_OBJ | OTHER))
    }

    /// chmod(2): the list follows the bits.
    pub(super) fn set_permissions(&mut self, mode: u32) {
        let group = if self.find(MASK).is_some() {
            MASK
        } else {
            GROUP_OBJ
        };
        for item in &mut self.0 {
            match item.tag {
                USER_OBJ => item.perm = bits(mode >> 6),
                OTHER => item.perm = bits(mode),
                tag if tag == group => item.perm = bits(mode >> 3),
                _ => {}
            }
        }
    }

    /// A new entry of a directory with this default list, made with `mode`: its list. Its permission bits are
    /// [`permissions`](Self::permissions) of that.
    pub(super) fn inherit(&self, mode: u32) -> Self {
        let current = self.permissions();
        let mut own = self.clone();
        own.set_permissions(current & mode);
        own
    }

    fn find(&self, tag: u16) -> Option<&Item> {
        self.0.iter().find(|item| item.tag == tag)
    }

    /// In order, each of the three owners once, at most one mask, and one where somebody is named.
    fn is_valid(&self) -> bool {
        let sorted = self.0.is_sorted_by_key(|item| item.tag);
        let count = |tag| self.0.iter().filter(|item| item.tag == tag).count();
        let named = count(USER) + count(GROUP) > 0;
        sorted
            && self.0.iter().copied().all(Item::is_valid)
            && [USER_OBJ, GROUP_OBJ, OTHER]
                .into_iter()
                .all(|tag| count(tag) == 1)
            && count(MASK) <= 1
            && (!named || count(MASK) == 1)
    }
}

impl Item {
    fn parse(bytes: [u8; 8]) -> Self {
        let [tag, tag_high, perm, perm_high, id @ ..] = bytes;
        Self {
            tag: u16::from_le_bytes([tag, tag_high]),
            perm: u16::from_le_bytes([perm, perm_high]),
            id: u32::from_le_bytes(id),
        }
    }

    fn is_valid(self) -> bool {
        let known = match self.tag {
            USER | GROUP => self.id != NO_ID,
            USER_OBJ | GROUP_OBJ | MASK | OTHER => true,
            _ => false,
        };
        known && self.perm <= 7
    }
}

fn bits(mode: u32) -> u16 {
    u16::try_from(mode & 7).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(u16, u16, u32)]) -> Vec<u8> {
        let items = items.iter().map(|&(tag, perm, id)| Item { tag, perm, id });
        Acl(items.collect()).to_bytes()
    }

    fn named() -> Vec<u8> {
        list(&[
            (USER_OBJ, 7, NO_ID),
            (USER, 6, 1000),
            (GROUP_OBJ, 5, NO_ID),
            (MASK, 7, NO_ID),
            (OTHER, 4, NO_ID),
        ])
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let acl = Acl::parse(&named()).unwrap().unwrap();
        assert_eq!(acl.to_bytes(), named());
        assert_eq!(acl.permissions(), 0o774);
        assert!(!acl.is_equivalent_to_bits());
    }

    #[test]
    fn lists_that_the_kernel_refuses_are_refused() {
        let plain = [(USER_OBJ, 7, NO_ID), (GROUP_OBJ, 5, NO_ID), (OTHER, 5, NO_ID)];
        let mut swapped = plain;
        swapped.swap(0, 2);
        let bad = [
            list(&swapped),
            list(&plain[..2]),
            list(&[plain[0], plain[0], plain[1], plain[2]]),
            list(&[plain[0], (USER, 7, 5), plain[1], plain[2]]),
            list(&[plain[0], (USER, 7, NO_ID), plain[1], (MASK, 7, NO_ID), plain[2]]),
            list(&[(USER_OBJ, 8, NO_ID), plain[1], plain[2]]),
            list(&[plain[0], plain[1], plain[2], (0x40, 1, 1)]),
            named()[..named().len() - 1].to_vec(),
            vec![2, 0, 0],
        ];
        for value in bad {
            assert_eq!(Acl::parse(&value), Err(Errno::EINVAL), "{value:?}");
        }
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), Err(Errno::ENOTSUP));
        assert_eq!(Acl::parse(&[2, 0, 0, 0]), Ok(None));
        assert!(
            Acl::parse(&list(&plain))
                .unwrap()
                .unwrap()
                .is_equivalent_to_bits()
        );
    }

    #[test]
    fn a_new_file_gets_no_more_than_the_list_and_its_mode_allow() {
        let acl = Acl::parse(&named()).unwrap().unwrap();
        let own = acl.inherit(0o640);
        assert_eq!(own.permissions(), 0o640);
        assert_eq!(own.find(USER).unwrap().perm, 6);
        assert_eq!(own.find(GROUP_OBJ).unwrap().perm, 5);
        assert_eq!(own.find(MASK).unwrap().perm, 4);
    }

    #[test]
    fn chmod_changes_the_mask_and_leaves_the_group() {
        let mut acl = Acl::parse(&named()).unwrap().unwrap();
        acl.set_permissions(0o610);
        assert_eq!(acl.permissions(), 0o610);
        assert_eq!(acl.find(GROUP_OBJ).unwrap().perm, 5);
    }
}
