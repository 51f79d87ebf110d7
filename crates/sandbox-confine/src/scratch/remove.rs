//! Removing a tree that a hostile command has made: of any depth, with directories that have lost their
//! permissions, with a bounded number of descriptors and no recursion that the tree decides on.
//!
//! A directory below [`DEEPEST`] is moved to the top and removed from there. No link is followed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// How many directories are open at once.
const DEEPEST: usize = 32;

/// Removes the directory `path` and all that is in it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let top = open(CWD, path)?;
    let mut moved = 0;
    loop {
        // What was moved up while this directory was listed may be missing from the list.
        empty(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            result => return Ok(result?),
        }
    }
}

fn empty(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Directories cannot be unlinked, and asking spares a look at what kind of thing it is.
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            _ => match unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => false,
                Err(Errno::ISDIR | Errno::PERM) => true,
                Err(errno) => return Err(errno.into()),
            },
        };
        if is_directory && depth < DEEPEST {
            let child = open(directory, name)?;
            empty(top, child.as_fd(), depth + 1, moved)?;
            unlinkat(directory, name, AtFlags::REMOVEDIR)?;
        } else if is_directory {
            move_up(top, directory, name, moved)?;
        }
    }
    Ok(())
}

fn move_up(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> io::Result<()> {
    // Its `..` changes, which takes permission to write it.
    drop(open(directory, name)?);
    loop {
        *moved += 1;
        match renameat(directory, name, top, format!(".moved-{moved}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            result => return Ok(result?),
        }
    }
}

/// Opens a directory so that all in it can be removed.
fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(at, name, flags, Mode::empty());
    let directory = match open() {
        Err(Errno::ACCESS) => {
            // A link here is not a directory that was refused; and the owner of what is named has to be us.
            chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        result => result,
    }?;
    let mode = rustix::fs::fstat(&directory)?.st_mode;
    if Mode::from_raw_mode(mode) & Mode::RWXU != Mode::RWXU {
        rustix::fs::fchmod(&directory, Mode::RWXU)?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tree");
        fs::create_dir(&path).unwrap();
        let mut place = open(CWD, &path).unwrap();
        for level in 0..3000 {
            rustix::fs::mkdirat(&place, "deeper-and-deeper", Mode::RWXU).unwrap();
            if level % 100 == 0 {
                rustix::fs::mkdirat(&place, "beside", Mode::empty()).unwrap();
            }
            place = open(place.as_fd(), "deeper-and-deeper").unwrap();
        }
        drop(place);
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn permissions_do_not_keep_it_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o555)).unwrap();
        let path = dir.path().join("tree");
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/file"), "x").unwrap();
        symlink(&outside, path.join("a/link")).unwrap();
        symlink("nowhere", path.join(".moved-1")).unwrap();
        for (name, mode) in [("a/b", 0o300), ("a", 0o000)] {
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(outside.metadata().unwrap().permissions().mode() & 0o777, 0o555);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home/kept")).unwrap();
        symlink("home", dir.path().join("link")).unwrap();
        remove(&dir.path().join("link")).unwrap_err();
        assert!(dir.path().join("home/kept").exists());
    }
}
