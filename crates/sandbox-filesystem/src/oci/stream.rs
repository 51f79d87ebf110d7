//! A layer's bytes on their way in: counted, hashed, decompressed, counted and hashed again.

use std::cell::RefCell;
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use super::limits::Limits;

/// The most memory that zstd may ask for, as a power of two: what `zstd --ultra` uses at most without `--long`.
const WINDOW_LOG: u32 = 27;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// What layers are not compressed by, and how it begins.
const OTHERS: [(&str, &[u8]); 4] = [
    ("xz", &[0xfd, b'7', b'z', b'X']),
    ("bzip2", b"BZh"),
    ("lz4", &[0x04, 0x22, 0x4d, 0x18]),
    ("compress", &[0x1f, 0x9d]),
];
const BUFFER: usize = 128 << 10;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// It is a plain tar archive.
    None,
    /// gzip, what every tool reads.
    #[default]
    Gzip,
    /// Zstandard: smaller and faster.
    Zstd,
}

impl Compression {
    /// What a manifest calls such a layer.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// It is compressed by something else.
#[derive(Debug, thiserror::Error)]
#[error("it is compressed by {program}")]
pub(super) struct Foreign {
    pub(super) program: &'static str,
}

/// More has come out of a compressed stream than its size allows.
#[derive(Debug, thiserror::Error)]
#[error("it becomes more than {ratio} times its size")]
pub(super) struct Bomb {
    pub(super) ratio: u64,
}

/// What went through.
#[derive(Debug, Default, Clone)]
pub(super) struct Passed {
    hash: Sha256,
    pub(super) bytes: u64,
}

impl Passed {
    pub(super) fn digest(&self) -> Digest {
        Digest::of_hash(self.hash.clone())
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }
}

/// How many bytes of a layer were read.
pub(super) struct ReadSoFar(Rc<RefCell<Passed>>);

impl ReadSoFar {
    pub(super) fn get(&self) -> u64 {
        self.0.borrow().bytes
    }
}

/// Counts and hashes what is read.
struct Metered<R> {
    inner: R,
    passed: Rc<RefCell<Passed>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.passed
            .borrow_mut()
            .add(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The tar archive in a layer, whatever compresses it.
pub(super) struct LayerStream<'i> {
    archive: Box<dyn Read + 'i>,
    raw: Rc<RefCell<Passed>>,
    plain: Passed,
    compression: Compression,
    limits: Limits,
}

impl<'i> LayerStream<'i> {
    /// What compresses it is told by its first bytes: media types are wrong sometimes, and whether the content is right
    /// is told by its digest.
    pub(super) fn open(input: &'i mut dyn Read, limits: Limits) -> io::Result<Self> {
        let raw = Rc::new(RefCell::new(Passed::default()));
        let passed = Rc::clone(&raw);
        let mut buffered = BufReader::with_capacity(BUFFER, Metered { inner: input, passed });
        let start = start_of(&mut buffered)?;
        if let Some((program, _)) = OTHERS.iter().find(|(_, magic)| start.starts_with(magic)) {
            return Err(io::Error::other(Foreign { program }));
        }
        let compression = compression_of(&start);
        let buffered = Cursor::new(start).chain(buffered);
        let archive: Box<dyn Read + 'i> = match compression {
            Compression::None => Box::new(buffered),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        Ok(Self {
            archive,
            raw,
            plain: Passed::default(),
            compression,
            limits,
        })
    }

    /// Bytes of the layer that were read, as it becomes.
    pub(super) fn read_so_far(&self) -> ReadSoFar {
        ReadSoFar(Rc::clone(&self.raw))
    }

    /// Of the layer as it came, once all of it was read.
    pub(super) fn raw(&self) -> Passed {
        self.raw.borrow().clone()
    }

    /// Of the archive in it.
    pub(super) fn plain(&self) -> &Passed {
        &self.plain
    }

    fn is_bomb(&self) -> bool {
        let most = self.raw.borrow().bytes.saturating_mul(self.limits.ratio);
        self.compression != Compression::None && self.plain.bytes > most.max(self.limits.free)
    }
}

impl Read for LayerStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(buffer)?;
        self.plain.add(buffer.get(..read).unwrap_or_default());
        if self.is_bomb() {
            let ratio = self.limits.ratio;
            return Err(io::Error::other(Bomb { ratio }));
        }
        Ok(read)
    }
}

/// The first four bytes, fewer where there are no more. A pipe may give them one by one.
fn start_of(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.take(4).read_to_end(&mut start)?;
    Ok(start)
}

fn compression_of(start: &[u8]) -> Compression {
    if start.starts_with(GZIP) {
        Compression::Gzip
    } else if start.starts_with(ZSTD) {
        Compression::Zstd
    } else {
        Compression::None
    }
}
