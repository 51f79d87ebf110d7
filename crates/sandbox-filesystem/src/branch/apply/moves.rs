//! The only calls that change names in a base.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::super::beneath::{Place, names, node_at};
use super::super::node::Meta;
use super::slots::Slots;

/// Moves a slot to a place where nothing is.
pub(super) fn put(slots: &Slots, slot: &str, place: &Place) -> Result<(), Errno> {
    rename_to_new(
        (slots.as_fd(), Path::new(slot)),
        (place.parent.as_fd(), place.name()),
    )
}

/// Moves what is at a place to a slot where nothing is.
pub(super) fn take(place: &Place, slots: &Slots, slot: &str) -> Result<(), Errno> {
    rename_to_new(
        (place.parent.as_fd(), place.name()),
        (slots.as_fd(), Path::new(slot)),
    )
}

/// Lets a slot and a place change what they have, in one step.
pub(super) fn exchange(place: &Place, slots: &Slots, slot: &str) -> Result<(), Errno> {
    let flags = RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(&place.parent, place.name(), slots, slot, flags)
}

/// Removes a directory, which fails where it is not empty.
pub(super) fn remove_dir(place: &Place) -> Result<(), Errno> {
    rustix::fs::unlinkat(&place.parent, place.name(), AtFlags::REMOVEDIR)
}

/// Makes a directory in a slot; an O_PATH descriptor of it.
pub(super) fn make_dir(slots: &Slots, slot: &str) -> io::Result<OwnedFd> {
    rustix::fs::mkdirat(slots, slot, Mode::RWXU)?;
    node_at(slots.as_fd(), slot)
}

/// Whether there is something in the directory in a slot.
pub(super) fn is_full(slots: &Slots, slot: &str) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(slots, slot, flags, Mode::empty())?;
    Ok(!names(dir.as_fd())?.is_empty())
}

type Named<'a> = (BorrowedFd<'a>, &'a Path);

fn rename_to_new(from: Named<'_>, to: Named<'_>) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rename_without_flags(from, to),
        result => result,
    }
}

/// For file systems without RENAME_NOREPLACE. A new link fails where something is; of a directory only an empty
/// directory is ever replaced.
fn rename_without_flags(from: Named<'_>, to: Named<'_>) -> Result<(), Errno> {
    let look = |(dir, name): Named<'_>| {
        Meta::at(dir, name).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let old = look(from)?.ok_or(Errno::NOENT)?;
    let new = look(to)?;
    match new {
        // A crash came between link and unlink.
        Some(new) if (new.dev, new.ino) == (old.dev, old.ino) => {}
        Some(_) => return Err(Errno::EXIST),
        None if old.is_dir() => return rustix::fs::renameat(from.0, from.1, to.0, to.1),
        None => rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?,
    }
    rustix::fs::unlinkat(from.0, from.1, AtFlags::empty())
}
