//! From what the host reports to what the kernel is told.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Weak;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{ReadFlags, Reader};
use rustix::io::Errno as HostErrno;

use super::super::inode::Identity;
use super::super::{PassthroughFs, host};
use crate::fs::{Errno, FsResult, Ino, Invalidate};

/// Room for a good many reports of the longest names.
const BUFFER: usize = 64 * 1024;

/// One report.
struct Report<'a> {
    watch: i32,
    what: ReadFlags,
    name: Option<&'a OsStr>,
}

/// Until it is told to end, or there is nothing to watch any more.
pub(super) fn turn_into_invalidations(fs: &Weak<PassthroughFs>, inotify: &OwnedFd, end: &OwnedFd) {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    while wait(inotify, end) {
        let Some(fs) = fs.upgrade() else { return };
        let mut reports = Reader::new(inotify.as_fd(), &mut buffer);
        loop {
            match reports.next() {
                Ok(event) => fs.report(&Report {
                    watch: event.wd(),
                    what: event.events(),
                    name: event
                        .file_name()
                        .map(|name: &CStr| OsStr::from_bytes(name.to_bytes())),
                }),
                Err(HostErrno::AGAIN | HostErrno::INTR) => break,
                Err(error) => {
                    tracing::error!(%error, "nothing is watched any more");
                    return;
                }
            }
        }
    }
}

/// Waits for a report; false at the end.
fn wait(inotify: &OwnedFd, end: &OwnedFd) -> bool {
    let mut fds = [inotify, end].map(|fd| PollFd::new(fd, PollFlags::IN));
    while rustix::event::poll(&mut fds, None) == Err(HostErrno::INTR) {}
    let [_, end] = fds;
    end.revents().is_empty()
}

impl PassthroughFs {
    fn report(&self, report: &Report<'_>) {
        let (Some(watches), Some(channel)) = (self.watches(), self.channel.get()) else {
            return;
        };
        if report.what.contains(ReadFlags::QUEUE_OVERFLOW) {
            tracing::warn!("the host has reported more than was taken: everything is forgotten");
            self.invalidate_all(&*channel);
            return;
        }
        let Some(dir) = watches.lock().get(&report.watch).copied() else {
            return;
        };
        if report.what.contains(ReadFlags::IGNORED) {
            watches.lock().remove(&report.watch);
            if let Ok(inode) = self.table.get(dir) {
                inode.unwatched();
            }
            return;
        }
        self.invalidate(dir, report, &*channel).unwrap_or_else(|error| {
            // ENOENT: the kernel does not remember it.
            tracing::trace!(%error, dir, "an invalidation");
        });
    }

    fn invalidate(&self, dir: Ino, report: &Report<'_>, channel: &dyn Invalidate) -> FsResult<()> {
        let Some(name) = report.name else {
            // The directory itself.
            return channel.inode(dir, -1, 0);
        };
        let is_entry = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        if report.what.intersects(is_entry) {
            // What was listed, and what the name led to.
            let listed = channel.inode(dir, 0, 0);
            let named = channel.entry(dir, name);
            return listed.and(named);
        }
        let changed = self.entry_s_inode(dir, name)?;
        if report.what.contains(ReadFlags::MODIFY) {
            channel.inode(changed, 0, 0)
        } else {
            channel.inode(changed, -1, 0)
        }
    }

    /// The inode that the kernel knows, of what has this name now.
    fn entry_s_inode(&self, dir: Ino, name: &OsStr) -> FsResult<Ino> {
        let (_, fd) = self.directory(dir)?;
        let stat = host::stat_in(fd.as_fd(), name)?;
        let known = self.table.known(&Identity::of(&stat));
        Ok(known.ok_or(Errno::ENOENT)?.number)
    }

    fn invalidate_all(&self, channel: &dyn Invalidate) {
        for inode in self.table.all() {
            // ENOENT: the kernel does not remember it.
            let _ = channel.inode(inode.number, 0, 0);
            if let Some(place) = inode.place() {
                let _ = channel.entry(place.parent.number, &place.name);
            }
        }
    }
}
