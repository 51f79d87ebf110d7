//! Cases as text: a title after `==`, then one operation a line. `docs` of each operation is its parser below.
//!
//! A word may hold `\xHH` for a byte and `WORD*COUNT` for a repetition. A title that ends with `[root]` is of a case that
//! only root can carry out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::op::{Allocation, Exclusive, Locking, NodeKind, Op, Opening, Renaming, Time, Whence, XattrMode};

/// Operations that are carried out one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// A sentence.
    pub title: String,
    /// Whether only root can carry it out.
    pub needs_root: bool,
    /// What is done.
    pub steps: Vec<Op>,
}

/// A line that is no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no operation")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Reads cases.
pub fn parse(text: &str) -> Result<Vec<Case>, BadLine> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let bad = || BadLine {
            line: number + 1,
            text: line.to_owned(),
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            let plain = title.strip_suffix(" [root]");
            cases.push(Case {
                title: plain.unwrap_or(title).to_owned(),
                needs_root: plain.is_some(),
                steps: Vec::new(),
            });
            continue;
        }
        let step = operation(line).ok_or_else(bad)?;
        cases.last_mut().ok_or_else(bad)?.steps.push(step);
    }
    Ok(cases)
}

/// Reads one operation.
pub fn operation(line: &str) -> Option<Op> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (verb, rest) = words.split_first()?;
    match *verb {
        "mkdir" | "mknod" | "symlink" | "link" | "unlink" | "rmdir" | "rename" | "truncate" | "stat"
        | "blocks" | "chmod" | "chown" | "utimes" | "times" | "mark" | "changed" | "readlink" | "list" => {
            on_path(verb, rest)
        }
        "setxattr" | "getxattr" | "listxattr" | "removexattr" => on_xattr(verb, rest),
        _ => on_handle(verb, rest),
    }
}

fn on_path(verb: &str, words: &[&str]) -> Option<Op> {
    let (first, rest) = words.split_first()?;
    let path = word(first)?;
    Some(match (verb, rest) {
        ("mkdir", []) => Op::Mkdir(path, 0o777),
        ("mkdir", [mode]) => Op::Mkdir(path, octal(mode)?),
        ("mknod", [kind]) => Op::Mknod(path, node_kind(kind)?, 0o666),
        ("mknod", [kind, mode]) => Op::Mknod(path, node_kind(kind)?, octal(mode)?),
        ("symlink", [target]) => Op::Symlink(path, word(target)?),
        ("link", [new]) => Op::Link(path, word(new)?),
        ("unlink", []) => Op::Unlink(path),
        ("rmdir", []) => Op::Rmdir(path),
        ("rename", [new, flags @ ..]) => Op::Rename(path, word(new)?, renaming(flags)?),
        ("truncate", [len]) => Op::Truncate(path, number(len)?),
        ("stat", []) => Op::Stat(path),
        ("blocks", []) => Op::Blocks(path),
        ("chmod", [mode]) => Op::Chmod(path, octal(mode)?),
        ("chown", [uid, gid]) => Op::Chown(path, uid.parse().ok(), gid.parse().ok()),
        ("utimes", [atime, mtime]) => Op::Utimes(path, time(atime)?, time(mtime)?),
        ("times", []) => Op::ShowTimes(path),
        ("mark", []) => Op::Mark(path),
        ("changed", []) => Op::Changed(path),
        ("readlink", []) => Op::Readlink(path),
        ("list", []) => Op::List(path),
        _ => return None,
    })
}

fn on_xattr(verb: &str, words: &[&str]) -> Option<Op> {
    let (first, rest) = words.split_first()?;
    let path = word(first)?;
    Some(match (verb, rest) {
        ("setxattr", [name, value]) => {
            Op::SetXattr(path, word(name)?, word(value)?.into_vec(), XattrMode::Set)
        }
        ("setxattr", [name, value, mode]) => {
            let mode = match *mode {
                "create" => XattrMode::Create,
                "replace" => XattrMode::Replace,
                _ => return None,
            };
            Op::SetXattr(path, word(name)?, word(value)?.into_vec(), mode)
        }
        ("getxattr", [name, size]) => Op::GetXattr(path, word(name)?, size.parse().ok()?),
        ("listxattr", [size]) => Op::ListXattr(path, size.parse().ok()?),
        ("removexattr", [name]) => Op::RemoveXattr(path, word(name)?),
        _ => return None,
    })
}

fn on_handle(verb: &str, words: &[&str]) -> Option<Op> {
    let (first, rest) = words.split_first()?;
    let &[handle] = first.as_bytes() else { return None };
    Some(match (verb, rest) {
        ("open", [path, flags @ ..]) => Op::Open(handle, word(path)?, opening(flags)?, mode_in(flags)),
        ("tmpfile", [path]) => Op::Tmpfile(handle, word(path)?, Exclusive::No),
        ("tmpfile", [path, "excl"]) => Op::Tmpfile(handle, word(path)?, Exclusive::Yes),
        ("linkh", [path]) => Op::LinkHandle(handle, word(path)?),
        ("close", []) => Op::Close(handle),
        ("read", [offset, len]) => Op::Read(handle, number(offset)?, number(len)?),
        ("write", [offset, byte, len]) => {
            Op::Write(handle, number(offset)?, *byte.as_bytes().first()?, number(len)?)
        }
        ("ftruncate", [len]) => Op::TruncateHandle(handle, number(len)?),
        ("fallocate", [mode, offset, len]) => {
            Op::Allocate(handle, allocation(mode)?, number(offset)?, number(len)?)
        }
        ("seek", ["data", offset]) => Op::Seek(handle, Whence::Data, number(offset)?),
        ("seek", ["hole", offset]) => Op::Seek(handle, Whence::Hole, number(offset)?),
        ("copy", [offset, to, to_offset, len]) => {
            let &[to] = to.as_bytes() else { return None };
            Op::Copy((handle, number(offset)?), (to, number(to_offset)?), number(len)?)
        }
        ("fstat", []) => Op::StatHandle(handle),
        ("lock", [kind, start, len]) => Op::Lock(handle, locking(kind)?, number(start)?, number(len)?),
        ("getlk", [kind, start, len]) => Op::GetLock(handle, locking(kind)?, number(start)?, number(len)?),
        ("flock", [kind]) => Op::Flock(handle, locking(kind)?),
        _ => return None,
    })
}

fn word(text: &str) -> Option<OsString> {
    let (text, count) = match text.rsplit_once('*') {
        Some((text, count)) => (text, count.parse().ok()?),
        None => (text, 1),
    };
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        let (before, after) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(2..4)?, 16).ok()?);
        rest = after.get(4..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(OsString::from_vec(bytes.repeat(count)))
}

/// `4096`, `64k`, `1m`, `max`.
fn number(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' => (text.get(..text.len() - 1)?, 10),
        b'm' => (text.get(..text.len() - 1)?, 20),
        b'x' => return (text == "max").then_some(i64::MAX.cast_unsigned()),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok().map(|number| number << shift)
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok()
}

fn time(text: &str) -> Option<Time> {
    match text {
        "omit" => Some(Time::Omit),
        "now" => Some(Time::Now),
        _ => {
            let (seconds, nanoseconds) = text.split_once('.')?;
            Some(Time::At(seconds.parse().ok()?, nanoseconds.parse().ok()?))
        }
    }
}

fn node_kind(text: &str) -> Option<NodeKind> {
    Some(match text {
        "file" => NodeKind::File,
        "fifo" => NodeKind::Fifo,
        "socket" => NodeKind::Socket,
        "whiteout" => NodeKind::Whiteout,
        _ => return None,
    })
}

fn locking(text: &str) -> Option<Locking> {
    Some(match text {
        "shared" => Locking::Shared,
        "exclusive" => Locking::Exclusive,
        "unlock" => Locking::Unlocked,
        _ => return None,
    })
}

fn allocation(text: &str) -> Option<Allocation> {
    Some(match text {
        "plain" => Allocation::Plain,
        "keep" => Allocation::Keep,
        "punch" => Allocation::Punch,
        "punch-alone" => Allocation::PunchAlone,
        "zero" => Allocation::Zero,
        "zero-keep" => Allocation::ZeroKeep,
        "collapse" => Allocation::Collapse,
        "insert" => Allocation::Insert,
        _ => return None,
    })
}

fn renaming(words: &[&str]) -> Option<Renaming> {
    let mut flags = Renaming::default();
    for word in words {
        match *word {
            "noreplace" => flags.noreplace = true,
            "exchange" => flags.exchange = true,
            "whiteout" => flags.whiteout = true,
            _ => return None,
        }
    }
    Some(flags)
}

/// `r`, `w`, `rw`, and words; a number is the mode.
fn opening(words: &[&str]) -> Option<Opening> {
    let mut flags = Opening::default();
    for word in words {
        match *word {
            "r" => flags.read = true,
            "w" => flags.write = true,
            "rw" => (flags.read, flags.write) = (true, true),
            "create" => flags.create = true,
            "excl" => flags.exclusive = true,
            "trunc" => flags.truncate = true,
            "append" => flags.append = true,
            "noatime" => flags.noatime = true,
            mode if octal(mode).is_some() => {}
            _ => return None,
        }
    }
    (flags.read || flags.write).then_some(flags)
}

fn mode_in(words: &[&str]) -> u32 {
    words.iter().find_map(|word| octal(word)).unwrap_or(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_bytes_and_repetitions() {
        assert_eq!(word("a*3").unwrap(), "aaa");
        assert_eq!(word("x\\xffy").unwrap().into_vec(), b"x\xffy");
        assert_eq!(word("x\\xz"), None);
    }

    #[test]
    fn a_line_that_is_no_operation_is_named() {
        let error = parse("== title\nmkdir a\nmkdirr b\n").unwrap_err();
        assert_eq!((error.line, error.text.as_str()), (3, "mkdirr b"));
        assert!(parse("mkdir a").is_err());
    }
}
