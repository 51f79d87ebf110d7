//! What is done to open files, and to what is in them.

use std::ffi::OsStr;

use super::{DONE, Done, Id, Model, Open, PAGE, index};
use crate::conformance::op::{Allocation, Exclusive, HandleName, Locking, Opening};
use crate::conformance::subject::show_bytes;
use crate::fs::{Errno, FsResult};

impl Model {
    pub(super) fn open(&mut self, name: HandleName, path: &OsStr, flags: Opening, mode: u32) -> Done {
        let found = match self.find(path) {
            Err(Errno::ENOENT) if flags.create => {
                // The parent may be what is missing.
                self.parent(path)?;
                None
            }
            found => Some(found?),
        };
        let id = match found {
            None => self.make(path, libc::S_IFREG | mode)?,
            Some(_) if flags.create && flags.exclusive => return Err(Errno::EEXIST),
            Some(id) => {
                let changes = flags.write || flags.truncate || flags.create;
                match self.node(id)?.kind() {
                    libc::S_IFDIR if changes => return Err(Errno::EISDIR),
                    libc::S_IFREG | libc::S_IFDIR => {}
                    libc::S_IFLNK => return Err(Errno::ELOOP),
                    _ => return Err(Errno::ENXIO),
                }
                id
            }
        };
        if flags.truncate {
            self.node_mut(id)?.bytes.clear();
        }
        self.keep_open(name, id, flags);
        DONE
    }

    pub(super) fn keep_open(&mut self, name: HandleName, node: Id, flags: Opening) {
        let owner = self.next;
        self.next += 1;
        if let Some(before) = self.handles.insert(name, Open { node, flags, owner }) {
            self.drop_locks(before);
        }
    }

    pub(super) fn drop_locks(&mut self, open: Open) {
        if let Some(node) = self.nodes.get_mut(&open.node) {
            node.records.remove(&open.owner);
            node.flocks.remove(&open.owner);
        }
    }

    pub(super) fn tmpfile(&mut self, name: HandleName, path: &OsStr, exclusive: Exclusive) -> Done {
        let parent = self.find(path)?;
        match self.node(parent)?.kind() {
            libc::S_IFDIR => {}
            libc::S_IFLNK => return Err(Errno::ENOENT),
            _ => return Err(Errno::ENOTDIR),
        }
        let id = self.add(libc::S_IFREG | 0o666);
        let node = self.node_mut(id)?;
        node.nlink = 0;
        node.linkable = exclusive == Exclusive::No;
        let flags = Opening {
            read: true,
            write: true,
            ..Opening::default()
        };
        self.keep_open(name, id, flags);
        DONE
    }

    pub(super) fn writable(&self, name: HandleName, otherwise: Errno) -> FsResult<Open> {
        let open = *self.handles.get(name)?;
        if open.flags.write {
            Ok(open)
        } else {
            Err(otherwise)
        }
    }

    pub(super) fn read(&self, name: HandleName, offset: u64, len: u64) -> Done {
        let open = *self.handles.get(name)?;
        if !open.flags.read && open.flags.write {
            return Err(Errno::EBADF);
        }
        let node = self.node(open.node)?;
        if node.is_directory() {
            return Err(Errno::EISDIR);
        }
        Ok(show_bytes(node.range(offset, len)))
    }

    pub(super) fn write(&mut self, name: HandleName, offset: u64, byte: u8, len: u64) -> Done {
        let open = self.writable(name, Errno::EBADF)?;
        let node = self.node_mut(open.node)?;
        let offset = if open.flags.append {
            node.bytes.len() as u64
        } else {
            offset
        };
        let bytes = vec![byte; index(len)];
        node.put(offset, &bytes);
        Ok(format!("{len} written"))
    }

    pub(super) fn truncate(&mut self, path: &OsStr, len: u64) -> Done {
        let id = self.find(path)?;
        let node = self.node_mut(id)?;
        match node.kind() {
            libc::S_IFREG => node.bytes.resize(index(len), 0),
            libc::S_IFDIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        DONE
    }

    pub(super) fn allocate(&mut self, name: HandleName, mode: Allocation, offset: u64, len: u64) -> Done {
        // The descriptor comes first, then the arguments.
        self.handles.get(name)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let open = self.writable(name, Errno::EBADF)?;
        let node = self.node_mut(open.node)?;
        let (end, size) = (offset + len, node.bytes.len() as u64);
        let aligned = offset.is_multiple_of(PAGE) && len.is_multiple_of(PAGE);
        match mode {
            Allocation::Keep | Allocation::PunchAlone => {}
            Allocation::Plain => node.bytes.resize(index(size.max(end)), 0),
            Allocation::Punch | Allocation::ZeroKeep => node.clear(offset, end),
            Allocation::Zero => {
                node.bytes.resize(index(size.max(end)), 0);
                node.clear(offset, end);
            }
            Allocation::Collapse if aligned && end < size => {
                node.bytes.drain(index(offset)..index(end));
            }
            Allocation::Insert if aligned && offset < size => {
                let tail = node.bytes.split_off(index(offset));
                node.bytes.resize(index(end), 0);
                node.bytes.extend(tail);
            }
            Allocation::Collapse | Allocation::Insert => return Err(Errno::EINVAL),
        }
        DONE
    }

    pub(super) fn copy(&mut self, from: (HandleName, u64), to: (HandleName, u64), len: u64) -> Done {
        let (source, target) = (*self.handles.get(from.0)?, *self.handles.get(to.0)?);
        let nodes = [self.node(source.node)?, self.node(target.node)?];
        if nodes.iter().any(|node| node.is_directory()) {
            return Err(Errno::EISDIR);
        }
        let reads = source.flags.read || !source.flags.write;
        if !reads || !target.flags.write || target.flags.append {
            return Err(Errno::EBADF);
        }
        let bytes = self.node(source.node)?.range(from.1, len).to_vec();
        let count = bytes.len() as u64;
        if source.node == target.node && count > 0 && from.1.abs_diff(to.1) < count {
            return Err(Errno::EINVAL);
        }
        self.node_mut(target.node)?.put(to.1, &bytes);
        Ok(format!("{count} copied"))
    }

    pub(super) fn lock(&mut self, name: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let open = *self.handles.get(name)?;
        let reads = open.flags.read || !open.flags.write;
        match kind {
            Locking::Shared if !reads => return Err(Errno::EBADF),
            Locking::Exclusive if !open.flags.write => return Err(Errno::EBADF),
            _ => {}
        }
        let node = self.node_mut(open.node)?;
        let end = if len == 0 { 48 } else { index(start + len) };
        let range = index(start)..end;
        let others = node.records.iter().filter(|(owner, _)| **owner != open.owner);
        let blocked = others
            .filter_map(|(_, held)| held.get(range.clone()))
            .any(|held| held.iter().flatten().any(|theirs| excludes(*theirs, kind)));
        if blocked {
            return Err(Errno::EAGAIN);
        }
        let own = node.records.entry(open.owner).or_insert([None; 48]);
        if let Some(own) = own.get_mut(range) {
            own.fill((kind != Locking::Unlocked).then_some(kind));
        }
        DONE
    }

    pub(super) fn flock(&mut self, name: HandleName, kind: Locking) -> Done {
        let open = *self.handles.get(name)?;
        let node = self.node_mut(open.node)?;
        if node.flocks.get(&open.owner) == Some(&kind) {
            return DONE;
        }
        node.flocks.remove(&open.owner);
        if node.flocks.values().any(|theirs| excludes(*theirs, kind)) {
            return Err(Errno::EAGAIN);
        }
        if kind != Locking::Unlocked {
            node.flocks.insert(open.owner, kind);
        }
        DONE
    }
}

fn excludes(one: Locking, other: Locking) -> bool {
    one != Locking::Unlocked
        && other != Locking::Unlocked
        && (one == Locking::Exclusive || other == Locking::Exclusive)
}
