//! Namespaces that take long to make, made by a second thread while the first builds the root.
//!
//! A network namespace costs about a millisecond, as much as everything else together. The thread makes it
//! for itself, leaves descriptors of its namespaces, and ends; init joins them. From then on init is
//! single-threaded again, before the first command exists.

use crate::sys::files::open_read;
use crate::sys::{self, Errno, Fd, Thread};

const CLONE_NEWIPC: u64 = 0x0800_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;

/// The namespaces made by [`work`].
#[derive(Default)]
struct Made {
    ipc: Option<Fd>,
    network: Option<Fd>,
}

/// A thread at work.
pub struct Beside(Option<Thread<u64, Result<Made, Errno>>>);

/// Starts making `namespaces` (CLONE_NEWIPC, CLONE_NEWNET, both or none).
pub fn start(namespaces: u64) -> sys::Result<Beside> {
    if namespaces == 0 {
        return Ok(Beside(None));
    }
    Thread::start(work, namespaces).map(Some).map(Beside)
}

impl Beside {
    /// Waits for the thread and joins what it has made.
    pub fn join(&mut self) -> sys::Result<()> {
        let Some(thread) = self.0.take() else {
            return Ok(());
        };
        let made = thread.join()??;
        for namespace in [made.ipc, made.network].into_iter().flatten() {
            sys::join_namespace(&namespace)?;
        }
        Ok(())
    }
}

fn work(namespaces: &u64) -> Result<Made, Errno> {
    sys::leave_namespaces(*namespaces)?;
    let mut made = Made::default();
    if namespaces & CLONE_NEWIPC != 0 {
        made.ipc = Some(open_read(c"/proc/thread-self/ns/ipc")?);
    }
    if namespaces & CLONE_NEWNET != 0 {
        sys::sockets::bring_loopback_up()?;
        made.network = Some(open_read(c"/proc/thread-self/ns/net")?);
    }
    Ok(made)
}
