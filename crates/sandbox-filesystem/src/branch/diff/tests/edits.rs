//! What a command can do to a tree, as data, so that the same can be done to several.
//!
//! An edit that cannot be done is left out. Times of files are set, to the number of the edit, so that they
//! are the same in every tree.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::world::odd;

/// A path as components, each an index into [`NAMES`].
type Place = Vec<usize>;

const NAMES: [&[u8]; 7] = [b"a", b"b", b"c", b"a.b", b"d e", b"\xff\xfe", "ä\n".as_bytes()];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Edit {
    /// Written in place, made if it is not there.
    Write(Place, Content),
    /// Written beside and renamed over, as editors do.
    Save(Place, Content),
    Append(Place),
    /// Made this long, a hole at its end.
    Extend(Place, u64),
    /// With all that is in it.
    Remove(Place),
    /// With all that is in it, and made again.
    Renew(Place),
    Mkdir(Place),
    Rename(Place, Place),
    Link(Place, Place),
    Symlink(Place, usize),
    Fifo(Place),
    Chmod(Place, u32),
    Touch(Place),
    Xattr(Place, u8, u8),
    Unxattr(Place, u8),
}

/// So many bytes, all of them this one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Content(u8, usize);

fn place() -> impl Strategy<Value = Place> {
    prop::collection::vec(0..NAMES.len(), 1..4)
}

fn content() -> impl Strategy<Value = Content> {
    let length = prop::sample::select(vec![0, 1, 1, 5, 4096, 5000, 140_000]);
    (b'x'..=b'z', length).prop_map(|(byte, length)| Content(byte, length))
}

/// What makes a base: everything in it can be read, and nothing has several names.
pub(super) fn making() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        6 => (place(), content()).prop_map(|(place, content)| Edit::Write(place, content)),
        3 => place().prop_map(Edit::Mkdir),
        1 => (place(), 0..NAMES.len()).prop_map(|(place, target)| Edit::Symlink(place, target)),
        1 => place().prop_map(Edit::Fifo),
        1 => (place(), 1_u64..100_000).prop_map(|(place, size)| Edit::Extend(place, size)),
        1 => (place(), readable_mode()).prop_map(|(place, mode)| Edit::Chmod(place, mode)),
        1 => (place(), 0_u8..2, any::<u8>()).prop_map(|(place, name, value)| Edit::Xattr(place, name, value)),
    ];
    prop::collection::vec(edit, 1..40)
}

/// The same, with files of several names.
#[cfg(feature = "fuse")]
pub(super) fn making_links() -> impl Strategy<Value = Vec<Edit>> {
    let links = prop::collection::vec((place(), place()), 0..6);
    (making(), links).prop_map(|(mut edits, links)| {
        edits.extend(links.into_iter().map(|(from, to)| Edit::Link(from, to)));
        edits
    })
}

/// What a command does.
pub(super) fn working() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (place(), content()).prop_map(|(place, content)| Edit::Write(place, content)),
        3 => (place(), content()).prop_map(|(place, content)| Edit::Save(place, content)),
        1 => place().prop_map(Edit::Append),
        1 => (place(), 1_u64..100_000).prop_map(|(place, size)| Edit::Extend(place, size)),
        4 => place().prop_map(Edit::Remove),
        2 => place().prop_map(Edit::Renew),
        2 => place().prop_map(Edit::Mkdir),
        5 => (place(), place()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (place(), place()).prop_map(|(from, to)| Edit::Link(from, to)),
        1 => (place(), 0..NAMES.len()).prop_map(|(place, target)| Edit::Symlink(place, target)),
        1 => place().prop_map(Edit::Fifo),
        2 => (place(), any_mode()).prop_map(|(place, mode)| Edit::Chmod(place, mode)),
        2 => place().prop_map(Edit::Touch),
        2 => (place(), 0_u8..3, any::<u8>()).prop_map(|(place, name, value)| Edit::Xattr(place, name, value)),
        1 => (place(), 0_u8..3).prop_map(|(place, name)| Edit::Unxattr(place, name)),
    ];
    prop::collection::vec(edit, 1..30)
}

/// What a command does in a whole copy, where attributes that are named like overlayfs' own are not looked at.
pub(super) fn working_in_copy() -> impl Strategy<Value = Vec<Edit>> {
    let is_fine = |edit: &Edit| !matches!(edit, Edit::Xattr(_, 2, _));
    working().prop_map(move |edits| edits.into_iter().filter(is_fine).collect())
}

/// What a command does that leaves no file with several names: in a lower layer they fall apart.
pub(super) fn working_without_links() -> impl Strategy<Value = Vec<Edit>> {
    let is_fine = |edit: &Edit| !matches!(edit, Edit::Link(..));
    working().prop_map(move |edits| edits.into_iter().filter(is_fine).collect())
}

fn readable_mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0o500, 0o755, 0o1777, 0o2750])
}

fn any_mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 0o100, 0o400, 0o644, 0o755, 0o1777, 0o2750, 0o4711])
}

/// Does all that can be done of `edits`.
pub(super) fn apply(root: &Path, edits: &[Edit], start: i64) {
    for (number, edit) in edits.iter().enumerate() {
        let time = start + i64::try_from(number).unwrap();
        // What cannot be done here cannot be done in the other trees.
        drop(edit.apply(root, time));
    }
}

impl Edit {
    fn apply(&self, root: &Path, time: i64) -> io::Result<()> {
        let at = |place: &Place| {
            place
                .iter()
                .fold(root.to_owned(), |path, name| path.join(odd(NAMES[*name])))
        };
        match self {
            Self::Write(place, content) => write(&at(place), *content, time),
            Self::Save(place, content) => save(&at(place), *content, time),
            Self::Append(place) => {
                let path = file(at(place))?;
                fs::OpenOptions::new()
                    .append(true)
                    .open(&path)?
                    .write_all(b"more")?;
                touch(&path, time)
            }
            Self::Extend(place, size) => {
                let path = file(at(place))?;
                fs::OpenOptions::new().write(true).open(&path)?.set_len(*size)?;
                touch(&path, time)
            }
            Self::Remove(place) => remove(&at(place)),
            Self::Renew(place) => {
                remove(&at(place))?;
                fs::create_dir(at(place))
            }
            Self::Mkdir(place) => fs::create_dir(at(place)),
            Self::Rename(from, to) => rename(root, &at(from), &at(to)),
            Self::Link(from, to) => fs::hard_link(file(at(from))?, at(to)),
            Self::Symlink(place, target) => {
                symlink(odd(NAMES[*target]), at(place))?;
                touch(&at(place), time)
            }
            Self::Fifo(place) => {
                rustix::fs::mknodat(CWD, at(place), FileType::Fifo, Mode::RUSR, 0)?;
                touch(&at(place), time)
            }
            Self::Chmod(place, mode) => {
                let path = at(place);
                if fs::symlink_metadata(&path)?.is_symlink() {
                    return Ok(());
                }
                fs::set_permissions(path, fs::Permissions::from_mode(*mode))
            }
            Self::Touch(place) => touch(&at(place), time),
            Self::Xattr(place, name, value) => {
                let flags = XattrFlags::empty();
                Ok(rustix::fs::lsetxattr(
                    at(place),
                    xattr_name(*name),
                    &[*value],
                    flags,
                )?)
            }
            Self::Unxattr(place, name) => Ok(rustix::fs::lremovexattr(at(place), xattr_name(*name))?),
        }
    }
}

fn xattr_name(name: u8) -> &'static str {
    ["user.one", "user.two", "user.overlay.mine"][usize::from(name)]
}

/// A regular file, or nothing.
fn file(path: PathBuf) -> io::Result<PathBuf> {
    if fs::symlink_metadata(&path)?.is_file() {
        Ok(path)
    } else {
        Err(Errno::INVAL.into())
    }
}

fn write(path: &Path, content: Content, time: i64) -> io::Result<()> {
    let is_other = fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file());
    if is_other {
        return Err(Errno::INVAL.into());
    }
    let new = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    new.write_all_at(&vec![content.0; content.1], 0)?;
    touch(path, time)
}

fn save(path: &Path, content: Content, time: i64) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        return Err(Errno::ISDIR.into());
    }
    let beside = path.with_file_name("saved");
    write(&beside, content, time)?;
    fs::rename(beside, path)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn touch(path: &Path, time: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: 1_600_000_000 + time,
        tv_nsec: 5,
    };
    set_time(path, time)
}

fn set_time(path: &Path, time: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// As mv(1) does it: renamed where possible, else copied and removed.
fn rename(root: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let is_dir = fs::symlink_metadata(from)?.is_dir();
    let target = fs::symlink_metadata(to);
    // A view of our own is reached by a link.
    let parent = to.parent().unwrap();
    let parent_is_dir = parent == root || fs::symlink_metadata(parent).is_ok_and(|meta| meta.is_dir());
    if !parent_is_dir || to.starts_with(from) || target.is_ok_and(|meta| is_dir || meta.is_dir()) {
        return Err(Errno::INVAL.into());
    }
    match fs::rename(from, to) {
        Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
            copy(from, to)?;
            fs::remove_dir_all(from)
        }
        result => result,
    }
}

/// A copy in which nothing differs but hard links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else if meta.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if meta.is_file() {
        fs::copy(from, to)?;
    } else {
        rustix::fs::mknodat(CWD, to, FileType::Fifo, Mode::RUSR, 0)?;
    }
    for (name, value) in super::naive::xattrs(from) {
        rustix::fs::lsetxattr(to, name.as_slice(), &value, XattrFlags::empty())?;
    }
    if !meta.is_symlink() {
        fs::set_permissions(to, meta.permissions())?;
    }
    let time = Timespec {
        tv_sec: meta.mtime(),
        tv_nsec: meta.mtime_nsec(),
    };
    set_time(to, time)
}
