//! Removing trees that commands have made: of any depth, with directories that have lost their permissions, with a
//! bounded number of descriptors.
//!
//! A directory below [`DEEPEST`] is moved to the top and removed from there. No link is followed.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How many directories are open at once.
const DEEPEST: usize = 32;

/// Removes the directory at `path` and all that is in it. What is gone already is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match remove_at(CWD, path.as_os_str()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes what is called `name` in `directory`, and all that is in it.
pub(crate) fn remove_at(directory: impl AsFd, name: &OsStr) -> io::Result<()> {
    let directory = directory.as_fd();
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        result => return Ok(result?),
    }
    let top = open(directory, name)?;
    let mut sweep = Sweep {
        top: top.as_fd(),
        moved: 0,
    };
    loop {
        // What was moved up while this directory was listed may be missing from the list.
        sweep.empty(top.as_fd(), 0)?;
        match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            result => return Ok(result?),
        }
    }
}

struct Sweep<'t> {
    top: BorrowedFd<'t>,
    /// How many names were given to what was moved up.
    moved: u64,
}

impl Sweep<'_> {
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." || !is_directory(directory, name, entry.file_type())? {
                continue;
            }
            if depth < DEEPEST {
                let child = open(directory, name)?;
                self.empty(child.as_fd(), depth + 1)?;
                match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
                    // Somebody has put something there; the top is looked at again.
                    Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                    result => result?,
                }
            } else {
                self.move_up(directory, name)?;
            }
        }
        Ok(())
    }

    fn move_up(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        // Its `..` changes, which takes permission to write it.
        drop(open(directory, name)?);
        loop {
            self.moved += 1;
            let free = format!(".moved-{}", self.moved);
            match rustix::fs::renameat_with(directory, name, self.top, free, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                result => return result,
            }
        }
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

/// Opens a directory so that all in it can be removed.
fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(at, name, flags, Mode::empty());
    let directory = match open() {
        Err(Errno::ACCESS) => {
            // By its descriptor: a link that is swapped in must not have what it leads to changed.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let node = rustix::fs::openat(at, name, flags, Mode::empty())?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", node.as_raw_fd()), Mode::RWXU)?;
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
        for _ in 0..3000 {
            rustix::fs::mkdirat(&directory, "deeper", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&directory, "closed", Mode::empty()).unwrap();
            directory = open(directory.as_fd(), "deeper").unwrap();
        }
        drop(directory);
        remove_tree(&path).unwrap();
        assert!(!path.exists());
        remove_tree(&path).unwrap();
    }

    #[test]
    fn links_are_removed_and_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let [tree, kept] = ["tree", "kept"].map(|name| place.path().join(name));
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::create_dir_all(kept.join("b")).unwrap();
        symlink(&kept, tree.join("a/link")).unwrap();
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.join("b").exists());
        symlink(&kept, &tree).unwrap();
        remove_at(CWD, tree.as_os_str()).unwrap();
        assert!(kept.join("b").exists());
    }
}
