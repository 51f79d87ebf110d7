//! The standard streams of one command, on the supervisor's side.

mod drain;
mod feed;
mod meter;
mod reader;

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use sandbox_types::Stream;

pub(crate) use self::drain::{Drain, Drained};
pub(crate) use self::feed::Feed;
pub(crate) use self::meter::{Meter, OutputLimit};
pub use self::reader::OutputReader;
use crate::command::Stdio;
use crate::error::StartError;

/// What init connects the command to, and what stays with the supervisor.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) theirs: [OwnedFd; 3],
    pub(crate) ours: Ours,
    /// Whether one of them is a file, which Landlock has a rule for.
    pub(crate) has_files: bool,
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

impl Ours {
    /// Standard output, where it was to be captured; it no longer is.
    pub(crate) fn take_stdout_drain(&mut self) -> Option<Drain> {
        let [stdout, _] = &mut self.drains;
        stdout.take()
    }
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
        let mut has_files = false;
        for stream in &theirs {
            has_files |= is_file(stream)?;
        }
        Ok(Self {
            theirs,
            ours,
            has_files,
        })
    }
}

/// Whether it can be opened again by its name in /proc: pipes, sockets and /dev/null are nothing that a rule is needed
/// for. An open directory, which is refused, is a way to all that is beneath it, and by `..` to all that is above.
pub(crate) fn is_file(stream: &OwnedFd) -> Result<bool, StartError> {
    use rustix::fs::FileType;
    let status = rustix::fs::fstat(stream).map_err(StartError::supervisor("fstat"))?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => Err(StartError::DirectoryStream),
        FileType::Fifo | FileType::Socket => Ok(false),
        FileType::CharacterDevice => Ok(status.st_rdev != rustix::fs::makedev(1, 3)),
        _ => Ok(true),
    }
}

pub(crate) fn open_input(stdio: Stdio, ours: &mut Ours) -> Result<OwnedFd, StartError> {
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
            ours.feed = Some(Feed::new(pipe, bytes));
            Ok(reader.into())
        }
        Stdio::File(file) => Ok(file),
        Stdio::Null | Stdio::Pty => null(),
        Stdio::Capture { .. } => Err(misplaced("standard input", "captured")),
        Stdio::Relay => Err(misplaced("standard input", "relayed")),
    }
}

pub(crate) fn open_output(
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
            let reader = OutputReader::new(reader, Meter::with_alarm(limit)?);
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
    let drain = Drain::new(pipe, stream, keep, relay, Meter::new(limit));
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
    // On a serial line, opening would wait for the other side.
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(name, flags, Mode::empty());
    match opened.and_then(|fd| rustix::fs::fcntl_setfl(&fd, OFlags::empty()).map(|()| fd)) {
        Ok(write_only) => write_only,
        Err(_) => stream,
    }
}
