//! Pages of memory that go back to the system when they are freed.
//!
//! They come from blocks of 2 MiB of anonymous memory. A [`Page`] is the only way to reach its bytes, as a `Box` is, and
//! is given back by hand; one that is dropped instead is lost to the allocator until the process ends, and nothing
//! worse. It needs Linux and nothing newer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Bytes of a page. Where the system's own are larger, it gets back only what is wholly free of those.
pub(crate) const PAGE_SIZE: usize = 4096;

const BLOCK_PAGES: usize = 512;
const BLOCK_SIZE: usize = BLOCK_PAGES * PAGE_SIZE;
const WORDS: usize = BLOCK_PAGES / 64;

/// A page, and the only way to reach its bytes.
#[must_use = "a page that is dropped is not freed"]
pub(crate) struct Page(NonNull<[u8; PAGE_SIZE]>);

// SAFETY: a `Page` is the only owner of the bytes that it points to, as a `Box<[u8; PAGE_SIZE]>` would be.
unsafe impl Send for Page {}
// SAFETY: as above; shared access gives shared slices only.
unsafe impl Sync for Page {}

impl Page {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8; PAGE_SIZE] {
        // SAFETY: the block is mapped for as long as one of its pages is out, and this page is only reached through
        // `self`, which is borrowed for as long as the slice.
        unsafe { self.0.as_ref() }
    }

    /// Its bytes, to change.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }

    fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Whether `next` begins where this one ends.
    fn touches(&self, next: &Self) -> bool {
        self.address() + PAGE_SIZE == next.address()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// Gives out pages.
pub(crate) struct Pages {
    inner: Mutex<Inner>,
    /// Freed pages that are kept for the next one who needs some.
    keep: usize,
}

#[derive(Default)]
struct Inner {
    /// By address.
    blocks: BTreeMap<usize, Block>,
    /// The addresses of those with a free page.
    open: BTreeSet<usize>,
    /// Pages that are free, but not given back to the system.
    kept: Vec<Page>,
}

struct Block {
    start: NonNull<u8>,
    /// A bit for each page that is free.
    free: [u64; WORDS],
    free_pages: usize,
}

// SAFETY: the pointer is the start of a mapping that this block owns; nothing is thread-local about it.
unsafe impl Send for Block {}

impl Pages {
    /// None yet. At most `keep` freed pages stay with the process.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            inner: Mutex::default(),
            keep,
        }
    }

    /// `count` pages of zeros. Fails with what mmap(2) says when there is no memory, and then takes none.
    pub(crate) fn take(&self, count: usize) -> Result<Vec<Page>, Errno> {
        let mut taken = Vec::with_capacity(count);
        {
            let mut inner = self.lock();
            let kept = inner.kept.len();
            taken.extend(inner.kept.drain(kept - count.min(kept)..));
        }
        for page in &mut taken {
            page.bytes_mut().fill(0);
        }
        let reused = taken.len();
        let result = self.lock().take_fresh(count, &mut taken);
        populate(taken.get(reused..).unwrap_or_default());
        match result {
            Ok(()) => Ok(taken),
            Err(error) => {
                self.give_back(taken);
                Err(error)
            }
        }
    }

    /// Frees pages that came from here.
    pub(crate) fn give_back(&self, pages: impl IntoIterator<Item = Page>) {
        let mut pages = pages.into_iter();
        {
            let mut inner = self.lock();
            let room = self.keep.saturating_sub(inner.kept.len());
            inner.kept.extend(pages.by_ref().take(room));
        }
        let mut pages: Vec<Page> = pages.collect();
        if pages.is_empty() {
            return;
        }
        pages.sort_unstable_by_key(Page::address);
        for run in pages.chunk_by_mut(Page::touches) {
            discard(run);
        }
        self.lock().set_free(pages);
    }

    /// Bytes that are mapped, whether or not there is memory behind them.
    #[cfg(test)]
    fn mapped(&self) -> usize {
        self.lock().blocks.len() * BLOCK_SIZE
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

/// What is out at that time stays mapped.
impl Drop for Pages {
    fn drop(&mut self) {
        let mut inner = self.lock();
        let kept = std::mem::take(&mut inner.kept);
        inner.set_free(kept);
        let blocks = std::mem::take(&mut inner.blocks);
        for block in blocks
            .into_values()
            .filter(|block| block.free_pages == BLOCK_PAGES)
        {
            block.unmap();
        }
    }
}

impl Inner {
    /// Adds pages to `taken` until there are `count`, the lowest addresses first.
    fn take_fresh(&mut self, count: usize, taken: &mut Vec<Page>) -> Result<(), Errno> {
        while taken.len() < count {
            let start = match self.open.first() {
                Some(start) => *start,
                None => self.map_block()?,
            };
            let Some(block) = self.blocks.get_mut(&start) else {
                self.open.remove(&start);
                continue;
            };
            block.take(count - taken.len(), taken);
            if block.free_pages == 0 {
                self.open.remove(&start);
            }
        }
        Ok(())
    }

    fn map_block(&mut self) -> Result<usize, Errno> {
        let block = Block::map()?;
        let start = block.start.as_ptr().addr();
        self.blocks.insert(start, block);
        self.open.insert(start);
        Ok(start)
    }

    /// Marks pages free, and unmaps blocks that are wholly free, but for one.
    fn set_free(&mut self, pages: Vec<Page>) {
        let mut last = None;
        for page in pages {
            let Some((start, block)) = self.blocks.range_mut(..=page.address()).next_back() else {
                continue;
            };
            block.set_free(&page);
            self.open.insert(*start);
            if last.is_some_and(|last| last != *start) {
                self.unmap_if_free(last);
            }
            last = self.block_of(&page);
        }
        self.unmap_if_free(last);
    }

    fn block_of(&self, page: &Page) -> Option<usize> {
        self.blocks
            .range(..=page.address())
            .next_back()
            .map(|(start, _)| *start)
    }

    fn unmap_if_free(&mut self, start: Option<usize>) {
        let Some(start) = start else { return };
        let wholly_free = self
            .blocks
            .get(&start)
            .is_some_and(|block| block.free_pages == BLOCK_PAGES);
        if wholly_free && self.open.len() > 1 {
            self.open.remove(&start);
            if let Some(block) = self.blocks.remove(&start) {
                block.unmap();
            }
        }
    }
}

impl Block {
    fn map() -> Result<Self, Errno> {
        // SAFETY: a new private mapping at an address that the kernel chooses touches nothing that is there.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                BLOCK_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        // A huge page would make memory resident that nobody was charged for. A kernel without them says EINVAL.
        // SAFETY: the advice changes how the fresh mapping is backed, not what is in it.
        let _not_supported = unsafe { rustix::mm::madvise(start, BLOCK_SIZE, Advice::LinuxNoHugepage) };
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?,
            free: [u64::MAX; WORDS],
            free_pages: BLOCK_PAGES,
        })
    }

    fn take(&mut self, count: usize, taken: &mut Vec<Page>) {
        let mut left = count;
        for (word, bits) in self.free.iter_mut().enumerate() {
            while *bits != 0 && left > 0 {
                let bit = bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                let offset = (word * 64 + bit) * PAGE_SIZE;
                // SAFETY: `offset` is below BLOCK_SIZE, so the result is within the mapping.
                let page = unsafe { self.start.add(offset) };
                taken.push(Page(page.cast()));
                self.free_pages -= 1;
                left -= 1;
            }
        }
    }

    /// Marks it free. A page that is of another block, or free already, is not touched.
    fn set_free(&mut self, page: &Page) {
        let index = (page.address() - self.start.as_ptr().addr()) / PAGE_SIZE;
        let Some(bits) = self.free.get_mut(index / 64) else {
            return;
        };
        let bit = 1 << (index % 64);
        if *bits & bit == 0 {
            *bits |= bit;
            self.free_pages += 1;
        }
    }

    /// To be called when every page is free.
    fn unmap(self) {
        // SAFETY: the mapping is this block's, and none of its pages is out, so nothing points into it.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), BLOCK_SIZE) };
        // It fails when the process has too many mappings; the memory itself was given back before.
        if let Err(error) = unmapped {
            tracing::debug!(%error, "a block of free pages stays mapped");
        }
    }
}

/// Splits sorted pages into runs without a gap.
fn runs(pages: &[Page]) -> impl Iterator<Item = &[Page]> {
    pages.chunk_by(Page::touches)
}

/// Gives the memory behind a run back to the system. The pages stay mapped and read as zeros.
fn discard(run: &mut [Page]) {
    let Some(first) = run.first() else { return };
    let system = rustix::param::page_size();
    let skip = first.address().next_multiple_of(system) - first.address();
    let len = (run.len() * PAGE_SIZE).saturating_sub(skip) / system * system;
    if len == 0 {
        return;
    }
    let start = first.0.as_ptr().cast::<u8>().wrapping_add(skip);
    // SAFETY: the range consists of pages that `run` owns, so nobody else reads or writes it.
    let discarded = unsafe { rustix::mm::madvise(start.cast(), len, Advice::LinuxDontNeed) };
    if let Err(error) = discarded {
        tracing::debug!(%error, "freed pages stay with the process");
    }
}

/// Puts memory behind fresh pages, in one call a run: a fault for each costs more.
fn populate(pages: &[Page]) {
    const WORTH_A_CALL: usize = 8;
    for run in runs(pages).filter(|run| run.len() >= WORTH_A_CALL) {
        let Some(first) = run.first() else { continue };
        // Where it fails (before Linux 5.14), the pages come with the first touch.
        // SAFETY: the range consists of pages that `run` owns; their content does not change.
        let _not_supported = unsafe {
            rustix::mm::madvise(
                first.0.as_ptr().cast(),
                run.len() * PAGE_SIZE,
                Advice::LinuxPopulateWrite,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zero_also_when_they_were_used_before() {
        for keep in [0, 10] {
            let pages = Pages::new(keep);
            let mut taken = pages.take(100).unwrap();
            for page in &mut taken {
                assert_eq!(page.bytes(), &[0; PAGE_SIZE]);
                page.bytes_mut().fill(7);
            }
            pages.give_back(taken);
            for page in pages.take(100).unwrap() {
                assert_eq!(page.bytes(), &[0; PAGE_SIZE], "keep {keep}");
            }
        }
    }

    #[test]
    fn no_page_is_given_out_twice() {
        let pages = Pages::new(4);
        let mut taken = pages.take(3 * BLOCK_PAGES + 5).unwrap();
        let odd: Vec<Page> = taken
            .extract_if(.., |page| page.address() / PAGE_SIZE % 2 == 1)
            .collect();
        let count = odd.len();
        pages.give_back(odd);
        taken.extend(pages.take(count + 7).unwrap());
        let distinct: BTreeSet<usize> = taken.iter().map(Page::address).collect();
        assert_eq!(distinct.len(), taken.len());
        pages.give_back(taken);
    }

    #[test]
    fn blocks_that_are_wholly_free_are_unmapped_but_for_one() {
        let pages = Pages::new(0);
        let taken = pages.take(8 * BLOCK_PAGES).unwrap();
        assert_eq!(pages.mapped(), 8 * BLOCK_SIZE);
        pages.give_back(taken);
        assert_eq!(pages.mapped(), BLOCK_SIZE);
    }

    #[test]
    fn runs_end_at_gaps() {
        let pages = Pages::new(0);
        let mut taken = pages.take(10).unwrap();
        let gone = taken.remove(4);
        let lengths: Vec<usize> = runs(&taken).map(<[Page]>::len).collect();
        assert_eq!(lengths, [4, 5]);
        taken.push(gone);
        pages.give_back(taken);
    }
}
