//! The entries of an archive, each with what precedes it.
//!
//! The blocks are walked here and not by the tar crate, which in its raw mode knows no sizes from extended headers
//! (a file of 8 GiB and more has its size there) and does not say how an archive ended.

use std::io;

use tar::{EntryType, Header};

use super::entry::{Preamble, Read, field};
use super::error::{Flaw, TarError};

/// What may precede one entry: a name and a target, and extended attributes of 64 KiB each.
const PREAMBLE_LIMIT: u64 = 1 << 20;

const BLOCK: usize = 512;

/// Reads entries one after the other.
pub(crate) struct Reader<'r> {
    input: &'r mut dyn io::Read,
    /// Bytes that were read.
    at: u64,
    /// Of the content of the current entry, and what fills its last block.
    left: u64,
    padding: u64,
    /// Bytes of names, targets and extended attributes, and how many there may be.
    metadata: u64,
    limit: u64,
}

/// An entry; reading it gives its content.
pub(crate) struct RawEntry<'e> {
    header: Header,
    size: u64,
    reader: &'e mut dyn io::Read,
}

impl RawEntry<'_> {
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Of its content, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What it holds, if that is no more than `limit` bytes.
    pub(crate) fn read_short(&mut self, limit: u64) -> Result<Vec<u8>, TarError> {
        short(self.reader, self.size, limit)
    }
}

impl io::Read for RawEntry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<'r> Reader<'r> {
    /// `metadata`: how many bytes of headers there may be.
    pub(crate) fn new(input: &'r mut dyn io::Read, metadata: u64) -> Self {
        Self {
            input,
            at: 0,
            left: 0,
            padding: 0,
            metadata: 0,
            limit: metadata,
        }
    }

    /// The next entry, to be read before the one after it; none at the end of the archive. What of the last one's
    /// content was not read is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<(RawEntry<'_>, Read)>, TarError> {
        let mut preamble = Preamble::default();
        loop {
            self.skip()?;
            let at = self.at;
            let flawed = |flaw| TarError::Malformed { at, flaw };
            let Some(header) = self.header()? else {
                let is_complete = preamble.is_empty();
                return is_complete.then_some(None).ok_or(flawed(Flaw::Dangling));
            };
            self.count(BLOCK)?;
            let size = field(&header.as_old().size).map_err(flawed)?;
            if is_preamble(header.entry_type()) {
                self.enter(size)?;
                let content = short(self, size, PREAMBLE_LIMIT)?;
                self.count(content.len())?;
                preamble.add(header.entry_type(), content).map_err(flawed)?;
                continue;
            }
            let read = Read::of(&header, preamble).map_err(flawed)?;
            let size = read.size.unwrap_or(size);
            if size > 0 && has_no_content(header.entry_type()) {
                return Err(flawed(Flaw::Content));
            }
            self.enter(size)?;
            let entry = RawEntry {
                header,
                size,
                reader: self,
            };
            return Ok(Some((entry, read)));
        }
    }

    /// After the last entry: reads what follows, which may be nothing but zeros.
    #[cfg(any(test, feature = "oci"))]
    pub(crate) fn finish(&mut self) -> Result<(), TarError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let at = self.at;
            let length = self.some(&mut buffer)?;
            let part = buffer.get(..length).unwrap_or_default();
            if part.is_empty() {
                return Ok(());
            }
            if part.iter().any(|byte| *byte != 0) {
                let flaw = Flaw::Trailing;
                return Err(TarError::Malformed { at, flaw });
            }
        }
    }

    /// The next header; none where the archive says that it ends.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let at = self.at;
        let mut header = Header::new_old();
        self.block(header.as_mut_bytes())?;
        if is_zero(header.as_bytes()) {
            let mut second = [0; BLOCK];
            self.block(&mut second)?;
            return if is_zero(&second) {
                Ok(None)
            } else {
                let flaw = Flaw::Checksum;
                Err(TarError::Malformed { at, flaw })
            };
        }
        let is_sound = header.cksum().is_ok_and(|sum| sum == checksum(&header));
        let flaw = Flaw::Checksum;
        is_sound
            .then_some(Some(header))
            .ok_or(TarError::Malformed { at, flaw })
    }

    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<(), TarError> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.some(rest)? {
                0 => return Err(TarError::Truncated),
                read => filled += read,
            }
        }
        Ok(())
    }

    /// An entry begins whose content has this size.
    fn enter(&mut self, size: u64) -> Result<(), TarError> {
        self.left = size;
        let whole = size.checked_next_multiple_of(BLOCK as u64);
        let whole = whole.ok_or(TarError::Malformed {
            at: self.at,
            flaw: Flaw::Number,
        })?;
        self.padding = whole - size;
        Ok(())
    }

    /// Reads on to the next header.
    fn skip(&mut self) -> Result<(), TarError> {
        let mut left = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let mut buffer = vec![0; BLOCK.min(usize::try_from(left).unwrap_or(BLOCK))];
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.some(buffer.get_mut(..wanted).unwrap_or_default())? {
                0 => return Err(TarError::Truncated),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    /// Some bytes; none at the end.
    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(read) => {
                    self.at += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // That is how decompressors say it.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(TarError::Truncated);
                }
                Err(error) => return Err(TarError::Read(error)),
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), TarError> {
        self.metadata = self.metadata.saturating_add(bytes as u64);
        let limit = self.limit;
        let what = "bytes of metadata";
        (self.metadata <= limit)
            .then_some(())
            .ok_or(TarError::Limit { what, limit })
    }
}

/// The content of the current entry. Where the archive ends within it, that is an error of its own.
impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(wanted) = buffer.get_mut(..most).filter(|wanted| !wanted.is_empty()) else {
            return Ok(0);
        };
        let read = match self.some(wanted) {
            Ok(0) | Err(TarError::Truncated) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(TarError::Read(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
            Ok(read) => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// What there is to read, if it is no more than `limit` bytes.
fn short(reader: &mut dyn io::Read, size: u64, limit: u64) -> Result<Vec<u8>, TarError> {
    if size > limit {
        let what = "bytes in a header";
        return Err(TarError::Limit { what, limit });
    }
    let mut content = Vec::new();
    match reader.read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(TarError::Truncated),
        Err(error) => Err(TarError::Read(error)),
    }
}

fn is_preamble(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink | EntryType::XGlobalHeader
    )
}

/// Programs do not agree on whether the size of such an entry counts.
fn has_no_content(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// The sum of all bytes, those of the sum itself taken as spaces.
fn checksum(header: &Header) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let (head, rest) = header.as_bytes().split_at(148);
    let (_, tail) = rest.split_at(8);
    sum(head) + 8 * u32::from(b' ') + sum(tail)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn entry(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
            set(&mut header, 0);
        }
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// Name and content.
    type Seen = (Vec<u8>, Vec<u8>);

    fn read(archive: &[u8]) -> Result<Vec<Seen>, TarError> {
        let mut input = archive;
        let mut reader = Reader::new(&mut input, 1 << 20);
        let mut found = Vec::new();
        while let Some((mut entry, read)) = reader.next()? {
            let mut content = Vec::new();
            // Ended too early, it fails in the way that its user turns into this.
            entry.read_to_end(&mut content).map_err(|_| TarError::Truncated)?;
            found.push((read.name, content));
        }
        reader.finish()?;
        Ok(found)
    }

    fn flaw(archive: &[u8]) -> Option<Flaw> {
        match read(archive) {
            Err(TarError::Malformed { flaw, .. }) => Some(flaw),
            _ => None,
        }
    }

    const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

    #[test]
    fn a_size_in_an_extended_header_is_the_size() {
        let mut file = entry(EntryType::Regular, "large", b"12345");
        // As POSIX has it where the size does not fit into its field.
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&file[..BLOCK]);
        header.set_size(0);
        header.set_cksum();
        file[..BLOCK].copy_from_slice(header.as_bytes());
        let records = entry(EntryType::XHeader, "x", b"9 size=5\n");
        let found = read(&[&records[..], &file, &END].concat()).unwrap();
        assert_eq!(found, [(b"large".to_vec(), b"12345".to_vec())]);
    }

    #[test]
    fn an_archive_ends_where_it_says_so_and_nowhere_else() {
        let file = entry(EntryType::Regular, "a", b"x");
        assert_eq!(read(&[&file[..], &END].concat()).unwrap().len(), 1);
        assert_eq!(read(&[&file[..], &END, &[0; 9000]].concat()).unwrap().len(), 1);
        for length in [0, 100, 512, 600, 1024, 1500] {
            let cut = &[&file[..], &END].concat()[..length];
            assert!(matches!(read(cut), Err(TarError::Truncated)), "{length}");
        }
        assert_eq!(flaw(&[&file[..], &END, b"x"].concat()), Some(Flaw::Trailing));
        assert_eq!(
            flaw(&[&file[..], &END[..BLOCK], &file, &END].concat()),
            Some(Flaw::Checksum)
        );
    }

    #[test]
    fn headers_on_which_programs_do_not_agree_are_refused() {
        let file = entry(EntryType::Regular, "a", b"");
        let records = |text: &[u8]| entry(EntryType::XHeader, "x", text);
        let global = |text: &[u8]| entry(EntryType::XGlobalHeader, "g", text);
        for (before, expect) in [
            (entry(EntryType::Directory, "d", b"x"), Flaw::Content),
            ([records(b"6 a=b\n"), records(b"6 a=b\n")].concat(), Flaw::Twice),
            (global(b"10 path=x\n"), Flaw::Global),
            (records(b"99 a=b\n"), Flaw::Records),
            (records(b"24 GNU.sparse.major=1\n\n"), Flaw::Records),
            (records(b"22 GNU.sparse.major=1\n"), Flaw::Sparse),
            (records(b"9 size=x\n"), Flaw::Number),
        ] {
            assert_eq!(flaw(&[&before[..], &file, &END].concat()), Some(expect));
        }
        assert!(read(&[&global(b"13 comment=x\n")[..], &file, &END].concat()).is_ok());
        assert_eq!(
            flaw(&[&records(b"6 a=b\n")[..], &END].concat()),
            Some(Flaw::Dangling)
        );
    }
}
