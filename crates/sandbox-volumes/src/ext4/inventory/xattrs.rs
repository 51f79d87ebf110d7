//! Extended attributes: which go into the inode and which into a block.

use sandbox_types::TreeXattr;

use super::Format;
use crate::ext4::{
    disk::{
        index,
        inode::{BASE, EXTRA},
        xattr::{self, BLOCK_HEADER, END, INODE_HEADER, disk_acl, split_name},
    },
    error::XattrRefused,
};

/// An attribute as ext4 keeps it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DiskXattr {
    pub(crate) prefix: u8,
    /// Sorted by length before content: that is the order in a block.
    name_len: usize,
    pub(crate) name: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// The attributes of a file.
#[derive(Debug, Default)]
pub(crate) struct Xattrs {
    pub(crate) in_inode: Vec<DiskXattr>,
    pub(crate) in_block: Vec<DiskXattr>,
}

impl DiskXattr {
    fn new(from: &TreeXattr) -> Result<Self, XattrRefused> {
        let (prefix, name) = split_name(&from.name).ok_or(XattrRefused::Prefix)?;
        if name.len() > 255 {
            return Err(XattrRefused::NameTooLong);
        }
        let value = match prefix {
            2 | 3 => disk_acl(&from.value).ok_or(XattrRefused::Acl)?,
            _ => from.value.clone(),
        };
        Ok(Self {
            prefix,
            name_len: name.len(),
            name: name.to_vec(),
            value,
        })
    }

    fn len(&self) -> usize {
        xattr::entry_len(self.name.len()) + xattr::value_len(self.value.len())
    }
}

impl Xattrs {
    /// Distributes attributes; fails with the name of the one that has no place.
    pub(crate) fn new(all: Vec<TreeXattr>, format: &Format) -> Result<Self, (Vec<u8>, XattrRefused)> {
        let mut sorted = Vec::with_capacity(all.len());
        for one in all {
            let name = one.name.clone();
            sorted.push((
                DiskXattr::new(&one).map_err(|reason| (name.clone(), reason))?,
                name,
            ));
        }
        sorted.sort();
        let mut room_in_inode =
            index(u64::from(format.inode_size)) - BASE - usize::from(EXTRA) - INODE_HEADER - END;
        let mut room_in_block = index(u64::from(format.block_size)) - BLOCK_HEADER - END;
        let mut new = Self::default();
        for (one, name) in sorted {
            let len = one.len();
            let place = if len <= room_in_inode {
                room_in_inode -= len;
                &mut new.in_inode
            } else if len <= room_in_block {
                room_in_block -= len;
                &mut new.in_block
            } else {
                return Err((name, XattrRefused::NoRoom));
            };
            if place
                .last()
                .is_some_and(|last| last.prefix == one.prefix && last.name == one.name)
            {
                return Err((name, XattrRefused::Twice));
            }
            place.push(one);
        }
        Ok(new)
    }
}
