//! The standard streams of one command, on the supervisor's side.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use sandbox_types::Stream;
use serde::{Deserialize, Serialize};

use crate::command::Stdio;
use crate::error::StartError;
use crate::sys;

/// What init connects the command to, and what stays with the supervisor.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) theirs: [OwnedFd; 3],
    pub(crate) ours: Ours,
}

/// The supervisor's ends.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) feed: Option<Feed>,
    pub(crate) drains: [Option<Drain>; 2],
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<OutputReader>,
    pub(crate) stderr: Option<OutputReader>,
}

/// Bytes on their way to standard input.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) pipe: OwnedFd,
    rest: Vec<u8>,
    sent: usize,
}

/// A captured or relayed output stream.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) pipe: OwnedFd,
    pub(crate) stream: Stream,
    kept: Vec<u8>,
    keep: u64,
    relay: Option<OwnedFd>,
    meter: Arc<Meter>,
    is_cut: bool,
    is_closed: bool,
}

/// How much a stream has carried, and how much it may.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: u64,
    truncates: bool,
    /// Written to when the limit is passed, so that whoever waits for the process is woken.
    alarm: Option<OwnedFd>,
    count: AtomicU64,
    is_over: AtomicBool,
}

/// What reading a stream found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// There may be more later.
    More,
    /// Whoever it is relayed to takes nothing now.
    Blocked,
    /// It is closed.
    End,
    /// It wrote more than it may, and the run must end.
    OverLimit,
}

/// The reading end of a piped output stream. It counts; when the policy's output limit is passed, reading
/// fails, and waiting for the process ends the run with that verdict.
#[derive(Debug)]
pub struct OutputReader {
    pipe: PipeReader,
    meter: Arc<Meter>,
}

/// The output limit of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutputLimit {
    pub(crate) bytes: u64,
    pub(crate) truncates: bool,
}

impl Streams {
    /// Opens what the three choices ask for. `limit` applies to each output stream.
    pub(crate) fn open(
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
        limit: Option<OutputLimit>,
    ) -> Result<Self, StartError> {
        let mut ours = Ours::default();
        let input = open_input(stdin, &mut ours)?;
        let output = open_output(stdout, Stream::Stdout, limit, &mut ours)?;
        let error = open_output(stderr, Stream::Stderr, limit, &mut ours)?;
        let theirs = [input, output, error];
        for stream in &theirs {
            refuse_directory(stream)?;
        }
        Ok(Self { theirs, ours })
    }
}

/// An open directory is a way to all that is beneath it, and by `..` to all that is above.
fn refuse_directory(stream: &OwnedFd) -> Result<(), StartError> {
    let status = rustix::fs::fstat(stream).map_err(StartError::supervisor("fstat"))?;
    match rustix::fs::FileType::from_raw_mode(status.st_mode) {
        rustix::fs::FileType::Directory => Err(StartError::DirectoryStream),
        _ => Ok(()),
    }
}

fn open_input(stdio: Stdio, ours: &mut Ours) -> Result<OwnedFd, StartError> {
    match stdio {
        Stdio::Inherit => inherit(rustix::stdio::stdin()),
        Stdio::Piped => {
            let (reader, writer) = pipe()?;
            ours.stdin = Some(writer);
            Ok(reader.into())
        }
        Stdio::Bytes(bytes) => {
            let (reader, writer) = pipe()?;
            let pipe = OwnedFd::from(writer);
            rustix::io::ioctl_fionbio(&pipe, true).map_err(StartError::supervisor("ioctl"))?;
            ours.feed = Some(Feed {
                pipe,
                rest: bytes,
                sent: 0,
            });
            Ok(reader.into())
        }
        Stdio::File(file) => Ok(file),
        Stdio::Null | Stdio::Pty => null(),
        Stdio::Capture { .. } => Err(misplaced("standard input", "captured")),
        Stdio::Relay => Err(misplaced("standard input", "relayed")),
    }
}

fn open_output(
    stdio: Stdio,
    stream: Stream,
    limit: Option<OutputLimit>,
    ours: &mut Ours,
) -> Result<OwnedFd, StartError> {
    let own = || match stream {
        Stream::Stdout => inherit(rustix::stdio::stdout()),
        Stream::Stderr => inherit(rustix::stdio::stderr()),
    };
    let (keep, relay) = match stdio {
        Stdio::Null | Stdio::Pty => return null(),
        Stdio::Bytes(_) => return Err(misplaced("an output stream", "given bytes")),
        // What cannot be counted cannot be limited: with a limit, the supervisor stands in between.
        Stdio::Inherit if limit.is_none() => return own().map(for_output),
        Stdio::File(file) if limit.is_none() => return Ok(for_output(file)),
        Stdio::Piped => {
            let (reader, writer) = pipe()?;
            let meter = Arc::new(Meter::with_alarm(limit)?);
            let reader = OutputReader { pipe: reader, meter };
            match stream {
                Stream::Stdout => ours.stdout = Some(reader),
                Stream::Stderr => ours.stderr = Some(reader),
            }
            return Ok(writer.into());
        }
        Stdio::Capture { limit } => (limit, None),
        Stdio::Relay | Stdio::Inherit => (0, Some(own()?)),
        Stdio::File(file) => (0, Some(file)),
    };
    let (reader, writer) = pipe()?;
    let pipe = OwnedFd::from(reader);
    rustix::io::ioctl_fionbio(&pipe, true).map_err(StartError::supervisor("ioctl"))?;
    let drain = Drain {
        pipe,
        stream,
        kept: Vec::new(),
        keep,
        relay,
        meter: Arc::new(Meter::new(limit)),
        is_cut: false,
        is_closed: false,
    };
    let [stdout, stderr] = &mut ours.drains;
    match stream {
        Stream::Stdout => *stdout = Some(drain),
        Stream::Stderr => *stderr = Some(drain),
    }
    Ok(writer.into())
}

fn misplaced(stream: &'static str, choice: &'static str) -> StartError {
    StartError::MisplacedStream { stream, choice }
}

fn pipe() -> Result<(PipeReader, PipeWriter), StartError> {
    io::pipe().map_err(|source| StartError::Supervisor { what: "pipe", source })
}

fn null() -> Result<OwnedFd, StartError> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(StartError::supervisor("open /dev/null"))
}

/// A duplicate of one of the caller's streams, or /dev/null where the caller has closed it.
fn inherit(fd: BorrowedFd<'_>) -> Result<OwnedFd, StartError> {
    match rustix::io::fcntl_dupfd_cloexec(fd, 3) {
        Ok(fd) => Ok(fd),
        Err(rustix::io::Errno::BADF) => null(),
        Err(errno) => Err(StartError::supervisor("duplicate a standard stream")(errno)),
    }
}

/// A terminal is opened for both directions and handed on as output and as errors; from such a stream a command
/// whose input is something else would read what its user types. Opened anew, it only writes. A terminal that
/// this user may not open, as after su(1), stays as it is.
fn for_output(stream: OwnedFd) -> OwnedFd {
    let reads =
        || rustix::fs::fcntl_getfl(&stream).is_ok_and(|flags| flags & OFlags::RWMODE != OFlags::WRONLY);
    if !rustix::termios::isatty(&stream) || !reads() {
        return stream;
    }
    let name = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(name, flags, Mode::empty()).unwrap_or(stream)
}

impl Feed {
    /// Writes what the pipe takes; true when all is written or nobody reads any more.
    pub(crate) fn push(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.rest.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match sys::write(self.pipe.as_fd(), rest) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }
}

impl Drain {
    /// Reads what is there, up to a bound, so that one stream does not starve the rest.
    pub(crate) fn pull(&mut self) -> io::Result<Drained> {
        let mut chunk = [0; 16 * 1024];
        for _ in 0..8 {
            if self.is_closed {
                return Ok(Drained::End);
            }
            // A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)); so does a terminal.
            let room = match &self.relay {
                Some(relay) if !is_writable(relay)? => return Ok(Drained::Blocked),
                Some(_) => 4096,
                None => chunk.len(),
            };
            let count = match rustix::io::read(&self.pipe, chunk.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Ok(Drained::End),
                Ok(count) => count,
                Err(rustix::io::Errno::AGAIN) => return Ok(Drained::More),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let within = self.meter.count(count);
            match self.take(chunk.get(..within).unwrap_or_default()) {
                Ok(()) => {}
                // Nobody listens any more: closing our end tells the command as it would without us.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Drained::End),
                Err(error) => return Err(error),
            }
            if self.is_violated() {
                return Ok(Drained::OverLimit);
            }
        }
        Ok(Drained::More)
    }

    /// Reads all that is there after the command has ended. What others, still alive in a sandbox that goes
    /// on, write from now on is not the command's.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let left = if self.is_closed {
            0
        } else {
            rustix::io::ioctl_fionread(&self.pipe)?
        };
        let end = self.bytes().saturating_add(left);
        loop {
            match self.pull()? {
                Drained::More if self.bytes() < end && self.has_more()? => {}
                Drained::Blocked => {
                    if let Some(relay) = &self.relay {
                        wait_writable(relay.as_fd())?;
                    }
                }
                Drained::More | Drained::End | Drained::OverLimit => {
                    self.close();
                    return Ok(());
                }
            }
        }
    }

    fn has_more(&self) -> io::Result<bool> {
        let mut poll = [rustix::event::PollFd::new(
            &self.pipe,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, Some(&NOW))?;
        let [poll] = poll;
        Ok(poll.revents().contains(rustix::event::PollFlags::IN))
    }

    /// Closes the reading end; the command's next write is a SIGPIPE.
    pub(crate) fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            if let Ok(null) = null() {
                self.pipe = null;
            }
        }
    }

    /// Where the stream is relayed to.
    pub(crate) fn relay(&self) -> Option<&OwnedFd> {
        self.relay.as_ref()
    }

    /// Whether it wrote more than it may.
    pub(crate) fn is_violated(&self) -> bool {
        self.meter.is_violated()
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(relay) = &self.relay {
            return write_all(relay.as_fd(), bytes);
        }
        let room = usize::try_from(self.keep)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.kept.len());
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.kept.extend_from_slice(kept);
        self.is_cut |= kept.len() < bytes.len();
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.meter.bytes()
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_cut || self.meter.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn into_kept(self) -> Vec<u8> {
        self.kept
    }
}

const NOW: rustix::event::Timespec = rustix::event::Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn is_writable(fd: &OwnedFd) -> io::Result<bool> {
    let mut poll = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut poll, Some(&NOW))?;
    let [poll] = poll;
    Ok(!poll.revents().is_empty())
}

fn wait_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::OUT)];
    match rustix::event::poll(&mut poll, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sys::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_writable(fd)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

impl Meter {
    fn new(limit: Option<OutputLimit>) -> Self {
        Self {
            limit: limit.map_or(u64::MAX, |limit| limit.bytes),
            truncates: limit.is_some_and(|limit| limit.truncates),
            alarm: None,
            count: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// A meter that somebody else reads, with an alarm where passing the limit ends the run.
    fn with_alarm(limit: Option<OutputLimit>) -> Result<Self, StartError> {
        let mut meter = Self::new(limit);
        if limit.is_some_and(|limit| !limit.truncates) {
            let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
            let alarm = rustix::event::eventfd(0, flags).map_err(StartError::supervisor("eventfd"))?;
            meter.alarm = Some(alarm);
        }
        Ok(meter)
    }

    /// Readable once the limit has been passed.
    pub(crate) fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }

    fn sound_alarm(&self) -> io::Result<()> {
        match &self.alarm {
            Some(alarm) => Ok(rustix::io::write(alarm, &1_u64.to_ne_bytes()).map(drop)?),
            None => Ok(()),
        }
    }

    /// Whether anything past the limit was thrown away.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) && self.truncates
    }

    /// Counts `count` more bytes and says how many of them are within the limit.
    fn count(&self, count: usize) -> usize {
        let more = u64::try_from(count).unwrap_or(u64::MAX);
        let before = self.count.fetch_add(more, Ordering::Relaxed);
        let within = self.limit.saturating_sub(before).min(more);
        if within < more {
            self.is_over.store(true, Ordering::Relaxed);
        }
        usize::try_from(within).unwrap_or(count)
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

impl OutputReader {
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Meter {
    pub(crate) fn bytes(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) && !self.truncates
    }
}

impl AsFd for OutputReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_lets_exactly_the_limit_through() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 10,
            truncates: false,
        }));
        assert_eq!([meter.count(7), meter.count(7), meter.count(7)], [7, 3, 0]);
        assert!(meter.is_violated());
        assert_eq!(meter.bytes(), 21);
    }

    #[test]
    fn what_is_exactly_at_the_limit_is_within_it() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 10,
            truncates: false,
        }));
        assert_eq!(meter.count(10), 10);
        assert!(!meter.is_violated());
    }

    #[test]
    fn a_truncated_stream_is_not_a_violation() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 1,
            truncates: true,
        }));
        assert_eq!(meter.count(5), 1);
        assert!(!meter.is_violated());
    }
}
