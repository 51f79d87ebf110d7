//! Removing trees that commands have made: of any depth, with directories that have lost their permissions, with a
//! bounded number of descriptors and no recursion that the tree decides on.
//!
//! A directory below [`DEEPEST`] is moved to the top and removed from there. No link is followed.
//!
//! `sandbox-volumes` has the same of its own: siblings do not depend on one another, and what they share is data, in
//! `sandbox-types`, where nothing is read or removed. A crate for these calls would be more than they are.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How many directories are open at once.
const DEEPEST: usize = 32;

/// Removes the directory `path` and all that is in it. What is gone already is fine, and what somebody else removes
/// meanwhile.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    };
    let mut moved = 0;
    loop {
        // What was moved up while this directory was listed may be missing from the list.
        empty(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        match rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(Errno::NOENT) => return Ok(()),
            result => return Ok(result?),
        }
    }
}

fn empty(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = match entry {
            // Of a directory that is gone itself.
            Err(Errno::NOENT) => return Ok(()),
            entry => entry?,
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !is_directory(directory, name, entry.file_type())? {
            continue;
        }
        if depth < DEEPEST {
            let Some(child) = unless_gone(open(directory, name))? else {
                continue;
            };
            empty(top, child.as_fd(), depth + 1, moved)?;
            unless_gone(rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR))?;
        } else {
            unless_gone(move_up(top, directory, name, moved))?;
        }
    }
    Ok(())
}

fn unless_gone<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::NOENT) => Ok(None),
        result => result.map(Some),
    }
}

/// Unlinks what is no directory.
fn is_directory(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    if kind == FileType::Directory {
        return Ok(true);
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        // The file system does not say what kind of thing it is.
        Err(Errno::ISDIR) => Ok(true),
        Err(errno) => Err(errno),
    }
}

fn move_up(
    top: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &CStr,
    moved: &mut u64,
) -> Result<(), Errno> {
    // Its `..` changes, which takes permission to write it.
    drop(open(directory, name)?);
    loop {
        *moved += 1;
        let free = format!(".moved-{moved}");
        match rustix::fs::renameat_with(directory, name, top, free, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            result => return result,
        }
    }
}

/// Opens a directory so that all in it can be removed.
fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(at, name, flags, Mode::empty());
    let directory = match open() {
        Err(Errno::ACCESS) => {
            // A link would be no directory that was refused; and it has to be ours.
            rustix::fs::chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        result => result,
    }?;
    let mode = rustix::fs::fstat(&directory)?.st_mode;
    if !Mode::from_raw_mode(mode).contains(Mode::RWXU) {
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
    fn a_tree_deeper_than_there_are_descriptors_and_paths_goes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tree");
        fs::create_dir(&path).unwrap();
        let mut directory = open(CWD, &path).unwrap();
        for level in 0..3000 {
            rustix::fs::mkdirat(&directory, "deeper", Mode::RWXU).unwrap();
            if level % 100 == 0 {
                rustix::fs::mkdirat(&directory, "beside", Mode::empty()).unwrap();
            }
            directory = open(directory.as_fd(), "deeper").unwrap();
        }
        drop(directory);
        remove_tree(&path).unwrap();
        assert!(!path.exists());
        remove_tree(&path).unwrap();
    }

    #[test]
    fn permissions_do_not_keep_it_and_links_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let [path, outside] = ["tree", "outside"].map(|name| place.path().join(name));
        fs::create_dir_all(outside.join("kept")).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o555)).unwrap();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/file"), "x").unwrap();
        symlink(&outside, path.join("a/link")).unwrap();
        fs::set_permissions(path.join("a/b"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&path).unwrap();
        assert!(!path.exists());
        assert!(outside.join("kept").exists());
        assert_eq!(outside.metadata().unwrap().permissions().mode() & 0o777, 0o555);
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
