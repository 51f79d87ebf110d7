//! Owner, mode and type of a file that are kept in an extended attribute, beside what the host has: for servers that may
//! not give files to others, and for everybody who reads what they have written.
//!
//! The value is `uid:gid:mode[:type[:ignored]]`: decimal ids, an octal mode, and a type of `file`, `dir`, `symlink`, `pipe`,
//! `socket`, `block-MAJOR-MINOR` or `char-MAJOR-MINOR`. It is written as containers/storage does
//! (`pkg/idtools/idtools.go`, `FormatContainersOverrideXattrDevice`); read also without a type and with ids of 2³¹ and
//! more as negative ones (fuse-overlayfs up to 1.10), and with the type in the mode (libkrun).

use std::fmt;

use crate::TreeDevice;

/// What such an attribute says of a file.
///
/// ```
/// use sandbox_types::{OverrideKind, OverrideStat};
///
/// let found = OverrideStat::parse(b"1000:100:4755:file");
/// let expected = OverrideStat { uid: 1000, gid: 100, mode: 0o4755, kind: Some(OverrideKind::File) };
/// assert_eq!(found, Some(expected));
/// assert_eq!(expected.to_string(), "1000:100:4755:file");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverrideStat {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Where the attribute says so; otherwise what the host says.
    pub kind: Option<OverrideKind>,
}

/// What a file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; the content is its target.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
    /// A block device.
    BlockDevice(TreeDevice),
    /// A character device.
    CharDevice(TreeDevice),
}

impl OverrideStat {
    /// The attribute of podman (containers/storage), libkrun, and fuse-overlayfs after 1.10.
    pub const CONTAINERS: &'static str = "user.containers.override_stat";

    /// The attribute of fuse-overlayfs up to 1.10 with `xattr_permissions=2`.
    pub const FUSE_OVERLAYFS: &'static str = "user.fuseoverlayfs.override_stat";

    /// The attribute of fuse-overlayfs with `xattr_permissions=1`, which only a privileged process can set.
    pub const FUSE_OVERLAYFS_PRIVILEGED: &'static str = "security.fuseoverlayfs.override_stat";

    /// Longer values than this many bytes follow no grammar: two ids, a mode and two device numbers take 60.
    pub const LONGEST: usize = 128;

    /// Whether an attribute of this name can mean something of the kind to somebody.
    pub fn is_name(name: &[u8]) -> bool {
        [
            Self::CONTAINERS,
            Self::FUSE_OVERLAYFS,
            Self::FUSE_OVERLAYFS_PRIVILEGED,
        ]
        .iter()
        .any(|known| known.as_bytes() == name)
    }

    /// None where the value does not follow the grammar.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let short = (value.len() <= Self::LONGEST).then_some(value)?;
        let text = std::str::from_utf8(short).ok()?;
        let text = text.strip_suffix('\0').unwrap_or(text);
        let mut parts = text.split(':');
        let uid = id(parts.next()?)?;
        let gid = id(parts.next()?)?;
        let mode = u32::from_str_radix(digits(parts.next()?)?, 8).ok()?;
        let kind = match parts.next() {
            None => kind_of_mode(mode),
            Some(name) => Some(kind_of(name)?),
        };
        Some(Self {
            uid,
            gid,
            mode: mode & 0o7777,
            kind,
        })
    }
}

/// The value.
impl fmt::Display for OverrideStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, gid, mode, kind } = self;
        write!(f, "{uid}:{gid}:{mode:04o}")?;
        match kind {
            None => Ok(()),
            Some(OverrideKind::File) => f.write_str(":file"),
            Some(OverrideKind::Directory) => f.write_str(":dir"),
            Some(OverrideKind::Symlink) => f.write_str(":symlink"),
            Some(OverrideKind::Fifo) => f.write_str(":pipe"),
            Some(OverrideKind::Socket) => f.write_str(":socket"),
            Some(OverrideKind::BlockDevice(TreeDevice { major, minor })) => {
                write!(f, ":block-{major}-{minor}")
            }
            Some(OverrideKind::CharDevice(TreeDevice { major, minor })) => write!(f, ":char-{major}-{minor}"),
        }
    }
}

/// The type in an `st_mode`, where there is one. Which device it is, a mode does not say.
fn kind_of_mode(mode: u32) -> Option<OverrideKind> {
    const TYPE: u32 = 0o170_000;
    let unknown = TreeDevice { major: 0, minor: 0 };
    match mode & TYPE {
        0o100_000 => Some(OverrideKind::File),
        0o040_000 => Some(OverrideKind::Directory),
        0o120_000 => Some(OverrideKind::Symlink),
        0o010_000 => Some(OverrideKind::Fifo),
        0o140_000 => Some(OverrideKind::Socket),
        0o060_000 => Some(OverrideKind::BlockDevice(unknown)),
        0o020_000 => Some(OverrideKind::CharDevice(unknown)),
        _ => None,
    }
}

fn kind_of(name: &str) -> Option<OverrideKind> {
    Some(match name {
        "file" => OverrideKind::File,
        "dir" => OverrideKind::Directory,
        "symlink" => OverrideKind::Symlink,
        "pipe" => OverrideKind::Fifo,
        "socket" => OverrideKind::Socket,
        device => return self::device(device),
    })
}

/// More than three parts are a later version's; they are ignored, as containers/storage ignores them.
fn device(name: &str) -> Option<OverrideKind> {
    let mut parts = name.split('-');
    let kind = match parts.next()? {
        "block" => OverrideKind::BlockDevice,
        "char" => OverrideKind::CharDevice,
        _ => return None,
    };
    let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
    Some(kind(TreeDevice { major, minor }))
}

/// fuse-overlayfs up to 1.10 wrote ids as `int`.
fn id(text: &str) -> Option<u32> {
    match text.strip_prefix('-') {
        Some(rest) => digits(rest)
            .and_then(|_| text.parse::<i32>().ok())
            .map(i32::cast_unsigned),
        None => number(text),
    }
}

fn number(text: &str) -> Option<u32> {
    digits(text)?.parse().ok()
}

/// Rust's parsers take a sign, which the grammar does not have.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use OverrideKind::{BlockDevice, CharDevice, Directory, Fifo, File, Socket, Symlink};

    const fn device(major: u32, minor: u32) -> TreeDevice {
        TreeDevice { major, minor }
    }

    #[test]
    fn what_others_write_is_read() {
        let cases = [
            // containers/storage
            ("0:0:0755:dir", (0, 0, 0o755, Some(Directory))),
            ("1000:100:4755:file", (1000, 100, 0o4755, Some(File))),
            ("0:5:0620:char-5-1", (0, 5, 0o620, Some(CharDevice(device(5, 1))))),
            (
                "0:6:0660:block-259-70000",
                (0, 6, 0o660, Some(BlockDevice(device(259, 70000)))),
            ),
            ("0:0:0777:symlink", (0, 0, 0o777, Some(Symlink))),
            ("0:0:0644:pipe", (0, 0, 0o644, Some(Fifo))),
            ("0:0:0644:socket", (0, 0, 0o644, Some(Socket))),
            // a later version's
            ("0:0:0644:file:more", (0, 0, 0o644, Some(File))),
            (
                "0:0:0644:char-1-3-x",
                (0, 0, 0o644, Some(CharDevice(device(1, 3)))),
            ),
            // fuse-overlayfs
            ("0:0:555", (0, 0, 0o555, None)),
            ("-2:100:644", (4_294_967_294, 100, 0o644, None)),
            ("-2147483648:0:644", (2_147_483_648, 0, 0o644, None)),
            // libkrun
            ("0:0:0100755", (0, 0, 0o755, Some(File))),
            ("0:0:0120777", (0, 0, 0o777, Some(Symlink))),
            ("4294967294:1:0644\0", (4_294_967_294, 1, 0o644, None)),
        ];
        for (value, (uid, gid, mode, kind)) in cases {
            let expected = OverrideStat { uid, gid, mode, kind };
            assert_eq!(OverrideStat::parse(value.as_bytes()), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for value in [
            "",
            ":",
            "0:0",
            "a:0:0755",
            "+0:0:0755",
            "--1:0:0755",
            "-:0:0755",
            "-2147483649:0:0755",
            "0:0:-755",
            "0:0:0855",
            "0:0:",
            "0:0:0755:",
            "0:0:0755:door",
            "0:0:0755:char",
            "0:0:0755:char-1",
            "0:0:0755:block-x-1",
            "4294967296:0:0755",
            "0:0: 755",
        ] {
            assert_eq!(OverrideStat::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for (mode, kind) in [
            (0o4711, Some(File)),
            (0o1777, Some(Directory)),
            (0o777, Some(Symlink)),
            (0o600, Some(Fifo)),
            (0o600, Some(Socket)),
            (0o600, Some(CharDevice(device(10, 229)))),
            (0o660, Some(BlockDevice(device(8, 1)))),
            (0o40, None),
        ] {
            let written = OverrideStat {
                uid: 7,
                gid: u32::MAX,
                mode,
                kind,
            };
            assert_eq!(OverrideStat::parse(written.to_string().as_bytes()), Some(written));
        }
        let plain = OverrideStat {
            uid: 1,
            gid: 2,
            mode: 0o40,
            kind: Some(File),
        };
        assert_eq!(plain.to_string(), "1:2:0040:file");
    }
}
