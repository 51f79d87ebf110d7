//! What is in a regular file: pages, by number.
//!
//! Invariant: bytes of a page past `size` are zero, but for what `fallocate` reserved, which is zero as well.

use std::collections::BTreeMap;

use super::space::{PAGE, Space};
use crate::fs::{DataReader, DataWriter, Errno, FsResult};
use crate::sys::pages::{PAGE_SIZE, Page};

/// The largest size of a file.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// What a hole reads as.
static ZEROS: [u8; PAGE_SIZE] = [0; PAGE_SIZE];

/// The bytes of a file. Pages have to be given back by hand ([`Content::clear`]).
#[derive(Debug, Default)]
pub(super) struct Content {
    size: u64,
    pages: BTreeMap<u64, Page>,
}

/// A part of one page: its number, and bytes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    page: u64,
    start: usize,
    end: usize,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Units of 512 bytes.
    pub(super) fn blocks(&self) -> u64 {
        self.pages.len() as u64 * (PAGE / 512)
    }

    /// Puts up to `count` bytes from `offset` on into `data`.
    pub(super) fn read(&self, offset: u64, count: u64, data: &mut dyn DataWriter) -> FsResult<usize> {
        let end = offset.saturating_add(count).min(self.size);
        let mut done = 0;
        let mut present = self.pages.range(offset / PAGE..).peekable();
        for piece in pieces(offset, end) {
            let page = present.next_if(|(number, _)| **number == piece.page);
            let bytes = page.map_or(&ZEROS, |(_, page)| page.bytes());
            let wanted = bytes.get(piece.start..piece.end).unwrap_or_default();
            let taken = data.write(wanted)?;
            done += taken;
            if taken < wanted.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Takes up to `count` bytes out of `data` to `offset`, as many as there is room for; `ENOSPC` when there is none for
    /// the first.
    pub(super) fn write(
        &mut self,
        space: &Space,
        offset: u64,
        count: u64,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        if count == 0 {
            return Ok(0);
        }
        let end = offset.saturating_add(count).min(MAX_SIZE);
        if offset >= end {
            return Err(Errno::EFBIG);
        }
        let mut fresh = self.fresh_pages(space, offset, end)?.into_iter();
        let mut done = 0;
        let mut stopped = None;
        for piece in pieces(offset, end) {
            let Some(page) = self.page_or(piece.page, &mut fresh) else {
                break;
            };
            let into = page
                .bytes_mut()
                .get_mut(piece.start..piece.end)
                .unwrap_or_default();
            let (taken, result) = fill(into, data);
            done += taken;
            if taken < piece.end - piece.start {
                stopped = Some(result);
                break;
            }
        }
        space.give_back(fresh);
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        }
        let Some(result) = stopped else { return Ok(done) };
        self.tidy(space, offset + done as u64, end);
        if done > 0 { Ok(done) } else { result.map(|()| 0) }
    }

    /// Sets the size; what is beyond it is gone.
    pub(super) fn set_size(&mut self, space: &Space, size: u64) -> FsResult<()> {
        if size > MAX_SIZE {
            return Err(Errno::EFBIG);
        }
        let shrinks = size < self.size;
        self.size = size;
        // Growing leaves what was reserved beyond the end.
        if shrinks {
            self.cut(space);
        }
        Ok(())
    }

    /// Gives back every page.
    pub(super) fn clear(&mut self, space: &Space) {
        self.size = 0;
        space.give_back(std::mem::take(&mut self.pages).into_values());
    }

    /// Makes a hole. The size stays.
    pub(super) fn punch(&mut self, space: &Space, offset: u64, end: u64) {
        let whole = offset.div_ceil(PAGE)..end / PAGE;
        if whole.is_empty() {
            self.zero(offset, end);
            return;
        }
        self.zero(offset, whole.start * PAGE);
        self.zero(whole.end * PAGE, end);
        space.give_back(self.remove(whole.start, whole.end));
    }

    /// Makes the range zeros that have their memory.
    pub(super) fn zero_range(&mut self, space: &Space, offset: u64, end: u64) -> FsResult<()> {
        self.reserve(space, offset, end)?;
        self.zero(offset, end);
        Ok(())
    }

    /// Gives every page of the range its memory, or none of them.
    pub(super) fn reserve(&mut self, space: &Space, offset: u64, end: u64) -> FsResult<()> {
        let missing = usize::try_from(self.missing(offset, end)).map_err(|_| Errno::ENOSPC)?;
        let mut fresh = space.take_all_pages(missing)?.into_iter();
        for number in offset / PAGE..end.div_ceil(PAGE) {
            if self.page_or(number, &mut fresh).is_none() {
                break;
            }
        }
        space.give_back(fresh);
        Ok(())
    }

    /// Takes the range out; what follows moves up. Both ends are those of pages, and below the size.
    pub(super) fn collapse(&mut self, space: &Space, offset: u64, end: u64) {
        let (first, last) = (offset / PAGE, end / PAGE);
        let mut tail = self.pages.split_off(&first);
        let rest = tail.split_off(&last);
        space.give_back(tail.into_values());
        let moved = rest
            .into_iter()
            .map(|(number, page)| (number - (last - first), page));
        self.pages.extend(moved);
        self.size -= end - offset;
    }

    /// Puts a hole in; what was there moves down. Both are those of pages, and the sum of sizes is below the largest.
    pub(super) fn insert(&mut self, offset: u64, len: u64) {
        let rest = self.pages.split_off(&(offset / PAGE));
        let moved = rest.into_iter().map(|(number, page)| (number + len / PAGE, page));
        self.pages.extend(moved);
        self.size += len;
    }

    /// Grows the size to `end` where it is less.
    pub(super) fn grow(&mut self, end: u64) {
        self.size = self.size.max(end);
    }

    /// The first byte at or after `offset` that is data.
    pub(super) fn seek_data(&self, offset: u64) -> FsResult<u64> {
        let found = self.pages.range(offset / PAGE..).next();
        let data = found.map_or(MAX_SIZE, |(number, _)| (number * PAGE).max(offset));
        if offset < self.size && data < self.size {
            Ok(data)
        } else {
            Err(Errno::ENXIO)
        }
    }

    /// The first byte at or after `offset` in a hole, or the size.
    pub(super) fn seek_hole(&self, offset: u64) -> FsResult<u64> {
        if offset >= self.size {
            return Err(Errno::ENXIO);
        }
        let mut number = offset / PAGE;
        for (present, _) in self.pages.range(number..) {
            if *present != number {
                break;
            }
            number += 1;
        }
        Ok((number * PAGE).clamp(offset, self.size))
    }

    /// Ranges of data between `offset` and `end`, in bytes.
    pub(super) fn data_ranges(&self, offset: u64, end: u64) -> Vec<(u64, u64)> {
        let end = end.min(self.size);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        if offset >= end {
            return ranges;
        }
        for number in self
            .pages
            .range(offset / PAGE..end.div_ceil(PAGE))
            .map(|(number, _)| *number)
        {
            let (from, to) = ((number * PAGE).max(offset), ((number + 1) * PAGE).min(end));
            match ranges.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ => ranges.push((from, to)),
            }
        }
        ranges
    }

    /// As many pages as are missing in the range, or as there is room for. Where there is room for none it is an error,
    /// but only if the first one is missing.
    fn fresh_pages(&self, space: &Space, offset: u64, end: u64) -> FsResult<Vec<Page>> {
        let missing = usize::try_from(self.missing(offset, end)).map_err(|_| Errno::ENOSPC)?;
        if missing == 0 {
            return Ok(Vec::new());
        }
        match space.take_pages(missing) {
            Err(_) if self.pages.contains_key(&(offset / PAGE)) => Ok(Vec::new()),
            other => other,
        }
    }

    fn missing(&self, offset: u64, end: u64) -> u64 {
        let (first, last) = (offset / PAGE, end.div_ceil(PAGE));
        (last - first) - self.pages.range(first..last).count() as u64
    }

    fn page_or(&mut self, number: u64, fresh: &mut impl Iterator<Item = Page>) -> Option<&mut Page> {
        use std::collections::btree_map::Entry;
        match self.pages.entry(number) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => fresh.next().map(|page| entry.insert(page)),
        }
    }

    /// After a write whose data ended early: what it touched past the end is zero again, and pages past it are gone.
    fn tidy(&mut self, space: &Space, written: u64, end: u64) {
        let from = written.max(self.size);
        if from < end {
            self.zero(from, end.min(from.next_multiple_of(PAGE)));
            let (first, last) = (from.div_ceil(PAGE), end.div_ceil(PAGE));
            if first < last {
                space.give_back(self.remove(first, last));
            }
        }
    }

    /// Drops what is past the size.
    fn cut(&mut self, space: &Space) {
        let gone = self.pages.split_off(&self.size.div_ceil(PAGE));
        space.give_back(gone.into_values());
        self.zero(self.size, self.size.next_multiple_of(PAGE));
    }

    fn remove(&mut self, first: u64, last: u64) -> Vec<Page> {
        self.pages
            .extract_if(first..last, |_, _| true)
            .map(|(_, page)| page)
            .collect()
    }

    /// Zeros in the pages that are there.
    fn zero(&mut self, offset: u64, end: u64) {
        if offset >= end {
            return;
        }
        for (number, page) in self.pages.range_mut(offset / PAGE..end.div_ceil(PAGE)) {
            let piece = Piece::of(*number, offset, end);
            if let Some(bytes) = page.bytes_mut().get_mut(piece.start..piece.end) {
                bytes.fill(0);
            }
        }
    }
}

impl Piece {
    /// The part of page `number` that lies between `offset` and `end`.
    fn of(number: u64, offset: u64, end: u64) -> Self {
        let start = number * PAGE;
        let within = |at: u64| usize::try_from(at.clamp(start, start + PAGE) - start).unwrap_or(PAGE_SIZE);
        Self {
            page: number,
            start: within(offset),
            end: within(end),
        }
    }
}

/// The parts of pages between `offset` and `end`; none where `offset` is not below.
fn pieces(offset: u64, end: u64) -> impl Iterator<Item = Piece> {
    let last = if offset < end {
        end.div_ceil(PAGE)
    } else {
        offset / PAGE
    };
    (offset / PAGE..last).map(move |number| Piece::of(number, offset, end))
}

/// Reads until `into` is full; how much was there, and the error that ended it.
fn fill(into: &mut [u8], data: &mut dyn DataReader) -> (usize, FsResult<()>) {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match data.read(rest) {
            Ok(0) => break,
            Ok(taken) => done += taken.min(rest.len()),
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}
