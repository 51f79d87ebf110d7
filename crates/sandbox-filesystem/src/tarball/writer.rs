//! Writing entries, one after the other.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType};

use super::entry::Entry;

/// Writes an entry, and before it the records that it needs.
pub(crate) fn append<W: Write>(out: &mut Builder<W>, mut entry: Entry, content: impl Read) -> io::Result<()> {
    if !entry.records.is_empty() {
        let mut header = Entry::plain("PaxHeaders", 0).header;
        let records = entry.records.as_bytes();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        header.set_cksum();
        out.append(&header, records)?;
    }
    entry.header.set_cksum();
    out.append(&entry.header, content)
}
