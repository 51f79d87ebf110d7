//! Extended attributes, and the ACLs among them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::filesystem::MemFs;
use super::inode::{Inode, State, xattr_cost};
use crate::backend::acl::{self, Acl};
use crate::fs::{Errno, FsResult, Ino, XattrFlags, XattrReply};

/// Bytes of the longest name of an attribute (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;
/// Bytes of the longest value (`XATTR_SIZE_MAX`).
const VALUE_MAX: usize = 65536;
/// Bytes of the longest list of names (`XATTR_LIST_MAX`).
const LIST_MAX: usize = 65536;

const CAPABILITY: &str = "security.capability";

impl MemFs {
    pub(super) fn set_xattr(&self, ino: Ino, name: &OsStr, value: &[u8], flags: XattrFlags) -> FsResult<()> {
        check_name(name)?;
        if value.len() > VALUE_MAX {
            return Err(Errno::E2BIG);
        }
        let inode = self.table.get(ino)?;
        let mut state = inode.write();
        let there = find(&state, name).is_some();
        match (there, flags) {
            (true, flags) if flags.contains(XattrFlags::CREATE) => return Err(Errno::EEXIST),
            (false, flags) if flags.contains(XattrFlags::REPLACE) => return Err(Errno::ENODATA),
            _ => {}
        }
        if name == acl::ACCESS || name == acl::DEFAULT {
            self.set_acl(&inode, &mut state, name, value)?;
            if flags.contains(XattrFlags::KILL_SGID) {
                state.mode &= !libc::S_ISGID;
            }
        } else {
            self.store(&mut state, name, value)?;
        }
        state.changed();
        Ok(())
    }

    pub(super) fn get_xattr(&self, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        check_name(name)?;
        let inode = self.table.get(ino)?;
        let state = inode.read();
        reply(find(&state, name).ok_or(Errno::ENODATA)?, size)
    }

    pub(super) fn list_xattrs(&self, ino: Ino, size: u32) -> FsResult<XattrReply> {
        let inode = self.table.get(ino)?;
        reply(&names(&inode.read()), size)
    }

    pub(super) fn remove_xattr(&self, ino: Ino, name: &OsStr) -> FsResult<()> {
        check_name(name)?;
        let inode = self.table.get(ino)?;
        let mut state = inode.write();
        if !self.discard(&mut state, name) {
            return Err(Errno::ENODATA);
        }
        state.changed();
        Ok(())
    }

    /// File capabilities go with a write.
    pub(super) fn drop_capabilities(&self, state: &mut State) {
        self.discard(state, OsStr::new(CAPABILITY));
    }

    /// The permission bits were changed: the list follows.
    pub(super) fn acl_follows_mode(&self, state: &mut State) {
        let Some(mut list) = read_acl(state, acl::ACCESS) else {
            return;
        };
        list.set_permissions(state.mode);
        // As long as before, so there is room.
        if let Err(error) = self.store(state, OsStr::new(acl::ACCESS), &list.to_bytes()) {
            tracing::debug!(%error, "an access control list was not changed");
        }
    }

    /// A new inode gets its lists from the directory it is made in; the umask counts only where there are none.
    pub(super) fn inherit_acl(&self, directory: &State, inode: &Inode, umask: u32) -> FsResult<()> {
        let mut state = inode.write();
        let Some(default) = read_acl(directory, acl::DEFAULT) else {
            state.mode &= !(umask & 0o777);
            return Ok(());
        };
        let own = default.inherit(state.mode);
        state.mode = state.mode & !0o777 | own.permissions();
        if !own.is_equivalent_to_bits() {
            self.store(&mut state, OsStr::new(acl::ACCESS), &own.to_bytes())?;
        }
        if inode.is_directory() {
            self.store(&mut state, OsStr::new(acl::DEFAULT), &default.to_bytes())?;
        }
        Ok(())
    }

    fn set_acl(&self, inode: &Inode, state: &mut State, name: &OsStr, value: &[u8]) -> FsResult<()> {
        let Some(list) = Acl::parse(value)? else {
            self.discard(state, name);
            return Ok(());
        };
        match inode.kind {
            libc::S_IFLNK => return Err(Errno::ENOTSUP),
            libc::S_IFDIR => {}
            _ if name == acl::DEFAULT => return Err(Errno::EACCES),
            _ => {}
        }
        if name == acl::DEFAULT {
            return self.store(state, name, &list.to_bytes());
        }
        if list.is_equivalent_to_bits() {
            self.discard(state, name);
        } else {
            self.store(state, name, &list.to_bytes())?;
        }
        state.mode = state.mode & !0o777 | list.permissions();
        Ok(())
    }

    /// `ENOSPC` where there is no room for it, or for its name in a list.
    fn store(&self, state: &mut State, name: &OsStr, value: &[u8]) -> FsResult<()> {
        let cost = xattr_cost(name.as_bytes(), value);
        let before = find(state, name).map_or(0, |old| xattr_cost(name.as_bytes(), old));
        if before == 0 && names(state).len() + name.len() + 1 > LIST_MAX {
            return Err(Errno::ENOSPC);
        }
        if cost > before {
            self.space.charge(cost - before)?;
        } else {
            self.space.release(before - cost);
        }
        let xattrs = state.xattrs.get_or_insert_default();
        xattrs.insert(name.to_owned(), value.into());
        Ok(())
    }

    /// Whether it was there.
    fn discard(&self, state: &mut State, name: &OsStr) -> bool {
        let Some(xattrs) = &mut state.xattrs else {
            return false;
        };
        let Some(value) = xattrs.remove(name) else {
            return false;
        };
        self.space.release(xattr_cost(name.as_bytes(), &value));
        if xattrs.is_empty() {
            state.xattrs = None;
        }
        true
    }
}

/// `ENOTSUP` for a namespace that there is not, `EINVAL` for a namespace alone.
fn check_name(name: &OsStr) -> FsResult<()> {
    const NAMESPACES: [&str; 3] = ["user.", "trusted.", "security."];
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_MAX {
        return Err(Errno::ERANGE);
    }
    if name == acl::ACCESS || name == acl::DEFAULT {
        return Ok(());
    }
    match NAMESPACES
        .iter()
        .find(|namespace| bytes.starts_with(namespace.as_bytes()))
    {
        None => Err(Errno::ENOTSUP),
        Some(namespace) if namespace.len() == bytes.len() => Err(Errno::EINVAL),
        Some(_) => Ok(()),
    }
}

fn find<'a>(state: &'a State, name: &OsStr) -> Option<&'a [u8]> {
    Some(state.xattrs.as_ref()?.get(name)?)
}

fn read_acl(state: &State, name: &str) -> Option<Acl> {
    Acl::parse(find(state, OsStr::new(name))?).ok()?
}

fn names(state: &State) -> Vec<u8> {
    let mut list = Vec::new();
    for name in state.xattrs.iter().flat_map(|xattrs| xattrs.keys()) {
        list.extend_from_slice(name.as_bytes());
        list.push(0);
    }
    list
}

/// The size where that is asked for, else the whole of it or `ERANGE`.
fn reply(data: &[u8], size: u32) -> FsResult<XattrReply> {
    let len = u32::try_from(data.len()).map_err(|_| Errno::E2BIG)?;
    match size {
        0 => Ok(XattrReply::Size(len)),
        size if size < len => Err(Errno::ERANGE),
        _ => Ok(XattrReply::Data(data.to_vec())),
    }
}
