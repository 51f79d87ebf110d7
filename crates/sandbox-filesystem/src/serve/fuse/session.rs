//! [`Session`]: a filesystem that is mounted and served.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::SessionBuilder;
use super::error::UnmountError;
use super::mount::Mounted;
use super::pool::Pool;
use crate::fs::{Capabilities, DynFileSystem};
use crate::serve::{Counters, Negotiated};

/// How long a session that ends waits for backends that are still at work.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long for threads that are on their way out.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// A filesystem that is mounted and served.
///
/// Dropped, it is unmounted: what the kernel has not written yet is written, whoever still uses the mount gets errors,
/// and workers end. One whose backend is stuck is left behind; it holds nothing of the mount.
#[derive(Debug)]
pub struct Session {
    pool: Arc<Pool>,
    mounted: Mounted,
    has_ended: bool,
}

impl Session {
    /// How `fs` is to be mounted and served.
    pub fn builder(fs: Arc<dyn DynFileSystem>) -> SessionBuilder {
        SessionBuilder::new(fs)
    }

    pub(super) fn new(pool: Arc<Pool>, mounted: Mounted) -> Self {
        Self {
            pool,
            mounted,
            has_ended: false,
        }
    }

    /// Where it is mounted, where that is a place.
    pub fn mount_point(&self) -> Option<&Path> {
        self.mounted.path()
    }

    /// The mount itself, where it stands in no mount table. Paths below `/proc/self/fd/N` lead into it.
    pub fn root(&self) -> Option<BorrowedFd<'_>> {
        self.mounted.root()
    }

    /// What kernel and filesystem have agreed on.
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.pool.server.negotiated()
    }

    /// How often each operation was asked for.
    pub fn counters(&self) -> &Counters {
        self.pool.server.counters()
    }

    /// Waits until it is unmounted, by whomever.
    pub fn wait(&self) {
        self.pool.wait();
    }

    /// An eventfd that becomes readable when it is unmounted, by whomever: for a program that waits for other things
    /// too.
    pub fn ended(&self) -> std::io::Result<OwnedFd> {
        use rustix::event::EventfdFlags;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let ours = rustix::event::eventfd(0, flags)?;
        let theirs = rustix::io::fcntl_dupfd_cloexec(&ours, 0)?;
        self.pool.tell(ours);
        Ok(theirs)
    }

    /// Unmounts it unless somebody uses it. Where that is so, the session is given back and goes on.
    pub fn unmount(mut self) -> Result<(), (Self, UnmountError)> {
        match self.mounted.unmount() {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error)),
        }
    }

    /// Ends the connection at once: whoever waits for an answer, and whoever asks from now on, gets an error. What the
    /// kernel has not written yet is lost.
    pub(super) fn abort(&self) {
        self.pool.end();
    }

    /// What dropping it does, waiting this long; whether nobody is at work on a request any more.
    pub(super) fn end(&mut self, patience: Duration) -> bool {
        if self.mounted.unmount().is_err() {
            if self.writes_back() {
                self.mounted.sync(PATIENCE);
            }
            self.mounted.detach();
        }
        // A mount that is unmounted and not in use has ended its connection; every other one is ended here.
        self.pool.end();
        self.has_ended = true;
        let is_empty = self.pool.wait_empty(patience);
        if is_empty {
            self.wait_for_last();
        } else {
            tracing::warn!("a backend is still at work on a request of a mount that is gone");
        }
        self.mounted.close();
        is_empty
    }

    /// Threads that have nothing left to do let go of what is served as the last thing they do; whoever ends a session may
    /// want to have it, or what it has locked, for itself.
    fn wait_for_last(&self) {
        let since = Instant::now();
        while Arc::strong_count(&self.pool) > 1 && since.elapsed() < LAST_MOMENTS {
            std::thread::yield_now();
        }
    }

    fn writes_back(&self) -> bool {
        self.negotiated()
            .is_some_and(|agreed| agreed.capabilities.contains(Capabilities::WRITEBACK_CACHE))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(PATIENCE);
        }
    }
}
