//! Serving a mount that whoever confines a process has made inside.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sandbox_types::{ServeFuse, Serving};

use super::builder::SessionBuilder;
use super::session::Session;
use crate::fs::Errno;
use crate::serve::Opcode;

/// How long a session waits at its end for backends that are still at work.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session in a sandbox.
#[derive(Debug)]
struct Inside {
    session: Session,
    /// Set as long as the filesystem is served to this sandbox, or has not noticed that it is not any more: it has one
    /// client at a time.
    is_taken: Arc<AtomicBool>,
    is_aborted: AtomicBool,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let is_aborted = self.is_aborted.load(Ordering::Acquire);
        let patience = if is_aborted { Duration::ZERO } else { PATIENCE };
        if self.session.end(patience) {
            self.is_taken.store(false, Ordering::Release);
        }
    }
}

/// What the builder says of mounting (names, permissions, read-only) is the business of whoever mounts it.
impl ServeFuse for SessionBuilder {
    fn shows(&self) -> Vec<PathBuf> {
        self.served.0.shows()
    }

    fn serve(&self, device: OwnedFd) -> io::Result<Box<dyn Serving>> {
        if self.inside.swap(true, Ordering::AcqRel) {
            return Err(Errno::EBUSY.into());
        }
        match self.clone().serve(device) {
            Ok(session) => Ok(Box::new(Inside {
                session,
                is_taken: Arc::clone(&self.inside),
                is_aborted: AtomicBool::new(false),
            })),
            Err(error) => {
                self.inside.store(false, Ordering::Release);
                Err(io::Error::other(error))
            }
        }
    }
}

impl Serving for Inside {
    fn answered(&self) -> u64 {
        let counted = self.session.counters().counted();
        // Interrupts come of killing who waits, not of work.
        let work = counted.iter().filter(|one| one.opcode != Opcode::Interrupt);
        work.map(|one| one.requests).sum()
    }

    fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
        self.session.abort();
    }
}
