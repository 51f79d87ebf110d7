//! Writing entries, one after the other.

use std::io::{Read, Write};

use tar::Builder;

use super::error::ExportError;
use super::export::ExportReport;
use crate::branch::progress::Progress;
use crate::tarball::{self, Entry};

/// An archive being written.
pub(super) struct Writer<'a> {
    pub(super) out: Builder<&'a mut dyn Write>,
    pub(super) report: ExportReport,
    pub(super) state: Progress,
    pub(super) progress: &'a mut dyn FnMut(Progress),
}

impl Writer<'_> {
    pub(super) fn tell(&mut self) {
        (self.progress)(self.state);
    }

    /// An entry that is not one of the branch's.
    pub(super) fn plain(&mut self, name: &str, content: &[u8]) -> Result<(), ExportError> {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.write(Entry::plain(name, size), content)
    }

    /// An entry of the branch.
    pub(super) fn append(&mut self, entry: Entry, content: impl Read) -> Result<(), ExportError> {
        self.report.entries += 1;
        self.state.entries += 1;
        self.write(entry, content)
    }

    fn write(&mut self, entry: Entry, content: impl Read) -> Result<(), ExportError> {
        tarball::append(&mut self.out, entry, content).map_err(ExportError::Write)
    }
}
