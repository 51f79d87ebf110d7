//! One entry of an archive: what stands in its header and its records.

use tar::{EntryType, Header};

use super::error::Flaw;
use super::number;
use super::pax::{self, Records};
use crate::branch::copy::Attributes;
use crate::branch::raw::Bytes;
use crate::branch::xattr::Xattrs;

const XATTR: &[u8] = b"SCHILY.xattr.";
/// For names that have a `=`, which ends the key of a record: in hexadecimal.
const ODD_XATTR: &[u8] = b"SANDBOX.xattr.";
const OWN: &[u8] = b"SANDBOX.";

/// What fits into the fields of a header.
const NAME: usize = 100;
const ID: u32 = 0o7_777_777;

/// An entry to be written: a header, and before it the records that it needs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) header: Header,
    pub(crate) records: Records,
}

impl Entry {
    /// An entry called `name` that is not one of the branch's.
    pub(crate) fn plain(name: &str, size: u64) -> Self {
        let mut entry = Self::named(EntryType::Regular, name.as_bytes());
        entry.header.set_mode(0o644);
        entry.header.set_size(size);
        entry
    }

    /// An entry of the branch, called `name` in the archive.
    pub(crate) fn of(kind: EntryType, name: &[u8], attributes: &Attributes) -> Self {
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
    pub(crate) fn set_link(&mut self, name: &[u8]) {
        // Empty where it does not fit: the record has it then.
        if name.len() > NAME || self.header.set_link_name_literal(name).is_err() {
            self.records.push(b"linkpath", name);
        }
    }

    /// A record of our own.
    pub(crate) fn set_record(&mut self, key: &[u8], value: &[u8]) {
        self.records.push(key, value);
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

/// What an entry says that was read: its header, where no record says otherwise.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) attributes: Attributes,
    /// Attributes that are there in a form that is not read: access control lists as text.
    pub(crate) left_out: u64,
    /// Of its content, where that is not in the header.
    pub(super) size: Option<u64>,
    /// Records of ours, without `SANDBOX.`.
    pub(crate) own: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What comes before an entry and belongs to it.
#[derive(Debug, Default)]
pub(super) struct Preamble {
    /// As PAX has it.
    records: Option<Vec<u8>>,
    /// As GNU tar has it.
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Preamble {
    /// Takes the content of a header that belongs to the next entry.
    pub(super) fn add(&mut self, kind: EntryType, mut content: Vec<u8>) -> Result<(), Flaw> {
        let place = match kind {
            EntryType::XGlobalHeader => return is_comment(&content),
            EntryType::XHeader => &mut self.records,
            EntryType::GNULongName => &mut self.name,
            _ => &mut self.link,
        };
        if kind != EntryType::XHeader && content.last() == Some(&0) {
            content.pop();
        }
        place.replace(content).map_or(Ok(()), |_| Err(Flaw::Twice))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }
}

/// What is said of all entries may be a comment (git writes one); everything else is ignored by some programs.
fn is_comment(records: &[u8]) -> Result<(), Flaw> {
    let records = pax::parse(records).ok_or(Flaw::Records)?;
    let is_comment = records.iter().all(|(key, _)| *key == b"comment");
    is_comment.then_some(()).ok_or(Flaw::Global)
}

impl Read {
    /// Of an entry with `header`, after `preamble`.
    pub(super) fn of(header: &Header, preamble: Preamble) -> Result<Self, Flaw> {
        let fields = header.as_old();
        let mut read = Self {
            name: preamble.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: preamble
                .link
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default(),
            attributes: Attributes {
                mode: mode(&fields.mode)?,
                uid: id(field(&fields.uid)?)?,
                gid: id(field(&fields.gid)?)?,
                mtime: Some((number::parse(&fields.mtime).ok_or(Flaw::Number)?, 0)),
                xattrs: Xattrs::default(),
            },
            left_out: 0,
            size: None,
            own: Vec::new(),
        };
        let records = preamble.records.unwrap_or_default();
        for (key, value) in pax::parse(&records).ok_or(Flaw::Records)? {
            read.apply(key, value)?;
        }
        Ok(read)
    }

    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), Flaw> {
        match key {
            b"path" => self.name = value.to_vec(),
            b"linkpath" => self.link = value.to_vec(),
            b"mtime" => self.attributes.mtime = Some(pax::parse_time(value).ok_or(Flaw::Number)?),
            b"uid" => self.attributes.uid = id(decimal(value)?)?,
            b"gid" => self.attributes.gid = id(decimal(value)?)?,
            b"size" => self.size = Some(decimal(value)?),
            b"SCHILY.acl.access" | b"SCHILY.acl.default" => self.left_out += 1,
            _ if key.starts_with(b"GNU.sparse.") => return Err(Flaw::Sparse),
            _ => {
                if let Some(name) = xattr_name(key)? {
                    self.attributes
                        .xattrs
                        .0
                        .insert(Bytes(name), Bytes(value.to_vec()));
                } else if let Some(name) = key.strip_prefix(OWN) {
                    self.own.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// The name of the extended attribute that a record has; none of another record, and of an attribute that is not
/// content.
fn xattr_name(key: &[u8]) -> Result<Option<Vec<u8>>, Flaw> {
    let name = if let Some(name) = key.strip_prefix(XATTR) {
        name.to_vec()
    } else if let Some(name) = key.strip_prefix(ODD_XATTR) {
        from_hex(name).ok_or(Flaw::Records)?
    } else {
        return Ok(None);
    };
    let is_content = name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability";
    Ok((is_content && !name.contains(&0)).then_some(name))
}

fn decimal(text: &[u8]) -> Result<u64, Flaw> {
    let text = std::str::from_utf8(text).map_err(|_| Flaw::Number)?;
    // Rust's parser takes a sign, which the format does not have.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten().ok_or(Flaw::Number)
}

fn id(number: u64) -> Result<u32, Flaw> {
    // The largest one stands for "none" in chown(2).
    u32::try_from(number)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or(Flaw::Number)
}

/// A number of a header that cannot be negative.
pub(super) fn field(bytes: &[u8]) -> Result<u64, Flaw> {
    let number = number::parse(bytes).ok_or(Flaw::Number)?;
    u64::try_from(number).map_err(|_| Flaw::Number)
}

/// Permission bits; what kind of file it is stands elsewhere.
fn mode(bytes: &[u8]) -> Result<u32, Flaw> {
    u32::try_from(field(bytes)? & 0o7777).map_err(|_| Flaw::Number)
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
