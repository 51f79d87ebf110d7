//! Making, naming and removing files. Each of these is within a transaction: see [`Editor::change`].

use std::io;

use rustix::io::Errno;
use sandbox_types::{TreeTime, TreeXattr};
use zerocopy::{IntoBytes, little_endian::U16, little_endian::U32};

use super::content::Filling;
use super::directory::Entry;
use super::extents::{Map, Piece};
use super::{Editor, Node, damaged};
use crate::ext4::disk::dirent::file_type;
use crate::ext4::disk::inode::{FAST_LINK, MAX_LINKS, flag, mode};

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a new file is to be like.
#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) owner: Owner,
    /// When it was read and written last; none: now.
    pub(crate) times: Option<(TreeTime, TreeTime)>,
    pub(crate) xattrs: Vec<TreeXattr>,
}

impl NewNode {
    /// With nothing but that.
    pub(crate) fn plain(mode: u16, owner: Owner) -> Self {
        Self {
            mode,
            owner,
            times: None,
            xattrs: Vec::new(),
        }
    }
}

impl Editor {
    /// Makes a file of what was filled, or replaces the one of that name, which is not a directory; in one step.
    pub(crate) fn put_file(
        &mut self,
        parent: &mut Node,
        name: &[u8],
        new: &NewNode,
        filling: &mut Filling,
    ) -> io::Result<Node> {
        let old = self.look_up(parent, name)?;
        let mut node = self.new_node(parent, new)?;
        self.settle(&mut node, filling)?;
        self.finish(&mut node, new)?;
        let entry = entry(name, &node);
        match old {
            None => self.add_entry(parent, &entry)?,
            Some(old) => {
                let old = self.node(old.inode)?;
                if old.is_directory() {
                    return Err(Errno::ISDIR.into());
                }
                self.replace_entry(parent, &entry)?;
                self.unlink_node(old)?;
            }
        }
        Ok(node)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `EEXIST`.
    pub(crate) fn make_directory(
        &mut self,
        parent: &mut Node,
        name: &[u8],
        new: &NewNode,
    ) -> io::Result<Node> {
        self.refuse_existing(parent, name)?;
        let mut node = self.new_node(parent, new)?;
        node.fixed.links = U16::new(2);
        let mut map = Map::default();
        let block = self.append_block(&mut node, &mut map)?;
        let bytes = self.first_block(&node, parent.number)?;
        self.set_block(block, bytes);
        self.set_map(&mut node, &mut map)?;
        self.finish(&mut node, new)?;
        add_links(parent, 1)?;
        self.add_entry(parent, &entry(name, &node))?;
        Ok(node)
    }

    /// Makes a link that holds `target`.
    ///
    /// # Errors
    /// `EEXIST`, `ENAMETOOLONG`.
    pub(crate) fn make_link(
        &mut self,
        parent: &mut Node,
        name: &[u8],
        target: &[u8],
        new: &NewNode,
    ) -> io::Result<Node> {
        self.refuse_existing(parent, name)?;
        if target.is_empty() || target.len() >= self.geometry.block_len().min(4096) {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut node = self.new_node(parent, new)?;
        node.set_size(target.len() as u64);
        if target.len() < FAST_LINK {
            let place = node.fixed.block.iter_mut();
            place.zip(target).for_each(|(to, from)| *to = *from);
        } else {
            let block = self.take_block()?;
            let mut bytes = target.to_vec();
            bytes.resize(self.geometry.block_len(), 0);
            self.set_block(block, bytes);
            let mut map = Map::default();
            map.pieces.push(Piece {
                logical: 0,
                physical: block,
                len: 1,
                is_written: true,
            });
            self.set_map(&mut node, &mut map)?;
        }
        self.finish(&mut node, new)?;
        self.add_entry(parent, &entry(name, &node))?;
        Ok(node)
    }

    /// Makes a pipe, a socket or a device, whose number is `rdev` as ext4 keeps it.
    ///
    /// # Errors
    /// `EEXIST`.
    pub(crate) fn make_special(
        &mut self,
        parent: &mut Node,
        name: &[u8],
        device: [u32; 2],
        new: &NewNode,
    ) -> io::Result<Node> {
        self.refuse_existing(parent, name)?;
        let mut node = self.new_node(parent, new)?;
        let numbers = device.map(U32::new);
        let place = node.fixed.block.iter_mut();
        place.zip(numbers.as_bytes()).for_each(|(to, from)| *to = *from);
        self.finish(&mut node, new)?;
        self.add_entry(parent, &entry(name, &node))?;
        Ok(node)
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// `EEXIST`, `EMLINK`; `EPERM` for directories.
    pub(crate) fn link(&mut self, parent: &mut Node, name: &[u8], number: u32) -> io::Result<()> {
        self.refuse_existing(parent, name)?;
        let mut node = self.node(number)?;
        if node.is_directory() {
            return Err(Errno::PERM.into());
        }
        if u32::from(node.fixed.links.get()) >= MAX_LINKS {
            return Err(Errno::MLINK.into());
        }
        node.fixed.links += U16::new(1);
        node.set_changed(super::node::now());
        self.set_node(&node)?;
        self.add_entry(parent, &entry(name, &node))
    }

    /// Removes a name of something that is no directory.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub(crate) fn remove(&mut self, parent: &mut Node, name: &[u8]) -> io::Result<()> {
        let found = self.look_up(parent, name)?.ok_or(Errno::NOENT)?;
        let node = self.node(found.inode)?;
        if node.is_directory() {
            return Err(Errno::ISDIR.into());
        }
        self.remove_entry(parent, name)?;
        self.unlink_node(node)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
    pub(crate) fn remove_directory(&mut self, parent: &mut Node, name: &[u8]) -> io::Result<()> {
        let found = self.look_up(parent, name)?.ok_or(Errno::NOENT)?;
        let node = self.node(found.inode)?;
        if !node.is_directory() {
            return Err(Errno::NOTDIR.into());
        }
        if !self.list(&node)?.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        self.remove_entry(parent, name)?;
        self.drop_directory(parent, node)
    }

    /// Gives a file another name; what has that name already is replaced, as by rename(2).
    ///
    /// # Errors
    /// As rename(2).
    pub(crate) fn rename(
        &mut self,
        (from, name): (Node, &[u8]),
        (to, new_name): (Node, &[u8]),
    ) -> io::Result<()> {
        let found = self.look_up(&from, name)?.ok_or(Errno::NOENT)?;
        let node = self.node(found.inode)?;
        let old = self.look_up(&to, new_name)?;
        if old.as_ref().is_some_and(|old| old.inode == node.number) {
            return Ok(());
        }
        if node.is_directory() && self.is_within(node.number, &to)? {
            return Err(Errno::INVAL.into());
        }
        if let Some(old) = &old
            && self.is_within(old.inode, &from)?
        {
            // There is at least one thing in it: what is to be moved.
            return Err(Errno::NOTEMPTY.into());
        }
        let is_moved = from.number != to.number;
        let mut to = to;
        let new = entry(new_name, &node);
        match old {
            None => self.add_entry(&mut to, &new)?,
            Some(old) => self.rename_over(&mut to, &new, &node, &old)?,
        }
        if is_moved && node.is_directory() {
            add_links(&mut to, 1)?;
            self.set_node(&to)?;
            self.set_parent(&node, to.number)?;
        }
        // The other may be the same directory, and has changed by now.
        let mut from = self.node(from.number)?;
        self.remove_entry(&mut from, name)?;
        if is_moved && node.is_directory() {
            add_links(&mut from, -1)?;
            self.set_node(&from)?;
        }
        let mut node = self.node(node.number)?;
        node.set_changed(super::node::now());
        self.set_node(&node)
    }

    fn rename_over(&mut self, to: &mut Node, new: &Entry, node: &Node, old: &Entry) -> io::Result<()> {
        let old = self.node(old.inode)?;
        match (node.is_directory(), old.is_directory()) {
            (true, false) => return Err(Errno::NOTDIR.into()),
            (false, true) => return Err(Errno::ISDIR.into()),
            (true, true) if !self.list(&old)?.is_empty() => return Err(Errno::NOTEMPTY.into()),
            _ => {}
        }
        self.replace_entry(to, new)?;
        if old.is_directory() {
            self.drop_directory(to, old)
        } else {
            self.unlink_node(old)
        }
    }

    /// Whether a directory is another one, or somewhere beneath it.
    fn is_within(&mut self, above: u32, directory: &Node) -> io::Result<bool> {
        let mut here = directory.number;
        // No path is longer than the disk has inodes, however its directories point at one another.
        for _ in 0..self.geometry.inodes() {
            if here == above {
                return Ok(true);
            }
            let node = self.node(here)?;
            let next = self.parent_of(&node)?;
            if next == here {
                return Ok(false);
            }
            here = next;
        }
        Err(damaged())
    }

    /// Sets permissions, owner, times: what is given.
    pub(crate) fn set_attributes(
        &mut self,
        node: &mut Node,
        permissions: Option<u16>,
        times: Option<(TreeTime, TreeTime)>,
    ) -> io::Result<()> {
        if let Some(permissions) = permissions {
            let kind = node.fixed.file_type();
            node.fixed.mode = U16::new(kind | permissions & 0o7777);
        }
        if let Some((accessed, modified)) = times {
            node.set_accessed(accessed);
            node.set_modified(modified);
        }
        node.set_changed(super::node::now());
        self.set_node(node)
    }

    fn refuse_existing(&mut self, parent: &Node, name: &[u8]) -> io::Result<()> {
        match self.look_up(parent, name)? {
            Some(_) => Err(Errno::EXIST.into()),
            None => Ok(()),
        }
    }

    fn new_node(&mut self, parent: &Node, new: &NewNode) -> io::Result<Node> {
        let is_directory = new.mode & mode::TYPE == mode::DIR;
        let number = self.take_inode(parent.number, is_directory)?;
        let mut node = self.empty_node(number);
        node.fixed.mode = U16::new(new.mode);
        node.fixed.links = U16::new(1);
        node.set_owner(new.owner.uid, new.owner.gid);
        let time = super::node::now();
        node.touch();
        node.set_accessed(time);
        (node.fixed.crtime, node.fixed.crtime_extra) = crate::ext4::disk::inode::time(time);
        if !new.xattrs.is_empty() {
            self.set_xattrs(&mut node, &new.xattrs)?;
            let sectors = self.geometry.byte(u64::from(node.fixed.file_acl() != 0)) / 512;
            node.set_sectors(sectors);
        }
        Ok(node)
    }

    fn finish(&mut self, node: &mut Node, new: &NewNode) -> io::Result<()> {
        if let Some((accessed, modified)) = new.times {
            node.set_accessed(accessed);
            node.set_modified(modified);
        }
        self.set_node(node)
    }

    /// One name less; without any it is gone.
    fn unlink_node(&mut self, mut node: Node) -> io::Result<()> {
        node.fixed.links -= U16::new(1);
        node.set_changed(super::node::now());
        if node.fixed.links.get() > 0 {
            return self.set_node(&node);
        }
        self.drop_node(node)
    }

    fn drop_directory(&mut self, parent: &mut Node, mut node: Node) -> io::Result<()> {
        add_links(parent, -1)?;
        self.set_node(parent)?;
        node.fixed.links = U16::new(0);
        self.drop_node(node)
    }

    fn drop_node(&mut self, mut node: Node) -> io::Result<()> {
        let is_directory = node.is_directory();
        if node.fixed.has(flag::EXTENTS) || node.is_file() || is_directory {
            self.free_content(&mut node)?;
        }
        self.free_xattrs(&mut node)?;
        node.set_size(0);
        node.set_sectors(0);
        let (seconds, _) = crate::ext4::disk::inode::time(super::node::now());
        node.fixed.dtime = seconds;
        self.give_inode(node.number, is_directory)?;
        self.set_node(&node)
    }
}

fn entry(name: &[u8], node: &Node) -> Entry {
    Entry {
        name: name.to_vec(),
        inode: node.number,
        file_type: file_type(node.fixed.mode.get()),
    }
}

/// A directory has a link from each directory in it; more than can be counted are counted as 1.
fn add_links(directory: &mut Node, change: i16) -> io::Result<()> {
    let now = directory.fixed.links.get();
    if now == 1 {
        return Ok(());
    }
    let new = now.checked_add_signed(change).ok_or_else(damaged)?;
    let is_many = u32::from(new) > MAX_LINKS;
    directory.fixed.links = U16::new(if is_many { 1 } else { new });
    Ok(())
}
