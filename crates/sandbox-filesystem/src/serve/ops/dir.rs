//! Listings.

use std::os::unix::ffi::OsStrExt;

use super::super::decode::{Fields, fill};
use super::super::encode::{self, Out};
use super::super::transport::Limited;
use super::Call;
use super::file::scope;
use crate::fs::{DataReader, DataWriter, DirEntry, Entry, Errno, Fit, FsResult, Handle};

/// The length of `struct fuse_read_in`.
const READ: usize = 40;
/// The length of `struct fuse_dirent` without its name.
const DIRENT: usize = 24;

pub(super) fn opendir(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let flags = fields.open_flags()?;
    let opened = call.fs.opendir(&call.ctx, call.ino, flags)?;
    Out::new().opened(&opened)
}

pub(super) fn releasedir(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    call.fs.releasedir(&call.ctx, call.ino, fields.handle()?)?;
    Ok(Out::nothing())
}

pub(super) fn fsyncdir(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    call.fs
        .fsyncdir(&call.ctx, call.ino, handle, scope(fields.u32()?))?;
    Ok(Out::nothing())
}

/// Where to go on in which listing, and how much the asker takes.
struct Asked {
    handle: Option<Handle>,
    offset: u64,
    size: usize,
}

fn asked(request: &mut dyn DataReader) -> FsResult<Asked> {
    let mut bytes = [0; READ];
    fill(request, &mut bytes)?;
    let mut fields = Fields(&bytes);
    Ok(Asked {
        handle: fields.handle()?,
        offset: fields.u64()?,
        size: usize::try_from(fields.u32()?).map_err(|_| Errno::EINVAL)?,
    })
}

pub(super) fn readdir(
    call: &Call<'_>,
    request: &mut dyn DataReader,
    body: &mut dyn DataWriter,
) -> FsResult<usize> {
    let asked = asked(request)?;
    let mut list = List::new(body, asked.size);
    let mut add = |entry: DirEntry<'_>| list.add(&entry, None);
    let result = call
        .fs
        .readdir(&call.ctx, call.ino, asked.handle, asked.offset, &mut add);
    list.end(result)
}

pub(super) fn readdirplus(
    call: &Call<'_>,
    request: &mut dyn DataReader,
    body: &mut dyn DataWriter,
) -> FsResult<usize> {
    let asked = asked(request)?;
    let mut list = List::new(body, asked.size);
    let mut add = |entry: DirEntry<'_>, look_up: &mut dyn FnMut() -> FsResult<Option<Entry>>| {
        list.add(&entry, Some(look_up))
    };
    let result = call
        .fs
        .readdirplus(&call.ctx, call.ino, asked.handle, asked.offset, &mut add);
    list.end(result)
}

/// Entries as they are written to an answer.
struct List<'a> {
    body: Limited<'a>,
    size: usize,
    record: Vec<u8>,
}

impl<'a> List<'a> {
    fn new(body: &'a mut dyn DataWriter, size: usize) -> Self {
        let body = Limited::new(body, size);
        let size = body.remaining();
        Self {
            body,
            size,
            record: Vec::with_capacity(512),
        }
    }

    fn add(
        &mut self,
        entry: &DirEntry<'_>,
        look_up: Option<&mut dyn FnMut() -> FsResult<Option<Entry>>>,
    ) -> FsResult<Fit> {
        let name = entry.name.as_bytes();
        let length = (DIRENT + name.len()).next_multiple_of(8);
        let whole = length + if look_up.is_some() { encode::ENTRY } else { 0 };
        if whole > self.body.remaining() {
            return Ok(Fit::Full);
        }
        let mut out = Out(std::mem::take(&mut self.record));
        out.0.clear();
        if let Some(look_up) = look_up {
            out = match look_up()? {
                Some(found) => out.entry(&found),
                None => out.zeros(encode::ENTRY),
            };
        }
        let kind = u32::from(entry.kind);
        let name_length = u32::try_from(name.len()).map_err(|_| Errno::ENAMETOOLONG)?;
        let mut record = out
            .u64(entry.ino)
            .u64(entry.next_offset)
            .u32(name_length)
            .u32(kind)
            .bytes(name)
            .0;
        record.resize(whole, 0);
        let written = self.body.write(&record)?;
        self.record = record;
        if written == whole {
            Ok(Fit::Taken)
        } else {
            Err(Errno::EIO)
        }
    }

    /// How long it became. What was listed before an error is given first: the error comes again when it is gone on.
    fn end(self, result: FsResult<()>) -> FsResult<usize> {
        let length = self.size - self.body.remaining();
        match result {
            Err(error) if length == 0 => Err(error),
            _ => Ok(length),
        }
    }
}
