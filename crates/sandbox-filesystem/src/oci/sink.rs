//! A layer's bytes on their way out: hashed, compressed, counted and hashed again.

use std::io::{self, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;

use super::stream::{Compression, Passed};

/// As good as the tools that make images compress.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Counts and hashes what is written.
pub(super) struct Meter<W> {
    inner: W,
    passed: Passed,
}

impl<W: Write> Meter<W> {
    pub(super) fn new(inner: W) -> Self {
        let passed = Passed::default();
        Self { inner, passed }
    }

    pub(super) fn passed(&self) -> &Passed {
        &self.passed
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.passed.add(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

type Out<'w> = Meter<&'w mut dyn Write>;

/// Where an archive goes.
pub(super) enum Sink<'w> {
    Plain(Out<'w>),
    Gzip(GzEncoder<Out<'w>>),
    Zstd(zstd::stream::write::Encoder<'static, Out<'w>>),
}

impl<'w> Sink<'w> {
    /// Neither a name nor a time gets into it, so that equal archives give equal layers.
    pub(super) fn new(out: &'w mut dyn Write, compression: Compression) -> io::Result<Self> {
        let out = Meter::new(out);
        Ok(match compression {
            Compression::None => Self::Plain(out),
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(GzBuilder::new().write(out, level))
            }
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?),
        })
    }

    /// Writes what is left; what the layer then is.
    pub(super) fn finish(self) -> io::Result<Passed> {
        let mut out = match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        out.flush()?;
        Ok(out.passed)
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}
