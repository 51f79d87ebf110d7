//! Streams that know the checksum of what went through them.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// What tar is made of.
const BLOCK: usize = 512;

/// A writer that knows the checksum of what was written.
pub(super) struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        let hash = Sha256::new();
        Self { inner, hash }
    }

    /// Of all that was written so far, in hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        hex(self.hash.clone())
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The checksum of what a [`HashingReader`] has read, without the last block: when that is the header of the
/// checksum itself, it is of what it is the checksum of.
#[derive(Clone, Default)]
pub(super) struct BeforeLastBlock(Arc<Mutex<Sha256>>);

impl BeforeLastBlock {
    /// In hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        hex(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set(&self, hash: &Sha256) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(hash);
    }
}

/// How much may be read of what is kept in memory, whatever it says of its size: names, attributes.
#[derive(Clone)]
pub(super) struct Allowance(Arc<AtomicU64>);

/// The most, in bytes: far more than the attributes of any file come to.
const MOST: u64 = 16 << 20;
const NO_LIMIT: u64 = u64::MAX;

impl Allowance {
    /// From here on no more than [`MOST`].
    pub(super) fn begin(&self) {
        self.0.store(MOST, Ordering::Relaxed);
    }

    /// From here on anything: it goes to a file.
    pub(super) fn end(&self) {
        self.0.store(NO_LIMIT, Ordering::Relaxed);
    }

    /// How much of this many bytes is allowed.
    fn of(&self, wanted: usize) -> io::Result<usize> {
        match usize::try_from(self.0.load(Ordering::Relaxed)) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an entry says more of itself than any file has",
            )),
            Ok(left) => Ok(left.min(wanted)),
            Err(_) => Ok(wanted),
        }
    }

    fn take(&self, read: usize) {
        let left = self.0.load(Ordering::Relaxed);
        if left != NO_LIMIT {
            self.0.store(left.saturating_sub(read as u64), Ordering::Relaxed);
        }
    }
}

/// A reader that knows the checksum of what was read.
pub(super) struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    before_last: BeforeLastBlock,
    block: Vec<u8>,
    allowance: Allowance,
}

impl<R: Read> HashingReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            before_last: BeforeLastBlock::default(),
            block: Vec::with_capacity(BLOCK),
            allowance: Allowance(Arc::new(AtomicU64::new(NO_LIMIT))),
        }
    }

    /// How much may be read, for somebody else to say.
    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    /// The checksum, as it becomes.
    pub(super) fn before_last_block(&self) -> BeforeLastBlock {
        self.before_last.clone()
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = bytes.len().min(BLOCK - self.block.len());
            let (head, tail) = bytes.split_at(taken);
            self.block.extend_from_slice(head);
            if self.block.len() == BLOCK {
                self.before_last.set(&self.hash);
                self.hash.update(&self.block);
                self.block.clear();
            }
            bytes = tail;
        }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.of(buffer.len())?;
        let read = self.inner.read(buffer.get_mut(..allowed).unwrap_or_default())?;
        self.allowance.take(read);
        self.add(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn hex(hash: Sha256) -> String {
    use std::fmt::Write as _;
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a text does not fail.
            write!(text, "{byte:02x}").ok();
            text
        })
}
