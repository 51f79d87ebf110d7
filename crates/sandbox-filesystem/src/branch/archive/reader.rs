//! The entries of an archive, each with what precedes it.

use std::io::{self, Read as _};

use tar::{Entries, EntryType};

use super::entry::{Preamble, Read};
use super::error::ImportError;

/// What may precede one entry: a name and a target, and extended attributes of 64 KiB each.
const PREAMBLE_LIMIT: u64 = 1 << 20;

/// A header takes a block.
const BLOCK: usize = 512;

pub(super) type RawEntry<'e, 'r> = tar::Entry<'e, &'r mut dyn io::Read>;

/// Reads entries one after the other.
pub(super) struct Reader<'e, 'r> {
    entries: Entries<'e, &'r mut dyn io::Read>,
    /// Bytes of names, targets and extended attributes, and how many there may be.
    metadata: u64,
    limit: u64,
}

impl<'e, 'r> Reader<'e, 'r> {
    pub(super) fn new(entries: Entries<'e, &'r mut dyn io::Read>, metadata: u64) -> Self {
        Self {
            entries: entries.raw(true),
            metadata: 0,
            limit: metadata,
        }
    }

    /// The next entry, to be read before the one after it; none at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<(RawEntry<'e, 'r>, Read)>, ImportError> {
        let mut preamble = Preamble::default();
        while let Some(entry) = self.entries.next() {
            let mut entry = entry.map_err(ImportError::Read)?;
            self.count(BLOCK)?;
            if !self.is_preamble(&mut entry, &mut preamble)? {
                let read = Read::of(entry.header(), preamble).map_err(ImportError::Read)?;
                return Ok(Some((entry, read)));
            }
        }
        Ok(None)
    }

    /// Takes what belongs to the next entry; false where `entry` is one itself.
    fn is_preamble(
        &mut self,
        entry: &mut RawEntry<'_, '_>,
        preamble: &mut Preamble,
    ) -> Result<bool, ImportError> {
        let kind = entry.header().entry_type();
        if !matches!(
            kind,
            EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink | EntryType::XGlobalHeader
        ) {
            return Ok(false);
        }
        let mut content = read_short(entry, PREAMBLE_LIMIT)?;
        self.count(content.len())?;
        match kind {
            EntryType::XHeader => preamble.records = content,
            EntryType::XGlobalHeader => {}
            _ => {
                if content.last() == Some(&0) {
                    content.pop();
                }
                let place = if kind == EntryType::GNULongName {
                    &mut preamble.name
                } else {
                    &mut preamble.link
                };
                *place = Some(content);
            }
        }
        Ok(true)
    }

    fn count(&mut self, bytes: usize) -> Result<(), ImportError> {
        self.metadata = self
            .metadata
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        ImportError::unless_within(self.metadata, self.limit, "bytes of metadata")
    }
}

/// What an entry of no more than `limit` bytes holds.
pub(super) fn read_short(entry: &mut RawEntry<'_, '_>, limit: u64) -> Result<Vec<u8>, ImportError> {
    let size = entry.size();
    ImportError::unless_within(size, limit, "bytes in a header")?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(ImportError::Read)?;
    if u64::try_from(content.len()).ok() == Some(size) {
        Ok(content)
    } else {
        Err(ImportError::Truncated)
    }
}
