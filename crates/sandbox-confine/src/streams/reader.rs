//! A stream that the caller reads.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::meter::Meter;

/// The reading end of a piped output stream. It counts; when the policy's output limit is passed, reading
/// fails, and waiting for the process ends the run with that verdict.
#[derive(Debug)]
pub struct OutputReader {
    pipe: PipeReader,
    meter: Arc<Meter>,
}

impl OutputReader {
    pub(super) fn new(pipe: PipeReader, meter: Meter) -> Self {
        let meter = Arc::new(meter);
        Self { pipe, meter }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Read for OutputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.meter.is_violated() {
                return Err(io::Error::new(
                    io::ErrorKind::QuotaExceeded,
                    "the output limit is used up",
                ));
            }
            let count = self.pipe.read(buffer)?;
            let within = self.meter.count(count);
            if self.meter.is_violated() {
                self.meter.sound_alarm()?;
            }
            if within == count || within > 0 {
                return Ok(within);
            }
        }
    }
}

impl AsFd for OutputReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
