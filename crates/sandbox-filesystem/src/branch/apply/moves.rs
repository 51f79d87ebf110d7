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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two directories, and what is to be moved from the one to the other.
    fn scene() -> (tempfile::TempDir, OwnedFd, OwnedFd) {
        let place = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            std::fs::create_dir(place.path().join(name)).unwrap();
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            rustix::fs::open(place.path().join(name), flags, Mode::empty()).unwrap()
        };
        let (from, to) = (open("from"), open("to"));
        std::fs::write(place.path().join("from/file"), "").unwrap();
        std::fs::create_dir(place.path().join("from/dir")).unwrap();
        (place, from, to)
    }

    fn named<'a>(dir: &'a OwnedFd, name: &'a str) -> Named<'a> {
        (dir.as_fd(), Path::new(name))
    }

    #[test]
    fn without_flags_nothing_is_replaced_either() {
        let (place, from, to) = scene();
        std::fs::write(place.path().join("to/file"), "theirs").unwrap();
        std::fs::create_dir(place.path().join("to/dir")).unwrap();
        for name in ["file", "dir"] {
            let moved = rename_without_flags(named(&from, name), named(&to, name));
            assert_eq!(moved, Err(Errno::EXIST), "{name}");
            assert_eq!(
                rename_without_flags(named(&from, name), named(&to, "new")),
                Ok(()),
                "{name}"
            );
            let path = place.path().join("to/new");
            assert!(path.symlink_metadata().is_ok(), "{name}");
            assert!(
                place.path().join("from").join(name).symlink_metadata().is_err(),
                "{name}"
            );
            std::fs::rename(path, place.path().join(format!("to/done-{name}"))).unwrap();
        }
    }

    #[test]
    fn without_flags_a_move_that_was_interrupted_is_finished() {
        let (place, from, to) = scene();
        std::fs::hard_link(place.path().join("from/file"), place.path().join("to/file")).unwrap();
        rename_without_flags(named(&from, "file"), named(&to, "file")).unwrap();
        assert!(!place.path().join("from/file").exists());
        assert!(place.path().join("to/file").exists());
    }
}
