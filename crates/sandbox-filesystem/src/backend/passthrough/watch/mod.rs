//! Changes on the host, told to the kernel as they happen (inotify(7)).
//!
//! Every directory of which the kernel knows an entry has a watch; a thread turns what the host reports into
//! invalidations. What is not reported is not seen before it is asked for anew: what is written through a shared mapping,
//! through another name of a hard link in a directory that nobody has looked into, or by another machine. Where the host
//! gives no more watches (`fs.inotify.max_user_watches`), entries are believed for a second at most.
//!
//! It is not a filter: what this server changes itself is reported too, and invalidated needlessly.

mod events;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::PassthroughFs;
use super::inode::Inode;
use crate::fs::{Ino, Invalidate};

/// What is reported of a directory.
const WANTED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);

/// How long an entry is believed whose directory has no watch.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Which directories are watched.
#[derive(Debug)]
pub(super) struct Watches {
    inotify: OwnedFd,
    directories: Mutex<HashMap<i32, Ino>>,
    is_full: AtomicBool,
}

/// How the kernel is told of changes, once it is served.
#[derive(Default)]
pub(super) struct Channel(Mutex<Option<Arc<dyn Invalidate>>>);

impl Channel {
    pub(super) fn set(&self, channel: Arc<dyn Invalidate>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel);
    }

    fn get(&self) -> Option<Arc<dyn Invalidate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a channel to the kernel")
    }
}

/// The thread that watches a [`PassthroughFs`]. Dropped, it ends, and so does watching.
#[derive(Debug)]
#[must_use = "dropped, it ends"]
pub struct HostWatch {
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl PassthroughFs {
    /// From now on the kernel is told of what changes on the host, as soon as the host reports it, so that it may
    /// remember for as long as the cache policy lets it. Once for a filesystem, before it is served.
    ///
    /// # Errors
    /// `EMFILE` where the user has too many inotify instances (`fs.inotify.max_user_instances`); `EEXIST` where it is
    /// watched already.
    pub fn watch(self: &Arc<Self>) -> io::Result<HostWatch> {
        let watches = Watches {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            directories: Mutex::default(),
            is_full: AtomicBool::new(false),
        };
        let end = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let told = rustix::io::fcntl_dupfd_cloexec(&end, 3)?;
        self.watches.set(watches).map_err(|_| rustix::io::Errno::EXIST)?;
        let fs = Arc::downgrade(self);
        let watch = rustix::io::fcntl_dupfd_cloexec(
            self.watches().map_or(end.as_fd(), |own| own.inotify.as_fd()),
            3,
        )?;
        let thread = std::thread::Builder::new()
            .name("fuse watch".to_owned())
            .spawn(move || events::turn_into_invalidations(&fs, &watch, &told))?;
        let thread = Some(thread);
        Ok(HostWatch { end, thread })
    }

    fn watches(&self) -> Option<&Watches> {
        self.watches.get()
    }

    /// Watches a directory of which an entry is about to be looked at.
    pub(super) fn watch_entries(&self, dir: &Inode, fd: std::os::fd::BorrowedFd<'_>) {
        let Some(watches) = self.watches() else { return };
        if dir.is_watched() || watches.is_full.load(Ordering::Relaxed) {
            return;
        }
        let path = Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string());
        // Held until it is known which directory it is: its first report may come at once.
        let mut directories = watches.lock();
        match inotify::add_watch(&watches.inotify, path, WANTED) {
            Ok(watch) => {
                directories.insert(watch, dir.number);
                dir.watched(watch);
            }
            Err(error) => {
                if error == rustix::io::Errno::NOSPC {
                    watches.is_full.store(true, Ordering::Relaxed);
                }
                tracing::warn!(%error, "a directory is not watched; see fs.inotify.max_user_watches");
            }
        }
    }

    /// For how long an entry of `dir` may be believed that could be for `usual`.
    pub(super) fn believed(&self, dir: &Inode, usual: Duration) -> Duration {
        if self.watches().is_none() || dir.is_watched() {
            usual
        } else {
            usual.min(UNWATCHED)
        }
    }

    /// Nobody knows a directory any more.
    pub(super) fn unwatch(&self, dir: &Inode) {
        if let (Some(watches), Some(watch)) = (self.watches(), dir.unwatched()) {
            watches.lock().remove(&watch);
            // EINVAL: it is gone, and its watch with it.
            let _ = inotify::remove_watch(&watches.inotify, watch);
            watches.is_full.store(false, Ordering::Relaxed);
        }
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Ino>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&self.end, &1_u64.to_ne_bytes()) {
            tracing::debug!(%error, "an eventfd");
        }
        if let Some(thread) = self.thread.take() {
            // It panics for nothing; what it said is in the log.
            let _ = thread.join();
        }
    }
}
