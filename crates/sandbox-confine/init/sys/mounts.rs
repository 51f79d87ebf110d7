//! Mounts by descriptor: nothing is attached before it has its attributes (mount_setattr(2), fsopen(2)).

use super::super::wire::Text;
use super::files::At;
use super::{EINVAL, Fd, Result, arch, fd, number};

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const OPEN_TREE_CLONE: usize = 1;
const CLOEXEC: usize = 0o2_000_000;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
const MOVE_MOUNT_T_EMPTY_PATH: usize = 0x40;
const FSOPEN_CLOEXEC: usize = 1;
const FSMOUNT_CLOEXEC: usize = 1;
const FSCONFIG_SET_FLAG: usize = 0;
const FSCONFIG_SET_STRING: usize = 1;
const FSCONFIG_CMD_CREATE: usize = 6;
const MS_PRIVATE: u64 = 1 << 18;

/// The empty path, which means the descriptor beside it.
fn empty() -> usize {
    c"".as_ptr() as usize
}

/// How far down an attribute reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount.
    Mount,
    /// This mount and all beneath it.
    Tree,
}

impl Reach {
    const fn flag(self) -> usize {
        match self {
            Self::Mount => 0,
            Self::Tree => AT_RECURSIVE,
        }
    }
}

/// A detached copy of the tree at `place`.
pub fn copy_tree(place: &Fd, reach: Reach) -> Result<Fd> {
    let flags = OPEN_TREE_CLONE | CLOEXEC | AT_EMPTY_PATH | reach.flag();
    fd(arch::call(
        arch::number::OPEN_TREE,
        [number(place.number()), empty(), flags, 0, 0, 0],
    ))
}

/// Sets attributes (MOUNT_ATTR_*) of the mount that `mount` is the root of.
pub fn set_attributes(mount: &Fd, reach: Reach, attributes: u64) -> Result<()> {
    set(At::Dir(mount), c"", reach, [attributes, 0, 0])
}

/// Makes one mount read-only, or writable again. EBUSY: a file is open for writing there.
pub fn set_writable(mount: &Fd, writable: bool) -> Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let change = match writable {
        false => [MOUNT_ATTR_RDONLY, 0, 0],
        true => [0, MOUNT_ATTR_RDONLY, 0],
    };
    set(At::Dir(mount), c"", Reach::Mount, change)
}

/// Takes every mount of this namespace out of the propagation of the host's.
pub fn make_all_private() -> Result<()> {
    set(At::Here, c"/", Reach::Tree, [0, 0, MS_PRIVATE])
}

/// `change`: attributes to set, attributes to clear, propagation.
fn set(at: At<'_>, path: &Text, reach: Reach, [attributes, cleared, propagation]: [u64; 3]) -> Result<()> {
    // struct mount_attr: to set, to clear, propagation, user namespace.
    let attr = [attributes, cleared, propagation, 0];
    let flags = AT_EMPTY_PATH | reach.flag();
    let args = [
        at.register(),
        path.as_ptr() as usize,
        flags,
        attr.as_ptr() as usize,
        32,
        0,
    ];
    arch::call(arch::number::MOUNT_SETATTR, args).map(drop)
}

/// Attaches a detached mount at `place`.
pub fn attach(mount: &Fd, place: &Fd) -> Result<()> {
    move_to(mount, place, 0)
}

/// Attaches a detached mount beneath the one that `place` is the root of (Linux 6.5; EINVAL before).
pub fn attach_beneath(mount: &Fd, place: &Fd) -> Result<()> {
    const MOVE_MOUNT_BENEATH: usize = 0x200;
    move_to(mount, place, MOVE_MOUNT_BENEATH)
}

fn move_to(mount: &Fd, place: &Fd, how: usize) -> Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | how;
    let args = [
        number(mount.number()),
        empty(),
        number(place.number()),
        empty(),
        flags,
        0,
    ];
    arch::call(arch::number::MOVE_MOUNT, args).map(drop)
}

/// A new, detached file system; `options` are `key=value` or `key`, separated by commas.
pub fn new_file_system(kind: &Text, options: &Text, attributes: u64) -> Result<Fd> {
    let context = new_context(kind)?;
    for option in options
        .to_bytes()
        .split(|byte| *byte == b',')
        .filter(|option| !option.is_empty())
    {
        configure(&context, option)?;
    }
    mount_context(&context, attributes)
}

/// A file system that is being configured (fsopen(2)).
pub fn new_context(kind: &Text) -> Result<Fd> {
    fd(arch::call(
        arch::number::FSOPEN,
        [kind.as_ptr() as usize, FSOPEN_CLOEXEC, 0, 0, 0, 0],
    ))
}

/// Makes the file system that has been configured, and a detached mount of it.
pub fn mount_context(context: &Fd, attributes: u64) -> Result<Fd> {
    arch::call(
        arch::number::FSCONFIG,
        [number(context.number()), FSCONFIG_CMD_CREATE, 0, 0, 0, 0],
    )?;
    let args = [
        number(context.number()),
        FSMOUNT_CLOEXEC,
        attributes as usize,
        0,
        0,
        0,
    ];
    fd(arch::call(arch::number::FSMOUNT, args))
}

/// An option of a file system that is being configured.
#[derive(Debug, Clone, Copy)]
pub enum Setting<'a> {
    /// `key`.
    Flag(&'a Text),
    /// `key=value`.
    Text(&'a Text, &'a Text),
}

/// Sets one option (fsconfig(2)).
pub fn set_option(context: &Fd, setting: Setting<'_>) -> Result<()> {
    let (command, key, value) = match setting {
        Setting::Flag(key) => (FSCONFIG_SET_FLAG, key, 0),
        Setting::Text(key, value) => (FSCONFIG_SET_STRING, key, value.as_ptr() as usize),
    };
    let args = [
        number(context.number()),
        command,
        key.as_ptr() as usize,
        value,
        0,
        0,
    ];
    arch::call(arch::number::FSCONFIG, args).map(drop)
}

/// An option as it stands in a list.
fn configure(context: &Fd, option: &[u8]) -> Result<()> {
    let mut split = option.splitn(2, |byte| *byte == b'=');
    let mut key = [0_u8; 32];
    let mut value = [0_u8; 96];
    let key = copy_text(&mut key, split.next().unwrap_or_default())?;
    match split.next() {
        Some(text) => set_option(context, Setting::Text(key, copy_text(&mut value, text)?)),
        None => set_option(context, Setting::Flag(key)),
    }
}

/// Copies a text into a zeroed buffer, with room for its NUL.
fn copy_text<'a>(to: &'a mut [u8], text: &[u8]) -> Result<&'a Text> {
    let room = to.len().saturating_sub(1);
    to.get_mut(..room)
        .and_then(|to| to.get_mut(..text.len()))
        .ok_or(EINVAL)?
        .copy_from_slice(text);
    Text::from_bytes_until_nul(to).map_err(|_| EINVAL)
}
