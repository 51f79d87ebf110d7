//! Who keeps a quota.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::FlockOperation;
use sandbox_types::quota::QuotaRecord;

use super::Quota;
use super::account::{Account, Figure, Limits, Taken, Usage};
use super::count::count;
use super::error::QuotaError;
use super::gate::{Entered, Gate};
use super::state::StateFile;
use crate::fs::{Errno, FsResult};
use crate::sys::figures::Figures;
use crate::sys::signals::SignalsBlocked;

/// So many times it is counted while others write, before they wait for it.
const TRIES: u32 = 6;

/// Counts what is in a tree, and lets no more in than there may be. It holds an exclusive flock(2) on the tree's root.
#[derive(Debug)]
pub struct QuotaKeeper {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    counter: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    account: Mutex<Account>,
    /// Held, shared, while something is changed and charged; exclusively for the last count in a busy tree.
    gate: Gate,
    state: Mutex<StateFile>,
    /// The figure is exact, not a bound.
    exact: AtomicBool,
    /// The figure, for others to read.
    live: Figures,
}

/// The account, to look at and to change; when it is let go of, others can read what is in it.
struct Open<'a> {
    account: MutexGuard<'a, Account>,
    shared: &'a Shared,
}

impl Deref for Open<'_> {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

impl DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Usage { bytes, inodes } = self.account.used;
        let exact = u64::from(self.shared.exact.load(Ordering::Acquire));
        self.shared.live.say([exact, bytes, inodes]);
    }
}

impl QuotaKeeper {
    /// Locks the root and finds out how much is in it. A tree that nobody has counted yet is counted first.
    pub(crate) fn open(quota: &Quota, root: &OwnedFd) -> Result<Self, QuotaError> {
        match rustix::fs::flock(root, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::AGAIN) => return Err(QuotaError::Busy),
            other => other.map_err(|error| QuotaError::Root(error.into()))?,
        }
        let directory = quota
            .state
            .clone()
            .or_else(|| crate::state_directory::state_directory().map(|state| state.join("quota")))
            .ok_or(QuotaError::NoStateDirectory)?;
        outside(root, &directory)?;
        let state = StateFile::of(root.as_fd(), &directory)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (used, exact) = match state.read()? {
            Some(record) => {
                let QuotaRecord { exact, bytes, inodes } = record;
                (Usage { bytes, inodes }, exact)
            }
            None => (
                count(root, &stop).map_err(|error| QuotaError::Root(error.into()))?,
                true,
            ),
        };
        state.write(used.recorded(Figure::Bound))?;
        let account = Account {
            limits: quota.limits,
            used,
            nameless: Usage::default(),
            bound: used,
            changes: 0,
        };
        let live = state.live()?;
        let shared = Arc::new(Shared {
            live,
            account: Mutex::new(account),
            gate: Gate::default(),
            state: Mutex::new(state),
            exact: AtomicBool::new(exact),
        });
        drop(shared.account());
        let counter = if exact {
            None
        } else {
            Some(start_counting(&shared, &stop, root)?)
        };
        Ok(Self {
            shared,
            stop,
            counter,
        })
    }

    /// What may be in the tree.
    pub fn limits(&self) -> Limits {
        self.shared.account().limits
    }

    /// Changes that. Where more is there already, nothing can be added until enough is gone.
    pub fn set_limits(&self, limits: Limits) -> Result<(), QuotaError> {
        if limits.bytes == 0 || limits.inodes == Some(0) {
            return Err(QuotaError::Zero);
        }
        self.shared.account().limits = limits;
        Ok(())
    }

    /// What is charged now.
    pub fn usage(&self) -> Usage {
        self.shared.account().used
    }

    /// Whether that is exact; otherwise it is a bound, and a thread counts.
    pub fn is_exact(&self) -> bool {
        self.shared.exact.load(Ordering::Acquire)
    }

    /// While it is held, nobody counts: for a change and what is charged for it.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.shared.gate.enter()
    }

    /// Charges it; `ENOSPC` where that is too much.
    pub(crate) fn take(&self, bytes: u64, inodes: u64) -> FsResult<()> {
        let more = Usage { bytes, inodes };
        loop {
            let taken = self.shared.account().take(more);
            match taken {
                Taken::Yes => return Ok(()),
                Taken::Full => return Err(Errno::ENOSPC),
                Taken::NeedsBound(bound) => self.shared.raise_bound(bound)?,
            }
        }
    }

    /// Charges what is free, in whole units, and no more than this; returns how much that is.
    pub(crate) fn take_free(&self, most: u64, unit: u64) -> FsResult<u64> {
        loop {
            let free = self.shared.account().free().min(most) / unit * unit;
            match self.take(free, 0) {
                // Somebody else has taken some of it.
                Err(Errno::ENOSPC) => {}
                taken => return taken.map(|()| free),
            }
        }
    }

    /// Gives back what was taken, and charges what is there now, in one step.
    pub(crate) fn exchange(&self, less: u64, more: u64) {
        let mut account = self.shared.account();
        account.used.bytes = account.used.bytes.saturating_add(more).saturating_sub(less);
        account.changes += 1;
    }

    /// Charges what is there already, however much that is.
    pub(crate) fn add(&self, bytes: u64) {
        let mut account = self.shared.account();
        account.used = account.used.plus(Usage { bytes, inodes: 0 });
        account.changes += 1;
    }

    pub(crate) fn give_back(&self, bytes: u64, inodes: u64) {
        self.shared.account().give_back(Usage { bytes, inodes });
    }

    /// What has lost its last name, and is still charged.
    pub(crate) fn add_nameless(&self, bytes: u64, inodes: u64) {
        let mut account = self.shared.account();
        account.nameless = account.nameless.plus(Usage { bytes, inodes });
        account.changes += 1;
    }

    /// Some of that is gone, or has a name again.
    pub(crate) fn less_nameless(&self, bytes: u64, inodes: u64) {
        let mut account = self.shared.account();
        account.nameless = account.nameless.less(Usage { bytes, inodes });
        account.changes += 1;
    }

    #[cfg(test)]
    pub(crate) fn count_for_test(root: &OwnedFd) -> Usage {
        Self::try_count_for_test(root).unwrap()
    }

    #[cfg(test)]
    pub(crate) fn try_count_for_test(root: &OwnedFd) -> Result<Usage, rustix::io::Errno> {
        count(root, &AtomicBool::new(false))
    }

    #[cfg(test)]
    pub(crate) fn wait_until_counted(&mut self) {
        if let Some(counter) = self.counter.take() {
            counter.join().unwrap();
        }
    }
}

/// A clean end: the exact figure, where there is one, so that the next start need not count.
impl Drop for QuotaKeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(counter) = self.counter.take()
            && counter.join().is_err()
        {
            tracing::error!("the thread that counts a quota has ended by itself");
        }
        if !self.is_exact() {
            return;
        }
        let named = {
            let account = self.shared.account();
            account.used.less(account.nameless)
        };
        if let Err(error) = self.shared.state().write(named.recorded(Figure::Exact)) {
            tracing::warn!(%error, "the figure of a quota is lost: the next start counts");
        }
    }
}

impl Shared {
    fn account(&self) -> Open<'_> {
        Open {
            account: self.account.lock().unwrap_or_else(PoisonError::into_inner),
            shared: self,
        }
    }

    fn state(&self) -> MutexGuard<'_, StateFile> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a higher bound on the disk, then believes it.
    fn raise_bound(&self, bound: Usage) -> FsResult<()> {
        let state = self.state();
        if bound.within(self.account().bound) {
            return Ok(());
        }
        state.write(bound.recorded(Figure::Bound)).map_err(|error| {
            tracing::error!(%error, "the bound of a quota cannot be written");
            Errno::EIO
        })?;
        self.account().bound = bound;
        Ok(())
    }

    /// Counts until nothing changed meanwhile; at last nothing may.
    fn count_exactly(&self, root: &OwnedFd, stop: &AtomicBool) -> Result<(), rustix::io::Errno> {
        for attempt in 0..TRIES {
            let before = self.account().changes;
            match count(root, stop) {
                Ok(found) if self.install(found, Some(before)) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(50 << attempt));
        }
        let _closed = self.gate.close();
        let found = count(root, stop)?;
        self.install(found, None);
        Ok(())
    }

    fn install(&self, found: Usage, unchanged_since: Option<u64>) -> bool {
        let mut account = self.account();
        if unchanged_since.is_some_and(|changes| changes != account.changes) {
            return false;
        }
        account.used = found.plus(account.nameless);
        self.exact.store(true, Ordering::Release);
        true
    }
}

fn start_counting(
    shared: &Arc<Shared>,
    stop: &Arc<AtomicBool>,
    root: &OwnedFd,
) -> Result<JoinHandle<()>, QuotaError> {
    let root = root.try_clone().map_err(QuotaError::Root)?;
    let (shared, stop) = (Arc::clone(shared), Arc::clone(stop));
    let work = move || match shared.count_exactly(&root, &stop) {
        Ok(()) => tracing::info!("a quota is counted"),
        Err(rustix::io::Errno::INTR) => {}
        Err(error) => tracing::warn!(%error, "a quota cannot be counted: its last bound stays charged"),
    };
    // A signal is for the program's own threads.
    let _blocked = SignalsBlocked::new().map_err(QuotaError::Root)?;
    std::thread::Builder::new()
        .name("quota".into())
        .spawn(work)
        .map_err(QuotaError::Root)
}

/// The state must not be in the tree that it counts.
fn outside(root: &OwnedFd, directory: &Path) -> Result<(), QuotaError> {
    use std::os::fd::AsRawFd;
    let root = std::fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).map_err(QuotaError::Root)?;
    let absolute = std::path::absolute(directory).map_err(QuotaError::Root)?;
    let real: PathBuf = absolute
        .ancestors()
        .find_map(|path| path.canonicalize().ok())
        .unwrap_or(absolute);
    if real.starts_with(&root) {
        return Err(QuotaError::StateInside {
            path: directory.to_path_buf(),
        });
    }
    Ok(())
}
