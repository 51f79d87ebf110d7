//! One entry of an archive: what stands in its header and its records.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use sandbox_types::RelPath;
use tar::{EntryType, Header};

use super::pax::{self, Records};
use super::{OPAQUE, part_name};
use crate::branch::copy::Attributes;
use crate::branch::raw::Bytes;
use crate::branch::xattr::Xattrs;

const XATTR: &[u8] = b"SCHILY.xattr.";
/// For names that have a `=`, which ends the key of a record: in hexadecimal.
const ODD_XATTR: &[u8] = b"SANDBOX.xattr.";

/// What fits into the fields of a header.
const NAME: usize = 100;
const ID: u32 = 0o7_777_777;

/// An entry to be written: a header, and before it the records that it needs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) header: Header,
    pub(super) records: Records,
}

impl Entry {
    /// An entry called `name` that is not one of the branch's.
    pub(super) fn plain(name: &str, size: u64) -> Self {
        let mut entry = Self::named(EntryType::Regular, name.as_bytes());
        entry.header.set_mode(0o644);
        entry.header.set_size(size);
        entry
    }

    /// An entry of the branch, called `name` in the archive.
    pub(super) fn of(kind: EntryType, name: &[u8], attributes: &Attributes) -> Self {
        let mut entry = Self::named(kind, name);
        entry.header.set_mode(attributes.mode);
        entry.set_owner(attributes);
        if let Some(mtime) = attributes.mtime {
            entry.header.set_mtime(u64::try_from(mtime.0).unwrap_or(0));
            if mtime.0 < 0 || mtime.1 != 0 {
                entry.records.push(b"mtime", pax::time(mtime).as_bytes());
            }
        }
        for (name, value) in &attributes.xattrs.0 {
            let key = if name.0.contains(&b'=') {
                [ODD_XATTR, hex(&name.0).as_bytes()].concat()
            } else {
                [XATTR, &name.0].concat()
            };
            entry.records.push(&key, &value.0);
        }
        entry
    }

    /// A link to what is called `name` in the archive, or a symbolic one to there.
    pub(super) fn set_link(&mut self, name: &[u8]) {
        // Empty where it does not fit: the record has it then.
        if name.len() > NAME || self.header.set_link_name_literal(name).is_err() {
            self.records.push(b"linkpath", name);
        }
    }

    pub(super) fn set_opaque(&mut self) {
        self.records.push(OPAQUE, b"y");
    }

    fn named(kind: EntryType, name: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let mut records = Records::default();
        let field = &mut header.as_old_mut().name;
        // Programs that know no records see as much of a long name as fits.
        for (byte, place) in name.iter().zip(field) {
            *place = *byte;
        }
        if name.len() > NAME {
            records.push(b"path", name);
        }
        Self { header, records }
    }

    fn set_owner(&mut self, attributes: &Attributes) {
        for (key, id) in [("uid", attributes.uid), ("gid", attributes.gid)] {
            let field = if id > ID { 0 } else { u64::from(id) };
            if id > ID {
                self.records.push(key.as_bytes(), id.to_string().as_bytes());
            }
            if key == "uid" {
                self.header.set_uid(field);
            } else {
                self.header.set_gid(field);
            }
        }
    }
}

/// What `path` of a part is called in the archive.
pub(super) fn name_of(part: usize, path: &RelPath) -> Vec<u8> {
    let part = part_name(part);
    if path.is_root() {
        part.into_bytes()
    } else {
        [part.as_bytes(), b"/", path.as_bytes()].concat()
    }
}

/// The path in a part, which is one of `count`, that an entry of the archive is called after; none where it is not
/// one.
pub(super) fn path_of(name: &[u8], count: usize) -> Option<(usize, RelPath)> {
    let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    let first = name.get(..end)?;
    let part = (0..count).find(|part| part_name(*part).as_bytes() == first)?;
    let path = name.get(end + 1..).unwrap_or_default();
    // Two slashes would be an absolute path.
    Some((part, RelPath::new(OsStr::from_bytes(path)).ok()?))
}

/// What an entry says that was read: its header, where no record says otherwise.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) is_opaque: bool,
}

/// What comes before an entry and belongs to it.
#[derive(Debug, Default)]
pub(super) struct Preamble {
    /// As PAX has it.
    pub(super) records: Vec<u8>,
    /// As GNU tar has it.
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Read {
    /// Of an entry with `header`, after `preamble`.
    pub(super) fn of(header: &Header, preamble: Preamble) -> io::Result<Self> {
        let mut read = Self {
            name: preamble.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: preamble
                .link
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default(),
            attributes: Attributes {
                mode: header.mode()? & 0o7777,
                uid: id(header.uid()?)?,
                gid: id(header.gid()?)?,
                mtime: Some((i64::try_from(header.mtime()?).map_err(|_| invalid())?, 0)),
                xattrs: Xattrs::default(),
            },
            is_opaque: false,
        };
        for (key, value) in pax::parse(&preamble.records).ok_or_else(invalid)? {
            read.apply(header, key, value)?;
        }
        Ok(read)
    }

    fn apply(&mut self, header: &Header, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"path" => self.name = value.to_vec(),
            b"linkpath" => self.link = value.to_vec(),
            b"mtime" => self.attributes.mtime = Some(pax::parse_time(value).ok_or_else(invalid)?),
            b"uid" => self.attributes.uid = id(number(value)?)?,
            b"gid" => self.attributes.gid = id(number(value)?)?,
            // Where the next entry is has been decided by the header.
            b"size" if number(value)? != header.entry_size()? => return Err(invalid()),
            OPAQUE => self.is_opaque = value == b"y",
            _ => {
                if let Some(name) = xattr_name(key)? {
                    self.attributes
                        .xattrs
                        .0
                        .insert(Bytes(name), Bytes(value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// The name of the extended attribute that a record has; none of another record, and of an attribute that is not
/// content.
fn xattr_name(key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let name = if let Some(name) = key.strip_prefix(XATTR) {
        name.to_vec()
    } else if let Some(name) = key.strip_prefix(ODD_XATTR) {
        from_hex(name).ok_or_else(invalid)?
    } else {
        return Ok(None);
    };
    let is_content = name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability";
    Ok((is_content && !name.contains(&0)).then_some(name))
}

fn number(text: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(text).map_err(|_| invalid())?;
    text.parse().map_err(|_| invalid())
}

fn id(number: u64) -> io::Result<u32> {
    // The largest one stands for "none" in chown(2).
    u32::try_from(number)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .iter()
        .map(|digit| {
            char::from(*digit)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
