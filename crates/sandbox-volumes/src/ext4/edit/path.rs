//! Paths: what they lead to, never out of the root.

use std::io;

use rustix::io::Errno;

use super::directory::Entry;
use super::{Editor, Node};
use crate::ext4::disk::inode::{FAST_LINK, ROOT, flag};

/// As many links as the kernel follows: path_resolution(7).
const MOST_LINKS: u32 = 40;
/// A target is no longer: `PATH_MAX`.
const MOST_TARGET: u64 = 4096;

/// Which links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// All.
    All,
    /// All but the last name.
    Parents,
}

/// A walk from the root: the directories that it is in, the root first.
struct Walk {
    above: Vec<u32>,
    links: u32,
}

impl Editor {
    /// What a path leads to. Relative links are followed as far as they stay beneath the root, absolute ones lead
    /// nowhere: `EXDEV`.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`, `EXDEV`.
    pub(crate) fn resolve(&mut self, path: &[u8], follow: Follow) -> io::Result<Node> {
        let mut walk = Walk {
            above: vec![ROOT],
            links: 0,
        };
        self.walk(&mut walk, path, follow)
    }

    /// The directory in which the last name of a path is, or would be, and that name.
    ///
    /// # Errors
    /// As [`Self::resolve`]; `EBUSY` for the root.
    pub(crate) fn resolve_parent<'p>(&mut self, path: &'p [u8]) -> io::Result<(Node, &'p [u8])> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            ),
            None => (&[][..], path),
        };
        if name.is_empty() {
            return Err(Errno::BUSY.into());
        }
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG.into());
        }
        let parent = self.resolve(parent, Follow::All)?;
        if !parent.is_directory() {
            return Err(Errno::NOTDIR.into());
        }
        Ok((parent, name))
    }

    /// Where a file would be made that is opened by `path`: where a link is that leads nowhere yet, what it leads to.
    ///
    /// # Errors
    /// As [`Self::resolve_parent`]; `EISDIR` where that would be a directory.
    pub(crate) fn resolve_new(&mut self, path: &[u8]) -> io::Result<(Node, Vec<u8>)> {
        let mut walk = Walk {
            above: vec![ROOT],
            links: 0,
        };
        let mut rest = path.to_vec();
        loop {
            let mut names = split(&rest);
            let name = names.pop().filter(|name| name != b"..").ok_or(Errno::ISDIR)?;
            if name.len() > 255 {
                return Err(Errno::NAMETOOLONG.into());
            }
            let parent = self.walk(&mut walk, &names.join(&b'/'), Follow::All)?;
            if !parent.is_directory() {
                return Err(Errno::NOTDIR.into());
            }
            let Some(found) = self.look_up(&parent, &name)? else {
                return Ok((parent, name));
            };
            let node = self.node(found.inode)?;
            if !node.is_link() {
                return Ok((parent, name));
            }
            rest = self.follow(&mut walk, &node)?;
        }
    }

    fn walk(&mut self, walk: &mut Walk, path: &[u8], follow: Follow) -> io::Result<Node> {
        let mut names: Vec<Vec<u8>> = split(path);
        names.reverse();
        let mut here = self.node(*walk.above.last().unwrap_or(&ROOT))?;
        while let Some(name) = names.pop() {
            if !here.is_directory() {
                return Err(Errno::NOTDIR.into());
            }
            if name == b".." {
                here = self.up(walk)?;
                continue;
            }
            let entry: Entry = self.look_up(&here, &name)?.ok_or(Errno::NOENT)?;
            let next = self.node(entry.inode)?;
            let is_last = names.is_empty();
            if next.is_link() && (follow == Follow::All || !is_last) {
                let target = self.follow(walk, &next)?;
                let mut more = split(&target);
                more.reverse();
                names.append(&mut more);
                continue;
            }
            if next.is_directory() {
                walk.above.push(next.number);
            }
            here = next;
        }
        Ok(here)
    }

    fn up(&mut self, walk: &mut Walk) -> io::Result<Node> {
        walk.above.pop();
        let above = walk.above.last().copied().ok_or(Errno::XDEV)?;
        self.node(above)
    }

    fn follow(&mut self, walk: &mut Walk, link: &Node) -> io::Result<Vec<u8>> {
        walk.links += 1;
        if walk.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = self.target(link)?;
        if target.first() == Some(&b'/') {
            return Err(Errno::XDEV.into());
        }
        Ok(target)
    }

    /// What a link holds.
    ///
    /// # Errors
    /// `EINVAL` for what is none.
    pub(crate) fn target(&mut self, link: &Node) -> io::Result<Vec<u8>> {
        if !link.is_link() {
            return Err(Errno::INVAL.into());
        }
        if link.size() > MOST_TARGET {
            return Err(super::damaged());
        }
        let mut target = vec![0; crate::ext4::disk::index(link.size())];
        if target.len() < FAST_LINK && !link.fixed.has(flag::EXTENTS) {
            target
                .iter_mut()
                .zip(&link.fixed.block)
                .for_each(|(to, from)| *to = *from);
        } else {
            self.read_content(link, 0, &mut target)?;
        }
        Ok(target)
    }
}

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    names
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
