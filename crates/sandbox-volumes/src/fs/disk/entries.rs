//! Making, renaming and removing entries; permissions and times.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use sandbox_types::TreeTime;

use super::DiskFs;
use super::access::{bytes, owner};
use crate::ext4::edit::{Editor, Follow, NewNode};
use crate::fs::error::FsError;
use crate::fs::path::Inner;

/// A directory, for everybody to look into.
const NEW_DIRECTORY: u16 = 0o040_755;
const NEW_LINK: u16 = 0o120_777;

impl DiskFs {
    pub(in crate::fs) fn mkdir(&self, path: &Inner) -> Result<(), FsError> {
        self.changing("mkdir", path, |editor| mkdir(editor, path))
    }

    pub(in crate::fs) fn mkdir_all(&self, path: &Inner) -> Result<(), FsError> {
        self.changing("mkdir", path, |editor| {
            for step in path.steps() {
                match mkdir(editor, &step) {
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => {
                        // It has to be a directory, or lead to one.
                        if !editor.resolve(bytes(&step), Follow::All)?.is_directory() {
                            return Err(Errno::NOTDIR.into());
                        }
                    }
                    result => result?,
                }
            }
            Ok(())
        })
    }

    pub(in crate::fs) fn remove(&self, path: &Inner) -> Result<(), FsError> {
        self.changing("remove", path, |editor| {
            let (mut parent, name) = editor.resolve_parent(bytes(path))?;
            editor.remove(&mut parent, name)
        })
    }

    pub(in crate::fs) fn remove_dir(&self, path: &Inner) -> Result<(), FsError> {
        self.changing("remove", path, |editor| {
            let (mut parent, name) = editor.resolve_parent(bytes(path))?;
            editor.remove_directory(&mut parent, name)
        })
    }

    pub(in crate::fs) fn remove_dir_all(&self, path: &Inner) -> Result<(), FsError> {
        self.changing("remove", path, |editor| {
            let (parent, name) = editor.resolve_parent(bytes(path))?;
            editor.remove_tree(&parent, name)
        })
    }

    pub(in crate::fs) fn rename(&self, from: &Inner, to: &Inner) -> Result<(), FsError> {
        self.changing("rename", from, |editor| {
            let old = editor.resolve_parent(bytes(from))?;
            let new = editor.resolve_parent(bytes(to))?;
            editor.rename(old, new)
        })
    }

    pub(in crate::fs) fn symlink(&self, target: &Path, path: &Inner) -> Result<(), FsError> {
        self.changing("symlink", path, |editor| {
            let (mut parent, name) = editor.resolve_parent(bytes(path))?;
            let new = NewNode::plain(NEW_LINK, owner());
            let target = target.as_os_str().as_bytes();
            editor.make_link(&mut parent, name, target, &new).map(drop)
        })
    }

    pub(in crate::fs) fn set_permissions(&self, path: &Inner, mode: u32) -> Result<(), FsError> {
        let permissions = u16::try_from(mode & 0o7777).unwrap_or_default();
        self.changing("chmod", path, |editor| {
            let mut node = editor.resolve(bytes(path), Follow::All)?;
            editor.set_attributes(&mut node, Some(permissions), None)
        })
    }

    pub(in crate::fs) fn set_times(
        &self,
        path: &Inner,
        accessed: SystemTime,
        modified: SystemTime,
    ) -> Result<(), FsError> {
        let times = (moment(accessed), moment(modified));
        self.changing("utimens", path, |editor| {
            let mut node = editor.resolve(bytes(path), Follow::All)?;
            editor.set_attributes(&mut node, None, Some(times))
        })
    }
}

fn mkdir(editor: &mut Editor, path: &Inner) -> std::io::Result<()> {
    let (mut parent, name) = match editor.resolve_parent(bytes(path)) {
        // The root is there already.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => return Err(Errno::EXIST.into()),
        result => result?,
    };
    let new = NewNode::plain(NEW_DIRECTORY, owner());
    editor.make_directory(&mut parent, name, &new).map(drop)
}

/// As the disk has it: seconds rounded down.
pub(super) fn moment(time: SystemTime) -> TreeTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => TreeTime {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: after.subsec_nanos(),
        },
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => TreeTime {
                    seconds: whole,
                    nanoseconds: 0,
                },
                nanos => TreeTime {
                    seconds: whole.saturating_sub(1),
                    nanoseconds: 1_000_000_000 - nanos,
                },
            }
        }
    }
}
