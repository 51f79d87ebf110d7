//! Listing directories.

use std::ffi::OsStr;
use std::ffi::OsString;

use super::{Backend, Done, Names};
use crate::conformance::subject::{entry_kind, kind_name, show_names};
use crate::fs::{DirEntry, Entry, Errno, Fit, FsResult, Handle, Ino, OpenFlags, Opened};

impl Backend<'_> {
    pub(super) fn list(&self, path: &OsStr) -> Done {
        let (held, _) = self.find(path)?;
        let opened = match self.fs.opendir(&self.ctx, held.ino, OpenFlags::empty()) {
            Err(Errno::ENOSYS) => Opened::default(),
            opened => opened?,
        };
        let plain = self.read_directory(held.ino, opened.handle);
        let plain = plain.and_then(|names| self.look_at_unknown(held.ino, names));
        let plus = self.read_directory_plus(held.ino, opened.handle);
        let closed = self.fs.releasedir(&self.ctx, held.ino, opened.handle);
        tracing::trace!(?closed, "closed");
        let (plain, plus) = (plain?, plus?);
        let text = show_names(without_dots(&plain));
        let other = show_names(without_dots(&plus));
        if text != other {
            return Ok(format!("readdir: {text}; readdirplus: {other}"));
        }
        Ok(text + dots_in(&plain) + dots_in(&plus))
    }

    /// Types may be left open; who wants to know then looks.
    pub(super) fn look_at_unknown(&self, directory: Ino, mut names: Names) -> FsResult<Names> {
        for (name, kind) in &mut names {
            if *kind == entry_kind(libc::DT_UNKNOWN) {
                *kind = kind_name(self.lookup(directory, name)?.1.mode);
            }
        }
        Ok(names)
    }

    pub(super) fn read_directory(&self, ino: Ino, handle: Option<Handle>) -> FsResult<Names> {
        let mut names = Names::new();
        let mut offset = 0;
        loop {
            let mut room = 7;
            let before = offset;
            self.fs.readdir(&self.ctx, ino, handle, offset, &mut |entry| {
                if room == 0 {
                    return Ok(Fit::Full);
                }
                room -= 1;
                offset = entry.next_offset;
                names.push((entry.name.to_owned(), entry_kind(entry.kind)));
                Ok(Fit::Taken)
            })?;
            if before == offset {
                return Ok(names);
            }
        }
    }

    pub(super) fn read_directory_plus(&self, ino: Ino, handle: Option<Handle>) -> FsResult<Names> {
        let mut names = Names::new();
        let mut offset = 0;
        loop {
            let mut room = 5;
            let before = offset;
            self.fs
                .readdirplus(&self.ctx, ino, handle, offset, &mut |entry, look| {
                    if room == 0 {
                        return Ok(Fit::Full);
                    }
                    room -= 1;
                    offset = entry.next_offset;
                    names.push(self.taken(&entry, look()?)?);
                    Ok(Fit::Taken)
                })?;
            if before == offset {
                return Ok(names);
            }
        }
    }

    pub(super) fn taken(
        &self,
        shown: &DirEntry<'_>,
        entry: Option<Entry>,
    ) -> FsResult<(OsString, &'static str)> {
        let mut kind = entry_kind(shown.kind);
        if let Some(entry) = entry {
            let _held = self.hold(entry)?;
            let found = kind_name(entry.attr.mode);
            if shown.kind == libc::DT_UNKNOWN {
                kind = found;
            }
            if kind != found || entry.attr.ino != shown.ino {
                kind = "another than lookup says";
            }
        }
        Ok((shown.name.to_owned(), kind))
    }
}

fn is_dots(name: &OsStr) -> bool {
    name == "." || name == ".."
}

fn without_dots(names: &Names) -> Names {
    names.iter().filter(|(name, _)| !is_dots(name)).cloned().collect()
}

/// Each of them has to be there once.
fn dots_in(names: &Names) -> &'static str {
    let count = |wanted: &str| names.iter().filter(|(name, _)| name == wanted).count();
    if (count("."), count("..")) == (1, 1) {
        ""
    } else {
        " but no dots"
    }
}
