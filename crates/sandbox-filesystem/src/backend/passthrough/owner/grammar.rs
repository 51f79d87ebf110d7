//! The value of `user.containers.override_stat`.
//!
//! `uid:gid:mode[:type[:ignored]]`: decimal ids, an octal mode, and a type of `file`, `dir`, `symlink`, `pipe`, `socket`,
//! `block-MAJOR-MINOR` or `char-MAJOR-MINOR`. Written as containers/storage does (`pkg/idtools/idtools.go`,
//! `FormatContainersOverrideXattrDevice`); read also without a type, as fuse-overlayfs wrote it, and with the type in
//! the mode, as libkrun writes it.

use rustix::fs::{major, makedev, minor};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::backend) enum Kind {
    File,
    Dir,
    Symlink,
    Pipe,
    Socket,
    Block,
    Char,
}

impl Kind {
    /// By the type in an `st_mode`; none where there is none.
    pub(in crate::backend) fn of_mode(mode: u32) -> Option<Self> {
        Some(match mode & libc::S_IFMT {
            libc::S_IFREG => Self::File,
            libc::S_IFDIR => Self::Dir,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Pipe,
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFBLK => Self::Block,
            libc::S_IFCHR => Self::Char,
            _ => return None,
        })
    }

    /// As in `st_mode`.
    pub(in crate::backend) fn type_bits(self) -> u32 {
        match self {
            Self::File => libc::S_IFREG,
            Self::Dir => libc::S_IFDIR,
            Self::Symlink => libc::S_IFLNK,
            Self::Pipe => libc::S_IFIFO,
            Self::Socket => libc::S_IFSOCK,
            Self::Block => libc::S_IFBLK,
            Self::Char => libc::S_IFCHR,
        }
    }

    fn is_device(self) -> bool {
        matches!(self, Self::Block | Self::Char)
    }
}

/// What the attribute says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct Override {
    pub(in crate::backend) uid: u32,
    pub(in crate::backend) gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub(in crate::backend) mode: u32,
    /// Where the attribute says so; otherwise what the host says.
    pub(in crate::backend) kind: Option<Kind>,
    /// Of a device.
    pub(in crate::backend) rdev: u64,
}

impl Override {
    /// None where the value does not follow the grammar.
    pub(in crate::backend) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let text = text.strip_suffix('\0').unwrap_or(text);
        let mut parts = text.split(':');
        let uid = id(parts.next()?)?;
        let gid = id(parts.next()?)?;
        let mode = u32::from_str_radix(digits(parts.next()?)?, 8).ok()?;
        let (kind, rdev) = match parts.next() {
            None => (Kind::of_mode(mode), 0),
            Some(name) => kind(name)?,
        };
        Some(Self {
            uid,
            gid,
            mode: mode & 0o7777,
            kind,
            rdev,
        })
    }

    /// The value.
    pub(in crate::backend) fn format(&self) -> String {
        let Self { uid, gid, mode, .. } = self;
        let start = format!("{uid}:{gid}:{mode:04o}");
        match self.kind {
            None => start,
            Some(kind) if kind.is_device() => {
                let name = if kind == Kind::Block { "block" } else { "char" };
                format!("{start}:{name}-{}-{}", major(self.rdev), minor(self.rdev))
            }
            Some(kind) => format!("{start}:{}", plain_name(kind)),
        }
    }
}

fn plain_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Dir => "dir",
        Kind::Symlink => "symlink",
        Kind::Pipe => "pipe",
        Kind::Socket => "socket",
        Kind::File | Kind::Block | Kind::Char => "file",
    }
}

fn kind(name: &str) -> Option<(Option<Kind>, u64)> {
    let plain = match name {
        "file" => Kind::File,
        "dir" => Kind::Dir,
        "symlink" => Kind::Symlink,
        "pipe" => Kind::Pipe,
        "socket" => Kind::Socket,
        device => return self::device(device),
    };
    Some((Some(plain), 0))
}

/// More than three parts are a later version's; they are ignored, as containers/storage ignores them.
fn device(name: &str) -> Option<(Option<Kind>, u64)> {
    let mut parts = name.split('-');
    let kind = match parts.next()? {
        "block" => Kind::Block,
        "char" => Kind::Char,
        _ => return None,
    };
    let number = makedev(id(parts.next()?)?, id(parts.next()?)?);
    Some((Some(kind), number))
}

fn id(text: &str) -> Option<u32> {
    digits(text)?.parse().ok()
}

/// Rust's parsers take a sign, which the grammar does not have.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(u32, u32, u32, Option<Kind>, u64)> {
        Override::parse(value.as_bytes()).map(|it| (it.uid, it.gid, it.mode, it.kind, it.rdev))
    }

    #[test]
    fn what_others_write_is_read() {
        let cases = [
            // containers/storage
            ("0:0:0755:dir", (0, 0, 0o755, Some(Kind::Dir), 0)),
            ("1000:100:4755:file", (1000, 100, 0o4755, Some(Kind::File), 0)),
            (
                "0:5:0620:char-5-1",
                (0, 5, 0o620, Some(Kind::Char), makedev(5, 1)),
            ),
            (
                "0:6:0660:block-259-70000",
                (0, 6, 0o660, Some(Kind::Block), makedev(259, 70000)),
            ),
            ("0:0:0777:symlink", (0, 0, 0o777, Some(Kind::Symlink), 0)),
            ("0:0:0644:pipe", (0, 0, 0o644, Some(Kind::Pipe), 0)),
            ("0:0:0644:socket", (0, 0, 0o644, Some(Kind::Socket), 0)),
            // a later version's
            ("0:0:0644:file:more", (0, 0, 0o644, Some(Kind::File), 0)),
            (
                "0:0:0644:char-1-3-x",
                (0, 0, 0o644, Some(Kind::Char), makedev(1, 3)),
            ),
            // fuse-overlayfs
            ("0:0:555", (0, 0, 0o555, None, 0)),
            // libkrun
            ("0:0:0100755", (0, 0, 0o755, Some(Kind::File), 0)),
            ("0:0:0120777", (0, 0, 0o777, Some(Kind::Symlink), 0)),
            ("4294967294:1:0644\0", (4_294_967_294, 1, 0o644, None, 0)),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for value in [
            "",
            ":",
            "0:0",
            "a:0:0755",
            "0:-1:0755",
            "+0:0:0755",
            "0:0:0855",
            "0:0:0755:",
            "0:0:0755:door",
            "0:0:0755:char",
            "0:0:0755:char-1",
            "0:0:0755:block-x-1",
            "4294967296:0:0755",
            "0:0: 755",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for mode in [
            libc::S_IFREG | 0o4711,
            libc::S_IFDIR | 0o1777,
            libc::S_IFLNK | 0o777,
            libc::S_IFCHR | 0o600,
        ] {
            let written = Override {
                uid: 7,
                gid: 8,
                mode: mode & 0o7777,
                kind: Kind::of_mode(mode),
                rdev: if Kind::of_mode(mode) == Some(Kind::Char) {
                    makedev(10, 229)
                } else {
                    0
                },
            };
            assert_eq!(Override::parse(written.format().as_bytes()), Some(written));
        }
        let plain = Override {
            uid: 1,
            gid: 2,
            mode: 0o40,
            kind: Some(Kind::File),
            rdev: 0,
        };
        assert_eq!(plain.format(), "1:2:0040:file");
    }
}
