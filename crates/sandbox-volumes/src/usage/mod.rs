//! What is in a directory, counted by looking at everything in it.

pub(crate) mod weigh;

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::FileType;
use rustix::io::Errno;
use sandbox_types::ByteSize;

use crate::fs::beneath::{Links, Root, kind_of, look, names};
use crate::fs::path::Inner;
use crate::record::Usage;

/// Counts what is in the directory at `path`, itself included. What goes meanwhile is not counted.
pub(crate) fn measure(path: &Path) -> io::Result<Usage> {
    let root = Root::open(path)?;
    let mut count = Count::default();
    count.add(&rustix::fs::fstat(&root)?);
    let mut waiting = vec![Inner::root()];
    while let Some(at) = waiting.pop() {
        match count.directory(&root, &at, &mut waiting) {
            Err(error) if is_gone(&error) => {}
            result => result?,
        }
    }
    Ok(Usage {
        bytes: ByteSize::from_bytes(count.bytes),
        inodes: count.inodes,
        measured_at: SystemTime::now(),
    })
}

/// Removed, or swapped for something else.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    )
}

#[derive(Default)]
struct Count {
    bytes: u64,
    inodes: u64,
    /// Files with more names than one that were counted.
    seen: HashSet<(u64, u64)>,
}

impl Count {
    fn directory(&mut self, root: &Root, at: &Inner, waiting: &mut Vec<Inner>) -> io::Result<()> {
        let directory = root.directory(at, Links::Refuse)?;
        for name in names(directory.as_fd())? {
            let Some(stat) = look(directory.as_fd(), &name)? else {
                continue;
            };
            self.add(&stat);
            if kind_of(&stat) == FileType::Directory {
                waiting.push(at.join(&name));
            }
        }
        Ok(())
    }

    fn add(&mut self, stat: &rustix::fs::Stat) {
        let is_directory = kind_of(stat) == FileType::Directory;
        if !is_directory && stat.st_nlink > 1 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        self.inodes += 1;
        // In units of 512 bytes, whatever the file system's blocks are: stat(2).
        self.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn it_counts_what_du_counts() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/file"), vec![1; 70_000]).unwrap();
        fs::hard_link(root.join("a/file"), root.join("a/b/again")).unwrap();
        fs::File::create(root.join("a/hole"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
        let mine = measure(root).unwrap();
        let du = |flags: &[&str]| -> u64 {
            let output = Command::new("du").args(flags).arg(root).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        };
        assert_eq!(mine.bytes.bytes(), du(&["-s", "-B1"]));
        assert_eq!(mine.inodes, du(&["-s", "--inodes"]));
    }
}
