//! [`Server`]: one request in, one answer out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::backing::{Backing, BackingFiles};
use super::decode::{self, Fields, Header};
use super::encode::Out;
use super::in_flight::InFlight;
use super::ops::{self, Answer, Call};
use super::transport::HEADER;
use super::{Counters, Opcode, Reply};
use crate::fs::{
    Capabilities, Context, DataReader, DaxMapper, DynFileSystem, Errno, FsResult, Handle, Ino, Interrupt,
};

/// What a server does beyond its filesystem.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The longest read or write, in bytes; between 4096 and 1 MiB, a multiple of 4096.
    pub max_io: u32,
    /// What is not agreed on, though kernel and filesystem would.
    pub withheld: Capabilities,
    /// Lets the kernel read and write the files behind the filesystem's directly.
    pub backing: Option<Arc<dyn Backing>>,
}

/// The longest read or write there is, in bytes.
pub(crate) const MAX_IO: u32 = 1 << 20;

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_io: MAX_IO,
            withheld: Capabilities::empty(),
            backing: None,
        }
    }
}

/// What kernel, filesystem and server have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Of those that concern the filesystem.
    pub capabilities: Capabilities,
    /// Whether files are read and written by the kernel itself where that is possible.
    pub backing: bool,
    pub(super) long_setxattr: bool,
    pub(super) extended: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It was answered, with this error where there is one.
    Answered(Option<Errno>),
    /// It is one that has no answer.
    Silent,
}

/// A request that was not answered though it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswerable {
    /// It is too short to say whose it is.
    Header,
    /// The transport does not take the answer.
    Transport(Errno),
}

/// Answers requests by calling a filesystem. See the [module](super).
pub struct Server {
    fs: Arc<dyn DynFileSystem>,
    options: ServerOptions,
    negotiated: Mutex<Option<Negotiated>>,
    /// What of it every request asks for: bit 0 `backing`, bit 1 `long_setxattr`.
    quick: AtomicU64,
    begun: AtomicBool,
    in_flight: InFlight,
    counters: Counters,
    files: BackingFiles,
}

const BACKING: u64 = 1 << 0;
const LONG_SETXATTR: u64 = 1 << 1;
const WRITES_BACK: u64 = 1 << 2;

impl Server {
    /// Serves `fs`.
    pub fn new(fs: Arc<dyn DynFileSystem>, options: ServerOptions) -> Self {
        Self {
            fs,
            options,
            negotiated: Mutex::new(None),
            quick: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            in_flight: InFlight::default(),
            counters: Counters::new(),
            files: BackingFiles::default(),
        }
    }

    /// What was agreed on, once the first request has come.
    pub fn negotiated(&self) -> Option<Negotiated> {
        *self.lock()
    }

    /// The figures of all operations so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Answers one request. May be called from any number of threads at once; takes as long as the backend does.
    ///
    /// The first one is `FUSE_INIT`: before it, and after `FUSE_DESTROY`, everything else is `EIO`. Another `FUSE_INIT` begins
    /// anew, with no reference and no handle.
    ///
    /// `request` begins with the header (`struct fuse_in_header`).
    pub fn handle(
        &self,
        request: &mut dyn DataReader,
        reply: &mut dyn Reply,
    ) -> Result<Handled, Unanswerable> {
        self.handle_with(request, reply, None)
    }

    /// As [`handle`](Self::handle), with the memory window of the guest that asks (virtiofs DAX).
    pub fn handle_with(
        &self,
        request: &mut dyn DataReader,
        reply: &mut dyn Reply,
        mapper: Option<&mut dyn DaxMapper>,
    ) -> Result<Handled, Unanswerable> {
        let header = Header::read(request).map_err(|_| Unanswerable::Header)?;
        let Some(opcode) = Opcode::from_raw(header.opcode) else {
            tracing::debug!(opcode = header.opcode, "a request that is not known");
            return send(reply, &header, Err(Errno::ENOSYS));
        };
        let start = Instant::now();
        let handled = match opcode {
            Opcode::Forget | Opcode::BatchForget | Opcode::NotifyReply => {
                self.without_answer(opcode, &header, request);
                Ok(Handled::Silent)
            }
            Opcode::Interrupt => self.interrupt(&header, request, reply),
            _ => self.with_answer(opcode, &header, request, reply, mapper),
        };
        let failed = !matches!(handled, Ok(Handled::Answered(None) | Handled::Silent));
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let bytes = match opcode {
            Opcode::Write => u64::from(header.len).saturating_sub(80),
            _ => 0,
        };
        self.counters.add(opcode, failed, nanoseconds, bytes);
        handled
    }

    /// Nobody waits for an answer any more: whatever waits for something is interrupted.
    pub fn interrupt_all(&self) {
        self.in_flight.interrupt_all();
    }

    /// The connection is gone, and with it every reference and handle. Does nothing the second time.
    pub fn end(&self) {
        if self.begun.swap(false, Ordering::AcqRel) {
            self.interrupt_all();
            self.files.clear(self.options.backing.as_deref());
            self.fs.destroy();
        }
    }

    /// The filesystem that is served.
    pub fn fs(&self) -> &Arc<dyn DynFileSystem> {
        &self.fs
    }

    fn lock(&self) -> MutexGuard<'_, Option<Negotiated>> {
        self.negotiated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<'a>(&'a self, header: &Header, interrupt: &'a Interrupt) -> Call<'a> {
        Call {
            fs: &*self.fs,
            ctx: Context {
                uid: header.uid,
                gid: header.gid,
                pid: header.pid,
                interrupt,
            },
            ino: header.ino,
            agreed: Agreed { server: self },
        }
    }

    fn without_answer(&self, opcode: Opcode, header: &Header, request: &mut dyn DataReader) {
        if opcode == Opcode::NotifyReply {
            return;
        }
        let never = Interrupt::new();
        let body = header
            .body(request)
            .and_then(|length| decode::take(request, length));
        let forgotten = body.and_then(|body| {
            let call = self.call(header, &never);
            guarded(|| ops::forget(&call, opcode, Fields(&body)))
        });
        if let Err(error) = forgotten {
            tracing::warn!(%error, ino = header.ino, "a request to forget");
        }
    }

    /// A request that is not known yet has been read by another thread a moment ago, or is answered already: the kernel
    /// asks again in the first case.
    fn interrupt(
        &self,
        header: &Header,
        request: &mut dyn DataReader,
        reply: &mut dyn Reply,
    ) -> Result<Handled, Unanswerable> {
        let unique = header
            .body(request)
            .and_then(|length| decode::take(request, length))
            .and_then(|body| Fields(&body).u64());
        match unique {
            Ok(unique) if self.in_flight.interrupt(unique) => Ok(Handled::Silent),
            Ok(_) => send(reply, header, Err(Errno::EAGAIN)),
            Err(error) => send(reply, header, Err(error)),
        }
    }

    fn with_answer(
        &self,
        opcode: Opcode,
        header: &Header,
        request: &mut dyn DataReader,
        reply: &mut dyn Reply,
        mapper: Option<&mut dyn DaxMapper>,
    ) -> Result<Handled, Unanswerable> {
        // Until it is answered: an interrupt that comes meanwhile is for this request, and need not be asked for again.
        let ticket = self.in_flight.enter(header.unique);
        let answer = {
            let call = self.call(header, &ticket.interrupt);
            let span = tracing::trace_span!("fuse", op = opcode.name(), ino = header.ino, pid = header.pid);
            let _entered = span.enter();
            guarded(|| self.answer(opcode, &call, header, request, reply, mapper))
        };
        if let (Opcode::Read, Ok(Answer::Written(length))) = (opcode, &answer) {
            self.counters
                .add_bytes(opcode, u64::try_from(*length).unwrap_or(u64::MAX));
        }
        let sent = send(reply, header, answer);
        drop(ticket);
        sent
    }

    fn answer(
        &self,
        opcode: Opcode,
        call: &Call<'_>,
        header: &Header,
        request: &mut dyn DataReader,
        reply: &mut dyn Reply,
        mapper: Option<&mut dyn DaxMapper>,
    ) -> FsResult<Answer> {
        let length = header.body(request)?;
        // Before the first request and after the last one there is nobody whose references could be given back.
        if opcode != Opcode::Init && !self.begun.load(Ordering::Acquire) {
            return Err(Errno::EIO);
        }
        if let Some(answer) = ops::moved(call, opcode, request, length, reply) {
            return answer;
        }
        let body = decode::take(request, length)?;
        let fields = Fields(&body);
        let out = match opcode {
            Opcode::Init => self.init(fields)?,
            Opcode::Destroy => {
                self.end();
                Out::nothing()
            }
            _ => ops::plain(call, opcode, fields, reply.body().remaining(), mapper)?,
        };
        Ok(Answer::Body(out))
    }

    /// Whoever begins anew (a guest that was reset, say) has nothing of what it had before.
    fn init(&self, fields: Fields<'_>) -> FsResult<Out> {
        self.end();
        let (out, negotiated) = ops::init(&*self.fs, &self.options, fields)?;
        if let Some(negotiated) = negotiated {
            let writes_back = negotiated.capabilities.contains(Capabilities::WRITEBACK_CACHE);
            let quick = [
                (negotiated.backing, BACKING),
                (negotiated.long_setxattr, LONG_SETXATTR),
                (writes_back, WRITES_BACK),
            ];
            let quick = quick.iter().filter(|(is_agreed, _)| *is_agreed);
            self.quick
                .store(quick.map(|(_, bit)| bit).sum(), Ordering::Release);
            self.begun.store(true, Ordering::Release);
            *self.lock() = Some(negotiated);
            tracing::debug!(?negotiated, "the kernel and the filesystem agree");
        }
        Ok(out)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("options", &self.options)
            .field("negotiated", &self.negotiated())
            .finish_non_exhaustive()
    }
}

/// What was agreed on, as single operations need it.
#[derive(Clone, Copy)]
pub(super) struct Agreed<'a> {
    server: &'a Server,
}

impl<'a> Agreed<'a> {
    pub(super) fn long_setxattr(self) -> bool {
        self.has(LONG_SETXATTR)
    }

    /// Whether the kernel keeps what is written, and with it what is known of where data ends.
    pub(super) fn writes_back(self) -> bool {
        self.has(WRITES_BACK)
    }

    fn has(self, bit: u64) -> bool {
        self.server.quick.load(Ordering::Acquire) & bit != 0
    }

    /// By which number the kernel knows the file behind an opened one, where it shall use that directly.
    pub(super) fn backing(self, fs: &dyn DynFileSystem, ino: Ino, handle: Option<Handle>) -> Option<u32> {
        let backing = self.used()?;
        self.server.files.opened(backing, fs, ino, handle)
    }

    pub(super) fn closed(self, ino: Ino, handle: Option<Handle>) {
        if let Some(backing) = self.used() {
            self.server.files.closed(backing, ino, handle);
        }
    }

    fn used(self) -> Option<&'a dyn Backing> {
        let backing = self.server.options.backing.as_deref();
        backing.filter(|_| self.has(BACKING))
    }
}

/// A backend that panics has failed at this request, and lives on.
fn guarded<T>(operation: impl FnOnce() -> FsResult<T>) -> FsResult<T> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|_| {
        tracing::error!("a backend has panicked");
        Err(Errno::EIO)
    })
}

fn send(reply: &mut dyn Reply, header: &Header, answer: FsResult<Answer>) -> Result<Handled, Unanswerable> {
    let (error, length) = match answer.and_then(|answer| place(reply, answer)) {
        Ok(length) => (None, length),
        Err(error) => (Some(error), 0),
    };
    let Err(failed) = reply.send(&head(header, error, length)?, length) else {
        return Ok(Handled::Answered(error));
    };
    // ENOENT, ENODEV: nobody waits any more. Anybody else would for ever, and could not be killed.
    if !matches!(failed, Errno::ENOENT | Errno::ENODEV) {
        tracing::error!(%failed, opcode = header.opcode, "an answer that the transport does not take");
        if let Err(again) = reply.send(&head(header, Some(Errno::EIO), 0)?, 0) {
            tracing::debug!(%again, "nor an error in its place");
        }
    }
    Err(Unanswerable::Transport(failed))
}

/// `struct fuse_out_header` before a body of `length` bytes.
fn head(header: &Header, error: Option<Errno>, length: usize) -> Result<[u8; HEADER], Unanswerable> {
    let whole = u32::try_from(HEADER + length).map_err(|_| Unanswerable::Transport(Errno::EIO))?;
    let number = error.map_or(0, |error| -error.raw());
    let mut head = [0; HEADER];
    let fields = [whole.to_ne_bytes(), number.to_ne_bytes()];
    for (place, field) in head.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field);
    }
    if let Some(place) = head.last_chunk_mut() {
        *place = header.unique.to_ne_bytes();
    }
    Ok(head)
}

fn place(reply: &mut dyn Reply, answer: Answer) -> FsResult<usize> {
    match answer {
        Answer::Written(length) => Ok(length),
        Answer::Body(Out(bytes)) => {
            let written = reply.body().write(&bytes)?;
            if written == bytes.len() {
                Ok(written)
            } else {
                Err(Errno::ERANGE)
            }
        }
    }
}
